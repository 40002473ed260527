"""The state of the exchange as a stream of plain values, there and back, and its hash.

A snapshot comes in parts, so that neither side ever holds it whole beside the state. A part is made
of tuples, int, str, bool and bytes, so any codec can carry it (tuples may come back as lists):

    (version, counters, accounts, listings, sessions)   once; neither names nor orders
    columns of orders                                   of each listing: those that are displayed,
                                                        the hidden ones, stop orders that wait,
                                                        those that are triggered, pegged orders
                                                        that have nothing to follow, collected
                                                        ones, those that wait for the close
    columns of orders                                   of each session: the closed, oldest first,
    (names, meanings, order_ids)                        and all names in the order of first use

The first part says how many orders and names there are: of these, each part has ROWS_PER_PART at
most. Columns are a list per field (ORDER_COLUMNS), which is decoded and taken apart faster than a
row per order; a symbol is the place of its listing. Orders come in the order in which they came to
rest, or will trade, and so into their places. The meaning of a name is a byte: NAMES_NO_ORDER, the
final OrdStatus of a forgotten order, or _AN_ORDER, and then the next one of `order_ids` is the
order's.

Whatever iterates does so in an order that the log determines: loading order, order of first use;
so equal states have equal parts.
"""

from __future__ import annotations

import gc
import hashlib
import sys
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, compress, islice, repeat
from typing import Any, Final, Protocol, TypeAlias, cast

from oms.order_state import (
    OLD_COLUMNS,
    ORDER_COLUMNS,
    Order,
    SpecialOrder,
    order_columns,
    restore_orders,
)
from oms.reference_data import Account, Instrument
from oms.sessions import Session
from oms.state import ExchangeState
from oms.trading_state import Listing

SNAPSHOT_VERSION: Final = 3
_WITHOUT_SPECIAL_ORDERS: Final = 2
"""The version before; it is read, too."""
ROWS_PER_PART: Final = 2_000
"""Orders or names. So many orders stay in the processor's cache while their columns are made."""

Part: TypeAlias = tuple[Any, ...]
"""One piece of a snapshot: see above, the functions below are the format."""


class Orders(Protocol):
    """Orders that stand somewhere, in an order that the log determines."""

    def __iter__(self) -> Iterator[Order]: ...

    def __len__(self) -> int: ...


_AN_ORDER: Final = 1
"""Meaning of a name. (As an OrdStatus this is no forgotten order's: it would be open.)"""

_HASHED_TOGETHER: Final = 2_000
"""Orders whose columns go into the hash one after the other: another number is another hash."""

_SYMBOL: Final = ORDER_COLUMNS.index("symbol")


def snapshot_parts(state: ExchangeState) -> Iterator[Part]:
    """Yield the whole state, piece by piece; it must not change until the last one was taken."""
    yield (
        SNAPSHOT_VERSION,
        _counters(state),
        _account_rows(state),
        tuple(
            (*_listing_head(each), tuple(len(place) for place in _places_of(each)))
            for each in state.listings.values()
        ),
        tuple(
            (*_session_head(each), len(each.closed_orders), len(each.names))
            for each in state.sessions.values()
        ),
    )
    symbols = _places(state.listings)
    for listing in state.listings.values():
        for place in _places_of(listing):
            yield from _orders_parts(place, symbols)
    for session in state.sessions.values():
        yield from _orders_parts(session.closed_orders, symbols)
        yield from _names_parts(session.names)


