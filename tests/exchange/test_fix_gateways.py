"""Two FIX gateways: each serves its own sessions, and tells strangers where they belong."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.config import load
from exchange.config_sections import Addresses
from exchange.config_text import write_exchange_folder
from exchange.fix_client import FixClient
from exchange.http_client import get_json, is_ready
from exchange.ledger import Ledger
from exchange.local import LocalExchange, free_base_port, wait_for
from exchange.ouch_client import OuchClient

FIRST, SECOND = "gateway-fix", "gateway-fix-2"


def exchange_of_two(folder: Path) -> LocalExchange:
    """CLIENT2 belongs to the second gateway, all others to the first."""
    base_port, other_base_port = sorted((free_base_port(), free_base_port()))
    changes = {}
    for name in ("fix", "fix_http"):
        default = getattr(Addresses(), name)[0].port
        other = other_base_port + default - base_port
        changes[f"addresses.{name}"] = f'["127.0.0.1:{default}", "127.0.0.1:{other}"]'
    path = write_exchange_folder(folder, base_port, changes)
    text = path.read_text()
    path.write_text(text.replace('comp_id = "CLIENT2"\n', 'comp_id = "CLIENT2"\ngateway = 2\n'))
    return LocalExchange(load(path))


async def client_of(exchange: LocalExchange, comp_id: str) -> tuple[Ledger, FixClient]:
    ledger = Ledger(comp_id)
    client = FixClient(exchange.config.fix_address(comp_id), comp_id, ledger.receive)
    ledger.attach(client)
    await client.start()
    return ledger, client


async def log_on_at_the_wrong_one(exchange: LocalExchange) -> None:
    wrong = exchange.config.fix_address("CLIENT1")
    client = FixClient(wrong, "CLIENT2", lambda message, sent_ns: None)
    with pytest.raises(TimeoutError):
        await client.start(timeout_s=0.5)
    assert client.next_in == 1  # there was no answer
    await client.stop()


async def sessions(exchange: LocalExchange, *words: str) -> int:
    """The exit code of `exchange sessions`."""
    config = ["--config", str(exchange.config.source)]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exchange", "sessions", *words, *config, stdout=subprocess.DEVNULL
    )
    return await asyncio.wait_for(child.wait(), 30.0)


async def disconnect_and_reset(exchange: LocalExchange) -> None:
    """FIX: it hears why, and comes back. OUCH: the same at whichever gateway it is."""
    _, client = await client_of(exchange, "CLIENT3")
    user = OuchClient(exchange.config.addresses.ouch, "OUCH1", lambda number, message: None)
    await user.start()
    for name in ("CLIENT3", "OUCH1"):
        assert await sessions(exchange, "--disconnect", name) == 0
    await wait_for(lambda: client.disconnects == 1, "CLIENT3 is disconnected", 5.0)
    assert client.last_logout_text == "The operator of the exchange ends this connection"
    await wait_for(lambda: user.logins == 2, "OUCH1 was disconnected and is back", 5.0)
    await client.wait_logged_on()
    await client.stop()
    await user.stop()
    assert await sessions(exchange, "--reset", "CLIENT3") == 0
    _, anew = await client_of(exchange, "CLIENT3")  # its numbers begin at 1
    await anew.stop()
    assert await sessions(exchange, "--reset", "OUCH1") == 1
    assert await sessions(exchange, "--disconnect", "NOBODY") == 2
    assert await sessions(exchange, "--disconnect", "CLIENT3", "--reset", "CLIENT3") == 2


async def trade(exchange: LocalExchange, price: str) -> None:
    """CLIENT1 sells to CLIENT2, each at its own gateway."""
    (seller, seller_client), (buyer, buyer_client) = [
        await client_of(exchange, comp_id) for comp_id in ("CLIENT1", "CLIENT2")
    ]
    seller.enter(f"sell at {price}", "AAPL", "2", 100, price)
    await wait_for(lambda: seller.reports, "the order rests", 5.0)
    buyer.enter(f"buy at {price}", "AAPL", "1", 100, price)
    for ledger in (seller, buyer):
        await wait_for(
            lambda told=ledger: [report.exec_type for report in told.reports] == ["0", "F"],
            f"{ledger} has its fill",
            5.0,
        )
    await seller_client.stop()
    await buyer_client.stop()


def test_each_session_trades_at_its_own_gateway(tmp_path: Path) -> None:
    exchange = exchange_of_two(tmp_path / "x")

    async def run() -> None:
        try:
            ready = await exchange.start()
            assert len(ready["fix"]) == 2
            assert {FIRST, SECOND} <= ready["pids"].keys()
            await trade(exchange, "100.00")
            await log_on_at_the_wrong_one(exchange)
            await disconnect_and_reset(exchange)
            await exchange.kill(SECOND)
            await exchange.restart(SECOND)
            address = exchange.config.addresses.fix_http[1]
            await wait_for(lambda: is_ready(address), "the second gateway is back", 10.0)
            found = {row["comp_id"]: row for row in await get_json(address, "/sessions")}
            assert found.keys() == {"CLIENT2"}
            assert found["CLIENT2"]["next_in"] == 4  # Logon, order, Logout
            assert await sessions(exchange, "--disconnect", "CLIENT2") == 1  # it is not there
        finally:
            assert await exchange.stop() == 0
        assert await sessions(exchange, "--disconnect", "CLIENT1") == 3  # nobody answers

    asyncio.run(run())
    log = (exchange.config.data_dir / "log" / f"{FIRST}.log").read_text()
    where = exchange.config.addresses.fix[1]
    assert f"CLIENT2 belongs to {SECOND} ({where})" in log
    assert (exchange.config.data_dir / SECOND / "CLIENT2.store").exists()
    assert not (exchange.config.data_dir / FIRST / "CLIENT2.store").exists()
