"""Orders of one instrument that stand in price-time order and wait; nothing here trades.

The same levels as those of an order book, but the two sides may overlap: hidden orders whose
condition nobody meets, and the orders that an auction collects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from matching.order_book import BookSide, PriceLevel
from matching.types import BookOrder, Side

O = TypeVar("O", bound=BookOrder)  # noqa: E741  the caller's own class of orders


class OrderPool(Generic[O]):
    """Waiting orders of both sides, by price and then by their arrival in the pool."""

    __slots__ = ("_asks", "_bids", "_orders")

    def __init__(self) -> None:
        self._orders: dict[int, O] = {}
        self._bids = BookSide(-1)
        self._asks = BookSide(1)

    def add(self, order: O) -> None:
        """Put an order last in the level of its price."""
        reference = order.order_reference_number
        assert reference not in self._orders, f"order {reference} is already in the pool"
        assert order.level is None, f"order {reference} stands elsewhere"
        assert order.leaves_qty > 0, f"order {reference} has quantity {order.leaves_qty}"
        self._orders[reference] = order
        self._side(order.side).append(order)

    def remove(self, order: O) -> None:
        """Take an order out, in O(1) of its level; its `leaves_qty` must be that of the level."""
        reference = order.order_reference_number
        assert self._orders.get(reference) is order, f"order {reference} is not in the pool"
        del self._orders[reference]
        order.level.unlink(order)

    def reduce(self, order: O, quantity: int) -> None:
        """Take shares off an order that keeps its place and has some left."""
        assert 0 < quantity < order.leaves_qty, f"{quantity} off {order.leaves_qty}"
        level = order.level
        assert isinstance(level, PriceLevel)
        level.quantity -= quantity
        order.leaves_qty -= quantity

    def best_price(self, side: int) -> int | None:
        """The price of the first order of a side; None when there is none."""
        best = self._side(side).best
        return None if best is None else best.price

    def queue(self, side: int) -> Iterator[O]:
        """Orders of a side in the order in which they would trade; O(log levels) per level. The
        order that was yielded last may leave the pool meanwhile; none may come to it."""
        book_side = self._side(side)
        key = next(iter(book_side.keys), None)
        while key is not None:
            order: BookOrder | None = book_side.level_at(key).first
            while order is not None:
                after = order._next
                yield cast(O, order)
                order = after
            key = book_side.keys.after(key)  # the level itself may be gone

    def level_totals(self, side: int) -> list[tuple[int, int]]:
        """(price, shares) of each level of a side, in no particular order; O(levels)."""
        return [(level.price, level.quantity) for level in self._side(side).levels.values()]

    def __iter__(self) -> Iterator[O]:
        """Orders in the order in which they came."""
        return iter(self._orders.values())

    def __len__(self) -> int:
        """Number of orders."""
        return len(self._orders)

    def __contains__(self, order: O) -> bool:
        """Whether this very order waits here."""
        return self._orders.get(order.order_reference_number) is order

    def check_invariants(self) -> None:
        """Assert that levels and orders tell the same, in O(orders)."""
        arrivals = {reference: place for place, reference in enumerate(self._orders)}
        counted = 0
        for side in (self._bids, self._asks):
            side.keys.check_invariants()
            known = sorted(side.sign * price for price in side.levels)
            assert list(side.keys) == known, f"{list(side.keys)} are the keys of {known}"
            first = side.level_at(known[0]) if known else None
            assert side.best is first, "the best level is not the first"
            for level in side.levels.values():
                orders = _orders_of(level)
                counted += len(orders)
                places = [arrivals[order.order_reference_number] for order in orders]
                assert places == sorted(places), f"level {level.price} is not in time order"
                assert level.order_count == len(orders)
                assert level.quantity == sum(order.leaves_qty for order in orders)
                for order in orders:
                    assert order.level is level
                    assert order.price == level.price
                    assert order.leaves_qty > 0
        assert counted == len(self._orders), f"{counted} in levels, {len(self._orders)} known"

    def _side(self, side: int) -> BookSide:
        return self._bids if side == Side.BUY else self._asks


def _orders_of(level: PriceLevel) -> list[BookOrder]:
    orders: list[BookOrder] = []
    order: BookOrder | None = level.first
    while order is not None:
        orders.append(order)
        order = order._next
    return orders
