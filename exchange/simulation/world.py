"""Virtual time: a heap of calls that are due, and one source of randomness."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from cluster.journal import FlushJob, Journal
from cluster.runtime import FlushDone

Callback = Callable[[], None]

EPOCH_NS = 1_800_000_000_000_000_000
"""Wall clock at virtual time 0."""
_TRACE_LINES = 2_000


class Violation(BaseException):
    """The system did what it must never do. No handler of the code under test may catch it."""


class Call:
    """A call that is due at some time; cancel() makes it nothing. With a `life` it is a call of
    that process: not made once it is dead, made later while it is paused."""

    __slots__ = ("arguments", "callback", "life")

    def __init__(
        self, callback: Callable[..., None], arguments: tuple[Any, ...], life: Life | None
    ) -> None:
        self.callback: Callable[..., None] | None = callback
        self.arguments = arguments
        self.life = life

    def cancel(self) -> None:
        """Do not call it."""
        self.callback = None

    def make(self) -> None:
        """Call it, unless it was cancelled."""
        if self.callback is not None:
            self.callback(*self.arguments)


class World:
    """The clock, and everything that is going to happen. One Random for everything."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.busy_s = 0.0
        """For how long the call that is being made has kept its process busy so far."""
        self.steps = 0
        self.statistics: dict[str, int] = {}
        self._trace: deque[tuple[float, str, tuple[Any, ...]]] = deque(maxlen=_TRACE_LINES)
        self._calls: list[tuple[float, int, Call]] = []
        self._count = 0

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now_s + self.busy_s

    def after(
        self,
        delay_s: float,
        callback: Callable[..., None],
        *arguments: Any,
        life: Life | None = None,
    ) -> Call:
        """Call after a delay; calls of the same time happen in the order of asking."""
        self._count += 1
        call = Call(callback, arguments, life)
        heapq.heappush(self._calls, (self.now_s + self.busy_s + delay_s, self._count, call))
        return call

    def run_until(self, end_s: float, done: Callable[[], bool] | None = None) -> None:
        """Let everything happen that is due up to a time, or until `done()` after a step."""
        calls, pop = self._calls, heapq.heappop
        while calls and calls[0][0] <= end_s:
            self.now_s, _, call = pop(calls)
            if call.callback is None:
                continue
            self.begin_step()
            life = call.life
            if life is None:
                call.callback(*call.arguments)
            elif life.alive:
                if life.is_paused:
                    life.defer(call)
                else:
                    call.callback(*call.arguments)
            if done is not None and done():
                return
        self.busy_s = 0.0
        self.now_s = max(self.now_s, end_s)

    def begin_step(self) -> None:
        """Another call is made."""
        self.steps += 1
        self.busy_s = 0.0

    def note(self, text: str, *values: Any) -> None:
        """One line of the trace that a failing seed prints: text % values, formatted only then."""
        self._trace.append((self.now_s, text, values))

    @property
    def trace(self) -> list[str]:
        """The last notes, with their times."""
        return [f"{at_s:9.4f} s  {text % values}" for at_s, text, values in self._trace]

    def count(self, what: str, number: int = 1) -> None:
        """Statistics: a run in which nothing happened must be seen."""
        self.statistics[what] = self.statistics.get(what, 0) + number


class Life:
    """One life of a process, from start to crash: what is due in it dies with it, and waits while
    it is paused. Implements the time part of cluster.runtime.Runtime."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.alive = True
        self.is_paused = False
        self._paused_until_s = 0.0
        self._deferred: deque[Call] = deque()
        self.time = world.time

    def end(self) -> None:
        """The process is gone."""
        self.alive = False

    def pause(self, seconds: float) -> None:
        """The process does not run for a while (SIGSTOP, a stolen CPU)."""
        self._paused_until_s = max(self._paused_until_s, self._world.now_s + seconds)
        if not self.is_paused:
            self.is_paused = True
            self._world.after(self._paused_until_s - self._world.now_s, self._resume)

    def be_busy(self, seconds: float) -> None:
        """The call that is being made takes so long: nothing else runs meanwhile, and what it does
        from here on it does later."""
        self.pause(self._world.busy_s + seconds)
        self._world.busy_s += seconds

    def defer(self, call: Call) -> None:
        """Keep a call that came due during a pause."""
        self._deferred.append(call)

    def run(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call now, as this process would be called: not at all once dead, later while paused."""
        if self.is_paused:
            self._deferred.append(Call(callback, arguments, self))
        elif self.alive:
            callback(*arguments)

    def _resume(self) -> None:
        """Catch up with everything that was due meanwhile, in its order."""
        if self.alive and self._world.now_s < self._paused_until_s:
            self._world.after(self._paused_until_s - self._world.now_s, self._resume)
            return
        while self._deferred and self.alive and self._world.now_s >= self._paused_until_s:
            self._world.begin_step()
            self._deferred.popleft().make()
        if self.alive and self._world.now_s < self._paused_until_s:  # one of them took long
            self._world.busy_s = 0.0
            self._world.after(self._paused_until_s - self._world.now_s, self._resume)
            return
        self.is_paused = False

    def call_soon(self, callback: Callback) -> Call:
        """On the next turn of the loop."""
        return self._world.after(0.0, callback, life=self)

    def call_later(self, delay_s: float, callback: Callback) -> Call:
        """After a delay."""
        return self._world.after(delay_s, callback, life=self)


class SimulatedFlusher:
    """The disk thread: a flush takes a drawn time; its effects happen at the end of it."""

    def __init__(
        self,
        world: World,
        life: Life,
        journal: Journal,
        done: FlushDone,
        latency_s: Callable[[], float],
        hangs: Callable[[], bool],
        flushed: Callable[[FlushJob], None],
    ) -> None:
        """`flushed(job)` is called when it is on the disk, before the process knows."""
        self._world = world
        self._life = life
        self._journal = journal
        self._done = done
        self._latency_s = latency_s
        self._hangs = hangs
        self._flushed = flushed
        self.running: FlushJob | None = None
        self.unfinished: FlushJob | None = None
        """A job of which any part may be on the disk: the running one, or one that failed."""

    def submit(self, job: FlushJob) -> None:
        """Write and sync later, then tell."""
        self.running = self.unfinished = job
        self._world.after(self._latency_s(), self._finish)

    def _finish(self) -> None:
        # The disk goes on while the process is paused, and ends with its life.
        job = self.running
        if not self._life.alive or job is None:
            return
        if self._hangs():
            self._world.after(0.05, self._finish)
            return
        self.running = None
        error: BaseException | None = None
        try:
            self._journal.flush_run(job)
        except Exception as raised:
            error = raised
        else:
            self.unfinished = None
            self._flushed(job)
        self._world.after(0.0, self._done, job, error, life=self._life)

    def close(self) -> None:
        """Nothing more will be written."""
        self.running = None
