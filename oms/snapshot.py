"""The state of the exchange as a stream of plain values, there and back, and its hash.

A snapshot comes in parts, so that neither side ever holds it whole beside the state. A part is made
of tuples, int, str, bool and bytes, so any codec can carry it (tuples may come back as lists):

    (version, counters, accounts, listings, sessions,   once; neither names nor orders
     protection, trades)
    columns of orders                                   of each listing: those that are displayed,
                                                        the hidden ones, stop orders that wait,
                                                        those that are triggered, pegged orders
                                                        that have nothing to follow, collected
                                                        ones, those that wait for the close
    columns of orders                                   of each session: the closed, oldest first,
    (names, meanings, order_ids)                        and all names in the order of first use
    commands that traded                                oms.trades.Trades.rows

The first part says how many orders and names there are: of these, each part has ROWS_PER_PART at
most. Columns are a list per field (ORDER_COLUMNS), which is decoded and taken apart faster than a
row per order; a symbol is the place of its listing. Orders come in the order in which they came to
rest, or will trade, and so into their places. The meaning of a name is a byte: NAMES_NO_ORDER, the
final OrdStatus of a forgotten order, or AN_ORDER, and then the next one of `order_ids` is the
order's.

Whatever iterates does so in an order that the log determines: loading order, order of first use;
so equal states have equal parts.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from oms.names import Names
from oms.order_state import (
    ORDER_COLUMNS,
    Order,
    order_columns,
)
from oms.sessions import Session
from oms.state import ExchangeState
from oms.trading_state import Listing

SNAPSHOT_VERSION: Final = 4
ROWS_PER_PART = 2_000
"""Orders or names. So many orders stay in the processor's cache while their columns are made."""

Part: TypeAlias = Sequence[Any]
"""One piece of a snapshot: see above, the functions below are the format. A tuple, or the list that
a codec has made of it."""


class Orders(Protocol):
    """Orders that stand somewhere, in an order that the log determines."""

    def __iter__(self) -> Iterator[Order]: ...

    def __len__(self) -> int: ...


AN_ORDER: Final = 1
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
        _protection(state),
        _trades_head(state),
    )
    symbols = _places(state.listings)
    for listing in state.listings.values():
        for place in _places_of(listing):
            yield from _orders_parts(place, symbols)
    for session in state.sessions.values():
        yield from _orders_parts(session.closed_orders, symbols)
        yield from _names_parts(session.names)
    rows = state.trades.rows()
    while piece := tuple(islice(rows, ROWS_PER_PART)):
        yield piece


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

    add(SNAPSHOT_VERSION, _counters(state), _account_rows(state), _protection(state))
    add(_trades_head(state), state.trades.heads())
    symbols, owners = _places(state.listings), _places(state.sessions)
    for listing in state.listings.values():
        places = _places_of(listing)
        add(*_listing_head(listing), *map(len, places))
        for place in places:
            _digest_orders(digest, place, symbols, owners)
    for session in state.sessions.values():
        names = session.names.digest()
        add(*_session_head(session), len(session.closed_orders), len(session.names), names)
        _digest_orders(digest, session.closed_orders, symbols, owners)
        # The columns tell which orders have a name; of all other names, what became of them.
        digest.update(_meanings(session.names.meanings()))
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


def _counters(state: ExchangeState) -> tuple[Any, ...]:
    return (
        state.last_time_ns,
        state.last_order_reference_number,
        state.match_numbers.last,
        state.is_loaded,
        state.market_hours_started,
        state.random_state,
        state.system_hours_ended,
        state.trading_day.values(),
    )


def _account_rows(state: ExchangeState) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(account) for account in state.accounts.values())


def _listing_head(listing: Listing) -> tuple[Any, ...]:
    """(instrument, trading state, reason, last price, when the auction was indicated,
    statistics of the day, () or the state and reason in which it is held)."""
    return (
        tuple(listing.instrument),
        int(listing.trading_state),
        listing.trading_reason,
        listing.last_price,
        listing.indicated_ns,
        listing.day.values(),
        listing.held or (),
    )


def _protection(state: ExchangeState) -> tuple[Any, ...]:
    """(rules, start of market hours, level of the circuit breakers, a row of each listing): when
    its phase ends, previous close, weight, band, and () or what its PriceProtection has."""
    return (
        tuple(state.protection),
        state.market_hours_since_ns,
        state.breaker_level,
        tuple(
            (
                listing.phase_ends_ns,
                listing.previous_close,
                listing.index_weight,
                listing.band_low,
                listing.band_high,
                () if listing.protection is None else listing.protection.values(),
            )
            for listing in state.listings.values()
        ),
    )


def _trades_head(state: ExchangeState) -> tuple[Any, ...]:
    """(how many commands that traded are remembered, busted trades)."""
    trades = state.trades
    return len(trades.heads()), tuple(trades.busted.items())


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


def _meanings(meanings: Iterable[Order | int]) -> bytes:
    return bytes([value if type(value) is int else AN_ORDER for value in meanings])


def _columns(orders: list[Order], symbols: dict[str, int]) -> list[list[Any]]:
    """Columns of orders with their symbols as places in `symbols`."""
    columns = order_columns(orders)
    columns[_SYMBOL] = [symbols[symbol] for symbol in columns[_SYMBOL]]
    return columns


def _orders_parts(orders: Iterable[Order], symbols: dict[str, int]) -> Iterator[Part]:
    orders = iter(orders)
    while piece := list(islice(orders, ROWS_PER_PART)):
        yield tuple(map(tuple, _columns(piece, symbols)))


def _names_parts(names: Names) -> Iterator[Part]:
    texts, meanings = iter(names), names.meanings()
    while piece := tuple(islice(texts, ROWS_PER_PART)):
        meant = list(islice(meanings, len(piece)))
        order_ids = tuple(value.order_id for value in meant if isinstance(value, Order))
        yield piece, _meanings(meant), order_ids
