"""Sentences for Text(58): why something was refused or canceled, with tag, value found and rule.

They are the same in every version of FIX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from oms.events import CancelReason, OrdStatus, RejectReason, TradingState
from oms.price import format_price

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
    CancelReason.AUCTION_OVER: "The auction is over; the rest was for it only",
    CancelReason.EXPIRED: "TimeInForce(59): its time is over",
    CancelReason.PRICE_OUT_OF_BAND: "Price(44) is outside of the price band as it is now",
    CancelReason.HALTED: "Its next trade would have moved the price too far: the symbol halts",
    CancelReason.EMERGENCY_CLOSED: "The exchange has closed the symbol in an emergency",
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


def money(value: int | str) -> str:
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
        f"Price(44) {money(f.found)} is not allowed: a limit order needs one above 0"
    ),
    RejectReason.PRICE_OFF_GRID: lambda f: (
        f"Price(44) {money(f.found)} is not a multiple of the tick {money(f.limit)}"
    ),
    RejectReason.PRICE_OUT_OF_BAND: lambda f: (
        f"Price(44) {money(f.found)} is outside of the price band {_band(f.limit)}"
    ),
    RejectReason.ORDER_VALUE_TOO_LARGE: lambda f: (
        f"OrderQty(38) times Price(44) is {money(f.found)}, above the limit of {money(f.limit)}"
    ),
    RejectReason.MARKET_CLOSED: _not_trading,
    RejectReason.HALTED: _not_trading,
    RejectReason.EMERGENCY_CLOSED: _not_trading,
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
        f"Price(44) {money(f.found)} of a post-only order would trade at once"
    ),
    RejectReason.INVALID_STOP_PRICE: _not_in_a_session("stop price"),
    RejectReason.INVALID_EXPIRE_TIME: _not_in_a_session("time of expiry"),
    RejectReason.NOT_IN_THIS_STATE: lambda f: (
        f"Symbol(55) {f.symbol} does not take {f.found} in its trading state"
    ),
    RejectReason.INVALID_SELF_TRADE: _not_in_a_session("self-trade prevention"),
}


def reject_text(reason: int, facts: Facts) -> str:
    """One sentence for Text(58): the value found, the rule, the tag."""
    return REJECT_TEXTS[reason](facts)
