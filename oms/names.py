"""Every name that a session has used on this day, and what each stands for.

A day has millions of names, so none of them may cost more than it must, and nothing that holds them
may get so large that everybody waits while it is copied: names come in the same order on every
node, so all nodes would stand still together, and nobody would be there to match, or to lead.

Numbers of a protocol that counts (OUCH) rise, so what they stand for is kept in blocks of 64, each
number in its place: 10 bytes for a number, and those that are in use at the same time stand side by
side. Names of other protocols are texts, spread over many small dicts, which become full one by
one: a dict of 5,600,000 names is copied in 0.25 s. Numbers are names too ("7", "3:7"), and a text
may look like one; wherever they are kept, a session has one set of names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from oms.order_state import Order

NAMES_NO_ORDER: Final = 0
"""Stands for a name that is used up but names no order: that of a cancel request, of a rejected
request, or one that an accepted replace has superseded. (No closed order has the OrdStatus 0.)"""

_NOT_USED: Final = -1
"""Stands in a block for a number that was not used: it was passed over, or is yet to come."""

SHARDS: Final = 256
"""Of 10,000,000 texts each dict has 39,000, which are copied in 2 ms. A power of two."""

LAST_SHARD: Final = SHARDS - 1

_BLOCK_BITS: Final = 6
_BLOCK: Final = 1 << _BLOCK_BITS
_LAST_IN_BLOCK: Final = _BLOCK - 1
"""A client that passes over many numbers with each order has a block for each, of 568 bytes."""

_PASSED_OVER_MAX: Final = 15
"""So many numbers may be passed over within a run. To go through it takes no longer by them."""

_CHANNEL_BITS: Final = 64
"""The key of a number is the number and, above so many bits, its channel."""

_LONGEST_NUMBER: Final = 41
"""Characters of the largest channel and number that a log can have (64 bits), and the colon."""


def number_name(channel: int, number: int) -> str:
    """The name (ClOrdID) of a number: of 7 it is "7" in channel 0 and "3:7" in channel 3."""
    return f"{channel}:{number}" if channel else f"{number}"


def number_of(name: str) -> tuple[int, int] | None:
    """The (channel, number) whose name this is; None for any other text."""
    if len(name) > _LONGEST_NUMBER:
        return None
    if name.isdecimal():
        channel, number = 0, int(name)
    else:
        head, _, tail = name.rpartition(":")
        if not (tail.isdecimal() and head.removeprefix("-").isdecimal()):
            return None
        channel, number = int(head), int(tail)
    # "07", "0:7" and digits of other scripts are names of no number.
    return (channel, number) if name == number_name(channel, number) else None


class NumberRun:
    """Numbers of one channel, `first` to `last`, that were used with no other name in between; some
    may have been passed over."""

    __slots__ = ("channel", "first", "last")

    def __init__(self, channel: int, first: int) -> None:
        self.channel = channel
        self.first = first
        self.last = first


class Names:
    """Names in the order of first use. None is ever forgotten.

    A name stands for its Order while that is live or still remembered, else for the final OrdStatus
    of the order, or for NAMES_NO_ORDER. Nothing that can be seen may follow from where it is kept:
    which dict a text is in differs from process to process (hash of a str), and what was a text may
    be a number when it comes back from a snapshot. `Order.number_key` tells where the name of an
    order is: the key of its number, 0 when it is a text. `_in_order` has all names: texts and runs.
    """

    __slots__ = ("_blocks", "_digest", "_digested", "_has_texts", "_in_order", "_run", "_shards")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._digested: tuple[int, int] = 0, 0
        self._in_order: list[str | NumberRun] = []
        self._run: NumberRun | None = None
        self._blocks: dict[int, list[Order | int]] = {}
        self._has_texts = False
        self._shards: list[dict[str, Order | int]] = [{} for _ in range(SHARDS)]

    def __iter__(self) -> Iterator[str]:
        """All names in the order of first use."""
        return self._names_from(0, 0)

    def __len__(self) -> int:
        """How many names were used; O(numbers)."""
        numbers = sum(_BLOCK - block.count(_NOT_USED) for block in self._blocks.values())
        return sum(map(len, self._shards)) + numbers

    # --- texts ------------------------------------------------------------------------------------

    def use(self, name: str) -> dict[str, Order | int] | None:
        """Use up a name: it stands for NAMES_NO_ORDER now. Returns the dict that it is in, to let
        it stand for something else; None, and nothing is done, when it was used before."""
        shard = self._shards[hash(name) & LAST_SHARD]
        if name in shard or (self._blocks and self._key_of(name)):
            return None
        shard[name] = NAMES_NO_ORDER
        self._in_order.append(name)
        self._has_texts = True
        self._run = None
        return shard

    def meaning(self, name: str) -> Order | int:
        """What a name stands for; NAMES_NO_ORDER for one that was not used either."""
        meaning = self._shards[hash(name) & LAST_SHARD].get(name)
        if meaning is not None:
            return meaning
        key = self._key_of(name) if self._blocks else 0
        return self._blocks[key >> _BLOCK_BITS][key & _LAST_IN_BLOCK] if key else NAMES_NO_ORDER

    def let_stand(self, name: str, meaning: Order | int) -> None:
        """Let a name that was used stand for something else."""
        key = 0
        shard = self._shards[hash(name) & LAST_SHARD]
        if name in shard:
            shard[name] = meaning
        else:
            key = self._key_of(name)
            assert key, f"the name {name} was not used"
            self._blocks[key >> _BLOCK_BITS][key & _LAST_IN_BLOCK] = meaning
        if isinstance(meaning, Order):
            meaning.number_key = key

    def is_text(self, name: str) -> bool:
        """Whether it was used and is not kept as a number."""
        return name in self._shards[hash(name) & LAST_SHARD]

    def _key_of(self, name: str) -> int:
        """The key of a name that is kept as a number; 0 for any other."""
        said = number_of(name)
        if said is None:
            return 0
        channel, number = said
        key = number | channel << _CHANNEL_BITS
        block = self._blocks.get(key >> _BLOCK_BITS)
        is_used = block is not None and block[key & _LAST_IN_BLOCK] != _NOT_USED
        return key if is_used else 0

    # --- numbers ----------------------------------------------------------------------------------

    def use_number(self, channel: int, number: int, meaning: Order | int) -> bool:
        """Use up a number that is above all that were used in its channel, and let it stand for
        something. False, and nothing is done, when a text has used its name."""
        if self._has_texts and self.is_text(number_name(channel, number)):
            return False
        run = self._run
        if run is None or run.channel != channel or number - run.last - 1 > _PASSED_OVER_MAX:
            self._run = run = NumberRun(channel, number)
            self._in_order.append(run)
        run.last = number
        key = number | channel << _CHANNEL_BITS if channel else number
        block = self._blocks.get(key >> _BLOCK_BITS)
        if block is None:
            self._blocks[key >> _BLOCK_BITS] = block = [_NOT_USED] * _BLOCK
        block[key & _LAST_IN_BLOCK] = meaning
        if isinstance(meaning, Order):
            meaning.number_key = key
        return True

    def order_of_number(self, channel: int, number: int) -> Order | None:
        """The order that a number stands for; None when it stands for none, or was not used."""
        key = number | channel << _CHANNEL_BITS if channel else number
        block = self._blocks.get(key >> _BLOCK_BITS)
        if block is not None:
            meaning = block[key & _LAST_IN_BLOCK]
            if isinstance(meaning, Order):
                return meaning
        if self._has_texts:
            meaning = self.meaning(number_name(channel, number))
            if isinstance(meaning, Order):
                return meaning
        return None

    # --- all of them ------------------------------------------------------------------------------

    def forget(self, order: Order) -> None:
        """Let the name of an order stand for the final OrdStatus, now and for ever."""
        key = order.number_key
        if key:
            self._blocks[key >> _BLOCK_BITS][key & _LAST_IN_BLOCK] = order.ord_status
        else:
            name = order.cl_ord_id
            self._shards[hash(name) & LAST_SHARD][name] = order.ord_status

    def meanings(self) -> Iterator[Order | int]:
        """Yield what the names stand for, in the order of first use."""
        shards = self._shards
        for each in self._in_order:
            if isinstance(each, str):
                yield shards[hash(each) & LAST_SHARD][each]
            else:
                for _, meaning in self._used_in(each, each.first):
                    yield meaning

    def digest(self) -> str:
        """Return a SHA-256 of every name in the order of first use, in hexadecimal.

        Each is hashed once and the next call goes on from there: a day has millions of them, and
        the state hash is taken while orders wait. Where the calls fell makes no difference to the
        result, nor where the names are kept.
        """
        new_names = self._names_from(*self._digested)
        self._digest.update("".join([f"{name!a}," for name in new_names]).encode("ascii"))
        last = self._in_order[-1] if self._in_order else ""
        if isinstance(last, str):
            self._digested = len(self._in_order), 0
        else:
            self._digested = len(self._in_order) - 1, last.last + 1
        return self._digest.hexdigest()

    def _names_from(self, place: int, number: int) -> Iterator[str]:
        """The names of `_in_order` from this place on; of a run there from this number on."""
        for each in islice(self._in_order, place, None):
            if isinstance(each, str):
                yield each
            else:
                for used, _ in self._used_in(each, max(number, each.first)):
                    yield number_name(each.channel, used)
            number = 0

    def _used_in(self, run: NumberRun, start: int) -> Iterator[tuple[int, Order | int]]:
        """(number, what it stands for) of those in a run that were used, from `start` on."""
        while start <= run.last:
            key = start | run.channel << _CHANNEL_BITS
            place = key & _LAST_IN_BLOCK
            next_block = start - place + _BLOCK
            block = self._blocks.get(key >> _BLOCK_BITS, ())
            for number, meaning in enumerate(block[place:], start):
                if meaning != _NOT_USED and number <= run.last:
                    yield number, meaning
            start = next_block

    def restore(
        self,
        names: Sequence[str],
        meanings: Iterable[Order | int],
        last_numbers: Mapping[int, int],
    ) -> None:
        """Add names that were used after those that are here, all of them different.

        `last_numbers` has the number used last in each channel: what may be the name of one of its
        numbers is kept as that, if it is above those that are here.
        """
        if not last_numbers:
            self._restore_texts(names, meanings)
            return
        last_restored = dict.fromkeys(last_numbers, 0)
        for each in self._in_order:
            if isinstance(each, NumberRun):
                last_restored[each.channel] = each.last
        for name, meaning in zip(names, meanings, strict=True):
            channel, number = (last_restored and number_of(name)) or (0, 0)
            if last_restored.get(channel, 0) < number <= last_numbers.get(channel, 0):
                last_restored[channel] = number
                is_new = self.use_number(channel, number, meaning)
            else:
                shard = self.use(name)
                is_new = shard is not None
                if shard is not None:
                    shard[name] = meaning
            assert is_new, f"the name {name} was used twice"

    def _restore_texts(self, names: Sequence[str], meanings: Iterable[Order | int]) -> None:
        """The same where nothing was numbered: a million of them in half the time."""
        shards = self._shards
        before = sum(map(len, shards))
        for place, name, meaning in zip(map(hash, names), names, meanings, strict=True):
            shards[place & LAST_SHARD][name] = meaning
        assert sum(map(len, shards)) == before + len(names), "a name was used twice"
        self._in_order += names
        self._has_texts = self._has_texts or len(names) > 0

    def check_invariants(self) -> None:
        """Raise AssertionError unless each name is where it belongs, once."""
        texts = sum(map(len, self._shards))
        assert self._has_texts == (texts > 0), f"{texts} texts, {self._has_texts}"
        for place, shard in enumerate(self._shards):
            for name, meaning in shard.items():
                assert hash(name) & LAST_SHARD == place, f"{name} is in the dict {place}"
                assert not self._key_of(name), f"{name} is a text and a number"
                assert isinstance(meaning, int) or meaning.number_key == 0, f"{name} is a text"
        last: dict[int, int] = {}
        numbers = 0
        for run in self._in_order:
            if isinstance(run, str):
                continue
            assert last.get(run.channel, 0) < run.first <= run.last, f"{run.first} comes too late"
            last[run.channel] = run.last
            for number, meaning in self._used_in(run, run.first):
                numbers += 1
                key = number | run.channel << _CHANNEL_BITS
                assert isinstance(meaning, int) or meaning.number_key == key, f"{key} is lost"
        assert texts + numbers == len(self), f"{texts} texts, {numbers} numbers, {len(self)} names"
