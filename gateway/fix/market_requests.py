"""Requests about many orders, and questions about the market, to commands.

    q  OrderMassCancelRequest       x  SecurityListRequest
    AF OrderMassStatusRequest       e  SecurityStatusRequest
    V  MarketDataRequest            g  TradingSessionStatusRequest

All of them go through the log, so an answer is of a definite moment between the client's orders.
Answers come once: who wants to follow the market reads the feed (ITCH).
"""

from __future__ import annotations

from typing import Final

from gateway.fix.market_reports import (
    ENTRY_TYPES,
    MARKET_DATA_REQUEST_REJECT,
    SECURITY_LIST,
    TRADING_SESSION,
    md_reject_body,
)
from gateway.fix.notes import Notes
from gateway.fix.reports import ORDER_MASS_CANCEL_REPORT, mass_cancel_head
from gateway.fix.request import OTHER, Answer, Outcome, Sender, business_reject
from oms.commands import (
    CancelOrders,
    CommandKind,
    QueryBook,
    QueryInstruments,
    QueryInstrumentStatus,
    QueryMarketStatus,
    QueryOrders,
)
from protocols.fix import FixMessage

MAX_SYMBOLS: Final = 50
"""Books in the answer to one MarketDataRequest(V)."""

_SIDES: Final = {"1": 1, "2": 2, "5": 2, "6": 2}
"""Side(54) of a request about many orders: a sale is a sale."""
_OF_SYMBOL: Final = "1"  # MassCancelRequestType(530), MassStatusReqType(585)
_ALL: Final = "7"
_NOT_SUPPORTED, _OTHER_REASON = 0, 99  # MassCancelRejectReason(532)
_SNAPSHOT: Final = "0"  # SubscriptionRequestType(263)
_LIST_OF_SYMBOL, _LIST_OF_ALL = "0", "4"  # SecurityListRequestType(559)
_INVALID_LIST_REQUEST: Final = 1  # SecurityRequestResult(560)
# MDReqRejReason(281)
_TOO_MUCH, _NO_SUBSCRIPTION, _BAD_DEPTH, _NO_SINGLE_ORDERS, _BAD_ENTRY_TYPE = 2, 4, 5, 7, 8
_MAX_DEPTH_DIGITS: Final = 9


