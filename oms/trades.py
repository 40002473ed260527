"""The trades that may still be busted: the events of the commands that traded last.

Nothing is written down for a trade that its events do not say, so that trading costs next to
nothing for what is rarely asked: a trade is looked for when it is busted. Memory is bounded by
EVENTS_KEPT: the oldest commands are forgotten first.
"""

from __future__ import annotations

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


Made: TypeAlias = tuple[int, list[Event], int]
"""What a command that traded has made: (number of the first event, events, last match number)."""

_last_match_number: Final = itemgetter(2)


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
        """Keep the events of one command; the first event and the last trade have these numbers."""
        made = self._made
        made.append((first_event_seq, events, last_match_number))
        self._count += len(events)
        while self._count > EVENTS_KEPT and len(made) > 1:
            self._count -= len(made.popleft()[1])

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
        executions = _executions_of(made[place])
        return [each for each in executions if each[1][_MATCH_NUMBER] == match_number]

    def of_order(self, order_id: int) -> list[OrderExecuted]:
        """What is remembered of the executions of an order, in their order. O(events kept)."""
        return [
            OrderExecuted(*event)
            for _, events, _ in self._made
            for event in events
            if event and event[0] == _EXECUTED and event[_ORDER_ID] == order_id
        ]

    def prices_of(self, symbol: str) -> list[int]:
        """The price of each trade in an instrument that is not busted, in the order of trading.
        O(events kept)."""
        price_of = {
            event[_MATCH_NUMBER]: event[_LAST_PRICE]
            for _, events, _ in self._made
            for event in events
            if event and event[0] == _EXECUTED and event[_SYMBOL] == symbol
        }
        return [price for number, price in price_of.items() if number not in self.busted]

    def rows(self) -> Iterator[tuple[int, int, tuple[tuple[int, Event], ...]]]:
        """For a snapshot: (number of the first event, how many there are, (place, OrderExecuted) of
        those that matter) of each command."""
        for first_event_seq, events, _ in self._made:
            executed = tuple(
                (place, event)
                for place, event in enumerate(events)
                if event and event[0] == _EXECUTED
            )
            yield first_event_seq, len(events), executed

    def heads(self) -> list[tuple[int, int]]:
        """(number of the first event, how many there are) of each command: what a hash needs, since
        the events follow from the log as everything else does."""
        return [(first_event_seq, len(events)) for first_event_seq, events, _ in self._made]

    def restore_row(
        self, first_event_seq: int, length: int, executed: Sequence[Sequence[Any]]
    ) -> None:
        """Take a row that `rows` gave; what does not matter is () from now on."""
        events: list[Event] = [()] * length
        last_match_number = self._made[-1][2] if self._made else 0
        for place, event in executed:
            events[place] = tuple(event)
            last_match_number = event[_MATCH_NUMBER]
        self._made.append((first_event_seq, events, last_match_number))
        self._count += length


def _executions_of(made: Made) -> Iterator[tuple[int, Event]]:
    """(event number, OrderExecuted) of every side that has traded."""
    first_event_seq, events, _ = made
    for event_seq, event in enumerate(events, first_event_seq):
        if event and event[0] == _EXECUTED:
            yield event_seq, event
