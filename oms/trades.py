"""The trades that may still be busted: the events of the commands that traded last.

Nothing is written down for a trade that its events do not say, so that trading costs next to
nothing for what is rarely asked: a trade is looked for when it is busted. Memory is bounded by
EVENTS_KEPT: the oldest commands are forgotten first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from oms.events import Event, EventKind, OrderExecuted

EVENTS_KEPT = 40_000
"""Events of commands that traded: 10,000 trades, where one order fills another."""

_EXECUTED: Final = int(EventKind.ORDER_EXECUTED)
_SYMBOL: Final = OrderExecuted._fields.index("symbol")
_ORDER_ID: Final = OrderExecuted._fields.index("order_id")
_MATCH_NUMBER: Final = OrderExecuted._fields.index("match_number")


class Trades:
    """Remembered executions, and which trades are busted.

    `busted` has, by match number and in the order of busts, the last match number at the time.
    """

    __slots__ = ("_count", "_made", "busted")

    def __init__(self) -> None:
        self._made: deque[tuple[int, list[Event]]] = deque()
        self._count = 0
        self.busted: dict[int, int] = {}

    def remember(self, first_event_seq: int, events: list[Event]) -> None:
        """Keep the events of one command, the first of which has this number."""
        made = self._made
        made.append((first_event_seq, events))
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
        known any more, or never was. O(events kept)."""
        return [each for each in self.executions() if each[1][_MATCH_NUMBER] == match_number]

    def last_of(self, order_id: int) -> Event:
        """The last OrderExecuted of an order that has one here."""
        return [event for _, event in self.executions() if event[_ORDER_ID] == order_id][-1]

    def of_symbol(self, symbol: str) -> dict[int, Event]:
        """One side of each trade in an instrument that is not busted, by match number, in the order
        of trading."""
        return {
            event[_MATCH_NUMBER]: event
            for _, event in self.executions()
            if event[_SYMBOL] == symbol and event[_MATCH_NUMBER] not in self.busted
        }

    def executions(self) -> Iterator[tuple[int, Event]]:
        """(event number, OrderExecuted) of every side that is remembered, the oldest first."""
        for first_event_seq, events in self._made:
            for event_seq, event in enumerate(events, first_event_seq):
                if event and event[0] == _EXECUTED:
                    yield event_seq, event

    def rows(self) -> Iterator[tuple[int, int, tuple[tuple[int, Event], ...]]]:
        """For a snapshot: (number of the first event, how many there are, (place, OrderExecuted) of
        those that matter) of each command."""
        for first_event_seq, events in self._made:
            executed = tuple(
                (place, event)
                for place, event in enumerate(events)
                if event and event[0] == _EXECUTED
            )
            yield first_event_seq, len(events), executed

    def heads(self) -> list[tuple[int, int]]:
        """(number of the first event, how many there are) of each command: what a hash needs, since
        the events follow from the log as everything else does."""
        return [(first_event_seq, len(events)) for first_event_seq, events in self._made]

    def restore_row(
        self, first_event_seq: int, length: int, executed: Sequence[Sequence[Any]]
    ) -> None:
        """Take a row that `rows` gave; what does not matter is () from now on."""
        events: list[Event] = [()] * length
        for place, event in executed:
            events[place] = tuple(event)
        self._made.append((first_event_seq, events))
        self._count += length
