"""[trading_day] of exchange.toml: what it says, what is wrong with it, what becomes of it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from datetime import date, time
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli import cli
from exchange.config import Config, parse
from exchange.config_keys import ConfigError
from exchange.config_text import default_text, write_exchange_folder
from exchange.config_trading_day import phases
from exchange.config_warnings import warnings
from exchange.settings import node_settings, trading_days
from oms.events import TradingState

ENABLED = "[trading_day]\nenabled = true\n"


def config_of(text: str) -> Config:
    return parse(tomllib.loads(text))


def test_without_a_schedule_trading_opens_at_the_start() -> None:
    config = config_of("")
    assert trading_days(config) is None
    assert node_settings(config, 1).opening_state == TradingState.TRADING


def test_with_a_schedule_nothing_is_opened_but_by_it() -> None:
    config = config_of(ENABLED)
    assert trading_days(config) is not None
    assert node_settings(config, 1).opening_state is None
    halted = config_of(ENABLED + "[cluster]\nopening_state = 'halted'\n")
    assert node_settings(halted, 1).opening_state == TradingState.HALTED


def test_the_written_file_says_every_default() -> None:
    text = default_text()
    assert config_of(text).trading_day == Config().trading_day
    written = tomllib.loads(text)["trading_day"]
    assert written.keys() == {item.name for item in dataclasses.fields(Config().trading_day)}


def test_a_whole_day_is_its_phases_one_after_the_other() -> None:
    text = ENABLED + "auction_calls = ['12:00:00-12:02:00', '14:00:00-14:01:00']\n"
    assert [
        (phase.begins, phase.trading_state) for phase in phases(config_of(text).trading_day)
    ] == [
        (time(7), TradingState.PRE_OPEN),
        (time(9, 28), TradingState.OPENING_AUCTION),
        (time(9, 30), TradingState.TRADING),
        (time(12), TradingState.AUCTION_CALL),
        (time(12, 2), TradingState.TRADING),
        (time(14), TradingState.AUCTION_CALL),
        (time(14, 1), TradingState.TRADING),
        (time(15, 50), TradingState.CLOSING_AUCTION),
        (time(16), TradingState.CLOSED),
    ]


def test_auctions_can_be_left_out() -> None:
    text = ENABLED + "pre_open = ''\nopening_auction = ''\nclosing_auction = ''\n"
    assert [phase.trading_state for phase in phases(config_of(text).trading_day)] == [
        TradingState.TRADING,
        TradingState.CLOSED,
    ]


def test_days_and_holidays() -> None:
    text = "[trading_day]\nweekdays = ['Mon', 'Sat']\nholidays = ['2026-12-25']\n"
    day = config_of(text).trading_day
    assert day.weekdays == (0, 5)
    assert day.holidays == (date(2026, 12, 25),)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("time_zone = 'Mars/Olympus'", ["trading_day.time_zone: 'Mars/Olympus'", "IANA"]),
        ("continuous = '9:30'", ["trading_day.continuous: '9:30'", "HH:MM:SS"]),
        ("continuous = ''", ["trading_day.continuous: ''", "HH:MM:SS"]),
        ("close = 16", ["trading_day.close: 16"]),
        ("pre_open = '24:00:00'", ["trading_day.pre_open: '24:00:00'", 'or ""']),
        ("weekdays = []", ["trading_day.weekdays: []", "Mon, Tue"]),
        ("weekdays = ['Monday']", ["trading_day.weekdays: 'Monday'", "Mon, Tue"]),
        ("weekdays = [1]", ["trading_day.weekdays: 1"]),
        ("holidays = ['25.12.2026']", ["trading_day.holidays: '25.12.2026'", "YYYY-MM-DD"]),
        ("holidays = ['2026-W01-1']", ["trading_day.holidays: '2026-W01-1'"]),
        ("holidays = [2026]", ["trading_day.holidays: 2026"]),
        ("auction_calls = ['12:00:00']", ["trading_day.auction_calls: '12:00:00'", "12:02:00"]),
        ("auction_calls = [12]", ["trading_day.auction_calls: 12"]),
        ("auction_calls = '12:00:00-12:01:00'", ["trading_day.auction_calls"]),
        (
            "pre_open = '09:28:00'",
            ["trading_day.opening_auction: 09:28:00 is not after 09:28:00 (trading_day.pre_open)"],
        ),
        ("close = '15:00:00'", ["trading_day.close: 15:00:00 is not after 15:50:00"]),
        (
            "auction_calls = ['12:00:00-11:00:00']",
            ["trading_day.auction_calls: 11:00:00 is not after 12:00:00"],
        ),
        ("opens = '09:30:00'", ["trading_day.opens", "there is no such key"]),
        ("enabled = true\n[cluster]\nclock_tick_ms = 0", ["cluster.clock_tick_ms: is 0"]),
    ],
)
def test_a_mistake_is_answered_with_key_value_and_example(text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(f"[trading_day]\n{text}\n")
    for part in [*parts, "; example: "]:
        assert part in str(caught.value)


def test_check_config_shows_the_next_day_in_utc(tmp_path: Path) -> None:
    path = write_exchange_folder(tmp_path / "x", changes={"trading_day.enabled": "true"})
    result = CliRunner().invoke(cli, ["check-config", "--json", "--config", str(path)])
    facts = json.loads(result.stdout)
    assert facts["trading_day.opening_auction"] == "09:28:00"
    days = [name for name in facts if name.startswith("trading day ")]
    assert len(days) == 1
    assert list(facts[days[0]].values()) == [
        "pre_open",
        "opening_auction",
        "trading",
        "closing_auction",
        "closed",
    ]


def test_a_calendar_without_a_trading_day_is_allowed_but_unwise() -> None:
    today = date.today().toordinal()
    holidays = [str(date.fromordinal(today + day)) for day in range(-2, 400)]
    config = config_of(f"{ENABLED}holidays = {holidays}\n")
    assert [text for text in warnings(config) if "no trading day within a year" in text]
    assert not warnings(config_of(ENABLED))
