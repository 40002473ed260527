"""The leader's clock, and what it puts into the log."""

from __future__ import annotations

from collections.abc import Callable

from cluster.clock import LeaderClock

MS = 1_000_000
START_NS = 1_700_000_000_400_000_000  # 0.4 s after a full second


class FakeTimer:
    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTime:
    """Wall clock and timers; `early_ns` is how much too early a timer comes."""

    def __init__(self, early_ns: int = 0) -> None:
        self.now_ns = START_NS
        self.early_ns = early_ns
        self.timers: list[FakeTimer] = []
        self.ticks: list[int] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        early_ns = min(self.early_ns, int(delay_s * 1e9) // 2)
        timer = FakeTimer(self.now_ns + round(delay_s * 1e9) - early_ns, callback)
        self.timers.append(timer)
        return timer

    def tick(self) -> None:
        self.ticks.append(self.now_ns - START_NS)

    def run_until(self, after_ns: int) -> None:
        while self.timers and (timer := self.timers[0]).due_ns <= START_NS + after_ns:
            self.timers.remove(timer)
            if timer.callback is not None:
                self.now_ns = max(self.now_ns, timer.due_ns)
                timer.callback()
        self.now_ns = START_NS + after_ns


def clock(time: FakeTime, interval_ms: int = 1_000) -> LeaderClock:
    return LeaderClock(time, lambda: time.now_ns, interval_ms, time.tick)  # type: ignore[arg-type]


def test_it_ticks_at_once_and_then_at_full_seconds():
    time = FakeTime()
    clock(time).start()
    time.run_until(2_700 * MS)
    assert time.ticks == [0, 600 * MS, 1_600 * MS, 2_600 * MS]


def test_a_timer_that_comes_too_early_does_not_make_the_tick_early():
    time = FakeTime(early_ns=3 * MS)
    clock(time).start()
    time.run_until(2_700 * MS)
    first, *later = time.ticks
    assert first == 0
    assert [round(tick / MS) for tick in later] == [600, 1_600, 2_600]


def test_after_a_pause_it_ticks_once_and_not_for_all_that_it_missed():
    time = FakeTime()
    clock(time).start()
    time.now_ns += 5_000 * MS
    time.run_until(6_700 * MS)
    assert time.ticks == [0, 5_000 * MS, 5_600 * MS, 6_600 * MS]


def test_a_wall_clock_that_is_put_back_does_not_stop_it():
    time = FakeTime()
    clock(time).start()
    time.now_ns -= 60_000 * MS
    time.timers[0].due_ns = time.now_ns + 600 * MS
    time.run_until(-58_000 * MS)
    assert time.ticks == [0, -59_400 * MS, -58_400 * MS]


def test_it_stands_still_when_it_is_stopped():
    time = FakeTime()
    stopped = clock(time)
    stopped.start()
    stopped.stop()
    stopped.stop()
    time.run_until(5_000 * MS)
    assert time.ticks == [0]


def test_started_twice_it_is_one_clock():
    time = FakeTime()
    twice = clock(time)
    twice.start()
    twice.start()
    time.run_until(700 * MS)
    assert time.ticks == [0, 0, 600 * MS]


def test_an_interval_of_nothing_is_no_clock():
    time = FakeTime()
    clock(time, 0).start()
    time.run_until(5_000 * MS)
    assert time.ticks == []
