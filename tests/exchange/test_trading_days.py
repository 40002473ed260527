"""The calendar: which trading days there are, and when their phases begin in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from exchange.trading_day import Phase, TradingDays
from oms.events import TradingState
from oms.state import ExchangeState
from oms.state_machine import ExchangeStateMachine

NEW_YORK = ZoneInfo("America/New_York")
PHASES = (
    Phase(time(7), TradingState.PRE_OPEN),
    Phase(time(9, 30), TradingState.TRADING),
    Phase(time(16), TradingState.CLOSED),
)
WEEKDAYS = frozenset(range(5))
TICK = (20,)


def ns(text: str) -> int:
    """A time in UTC in ns since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def days(zone=NEW_YORK, phases=PHASES, weekdays=WEEKDAYS, holidays=()) -> TradingDays:
    return TradingDays(phases, zone, weekdays, frozenset(holidays))


def schedule(now: str, calendar: TradingDays | None = None) -> tuple[int, list[str]]:
    """Date and times of the schedule at a time."""
    found = (calendar or days()).schedule_at(ns(now))
    assert found is not None
    times = [datetime.fromtimestamp(begins // 10**9, UTC) for begins, _ in found.phases]
    return found.date, [f"{begins:%m-%d %H:%M}" for begins in times]


def test_the_phases_of_a_day_are_times_in_its_zone():
    assert schedule("2026-03-02 12:00:00") == (
        20260302,
        ["03-02 12:00", "03-02 14:30", "03-02 21:00"],
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-02 20:59:59", 20260302),
        ("2026-03-02 21:00:00", 20260303),  # it is over
        ("2026-03-06 21:00:00", 20260309),  # Friday evening
        ("2026-03-07 15:00:00", 20260309),  # Saturday
        ("2026-03-10 03:00:00", 20260310),  # it is the 9th in New York, after the close
        ("2026-12-24 21:00:01", 20261228),  # Christmas is a Friday
    ],
)
def test_after_the_end_of_a_day_comes_the_next_trading_day(now, expected):
    assert schedule(now, days(holidays=[date(2026, 12, 25)]))[0] == expected


def test_the_clocks_are_put_forward_and_back():
    assert schedule("2026-03-06 13:00:00")[1] == ["03-06 12:00", "03-06 14:30", "03-06 21:00"]
    assert schedule("2026-03-09 11:00:00")[1] == ["03-09 11:00", "03-09 13:30", "03-09 20:00"]
    assert schedule("2026-10-30 11:00:00")[1] == ["10-30 11:00", "10-30 13:30", "10-30 20:00"]
    assert schedule("2026-11-02 12:00:00")[1] == ["11-02 12:00", "11-02 14:30", "11-02 21:00"]


def test_phases_in_the_night_of_a_change_stay_in_order():
    """On 29 March 2026 in Berlin 02:00 to 03:00 do not exist, on 25 October they come twice."""
    early = (
        Phase(time(2, 30), TradingState.PRE_OPEN),
        Phase(time(3, 15), TradingState.TRADING),
        Phase(time(4), TradingState.CLOSED),
    )
    nights = days(ZoneInfo("Europe/Berlin"), early, frozenset(range(7)))
    assert schedule("2026-03-29 00:00:00", nights)[1] == [
        "03-29 01:30",
        "03-29 01:30",
        "03-29 02:00",
    ]
    assert schedule("2026-10-25 00:00:00", nights)[1] == [
        "10-25 00:30",
        "10-25 02:15",
        "10-25 03:00",
    ]


def test_a_calendar_of_holidays_has_no_trading_day():
    all_year = [date.fromordinal(date(2026, 1, 1).toordinal() + day) for day in range(800)]
    calendar = days(holidays=all_year)
    assert calendar.schedule_at(ns("2026-03-02 12:00:00")) is None
    assert calendar.upkeep(ExchangeState(), ns("2026-03-02 12:00:00")) == []


class Exchange:
    """A state machine whose leader ticks with the upkeep of a calendar, as cluster/core.py does."""

    def __init__(self) -> None:
        self.machine = ExchangeStateMachine()
        self.machine.apply((30, (("AAPL", 1, 100, 1, 100_0000, 1_000, 1_000),), (), ()), 1)

    def tick(self, now: str, calendar: TradingDays) -> list[int]:
        """Dates of the schedules that were sent."""
        commands = calendar.upkeep(self.machine.state, ns(now))
        for command in (TICK, *commands, TICK) if commands else (TICK,):
            self.machine.apply(command, ns(now))
        return [command[1] for command in commands]

    @property
    def trading_state(self) -> int:
        return self.machine.state.listings["AAPL"].trading_state


def test_each_day_is_sent_once_and_the_next_one_as_soon_as_it_is_over():
    exchange, calendar = Exchange(), days()
    assert exchange.tick("2026-03-06 11:00:00", calendar) == [20260306]
    assert exchange.trading_state == TradingState.CLOSED
    assert exchange.tick("2026-03-06 11:00:01", calendar) == []
    assert exchange.tick("2026-03-06 12:00:00", calendar) == []
    assert exchange.trading_state == TradingState.PRE_OPEN
    assert exchange.tick("2026-03-06 14:30:00", calendar) == []
    assert exchange.trading_state == TradingState.TRADING
    assert exchange.tick("2026-03-06 20:59:59", calendar) == []
    assert exchange.tick("2026-03-06 21:00:00", calendar) == [20260309]
    assert exchange.trading_state == TradingState.CLOSED
    assert exchange.machine.state.trading_day.next_phase == (ns("2026-03-09 11:00:00"), 3)
    assert exchange.tick("2026-03-07 21:00:00", calendar) == []


def test_a_cluster_that_was_down_over_the_end_of_a_day_is_at_once_where_the_day_is():
    exchange, calendar = Exchange(), days()
    exchange.tick("2026-03-02 15:00:00", calendar)
    assert exchange.trading_state == TradingState.TRADING
    assert exchange.tick("2026-03-04 15:00:00", calendar) == [20260304]
    assert exchange.trading_state == TradingState.TRADING
    assert exchange.machine.state.trading_day.date == 20260304


def test_a_changed_configuration_holds_from_the_next_day_that_has_not_begun():
    exchange, calendar = Exchange(), days()
    later = days(phases=(Phase(time(10), TradingState.TRADING), PHASES[-1]))
    exchange.tick("2026-03-02 11:59:00", calendar)
    assert exchange.tick("2026-03-02 11:59:30", later) == [20260302]
    assert exchange.tick("2026-03-02 11:59:31", later) == []
    exchange.tick("2026-03-02 15:00:00", later)
    assert exchange.trading_state == TradingState.TRADING
    assert exchange.tick("2026-03-02 15:00:01", calendar) == []
    assert exchange.tick("2026-03-02 21:00:00", calendar) == [20260303]


def test_a_day_that_an_operator_ended_does_not_come_again():
    exchange, calendar = Exchange(), days()
    exchange.tick("2026-03-02 15:00:00", calendar)
    exchange.machine.apply((32,), ns("2026-03-02 15:00:01"))
    assert exchange.tick("2026-03-02 15:00:02", calendar) == [20260303]
    assert exchange.trading_state == TradingState.CLOSED
    assert exchange.tick("2026-03-02 15:00:03", calendar) == []
    assert exchange.trading_state == TradingState.CLOSED
    assert exchange.tick("2026-03-02 21:00:00", calendar) == []
    exchange.tick("2026-03-03 15:00:00", calendar)
    assert exchange.trading_state == TradingState.TRADING
