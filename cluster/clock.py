"""The leader's clock: time passes in the log although nobody trades.

Only the leader has one that runs, so there is one, and it stands for as long as nobody leads. What
it brings into the log says no more than that it is now as late as the entry says: a leader that
begins may say so at once, whatever the one before has said.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.runtime import Runtime, Timer

_NS_PER_MS = 1_000_000


class LeaderClock:
    """Calls `tick` when it is started, and then whenever the wall clock comes to a multiple of the
    interval: what is to happen at a full second does, and all nodes agree on when that is."""

    def __init__(
        self,
        runtime: Runtime,
        wall_clock_ns: Callable[[], int],
        interval_ms: int,
        tick: Callable[[], None],
    ) -> None:
        """`interval_ms` 0: the clock stands still."""
        self._runtime = runtime
        self._wall_clock_ns = wall_clock_ns
        self._interval_ns = interval_ms * _NS_PER_MS
        self._tick = tick
        self._timer: Timer | None = None
        self._next_ns = 0

    def start(self) -> None:
        """Tick now, and go on until stop()."""
        if self._interval_ns:
            self.stop()
            self._tick()
            self._set_timer()

    def stop(self) -> None:
        """Tick no more. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        now_ns = self._wall_clock_ns()
        self._next_ns = (now_ns // self._interval_ns + 1) * self._interval_ns
        self._timer = self._runtime.call_later((self._next_ns - now_ns) / 1e9, self._on_timer)

    def _on_timer(self) -> None:
        # A timer may be early by the grain of its clock; the tick must not be.
        missing_ns = self._next_ns - self._wall_clock_ns()
        if 0 < missing_ns <= self._interval_ns:
            self._timer = self._runtime.call_later(missing_ns / 1e9, self._on_timer)
            return
        self._tick()
        self._set_timer()
