"""Events as plain tuples: one function per event that is made in more than one place or is hot.

Why tuples and not the NamedTuples of oms.events that define their shape: building one of those
costs seven times as much, and there are several events per order. The functions give mypy typed
arguments, and the tests rebuild every event of their runs as its NamedTuple, field by field.
Constants are plain integers for the same reason, and because a member of an enumeration would
make events of two replicas print differently after one of them came out of a snapshot.
"""

from __future__ import annotations

from typing import Final

from matching.types import Side
from oms.commands import Command
from oms.events import Event, EventKind, OrdStatus
from oms.order_state import Order, SpecialOrder
from oms.risk import Refusal

_ACCEPTED: Final = int(EventKind.ORDER_ACCEPTED)
_EXECUTED: Final = int(EventKind.ORDER_EXECUTED)
_CANCELED: Final = int(EventKind.ORDER_CANCELED)
_REPLACED: Final = int(EventKind.ORDER_REPLACED)
_REJECTED: Final = int(EventKind.ORDER_REJECTED)
_CANCEL_REJECTED: Final = int(EventKind.CANCEL_REJECTED)
_STATUS_REPORTED: Final = int(EventKind.ORDER_STATUS_REPORTED)
_REDUCED: Final = int(EventKind.ORDER_REDUCED)
_MODIFIED: Final = int(EventKind.ORDER_MODIFIED)
_LISTED: Final = int(EventKind.ORDER_LISTED)
_ORDERS_CANCELED: Final = int(EventKind.ORDERS_CANCELED)
_NUMBER_REJECTED: Final = int(EventKind.NUMBER_REJECTED)
_TRIGGERED: Final = int(EventKind.ORDER_TRIGGERED)
_RESTATED: Final = int(EventKind.ORDER_RESTATED)
_BOOK_ADDED: Final = int(EventKind.BOOK_ADDED)
_BOOK_REDUCED: Final = int(EventKind.BOOK_REDUCED)
_BOOK_DELETED: Final = int(EventKind.BOOK_DELETED)
_BOOK_REPLACED: Final = int(EventKind.BOOK_REPLACED)
_BOOK_EXECUTED: Final = int(EventKind.BOOK_EXECUTED)
_STATUS_NEW: Final = int(OrdStatus.NEW)
_STATUS_REJECTED: Final = int(OrdStatus.REJECTED)
_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)


def _order_state(kind: int, order: Order, leaves_qty: int) -> Event:
    """ORDER_FIELDS of an order. `leaves_qty` is an argument because the book has already lowered
    that of an incoming order when its first execution is reported."""
    return (
        kind,
        order.owner,
        order.cl_ord_id,
        order.order_id,
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.quantity,
        order.price,
        order.cum_qty,
        leaves_qty,
        order.cum_value,
        order.ord_status,
        order.order_reference_number,
    )


def order_accepted(order: Order, memo: bytes | None = None) -> Event:
    """OrderAccepted of an order to which nothing has happened yet, with `memo` at its end unless
    that is None; to be made before the book has seen it."""
    # Written out twice: _order_state of an order of which all is known that is not its own, and
    # a tuple that is made longer afterwards is made twice.
    order_id, quantity = order.order_id, order.quantity
    if memo is None:
        return (
            _ACCEPTED,
            order.owner,
            order.cl_ord_id,
            order_id,
            order.account,
            order.symbol,
            order.side,
            order.order_type,
            order.time_in_force,
            quantity,
            order.price,
            0,
            quantity,
            0,
            _STATUS_NEW,
            order_id,
        )
    return (
        _ACCEPTED,
        order.owner,
        order.cl_ord_id,
        order_id,
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        quantity,
        order.price,
        0,
        quantity,
        0,
        _STATUS_NEW,
        order_id,
        memo,
    )


def order_executed(
    order: Order, leaves_qty: int, quantity: int, price: int, match_number: int, liquidity: int
) -> Event:
    """OrderExecuted of one side, after Order.record_execution."""
    # Written out: unpacking _order_state into a longer tuple costs as much again.
    return (
        _EXECUTED,
        order.owner,
        order.cl_ord_id,
        order.order_id,
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.quantity,
        order.price,
        order.cum_qty,
        leaves_qty,
        order.cum_value,
        order.ord_status,
        order.order_reference_number,
        quantity,
        price,
        match_number,
        liquidity,
    )


def order_canceled(
    order: Order, cl_ord_id: str, orig_cl_ord_id: str, canceled_qty: int, reason: int
) -> Event:
    """OrderCanceled, after Order.record_cancel. `cl_ord_id` is the request's, or the order's when
    nobody asked; then `orig_cl_ord_id` is ""."""
    return (
        _CANCELED,
        order.owner,
        cl_ord_id,
        order.order_id,
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.quantity,
        order.price,
        order.cum_qty,
        0,
        order.cum_value,
        order.ord_status,
        order.order_reference_number,
        orig_cl_ord_id,
        canceled_qty,
        reason,
    )


def order_replaced(
    order: Order, leaves_qty: int, orig_cl_ord_id: str, limit: int | None = None
) -> Event:
    """OrderReplaced: the order as it is after the replace and before its executions. `limit` is
    what the client said where that is not the price at which the order stands (a pegged one)."""
    event = (*_order_state(_REPLACED, order, leaves_qty), orig_cl_ord_id)
    return event if limit is None else (*event[:10], limit, *event[11:])


def with_end(event: Event, order: Order, memo: bytes | None) -> Event:
    """An event with what it ends with: the memo of a numbered request (None: of another), and the
    terms of an order that has any."""
    if isinstance(order, SpecialOrder):
        return (*event, memo or b"", tuple(order.current_terms()))
    return event if memo is None else (*event, memo)


