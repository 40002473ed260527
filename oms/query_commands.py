"""What clients ask to be told: their orders, the instruments, the market, a book.

A query changes nothing but the highest message number of the session, and is answered from the
state at its place in the log. One answer has a bound, because it is made while matching waits and
because the events of a log entry travel together.

Each function with (state, command) carries out one command of oms.commands and returns the events
of the answer: none for a session that nobody defined, unless it says otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import Final

from matching.types import Side
from oms import reports
from oms.commands import Command
from oms.events import Event, EventKind, TradingState
from oms.order_state import Order
from oms.state import ExchangeState

ORDERS_PER_PAGE = 500
"""OrderListed events in one answer to QueryOrders: about 30 kB."""

INSTRUMENTS_PER_EVENT = 50
"""Rows of one InstrumentsListed: what a gateway can put into one message."""

BOOK_LEVELS_MAX = 500
"""Price levels of each side in one BookReported."""

_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_CLOSED: Final = int(TradingState.CLOSED)
_INSTRUMENTS_LISTED: Final = int(EventKind.INSTRUMENTS_LISTED)
_INSTRUMENT_STATUS_REPORTED: Final = int(EventKind.INSTRUMENT_STATUS_REPORTED)
_MARKET_STATUS_REPORTED: Final = int(EventKind.MARKET_STATUS_REPORTED)
_BOOK_REPORTED: Final = int(EventKind.BOOK_REPORTED)

_order_id: Final = attrgetter("order_id")


def query_order(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryOrder. The name alone finds the order; what else the query says is echoed
    when there is none, also to a session that nobody defined."""
    _, session_name, msg_seq_num, cl_ord_id, symbol, side = command
    session = state.session_that_asks(session_name, msg_seq_num)
    if session is not None:
        order = session.names.meaning(cl_ord_id)
        if isinstance(order, Order):
            return [reports.order_status_reported(order)]
    return [reports.unknown_order_reported(session_name, cl_ord_id, symbol, side)]


def query_orders(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryOrders: an OrderListed for each order of the page, or one without an order.

    All that fit are collected for every page, since `total` and `remaining` count them: of 100,000
    open orders a page takes 0.6 ms without and 6 ms with a symbol or a side, wherever it begins. An
    index would cost every order that is entered, for what is asked after a disconnect.
    """
    _, session_name, msg_seq_num, request_id, symbol, side, after_order_id = command
    session = state.session_that_asks(session_name, msg_seq_num)
    if session is None:
        return []
    orders = session.open_orders_that_fit(symbol, side)
    first = bisect_right(orders, after_order_id, key=_order_id)
    page = orders[first : first + ORDERS_PER_PAGE]
    if not page:
        return [reports.no_order_listed(session_name, request_id, symbol, side)]
    total = len(orders)
    return [
        reports.order_listed(order, request_id, total, total - place)
        for place, order in enumerate(page, start=first + 1)
    ]


def query_instruments(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryInstruments: InstrumentsListed, at least one, in the order of loading."""
    _, session_name, msg_seq_num, request_id, symbol = command
    if state.session_that_asks(session_name, msg_seq_num) is None:
        return []
    if symbol == "":
        listings = list(state.listings.values())
    else:
        listings = [state.listings[symbol]] if symbol in state.listings else []
    rows = [
        (
            listing.instrument.symbol,
            listing.stock_locate,
            listing.lot_size,
            listing.tick_size,
            listing.instrument.reference_price,
            int(listing.trading_state),
        )
        for listing in listings
    ]
    total = len(rows)
    events: list[Event] = []
    for first in range(0, max(total, 1), INSTRUMENTS_PER_EVENT):
        part = tuple(rows[first : first + INSTRUMENTS_PER_EVENT])
        remaining = total - first - len(part)
        events.append((_INSTRUMENTS_LISTED, session_name, request_id, total, remaining, part))
    return events


def query_instrument_status(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryInstrumentStatus: InstrumentStatusReported."""
    _, session_name, msg_seq_num, request_id, symbol = command
    if state.session_that_asks(session_name, msg_seq_num) is None:
        return []
    head = (_INSTRUMENT_STATUS_REPORTED, session_name, request_id, symbol)
    listing = state.listings.get(symbol)
    if listing is None:
        return [(*head, False, _CLOSED, 0, 0, 0)]
    prices = (listing.last_price, listing.band_low, listing.band_high)
    return [(*head, True, int(listing.trading_state), *prices)]


def query_market_status(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryMarketStatus: MarketStatusReported."""
    _, session_name, msg_seq_num, request_id = command
    if state.session_that_asks(session_name, msg_seq_num) is None:
        return []
    states = [listing.trading_state for listing in state.listings.values()]
    counts = [states.count(trading_state) for trading_state in TradingState]
    return [(_MARKET_STATUS_REPORTED, session_name, request_id, *counts)]


def query_book(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out QueryBook: BookReported, in O(levels that it shows)."""
    _, session_name, msg_seq_num, request_id, symbol, depth = command
    if state.session_that_asks(session_name, msg_seq_num) is None:
        return []
    head = (_BOOK_REPORTED, session_name, request_id, symbol)
    listing = state.listings.get(symbol)
    if listing is None:
        return [(*head, False, 0, (), ())]
    levels = min(depth, BOOK_LEVELS_MAX) if depth > 0 else BOOK_LEVELS_MAX
    bids, asks = listing.depth(_BUY, levels), listing.depth(_SELL, levels)
    return [(*head, True, listing.last_price, tuple(bids), tuple(asks))]
