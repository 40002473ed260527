"""The trading days of a configuration: which there are, and when their phases begin.

Local times become absolute ones here, in the process that leads, with the time zone database that
this machine has: the log has the result, so all nodes agree. Times that a change of the clocks
skips or repeats: gateway/fix/schedule.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta, tzinfo
from typing import NamedTuple

from gateway.fix.schedule import local_date, local_time_ns
from oms.commands import Command, CommandKind, ScheduleTradingDay
from oms.events import TradingState
from oms.state import ExchangeState

_DAY = timedelta(days=1)
_DAYS_AHEAD_MAX = 366
"""A calendar without a trading day for so long has none."""


class Phase(NamedTuple):
    """A part of the day: when it begins, local time, and the TradingState of what trades in it."""

    begins: time
    trading_state: TradingState


class TradingDays:
    """A calendar. `phases` in the order of the day, the last one CLOSED; `weekdays` as
    date.weekday() counts them; `holidays` are no trading days."""

    def __init__(
        self,
        phases: Sequence[Phase],
        zone: tzinfo,
        weekdays: frozenset[int],
        holidays: frozenset[date],
    ) -> None:
        self._phases = tuple(phases)
        self._zone = zone
        self._weekdays = weekdays
        self._holidays = holidays

    def schedule_at(self, now_ns: int, after: int = 0) -> ScheduleTradingDay | None:
        """The day that is now, unless it is over, or else the next one; `after` is a date as
        YYYYMMDD that it must be after. None when there is none."""
        day = local_date(now_ns, self._zone)
        for _ in range(_DAYS_AHEAD_MAX):
            if day.weekday() in self._weekdays and day not in self._holidays:
                schedule = self._schedule_of(day)
                if schedule.date > after and schedule.phases[-1][0] > now_ns:
                    return schedule
            day += _DAY
        return None

    def _schedule_of(self, day: date) -> ScheduleTradingDay:
        phases: list[tuple[int, int]] = []
        begins_ns = 0
        for phase in self._phases:
            # The clocks may be put forward between two phases, past the second one.
            begins_ns = max(begins_ns, local_time_ns(day, phase.begins, self._zone))
            phases.append((begins_ns, int(phase.trading_state)))
        number = day.year * 10_000 + day.month * 100 + day.day
        return ScheduleTradingDay(CommandKind.SCHEDULE_TRADING_DAY, number, tuple(phases))

    def upkeep(self, state: ExchangeState, now_ns: int) -> list[Command]:
        """The schedule of the day that is now or comes next, unless the exchange has it, or has to
        bring another one to its end (cluster.interface.Upkeep)."""
        known = state.trading_day
        if known.is_running and known.phases[-1][0] > now_ns:
            return []
        schedule = self.schedule_at(now_ns, after=known.last_date)
        if schedule is None or (schedule.date, schedule.phases) == (known.date, known.phases):
            return []
        return [schedule]
