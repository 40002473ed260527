"""The token bucket of a session, against a count of what was let through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.fix.rate_limit import RateLimit
from protocols.fix import NS_PER_SECOND

START_NS = 1_704_187_800 * NS_PER_SECOND


def test_without_a_limit_everything_is_let_through():
    limit = RateLimit(0)
    assert all(limit.take(START_NS) for _ in range(10_000))
    assert not limit.is_abused


@given(st.integers(1, 50), st.lists(st.integers(0, NS_PER_SECOND // 3), max_size=300))
def test_no_second_has_more_than_twice_the_limit_and_no_stretch_more_than_its_share(per_s, gaps_ns):
    limit = RateLimit(per_s)
    now_ns = START_NS
    taken = []
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        if limit.take(now_ns):
            taken.append(now_ns)
    for first, since_ns in enumerate(taken):
        for count, until_ns in enumerate(taken[first:], 1):
            # A full bucket, and what has run in since.
            assert (count - per_s) * NS_PER_SECOND <= (until_ns - since_ns) * per_s


def test_who_keeps_to_the_limit_is_never_refused():
    limit = RateLimit(7)
    for second in range(20):
        assert all(limit.take(START_NS + second * NS_PER_SECOND) for _ in range(7))
    assert not limit.take(START_NS + 19 * NS_PER_SECOND)


def test_as_many_again_within_a_second_are_borne_and_one_more_is_abuse():
    limit = RateLimit(3)
    assert [limit.take(START_NS) for _ in range(6)] == [True] * 3 + [False] * 3
    assert not limit.is_abused
    limit.take(START_NS)
    assert limit.is_abused


def test_refusals_of_an_earlier_second_are_forgiven():
    limit = RateLimit(2)
    for second in range(5):
        results = [limit.take(START_NS + second * NS_PER_SECOND) for _ in range(4)]
        assert results == [True, True, False, False]
        assert not limit.is_abused


def test_a_clock_that_is_set_back_neither_gives_nor_takes():
    limit = RateLimit(1)
    assert limit.take(START_NS)
    assert not limit.take(START_NS - 3_600 * NS_PER_SECOND)
    assert limit.take(START_NS - 3_599 * NS_PER_SECOND)
