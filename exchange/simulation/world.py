"""Virtual time: a heap of calls that are due, and one source of randomness."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from cluster.journal import FlushJob, Journal
from cluster.runtime import FlushDone

Callback = Callable[[], None]

EPOCH_NS = 1_800_000_000_000_000_000
"""Wall clock at virtual time 0."""


class Violation(BaseException):
    """The system did what it must never do. No handler of the code under test may catch it."""


class Call:
    """A call that is due at some time; cancel() makes it nothing."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Do not call it."""
        self.callback = None


class World:
    """The clock, and everything that is going to happen. One Random for everything."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now_s = 0.0
        self.steps = 0
        self.trace: list[str] = []
        self.statistics: dict[str, int] = {}
        self._calls: list[tuple[float, int, Call]] = []
        self._count = 0

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now_s

    def after(self, delay_s: float, callback: Callback) -> Call:
        """Call after a delay; calls of the same time happen in the order of asking."""
        self._count += 1
        call = Call(callback)
        heapq.heappush(self._calls, (self.now_s + delay_s, self._count, call))
        return call

    def run_until(self, end_s: float, check: Callback | None = None) -> None:
        """Let everything happen that is due up to a time; `check` after each step."""
        calls = self._calls
        while calls and calls[0][0] <= end_s:
            due_s, _, call = heapq.heappop(calls)
            self.now_s = max(self.now_s, due_s)
            if call.callback is not None:
                self.steps += 1
                call.callback()
                if check is not None:
                    check()
        self.now_s = max(self.now_s, end_s)

    def note(self, text: str) -> None:
        """One line of the trace that a failing seed prints."""
        self.trace.append(f"{self.now_s:9.4f} s  {text}")
        if len(self.trace) > 2_000:
            del self.trace[:1_000]

    def count(self, what: str, number: int = 1) -> None:
        """Statistics: a run in which nothing happened must be seen."""
        self.statistics[what] = self.statistics.get(what, 0) + number


class Life:
    """One life of a process, from start to crash: what is due in it dies with it, and waits while
    it is paused. Implements the time part of cluster.runtime.Runtime."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.alive = True
        self._paused_until_s = 0.0
        self._deferred: list[Callback] = []
        self.time = world.time

    def end(self) -> None:
        """The process is gone."""
        self.alive = False

    def pause(self, seconds: float) -> None:
        """The process does not run for a while (SIGSTOP, a stolen CPU)."""
        self._paused_until_s = max(self._paused_until_s, self._world.now_s + seconds)

    def guarded(self, callback: Callback) -> Callback:
        """The call as this process would see it: not at all once dead, later while paused."""

        def run() -> None:
            if not self.alive:
                return
            if self._deferred or self._world.now_s < self._paused_until_s:
                if not self._deferred:
                    self._world.after(self._paused_until_s - self._world.now_s, self._resume)
                self._deferred.append(callback)
                return
            callback()

        return run

    def _resume(self) -> None:
        """Catch up with everything that was due meanwhile, in its order."""
        if self.alive and self._world.now_s < self._paused_until_s:
            self._world.after(self._paused_until_s - self._world.now_s, self._resume)
            return
        deferred, self._deferred = self._deferred, []
        for callback in deferred:
            if self.alive:
                callback()

    def call_soon(self, callback: Callback) -> object:
        """On the next turn of the loop."""
        return self._world.after(0.0, self.guarded(callback))

    def call_later(self, delay_s: float, callback: Callback) -> Call:
        """After a delay."""
        return self._world.after(delay_s, self.guarded(callback))


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
        flushed: Callable[[int], None],
    ) -> None:
        self._world = world
        self._life = life
        self._journal = journal
        self._done = done
        self._latency_s = latency_s
        self._hangs = hangs
        self._flushed = flushed
        self.running: FlushJob | None = None

    def submit(self, job: FlushJob) -> None:
        """Write and sync later, then tell."""
        self.running = job
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
            self._flushed(job.durable_index)
        self._world.after(0.0, self._life.guarded(lambda: self._done(job, error)))

    def close(self) -> None:
        """Nothing more will be written."""
        self.running = None
