"""Drives the sessions of a load: a window of unanswered requests each, or a rate whatever comes.

No event loop: sockets and select(), whose time-out is exact to a microsecond, where that of an
event loop is a millisecond.
"""

from __future__ import annotations

import select
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Final

from exchange.bench.session import LoadSession

NS_PER_S: Final = 1_000_000_000
TICK_NS: Final = 500_000
"""At a rate, requests are due in groups, one group per tick."""
_LONGEST_WAIT_NS: Final = 50_000_000
_IDLE_NS: Final = NS_PER_S
_SETTLE_TIMEOUT_NS: Final = 20 * NS_PER_S


class Schedule:
    """When requests are due at a rate. Request n of session i of N is number n * N + i of all."""

    def __init__(self, per_s: int, sessions: int, start_ns: int) -> None:
        self._per_s = per_s
        self._sessions = sessions
        self._start_ns = start_ns

    def due(self, now_ns: int) -> int:
        """How many requests of all sessions are due by now."""
        ticks = (now_ns - self._start_ns) // TICK_NS
        return ticks * TICK_NS * self._per_s // NS_PER_S + 1 if ticks >= 0 else 0

    def due_of(self, session: int, due: int) -> int:
        """How many of the first `due` requests are this session's (from 0)."""
        return (due - session + self._sessions - 1) // self._sessions

    def due_ns(self, number: int) -> int:
        """When request `number` of all (from 0) is due: the first tick that is late enough."""
        ticks = -(-number * NS_PER_S // (self._per_s * TICK_NS))
        return self._start_ns + ticks * TICK_NS

    def times_ns(self, session: int, count: int) -> array[int]:
        """When the first `count` requests of a session were due."""
        return array("q", [self.due_ns(n * self._sessions + session) for n in range(count)])


class Driver:
    """Sends and receives for several sessions, in the thread that calls."""

    def __init__(self, sessions: Sequence[LoadSession]) -> None:
        self.sessions = sessions
        self.lags_ns = array("q")
        """At a rate: how late the first request of each group left. Large values mean that this
        process got no CPU, or that the exchange did not read."""

    def closed(self, window: int, until: Callable[[], bool]) -> None:
        """Keep `window` requests of each session unanswered until `until()`. Raises LoadError."""
        for session in self.sessions:
            self._send_now(session, window)
        while not until():
            for session, answered in self._exchange(_LONGEST_WAIT_NS):
                self._send_now(session, answered)

    @staticmethod
    def _send_now(session: LoadSession, count: int) -> None:
        now_ns = time.perf_counter_ns()
        session.sent_ns.extend([now_ns] * session.send(count))

    def opened(self, per_s: int, until_ns: int) -> None:
        """Send `per_s` requests a second, whatever is answered, until then. `sent_ns` becomes when
        they were due, so a request that could not leave in time has waited. Raises LoadError."""
        schedule = Schedule(per_s, len(self.sessions), time.perf_counter_ns() + TICK_NS)
        while (now_ns := time.perf_counter_ns()) < until_ns:
            due = schedule.due(now_ns)
            self._send_due(schedule, due, now_ns)
            wait_ns = schedule.due_ns(due) - time.perf_counter_ns()
            self._exchange(min(wait_ns, until_ns - now_ns))
        for number, session in enumerate(self.sessions):
            session.sent_ns = schedule.times_ns(number, session.sent)

    def _send_due(self, schedule: Schedule, due: int, now_ns: int) -> None:
        first_unsent: int | None = None
        for number, session in enumerate(self.sessions):
            missing = schedule.due_of(number, due) - session.sent
            if missing <= 0:
                continue
            oldest = session.sent * len(self.sessions) + number
            first_unsent = oldest if first_unsent is None else min(first_unsent, oldest)
            if session.may_send:
                session.send(missing)
        if first_unsent is not None:
            self.lags_ns.append(now_ns - schedule.due_ns(first_unsent))

    def settle(self, timeout_s: float) -> bool:
        """Send nothing more, and wait until everybody has heard all; False when that took too long.
        Raises LoadError."""
        deadline_ns = time.perf_counter_ns() + int(timeout_s * NS_PER_S)
        while any(session.answered < session.sent for session in self.sessions):
            self._exchange(_LONGEST_WAIT_NS)
            if time.perf_counter_ns() > deadline_ns:
                return False
        # Twice: what a session's last request did to the orders of another is told there.
        return all(self._ask_all() for _ in range(2))

    def _ask_all(self) -> bool:
        for session in self.sessions:
            session.ask_whether_that_is_all()
        deadline_ns = time.perf_counter_ns() + _SETTLE_TIMEOUT_NS
        while not all(session.has_heard_all for session in self.sessions):
            self._exchange(_LONGEST_WAIT_NS)
            if time.perf_counter_ns() > deadline_ns:
                return False
        return True

    def _exchange(self, wait_ns: int) -> list[tuple[LoadSession, int]]:
        """Wait for sockets that have or take something, so long at most; returns who got how many
        answers."""
        full = [session for session in self.sessions if session.wants_to_write]
        wait_s = max(0, min(wait_ns, _LONGEST_WAIT_NS)) / NS_PER_S
        readable, writable, _ = select.select(self.sessions, full, (), wait_s)
        for session in writable:
            session.flush()
        answers = [(session, session.receive()) for session in readable]
        if not readable:
            now_ns = time.perf_counter_ns()
            for session in self.sessions:
                session.stay_alive(now_ns, _IDLE_NS)
        return answers
