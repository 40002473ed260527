"""What clients ask whose protocol counts requests instead of naming them (OUCH 5.0).

The rules are those of OUCH 5.0, in words of no protocol. Within (session, channel) the numbers that
create something rise, and a request under a number that is not above the last one used is ignored,
without an event and without a trace, so that a client who reconnects may send everything again. A
request about an order that is not live is ignored too: the client has read, or will, why it is not.

Numbered orders and named ones are the same orders: a number is a name too (oms.names), and a
session that speaks two protocols has one set of names for both.

Each function with (state, command) carries out one command of oms.commands and returns the events
in the order that oms/README.md tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from matching.types import OrderType, Side, TimeInForce
from oms import reports
from oms.commands import Command, EnterNumberedOrder, ReplaceNumberedOrder
from oms.events import CancelReason, Event, EventKind, RejectReason
from oms.names import NAMES_NO_ORDER, number_name
from oms.order_commands import (
    cancel_open_order,
    cancel_open_orders,
    match_new_order,
    refusal_of_choice,
    refusal_of_entry,
    refusal_of_session,
)
from oms.order_state import Order, SpecialOrder, make_special, terms_of
from oms.replace_commands import refusal_of_replace, replace_open_order, terms_that_change
from oms.risk import Refusal, is_plain_order, is_special
from oms.sessions import Session
from oms.special_trading import SpecialTrading
from oms.state import ExchangeState
from oms.terms import KEPT, Instruction, Terms, change_terms

HIGHEST_GROUP_ID: Final = 2**16 - 1
_ENTER_FIELDS: Final = len(EnterNumberedOrder._fields)
_PRICE: Final = EnterNumberedOrder._fields.index("price")
_MEMO: Final = EnterNumberedOrder._fields.index("memo")
_REPLACE_FIELDS: Final = len(ReplaceNumberedOrder._fields)
"""So many fields have the commands; terms would follow."""

_PEG: Final = Terms._fields.index("peg")
_DISPLAYED: Final = Terms._fields.index("instructions") * (None,) + (
    int(Instruction.POST_ONLY | Instruction.ALL_OR_NONE) << KEPT,
)
_SAID_FOR_PEGS: Final = (int(OrderType.MARKET), int(OrderType.LIMIT), int(OrderType.PEGGED))
_FOR_AUCTIONS: Final = (int(TimeInForce.AT_THE_OPEN), int(TimeInForce.AT_THE_CLOSE))
_SAID_FOR_AUCTIONS: Final = (int(TimeInForce.DAY), int(TimeInForce.IOC))
_SALES: Final = (int(Side.SELL), int(Side.SELL_SHORT), int(Side.SELL_SHORT_EXEMPT))
_USER: Final = int(CancelReason.USER)
_REPLACE_INVALID: Final = int(CancelReason.REPLACE_INVALID)
_MASS_CANCEL: Final = int(CancelReason.MASS_CANCEL)
_MASS_CANCELED: Final = int(EventKind.MASS_CANCELED)
_ORDER_ENTRY_SET: Final = int(EventKind.ORDER_ENTRY_SET)
_NUMBERS_REPORTED: Final = int(EventKind.NUMBERS_REPORTED)
_ENTRY: Final = 0
"""Fills the places of an EnterOrder that no rejection reads."""

_REASONS: Final = {int(reason): reason for reason in RejectReason}


def enter_numbered_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out EnterNumberedOrder: OrderAccepted and what follows from it, or OrderRejected."""
    fields = None
    if len(command) > _ENTER_FIELDS:
        command, fields = command[:-1], command[-1]
    (
        _,
        session_name,
        channel,
        number,
        symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
        group_id,
        refusal,
        found,
        memo,
    ) = command
    cl_ord_id = number_name(channel, number)
    session = state.sessions.get(session_name)
    if session is None:
        unknown = RejectReason.UNKNOWN_SESSION, session_name, ""
        return [_entry_refused(command, "", cl_ord_id, unknown)]
    last_numbers = session.last_numbers  # what _use_up does, without the call
    if number <= last_numbers.get(channel, 0):
        return []
    last_numbers[channel] = number
    account = session.account
    listing = state.listings.get(symbol)
    is_plain = (
        listing is not None
        and session.takes_orders
        and not refusal
        and fields is None
        and 0 <= group_id <= HIGHEST_GROUP_ID
        and is_plain_order(listing, account, side, order_type, time_in_force, quantity, price)
    )
    order_id = state.last_order_reference_number + 1
    order = Order(
        order_id,
        session.name,
        cl_ord_id,
        account.account,
        symbol if listing is None else listing.symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    )
    order.group_id = group_id
    if is_plain and session.names.use_number(channel, number, order):
        assert listing is not None
        state.last_order_reference_number = order_id
        return match_new_order(state, order, session, listing, memo)

    if fields is not None or is_special(order):
        order = make_special(order, () if fields is None else fields, account.firm)
    if not session.names.use_number(channel, number, NAMES_NO_ORDER):
        # An order has the same name without being numbered.
        refused: Refusal | None = (RejectReason.DUPLICATE_CL_ORD_ID, cl_ord_id, "")
    else:
        refused = _refusal_of_entry(state, session, order, refusal, found)
    if refused is not None:
        return [_entry_refused(command, account.account, cl_ord_id, refused)]
    assert listing is not None, f"{symbol} is not listed, and order {order_id} not refused"
    state.last_order_reference_number = order_id
    session.names.let_stand(cl_ord_id, order)
    if isinstance(order, SpecialOrder):
        return SpecialTrading(state, listing).accept(order, memo)
    return match_new_order(state, order, session, listing, memo)