def order_triggered(order: Order) -> Event:
    """OrderTriggered."""
    return _order_state(_TRIGGERED, order, order.leaves_qty)


def order_restated(order: Order) -> Event:
    """OrderRestated: the order displays its next part."""
    return (*_order_state(_RESTATED, order, order.leaves_qty), order.shown_qty)


def order_reduced(order: Order, canceled_qty: int) -> Event:
    """OrderReduced: the order as it is after the reduction."""
    return (*_order_state(_REDUCED, order, order.leaves_qty), canceled_qty)


def order_modified(order: Order, canceled_qty: int) -> Event:
    """OrderModified: the order as it is after the change."""
    return (*_order_state(_MODIFIED, order, order.leaves_qty), canceled_qty)


def number_rejected(owner: str, channel: int, number: int, refusal: Refusal, memo: bytes) -> Event:
    """NumberRejected; the limit of a refusal has no place in it."""
    reason, found, _ = refusal
    return (_NUMBER_REJECTED, owner, channel, number, int(reason), found, memo)


def order_rejected(command: Command, refusal: Refusal) -> Event:
    """OrderRejected for an EnterOrder, or for what has its fields."""
    _, session, _, account, cl_ord_id, symbol, side, order_type, tif, quantity, price = command[:11]
    reason, found, limit = refusal
    return (
        _REJECTED,
        session,
        cl_ord_id,
        0,
        account,
        symbol,
        side,
        order_type,
        tif,
        quantity,
        price,
        0,
        0,
        0,
        _STATUS_REJECTED,
        0,
        int(reason),
        found,
        limit,
    )


def cancel_rejected(
    command: Command, order: Order | int, response_to: int, refusal: Refusal
) -> Event:
    """CancelRejected for a CancelOrder or ReplaceOrder, which begin with the same fields.

    `order` is the order that was meant, or the OrdStatus that is all that is known of it: REJECTED
    when there is no such order.
    """
    _, session, _, cl_ord_id, orig_cl_ord_id, symbol, *_ = command
    reason, found, limit = refusal
    if isinstance(order, Order):
        order_id, account, symbol = order.order_id, order.account, order.symbol
        status = order.ord_status
    else:
        order_id, account, status = 0, "", order
    return (
        _CANCEL_REJECTED,
        session,
        cl_ord_id,
        orig_cl_ord_id,
        order_id,
        account,
        symbol,
        status,
        int(response_to),
        int(reason),
        found,
        limit,
    )


def orders_canceled(command: Command, canceled: int, refusal: Refusal | None) -> Event:
    """OrdersCanceled for a CancelOrders; it is done when there is no refusal."""
    _, session, _, cl_ord_id, symbol, side = command
    reason, found, limit = refusal or (0, "", "")
    return (
        _ORDERS_CANCELED,
        session,
        cl_ord_id,
        symbol,
        side,
        canceled,
        int(reason),
        found,
        limit,
    )


def order_status_reported(order: Order) -> Event:
    """OrderStatusReported for an order that lives or is remembered."""
    return _with_terms(_order_state(_STATUS_REPORTED, order, order.leaves_qty), order)


def _with_terms(event: Event, order: Order) -> Event:
    return (*event, tuple(order.current_terms())) if isinstance(order, SpecialOrder) else event


def unknown_order_reported(owner: str, cl_ord_id: str, symbol: str, side: int) -> Event:
    """OrderStatusReported for an order that the exchange cannot describe."""
    return _no_order(_STATUS_REPORTED, owner, cl_ord_id, symbol, side)


def order_listed(order: Order, request_id: str, total: int, remaining: int) -> Event:
    """OrderListed for an order that lives."""
    event = (*_order_state(_LISTED, order, order.leaves_qty), request_id, total, remaining)
    return _with_terms(event, order)


def no_order_listed(owner: str, request_id: str, symbol: str, side: int) -> Event:
    """OrderListed where there is none to list."""
    return (*_no_order(_LISTED, owner, "", symbol, side), request_id, 0, 0)


def _no_order(kind: int, owner: str, cl_ord_id: str, symbol: str, side: int) -> Event:
    """ORDER_FIELDS where there is no order."""
    return (
        kind,
        owner,
        cl_ord_id,
        0,
        "",
        symbol,
        side,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        _STATUS_REJECTED,
        0,
    )


def book_added(order: Order, stock_locate: int) -> Event:
    """BookAdded with what is displayed. The feed has two sides: a short sale shows as a sale."""
    return (
        _BOOK_ADDED,
        "",
        stock_locate,
        order.order_reference_number,
        _BUY if order.side == _BUY else _SELL,
        order.shown_qty or order.leaves_qty,
        order.price,
    )


def book_executed(
    order: Order, stock_locate: int, quantity: int, price: int, match_number: int
) -> Event:
    """BookExecuted: displayed shares have traded in an auction."""
    reference = order.order_reference_number
    return (_BOOK_EXECUTED, "", stock_locate, reference, quantity, price, match_number)


def book_reduced(order: Order, stock_locate: int, canceled_qty: int) -> Event:
    """BookReduced: the order keeps its place."""
    return (_BOOK_REDUCED, "", stock_locate, order.order_reference_number, canceled_qty)


def book_deleted(stock_locate: int, order_reference_number: int) -> Event:
    """BookDeleted."""
    return (_BOOK_DELETED, "", stock_locate, order_reference_number)


def book_replaced(order: Order, stock_locate: int, original_reference_number: int) -> Event:
    """BookReplaced: the order stands last in its level under its new number."""
    return (
        _BOOK_REPLACED,
        "",
        stock_locate,
        original_reference_number,
        order.order_reference_number,
        order.shown_qty or order.leaves_qty,
        order.price,
    )
