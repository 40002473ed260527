"""The clocks of the stages, read before a load and after it."""

from __future__ import annotations

from exchange.bench.stages import Sum


def test_a_stage_is_what_a_clock_has_added_since() -> None:
    assert Sum(10, 5_000.0).since(Sum(4, 2_000.0)) == Sum(6, 3_000.0)
    assert Sum(6, 3_000.0).mean_us == 500.0


def test_a_clock_that_has_begun_anew_counts_from_there() -> None:
    assert Sum(3, 900.0).since(Sum(10, 5_000.0)) == Sum(3, 900.0)


def test_a_clock_that_has_timed_nothing_says_nothing() -> None:
    assert Sum(4, 800.0).since(Sum(4, 800.0)).mean_us == 0.0
