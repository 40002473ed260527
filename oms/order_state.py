"""An order and its life: OrdStatus, CumQty, LeavesQty, and the table of what may follow what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final

from matching.types import BookOrder
from oms.events import OrdStatus


class ExecType(IntEnum):
    """What happened to a live order (FIX 150; the wire characters live in the codecs)."""

    TRADE = 1
    CANCELED = 2
    REPLACED = 3


NEXT_STATUS: Final[dict[tuple[int, int, bool], OrdStatus]] = {
    # (status before, what happened, is nothing left): status after
    (OrdStatus.NEW, ExecType.TRADE, False): OrdStatus.PARTIALLY_FILLED,
    (OrdStatus.NEW, ExecType.TRADE, True): OrdStatus.FILLED,
    (OrdStatus.NEW, ExecType.CANCELED, True): OrdStatus.CANCELED,
    (OrdStatus.NEW, ExecType.REPLACED, False): OrdStatus.NEW,
    (OrdStatus.PARTIALLY_FILLED, ExecType.TRADE, False): OrdStatus.PARTIALLY_FILLED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.TRADE, True): OrdStatus.FILLED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.CANCELED, True): OrdStatus.CANCELED,
    (OrdStatus.PARTIALLY_FILLED, ExecType.REPLACED, False): OrdStatus.PARTIALLY_FILLED,
}
"""The life of an order after it was accepted as NEW. A key that is missing is a bug: FILLED,
CANCELED and REJECTED are final, a cancel leaves nothing, a replace leaves something."""

# The same table in plain integers: what events carry must not depend on where a status came from.
_NEXT_STATUS: Final[dict[tuple[int, int, bool], int]] = {
    (int(before), int(exec_type), is_done): int(after)
    for (before, exec_type, is_done), after in NEXT_STATUS.items()
}
_NEW: Final = int(OrdStatus.NEW)
_TRADE: Final = int(ExecType.TRADE)
_CANCELED: Final = int(ExecType.CANCELED)
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
    choose by, 0 for none.
    """

    __slots__ = (
        "account",
        "cl_ord_id",
        "cum_qty",
        "cum_value",
        "group_id",
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

    def record_execution(self, quantity: int, price: int, leaves_qty: int) -> None:
        """Count a trade; `leaves_qty` is what the order had left right after it."""
        self.cum_qty += quantity
        self.cum_value += quantity * price
        steps = _AFTER_TRADE if leaves_qty else _AFTER_LAST_TRADE
        after = steps.get(self.ord_status)
        if after is None:
            after = next_status(self.order_id, self.ord_status, _TRADE, leaves_qty == 0)  # says why
        self.ord_status = after

    def record_cancel(self) -> None:
        """Close what is left; the order must be out of its book."""
        assert self.level is None, f"order {self.order_id} is canceled but still in the book"
        self.leaves_qty = 0
        self.ord_status = next_status(self.order_id, self.ord_status, _CANCELED, True)

    def record_replace(self, cl_ord_id: str, quantity: int) -> None:
        """Take the name and the total quantity of an accepted replace, or of a reduction under the
        same name; the book has the rest."""
        self.cl_ord_id = cl_ord_id
        self.quantity = quantity
        self.ord_status = next_status(
            self.order_id, self.ord_status, _REPLACED, quantity == self.cum_qty
        )


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
)
"""What there is to know of an order besides whose it is, how it is called, and where it rests."""


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
    ]


def restore_orders(columns: Iterable[Iterable[Any]]) -> list[Order]:
    """Make orders of their columns. None rests, and `owner`, `account` and `cl_ord_id` are
    not set: that is for the caller to do.

    Raises ValueError when the columns have not the same length. There may be a million orders: to
    call Order and to assign again what it assigns would take half as long again.
    """
    new = Order.__new__
    orders: list[Order] = []
    for fields in zip(*columns, strict=True):
        order = new(Order)
        (
            order.order_id,
            order.order_reference_number,
            order.symbol,
            order.side,
            order.order_type,
            order.time_in_force,
            order.quantity,
            order.price,
            order.leaves_qty,
            order.cum_qty,
            order.cum_value,
            order.ord_status,
            order.group_id,
        ) = fields
        order.level = order._prev = order._next = None
        orders.append(order)
    return orders
