"""The order book of one instrument: continuous trading in strict price-time priority.

Both sides are kept by one piece of code. A level's key is its price on the sell side and its
negated price on the buy side, so on either side a smaller key is a better price, the best level
comes first, and an incoming order crosses exactly the levels whose key is not above its own limit
key. Orders of a level form a doubly linked list in time order; their links live in the orders
themselves, so resting and leaving a level cost O(1), and only the first and the last order of a
price touch the sorted levels, in O(log levels).

What a client may ask wrongly is refused before it gets here; a wrong call is a bug and asserts
before anything has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Final, Generic, TypeVar, cast

from matching.level_keys import LevelKeys
from matching.types import BookOrder, Executed, OrderType, Side, TimeInForce

O = TypeVar("O", bound=BookOrder)  # noqa: E741  the caller's own class of orders

# Plain integers, also as keys: looking a member up in its enumeration costs as much as the
# comparison that it is for, and a key that is a member is compared at four times the price.
_MARKET: Final = int(OrderType.MARKET)
_LIMIT: Final = int(OrderType.LIMIT)
_DAY: Final = int(TimeInForce.DAY)
_FOK: Final = int(TimeInForce.FOK)
_MAY_REST: Final = {
    int(TimeInForce.DAY): True,
    int(TimeInForce.GTC): True,
    int(TimeInForce.IOC): False,
    int(TimeInForce.FOK): False,
}
"""Whether what is left of a limit order waits in the book, by its time in force."""

_BUY: Final = int(Side.BUY)
_SALES: Final = frozenset(int(side) for side in Side if side != Side.BUY)

_EVERY_KEY: Final = 1 << 64
"""Limit key of an order that accepts any price: above the key of every level."""

_new_tuple: Final = tuple.__new__


class MatchNumbers:
    """The next match number; one instance serves all books of the exchange.

    `last` is the number given last, 0 before the first: numbers are contiguous from 1, and setting
    `last` restores a snapshot.
    """

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def next(self) -> int:
        """Give the next number."""
        self.last += 1
        return self.last


class PriceLevel:
    """Orders of one side at one price, `first` the oldest. `quantity` is the sum of their leaves.

    A level without orders does not exist in a book.
    """

    __slots__ = ("first", "key", "last", "order_count", "price", "quantity", "side")

    def __init__(self, side: BookSide, order: BookOrder) -> None:
        self.side = side
        self.price = order.price
        self.key = side.sign * order.price
        self.first = order
        self.last = order
        self.quantity = order.leaves_qty
        self.order_count = 1

    def unlink(self, order: BookOrder) -> None:
        """Take an order out, and the level out of its side when it was the only one.

        Leaves no link behind, so that an order that is gone keeps no other alive. Lowers the
        quantity of the level by what the order has left.
        """
        before, after = order._prev, order._next
        order.level = order._prev = order._next = None
        if before is not None:
            before._next = after
        elif after is not None:
            self.first = after
        else:
            self.side.remove(self)
            return
        if after is not None:
            after._prev = before
        elif before is not None:
            self.last = before
        self.order_count -= 1
        self.quantity -= order.leaves_qty


class BookSide:
    """Levels of one side by their price, and their keys, `sign * price`, sorted; `best` is the
    level of the first key."""

    __slots__ = ("best", "keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys = LevelKeys()
        self.levels: dict[int, PriceLevel] = {}
        self.best: PriceLevel | None = None

    def append(self, order: BookOrder) -> None:
        """Put an order last in the level of its price, which is made when missing."""
        level = self.levels.get(order.price)
        if level is None:
            self.levels[order.price] = level = PriceLevel(self, order)
            self.keys.add(level.key)
            if self.best is None or level.key < self.best.key:
                self.best = level
        else:
            last = level.last
            last._next = order
            order._prev = last
            level.last = order
            level.quantity += order.leaves_qty
            level.order_count += 1
        order.level = level

    def remove(self, level: PriceLevel) -> None:
        """Take a level out whose only order has left."""
        del self.levels[level.price]
        self.keys.remove(level.key)
        if level is self.best:
            near = self.keys.near
            self.best = self.level_at(near[0]) if near else None

    def has_quantity(self, quantity: int, limit_key: int) -> bool:
        """Whether the levels up to `limit_key` hold at least `quantity` shares together."""
        for key in self.keys:
            if key > limit_key:
                return False
            quantity -= self.level_at(key).quantity
            if quantity <= 0:
                return True
        return False

    def level_at(self, key: int) -> PriceLevel:
        """The level with one of `keys`."""
        return self.levels[self.sign * key]


class OrderBook(Generic[O]):
    """Resting orders of one instrument, and the only code that trades them.

    Executions are at the price of the resting order, best price first, then the oldest order.
    The book lowers `leaves_qty` of both orders; an order whose leaves reach 0 has left the book.
    """

    __slots__ = ("_asks", "_bids", "_match_numbers", "_orders")

    def __init__(self, match_numbers: MatchNumbers) -> None:
        self._match_numbers = match_numbers
        self._orders: dict[int, O] = {}
        self._bids = BookSide(-1)
        self._asks = BookSide(1)

    def enter(
        self, order: O, order_type: int, time_in_force: int, collar_price: int | None = None
    ) -> list[Executed]:
        """Match a new order and let a LIMIT order of DAY or GTC rest with what is left of it.

        A MARKET order takes any price, but none worse than `collar_price`, and never rests. An IOC
        order never rests. A FOK order trades in full or not at all. `collar_price` has no effect on
        a LIMIT order, whose own price bounds it. Afterwards `order.is_resting` tells whether it
        rests; leaves of an order that does not rest are for the caller to cancel.
        """
        reference = order.order_reference_number
        assert reference not in self._orders, f"order {reference} is already in the book"
        assert order.level is None, f"order {reference} rests in another book"
        leaves_qty = order.leaves_qty
        assert leaves_qty > 0, f"order {reference} has quantity {leaves_qty}"
        if order.side == _BUY:
            own, opposite = self._bids, self._asks
        else:
            assert order.side in _SALES, f"order {reference} has side {order.side}"
            own, opposite = self._asks, self._bids
        may_rest = _MAY_REST.get(time_in_force)
        assert may_rest is not None, f"order {reference}: TIF {time_in_force}"
        if order_type == _LIMIT:
            assert order.price > 0, f"order {reference} has price {order.price}"
            limit_key = opposite.sign * order.price
        else:
            assert order_type == _MARKET, f"order {reference}: order type {order_type}"
            may_rest = False
            limit_key = _EVERY_KEY if collar_price is None else opposite.sign * collar_price

        best = opposite.best
        executions: list[Executed] = []
        if (
            best is not None
            and best.key <= limit_key
            and (time_in_force != _FOK or opposite.has_quantity(leaves_qty, limit_key))
        ):
            leaves_qty = self._match(order, opposite, limit_key, executions)

        if may_rest and leaves_qty > 0:
            self._orders[reference] = order
            own.append(order)
        return executions

    def cancel(self, order: O) -> int:
        """Take a resting order out, in O(1) of its level. Returns the shares taken out.

        `leaves_qty` of the order is left as it was, for the caller to report.
        """
        orders, reference = self._orders, order.order_reference_number
        assert orders.get(reference) is order, f"order {reference} does not rest here"
        del orders[reference]
        order.level.unlink(order)
        return order.leaves_qty

    def replace(
        self, order: O, new_reference_number: int, price: int, leaves_qty: int
    ) -> list[Executed] | None:
        """Give a resting order another price or quantity still open.

        Less quantity at the same price: the order keeps its place and its reference number, the
        new number is unused, and the result is None. Anything else, also no change at all: it
        leaves the book, takes the new number, price and quantity, is matched like a new DAY limit
        order, and what is left rests last in its level.
        """
        reference = order.order_reference_number
        assert leaves_qty > 0, f"order {reference}: replaced with quantity {leaves_qty}"
        assert price > 0, f"order {reference}: replaced with price {price}"
        if price == order.price and leaves_qty < order.leaves_qty:
            assert self._orders.get(reference) is order, f"order {reference} does not rest here"
            order.level.quantity -= order.leaves_qty - leaves_qty
            order.leaves_qty = leaves_qty
            return None
        assert new_reference_number not in self._orders, (
            f"order {reference}: new number {new_reference_number} is in the book"
        )
        self.cancel(order)
        order.order_reference_number = new_reference_number
        order.price = price
        order.leaves_qty = leaves_qty
        return self.enter(order, _LIMIT, _DAY)

    def add_resting(self, orders: Iterable[O]) -> None:
        """Append orders to their levels without matching: restores a book from a snapshot.

        They must come in the order in which they came to rest: that of iterating over a book.
        """
        known = self._orders
        for order in orders:
            reference = order.order_reference_number
            assert reference not in known, f"order {reference} is already in the book"
            assert order.level is None, f"order {reference} rests in another book"
            assert order.leaves_qty > 0, f"order {reference} has quantity {order.leaves_qty}"
            assert order.price > 0, f"order {reference} has price {order.price}"
            assert order.side == _BUY or order.side in _SALES, (
                f"order {reference} has side {order.side}"
            )
            own = self._side(order.side)
            opposite = self._asks if own is self._bids else self._bids
            best = opposite.best
            assert best is None or best.key > opposite.sign * order.price, (
                f"order {reference} at {order.price} crosses the best opposite price {best.price}"
            )
            known[reference] = order
            own.append(order)

    def find(self, order_reference_number: int) -> O | None:
        """The resting order with this number."""
        return self._orders.get(order_reference_number)

    @property
    def best_bid(self) -> int | None:
        """Highest price at which somebody buys; None when nobody does."""
        best = self._bids.best
        return None if best is None else best.price

    @property
    def best_ask(self) -> int | None:
        """Lowest price at which somebody sells; None when nobody does."""
        best = self._asks.best
        return None if best is None else best.price

    def depth(self, side: int, levels: int) -> list[tuple[int, int, int]]:
        """(price, quantity, number of orders) of the best `levels` price levels, best first."""
        book_side = self._side(side)
        best_levels = map(book_side.level_at, islice(book_side.keys, levels))
        return [(level.price, level.quantity, level.order_count) for level in best_levels]

    def orders(self, side: int) -> Iterator[O]:
        """Resting orders of a side in the order in which they would trade."""
        book_side = self._side(side)
        for key in book_side.keys:
            order: BookOrder | None = book_side.level_at(key).first
            while order is not None:
                yield cast(O, order)
                order = order._next

    def __iter__(self) -> Iterator[O]:
        """Resting orders in the order in which they came to rest, or did again in another place."""
        return iter(self._orders.values())

    def __len__(self) -> int:
        """Number of resting orders."""
        return len(self._orders)

    def check_invariants(self) -> None:
        """Assert everything that must be true of a book between two calls, in O(orders)."""
        counted = sum(self._check_side(side) for side in (Side.BUY, Side.SELL))
        assert counted == len(self._orders), f"{counted} in levels, {len(self._orders)} known"
        arrivals = {reference: place for place, reference in enumerate(self._orders)}
        for side in (Side.BUY, Side.SELL):
            for before, after in pairwise(self.orders(side)):
                older, newer = before.order_reference_number, after.order_reference_number
                assert before.price != after.price or arrivals[older] < arrivals[newer], (
                    f"order {older} came to rest after {newer}, which stands behind it"
                )
        bid, ask = self.best_bid, self.best_ask
        assert bid is None or ask is None or bid < ask, f"crossed or locked: {bid} / {ask}"
        assert self._match_numbers.last >= 0, f"match number {self._match_numbers.last}"

    def _side(self, side: int) -> BookSide:
        return self._bids if side == _BUY else self._asks

    def _match(
        self, order: O, opposite: BookSide, limit_key: int, executions: list[Executed]
    ) -> int:
        """Trade an order up to a limit; return what it has left."""
        leaves_qty = order.leaves_qty
        match_number = self._match_numbers.last
        while leaves_qty > 0:
            level = opposite.best
            if level is None or level.key > limit_key:
                break
            resting = level.first
            resting_leaves_qty = resting.leaves_qty
            if leaves_qty < resting_leaves_qty:
                quantity = leaves_qty
                leaves_qty = 0
                resting_leaves_qty -= quantity
                level.quantity -= quantity
            else:
                quantity = resting_leaves_qty
                leaves_qty -= quantity
                resting_leaves_qty = 0
                del self._orders[resting.order_reference_number]
                level.unlink(resting)
            resting.leaves_qty = resting_leaves_qty
            match_number += 1
            execution = (
                resting,
                order,
                quantity,
                level.price,
                match_number,
                resting_leaves_qty,
                leaves_qty,
            )
            # Executed(*execution) without its Python-level constructor: 0.07 us instead of 0.17.
            executions.append(_new_tuple(Executed, execution))
        order.leaves_qty = leaves_qty
        self._match_numbers.last = match_number
        return leaves_qty

    def _check_side(self, side: Side) -> int:
        book_side = self._side(side)
        book_side.keys.check_invariants()
        keys = list(book_side.keys)
        known = sorted(book_side.sign * price for price in book_side.levels)
        assert keys == known, f"{side.name} levels out of order: {keys}"
        first = book_side.level_at(keys[0]) if keys else None
        assert book_side.best is first, f"{side.name}: the best level is not the first"
        return sum(self._check_level(side, key) for key in keys)

    def _check_level(self, side: Side, key: int) -> int:
        book_side = self._side(side)
        level = book_side.level_at(key)
        where = f"{side.name} level {level.price}"
        assert level.key == key == book_side.sign * level.price, f"{where} has key {key}"
        quantity = order_count = 0
        before: BookOrder | None = None
        order: BookOrder | None = level.first
        while order is not None:
            reference = order.order_reference_number
            assert order.level is level, f"{where}: order {reference} names another level"
            assert order._prev is before, f"{where}: order {reference} has a wrong predecessor"
            assert order.price == level.price, f"{where}: order {reference} at {order.price}"
            assert order.leaves_qty > 0, f"{where}: order {reference} with {order.leaves_qty}"
            known: BookOrder | None = self._orders.get(reference)
            assert known is order, f"{where}: order {reference} is not known by its number"
            assert self._side(order.side) is book_side, f"{where}: {reference} on its side"
            quantity += order.leaves_qty
            order_count += 1
            assert order_count <= len(self._orders), f"{where}: its links run in a circle"
            before, order = order, order._next
        assert level.last is before, f"{where}: the last order is not the end of its links"
        assert level.quantity == quantity, f"{where}: {level.quantity}, orders sum to {quantity}"
        assert level.order_count == order_count, f"{where}: {level.order_count} != {order_count}"
        return order_count
