"""An order and its life: OrdStatus, CumQty, LeavesQty, and the table of what may follow what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final

from matching.types import BookOrder, OrderType, TimeInForce
from oms.events import CancelReason, OrdStatus
from oms.terms import NO_TERMS, Instruction, Terms, as_terms


class ExecType(IntEnum):
    """What happened to a live order (FIX 150; the wire characters live in the codecs)."""

    TRADE = 1
    CANCELED = 2
    REPLACED = 3
    EXPIRED = 4


NEXT_STATUS: Final[dict[tuple[int, int, bool], OrdStatus]] = {
    # (status before, what happened, is nothing left): status after
    (OrdStatus.NEW, ExecType.TRADE, False): OrdStatus.PARTIALLY_FILLED,
    (OrdStatus.NEW, ExecType.TRADE, True): OrdStatus.FILLED,
    (OrdStatus.NEW, ExecType.CANCELED, True): OrdStatus.CANCELED,
    (OrdStatus.NEW, ExecType.EXPIRED, True): OrdStatus.EXPIRED,
    (OrdStatus.NEW, ExecType.REPLACED, False): OrdStatus.NEW,
    (OrdStatus.PARTIALLY_FILLED, ExecType.TRADE, False): OrdStatus.PARTIALLY_FILLED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.TRADE, True): OrdStatus.FILLED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.CANCELED, True): OrdStatus.CANCELED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.EXPIRED, True): OrdStatus.EXPIRED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.REPLACED, False): OrdStatus.PARTIALLY_FILLED,
}
"""The life of an order after it was accepted as NEW. A key that is missing is a bug: FILLED,
CANCELED, EXPIRED and REJECTED are final, a cancel leaves nothing, a replace leaves something."""

# The same table in plain integers: what events carry must not depend on where a status came from.
_NEXT_STATUS: Final[dict[tuple[int, int, bool], int]] = {
    (int(before), int(exec_type), is_done): int(after)
    for (before, exec_type, is_done), after in NEXT_STATUS.items()
}
_NEW: Final = int(OrdStatus.NEW)
_PARTIALLY_FILLED: Final = int(OrdStatus.PARTIALLY_FILLED)
_FILLED: Final = int(OrdStatus.FILLED)
_WAS_CANCELED: Final = int(OrdStatus.CANCELED)
_TRADE: Final = int(ExecType.TRADE)
_CANCELED: Final = int(ExecType.CANCELED)
_EXPIRY: Final = int(ExecType.EXPIRED)
_EXPIRED: Final = int(CancelReason.EXPIRED)
_AUCTION_OVER: Final = int(CancelReason.AUCTION_OVER)
_FOR_AUCTIONS: Final = (int(TimeInForce.AT_THE_OPEN), int(TimeInForce.AT_THE_CLOSE))
_REPLACED: Final = int(ExecType.REPLACED)


def _steps(exec_type: int, is_done: bool) -> dict[int, int]:
    """A part of the table, by the status before."""
    return {
        before: after
        for (before, *step), after in _NEXT_STATUS.items()
        if step == [exec_type, is_done]
    }


_AFTER_TRADE: Final = _steps(_TRADE, False)
_AFTER_LAST_TRADE: Final = _steps(_TRADE, True)
_AFTER_CANCEL: Final = _steps(_CANCELED, True)


def next_status(order_id: int, status: int, exec_type: int, is_done: bool) -> int:
    """Return the OrdStatus after `exec_type`; asserts that the table knows the step."""
    after = _NEXT_STATUS.get((status, exec_type, is_done))
    assert after is not None, (
        f"order {order_id}: no step from {OrdStatus(status).name} by {ExecType(exec_type).name}"
        f" with {'nothing' if is_done else 'something'} left"
    )
    return after


class Order(BookOrder):
    """One order, from its acceptance to the end of its life; the book links this same object.

    `order_id` is the order's first order_reference_number and never changes, the reference number
    changes when a replace loses priority. `cl_ord_id` is the order's current name: that of the
    last accepted replace. `cum_value` is the sum of quantity times price over the executions.
    While the order is live, cum_qty + leaves_qty == quantity. `group_id` is what a mass cancel can
    choose by, 0 for none. `number_key` is for oms.names.
    """

    __slots__ = (
        "account",
        "cl_ord_id",
        "cum_qty",
        "cum_value",
        "group_id",
        "number_key",
        "ord_status",
        "order_id",
        "order_type",
        "owner",
        "quantity",
        "symbol",
        "time_in_force",
    )

    def __init__(
        self,
        order_reference_number: int,
        owner: str,
        cl_ord_id: str,
        account: str,
        symbol: str,
        side: int,
        order_type: int,
        time_in_force: int,
        quantity: int,
        price: int,
    ) -> None:
        # The base class is spelled out: a call of super().__init__ costs as much as these lines.
        self.order_reference_number = order_reference_number
        self.side = side
        self.price = price
        self.leaves_qty = quantity
        self.level = None
        self._prev = None
        self._next = None
        self.order_id = order_reference_number
        self.owner = owner
        self.cl_ord_id = cl_ord_id
        self.account = account
        self.symbol = symbol
        self.order_type = order_type
        self.time_in_force = time_in_force
        self.quantity = quantity
        self.cum_qty = 0
        self.cum_value = 0
        self.ord_status = _NEW
        self.group_id = 0
        self.number_key = 0

    def special_values(self) -> tuple[Any, ...]:
        """What a snapshot holds of a SpecialOrder besides."""
        return ()

    def restore_special_values(self, values: Sequence[Any]) -> None:
        """Take what `special_values` gave."""
        assert not values, f"a plain order with {values!r}"

    def record_execution(self, quantity: int, price: int, leaves_qty: int) -> None:
        """Count a trade; `leaves_qty` is what the order had left right after it."""
        self.cum_qty += quantity
        self.cum_value += quantity * price
        status = self.ord_status
        after = (_AFTER_TRADE if leaves_qty else _AFTER_LAST_TRADE).get(status)
        self.ord_status = after or next_status(self.order_id, status, _TRADE, leaves_qty == 0)

    def record_bust(self, quantity: int, price: int) -> None:
        """Take an execution off that was declared void. What lives goes on without its shares; what
        was filled is canceled for the rest."""
        self.cum_qty -= quantity
        self.cum_value -= quantity * price
        if self.leaves_qty:
            self.quantity -= quantity
            self.ord_status = _PARTIALLY_FILLED if self.cum_qty else _NEW
        elif self.ord_status == _FILLED:
            self.ord_status = _WAS_CANCELED

    def record_cancel(self, reason: int = 0) -> None:
        """Close what is left; the order must be out of its book. It has expired when the
        CancelReason is that its time, or the auction that it was for, is over."""
        assert self.level is None, f"order {self.order_id} is canceled but still in the book"
        self.leaves_qty = 0
        status = self.ord_status
        if reason == _EXPIRED or (reason == _AUCTION_OVER and self.time_in_force in _FOR_AUCTIONS):
            self.ord_status = next_status(self.order_id, status, _EXPIRY, True)
            return
        after = _AFTER_CANCEL.get(status)
        self.ord_status = after or next_status(self.order_id, status, _CANCELED, True)

    def record_replace(self, cl_ord_id: str, quantity: int) -> None:
        """Take the name and the total quantity of an accepted replace, or of a reduction under the
        same name; the book has the rest."""
        self.cl_ord_id = cl_ord_id
        self.quantity = quantity
        self.ord_status = next_status(
            self.order_id, self.ord_status, _REPLACED, quantity == self.cum_qty
        )


class SpecialOrder(Order):
    """An order that wants more than a plain one: see oms.terms.

    `limit` is the limit that the client said, 0 for none; `price` is where the order stands now,
    which differs while it is pegged, or a market-to-limit order that has found its limit.
    `stop_price` is that of its terms until trades move it. `is_triggered` says that a stop order
    is one no more.
    """

    __slots__ = (
        "display_qty",
        "is_hidden",
        "is_triggered",
        "limit",
        "self_trade_action",
        "self_trade_group",
        "shown_qty",
        "stop_price",
        "terms",
    )

    terms: Terms

    def take_terms(self, terms: Terms, firm: str) -> None:
        """Take the terms of a new order, or of an accepted replace; `price` is the limit."""
        self.limit = self.price
        self.is_triggered = False
        self.shown_qty = 0
        self.stop_price = terms.stop_price
        self.set_terms(terms, firm)

    def set_terms(self, terms: Terms, firm: str) -> None:
        """Set what follows from the terms alone."""
        self.terms = terms
        self.display_qty = terms.display_qty
        self.self_trade_action = terms.self_trade_action
        group = terms.self_trade_group
        self.self_trade_group = (firm, group) if group else None
        is_unseen = terms.instructions & (Instruction.HIDDEN | Instruction.ALL_OR_NONE)
        self.is_hidden = bool(is_unseen or terms.min_qty or self.is_pegged)

    @property
    def is_pegged(self) -> bool:
        """Whether the price follows the best displayed prices."""
        return self.order_type == OrderType.PEGGED

    @property
    def is_waiting_stop(self) -> bool:
        """Whether the order is a stop order that no trade has triggered yet."""
        return self.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) and not self.is_triggered

    @property
    def is_plain_at_rest(self) -> bool:
        """Whether the order, once it rests, trades like any other."""
        waits = self.is_waiting_stop or self.time_in_force == TimeInForce.AT_THE_CLOSE
        return not (self.display_qty or self.is_hidden or waits)

    @property
    def trail_amount(self) -> int:
        """How far the stop price stays behind the trades, 0 if it does not move."""
        return self.terms.trail_amount

    @property
    def least_qty(self) -> int:
        """The fewest shares that the order trades at once."""
        if self.terms.instructions & Instruction.ALL_OR_NONE:
            return self.leaves_qty
        return min(max(self.terms.min_qty, 1), self.leaves_qty)

    def special_values(self) -> tuple[Any, ...]:
        """(terms, limit, shown_qty, stop_price, is_triggered)."""
        is_triggered = bool(self.is_triggered)
        return tuple(self.terms), self.limit, self.shown_qty, self.stop_price, is_triggered

    def restore_special_values(self, values: Sequence[Any]) -> None:
        """Take what `special_values` gave. The group is set once the owner is known."""
        terms, self.limit, self.shown_qty, self.stop_price, self.is_triggered = values
        self.set_terms(Terms(*terms), "")

    def current_terms(self) -> Terms:
        """The terms, with the stop price as it is now."""
        return self.terms._replace(stop_price=self.stop_price)


def limit_of(order: Order) -> int:
    """The limit that the client said, 0 for none; of a market-to-limit order that it has found."""
    return order.limit if isinstance(order, SpecialOrder) and order.is_pegged else order.price


def make_special(order: Order, fields: Sequence[Any], firm: str) -> SpecialOrder:
    """A new order with the terms of its command, as `as_terms` takes them."""
    special = SpecialOrder(
        order.order_reference_number,
        order.owner,
        order.cl_ord_id,
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.quantity,
        order.price,
    )
    special.group_id = order.group_id
    special.take_terms(as_terms(fields), firm)
    return special


def with_first_terms(order: Order, terms: Terms) -> SpecialOrder:
    """A live plain order as one that has terms; it takes the place of the other everywhere."""
    special = make_special(order, terms, "")
    special.order_id = order.order_id
    special.cum_qty = order.cum_qty
    special.cum_value = order.cum_value
    special.ord_status = order.ord_status
    return special


def terms_of(order: Order) -> Terms:
    """The terms of any order as they are now."""
    return order.current_terms() if isinstance(order, SpecialOrder) else NO_TERMS


ORDER_COLUMNS: Final = (
    "order_id",
    "order_reference_number",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "quantity",
    "price",
    "leaves_qty",
    "cum_qty",
    "cum_value",
    "ord_status",
    "group_id",
    "special",
)
"""What there is to know of an order besides whose it is, how it is called, and where it rests.
`special` is what a SpecialOrder has besides, () for the others."""

OLD_COLUMNS: Final = len(ORDER_COLUMNS) - 1
"""So many of them had a snapshot before there were special orders."""


def order_columns(orders: Sequence[Order]) -> list[list[Any]]:
    """Fields of orders, a list for each of ORDER_COLUMNS.

    Written out: an attrgetter takes three times as long. A command may have brought members of an
    enumeration; whoever reads this finds integers.
    """
    return [
        [order.order_id for order in orders],
        [order.order_reference_number for order in orders],
        [order.symbol for order in orders],
        [int(order.side) for order in orders],
        [int(order.order_type) for order in orders],
        [int(order.time_in_force) for order in orders],
        [order.quantity for order in orders],
        [order.price for order in orders],
        [order.leaves_qty for order in orders],
        [order.cum_qty for order in orders],
        [order.cum_value for order in orders],
        [order.ord_status for order in orders],
        [order.group_id for order in orders],
        [order.special_values() for order in orders],
    ]


def restore_orders(columns: Iterable[Iterable[Any]]) -> list[Order]:
    """Make orders of their columns. None rests, and `owner`, `account` and `cl_ord_id` are
    "": they are for the caller to set.

    Raises ValueError when the columns have not the same length.
    """
    orders: list[Order] = []
    for (
        order_id,
        number,
        symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
        leaves_qty,
        cum_qty,
        cum_value,
        ord_status,
        group_id,
        special,
    ) in zip(*columns, strict=True):
        order_class = SpecialOrder if special else Order
        order = order_class(
            number, "", "", "", symbol, side, order_type, time_in_force, quantity, price
        )
        order.order_id = order_id
        order.leaves_qty = leaves_qty
        order.cum_qty = cum_qty
        order.cum_value = cum_value
        order.ord_status = ord_status
        order.group_id = group_id
        if special:
            order.restore_special_values(special)
        orders.append(order)
    return orders
