"""What clients ask about orders: replace.

The functions without an underscore are the steps that numbered orders have in common with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from matching.types import OrderType
from oms import reports
from oms.commands import Command, ReplaceOrder
from oms.events import CancelRejectedResponseTo, Event
from oms.names import NAMES_NO_ORDER
from oms.order_commands import (
    change_refused,
    find_order_to_change,
    mismatch,
    refusal_of_session,
    refusal_of_trade,
    report_executions,
)
from oms.order_state import Order, SpecialOrder, limit_of, make_special, terms_of
from oms.risk import REDUCE_CHECKS, REPLACE_CHECKS, Refusal, first_refusal, is_plain_order
from oms.special_trading import SpecialTrading
from oms.state import ExchangeState
from oms.terms import NO_TERMS, as_terms
from oms.terms_checks import refusal_of_state, refusal_of_terms

_PEGGED: Final = int(OrderType.PEGGED)
_PLAIN_FIELDS: Final = len(ReplaceOrder._fields)
"""So many fields has the command; the terms would follow."""


def replace_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ReplaceOrder: OrderReplaced and what follows from it, or CancelRejected."""
    terms = None
    if len(command) > _PLAIN_FIELDS:
        command, terms = command[:-1], command[-1]
    (
        _,
        session_name,
        msg_seq_num,
        cl_ord_id,
        orig_cl_ord_id,
        symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    ) = command
    order = find_order_to_change(state, session_name, msg_seq_num, cl_ord_id, orig_cl_ord_id)
    if isinstance(order, Order):
        if terms is None and order.order_type == _PEGGED and price == 0:
            price = limit_of(order)
        terms = terms_that_change(order, terms)
        refusal = (
            _order_entry_disabled(state, order)
            or _mismatch(order, symbol, side, order_type, time_in_force)
            or refusal_of_replace(state, order, quantity, price, terms)
        )
        if refusal is None:
            return replace_open_order(state, order, cl_ord_id, quantity, price, terms)
    else:
        refusal = order
    return [change_refused(state, command, CancelRejectedResponseTo.REPLACE, refusal)]


def _mismatch(
    order: Order, symbol: str, side: int, order_type: int, time_in_force: int
) -> Refusal | None:
    """Refuse a replace that describes another order than the one it names."""
    if (
        symbol == order.symbol
        and side == order.side
        and order_type == order.order_type
        and time_in_force == order.time_in_force
    ):
        return None
    return mismatch(
        ("symbol", symbol, order.symbol),
        ("side", side, order.side),
        ("order_type", order_type, order.order_type),
        ("time_in_force", time_in_force, order.time_in_force),
    )


def terms_that_change(order: Order, fields: Sequence[Any] | None) -> Sequence[Any] | None:
    """The terms of a replace, or None when they are what the order has, as it said them or as they
    are now: a client that must repeat them does not ask for another turn by it."""
    if fields is None:
        return None
    terms = as_terms(fields)
    has = order.terms if isinstance(order, SpecialOrder) else NO_TERMS
    return None if terms in (has, terms_of(order)) else terms


def _order_entry_disabled(state: ExchangeState, order: Order) -> Refusal | None:
    session = state.sessions[order.owner]
    return None if session.takes_orders else refusal_of_session(session)


def refusal_of_replace(
    state: ExchangeState,
    order: Order,
    quantity: int,
    price: int,
    fields: Sequence[Any] | None = None,
) -> Refusal | None:
    """Run the checks of a replace on the order as it would be. `fields` are its new terms, None
    when it keeps those that it has."""
    listing, account = state.listings[order.symbol], state.accounts[order.account]
    side, order_type, time_in_force = order.side, order.order_type, order.time_in_force
    is_special = isinstance(order, SpecialOrder)
    is_plain = fields is None and not is_special and quantity > order.cum_qty
    if is_plain and is_plain_order(
        listing, account, side, order_type, time_in_force, quantity, price
    ):
        return None
    changed = Order(
        order.order_reference_number,
        order.owner,
        order.cl_ord_id,
        order.account,
        order.symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    )
    if is_special or fields is not None:
        terms = terms_of(order) if fields is None else fields
        changed = make_special(changed, terms, account.firm)
        changed.is_triggered = isinstance(order, SpecialOrder) and order.is_triggered
    changed.cum_qty = order.cum_qty
    changed.leaves_qty = max(0, quantity - order.cum_qty)
    only_reduces = price == limit_of(order) and quantity < order.quantity and fields is None
    checks = REDUCE_CHECKS if only_reduces else REPLACE_CHECKS
    refusal = first_refusal(checks, changed, listing, account)
    if refusal is None and fields is not None:
        refusal = refusal_of_terms(cast(SpecialOrder, changed), listing, state.last_time_ns)
    if refusal is not None or only_reduces:
        return refusal
    return refusal_of_state(changed, listing) or refusal_of_trade(changed, listing)


def replace_open_order(
    state: ExchangeState,
    order: Order,
    cl_ord_id: str,
    quantity: int,
    price: int,
    fields: Sequence[Any] | None = None,
    memo: bytes | None = None,
) -> list[Event]:
    """Give a live order another name, total quantity and price, and other terms unless `fields` is
    None; it may trade and even fill. The first event is OrderReplaced, with `memo` at its end
    unless that is None."""
    is_plain = fields is None and not isinstance(order, SpecialOrder)
    if not (is_plain and state.listings[order.symbol].is_plain):
        trading = SpecialTrading(state, state.listings[order.symbol])
        terms = None if fields is None else as_terms(fields)
        return trading.replace(order, cl_ord_id, quantity, price, terms, memo)
    events = _replace_plain_order(state, order, cl_ord_id, quantity, price)
    if memo is not None:
        events[0] += (memo,)
    return events


def _replace_plain_order(
    state: ExchangeState, order: Order, cl_ord_id: str, quantity: int, price: int
) -> list[Event]:
    session = state.sessions[order.owner]
    listing = state.listings[order.symbol]
    stock_locate = listing.stock_locate
    orig_cl_ord_id = order.cl_ord_id
    original_number = order.order_reference_number
    original_leaves_qty = order.leaves_qty
    leaves_qty = quantity - order.cum_qty
    new_number = state.last_order_reference_number + 1

    executions = listing.book.replace(order, new_number, price, leaves_qty)
    order.record_replace(cl_ord_id, quantity)
    session.names.let_stand(orig_cl_ord_id, NAMES_NO_ORDER)
    session.names.let_stand(cl_ord_id, order)
    events = [reports.order_replaced(order, leaves_qty, orig_cl_ord_id)]
    if executions is None:  # it has kept its place
        canceled_qty = original_leaves_qty - leaves_qty
        events.append(reports.book_reduced(order, stock_locate, canceled_qty))
        return events
    state.last_order_reference_number = new_number
    if not executions:
        events.append(reports.book_replaced(order, stock_locate, original_number))
        return events
    events.append(reports.book_deleted(stock_locate, original_number))
    report_executions(state, executions, listing, events)
    if order.is_resting:
        events.append(reports.book_added(order, stock_locate))
    else:
        session.close(order)
    return events
