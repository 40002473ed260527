"""Sentences for Text(58): why something was refused or canceled, with tag, value found and rule.

They are the same in every version of FIX."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from oms.events import CancelReason, OrdStatus, RejectReason, TradingState
from oms.price import format_price
from protocols.fix import format_utc_timestamp

CANCEL_TEXTS: Final[dict[int, str]] = {
    CancelReason.USER: "",
    CancelReason.IMMEDIATE_OR_CANCEL: "TimeInForce(59) 3: what did not trade at once is canceled",
    CancelReason.FILL_OR_KILL: "TimeInForce(59) 4: the whole OrderQty(38) was not available",
    CancelReason.NO_LIQUIDITY: "No more shares are offered within the price band",
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
    OrdStatus.EXPIRED: "expired",
    OrdStatus.REJECTED: "rejected",
}

_FIX_NAMES: Final = {
    "symbol": "Symbol(55)",
    "side": "Side(54)",
    "order_type": "OrdType(40)",
    "time_in_force": "TimeInForce(59)",
    "min_qty": "MinQty(110)",
    "HIDDEN": "MaxFloor(111) 0",
    "POST_ONLY": "ExecInst(18) 6",
    "ALL_OR_NONE": "ExecInst(18) G",
}

_ORDER_TYPE: Final = re.compile(r"\border_type ([0-9]{2})\b")
"""A type that FIX says with a letter, and we with its ASCII code."""


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
    """`symbol AAPL` as `Symbol(55) AAPL`, `POST_ONLY with order_type 80` as `ExecInst(18) 6 with
    OrdType(40) P`."""
    words = _ORDER_TYPE.sub(lambda found: f"OrdType(40) {chr(int(found[1]))}", str(said)).split(" ")
    return " ".join(_FIX_NAMES.get(word, word) for word in words)


def _not_trading(facts: Facts) -> str:
    state = TradingState(int(facts.found)).name.lower()
    return f"Symbol(55) {facts.symbol} is {state}; this needs a symbol that is trading"


def _last_word(found: int | str) -> str:
    """`7` of `display_range 7`."""
    return str(found).rpartition(" ")[2]


def _amount(found: int | str) -> str:
    """The amount in 1/10,000 that is the last word, as text."""
    word = _last_word(found)
    return money(int(word)) if word.removeprefix("-").isdigit() else word


def _stop_price(facts: Facts) -> str:
    if facts.limit == "":
        text = f"StopPx(99) {_amount(facts.found)} does not go with this OrdType(40)"
        return f"{text}: 3 and 4 need one above 0, any other none; only 3 may trail"
    name = "PegOffsetValue(211)" if str(facts.found).startswith("trail") else "StopPx(99)"
    return f"{name} {_amount(facts.found)} is not a multiple of the tick {money(facts.limit)}"


def _peg(facts: Facts) -> str:
    if facts.limit == "":
        return (
            "OrdType(40) P, and no other, needs a price to follow: ExecInst(18) R, P, M or"
            " PegPriceType(1094) 5, 4, 2"
        )
    return (
        f"PegOffsetValue(211) {_amount(facts.found)} is not a multiple of the tick"
        f" {money(facts.limit)} on an order with OrdType(40) P"
    )


def _moment(found: int | str) -> str:
    if not isinstance(found, int):
        return found
    return format_utc_timestamp(found) if found else "that is not there"


def _not_in_this_state(facts: Facts) -> str:
    state = TradingState(int(facts.limit)).name.lower()
    what = _with_tag(facts.found)
    return f"Symbol(55) {facts.symbol} is {state}, where an order with {what} has no meaning"


def _not_in_this_session(facts: Facts) -> str:
    return f"The {facts.found} is not supported in this session"


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
        f"OrdType(40) {f.found} is none that this exchange has"
    ),
    RejectReason.INVALID_TIME_IN_FORCE: lambda f: (
        f"TimeInForce(59) {f.found} does not go with this OrdType(40)"
    ),
    RejectReason.INVALID_QUANTITY: lambda f: f"OrderQty(38) {f.found} is not above 0",
    RejectReason.QUANTITY_NOT_ROUND_LOT: lambda f: (
        f"OrderQty(38) {f.found} is not a multiple of the lot size {f.limit}"
    ),
    RejectReason.QUANTITY_TOO_LARGE: lambda f: (
        f"OrderQty(38) {f.found} is above the limit of {f.limit}"
    ),
    RejectReason.INVALID_PRICE: lambda f: (
        f"Price(44) {money(f.found)} is not allowed: an order with a limit needs one above 0,"
        " any other none"
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
    RejectReason.INVALID_DISPLAY: lambda f: (
        f"MaxFloor(111) or DisplayQty(1138) {_last_word(f.found)} is no multiple of the lot size,"
        " varies by too much, or is on an order that is not displayed or does not wait"
    ),
    RejectReason.INVALID_MIN_QUANTITY: lambda f: (
        f"MinQty(110) {f.found} is not between 1 and OrderQty(38) {f.limit}, or does not go with"
        " this OrdType(40), TimeInForce(59) or ExecInst(18)"
    ),
    RejectReason.INVALID_STOP_PRICE: _stop_price,
    RejectReason.INVALID_PEG: _peg,
    RejectReason.INVALID_INSTRUCTION: lambda f: f"{_with_tag(f.found)} is not possible here",
    RejectReason.INVALID_EXPIRE_TIME: lambda f: (
        f"ExpireTime(126) {_moment(f.found)} does not go with TimeInForce(59): 6 needs a time that"
        " is to come, any other none"
    ),
    RejectReason.INVALID_SELF_TRADE: lambda f: (
        f"SelfMatchPreventionID(2362) and SelfMatchPreventionInstruction(2964) go together:"
        f" {f.found} is said alone"
    ),
    RejectReason.UNKNOWN_SESSION: lambda f: f"The session {f.found} is not open on this exchange",
    # What FIX does not let anybody ask here; the other protocol of a session may.
    RejectReason.INVALID_MAX_FLOOR: _not_in_this_session,
    RejectReason.INTERMARKET_SWEEP_NOT_ALLOWED: _not_in_this_session,
    RejectReason.FIRM_NOT_AUTHORIZED: lambda f: f"This session may not trade for {f.found}",
    RejectReason.INVALID_CROSS_TYPE: _not_in_this_session,
    RejectReason.ROUTING_NOT_ALLOWED: _not_in_this_session,
    RejectReason.ORDER_ENTRY_DISABLED: lambda f: (
        f"The session {f.found} has disabled order entry; it can cancel, and enable it again"
    ),
    RejectReason.POST_ONLY_WOULD_TRADE: lambda f: (
        f"Price(44) {money(f.found)} of a post-only order would trade at once"
    ),
    RejectReason.NOT_IN_THIS_STATE: _not_in_this_state,
}


def reject_text(reason: int, facts: Facts) -> str:
    """One sentence for Text(58): the value found, the rule, the tag."""
    return REJECT_TEXTS[reason](facts)
