"""Sorted keys against a sorted list, with so many that most of them are far."""

from __future__ import annotations

import random
from bisect import insort

import pytest

from matching.level_keys import NEAR_MAX, LevelKeys


@pytest.mark.parametrize("seed", range(5))
def test_keys_are_those_of_a_sorted_list(seed):
    chooser = random.Random(seed)
    keys, known = LevelKeys(), []
    for step in range(12_000):
        target = 3 * NEAR_MAX * (1 - step % 4_000 / 3_999)  # up at once, then down to nothing
        if known and len(known) > target:
            place = min(chooser.randrange(len(known)) for _ in range(3))
            keys.remove(known.pop(place))
        else:
            key = chooser.randrange(-1_000_000, 1_000_000)
            if key not in known:
                insort(known, key)
                keys.add(key)
        assert len(keys) == len(known)
        assert keys.near == known[: len(keys.near)]
        between = chooser.randrange(-1_000_000, 1_000_000)
        assert keys.after(between) == next((key for key in known if key > between), None)
        if step % 50 == 0:
            keys.check_invariants()
            assert list(keys) == known


def test_a_key_that_is_not_here_cannot_be_removed():
    keys = LevelKeys()
    keys.add(7)
    for key in (6, 8):
        with pytest.raises(AssertionError, match=f"{key} is no key"):
            keys.remove(key)


def test_the_list_stays_short():
    keys = LevelKeys()
    for key in range(10 * NEAR_MAX):
        keys.add(-key)
        assert len(keys.near) <= NEAR_MAX
    assert list(keys) == sorted(keys)
    for key in range(10 * NEAR_MAX):
        keys.remove(-key)
    assert list(keys) == []
