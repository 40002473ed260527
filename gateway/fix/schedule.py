"""When sessions are open, and when a trading period begins: times of day in a time zone.

A time that a change of the clocks skips counts as if they had not been changed yet, one that comes
twice counts when it comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from protocols.fix import NS_PER_SECOND, format_utc_timestamp

_DAY = timedelta(days=1)
_MIDNIGHT = time(0)


def local_time_ns(day: date, moment: time, zone: tzinfo) -> int:
    """When it is `moment` on `day` in `zone`, in ns since the epoch."""
    return int(datetime.combine(day, moment, zone).timestamp()) * NS_PER_SECOND


def local_date(now_ns: int, zone: tzinfo) -> date:
    """The date in `zone` at a time in ns since the epoch."""
    return datetime.fromtimestamp(now_ns // NS_PER_SECOND, zone).date()


class Period(NamedTuple):
    """A trading period and the closed time behind it; ns since the epoch, the ends exclusive."""

    start_ns: int
    end_ns: int
    next_start_ns: int


@dataclass(frozen=True, slots=True)
class SessionSchedule:
    """The hours of all sessions, every day of the week. Start and end alike: around the clock."""

    start: time = _MIDNIGHT
    end: time = _MIDNIGHT
    zone: tzinfo = UTC
    reset_daily: bool = False
    """Whether the MsgSeqNums begin again at 1 with each period."""

    def period_at(self, now_ns: int) -> Period:
        """The period that began last."""
        today = local_date(now_ns, self.zone)
        day = today if self._at(today, self.start) <= now_ns else today - _DAY
        start_ns = self._at(day, self.start)
        end_ns = self._at(day if self.end > self.start else day + _DAY, self.end)
        return Period(start_ns, end_ns, self._at(day + _DAY, self.start))

    def _at(self, day: date, moment: time) -> int:
        return local_time_ns(day, moment, self.zone)

    def why_closed(self, now_ns: int) -> str | None:
        """A sentence with the hours and the next opening, None while sessions are open."""
        period = self.period_at(now_ns)
        if now_ns < period.end_ns:
            return None
        return f"{self.hours}; the next opening is at {format_utc_timestamp(period.next_start_ns)}"

    @property
    def hours(self) -> str:
        """When sessions are open, as a sentence."""
        return f"Sessions are open from {self.start} to {self.end} ({self.zone})"