def _entry_refused(command: Command, account: str, cl_ord_id: str, refused: Refusal) -> Event:
    """OrderRejected for an EnterNumberedOrder, with its memo."""
    _, session_name, _, _, *terms = command[: _PRICE + 1]
    asked = (_ENTRY, session_name, _ENTRY, account, cl_ord_id, *terms)
    return (*reports.order_rejected(asked, refused), command[_MEMO])


def _refusal_of_entry(
    state: ExchangeState, session: Session, order: Order, refusal: int, found: int | str
) -> Refusal | None:
    """Run the checks of a new order: those of an EnterOrder, with the gateway's own after those of
    the session."""
    if not session.takes_orders:
        return refusal_of_session(session)
    if refusal:
        return _gateways_refusal(refusal, found)
    if not 0 <= order.group_id <= HIGHEST_GROUP_ID:
        return RejectReason.INVALID_INSTRUCTION, f"group_id {order.group_id}", ""
    listing = state.listings.get(order.symbol)
    if listing is None:
        return RejectReason.UNKNOWN_SYMBOL, order.symbol, ""
    return refusal_of_entry(state, order, listing, session.account)


def replace_numbered_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ReplaceNumberedOrder: OrderReplaced and what follows; or OrderCanceled and
    BookDeleted of the original; or NumberRejected; or nothing.

    The new number is used up by OrderReplaced and NumberRejected only (OUCH 5.0, 2.2).
    """
    fields = None
    if len(command) > _REPLACE_FIELDS:
        command, fields = command[:-1], command[-1]
    (
        _,
        session_name,
        channel,
        orig_number,
        number,
        time_in_force,
        quantity,
        price,
        order_type,
        refusal,
        _,  # found: the cancel that answers has no place for it
        memo,
    ) = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_unknown_session(session_name, channel, number, memo)]
    order = _find_live(session, channel, orig_number)
    if order is None or number <= session.last_numbers.get(channel, 0):
        return []
    if not session.takes_orders:
        # The original stays, as it does in FIX: to disable entry must not cancel by accident.
        session.last_numbers[channel] = number
        refused = refusal_of_session(session)
        return [reports.number_rejected(session_name, channel, number, refused, memo)]
    cl_ord_id = number_name(channel, number)
    is_other = _is_other(order, order_type, time_in_force, fields)
    fields = _changed_terms(order, fields)
    if refusal or is_other or session.names.is_text(cl_ord_id):
        return _cancel(state, order, _REPLACE_INVALID)
    if quantity <= order.cum_qty:
        return _cancel(state, order, _USER)
    if refusal_of_replace(state, order, quantity, price, fields) is not None:
        return _cancel(state, order, _REPLACE_INVALID)
    session.last_numbers[channel] = number
    session.names.use_number(channel, number, NAMES_NO_ORDER)
    return replace_open_order(state, order, cl_ord_id, quantity, price, fields, memo)


def _is_other(
    order: Order, order_type: int, time_in_force: int, change: Sequence[Any] | None
) -> bool:
    """Whether a replace means an order of another kind. What it cannot say stays: for which auction
    the order is, and that it is pegged (its price is the limit, or none) unless a change says so.
    """
    if time_in_force != order.time_in_force and not (
        order.time_in_force in _FOR_AUCTIONS and time_in_force in _SAID_FOR_AUCTIONS
    ):
        return True
    is_peg_said = change is not None and len(change) > _PEG and change[_PEG] is not None
    if order.order_type == OrderType.PEGGED and not is_peg_said:
        return order_type not in _SAID_FOR_PEGS
    return bool(order_type != order.order_type)


def _changed_terms(order: Order, change: Sequence[Any] | None) -> Sequence[Any] | None:
    """The terms that an order is to have, None when they stay. What says nothing of them says that
    the order is displayed, as it says its quantity and its price."""
    if change is None and not isinstance(order, SpecialOrder):
        return None
    changed = change_terms(terms_of(order), _DISPLAYED if change is None else change)
    return terms_that_change(order, changed)


def reduce_numbered_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ReduceNumberedOrder: OrderReduced and BookReduced; or OrderCanceled and
    BookDeleted; or nothing. Like any cancel it passes no check: it works in every trading state,
    and what is left may be an odd lot."""
    _, session_name, channel, number, quantity = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_unknown_session(session_name, channel, number, b"")]
    order = _find_live(session, channel, number)
    if order is None or quantity >= order.quantity:
        return []
    if quantity <= order.cum_qty:
        return _cancel(state, order, _USER)
    return _take_off(state, order, quantity, reports.order_reduced)


