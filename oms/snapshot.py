"""The state of the exchange as a stream of plain values, there and back, and its hash.

A snapshot comes in parts, so that neither side ever holds it whole beside the state. A part is made
of tuples, int, str, bool and bytes, so any codec can carry it (tuples may come back as lists):

    (version, counters, accounts, listings, sessions)   once; neither names nor orders
    (names, meanings, columns of orders)                of each session, as many as it takes
    (order_id, ...)                                     its closed orders, oldest first

`meanings` has a byte for each name: NAMES_NO_ORDER, the final OrdStatus of a forgotten order, or
_AN_ORDER; the ORDER_COLUMNS of these orders stand beside, a list per field (which is decoded and
taken apart faster than a row per order), the symbol as the place of its listing. Books need no part
of their own: an order that comes to rest has the highest reference number so far, so the numbers
tell which is first.

Whatever iterates does so in an order that the log determines: loading order, order of first use;
so equal states have equal parts.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import compress, islice
from operator import attrgetter
from typing import Any, Final, TypeAlias

from matching.types import Side
from oms.events import OrdStatus
from oms.order_state import ORDER_COLUMNS, Order, restore_orders
from oms.reference_data import Account, Instrument
from oms.sessions import Session
from oms.state import ExchangeState
from oms.trading_state import Listing

SNAPSHOT_VERSION: Final = 1
NAMES_PER_PART: Final = 10_000

Part: TypeAlias = tuple[Any, ...]
"""One piece of a snapshot: see above, the functions below are the format."""

_AN_ORDER: Final = 1
"""Means that a name has its order in the columns. (No forgotten order has this OrdStatus.)"""

_OPEN: Final = (int(OrdStatus.NEW), int(OrdStatus.PARTIALLY_FILLED))

_BOOK_SIDES: Final = (Side.BUY, Side.SELL)

_by_reference_number = attrgetter("order_reference_number")
_by_order_id = attrgetter("order_id")


def snapshot_parts(state: ExchangeState) -> Iterator[Part]:
    """Yield the whole state, piece by piece; it must not change until the last one was taken."""
    yield (
        SNAPSHOT_VERSION,
        _counters(state),
        _account_rows(state),
        tuple(_listing_head(listing) for listing in state.listings.values()),
        tuple((*_session_head(each), len(each.names)) for each in state.sessions.values()),
    )
    places = {symbol: place for place, symbol in enumerate(state.listings)}
    for session in state.sessions.values():
        names = iter(session.names.items())
        while piece := dict(islice(names, NAMES_PER_PART)):
            yield _names_part(piece, places)
        yield tuple(order.order_id for order in session.closed_orders)


def restore_parts(parts: Iterable[Part]) -> ExchangeState:
    """Return the state that the parts were taken of; takes no more parts than there were.

    Raises ValueError with a sentence for another version and for what makes no sense. The garbage
    collector rests meanwhile, since nothing that is made here is garbage.
    """
    parts = iter(parts)
    with _no_collection():
        try:
            return _restore(parts)
        except StopIteration as error:
            raise ValueError("the snapshot ends too early") from error
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"the snapshot cannot be restored: {error}") from error


def hash_state(state: ExchangeState) -> str:
    """Return a SHA-256 of all that a snapshot holds, in hexadecimal, the same on every machine.

    The canonical text is ascii(): it names every int, str, bool and tuple in one way, escapes all
    but ASCII (repr would follow the Unicode tables of the Python at hand), and runs in C. The
    names of a day are by far the most of it; they come as digests that grow with them.
    """
    digest = hashlib.sha256()
    digest.update(ascii((SNAPSHOT_VERSION, _counters(state), _account_rows(state))).encode("ascii"))
    for listing in state.listings.values():
        row = (*_listing_head(listing), *(_resting_rows(listing, side) for side in _BOOK_SIDES))
        digest.update(ascii(row).encode("ascii"))
    for session in state.sessions.values():
        closed = tuple(_order_row(order) for order in session.closed_orders)
        row = (*_session_head(session), session.digest_names(), closed)
        digest.update(ascii(row).encode("ascii"))
        # The rows tell which orders have a name; of all other names, what became of them.
        digest.update(_meanings(session.names))
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


def _listing_head(listing: Listing) -> tuple[Any, ...]:
    """(instrument, trading state, reason, last price)."""
    return (
        tuple(listing.instrument),
        int(listing.trading_state),
        listing.trading_reason,
        listing.last_price,
    )


def _session_head(session: Session) -> tuple[Any, ...]:
    """(name, account, gateway, is open, cancel on disconnect, last number)."""
    return (
        session.name,
        session.account.account,
        session.gateway_id,
        session.is_open,
        session.cancel_on_disconnect,
        session.last_msg_seq_num,
    )


def _meanings(names: dict[str, Order | int]) -> bytes:
    return bytes([value if type(value) is int else _AN_ORDER for value in names.values()])


def _names_part(names: dict[str, Order | int], places: dict[str, int]) -> Part:
    orders = [value for value in names.values() if isinstance(value, Order)]
    columns = {field: list(map(attrgetter(field), orders)) for field in ORDER_COLUMNS}
    columns["symbol"] = [places[symbol] for symbol in columns["symbol"]]
    # A command may have brought members of an enumeration; whoever reads this finds integers.
    for field in ("side", "order_type", "time_in_force", "ord_status"):
        columns[field] = list(map(int, columns[field]))
    return tuple(names), _meanings(names), tuple(tuple(column) for column in columns.values())


def _order_row(order: Order) -> tuple[Any, ...]:
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


def _resting_rows(listing: Listing, side: Side) -> tuple[tuple[Any, ...], ...]:
    return tuple(_order_row(order) for order in listing.book.orders(side))


# --- the way back ---------------------------------------------------------------------------------


@contextmanager
def _no_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _restore(parts: Iterator[Part]) -> ExchangeState:
    version, *head = next(parts)
    if version != SNAPSHOT_VERSION:
        raise ValueError(f"it has version {version}; this program reads {SNAPSHOT_VERSION}")
    state, name_counts = _restore_head(*head)
    resting: dict[str, list[Order]] = {symbol: [] for symbol in state.listings}
    for session, name_count in zip(state.sessions.values(), name_counts, strict=True):
        closed: dict[int, Order] = {}
        while len(session.names) < name_count:
            _restore_names(session, next(parts), resting, closed)
        open_orders = sorted(session.open_orders.values(), key=_by_order_id)
        session.open_orders = {order.order_id: order for order in open_orders}
        session.closed_orders.extend(closed.pop(order_id) for order_id in next(parts))
        assert not closed, f"{session.name}: {len(closed)} closed orders have no place"
    for symbol, orders in resting.items():
        orders.sort(key=_by_reference_number)
        state.listings[symbol].book.add_resting(orders)
    return state


def _restore_head(
    counters: Part, accounts: Part, listings: Part, sessions: Part
) -> tuple[ExchangeState, list[int]]:
    """The state without names and orders, and how many names each session has."""
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
    for instrument_fields, trading_state, trading_reason, last_price in listings:
        instrument = Instrument(*instrument_fields)
        listing = Listing(instrument, state.match_numbers)
        listing.trading_state = trading_state
        listing.trading_reason = trading_reason
        listing.record_last_price(last_price)
        state.listings[instrument.symbol] = listing
    name_counts: list[int] = []
    for name, account_name, *fields, name_count in sessions:
        session = Session(name, state.accounts[account_name])
        (
            session.gateway_id,
            session.is_open,
            session.cancel_on_disconnect,
            session.last_msg_seq_num,
        ) = fields
        state.sessions[name] = session
        name_counts.append(name_count)
    return state, name_counts


def _restore_names(
    session: Session, part: Part, resting: dict[str, list[Order]], closed: dict[int, Order]
) -> None:
    """Take the names of a part, and hand out its orders: the open ones to the session, not yet in
    the order of entry, and to `resting` by symbol, the others to `closed` by order_id."""
    names, meanings, columns = part
    symbols = list(resting)
    by_field = dict(zip(ORDER_COLUMNS, columns, strict=True))
    by_field["symbol"] = [symbols[place] for place in by_field["symbol"]]
    with_order = compress(names, map(_AN_ORDER.__eq__, meanings))
    orders = restore_orders(
        session.name, session.account.account, with_order, list(by_field.values())
    )
    unnamed = iter(orders)
    values = [next(unnamed) if meaning == _AN_ORDER else meaning for meaning in meanings]
    known = len(session.names) + len(names)
    session.names.update(zip(names, values, strict=True))
    assert len(session.names) == known, f"{session.name} has a name twice"
    for order in orders:
        if order.ord_status in _OPEN:
            session.open_orders[order.order_id] = order
            resting[order.symbol].append(order)
        else:
            closed[order.order_id] = order
