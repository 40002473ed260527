"""OUCH messages of a client -> commands. Pure: the same bytes are always the same command.

Whatever must be answered becomes a command, also what this exchange does not offer: then the
command says with which reason it must be refused. A gateway never answers by itself, because the
n-th message of a session must be the same at every gateway (gateway/ouch/outbound.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from matching.types import OrderType, Side, TimeInForce
from oms.commands import (
    Command,
    CommandKind,
    EnterNumberedOrder,
    MassCancel,
    ModifyNumberedOrder,
    QueryNumbers,
    ReduceNumberedOrder,
    ReplaceNumberedOrder,
    SetOrderEntry,
)
from oms.events import RejectReason
from protocols import ouch50, ouch50_messages
from protocols.ouch50_appendage import NO_APPENDAGE, Appendage
from protocols.ouch50_codes import MARKET_PRICE

_SIDES: Final = {
    "B": int(Side.BUY),
    "S": int(Side.SELL),
    "T": int(Side.SELL_SHORT),
    "E": int(Side.SELL_SHORT_EXEMPT),
}
_TIMES_IN_FORCE: Final = {"0": int(TimeInForce.DAY), "3": int(TimeInForce.IOC)}
_NO_TIME_IN_FORCE: Final = -1
_MARKET: Final = int(OrderType.MARKET)
_LIMIT: Final = int(OrderType.LIMIT)
_ALL_CHANNELS: Final = -1


class Refusal(NamedTuple):
    """With which RejectReason a command must be refused, and what was found; (0, "") for none."""

    reason: int
    found: str


_NONE: Final = Refusal(0, "")

# Appendage: what a value other than none and the first one here is refused with. A tag that is not
# named may say what it likes.
_OFFERED: Final[dict[str, tuple[tuple[Any, ...], RejectReason]]] = {
    "secondary_ord_ref_num": ((None,), RejectReason.INVALID_INSTRUCTION),
    "min_qty": ((0, None), RejectReason.INVALID_MIN_QUANTITY),
    "customer_type": (("", "N", None), RejectReason.INVALID_INSTRUCTION),
    "max_floor": ((0, None), RejectReason.INVALID_MAX_FLOOR),
    "price_type": (("", "L", None), RejectReason.INVALID_PEG),
    "peg_offset": ((0, None), RejectReason.INVALID_PEG),
    "discretion_price": ((0, None), RejectReason.INVALID_PEG),
    "discretion_price_type": (("", None), RejectReason.INVALID_PEG),
    "discretion_peg_offset": ((0, None), RejectReason.INVALID_PEG),
    "post_only": (("", "N", None), RejectReason.INVALID_INSTRUCTION),
    "random_reserves": ((0, None), RejectReason.INVALID_MAX_FLOOR),
    "route": (("", None), RejectReason.ROUTING_NOT_ALLOWED),
    "expire_time": ((None,), RejectReason.INVALID_INSTRUCTION),
    "trade_now": (("", "N", None), RejectReason.INVALID_INSTRUCTION),
    "handle_inst": (("", None), RejectReason.INVALID_INSTRUCTION),
    "bbo_weight": ((None,), RejectReason.INVALID_INSTRUCTION),
    "display_qty": ((None,), RejectReason.INVALID_INSTRUCTION),
    "display_price": ((None,), RejectReason.INVALID_INSTRUCTION),
    "side": ((None,), RejectReason.INVALID_INSTRUCTION),
}
_PLAIN: Final = frozenset({"firm", "group_id", "shares_located", "locate_broker", "user_ref_idx"})
assert set(Appendage._fields) == _PLAIN | set(_OFFERED), "each tag is decided on"


def translate(message: bytes, session: str, firm: str) -> Command:
    """The command of a message. Raises Ouch50Error for bytes that are not one message."""
    decoded = ouch50.decode_inbound(message)
    return _TRANSLATORS[type(decoded)](decoded, message, session, firm)


def _enter(m: ouch50_messages.EnterOrder, message: bytes, session: str, firm: str) -> Command:
    appendage = m.appendage
    side = _SIDES.get(m.side, 0)
    time_in_force = _TIMES_IN_FORCE.get(m.time_in_force, _NO_TIME_IN_FORCE)
    refusal = _refusal_of_terms(m, appendage, firm)
    if refusal is _NONE and (m.capacity not in "APRO" or not m.capacity):
        refusal = Refusal(int(RejectReason.INVALID_INSTRUCTION), f"capacity {m.capacity!r}")
    if refusal is _NONE and m.cross_type != "N":
        refusal = Refusal(int(RejectReason.INVALID_CROSS_TYPE), f"cross type {m.cross_type!r}")
    order_type, price = _price(m.price)
    return EnterNumberedOrder(
        int(CommandKind.ENTER_NUMBERED_ORDER),
        session,
        appendage.user_ref_idx or 0,
        m.user_ref_num,
        m.symbol,
        side,
        order_type,
        time_in_force,
        m.quantity,
        price,
        appendage.group_id or 0,
        refusal.reason,
        refusal.found,
        b"O" + message[26:],
    )


def _replace(m: ouch50_messages.ReplaceOrder, message: bytes, session: str, firm: str) -> Command:
    appendage = m.appendage
    refusal = _refusal_of_terms(m, appendage, firm)
    if refusal is _NONE and appendage.group_id is not None:
        refusal = Refusal(int(RejectReason.INVALID_INSTRUCTION), "GroupID cannot be replaced")
    order_type, price = _price(m.price)
    return ReplaceNumberedOrder(
        int(CommandKind.REPLACE_NUMBERED_ORDER),
        session,
        appendage.user_ref_idx or 0,
        m.orig_user_ref_num,
        m.user_ref_num,
        _TIMES_IN_FORCE.get(m.time_in_force, _NO_TIME_IN_FORCE),
        m.quantity,
        price,
        order_type,
        refusal.reason,
        refusal.found,
        b"U" + message[21:],
    )


def _price(price: int) -> tuple[int, int]:
    """(order type, price): 200,000 and above means a market order."""
    return (_MARKET, 0) if price >= MARKET_PRICE else (_LIMIT, price)


def _refusal_of_terms(
    m: ouch50_messages.EnterOrder | ouch50_messages.ReplaceOrder, appendage: Appendage, firm: str
) -> Refusal:
    """What is not offered, among that which Enter and Replace have in common."""
    if m.display != "Y":
        return Refusal(int(RejectReason.INVALID_DISPLAY), f"display {m.display!r}")
    if m.intermarket_sweep != "N":
        found = f"intermarket sweep {m.intermarket_sweep!r}"
        return Refusal(int(RejectReason.INTERMARKET_SWEEP_NOT_ALLOWED), found)
    if appendage is NO_APPENDAGE:
        return _NONE
    if appendage.firm not in ("", firm, None):
        return Refusal(int(RejectReason.FIRM_NOT_AUTHORIZED), f"firm {appendage.firm}")
    return _refusal_of_tags(appendage, allowed=frozenset())


def _refusal_of_tags(appendage: Appendage, allowed: frozenset[str]) -> Refusal:
    """The first tag that asks for something; `allowed` are those that the message may have."""
    for name, (harmless, reason) in _OFFERED.items():
        value = getattr(appendage, name)
        if value not in harmless and name not in allowed:
            return Refusal(int(reason), f"{name} {value}")
    return _NONE


def _cancel(m: ouch50_messages.CancelOrder, message: bytes, session: str, firm: str) -> Command:
    return ReduceNumberedOrder(
        int(CommandKind.REDUCE_NUMBERED_ORDER),
        session,
        m.appendage.user_ref_idx or 0,
        m.user_ref_num,
        m.quantity,
    )


def _modify(m: ouch50_messages.ModifyOrder, message: bytes, session: str, firm: str) -> Command:
    return ModifyNumberedOrder(
        int(CommandKind.MODIFY_NUMBERED_ORDER),
        session,
        m.appendage.user_ref_idx or 0,
        m.user_ref_num,
        _SIDES.get(m.side, 0),
        m.quantity,
    )


_SIDE_ONLY: Final = frozenset({"side"})


def _mass_cancel(m: ouch50_messages.MassCancel, message: bytes, session: str, firm: str) -> Command:
    appendage = m.appendage
    side = 0
    refusal = _refusal_of_firm(m.firm, firm)
    if refusal is _NONE:
        refusal = _refusal_of_tags(appendage, _SIDE_ONLY)
    if appendage.side:
        side = _SIDES.get(appendage.side, 0)
        if not side and refusal is _NONE:
            refusal = Refusal(int(RejectReason.INVALID_SIDE), f"side {appendage.side!r}")
        side = min(side, int(Side.SELL))  # all kinds of sales are one side
    channel = appendage.user_ref_idx or 0
    return MassCancel(
        int(CommandKind.MASS_CANCEL),
        session,
        channel,
        m.user_ref_num,
        m.symbol,
        side,
        appendage.group_id or 0,
        channel or _ALL_CHANNELS,
        refusal.reason,
        refusal.found,
        b"C" + message[5:],
    )


def _refusal_of_firm(asked: str, firm: str) -> Refusal:
    if asked in ("", firm):
        return _NONE
    return Refusal(int(RejectReason.FIRM_NOT_AUTHORIZED), f"firm {asked}")


def _set_order_entry(
    m: ouch50_messages.DisableOrderEntry | ouch50_messages.EnableOrderEntry,
    message: bytes,
    session: str,
    firm: str,
) -> Command:
    refusal = _refusal_of_firm(m.firm, firm)
    return SetOrderEntry(
        int(CommandKind.SET_ORDER_ENTRY),
        session,
        m.appendage.user_ref_idx or 0,
        m.user_ref_num,
        isinstance(m, ouch50_messages.EnableOrderEntry),
        refusal.reason,
        refusal.found,
        message[:1] + message[5:],
    )


def _query(m: ouch50_messages.AccountQuery, message: bytes, session: str, firm: str) -> Command:
    return QueryNumbers(int(CommandKind.QUERY_NUMBERS), session, m.appendage.user_ref_idx or 0)


_TRANSLATORS: Final[dict[type, Callable[[Any, bytes, str, str], Command]]] = {
    ouch50_messages.EnterOrder: _enter,
    ouch50_messages.ReplaceOrder: _replace,
    ouch50_messages.CancelOrder: _cancel,
    ouch50_messages.ModifyOrder: _modify,
    ouch50_messages.MassCancel: _mass_cancel,
    ouch50_messages.DisableOrderEntry: _set_order_entry,
    ouch50_messages.EnableOrderEntry: _set_order_entry,
    ouch50_messages.AccountQuery: _query,
}
