"""The declarations of exchange.toml, continued: the schedule of the trading day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from exchange.config_keys import (
    FLAG,
    TIME,
    ZONE,
    ConfigError,
    Kind,
    WrongItem,
    key,
    read_time,
    toml_text,
)
from exchange.trading_day import Phase
from oms.events import TradingState

CALLS_MAX: Final = 24
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _read_time_or_nothing(value: Any) -> time | None:
    return None if value == "" else read_time(value)


_TIME_OR_NOTHING = Kind(
    _read_time_or_nothing,
    'a time of day HH:MM:SS, or ""',
    '"09:28:00"',
    lambda value: toml_text("" if value is None else value),
)


def _read_calls(value: Any) -> tuple[tuple[time, time], ...]:
    if not isinstance(value, list) or len(value) > CALLS_MAX:
        raise ValueError
    calls = []
    for item in value:
        try:
            begins, ends = item.split("-")
            calls.append((read_time(begins), read_time(ends)))
        except (AttributeError, ValueError) as error:
            raise WrongItem(item) from error
    return tuple(calls)


_CALLS = Kind(
    _read_calls,
    f"HH:MM:SS-HH:MM:SS, at most {CALLS_MAX} of them in a list",
    '["12:00:00-12:02:00"]',
    lambda value: toml_text([f"{begins}-{ends}" for begins, ends in value]),
)


def _read_weekdays(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError
    for item in value:
        if item not in _WEEKDAYS:
            raise WrongItem(item)
    return tuple(_WEEKDAYS.index(item) for item in value)


_WEEKDAY_NAMES = Kind(
    _read_weekdays,
    f"{', '.join(_WEEKDAYS)}, in a list with one at least",
    '["Mon", "Fri"]',
    lambda value: toml_text([_WEEKDAYS[place] for place in value]),
)


def _read_dates(value: Any) -> tuple[date, ...]:
    if not isinstance(value, list):
        raise ValueError
    dates = []
    for item in value:
        try:
            if len(item) != len("YYYY-MM-DD"):
                raise ValueError
            dates.append(datetime.strptime(item, "%Y-%m-%d").date())
        except (TypeError, ValueError) as error:
            raise WrongItem(item) from error
    return tuple(dates)


_DATES = Kind(_read_dates, "a date YYYY-MM-DD, in a list", '["2026-12-25"]', toml_text)


@dataclass(frozen=True, slots=True)
class TradingDaySection:
    """When what begins on a trading day."""

    enabled: bool = key(
        False,
        FLAG,
        "Lead through the day by these times; false: trading opens at the start, and operators do "
        "the rest (exchange market --help).",
    )
    time_zone: tzinfo = key(ZoneInfo("America/New_York"), ZONE, "Of all times here.")
    weekdays: tuple[int, ...] = key((0, 1, 2, 3, 4), _WEEKDAY_NAMES, "Trading days.")
    holidays: tuple[date, ...] = key((), _DATES, "No trading days, such as 2026-12-25.")
    pre_open: time | None = key(
        time(7), _TIME_OR_NOTHING, 'Orders are collected from here on; "": not before what follows.'
    )
    opening_auction: time | None = key(
        time(9, 28),
        _TIME_OR_NOTHING,
        "Everyone is told from here on what the opening auction would do; it trades at "
        '`continuous`; "": told nothing, but an auction all the same if there is a pre-open.',
    )
    continuous: time = key(time(9, 30), TIME, "Continuous trading begins.")
    auction_calls: tuple[tuple[time, time], ...] = key(
        (),
        _CALLS,
        "Auctions in the middle of the day: orders are collected from the first time on and traded "
        'at the second one, such as "12:00:00-12:02:00".',
    )
    closing_auction: time | None = key(
        time(15, 50),
        _TIME_OR_NOTHING,
        'Orders are collected for the closing auction, which trades at `close`; "": there is none.',
    )
    close: time = key(
        time(16), TIME, "The end: orders for the day expire, the statistics of the day are told."
    )


def _named_phases(day: TradingDaySection) -> list[tuple[str, Phase]]:
    """The phases of a day with the keys that say them, in the order in which they must come."""
    named: list[tuple[str, time | None, TradingState]] = [
        ("pre_open", day.pre_open, TradingState.PRE_OPEN),
        ("opening_auction", day.opening_auction, TradingState.OPENING_AUCTION),
        ("continuous", day.continuous, TradingState.TRADING),
    ]
    for begins, ends in day.auction_calls:
        named.append(("auction_calls", begins, TradingState.AUCTION_CALL))
        named.append(("auction_calls", ends, TradingState.TRADING))
    named.append(("closing_auction", day.closing_auction, TradingState.CLOSING_AUCTION))
    named.append(("close", day.close, TradingState.CLOSED))
    return [(name, Phase(begins, state)) for name, begins, state in named if begins is not None]


def phases(day: TradingDaySection) -> list[Phase]:
    """The phases of a day, one after the other."""
    return [phase for _, phase in _named_phases(day)]


def check_trading_day(day: TradingDaySection, clock_tick_ms: int) -> None:
    """The phases come one after the other, and there is a clock. Raises ConfigError."""
    example = '"09:30:00", in the order of the keys'
    for (before, first), (name, second) in pairwise(_named_phases(day)):
        if second.begins <= first.begins:
            where = f"trading_day.{name}"
            problem = f"{second.begins} is not after {first.begins} (trading_day.{before})"
            raise ConfigError(where, problem, example)
    if day.enabled and clock_tick_ms == 0:
        problem = "is 0, but with trading_day.enabled there must be a clock"
        raise ConfigError("cluster.clock_tick_ms", problem, "1_000")
