"""Words of the order book: sides, times in force, resting orders, book events.

Prices are Price(4) integers (1/10,000), quantities are shares. The enumerations have the values
that FIX gives them, so that they need no translation on their way through the log.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Side(IntEnum):
    """Side of an order (FIX 54)."""

    BUY = 1
    SELL = 2
    SELL_SHORT = 5
    SELL_SHORT_EXEMPT = 6


class OrderType(IntEnum):
    """Order type (FIX 40)."""

    MARKET = 1
    LIMIT = 2


class TimeInForce(IntEnum):
    """How long an order lives (FIX 59)."""

    DAY = 0
    GTC = 1
    IOC = 3
    FOK = 4


class BookOrder:
    """What the book needs to know of an order; the owner of orders derives its own class from it.

    `price` is the limit in 1/10,000. `leaves_qty` is what is still open; the book lowers it with
    each execution. An order rests while the book has set `level`, the price level that it stands
    in; the private links are the book's own.
    """

    __slots__ = (
        "_next",
        "_prev",
        "leaves_qty",
        "level",
        "order_reference_number",
        "price",
        "side",
    )

    def __init__(self, order_reference_number: int, side: int, price: int, leaves_qty: int) -> None:
        self.order_reference_number = order_reference_number
        self.side = side
        self.price = price
        self.leaves_qty = leaves_qty
        self.level: object | None = None
        self._prev: BookOrder | None = None
        self._next: BookOrder | None = None

    @property
    def is_resting(self) -> bool:
        """True while the order stands in a book."""
        return self.level is not None


class Executed(NamedTuple):
    """A trade at the resting order's price. The leaves quantities are those after the trade."""

    resting: BookOrder
    incoming: BookOrder
    quantity: int
    price: int
    match_number: int
    resting_leaves_qty: int
    incoming_leaves_qty: int
