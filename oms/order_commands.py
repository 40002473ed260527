"""What clients ask of orders: enter, replace, cancel one, cancel many.

Each function with (state, command) carries out one command of oms.commands and returns the events
in the order that oms/README.md tells; the others without an underscore are the steps that numbered
orders have in common with them. A name (ClOrdID) is used up by whatever it is first said in,
also when that is refused, so that a name means one thing, and has one outcome, for the whole day.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from matching.types import Executed, OrderType, Side, TimeInForce
from oms import reports
from oms.commands import Command, EnterOrder
from oms.events import (
    CancelReason,
    CancelRejectedResponseTo,
    Event,
    Liquidity,
    OrdStatus,
    RejectReason,
)
from oms.names import NAMES_NO_ORDER
from oms.order_state import Order, SpecialOrder, make_special, terms_of
from oms.reference_data import Account
from oms.risk import (
    CHECKS,
    Refusal,
    first_refusal,
    is_plain_order,
    is_special,
)
from oms.sessions import Session
from oms.special_trading import SpecialTrading
from oms.state import ExchangeState
from oms.terms import Instruction
from oms.terms_checks import refusal_of_state, refusal_of_terms
from oms.trading_state import Listing

# Plain integers: events carry them, and looking a member up costs more than what it is for.
_MARKET: Final = int(OrderType.MARKET)
_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_USER: Final = int(CancelReason.USER)
_MASS_CANCEL: Final = int(CancelReason.MASS_CANCEL)
_ADDED: Final = int(Liquidity.ADDED)
_REMOVED: Final = int(Liquidity.REMOVED)
_NO_ORDER: Final = int(OrdStatus.REJECTED)

_PLAIN_FIELDS: Final = len(EnterOrder._fields)
"""So many fields have the commands to enter and to replace an order; the terms would follow."""


def enter_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out EnterOrder: OrderAccepted and what follows from it, or OrderRejected."""
    terms = None
    if len(command) > _PLAIN_FIELDS:
        command, terms = command[:-1], command[-1]
    (
        _,
        session_name,
        msg_seq_num,
        account_name,
        cl_ord_id,
        symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    ) = command
    session = state.sessions.get(session_name)
    if session is None:
        return [_entry_refused(command, RejectReason.UNKNOWN_SESSION, session_name)]
    if msg_seq_num > session.last_msg_seq_num:  # noqa: PLR1730  a call of max is three times that
        session.last_msg_seq_num = msg_seq_num
    # First of all: a client must not read the refusal of a copy as that of its live order.
    shard = session.names.use(cl_ord_id)
    if shard is None:
        return [_entry_refused(command, RejectReason.DUPLICATE_CL_ORD_ID, cl_ord_id)]
    if not session.takes_orders:
        return [_entry_refused(command, *refusal_of_session(session))]
    account = session.account
    if account_name and account_name != account.account:
        return [
            _entry_refused(command, RejectReason.UNKNOWN_ACCOUNT, account_name, account.account)
        ]
    listing = state.listings.get(symbol)
    if listing is None:
        return [_entry_refused(command, RejectReason.UNKNOWN_SYMBOL, symbol)]
    is_plain = terms is None and is_plain_order(
        listing, account, side, order_type, time_in_force, quantity, price
    )
    number = state.last_order_reference_number + 1
    order = Order(
        number,
        session.name,
        cl_ord_id,
        account.account,
        listing.symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    )
    if is_plain:
        state.last_order_reference_number = number
        shard[cl_ord_id] = order
        return match_new_order(state, order, session, listing)

    if terms is not None or is_special(order):
        order = make_special(order, () if terms is None else terms, account.firm)
    refusal = refusal_of_entry(state, order, listing, account)
    if refusal is not None:
        return [_entry_refused(command, *refusal)]
    state.last_order_reference_number = number
    shard[cl_ord_id] = order
    if not isinstance(order, SpecialOrder):
        return match_new_order(state, order, session, listing)
    return SpecialTrading(state, listing).accept(order, None)


def refusal_of_entry(
    state: ExchangeState, order: Order, listing: Listing, account: Account
) -> Refusal | None:
    """Run all checks of a new order that is not a plain one, or does not look like it."""
    refusal = first_refusal(CHECKS, order, listing, account)
    if refusal is None and isinstance(order, SpecialOrder):
        refusal = refusal_of_terms(order, listing, state.last_time_ns)
    return refusal or refusal_of_state(order, listing) or refusal_of_trade(order, listing)


def refusal_of_trade(order: Order, listing: Listing) -> Refusal | None:
    """Refuse a post-only order that would trade at once, hidden orders included."""
    if not terms_of(order).instructions & Instruction.POST_ONLY:
        return None
    if listing.books.tradable_qty(order, order.price) == 0:
        return None
    return RejectReason.POST_ONLY_WOULD_TRADE, order.price, ""


