"""Stop orders of one instrument, waiting for the trade that triggers them.

A buy stop is triggered by a trade at its stop price or above, a sell stop by one at its stop price
or below. The stop price of a trailing order follows the trades that go the other way, at the
distance `trail_amount`; it never goes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from sortedcontainers import SortedList

from matching.types import Side


class StopOrder(Protocol):
    """What has to be known of a stop order; `level` is not None while it waits."""

    order_reference_number: int
    side: int
    level: object | None
    stop_price: int

    @property
    def trail_amount(self) -> int:
        """How far the stop price stays behind the trades, 0 if it does not move."""


O = TypeVar("O", bound=StopOrder)  # noqa: E741  the caller's own class of orders


class _StopSide(Generic[O]):
    """One side. Keys are prices times `sign`: a trade triggers the keys that are not above its
    own, the smallest first."""

    __slots__ = ("orders", "sign", "stops", "trailing")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.orders: dict[int, O] = {}
        # (stop price, reference number); (the price from which a trade moves the stop, number)
        self.stops: SortedList[tuple[int, int]] = SortedList()
        self.trailing: SortedList[tuple[int, int]] = SortedList()

    def add(self, order: O) -> None:
        number = order.order_reference_number
        assert number not in self.orders, f"stop order {number} waits already"
        self.orders[number] = order
        self.stops.add((self.sign * order.stop_price, number))
        if order.trail_amount:
            self.trailing.add((self._mark(order), number))

    def remove(self, order: O) -> None:
        number = order.order_reference_number
        assert self.orders.pop(number, None) is order, f"stop order {number} does not wait"
        self.stops.remove((self.sign * order.stop_price, number))
        if order.trail_amount:
            self.trailing.remove((self._mark(order), number))

    def take_triggered(self, price: int) -> Iterator[O]:
        key = self.sign * price
        while self.stops and self.stops[0][0] <= key:
            order = self.orders[self.stops[0][1]]
            self.remove(order)
            yield order

    def follow(self, price: int) -> None:
        """Move the stop prices that are further than their distance from a trade."""
        key = self.sign * price
        while self.trailing and self.trailing[-1][0] > key:
            order = self.orders[self.trailing[-1][1]]
            self.remove(order)
            order.stop_price = price + self.sign * order.trail_amount
            self.add(order)

    def _mark(self, order: O) -> int:
        """The key of the best trade so far, from which the stop price is reckoned."""
        return self.sign * order.stop_price - order.trail_amount


class StopOrders(Generic[O]):
    """Waiting stop orders of both sides. O(log orders) for each that comes, goes or moves."""

    __slots__ = ("_buys", "_sells")

    def __init__(self) -> None:
        self._buys: _StopSide[O] = _StopSide(1)
        self._sells: _StopSide[O] = _StopSide(-1)

    def add(self, order: O) -> None:
        """Let an order wait; its time is that of its reference number."""
        assert order.level is None, f"order {order.order_reference_number} stands elsewhere"
        order.level = self
        self._side(order).add(order)

    def remove(self, order: O) -> None:
        """Take a waiting order out."""
        order.level = None
        self._side(order).remove(order)

    def on_trade(self, price: int) -> list[O]:
        """Take out what a trade triggers: buyers from the lowest stop price, then sellers from the
        highest, at equal prices the older first. Trailing stops follow the price."""
        triggered = [*self._buys.take_triggered(price), *self._sells.take_triggered(price)]
        for order in triggered:
            order.level = None
        self._buys.follow(price)
        self._sells.follow(price)
        return triggered

    def __contains__(self, order: O) -> bool:
        """Whether this very order waits."""
        return self._side(order).orders.get(order.order_reference_number) is order

    def __iter__(self) -> Iterator[O]:
        """Buyers, then sellers, in the order in which falling or rising prices trigger them."""
        for side in (self._buys, self._sells):
            for _, number in side.stops:
                yield side.orders[number]

    def __len__(self) -> int:
        """Number of waiting orders."""
        return len(self._buys.orders) + len(self._sells.orders)

    def check_invariants(self) -> None:
        """Assert that what is sorted is what is known."""
        for side in (self._buys, self._sells):
            stops = sorted((side.sign * o.stop_price, n) for n, o in side.orders.items())
            assert stops == list(side.stops), f"stop prices out of order: {side.stops}"
            assert len(side.trailing) == sum(o.trail_amount > 0 for o in side.orders.values())
            for order in side.orders.values():
                assert order.level is self, f"stop order {order.order_reference_number} elsewhere"

    def _side(self, order: O) -> _StopSide[O]:
        return self._buys if order.side == Side.BUY else self._sells
