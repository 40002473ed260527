"""The keys of the price levels of one side, sorted.

Prices come and go where the market is, and many levels have but one order, so keys are added and
removed nearly as often as orders. In a list of some hundred integers, one block of memory, bisect
does that in a tenth of a microsecond; a SortedList takes ten times as long and touches a dozen
objects. But in a list of hundreds of thousands each new key moves those behind it, and whoever
enters orders at so many prices must not make everybody wait. So a list has the first keys,
NEAR_MAX at most, and a SortedList those behind them, where there are any.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from typing import Final

from sortedcontainers import SortedList

NEAR_MAX: Final = 512
_KEPT: Final = NEAR_MAX // 2
_TOO_FEW: Final = NEAR_MAX // 8
"""When the list is full all but _KEPT keys leave it; when _TOO_FEW are left it is filled up to
_KEPT: between two such moves lie hundreds of keys that come or go."""


class LevelKeys:
    """Keys in rising order, each once. `near` has the first of them, and all unless there are many:
    it is empty only when there are none."""

    __slots__ = ("_far", "near")

    def __init__(self) -> None:
        self.near: list[int] = []
        self._far: SortedList[int] | None = None

    def add(self, key: int) -> None:
        """Add a key that is not here."""
        near, far = self.near, self._far
        if far is not None and key > near[-1]:
            far.add(key)
            return
        insort(near, key)
        if len(near) > NEAR_MAX:
            if far is None:
                self._far = far = SortedList()
            far.update(near[_KEPT:])
            del near[_KEPT:]

    def remove(self, key: int) -> None:
        """Remove a key that is here."""
        near, far = self.near, self._far
        place = bisect_left(near, key)
        if place < len(near):
            assert near[place] == key, f"{key} is no key"
            del near[place]
        else:
            assert far is not None, f"{key} is no key"
            far.remove(key)
        if far is not None and len(near) < _TOO_FEW:
            self._fill_up(far)

    def after(self, key: int) -> int | None:
        """The first key above `key`, which need not be here; None when there is none."""
        near, far = self.near, self._far
        place = bisect_right(near, key)
        if place < len(near):
            return near[place]
        return None if far is None else next(far.irange(key, inclusive=(False, False)), None)

    def __iter__(self) -> Iterator[int]:
        yield from self.near
        if self._far is not None:
            yield from self._far

    def __len__(self) -> int:
        return len(self.near) + (0 if self._far is None else len(self._far))

    def check_invariants(self) -> None:
        """Assert that all keys are in order."""
        keys = list(self)
        assert keys == sorted(set(keys)), f"levels out of order: {keys}"
        assert len(self.near) <= NEAR_MAX, f"{len(self.near)} keys are near"
        assert self._far is None or self.near, "keys are far, and none is near"

    def _fill_up(self, far: SortedList[int]) -> None:
        moved = list(islice(far, _KEPT - len(self.near)))
        self.near += moved
        if len(moved) < len(far):
            del far[: len(moved)]
        else:
            self._far = None
