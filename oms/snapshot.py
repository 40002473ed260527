"""The state of the exchange as plain values, there and back, and its hash.

A snapshot is nested tuples of int, str and bool only, so any codec can carry it (tuples may come
back as lists). Whatever iterates does so in an order that the log determines: loading order, order
of entry, book priority; so equal states have equal snapshots.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeAlias

from matching.types import Side
from oms.order_state import Order
from oms.reference_data import Account, Instrument
from oms.sessions import Session
from oms.state import ExchangeState
from oms.trading_state import Listing

SNAPSHOT_VERSION: Final = 1

Snapshot: TypeAlias = tuple[Any, ...]
"""(version, counters, accounts, listings, sessions); the functions below are the format."""

OrderRow: TypeAlias = tuple[Any, ...]


def take_snapshot(state: ExchangeState) -> Snapshot:
    """Return the whole state as plain values; a copy, which later commands do not change."""
    return (
        SNAPSHOT_VERSION,
        _counters(state),
        _account_rows(state),
        tuple(_listing_row(listing) for listing in state.listings.values()),
        tuple(_session_row(session) for session in state.sessions.values()),
    )


def restore_state(snapshot: Snapshot) -> ExchangeState:
    """Return the state that `snapshot` was taken of; raises ValueError for another version."""
    if snapshot[0] != SNAPSHOT_VERSION:
        raise ValueError(
            f"the snapshot has version {snapshot[0]}; this program reads {SNAPSHOT_VERSION}"
        )
    _, counters, accounts, listings, sessions = snapshot
    state = ExchangeState()
    (
        state.last_time_ns,
        state.last_order_reference_number,
        state.match_numbers.last,
        state.is_loaded,
        state.market_hours_started,
    ) = counters
    for fields in accounts:
        account = Account(*fields)
        state.accounts[account.account] = account
    for row in sessions:
        session = Session(row[0], state.accounts[row[1]])
        state.sessions[session.name] = session
    for row in listings:
        _restore_listing(state, row)
    for row in sessions:
        _restore_session(state, row)
    return state


def hash_state(state: ExchangeState) -> str:
    """Return a SHA-256 of all that a snapshot holds, in hexadecimal, the same on every machine.

    The canonical text is ascii(): it names every int, str, bool and tuple in one way, escapes all
    but ASCII (repr would follow the Unicode tables of the Python at hand), and runs in C. The
    names of a day are by far the most of it; they come as digests that grow with them.
    """
    digest = hashlib.sha256()
    digest.update(ascii((SNAPSHOT_VERSION, _counters(state), _account_rows(state))).encode("ascii"))
    for listing in state.listings.values():
        digest.update(ascii(_listing_row(listing)).encode("ascii"))
    for session in state.sessions.values():
        row = (*_session_head(session), session.digest_names(), _closed_rows(session))
        digest.update(ascii(row).encode("ascii"))
        # The rows tell which orders have a name; of all other names, what became of them.
        digest.update(
            bytes([value if type(value) is int else 1 for value in session.names.values()])
        )
    return digest.hexdigest()


def _counters(state: ExchangeState) -> tuple[int, int, int, bool, bool]:
    return (
        state.last_time_ns,
        state.last_order_reference_number,
        state.match_numbers.last,
        state.is_loaded,
        state.market_hours_started,
    )


def _account_rows(state: ExchangeState) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(account) for account in state.accounts.values())


def _order_row(order: Order) -> OrderRow:
    return (
        order.order_id,
        order.order_reference_number,
        order.owner,
        order.cl_ord_id,
        order.symbol,
        int(order.side),
        int(order.order_type),
        int(order.time_in_force),
        order.quantity,
        order.price,
        order.leaves_qty,
        order.cum_qty,
        order.cum_value,
        int(order.ord_status),
    )


def _restore_order(state: ExchangeState, row: OrderRow) -> Order:
    (
        order_id,
        order_reference_number,
        owner,
        cl_ord_id,
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
    ) = row
    # Names of sessions, accounts and symbols are shared with the dictionaries, not copied.
    session = state.sessions[owner]
    order = Order(
        order_reference_number,
        session.name,
        cl_ord_id,
        session.account.account,
        symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    )
    order.order_id = order_id
    order.leaves_qty = leaves_qty
    order.cum_qty = cum_qty
    order.cum_value = cum_value
    order.ord_status = ord_status
    return order


def _listing_row(listing: Listing) -> tuple[Any, ...]:
    """(instrument, trading state, reason, last price, bids, asks), orders in priority order."""
    return (
        tuple(listing.instrument),
        int(listing.trading_state),
        listing.trading_reason,
        listing.last_price,
        tuple(_order_row(order) for order in listing.book.orders(Side.BUY)),
        tuple(_order_row(order) for order in listing.book.orders(Side.SELL)),
    )


def _restore_listing(state: ExchangeState, row: tuple[Any, ...]) -> None:
    instrument_fields, trading_state, trading_reason, last_price, bids, asks = row
    instrument = Instrument(*instrument_fields)
    listing = Listing(instrument, state.match_numbers)
    listing.trading_state = trading_state
    listing.trading_reason = trading_reason
    listing.record_last_price(last_price)
    state.listings[instrument.symbol] = listing
    for order_row in (*bids, *asks):
        order = _restore_order(state, order_row)
        order.symbol = instrument.symbol
        listing.book.add_resting(order)
        state.sessions[order.owner].open_orders[order.order_id] = order


def _session_head(session: Session) -> tuple[Any, ...]:
    return (
        session.name,
        session.account.account,
        session.gateway_id,
        session.is_open,
        session.cancel_on_disconnect,
        session.last_msg_seq_num,
    )


def _closed_rows(session: Session) -> tuple[OrderRow, ...]:
    return tuple(_order_row(order) for order in session.closed_orders)


def _session_row(session: Session) -> tuple[Any, ...]:
    """(name, account, gateway, is open, cancel on disconnect, last number, names, what each name
    stands for, closed orders). A name stands for an order_id, or for the negated OrdStatus of a
    forgotten order, or for NAMES_NO_ORDER."""
    stands_for = tuple(
        value.order_id if isinstance(value, Order) else -value for value in session.names.values()
    )
    return (*_session_head(session), tuple(session.names), stands_for, _closed_rows(session))


def _restore_session(state: ExchangeState, row: tuple[Any, ...]) -> None:
    name, _, gateway_id, is_open, cancel_on_disconnect, last_msg_seq_num, names, codes, closed = row
    session = state.sessions[name]
    session.gateway_id = gateway_id
    session.is_open = is_open
    session.cancel_on_disconnect = cancel_on_disconnect
    session.last_msg_seq_num = last_msg_seq_num
    # The books gave the open orders in their order of priority; the session wants that of entry.
    session.open_orders = dict(sorted(session.open_orders.items()))
    session.closed_orders.extend(_restore_order(state, order_row) for order_row in closed)
    orders = {order.order_id: order for order in session.closed_orders}
    orders.update(session.open_orders)
    for cl_ord_id, code in zip(names, codes, strict=True):
        if code > 0:
            order = orders[code]
            order.cl_ord_id = cl_ord_id
            session.names[cl_ord_id] = order
        else:
            session.names[cl_ord_id] = -code
