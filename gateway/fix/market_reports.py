"""Events to FIX messages about the market: instruments, trading, books.

    x -> SecurityList(y)                  e -> SecurityStatus(f)
    g -> TradingSessionStatus(h)          V -> MarketDataSnapshotFullRefresh(W), or its reject (Y)

Each function returns the fields after the standard header as `tag=value|...|` text. The answers
come through the log, so none of them is older than what the session was told before.
"""

from __future__ import annotations

from typing import Final

from gateway.fix.dialects import Dialect
from oms.events import (
    BookReported,
    EmergencyClosed,
    Event,
    InstrumentsListed,
    InstrumentStatusReported,
    MarketStatusReported,
    TradingState,
)
from oms.price import format_price

SECURITY_LIST: Final = "y"
NEWS: Final = "B"
SECURITY_STATUS: Final = "f"
TRADING_SESSION_STATUS: Final = "h"
MARKET_DATA_SNAPSHOT: Final = "W"
MARKET_DATA_REQUEST_REJECT: Final = "Y"

BID: Final = "0"
OFFER: Final = "1"
TRADE: Final = "2"
ENTRY_TYPES: Final = frozenset((BID, OFFER, TRADE))
"""What a MarketDataRequest(V) may ask for by MDEntryType(269)."""
TRADING_SESSION: Final = "1"
"""TradingSessionID(336): the day, the only one there is."""

_NO_INSTRUMENT: Final = 2  # SecurityRequestResult(560)
_SECURITY_TRADING_STATUS: Final = {
    TradingState.CLOSED: 18,  # not available for trading
    TradingState.HALTED: 2,
    TradingState.TRADING: 17,  # ready to trade
    TradingState.PRE_OPEN: 21,
    TradingState.OPENING_AUCTION: 22,  # opening rotation
    TradingState.CLOSING_AUCTION: 5,  # price indication
    TradingState.AUCTION_CALL: 5,
    TradingState.EMERGENCY_CLOSED: 18,
}
_UNKNOWN_SECURITY: Final = 20
_ROUND_LOT: Final = 2  # LotType(1093)
_HALTED, _OPEN, _CLOSED, _PRE_OPEN, _PRE_CLOSE = 1, 2, 3, 4, 5  # TradSesStatus(340)
_UNKNOWN_SYMBOL: Final = 0  # MDReqRejReason(281)


def security_list_body(event: Event, event_seq: int, dialect: Dialect) -> str:
    """SecurityList(y) of an InstrumentsListed; a long list comes in several of them."""
    listed = InstrumentsListed(*event)
    head = f"320={listed.request_id}\x01322={event_seq}\x01"
    if not listed.rows:
        return f"{head}560={_NO_INSTRUMENT}\x01"
    is_last = "N" if listed.remaining else "Y"
    entries = []
    for symbol, _, lot_size, tick_size, _, _ in listed.rows:
        tick = format_price(tick_size)
        if dialect.trading_rules:
            ticks = f"1205=1\x011206=0\x011208={tick}\x01"
            lots = f"1234=1\x011093={_ROUND_LOT}\x011231={lot_size}\x01"
            entries.append(f"55={symbol}\x01{ticks}{lots}")
        else:
            entries.append(f"55={symbol}\x01561={lot_size}\x0158=tick {tick}\x01")
    fragment = f"893={is_last}\x01" if dialect.trading_rules else ""
    rows = "".join(entries)
    return f"{head}560=0\x01393={listed.total}\x01{fragment}146={len(entries)}\x01{rows}"


def security_status_body(event: Event, transact_time: str, dialect: Dialect) -> str:
    """SecurityStatus(f) of an InstrumentStatusReported."""
    status = InstrumentStatusReported(*event)
    head = f"324={status.request_id}\x0155={status.symbol}\x01"
    if not status.is_known:
        text = f"58=Symbol(55) {status.symbol} is not listed here\x01"
        return f"{head}326={_UNKNOWN_SECURITY}\x01{text if dialect.security_status_text else ''}"
    code = _SECURITY_TRADING_STATUS[TradingState(status.trading_state)]
    code = min(code, dialect.highest_security_status)
    last = f"31={format_price(status.last_price)}\x01" if status.last_price else ""
    band = f"{format_price(status.band_low)} to {format_price(status.band_high)}"
    text = f"58=price band {band}\x01" if dialect.security_status_text else ""
    return f"{head}326={code}\x01{last}60={transact_time}\x01{text}"


def trading_session_status_body(event: Event) -> str:
    """TradingSessionStatus(h) of a MarketStatusReported: open while anything trades or is called,
    else pre-open or pre-close while orders are collected for that, halted while something would
    trade if it were not halted, else closed. Text(58) has the counts."""
    status = MarketStatusReported(*event)
    if status.trading or status.auction_call:
        code = _OPEN
    elif status.pre_open or status.opening_auction:
        code = _PRE_OPEN
    elif status.closing_auction:
        code = _PRE_CLOSE
    else:
        code = _HALTED if status.halted else _CLOSED
    counts = [
        f"{status.trading} symbols trade",
        f"{status.halted} are halted",
        f"{status.closed} closed",
    ]
    others = {
        "in pre-open": status.pre_open,
        "in the opening auction": status.opening_auction,
        "in the closing auction": status.closing_auction,
        "in an auction call": status.auction_call,
        "closed in an emergency": status.emergency_closed,
    }
    text = ", ".join([*counts, *(f"{count} {where}" for where, count in others.items() if count)])
    return f"335={status.request_id}\x01336={TRADING_SESSION}\x01340={code}\x0158={text}\x01"


def news_body(event: Event) -> str:
    """News(B) of an EmergencyClosed."""
    closed = EmergencyClosed(*event)
    what = f"Symbol(55) {closed.symbol}" if closed.symbol else "Every symbol"
    line = "Open orders are canceled, new ones are refused until the exchange opens it again"
    return f"148={what} is closed in an emergency\x0133=1\x0158={line}\x01"


def book_answer(
    event: Event, transact_time: str, entry_types: frozenset[str], dialect: Dialect
) -> tuple[str, str]:
    """(MsgType, body) of a BookReported: as much as was asked for, or why there is no book."""
    book = BookReported(*event)
    if not book.is_known:
        text = f"Symbol(55) {book.symbol} is not listed here"
        return MARKET_DATA_REQUEST_REJECT, md_reject_body(book.request_id, _UNKNOWN_SYMBOL, text)
    entries: list[str] = []
    for entry_type, levels in ((BID, book.bids), (OFFER, book.asks)):
        if entry_type in entry_types:
            entries += [
                f"269={entry_type}\x01270={format_price(price)}\x01271={quantity}\x01"
                f"346={order_count}\x01290={position}\x01"
                for position, (price, quantity, order_count) in enumerate(levels, start=1)
            ]
    if TRADE in entry_types and book.last_price:
        entries.append(f"269={TRADE}\x01270={format_price(book.last_price)}\x01")
    time = f"779={transact_time}\x01" if dialect.last_update_time else ""
    head = f"262={book.request_id}\x0155={book.symbol}\x01{time}268={len(entries)}\x01"
    return MARKET_DATA_SNAPSHOT, head + "".join(entries)


def md_reject_body(request_id: str, reason: int, text: str) -> str:
    """MarketDataRequestReject(Y)."""
    return f"262={request_id}\x01281={reason}\x0158={text}\x01"