def refusal_of_session(session: Session) -> Refusal:
    """Why a session takes no orders."""
    if session.is_locked:
        return RejectReason.UNKNOWN_SESSION, session.name, ""
    return RejectReason.ORDER_ENTRY_DISABLED, session.name, ""


def _entry_refused(
    command: Command, reason: RejectReason, found: int | str, limit: int | str = ""
) -> Event:
    return reports.order_rejected(command, (reason, found, limit))


def match_new_order(
    state: ExchangeState,
    order: Order,
    session: Session,
    listing: Listing,
    memo: bytes | None = None,
) -> list[Event]:
    """Accept a plain order that has passed all checks, trade it, and let it rest or end. The first
    event is OrderAccepted, with `memo` at its end unless that is None."""
    if not listing.is_plain:
        return SpecialTrading(state, listing).accept(order, memo)
    events = [reports.order_accepted(order, memo)]
    order_type = order.order_type
    collar_price = None
    if order_type == _MARKET:
        collar_price = listing.band_high if order.side == _BUY else listing.band_low
    executions = listing.book.enter(order, order_type, order.time_in_force, collar_price)
    if executions:
        report_executions(state, executions, listing, events)
    if order.level is not None:  # it rests: asking the property costs five times as much
        session.open_orders[order.order_id] = order
        events.append(reports.book_added(order, listing.stock_locate))
        return events
    residual_qty = order.leaves_qty
    if residual_qty > 0:
        order.record_cancel()
        reason = _residual_reason(order)
        events.append(reports.order_canceled(order, order.cl_ord_id, "", residual_qty, reason))
    session.remember_closed(order)
    return events


def cancel_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out CancelOrder: OrderCanceled and BookDeleted, or CancelRejected."""
    _, session_name, msg_seq_num, cl_ord_id, orig_cl_ord_id, symbol, side = command
    order = find_order_to_change(state, session_name, msg_seq_num, cl_ord_id, orig_cl_ord_id)
    if isinstance(order, Order):
        refusal = None
        if symbol != order.symbol or side != order.side:
            refusal = mismatch(("symbol", symbol, order.symbol), ("side", side, order.side))
        if refusal is None:
            return cancel_open_order(state, order, cl_ord_id, orig_cl_ord_id, _USER)
    else:
        refusal = order
    return [change_refused(state, command, CancelRejectedResponseTo.CANCEL, refusal)]


def cancel_open_order(
    state: ExchangeState,
    order: Order,
    cl_ord_id: str,
    orig_cl_ord_id: str,
    reason: int,
) -> list[Event]:
    """Take a live order out; the names are those of the OrderCanceled event, `reason` is a
    CancelReason."""
    listing = state.listings[order.symbol]
    if not listing.is_plain:
        trading = SpecialTrading(state, listing)
        trading.cancel(order, cl_ord_id, orig_cl_ord_id, reason)
        trading.settle()
        return trading.events
    canceled_qty = listing.book.cancel(order)
    order.record_cancel(reason)
    state.sessions[order.owner].close(order)
    return [
        reports.order_canceled(order, cl_ord_id, orig_cl_ord_id, canceled_qty, reason),
        reports.book_deleted(listing.stock_locate, order.order_reference_number),
    ]


def cancel_open_orders(state: ExchangeState, orders: Iterable[Order], reason: int) -> list[Event]:
    """Take live orders out under their own names, in this order. Those whose time comes by it have
    their turns when all are out, so that none of them trades meanwhile."""
    events: list[Event] = []
    unsettled: dict[str, SpecialTrading] = {}
    for order in orders:
        symbol = order.symbol
        listing = state.listings[symbol]
        if listing.is_plain:
            events += cancel_open_order(state, order, order.cl_ord_id, "", reason)
            continue
        if symbol not in unsettled:
            unsettled[symbol] = SpecialTrading(state, listing)
        trading = unsettled[symbol]
        trading.cancel(order, order.cl_ord_id, "", reason)
        events += trading.events
        trading.events = []
    for trading in unsettled.values():
        trading.settle()
        events += trading.events
    return events


def cancel_orders(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out CancelOrders: OrdersCanceled, and unless it was refused OrderCanceled and
    BookDeleted for each order in the order of entry."""
    _, session_name, msg_seq_num, cl_ord_id, symbol, side = command
    session = state.session_that_asks(session_name, msg_seq_num)
    if session is None:
        unknown = RejectReason.UNKNOWN_SESSION, session_name, ""
        return [reports.orders_canceled(command, 0, unknown)]
    if session.names.use(cl_ord_id) is None:
        duplicate = RejectReason.DUPLICATE_CL_ORD_ID, cl_ord_id, ""
        return [reports.orders_canceled(command, 0, duplicate)]
    refusal = refusal_of_choice(state, symbol, side)
    if refusal is not None:
        return [reports.orders_canceled(command, 0, refusal)]
    orders = session.open_orders_that_fit(symbol, side)
    return [
        reports.orders_canceled(command, len(orders), None),
        *cancel_open_orders(state, orders, _MASS_CANCEL),
    ]