def restore_parts(parts: Iterable[Part]) -> ExchangeState:
    """Return the state that the parts were taken of; takes no more parts than there were.

    Raises ValueError with a sentence for another version and for what makes no sense. The garbage
    collector rests meanwhile, since nothing that is made here is garbage.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _restore(_all_of(parts))
    except EOFError as error:
        raise ValueError("the snapshot ends too early") from error
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"the snapshot cannot be restored: {error}") from error
    finally:
        if was_enabled:
            gc.enable()


def hash_state(state: ExchangeState) -> str:
    """Return a SHA-256 of all that a snapshot holds, in hexadecimal, the same on every machine.

    What there is few of goes in as ascii() text, which names every int, str, bool and tuple in one
    way and escapes all but ASCII (repr would follow the Unicode tables of the Python at hand).
    Orders, of which there may be a million while matching waits, go in as columns of bytes; the
    names of a day come as digests that grow with them.
    """
    digest = hashlib.sha256()

    def add(*values: Any) -> None:
        digest.update(ascii(values).encode("ascii"))

    add(SNAPSHOT_VERSION, _counters(state), _account_rows(state))
    symbols, owners = _places(state.listings), _places(state.sessions)
    for listing in state.listings.values():
        places = _places_of(listing)
        add(*_listing_head(listing), *map(len, places))
        for place in places:
            _digest_orders(digest, place, symbols, owners)
    for session in state.sessions.values():
        names = session.digest_names()
        add(*_session_head(session), len(session.closed_orders), len(session.names), names)
        _digest_orders(digest, session.closed_orders, symbols, owners)
        # The columns tell which orders have a name; of all other names, what became of them.
        digest.update(_meanings(session.names))
    return digest.hexdigest()


def _digest_orders(
    digest: hashlib._Hash, orders: Iterable[Order], symbols: dict[str, int], owners: dict[str, int]
) -> None:
    orders = iter(orders)
    while piece := list(islice(orders, _HASHED_TOGETHER)):
        names = [order.cl_ord_id for order in piece]
        columns = _columns(piece, symbols)
        special = columns.pop()
        if any(special):
            digest.update(ascii(special).encode("ascii"))
        columns.append([owners[order.owner] for order in piece])
        columns.append(list(map(len, names)))
        for column in columns:
            numbers = array("Q", column)
            if sys.byteorder == "big":
                numbers.byteswap()
            digest.update(numbers.tobytes())
        # Any text at all may be a name, also one that UTF-8 does not have.
        digest.update("".join(names).encode("utf-8", "surrogatepass"))


def _places_of(listing: Listing) -> tuple[Orders, ...]:
    """Where the open orders of an instrument stand."""
    return (
        listing.book,
        listing.books.hidden,
        listing.stops,
        listing.triggered,
        tuple(listing.parked_pegs()),
        listing.collected,
        tuple(listing.for_close.values()),
    )


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _counters(state: ExchangeState) -> tuple[int, int, int, bool, bool, int]:
    return (
        state.last_time_ns,
        state.last_order_reference_number,
        state.match_numbers.last,
        state.is_loaded,
        state.market_hours_started,
        state.random_state,
    )


def _account_rows(state: ExchangeState) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(account) for account in state.accounts.values())


def _listing_head(listing: Listing) -> tuple[Any, ...]:
    """(instrument, trading state, reason, last price, when the auction was indicated)."""
    return (
        tuple(listing.instrument),
        int(listing.trading_state),
        listing.trading_reason,
        listing.last_price,
        listing.indicated_ns,
    )


def _session_head(session: Session) -> tuple[Any, ...]:
    """(name, account, gateway, is open, cancel on disconnect, last message number, is order entry
    enabled, (channel, last number used) of each channel)."""
    return (
        session.name,
        session.account.account,
        session.gateway_id,
        session.is_open,
        session.cancel_on_disconnect,
        session.last_msg_seq_num,
        session.order_entry_enabled,
        tuple(session.last_numbers.items()),
    )


def _meanings(names: dict[str, Order | int]) -> bytes:
    return bytes([value if type(value) is int else _AN_ORDER for value in names.values()])


def _columns(orders: list[Order], symbols: dict[str, int]) -> list[list[Any]]:
    """Columns of orders with their symbols as places in `symbols`."""
    columns = order_columns(orders)
    columns[_SYMBOL] = [symbols[symbol] for symbol in columns[_SYMBOL]]
    return columns


def _orders_parts(orders: Iterable[Order], symbols: dict[str, int]) -> Iterator[Part]:
    orders = iter(orders)
    while piece := list(islice(orders, ROWS_PER_PART)):
        yield tuple(map(tuple, _columns(piece, symbols)))


def _names_parts(names: dict[str, Order | int]) -> Iterator[Part]:
    items = iter(names.items())
    while piece := dict(islice(items, ROWS_PER_PART)):
        order_ids = tuple(value.order_id for value in piece.values() if isinstance(value, Order))
        yield tuple(piece), _meanings(piece), order_ids


# --- the way back ---------------------------------------------------------------------------------


def _all_of(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, then EOFError: unlike StopIteration it passes through generators."""
    yield from parts
    raise EOFError


def _restore(parts: Iterator[Part]) -> ExchangeState:
    version, *head = next(parts)
    if version == _WITHOUT_SPECIAL_ORDERS:
        head = _as_without_special_orders(*head)
    elif version != SNAPSHOT_VERSION:
        raise ValueError(f"it has version {version}; this program reads {SNAPSHOT_VERSION}")
    state, place_counts, closed_counts, name_counts = _restore_head(*head)
    symbols = list(state.listings)
    unnamed: dict[int, Order] = {}

    def orders_of(count: int) -> Iterator[list[Order]]:
        while count > 0:
            orders = _restore_orders(next(parts), symbols, unnamed)
            count -= len(orders)
            yield orders
        assert count == 0, f"{-count} orders too many"

    for listing, counts in zip(state.listings.values(), place_counts, strict=True):
        _restore_places(listing, [chain.from_iterable(orders_of(count)) for count in counts])
    heads = zip(state.sessions.values(), closed_counts, name_counts, strict=True)
    for session, closed_count, name_count in heads:
        for orders in orders_of(closed_count):
            session.closed_orders.extend(orders)
        _restore_names(session, name_count, parts, unnamed)
    assert not unnamed, f"{len(unnamed)} orders have no name"
    for session in state.sessions.values():
        for order in session.open_orders.values():
            state.remember_expiry(order)
    return state


def _as_without_special_orders(
    counters: Part, accounts: Part, listings: Part, sessions: Part
) -> list[Part]:
    """The first part of the version before in the form of this one."""
    return [
        (*counters, 0),
        accounts,
        tuple((*head, 0, (count, *[0] * 6)) for *head, count in listings),
        sessions,
    ]


