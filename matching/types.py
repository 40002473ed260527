"""Words of the order book: sides, times in force, resting orders, book events.

Prices are Price(4) integers (1/10,000), quantities are shares. The enumerations have the values
that FIX gives them, so that they need no translation on their way through the log.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple


class Side(IntEnum):
    """Side of an order (FIX 54)."""

    BUY = 1
    SELL = 2
    SELL_SHORT = 5
    SELL_SHORT_EXEMPT = 6


class OrderType(IntEnum):
    """Order type (FIX 40; those that FIX says with a letter have its ASCII code)."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    MARKET_TO_LIMIT = ord("K")
    PEGGED = ord("P")


class TimeInForce(IntEnum):
    """How long an order lives (FIX 59)."""

    DAY = 0
    GTC = 1
    AT_THE_OPEN = 2
    IOC = 3
    FOK = 4
    GTD = 6
    AT_THE_CLOSE = 7


class PegType(IntEnum):
    """What the price of a pegged order follows."""

    PRIMARY = 1  # the best displayed price of its own side
    MARKET = 2  # the best displayed price of the other side
    MIDPOINT = 3  # the middle of the two


class SelfTradeAction(IntEnum):
    """What is done instead of a trade between two orders of one group; the incoming one says it."""

    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class BookOrder:
    """What the book needs to know of an order; the owner of orders derives its own class from it.

    `price` is the limit in 1/10,000. `leaves_qty` is what is still open; the book lowers it with
    each execution. An order rests while the book has set `level`, the price level that it stands
    in (or whatever else it waits in); the private links are the book's own.

    A class of orders that want more than a limit has its own values of the attributes below:
    `display_qty` is how much of it is shown at a time (0: all) and `shown_qty` what is left of
    that; `is_hidden` says that nothing is; `least_qty` is the fewest shares that it trades at once;
    two orders with the same `self_trade_group` do not trade with each other, but what
    `self_trade_action` of the incoming one says is done.
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

    display_qty: int = 0
    shown_qty: int = 0
    is_hidden: bool = False
    self_trade_group: tuple[str, int] | None = None
    self_trade_action: int = 0

    def __init__(self, order_reference_number: int, side: int, price: int, leaves_qty: int) -> None:
        self.order_reference_number = order_reference_number
        self.side = side
        self.price = price
        self.leaves_qty = leaves_qty
        self.level: Any = None
        self._prev: BookOrder | None = None
        self._next: BookOrder | None = None

    @property
    def least_qty(self) -> int:
        """The fewest shares that the order trades at once."""
        return 1

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


class Refreshed(NamedTuple):
    """The part of an order that is shown has traded, and the next part stands last in its level
    under a new order reference number."""

    order: BookOrder


class OutOfRange(NamedTuple):
    """The incoming order would trade with `resting` next, at a price at which it must not."""

    resting: BookOrder


class Prevented(NamedTuple):
    """What was done instead of a trade between two orders of one group.

    `quantity` shares would have traded at `price`. `resting_qty` and `incoming_qty` are the shares
    that were taken off each; an order with none left is out. `shown_qty` is how many fewer of the
    resting order are shown.
    """

    resting: BookOrder
    incoming: BookOrder
    quantity: int
    price: int
    resting_qty: int
    incoming_qty: int
    shown_qty: int
