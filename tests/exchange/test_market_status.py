"""`exchange market status`, as people see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cluster import admin
from exchange.cli import cli
from exchange.config_text import write_exchange_folder
from oms.market_status import market_status
from oms.state_machine import ExchangeStateMachine

SECOND_NS = 1_000_000_000
NOON_NS = 1_772_470_800 * SECOND_NS  # 2026-03-02 12:00 in New York
INSTRUMENTS = (
    ("AAPL", 1, 100, 1, 100_0000, 1_000, 999_999),
    ("MSFT", 2, 100, 1, 50_0000, 1_000, 999_999),
)


@pytest.fixture
def status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the verb against a state machine."""
    path = write_exchange_folder(tmp_path / "x", changes={"trading_day.enabled": "true"})
    machine = ExchangeStateMachine()
    load = (30, INSTRUMENTS, (("ACC1", "FIRM1", 999_999, 10**15),), (("CLIENT1", "ACC1"),))
    machine.apply(load, NOON_NS)

    async def market(*arguments: Any, **options: Any) -> dict[str, Any]:
        return market_status(machine.state)

    monkeypatch.setattr(admin, "market", market)

    def run(*commands: tuple[Any, ...]) -> list[list[str]]:
        for command in commands:
            machine.apply(command, NOON_NS)
        result = CliRunner().invoke(cli, ["market", "status", "--config", str(path)])
        assert result.exit_code == 0, result.output
        return [line.split() for line in result.output.splitlines() if line.strip()]

    return run


def test_without_a_schedule_operators_lead(status):
    title, *_ = status((31, "", 2, ""))
    assert " ".join(title) == "no schedule: operators open and close the market"


def test_the_day_the_phase_and_what_comes_next(status):
    phases = ((NOON_NS, 2), (NOON_NS + 3_600 * SECOND_NS, 5), (NOON_NS + 7_200 * SECOND_NS, 0))
    title, *_ = status((33, 20260302, phases))
    assert " ".join(title) == (
        "trading day 2026-03-02: not begun; trading at 2026-03-02T12:00:00-05:00"
    )
    title, *_ = status((20,))
    assert " ".join(title) == (
        "trading day 2026-03-02: trading; closing_auction at 2026-03-02T13:00:00-05:00"
    )
    title, *_ = status((32,))
    assert " ".join(title) == "trading day 2026-03-02: over"


def test_each_instrument_and_what_its_auction_would_do(status):
    orders = [
        (1, "CLIENT1", 1, "", name, "AAPL", side, 2, 0, quantity, 100_0000)
        for name, side, quantity in (("A", 1, 30), ("B", 2, 50))
    ]
    rows = status((31, "AAPL", 6, ""), *orders, (31, "MSFT", 1, "T1"))
    assert rows[-2:] == [
        ["AAPL", "auction_call", "100.00", "30", "-20"],
        ["MSFT", "halted", "T1", "held"],
    ]
