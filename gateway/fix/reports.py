"""Events to FIX.4.4 messages: ExecutionReport(8) and OrderCancelReject(9).

A report is a pure function of the event, its number and its time, so a report that is made again
after a crash is the same but for the session header. ExecID(17) is the number of the event.

Only what the stock FIX.4.4 dictionary knows is sent: the match number as SecondaryExecID(527),
OrdRejReason(103) 99 instead of 16 and 18, a replaced order as ExecType(150) 5 with the status that
it has. Each function returns the fields after the standard header as `tag=value|...|` text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from oms.events import (
    CancelReason,
    CancelRejected,
    Event,
    EventKind,
    Liquidity,
    OrderCanceled,
    OrderRejected,
    OrdStatus,
    RejectReason,
    TradingState,
)
from oms.price import format_price

EXECUTION_REPORT: Final = "8"
ORDER_CANCEL_REJECT: Final = "9"
NO_ORDER_ID: Final = "NONE"
"""OrderID(37) where there is no order."""

_EXCHANGE_OPTION: Final = 8  # ExecRestatementReason(378) of a cancel that nobody asked for
_MARKET: Final = 1
_CANCELED: Final = int(EventKind.ORDER_CANCELED)
_price_text = lru_cache(maxsize=65_536)(format_price)


class RejectCodes(NamedTuple):
    """How FIX.4.4 names a reason: OrdRejReason(103) and CxlRejReason(102)."""

    ord_rej_reason: int
    cxl_rej_reason: int


REJECT_CODES: Final[dict[int, RejectCodes]] = {
    RejectReason.UNKNOWN_SYMBOL: RejectCodes(1, 99),
    RejectReason.UNKNOWN_ACCOUNT: RejectCodes(15, 99),
    RejectReason.DUPLICATE_CL_ORD_ID: RejectCodes(6, 6),
    RejectReason.INVALID_SIDE: RejectCodes(11, 99),
    RejectReason.INVALID_ORDER_TYPE: RejectCodes(11, 99),
    RejectReason.INVALID_TIME_IN_FORCE: RejectCodes(11, 99),
    RejectReason.INVALID_QUANTITY: RejectCodes(13, 99),
    RejectReason.QUANTITY_NOT_ROUND_LOT: RejectCodes(13, 99),
    RejectReason.QUANTITY_TOO_LARGE: RejectCodes(3, 99),
    RejectReason.INVALID_PRICE: RejectCodes(99, 99),
    RejectReason.PRICE_OFF_GRID: RejectCodes(99, 99),  # 18 in later versions of FIX
    RejectReason.PRICE_OUT_OF_BAND: RejectCodes(99, 99),  # 16 in later versions of FIX
    RejectReason.ORDER_VALUE_TOO_LARGE: RejectCodes(3, 99),
    RejectReason.MARKET_CLOSED: RejectCodes(2, 2),
    RejectReason.HALTED: RejectCodes(2, 2),
    RejectReason.UNKNOWN_ORDER: RejectCodes(5, 1),
    RejectReason.TOO_LATE: RejectCodes(4, 0),
    RejectReason.ORDER_MISMATCH: RejectCodes(99, 99),
    RejectReason.QUANTITY_ALREADY_EXECUTED: RejectCodes(13, 0),
    RejectReason.UNKNOWN_SESSION: RejectCodes(99, 99),
    RejectReason.INVALID_DISPLAY: RejectCodes(11, 99),
    RejectReason.INVALID_MAX_FLOOR: RejectCodes(11, 99),
    RejectReason.INVALID_PEG: RejectCodes(11, 99),
    RejectReason.INTERMARKET_SWEEP_NOT_ALLOWED: RejectCodes(11, 99),
    RejectReason.FIRM_NOT_AUTHORIZED: RejectCodes(99, 99),
    RejectReason.INVALID_MIN_QUANTITY: RejectCodes(11, 99),
    RejectReason.INVALID_CROSS_TYPE: RejectCodes(11, 99),
    RejectReason.ROUTING_NOT_ALLOWED: RejectCodes(11, 99),
    RejectReason.ORDER_ENTRY_DISABLED: RejectCodes(0, 2),
    RejectReason.INVALID_INSTRUCTION: RejectCodes(11, 99),
    RejectReason.POST_ONLY_WOULD_TRADE: RejectCodes(99, 99),
    RejectReason.INVALID_STOP_PRICE: RejectCodes(11, 99),
    RejectReason.INVALID_EXPIRE_TIME: RejectCodes(11, 99),
    RejectReason.INVALID_SELF_TRADE: RejectCodes(11, 99),
}

CANCEL_TEXTS: Final[dict[int, str]] = {
    CancelReason.USER: "",
    CancelReason.IMMEDIATE_OR_CANCEL: "TimeInForce(59) 3: what did not trade at once is canceled",
    CancelReason.FILL_OR_KILL: "TimeInForce(59) 4: the whole OrderQty(38) was not available",
    CancelReason.NO_LIQUIDITY: "OrdType(40) 1: no more shares are offered within the price band",
    CancelReason.SESSION_CLOSED: "The session ended and asked for cancel on disconnect",
    CancelReason.SYSTEM: "Canceled by the exchange",
    CancelReason.REPLACE_INVALID: "Canceled: it was to be replaced by what is not allowed",
    CancelReason.MASS_CANCEL: "Canceled by a mass cancel of this session",
    CancelReason.SELF_TRADE: "It would have traded with an order of its own group",
    CancelReason.EXPIRED: "TimeInForce(59): its time is over",
    CancelReason.PRICE_OUT_OF_BAND: "Price(44) was outside of the price band when it was triggered",
}

_STATUS_NAMES: Final = {
    OrdStatus.NEW: "new",
    OrdStatus.PARTIALLY_FILLED: "partially filled",
    OrdStatus.FILLED: "filled",
    OrdStatus.CANCELED: "canceled",
    OrdStatus.REJECTED: "rejected",
}

_FIX_NAMES: Final = {
    "symbol": "Symbol(55)",
    "side": "Side(54)",
    "order_type": "OrdType(40)",
    "time_in_force": "TimeInForce(59)",
}


def _money(value: int | str) -> str:
    """A price or an order value (1/10,000) as text; what is no valid price stays a number."""
    if isinstance(value, str):
        return value
    return format_price(value) if value >= 0 else f"-{format_price(-value)}"


def _band(limit: int | str) -> str:
    """`low-high` in 1/10,000 as text."""
    low, dash, high = str(limit).partition("-")
    if not (dash and low.isdigit() and high.isdigit()):
        return str(limit)
    return f"{format_price(int(low))} to {format_price(int(high))}"


class Facts(NamedTuple):
    """What a sentence about a refusal is made of; `found` and `limit` are those of the event."""

    found: int | str
    limit: int | str = ""
    symbol: str = ""
    orig_cl_ord_id: str = ""


def _too_late(facts: Facts) -> str:
    name = _STATUS_NAMES.get(OrdStatus(int(facts.found)), str(facts.found))
    return f"OrigClOrdID(41) {facts.orig_cl_ord_id} names an order that is already {name}"


def _with_tag(said: int | str) -> str:
    """`symbol AAPL` as `Symbol(55) AAPL`."""
    name, _, value = str(said).partition(" ")
    return f"{_FIX_NAMES.get(name, name)} {value}"


def _not_trading(facts: Facts) -> str:
    state = TradingState(int(facts.found)).name.lower()
    return f"Symbol(55) {facts.symbol} is {state}; this needs a symbol that is trading"


def _not_in_a_session(what: str) -> Callable[[Facts], str]:
    return lambda facts: f"The {what} {facts.found} is not supported in this session"


REJECT_TEXTS: Final[dict[int, Callable[[Facts], str]]] = {
    RejectReason.UNKNOWN_SYMBOL: lambda f: f"Symbol(55) {f.found} is not listed here",
    RejectReason.UNKNOWN_ACCOUNT: lambda f: (
        f"Account(1) {f.found} is not the account {f.limit} of this session"
    ),
    RejectReason.DUPLICATE_CL_ORD_ID: lambda f: (
        f"ClOrdID(11) {f.found} was used before; each request of the day needs its own"
    ),
    RejectReason.INVALID_SIDE: lambda f: (
        f"Side(54) {f.found} is not supported; use 1 (buy), 2 (sell), 5 (sell short)"
    ),
    RejectReason.INVALID_ORDER_TYPE: lambda f: (
        f"OrdType(40) {f.found} is not supported; use 1 (market), 2 (limit)"
    ),
    RejectReason.INVALID_TIME_IN_FORCE: lambda f: (
        f"TimeInForce(59) {f.found} is not supported; use 0, 1, 3 or 4"
    ),
    RejectReason.INVALID_QUANTITY: lambda f: f"OrderQty(38) {f.found} is not above 0",
    RejectReason.QUANTITY_NOT_ROUND_LOT: lambda f: (
        f"OrderQty(38) {f.found} is not a multiple of the lot size {f.limit}"
    ),
    RejectReason.QUANTITY_TOO_LARGE: lambda f: (
        f"OrderQty(38) {f.found} is above the limit of {f.limit}"
    ),
    RejectReason.INVALID_PRICE: lambda f: (
        f"Price(44) {_money(f.found)} is not allowed: a limit order needs one above 0"
    ),
    RejectReason.PRICE_OFF_GRID: lambda f: (
        f"Price(44) {_money(f.found)} is not a multiple of the tick {_money(f.limit)}"
    ),
    RejectReason.PRICE_OUT_OF_BAND: lambda f: (
        f"Price(44) {_money(f.found)} is outside of the price band {_band(f.limit)}"
    ),
    RejectReason.ORDER_VALUE_TOO_LARGE: lambda f: (
        f"OrderQty(38) times Price(44) is {_money(f.found)}, above the limit of {_money(f.limit)}"
    ),
    RejectReason.MARKET_CLOSED: _not_trading,
    RejectReason.HALTED: _not_trading,
    RejectReason.UNKNOWN_ORDER: lambda f: (
        f"OrigClOrdID(41) {f.found} names no order of this session"
    ),
    RejectReason.TOO_LATE: _too_late,
    RejectReason.ORDER_MISMATCH: lambda f: (
        f"The request says {_with_tag(f.found)}, the order that OrigClOrdID(41)"
        f" {f.orig_cl_ord_id} names has {_with_tag(f.limit)}"
    ),
    RejectReason.QUANTITY_ALREADY_EXECUTED: lambda f: (
        f"OrderQty(38) {f.found} must be above CumQty(14) {f.limit}, which is executed already"
    ),
    RejectReason.UNKNOWN_SESSION: lambda f: f"The session {f.found} is not open on this exchange",
    # What FIX does not let anybody ask here; the other protocol of a session may.
    RejectReason.INVALID_DISPLAY: _not_in_a_session("display"),
    RejectReason.INVALID_MAX_FLOOR: _not_in_a_session("maximum floor"),
    RejectReason.INVALID_PEG: _not_in_a_session("peg"),
    RejectReason.INTERMARKET_SWEEP_NOT_ALLOWED: _not_in_a_session("intermarket sweep"),
    RejectReason.FIRM_NOT_AUTHORIZED: lambda f: f"This session may not trade for firm {f.found}",
    RejectReason.INVALID_MIN_QUANTITY: _not_in_a_session("minimum quantity"),
    RejectReason.INVALID_CROSS_TYPE: _not_in_a_session("cross type"),
    RejectReason.ROUTING_NOT_ALLOWED: _not_in_a_session("route"),
    RejectReason.ORDER_ENTRY_DISABLED: lambda f: (
        f"The session {f.found} has disabled order entry; it can cancel, and enable it again"
    ),
    RejectReason.INVALID_INSTRUCTION: _not_in_a_session("instruction"),
    RejectReason.POST_ONLY_WOULD_TRADE: lambda f: (
        f"Price(44) {_money(f.found)} of a post-only order would trade at once"
    ),
    RejectReason.INVALID_STOP_PRICE: _not_in_a_session("stop price"),
    RejectReason.INVALID_EXPIRE_TIME: _not_in_a_session("time of expiry"),
    RejectReason.INVALID_SELF_TRADE: _not_in_a_session("self-trade prevention"),
}


def reject_text(reason: int, facts: Facts) -> str:
    """One sentence for Text(58): the value found, the rule, the tag."""
    return REJECT_TEXTS[reason](facts)


def average_price(cum_value: int, cum_qty: int) -> str:
    """AvgPx(6) with up to six decimals, rounded half up; 0 before the first execution.

    `cum_value` is the sum of quantity times Price(4).
    """
    if cum_qty == 0:
        return "0"
    if cum_value % cum_qty == 0:
        return _price_text(cum_value // cum_qty)
    millionths = (cum_value * 200 + cum_qty) // (2 * cum_qty)
    whole, fraction = divmod(millionths, 1_000_000)
    return f"{whole}.{fraction:06d}".rstrip("0").rstrip(".")


def _order_report(
    event: Event, exec_id: int, exec_type: str, transact_time: str, orig: str, more: str
) -> str:
    """The ExecutionReport of an event that begins with ORDER_FIELDS. `orig` is the OrigClOrdID(41)
    or ""; `more` are the fields of this kind of event only."""
    (
        _,
        _,
        cl_ord_id,
        order_id,
        account,
        symbol,
        side,
        order_type,
        time_in_force,
        quantity,
        price,
        cum_qty,
        leaves_qty,
        cum_value,
        ord_status,
        _,
    ) = event[:16]
    orig_text = f"41={orig}\x01" if orig else ""
    price_text = f"44={_price_text(price)}\x01" if price > 0 else ""
    average = average_price(cum_value, cum_qty) if cum_qty else "0"
    return (
        f"37={order_id or NO_ORDER_ID}\x0111={cl_ord_id}\x01{orig_text}17={exec_id}\x01"
        f"150={exec_type}\x0139={ord_status}\x011={account}\x0155={symbol}\x0154={side}\x01"
        f"38={quantity}\x0140={order_type}\x01{price_text}59={time_in_force}\x01{more}"
        f"151={leaves_qty}\x0114={cum_qty}\x016={average}\x0160={transact_time}\x01"
    )


def _accepted(event: Event, exec_id: int, transact_time: str) -> str:
    return _order_report(event, exec_id, "0", transact_time, "", "")


def _executed(event: Event, exec_id: int, transact_time: str) -> str:
    last_qty, last_price, match_number, liquidity = event[16:20]
    last = f"32={last_qty}\x0131={_price_text(last_price)}\x01"
    # What added liquidity unseen has added it: FIX knows no more than that.
    last_liquidity = 2 if liquidity == Liquidity.REMOVED else 1
    more = f"{last}527={match_number}\x01851={last_liquidity}\x01"
    return _order_report(event, exec_id, "F", transact_time, "", more)


def _canceled(event: Event, exec_id: int, transact_time: str) -> str:
    canceled = OrderCanceled(*event)
    text = CANCEL_TEXTS[canceled.reason]
    more = f"58={text}\x01" if text else ""
    if canceled.reason in {CancelReason.SESSION_CLOSED, CancelReason.SYSTEM}:
        more = f"378={_EXCHANGE_OPTION}\x01{more}"
    return _order_report(event, exec_id, "4", transact_time, canceled.orig_cl_ord_id, more)


def _replaced(event: Event, exec_id: int, transact_time: str) -> str:
    return _order_report(event, exec_id, "5", transact_time, event[16], "")


def _rejected(event: Event, exec_id: int, transact_time: str) -> str:
    rejected = OrderRejected(*event)
    text = reject_text(rejected.reason, Facts(rejected.found, rejected.limit, rejected.symbol))
    if rejected.reason == RejectReason.INVALID_PRICE and rejected.order_type == _MARKET:
        text = f"Price(44) {_money(rejected.price)} on a market order: leave it out"
    more = f"103={REJECT_CODES[rejected.reason].ord_rej_reason}\x0158={text}\x01"
    return _order_report(event, exec_id, "8", transact_time, "", more)


def _status_reported(event: Event, exec_id: int, transact_time: str) -> str:
    if event[3]:
        return _order_report(event, exec_id, "I", transact_time, "", "")
    return (
        f"37={NO_ORDER_ID}\x0111={event[2]}\x0117={exec_id}\x01150=I\x0139={event[14]}\x01103=5\x01"
        f"58=ClOrdID(11) {event[2]} names no order that this session can still ask for\x01"
        f"55={event[5]}\x0154={event[6]}\x0138=0\x01151=0\x0114=0\x016=0\x0160={transact_time}\x01"
    )


def cancel_reject_body(event: Event, transact_time: str, text: str | None) -> str:
    """OrderCancelReject(9) of a CancelRejected; `text` replaces the sentence that belongs to it."""
    refused = CancelRejected(*event)
    facts = Facts(refused.found, refused.limit, refused.symbol, refused.orig_cl_ord_id)
    sentence = text or reject_text(refused.reason, facts)
    account = f"1={refused.account}\x01" if refused.account else ""
    return (
        f"37={refused.order_id or NO_ORDER_ID}\x0111={refused.cl_ord_id}\x01"
        f"41={refused.orig_cl_ord_id}\x0139={refused.ord_status}\x01{account}"
        f"60={transact_time}\x01434={refused.response_to}\x01"
        f"102={REJECT_CODES[refused.reason].cxl_rej_reason}\x0158={sentence}\x01"
    )


_REPORTS: Final[dict[int, Callable[[Event, int, str], str]]] = {
    EventKind.ORDER_ACCEPTED: _accepted,
    EventKind.ORDER_EXECUTED: _executed,
    EventKind.ORDER_CANCELED: _canceled,
    EventKind.ORDER_REPLACED: _replaced,
    EventKind.ORDER_REJECTED: _rejected,
    EventKind.ORDER_STATUS_REPORTED: _status_reported,
}

REPORTED_KINDS: Final = frozenset((*_REPORTS, EventKind.CANCEL_REJECTED))
"""The events that a client is told of."""


def execution_report_body(event: Event, event_seq: int, transact_time: str) -> str:
    """ExecutionReport(8) of an order event, the number and time of which are given."""
    return _REPORTS[event[0]](event, event_seq, transact_time)