def refusal_of_choice(state: ExchangeState, symbol: str, side: int) -> Refusal | None:
    """Refuse to choose orders by a symbol that is not listed ("": all), or by a side that is
    neither 0 (all), BUY nor SELL."""
    if symbol != "" and symbol not in state.listings:
        # Whoever misspells it must not believe that the orders are out.
        return RejectReason.UNKNOWN_SYMBOL, symbol, ""
    if side not in (0, _BUY, _SELL):
        return RejectReason.INVALID_SIDE, side, ""
    return None


def find_order_to_change(
    state: ExchangeState,
    session_name: str,
    msg_seq_num: int,
    cl_ord_id: str,
    orig_cl_ord_id: str,
) -> Order | Refusal:
    """Find the live order that a cancel or replace names, and use up the name of the request.

    Only the current name of an order finds it. One that an accepted replace has superseded does
    not: who says it has not seen the replace yet and decides on what is no longer so.
    """
    session = state.sessions.get(session_name)
    if session is None:
        return RejectReason.UNKNOWN_SESSION, session_name, ""
    if msg_seq_num > session.last_msg_seq_num:  # noqa: PLR1730
        session.last_msg_seq_num = msg_seq_num
    names = session.names
    if names.use(cl_ord_id) is None:
        return RejectReason.DUPLICATE_CL_ORD_ID, cl_ord_id, ""
    order = names.meaning(orig_cl_ord_id)
    if isinstance(order, Order):
        return order if order.level is not None else (RejectReason.TOO_LATE, order.ord_status, "")
    if order == NAMES_NO_ORDER:
        return RejectReason.UNKNOWN_ORDER, orig_cl_ord_id, ""
    return RejectReason.TOO_LATE, order, ""


def change_refused(
    state: ExchangeState, command: Command, response_to: CancelRejectedResponseTo, refusal: Refusal
) -> Event:
    """CancelRejected with what is known of the order that the request names."""
    _, session_name, _, _, orig_cl_ord_id, *_ = command
    session = state.sessions.get(session_name)
    order = None if session is None else session.names.meaning(orig_cl_ord_id)
    return reports.cancel_rejected(command, order or _NO_ORDER, response_to, refusal)


def report_executions(
    state: ExchangeState, executions: list[Executed], listing: Listing, events: list[Event]
) -> None:
    """Count the trades of a plain order on both sides and report them; one that is filled by
    resting leaves its session's open orders, the incoming one is for the caller to close."""
    # The book's own type of trade knows its orders only as BookOrder; ours are all Orders.
    trades: list[tuple[Order, Order, int, int, int, int, int]] = executions  # type: ignore[assignment]
    report = reports.order_executed
    volume = value = 0
    for (
        resting,
        incoming,
        quantity,
        price,
        match_number,
        resting_leaves_qty,
        incoming_leaves_qty,
    ) in trades:
        volume += quantity
        value += quantity * price
        resting.record_execution(quantity, price, resting_leaves_qty)
        incoming.record_execution(quantity, price, incoming_leaves_qty)
        events.append(report(resting, resting_leaves_qty, quantity, price, match_number, _ADDED))
        events.append(
            report(incoming, incoming_leaves_qty, quantity, price, match_number, _REMOVED)
        )
        if resting_leaves_qty == 0:
            state.sessions[resting.owner].close(resting)
    last_price = trades[-1][3]
    listing.day.record(trades[0][3], last_price, volume, value, len(trades))
    if last_price != listing.last_price:
        listing.record_last_price(last_price)


def _residual_reason(order: Order) -> int:
    """Why what is left of a new order does not rest."""
    if order.order_type == _MARKET:
        return int(CancelReason.NO_LIQUIDITY)
    if order.time_in_force == TimeInForce.FOK:
        return int(CancelReason.FILL_OR_KILL)
    assert order.time_in_force == TimeInForce.IOC, (
        f"order {order.order_id} with time in force {order.time_in_force} does not rest"
    )
    return int(CancelReason.IMMEDIATE_OR_CANCEL)


def mismatch(*fields: tuple[str, int | str, int | str]) -> Refusal | None:
    """Refuse a request that describes another order than the one it names. Each field is (name,
    what the request says, what the order says); the first that differs is reported."""
    for name, said, actual in fields:
        if said != actual:
            return RejectReason.ORDER_MISMATCH, f"{name} {said}", f"{name} {actual}"
    return None
