"""The trades that may still be busted: the executions of the commands that traded last.

Nothing is kept of a trade but what its events said, so that trading costs next to nothing for what
is rarely asked: a trade is looked for when it is busted. Memory is bounded by EVENTS_KEPT: the
oldest commands are forgotten first.

The executions of a command are kept as bytes (marshal: they never leave the process). As events
they would be ten thousands of tuples and numbers all over the memory, each of which must be fetched
again to be forgotten: that alone was every eighth line of memory that a command had to wait for.
"""

from __future__ import annotations

import marshal
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from oms.events import Event, EventKind, OrderExecuted

EVENTS_KEPT = 40_000
"""Events of commands that traded: 10,000 trades, where one order fills another."""

_EXECUTED: Final = int(EventKind.ORDER_EXECUTED)
_SYMBOL: Final = OrderExecuted._fields.index("symbol")
_LAST_PRICE: Final = OrderExecuted._fields.index("last_price")
_ORDER_ID: Final = OrderExecuted._fields.index("order_id")
_MATCH_NUMBER: Final = OrderExecuted._fields.index("match_number")


_MARSHAL_VERSION: Final = 2
"""The last one that does not look whether an object comes twice."""

Made: TypeAlias = tuple[int, int, int, bytes]
"""What a command that traded has made: number of the first event, how many events, last match
number, ((place, OrderExecuted), ...) as bytes."""

_last_match_number: Final = itemgetter(2)


def _packed(executed: tuple[tuple[int, Event], ...]) -> bytes:
    try:
        return marshal.dumps(executed, _MARSHAL_VERSION)
    except ValueError:
        # The command did not come out of a log: it has members of enumerations for integers.
        plain = tuple(
            (place, tuple(int(each) if isinstance(each, int) else each for each in event))
            for place, event in executed
        )
        return marshal.dumps(plain, _MARSHAL_VERSION)


def _unpacked(made: Made) -> tuple[tuple[int, Event], ...]:
    """(place, OrderExecuted) of each side that has traded."""
    executed: tuple[tuple[int, Event], ...] = marshal.loads(made[3])
    return executed


class Trades:
    """Remembered executions, and which trades are busted.

    `busted` has, by match number and in the order of busts, the last match number at the time.
    """

    __slots__ = ("_count", "_made", "busted")

    def __init__(self) -> None:
        self._made: deque[Made] = deque()
        self._count = 0
        self.busted: dict[int, int] = {}

    def remember(self, first_event_seq: int, events: list[Event], last_match_number: int) -> None:
        """Keep the executions of one command; its first event and its last trade have these
        numbers."""
        made = self._made
        executed = tuple(
            [(place, event) for place, event in enumerate(events) if event[0] == _EXECUTED]
        )
        made.append((first_event_seq, len(events), last_match_number, _packed(executed)))
        self._count += len(events)
        while self._count > EVENTS_KEPT and len(made) > 1:
            self._count -= made.popleft()[1]

    def forget(self) -> None:
        """Another day begins."""
        self._made.clear()
        self._count = 0
        self.busted.clear()

    def find(self, match_number: int) -> list[tuple[int, Event]]:
        """(event number, OrderExecuted) of both sides, in their order; none for a trade that is not
        known any more, or never was. O(log commands kept), and O(events) of the command."""
        made = self._made
        place = bisect_left(made, match_number, key=_last_match_number)
        if place == len(made):
            return []
        first_event_seq = made[place][0]
        return [
            (first_event_seq + place_of_event, event)
            for place_of_event, event in _unpacked(made[place])
            if event[_MATCH_NUMBER] == match_number
        ]

    def of_order(self, order_id: int) -> list[OrderExecuted]:
        """What is remembered of the executions of an order, in their order. O(events kept)."""
        return [
            OrderExecuted(*event)
            for made in self._made
            for _, event in _unpacked(made)
            if event[_ORDER_ID] == order_id
        ]

    def prices_of(self, symbol: str) -> list[int]:
        """The price of each trade in an instrument that is not busted, in the order of trading.
        O(events kept)."""
        price_of = {
            event[_MATCH_NUMBER]: event[_LAST_PRICE]
            for made in self._made
            for _, event in _unpacked(made)
            if event[_SYMBOL] == symbol
        }
        return [price for number, price in price_of.items() if number not in self.busted]

    def rows(self) -> Iterator[tuple[int, int, tuple[tuple[int, Event], ...]]]:
        """For a snapshot: (number of the first event, how many there are, (place, OrderExecuted) of
        each execution) of each command."""
        for made in self._made:
            yield made[0], made[1], _unpacked(made)

    def heads(self) -> list[tuple[int, int]]:
        """(number of the first event, how many there are) of each command: what a hash needs, since
        the events follow from the log as everything else does."""
        return [(first_event_seq, length) for first_event_seq, length, _, _ in self._made]

    def restore_row(
        self, first_event_seq: int, length: int, executed: Sequence[Sequence[Any]]
    ) -> None:
        """Take a row that `rows` gave; lists pass for tuples."""
        events = tuple((place, tuple(event)) for place, event in executed)
        assert all(0 <= place < length for place, _ in events), f"{length} events, one beyond"
        last_match_number = self._made[-1][2] if self._made else 0
        if events:
            last_match_number = events[-1][1][_MATCH_NUMBER]
        self._made.append((first_event_seq, length, last_match_number, _packed(events)))
        self._count += length
