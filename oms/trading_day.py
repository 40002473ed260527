"""The schedule of one trading day, as the log has it: phases, and when each of them begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from oms.events import TradingState

PHASES_MAX: Final = 100
"""Phases of one day, at most."""

_NO_PHASES: Final = (TradingState.HALTED, TradingState.EMERGENCY_CLOSED)
_PHASES: Final = frozenset(int(state) for state in TradingState if state not in _NO_PHASES)
_END: Final = int(TradingState.CLOSED)


class TradingDay:
    """The day that is scheduled, has begun, or ended last; its phases, and how many have begun.

    `date` is YYYYMMDD as a number, 0 before the first schedule; `date_before` is that of the day
    before which has begun, too, 0 if there was none. A phase is (when it begins in ns
    since the epoch, the TradingState that instruments are put into); the last one is CLOSED, ends
    the day, and is the only such.
    """

    __slots__ = ("begun", "date", "date_before", "phases")

    def __init__(
        self,
        date: int = 0,
        phases: Sequence[Sequence[int]] = (),
        begun: int = 0,
        date_before: int = 0,
    ) -> None:
        """Raises AssertionError for phases that cannot be: whoever reads a configuration must not
        let them into the log."""
        self.date = date
        self.phases = tuple((time_ns, trading_state) for time_ns, trading_state in phases)
        self.begun = begun
        self.date_before = date_before
        times = [time_ns for time_ns, _ in self.phases]
        states = [trading_state for _, trading_state in self.phases]
        assert times == sorted(times), f"phases of {date} are out of order: {times}"
        assert states.count(_END) == bool(states), f"day {date} ends {states.count(_END)} times"
        assert states[-1:] in ([], [_END]), f"day {date} goes on after its end"
        assert _PHASES.issuperset(states), f"phases of {date} are unknown: {states}"
        assert 0 <= begun <= len(states) <= PHASES_MAX, f"phase {begun} of {len(states)}"

    @property
    def is_running(self) -> bool:
        """Whether the day has begun and is not over."""
        return 0 < self.begun < len(self.phases)

    @property
    def is_scheduled(self) -> bool:
        """Whether the schedule has a phase to come."""
        return self.begun < len(self.phases)

    @property
    def last_date(self) -> int:
        """Of the last day that has begun, 0 if none has: neither it nor a day before it comes."""
        return self.date if self.begun else self.date_before

    @property
    def phase(self) -> int | None:
        """TradingState of the phase that the day is in; None when it is not running."""
        return self.phases[self.begun - 1][1] if self.is_running else None

    @property
    def next_phase(self) -> tuple[int, int] | None:
        """The phase that comes next; None when there is none."""
        return self.phases[self.begun] if self.is_scheduled else None

    def take_due(self, now_ns: int) -> tuple[int, int] | None:
        """Begin the next phase if it is time for it, and return it."""
        if self.begun == len(self.phases) or self.phases[self.begun][0] > now_ns:
            return None
        self.begun += 1
        return self.phases[self.begun - 1]

    def end(self) -> None:
        """End the day before its time; one that has not begun stays scheduled."""
        if self.begun:
            self.begun = len(self.phases)

    def gives_way_to(self, date: int) -> bool:
        """Whether a schedule for `date` may take the place of this one: a day that has begun goes
        on as it is to its end, and never comes again."""
        return not self.is_running and date > self.last_date

    def values(self) -> tuple[int, tuple[tuple[int, int], ...], int, int]:
        """What __init__ takes."""
        return self.date, self.phases, self.begun, self.date_before
