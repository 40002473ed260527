"""OUCH messages of a client -> commands. Pure: the same bytes are on one day the same command.

Whatever must be answered becomes a command, also what this exchange does not offer: then the
command says with which reason it must be refused. A gateway never answers by itself, because the
n-th message of a session must be the same at every gateway (gateway/ouch/outbound.py).

Nearly all messages of a day are plain: an order of a usual kind, or a cancel, that says at most its
channel in its appendage. Those become their command straight from their bytes; what is not plain
goes the general way, through the codec, which is several times as long and gives the same command.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, Final

from gateway.ouch.order_terms import (
    CROSSES,
    NO_TIME_IN_FORCE,
    NONE,
    OFFERED,
    TIMES_IN_FORCE,
    WITHOUT_EFFECT,
    Refusal,
    changed_terms,
    entered_terms,
    order_type_and_price,
    refusal_of_tags,
    time_of_cross,
)
from matching.types import OrderType, Side
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
from protocols.ouch50_codes import MARKET_PRICE, Capacity, CrossType, Display, IntermarketSweep
from protocols.ouch50_fields import decode_name
from protocols.ouch50_plain import (
    CANCEL_LENGTH,
    ENTER_LENGTH,
    REPLACE_LENGTH,
    unpack_cancel,
    unpack_enter,
    unpack_replace,
    without_index,
)

_ENTER_NUMBERED_ORDER: Final = int(CommandKind.ENTER_NUMBERED_ORDER)
_MASS_CANCEL: Final = int(CommandKind.MASS_CANCEL)
_MODIFY_NUMBERED_ORDER: Final = int(CommandKind.MODIFY_NUMBERED_ORDER)
_QUERY_NUMBERS: Final = int(CommandKind.QUERY_NUMBERS)
_REDUCE_NUMBERED_ORDER: Final = int(CommandKind.REDUCE_NUMBERED_ORDER)
_REPLACE_NUMBERED_ORDER: Final = int(CommandKind.REPLACE_NUMBERED_ORDER)
_SET_ORDER_ENTRY: Final = int(CommandKind.SET_ORDER_ENTRY)
_SIDES: Final = {
    "B": int(Side.BUY),
    "S": int(Side.SELL),
    "T": int(Side.SELL_SHORT),
    "E": int(Side.SELL_SHORT_EXEMPT),
}
_ALL_CHANNELS: Final = -1
_VISIBLE: Final = str(Display.VISIBLE)
_DISPLAYS: Final = (_VISIBLE, str(Display.HIDDEN))
_CONTINUOUS: Final = str(CrossType.CONTINUOUS)


def translate(message: bytes, session: str, firm: str, midnight_ns: int) -> Command:
    """The command of a message that comes on the day which begins at `midnight_ns` (UTC). Raises
    Ouch50Error for bytes that are not one message."""
    bare, channel = message, 0
    plain = _PLAIN.get(len(message))
    if plain is None:
        bare, channel = without_index(message)
        plain = _PLAIN.get(len(bare))
    command = None if plain is None else plain(bare, session, channel, message)
    return translate_any(message, session, firm, midnight_ns) if command is None else command


def translate_any(message: bytes, session: str, firm: str, midnight_ns: int) -> Command:
    """As `translate`, the general way only: what tests compare it with."""
    decoded = ouch50.decode_inbound(message)
    return _TRANSLATORS[type(decoded)](decoded, message, session, firm, midnight_ns)


# --- plain messages: None when one is not as plain as its length promises ------------------------
# `bare` is the message without an appendage that says its channel.

_LIMIT: Final = int(OrderType.LIMIT)
_PLAIN_SIDES: Final = {code.encode(): side for code, side in _SIDES.items()}
_CODES_OF_PLAIN_REPLACE: Final = {
    f"{time_in_force}{_VISIBLE}{IntermarketSweep.NOT_ELIGIBLE}".encode(): value
    for time_in_force, value in TIMES_IN_FORCE.items()
}
"""Time in force by the codes of an order that is displayed and asks for nothing special."""
_CODES_OF_PLAIN_ENTER: Final = {
    codes[:2] + capacity.encode() + codes[2:] + _CONTINUOUS.encode(): value
    for (codes, value), capacity in product(_CODES_OF_PLAIN_REPLACE.items(), Capacity)
}


def _plain_enter(bare: bytes, session: str, channel: int, message: bytes) -> Command | None:
    kind, number, code, quantity, symbol, price, codes, cl_ord_id, length = unpack_enter(bare)
    side = _PLAIN_SIDES.get(code)
    time_in_force = _CODES_OF_PLAIN_ENTER.get(codes)
    if kind != b"O" or side is None or time_in_force is None or price >= MARKET_PRICE or length:
        return None
    if not (cl_ord_id.isascii() and cl_ord_id.decode("ascii").isprintable()):
        return None
    return (
        _ENTER_NUMBERED_ORDER,
        session,
        channel,
        number,
        decode_name(symbol),
        side,
        _LIMIT,
        time_in_force,
        quantity,
        price,
        0,
        0,
        "",
        b"O" + message[26:],
    )


def _plain_replace(bare: bytes, session: str, channel: int, message: bytes) -> Command | None:
    kind, original, number, quantity, price, codes, cl_ord_id, length = unpack_replace(bare)
    time_in_force = _CODES_OF_PLAIN_REPLACE.get(codes)
    if kind != b"U" or time_in_force is None or price >= MARKET_PRICE or length:
        return None
    if not (cl_ord_id.isascii() and cl_ord_id.decode("ascii").isprintable()):
        return None
    return (
        _REPLACE_NUMBERED_ORDER,
        session,
        channel,
        original,
        number,
        time_in_force,
        quantity,
        price,
        _LIMIT,
        0,
        "",
        b"U" + message[21:],
    )


def _plain_cancel(bare: bytes, session: str, channel: int, message: bytes) -> Command | None:
    kind, number, quantity = unpack_cancel(bare)
    return (_REDUCE_NUMBERED_ORDER, session, channel, number, quantity) if kind == b"X" else None


_PLAIN: Final = {
    ENTER_LENGTH: _plain_enter,
    REPLACE_LENGTH: _plain_replace,
    CANCEL_LENGTH: _plain_cancel,
}
"""By the length of a message without its appendage: no two kinds have the same one."""


# --- the general way -----------------------------------------------------------------------------


def _enter(
    m: ouch50_messages.EnterOrder, message: bytes, session: str, firm: str, midnight_ns: int
) -> Command:
    appendage = m.appendage
    side = _SIDES.get(m.side, 0)
    refusal = _refusal_of_order(m, appendage, firm)
    if refusal is NONE and (m.capacity not in "APRO" or not m.capacity):
        refusal = Refusal(int(RejectReason.INVALID_INSTRUCTION), f"capacity {m.capacity!r}")
    time_in_force = TIMES_IN_FORCE.get(m.time_in_force, NO_TIME_IN_FORCE)
    if m.cross_type != _CONTINUOUS:
        time_in_force = time_of_cross(m.cross_type, time_in_force)
        if refusal is NONE and m.cross_type not in CROSSES:
            refusal = Refusal(int(RejectReason.INVALID_CROSS_TYPE), f"cross type {m.cross_type!r}")
    order_type, price = order_type_and_price(m.price, appendage)
    terms = None
    if refusal is NONE and not (appendage is NO_APPENDAGE and m.display == _VISIBLE):
        terms = entered_terms(m, midnight_ns)
    command = EnterNumberedOrder(
        _ENTER_NUMBERED_ORDER,
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
    return command if terms is None else (*command, terms)


def _replace(
    m: ouch50_messages.ReplaceOrder, message: bytes, session: str, firm: str, midnight_ns: int
) -> Command:
    appendage = m.appendage
    refusal = _refusal_of_order(m, appendage, firm)
    if refusal is NONE and appendage.group_id is not None:
        refusal = Refusal(int(RejectReason.INVALID_INSTRUCTION), "GroupID cannot be replaced")
    order_type, price = order_type_and_price(m.price, appendage)
    terms = None
    if refusal is NONE and not (appendage is NO_APPENDAGE and m.display == _VISIBLE):
        terms = changed_terms(m, midnight_ns)
    command = ReplaceNumberedOrder(
        _REPLACE_NUMBERED_ORDER,
        session,
        appendage.user_ref_idx or 0,
        m.orig_user_ref_num,
        m.user_ref_num,
        TIMES_IN_FORCE.get(m.time_in_force, NO_TIME_IN_FORCE),
        m.quantity,
        price,
        order_type,
        refusal.reason,
        refusal.found,
        b"U" + message[21:],
    )
    return command if terms is None else (*command, terms)


def _refusal_of_order(
    m: ouch50_messages.EnterOrder | ouch50_messages.ReplaceOrder, appendage: Appendage, firm: str
) -> Refusal:
    """What is not offered, among that which Enter and Replace have in common."""
    if m.display not in _DISPLAYS:
        return Refusal(int(RejectReason.INVALID_DISPLAY), f"display {m.display!r}")
    if m.intermarket_sweep != "N":
        found = f"intermarket sweep {m.intermarket_sweep!r}"
        return Refusal(int(RejectReason.INTERMARKET_SWEEP_NOT_ALLOWED), found)
    if appendage is NO_APPENDAGE:
        return NONE
    if appendage.firm not in ("", firm, None):
        return Refusal(int(RejectReason.FIRM_NOT_AUTHORIZED), f"firm {appendage.firm}")
    return refusal_of_tags(appendage)


def _cancel(
    m: ouch50_messages.CancelOrder, message: bytes, session: str, firm: str, midnight_ns: int
) -> Command:
    return ReduceNumberedOrder(
        _REDUCE_NUMBERED_ORDER,
        session,
        m.appendage.user_ref_idx or 0,
        m.user_ref_num,
        m.quantity,
    )


def _modify(
    m: ouch50_messages.ModifyOrder, message: bytes, session: str, firm: str, midnight_ns: int
) -> Command:
    return ModifyNumberedOrder(
        _MODIFY_NUMBERED_ORDER,
        session,
        m.appendage.user_ref_idx or 0,
        m.user_ref_num,
        _SIDES.get(m.side, 0),
        m.quantity,
    )


_OF_A_MASS_CANCEL: Final = frozenset({"side", "group_id", *WITHOUT_EFFECT})
_NOTHING: Final = ("", "N", "L", "*", 0, None)


def _refusal_of_mass_cancel(appendage: Appendage) -> Refusal:
    """The first tag that says something of an order."""
    for name, value in appendage._asdict().items():
        if name not in _OF_A_MASS_CANCEL and value not in _NOTHING:
            reason = OFFERED[name][1] if name in OFFERED else RejectReason.INVALID_INSTRUCTION
            return Refusal(int(reason), f"{name} {value}")
    return NONE


def _mass_cancel(
    m: ouch50_messages.MassCancel, message: bytes, session: str, firm: str, midnight_ns: int
) -> Command:
    appendage = m.appendage
    side = 0
    refusal = _refusal_of_firm(m.firm, firm)
    if refusal is NONE:
        refusal = _refusal_of_mass_cancel(appendage)
    if appendage.side:
        side = _SIDES.get(appendage.side, 0)
        if not side and refusal is NONE:
            refusal = Refusal(int(RejectReason.INVALID_SIDE), f"side {appendage.side!r}")
        side = min(side, int(Side.SELL))  # all kinds of sales are one side
    channel = appendage.user_ref_idx or 0
    return MassCancel(
        _MASS_CANCEL,
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
        return NONE
    return Refusal(int(RejectReason.FIRM_NOT_AUTHORIZED), f"firm {asked}")


def _set_order_entry(
    m: ouch50_messages.DisableOrderEntry | ouch50_messages.EnableOrderEntry,
    message: bytes,
    session: str,
    firm: str,
    midnight_ns: int,
) -> Command:
    refusal = _refusal_of_firm(m.firm, firm)
    return SetOrderEntry(
        _SET_ORDER_ENTRY,
        session,
        m.appendage.user_ref_idx or 0,
        m.user_ref_num,
        isinstance(m, ouch50_messages.EnableOrderEntry),
        refusal.reason,
        refusal.found,
        message[:1] + message[5:],
    )


def _query(
    m: ouch50_messages.AccountQuery, message: bytes, session: str, firm: str, midnight_ns: int
) -> Command:
    return QueryNumbers(_QUERY_NUMBERS, session, m.appendage.user_ref_idx or 0)


_TRANSLATORS: Final[dict[type, Callable[[Any, bytes, str, str, int], Command]]] = {
    ouch50_messages.EnterOrder: _enter,
    ouch50_messages.ReplaceOrder: _replace,
    ouch50_messages.CancelOrder: _cancel,
    ouch50_messages.ModifyOrder: _modify,
    ouch50_messages.MassCancel: _mass_cancel,
    ouch50_messages.DisableOrderEntry: _set_order_entry,
    ouch50_messages.EnableOrderEntry: _set_order_entry,
    ouch50_messages.AccountQuery: _query,
}
