"""Sorted keys against a sorted list, with so few near ones that many are far."""

from __future__ import annotations

import random

import pytest

from matching import level_keys
from matching.level_keys import NEAR_MAX, LevelKeys


@pytest.mark.parametrize("seed", range(20))
def test_keys_are_those_of_a_sorted_list(seed, monkeypatch):
    monkeypatch.setattr(level_keys, "NEAR_MAX", 16)
    monkeypatch.setattr(level_keys, "_KEPT", 8)
    monkeypatch.setattr(level_keys, "_TOO_FEW", 2)
    chooser = random.Random(seed)
    keys, known = LevelKeys(), []
    for step in range(1_500):
        target = 100 * (1 - step % 500 / 499)  # up at once, then down to nothing
        if known and len(known) > target:
            place = min(chooser.randrange(len(known)), chooser.randrange(len(known)))
            keys.remove(known.pop(place))
        else:
            key = chooser.randrange(-1_000, 1_000)
            if key not in known:
                known = sorted([*known, key])
                keys.add(key)
        keys.check_invariants()
        assert list(keys) == known
        assert len(keys) == len(known)
        between = chooser.randrange(-1_100, 1_100)
        assert keys.after(between) == next((key for key in known if key > between), None)


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
