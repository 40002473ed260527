"""Every name that a session has used on this day, and what each stands for.

A day has millions of names. A dict of millions stands still now and then: whenever it has become
full it is copied into a larger one, 0.06 s for 700,000 names, 0.25 s for 5,600,000. Names come in
the same order on every node, so all nodes would stand still together, and nobody would be there to
match, or to lead. So the names are spread over many small dicts, which become full one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from oms.order_state import Order

NAMES_NO_ORDER: Final = 0
"""Stands for a name that is used up but names no order: that of a cancel request, of a rejected
request, or one that an accepted replace has superseded. (No closed order has the OrdStatus 0.)"""

SHARDS: Final = 256
"""Of 10,000,000 names each dict has 39,000, which are copied in 2 ms. A power of two."""

LAST_SHARD: Final = SHARDS - 1


class Names:
    """Names in the order of first use. None is ever forgotten.

    A name stands for its Order while that is live or still remembered, else for the final OrdStatus
    of the order, or for NAMES_NO_ORDER. Which dict a name is in differs from process to process
    (hash of a str), so nothing that can be seen may follow from it: `in_order` has all names.
    """

    __slots__ = ("_digest", "_digested", "in_order", "shards")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._digested = 0
        self.in_order: list[str] = []
        self.shards: list[dict[str, Order | int]] = [{} for _ in range(SHARDS)]

    def __len__(self) -> int:
        return len(self.in_order)

    @property
    def held(self) -> int:
        """How many names the dicts hold; O(SHARDS)."""
        return sum(map(len, self.shards))

    def use(self, name: str) -> dict[str, Order | int] | None:
        """Use up a name: it stands for NAMES_NO_ORDER now. Returns the dict that it is in, to let
        it stand for something else; None, and nothing is done, when it was used before."""
        shard = self.shards[hash(name) & LAST_SHARD]
        if name in shard:
            return None
        shard[name] = NAMES_NO_ORDER
        self.in_order.append(name)
        return shard

    def is_used(self, name: str) -> bool:
        """Whether it was used before."""
        return name in self.shards[hash(name) & LAST_SHARD]

    def meaning(self, name: str) -> Order | int:
        """What a name stands for; NAMES_NO_ORDER for one that was not used either."""
        return self.shards[hash(name) & LAST_SHARD].get(name, NAMES_NO_ORDER)

    def let_stand(self, name: str, meaning: Order | int) -> None:
        """Let a name stand for something else, and use it up if it was not."""
        shard = self.shards[hash(name) & LAST_SHARD]
        if name not in shard:
            self.in_order.append(name)
        shard[name] = meaning

    def meanings(self) -> Iterator[Order | int]:
        """Yield what the names stand for, in the order of first use."""
        shards = self.shards
        for name in self.in_order:
            yield shards[hash(name) & LAST_SHARD][name]

    def digest(self) -> str:
        """Return a SHA-256 of every name in the order of first use, in hexadecimal.

        Each is hashed once and the next call goes on from there: a day has millions of them, and
        the state hash is taken while orders wait. Where the calls fell makes no difference to the
        result.
        """
        new_names = self.in_order[self._digested :]
        self._digested += len(new_names)
        self._digest.update("".join(f"{name!a}," for name in new_names).encode("ascii"))
        return self._digest.hexdigest()

    def restore(self, names: Sequence[str], meanings: Sequence[Order | int]) -> None:
        """Add names that were used after those that are here, all of them different."""
        shards = self.shards
        for place, name, meaning in zip(map(hash, names), names, meanings, strict=True):
            shards[place & LAST_SHARD][name] = meaning
        self.in_order += names

    def check_invariants(self) -> None:
        """Raise AssertionError unless each name is in its dict, once."""
        assert self.held == len(self), f"{self.held} names are held, {len(self)} were used"
        for place, shard in enumerate(self.shards):
            for name in shard:
                assert hash(name) & LAST_SHARD == place, f"{name} is in the dict {place}"