def _restore_places(listing: Listing, places: list[Iterator[Order]]) -> None:
    """Put the orders of an instrument where they stood; these come as in _places_of."""
    displayed, hidden, stops, triggered, parked, collected, for_close = places
    pegs: list[SpecialOrder] = []

    def as_special(orders: Iterable[Order]) -> Iterator[SpecialOrder]:
        for order in orders:
            assert isinstance(order, SpecialOrder), f"order {order.order_id} has no terms"
            listing.special[order.order_id] = order
            if order.is_pegged:
                pegs.append(order)
            yield order

    def noted(orders: Iterable[Order]) -> Iterator[Order]:
        for order in orders:
            if order.display_qty:
                listing.special[order.order_id] = cast(SpecialOrder, order)
            yield order

    listing.book.add_resting(noted(displayed))
    for special in as_special(hidden):
        listing.books.hidden.add(special)
    for special in as_special(stops):
        listing.stops.add(special)
    for special in as_special(triggered):
        special.level = listing.triggered
        listing.triggered.append(special)
    for special in as_special(parked):
        special.level = listing.pegs
    for order in collected:
        listing.collected.add(order)
        if isinstance(order, SpecialOrder) and not order.is_plain_at_rest:
            listing.special[order.order_id] = order
    for special in as_special(for_close):
        special.level = listing.for_close
        listing.for_close[special.order_id] = special
    for special in sorted(pegs, key=lambda order: order.order_reference_number):
        listing.pegs[special.order_id] = special
    listing.decide_whether_it_is_plain()


def _restore_head(
    counters: Part, accounts: Part, listings: Part, sessions: Part
) -> tuple[ExchangeState, list[tuple[int, ...]], list[int], list[int]]:
    """The state without orders and names; how many orders stand where per listing, how many are
    closed per session, and how many names there are per session."""
    state = ExchangeState()
    (
        state.last_time_ns,
        state.last_order_reference_number,
        state.match_numbers.last,
        state.is_loaded,
        state.market_hours_started,
        state.random_state,
    ) = counters
    for fields in accounts:
        account = Account(*fields)
        state.accounts[account.account] = account
    for instrument_fields, trading_state, trading_reason, last_price, indicated_ns, _ in listings:
        instrument = Instrument(*instrument_fields)
        listing = Listing(
            instrument, state.match_numbers, state.take_order_number, state.next_display
        )
        listing.trading_state = trading_state
        listing.trading_reason = trading_reason
        listing.record_last_price(last_price)
        listing.indicated_ns = indicated_ns
        state.listings[instrument.symbol] = listing
    for name, account_name, *fields, _, _ in sessions:
        session = Session(name, state.accounts[account_name])
        (
            session.gateway_id,
            session.is_open,
            session.cancel_on_disconnect,
            session.last_msg_seq_num,
            session.order_entry_enabled,
            last_numbers,
        ) = fields
        session.last_numbers.update(last_numbers)
        session.decide_whether_it_takes_orders()
        state.sessions[name] = session
    return (
        state,
        [row[-1] for row in listings],
        [row[-2] for row in sessions],
        [row[-1] for row in sessions],
    )


def _restore_orders(part: Part, symbols: list[str], unnamed: dict[int, Order]) -> list[Order]:
    """Make the orders of a part, and put them into `unnamed` by order_id."""
    if len(part) == OLD_COLUMNS:
        part = (*part, repeat((), len(part[0])))
    columns = dict(zip(ORDER_COLUMNS, part, strict=True))
    columns["symbol"] = [symbols[place] for place in columns["symbol"]]
    orders = restore_orders(columns.values())
    unnamed.update(zip(columns["order_id"], orders, strict=True))
    return orders


def _restore_names(
    session: Session, count: int, parts: Iterator[Part], unnamed: dict[int, Order]
) -> None:
    """Give a session its names, and these to its orders, which are taken out of `unnamed`."""
    names, account = session.names, session.account.account
    entered: dict[int, Order] = {}
    while len(names) < count:
        known = len(names)
        cl_ord_ids, meanings, order_ids = next(parts)
        orders = list(map(unnamed.pop, order_ids))
        order_names = compress(cl_ord_ids, map(_AN_ORDER.__eq__, meanings))
        for order, cl_ord_id in zip(orders, order_names, strict=True):
            order.cl_ord_id = cl_ord_id
            order.owner = session.name
            order.account = account
            if isinstance(order, SpecialOrder):
                order.set_terms(order.terms, session.account.firm)
        named = iter(orders)
        values = [next(named) if meaning == _AN_ORDER else meaning for meaning in meanings]
        names.update(zip(cl_ord_ids, values, strict=True))
        assert len(names) == known + len(cl_ord_ids), f"{session.name} has a name twice"
        entered.update(zip(order_ids, orders, strict=True))
    for order in session.closed_orders:
        del entered[order.order_id]
    # A replaced order has a later name than others, but the place of its entry.
    in_order = sorted(entered)
    if in_order != list(entered):
        entered = {order_id: entered[order_id] for order_id in in_order}
    session.open_orders = entered