def cancel_orders(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderMassCancelRequest(q)."""
    get = message.get
    kind, symbol, side = get(530), get(55) or "", get(54)
    problem = _problem_of_choice("MassCancelRequestType(530)", kind, symbol, side)
    if problem is not None:
        report_id = f"{sender.exec_id_prefix}{seq}"
        head = mass_cancel_head(report_id, get(11) or "", kind or _ALL, sender.dialect)
        code = _NOT_SUPPORTED if kind not in (_OF_SYMBOL, _ALL) else _OTHER_REASON
        body = f"{head}531=0\x01532={code}\x0158={problem}\x0160={now}\x01"
        return Answer(ORDER_MASS_CANCEL_REPORT, body)
    command = CancelOrders(
        int(CommandKind.CANCEL_ORDERS),
        sender.session,
        seq,
        get(11) or "",
        symbol if kind == _OF_SYMBOL else "",
        0 if side is None else _SIDES[side],
    )
    return (command,)


def query_orders(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderMassStatusRequest(AF)."""
    get = message.get
    kind, symbol, side = get(585), get(55) or "", get(54)
    problem = _problem_of_choice("MassStatusReqType(585)", kind, symbol, side)
    if problem is not None:
        return business_reject(message, seq, OTHER, problem)
    command = QueryOrders(
        int(CommandKind.QUERY_ORDERS),
        sender.session,
        seq,
        get(584) or "",
        symbol if kind == _OF_SYMBOL else "",
        0 if side is None else _SIDES[side],
        0,
    )
    return (command,)


def _problem_of_choice(name: str, kind: str | None, symbol: str, side: str | None) -> str | None:
    """Why a choice of orders cannot be carried. `name` is that of the field with `kind`."""
    if kind not in (_OF_SYMBOL, _ALL):
        return f"{name} {kind} is not supported; use 1 (orders of a symbol) or 7 (all orders)"
    if kind == _OF_SYMBOL and not symbol:
        return f"{name} 1 needs a Symbol(55)"
    if side is not None and side not in _SIDES:
        return f"Side(54) {side} is not supported; leave it out, or use 1 (buy) or 2 (sell)"
    return None


def query_instruments(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Outcome:
    """SecurityListRequest(x)."""
    get = message.get
    kind, symbol = get(559), get(55) or ""
    is_known = kind == _LIST_OF_ALL or (kind == _LIST_OF_SYMBOL and symbol != "")
    if not is_known or get(263) not in (None, _SNAPSHOT):
        response = f"{sender.exec_id_prefix}{seq}"
        body = f"320={get(320)}\x01322={response}\x01560={_INVALID_LIST_REQUEST}\x01"
        return Answer(SECURITY_LIST, body)
    command = QueryInstruments(
        int(CommandKind.QUERY_INSTRUMENTS),
        sender.session,
        seq,
        get(320) or "",
        symbol if kind == _LIST_OF_SYMBOL else "",
    )
    return (command,)


def query_instrument_status(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Outcome:
    """SecurityStatusRequest(e)."""
    get = message.get
    if get(263) != _SNAPSHOT:
        return business_reject(message, seq, OTHER, _only_once(get(263)))
    command = QueryInstrumentStatus(
        int(CommandKind.QUERY_INSTRUMENT_STATUS),
        sender.session,
        seq,
        get(324) or "",
        get(55) or "",
    )
    return (command,)


def query_market_status(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Outcome:
    """TradingSessionStatusRequest(g)."""
    get = message.get
    if get(263) != _SNAPSHOT:
        return business_reject(message, seq, OTHER, _only_once(get(263)))
    if get(336) not in (None, TRADING_SESSION):
        text = f"TradingSessionID(336) {get(336)} is not known; there is only {TRADING_SESSION}"
        return business_reject(message, seq, OTHER, text)
    command = QueryMarketStatus(
        int(CommandKind.QUERY_MARKET_STATUS), sender.session, seq, get(335) or ""
    )
    return (command,)


def _only_once(said: str | None) -> str:
    return f"SubscriptionRequestType(263) {said} is not supported; use 0 (snapshot)"


def query_books(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """MarketDataRequest(V): one snapshot for each symbol."""
    get = message.get
    request_id = get(262) or ""
    symbols = list(dict.fromkeys(value for tag, value in message.fields if tag == 55))
    entry_types = [value for tag, value in message.fields if tag == 269]
    depth = get(264) or ""
    reason, text = _TOO_MUCH, ""
    if get(263) != _SNAPSHOT:
        reason, text = _NO_SUBSCRIPTION, _only_once(get(263))
    elif not depth.isdigit() or len(depth) > _MAX_DEPTH_DIGITS:
        reason, text = _BAD_DEPTH, f"MarketDepth(264) {depth} is no number of levels (0: all)"
    elif get(266) == "N":
        reason, text = _NO_SINGLE_ORDERS, "AggregatedBook(266) N: single orders are in the feed"
    elif not ENTRY_TYPES.issuperset(entry_types):
        reason = _BAD_ENTRY_TYPE
        text = "MDEntryType(269) may be 0 (bid), 1 (offer) and 2 (the last trade)"
    elif len(symbols) > MAX_SYMBOLS:
        text = f"NoRelatedSym(146): {len(symbols)} symbols, at most {MAX_SYMBOLS} are allowed"
    if text:
        return Answer(MARKET_DATA_REQUEST_REJECT, md_reject_body(request_id, reason, text))
    for symbol in symbols:
        notes.add(f"W{request_id}:{symbol}", "".join(entry_types))
    kind = int(CommandKind.QUERY_BOOK)
    levels = int(depth)
    return tuple(
        QueryBook(kind, sender.session, seq, request_id, symbol, levels) for symbol in symbols
    )
