"""Limit orders traded by hand: a list per symbol, sorted for each order. Shares nothing with the
engine but the events that it checks, which it reads by position (oms/events)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_ACCEPTED, _EXECUTED, _CANCELED = 1, 2, 3
_BUY = 1
_FILL_OR_KILL = 4
_RESTS = (0, 1)


class _Order:
    """An open order; `bought` and `paid` are what executions have added up to."""

    def __init__(self, accepted: Any) -> None:
        self.order_id, self.side, self.time_in_force = accepted[3], accepted[6], accepted[8]
        self.leaves, self.price = accepted[9], accepted[10]
        self.bought = self.paid = 0


class _Book:
    """One symbol. `open` holds what is not filled and not canceled, the oldest first; `due` are
    the executions that must be reported next, (order, quantity, price), resting side first."""

    def __init__(self) -> None:
        self.open: list[_Order] = []
        self.due: list[tuple[_Order, int, int]] = []

    def enter(self, order: _Order) -> None:
        """Trade by price, then by time, at the price of who was there first."""
        sign = 1 if order.side == _BUY else -1
        partners = sorted(
            (o for o in self.open if o.side != order.side and sign * (order.price - o.price) >= 0),
            key=lambda partner: sign * partner.price,
        )
        wanted = order.leaves
        if order.time_in_force == _FILL_OR_KILL and sum(o.leaves for o in partners) < wanted:
            wanted = 0
        for partner in partners:
            quantity = min(wanted, partner.leaves)
            if quantity:
                self.due += [(partner, quantity, partner.price), (order, quantity, partner.price)]
            wanted -= quantity
        self.open.append(order)

    def execute(self, event: Any) -> str | None:
        """Compare a reported execution with the one that is due."""
        if not self.due:
            return f"{event} should not have traded"
        order, quantity, price = self.due.pop(0)
        order.leaves -= quantity
        order.bought += quantity
        order.paid += quantity * price
        if not order.leaves:
            self.open.remove(order)
        expected = (order.order_id, order.bought, order.leaves, order.paid, quantity, price)
        if (event[3], event[11], event[12], event[13], event[16], event[17]) != expected:
            return f"{event}, but order, sums, last quantity and price should be {expected}"
        return None

    def cancel(self, event: Any) -> str | None:
        """Take out what was canceled."""
        found = [order for order in self.open if order.order_id == event[3]]
        if not found:
            return f"{event} was not open"
        self.open.remove(found[0])
        return None

    def check_rest(self) -> str | None:
        """What rests is neither crossed nor of an order that may not rest."""
        bids = [order.price for order in self.open if order.side == _BUY]
        offers = [order.price for order in self.open if order.side != _BUY]
        if bids and offers and max(bids) >= min(offers):
            return f"bid {max(bids)} rests against offer {min(offers)}"
        if any(order.time_in_force not in _RESTS for order in self.open):
            return "an order rests that may not"
        return None


def check_trades(events: Iterable[Any]) -> str | None:
    """What is wrong with the executions among the events of a whole log; None if nothing is.

    Every trade is reported twice, in the same words for both sides, so cash and shares add up."""
    books: dict[str, _Book] = {}
    for event in events:
        kind = event[0]
        if kind not in (_ACCEPTED, _EXECUTED, _CANCELED):
            continue
        book = books.setdefault(event[5], _Book())
        problem = None
        if kind == _EXECUTED:
            problem = book.execute(event)
        elif book.due:
            problem = f"{event} comes before {len(book.due)} executions that are due"
        elif kind == _ACCEPTED:
            problem = book.check_rest()
            book.enter(_Order(event))
        else:
            problem = book.cancel(event)
        if problem is not None:
            return problem
    problems = (book.check_rest() for book in books.values())
    return next((problem for problem in problems if problem is not None), None)
