"""Protection as an operator has it: its keys in exchange.toml, its verbs, and a pause that the
leader's clock begins and ends although the leader is killed in between."""

from __future__ import annotations

import asyncio
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from exchange.config import parse
from exchange.config_keys import ConfigError
from exchange.config_protection import protection_values
from exchange.config_text import default_text
from exchange.fix_client import FixClient
from exchange.ledger import Ledger
from exchange.local import LocalExchange, new_local_exchange, wait_for
from exchange.report import settle
from oms.protection_rules import NO_PROTECTION, SECOND_NS

KEYS = """
[protection]
pause_s = 3
{more}
[[instruments]]
symbol = "AAPL"
luld_bps = 500
index_weight = {weight}
"""


def config_of(more: str = "", weight: int = 1) -> Any:
    return parse(tomllib.loads(KEYS.format(more=more, weight=weight)))


def test_nothing_is_protected_unless_the_file_says_so() -> None:
    config = parse(tomllib.loads(default_text()))
    assert protection_values(config.protection, config.instruments) == ()


def test_keys_become_the_rules_of_the_log() -> None:
    config = config_of()
    rules, rows = protection_values(config.protection, config.instruments)
    assert rules == NO_PROTECTION._replace(pause_ns=3 * SECOND_NS)
    assert rows == (("AAPL", 500, 0, 1),)


@pytest.mark.parametrize(
    ("more", "weight", "problem"),
    [
        ("breaker_level_1_bps = 700", 1, "the levels 700, 0, 0 do not rise"),
        (
            "breaker_level_1_bps = 7\nbreaker_level_2_bps = 8\nbreaker_level_3_bps = 9",
            0,
            "no instrument has an index_weight",
        ),
        ("window_s = 0", 1, "window_s: 0 is not a whole number 1..86400"),
        ("windows_s = 5", 1, "did you mean window_s"),
    ],
)
def test_what_cannot_be_is_refused_with_an_example(more: str, weight: int, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config_of(more, weight)
    assert problem in str(raised.value)


async def verb(exchange: LocalExchange, *words: str) -> Any:
    """JSON that `exchange WORDS` prints."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exchange", *words, "--json",
        "--config", str(exchange.config.source), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0, output
    return json.loads(output)


async def state_of(exchange: LocalExchange, symbol: str) -> tuple[str, str]:
    facts = await verb(exchange, "market", "status")
    (one,) = [each for each in facts["instruments"] if each["symbol"] == symbol]
    return one["trading_state"], one["reason"]


def protect_aapl(path: Path) -> None:
    """Change the file of a running exchange, as an operator does."""
    text = path.read_text()
    for name, value in (
        ("limit_state_s", 1),
        ("pause_s", 2),
        ("call_s", 1),
    ):
        before = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(before, f"{name} = {value}")
    text = text.replace("luld_bps = 0", "luld_bps = 500", 1)
    path.write_text(text)


async def story(exchange: LocalExchange) -> None:
    await exchange.start()
    ledger = Ledger("CLIENT1")
    client = FixClient(exchange.config.addresses.fix[0], "CLIENT1", ledger.receive)
    ledger.attach(client)
    await client.start()
    assert exchange.config.source is not None
    protect_aapl(exchange.config.source)
    assert (await verb(exchange, "market", "protect"))["bands"]["AAPL"] == ["95.00", "105.00"]

    ledger.enter("beyond", "AAPL", "1", 100, "105.01")
    ledger.enter("at the edge", "AAPL", "1", 100, "105.00")
    await settle([ledger], 10)
    assert ledger.reports[0].exec_type == "8"

    async def is_paused() -> bool:
        return await state_of(exchange, "AAPL") == ("halted", "LUDP")

    await wait_for(is_paused, "the limit state has lasted", 20)
    killed = (await verb(exchange, "kill", "leader"))["killed"]

    async def trades() -> bool:
        return await state_of(exchange, "AAPL") == ("trading", "")

    await wait_for(trades, "another leader has opened it again", 20)
    await exchange.restart(killed)
    await exchange.wait_until_level()

    closed = await verb(exchange, "market", "emergency-close", "--yes")
    assert "AAPL" in closed["closed"]
    assert closed["canceled"] == 1
    ledger.enter("too late", "AAPL", "1", 100, "100.00")
    await settle([ledger], 10)
    refused = [report for report in ledger.reports if report.cl_ord_id == "too late"]
    assert [report.exec_type for report in refused] == ["8"]
    assert "emergency" in refused[0].text
    assert (await verb(exchange, "market", "resume"))["trading_state"] == "trading"
    assert (await verb(exchange, "hash"))["equal"] is True
    await client.stop()


def test_a_pause_outlives_its_leader_and_an_emergency_close_ends_everything(
    tmp_path: Path,
) -> None:
    exchange = new_local_exchange(tmp_path)

    async def run() -> None:
        try:
            await story(exchange)
        finally:
            await exchange.stop()

    asyncio.run(run())