def modify_numbered_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ModifyNumberedOrder: OrderModified, and BookReduced if shares were taken off; or
    OrderCanceled and BookDeleted; or nothing. It passes no check, as ReduceNumberedOrder."""
    _, session_name, channel, number, side, quantity = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_unknown_session(session_name, channel, number, b"")]
    order = _find_live(session, channel, number)
    if order is None or quantity > order.quantity:
        return []
    if side != order.side and (side not in _SALES or order.side not in _SALES):
        return []
    if quantity <= order.cum_qty:
        return _cancel(state, order, _USER)
    order.side = int(side)  # the book keeps all sales on one side
    if quantity == order.quantity:
        return [reports.order_modified(order, 0)]
    return _take_off(state, order, quantity, reports.order_modified)


def mass_cancel(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out MassCancel: MassCanceled, and OrderCanceled and BookDeleted for each order in the
    order of entry; or NumberRejected; or nothing."""
    (
        _,
        session_name,
        channel,
        number,
        symbol,
        side,
        group_id,
        only_channel,
        refusal,
        found,
        memo,
    ) = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_unknown_session(session_name, channel, number, memo)]
    if not _use_up(session, channel, number):
        return []
    refused = (
        _gateways_refusal(refusal, found) if refusal else refusal_of_choice(state, symbol, side)
    )
    if refused is not None:
        return [reports.number_rejected(session_name, channel, number, refused, memo)]
    orders = [
        order
        for order in session.open_orders_that_fit(symbol, side)
        if group_id in (0, order.group_id)
        and (only_channel == -1 or _is_of_channel(order, only_channel))
    ]
    head = (_MASS_CANCELED, session_name, channel, number, symbol, len(orders), memo)
    return [head, *cancel_open_orders(state, orders, _MASS_CANCEL)]


def set_order_entry(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out SetOrderEntry: OrderEntrySet, or NumberRejected, or nothing."""
    _, session_name, channel, number, enabled, refusal, found, memo = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_unknown_session(session_name, channel, number, memo)]
    if not _use_up(session, channel, number):
        return []
    if refusal:
        refused = _gateways_refusal(refusal, found)
        return [reports.number_rejected(session_name, channel, number, refused, memo)]
    session.order_entry_enabled = bool(enabled)
    session.decide_whether_it_takes_orders()
    return [(_ORDER_ENTRY_SET, session_name, channel, number, bool(enabled), memo)]


def query_numbers(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryNumbers: NumbersReported, or NumberRejected for an unknown session."""
    _, session_name, channel = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_unknown_session(session_name, channel, 0, b"")]
    next_number = session.last_numbers.get(channel, 0) + 1
    return [(_NUMBERS_REPORTED, session_name, channel, next_number)]


def _use_up(session: Session, channel: int, number: int) -> bool:
    """Use up a number; False when it was used, or passed over, before."""
    if number <= session.last_numbers.get(channel, 0):
        return False
    session.last_numbers[channel] = number
    return True


def _find_live(session: Session, channel: int, number: int) -> Order | None:
    """The live order that has this number now; None for one that a replace has superseded."""
    order = session.names.order_of_number(channel, number)
    return order if order is not None and order.level is not None else None


def _is_of_channel(order: Order, channel: int) -> bool:
    """Whether an order was numbered in this channel; one that was only named counts to channel 0
    unless its name looks like that of another."""
    head, colon, _ = order.cl_ord_id.partition(":")
    return head == str(channel) if colon else channel == 0


def _take_off(
    state: ExchangeState, order: Order, quantity: int, report: Callable[[Order, int], Event]
) -> list[Event]:
    """Lower the total of a live order in its place, and tell: `report` makes the first event."""
    listing = state.listings[order.symbol]
    canceled_qty = order.quantity - quantity
    trading = SpecialTrading(state, listing)
    unshown_qty = trading.reduce(order, quantity)
    events = [report(order, canceled_qty)]
    if unshown_qty:
        events.append(reports.book_reduced(order, listing.stock_locate, unshown_qty))
    trading.settle()
    return events + trading.events


def _cancel(state: ExchangeState, order: Order, reason: int) -> list[Event]:
    """Take a live order out under its own name."""
    return cancel_open_order(state, order, order.cl_ord_id, "", reason)


def _gateways_refusal(refusal: int, found: int | str) -> Refusal:
    """A reason that this program does not know, from a later gateway, is INVALID_INSTRUCTION."""
    return _REASONS.get(refusal, RejectReason.INVALID_INSTRUCTION), found, ""


def _unknown_session(session_name: str, channel: int, number: int, memo: bytes) -> Event:
    unknown = RejectReason.UNKNOWN_SESSION, session_name, ""
    return reports.number_rejected(session_name, channel, number, unknown, memo)
