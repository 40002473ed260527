"""What an OUCH order wants besides side, quantity and price -> its terms (oms/terms.py).

An Enter Order says it by its Display, its Time in Force and the tags of its appendage; a Replace
says what changes, and leaves the rest as it is. What is not offered here is a Refusal.
Source: Nasdaq OUCH 5.0, Enter Order, Replace Order and Appendix A.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from matching.types import OrderType, PegType, SelfTradeAction, TimeInForce
from oms.events import RejectReason
from oms.terms import KEPT, Instruction, Terms
from protocols.ouch50_appendage import NO_APPENDAGE, Appendage
from protocols.ouch50_codes import MARKET_PRICE, AiqStrategy, Display, PostOnly, PriceType
from protocols.ouch50_messages import EnterOrder, ReplaceOrder

NS_PER_SECOND: Final = 1_000_000_000
SECONDS_PER_DAY: Final = 86_400

_MARKET: Final = int(OrderType.MARKET)
_LIMIT: Final = int(OrderType.LIMIT)
_PEGGED: Final = int(OrderType.PEGGED)
_POST_ONLY: Final = int(Instruction.POST_ONLY)
_HIDDEN: Final = int(Instruction.HIDDEN)
NO_TIME_IN_FORCE: Final = -1
_ONLY_DISPLAYED: Final = (*[None] * 5, _POST_ONLY << KEPT, *[None] * 5)

TIMES_IN_FORCE: Final = {
    "0": int(TimeInForce.DAY),
    "3": int(TimeInForce.IOC),
    "6": int(TimeInForce.GTD),
}
CROSSES: Final[dict[str, int]] = {
    "O": int(TimeInForce.AT_THE_OPEN),
    "C": int(TimeInForce.AT_THE_CLOSE),
}
_TIMES_OF_CROSSES: Final = (TIMES_IN_FORCE["0"], TIMES_IN_FORCE["3"])
_PEGS: Final[dict[str, int]] = {
    PriceType.PRIMARY_PEG: int(PegType.PRIMARY),
    PriceType.MARKET_PEG: int(PegType.MARKET),
    PriceType.MIDPOINT_PEG: int(PegType.MIDPOINT),
}
_NO_PEG: Final = ("", PriceType.LIMIT)
_AIQ_ACTIONS: Final[dict[str, int]] = {
    AiqStrategy.CANCEL_OLDEST: int(SelfTradeAction.CANCEL_OLDEST),
    AiqStrategy.CANCEL_NEWEST: int(SelfTradeAction.CANCEL_NEWEST),
    AiqStrategy.DECREMENT_BOTH: int(SelfTradeAction.DECREMENT),
    AiqStrategy.DECREMENT_BOTH_NO_DETAILS: int(SelfTradeAction.DECREMENT),
}
_NO_AIQ: Final = ("", AiqStrategy.DISABLED, AiqStrategy.PORT_DEFAULT)


class Refusal(NamedTuple):
    """With which RejectReason a command must be refused, and what was found; (0, "") for none."""

    reason: int
    found: str


NONE: Final = Refusal(0, "")

OFFERED: Final[dict[str, tuple[tuple[Any, ...], RejectReason]]] = {
    "secondary_ord_ref_num": ((None,), RejectReason.INVALID_INSTRUCTION),
    "customer_type": (("", "N", None), RejectReason.INVALID_INSTRUCTION),
    "price_type": ((*_NO_PEG, *_PEGS, None), RejectReason.INVALID_PEG),
    "discretion_price": ((0, None), RejectReason.INVALID_INSTRUCTION),
    "discretion_price_type": (("", None), RejectReason.INVALID_INSTRUCTION),
    "discretion_peg_offset": ((0, None), RejectReason.INVALID_INSTRUCTION),
    "post_only": (("", *PostOnly, None), RejectReason.INVALID_INSTRUCTION),
    "route": (("", None), RejectReason.ROUTING_NOT_ALLOWED),
    "trade_now": (("", "N", None), RejectReason.INVALID_INSTRUCTION),
    "handle_inst": (("", None), RejectReason.INVALID_INSTRUCTION),
    "bbo_weight": ((None,), RejectReason.INVALID_INSTRUCTION),
    "display_qty": ((None,), RejectReason.INVALID_INSTRUCTION),
    "display_price": ((None,), RejectReason.INVALID_INSTRUCTION),
    "side": ((None,), RejectReason.INVALID_INSTRUCTION),
    "aiq_strategy": ((*_NO_AIQ, *_AIQ_ACTIONS, None), RejectReason.INVALID_SELF_TRADE),
}
"""Tags of which not every value is taken: those that are, and with what others are refused."""
JUDGED_BY_THE_EXCHANGE: Final = frozenset({
    "min_qty", "max_floor", "random_reserves", "peg_offset", "expire_time", "aiq_group_id",
    "group_id",
})  # fmt: skip
WITHOUT_EFFECT: Final = frozenset({"firm", "shares_located", "locate_broker", "user_ref_idx"})
assert set(Appendage._fields) == set(OFFERED) | JUDGED_BY_THE_EXCHANGE | WITHOUT_EFFECT


def refusal_of_tags(appendage: Appendage) -> Refusal:
    """The first tag of an Enter or Replace that asks for something that is not offered."""
    for name, (taken, reason) in OFFERED.items():
        value = getattr(appendage, name)
        if value not in taken:
            return Refusal(int(reason), f"{name} {value}")
    if appendage.aiq_group_id is not None and appendage.aiq_strategy is None:
        return Refusal(int(RejectReason.INVALID_SELF_TRADE), "aiq_group_id without aiq_strategy")
    return NONE


def order_type_and_price(price: int, appendage: Appendage) -> tuple[int, int]:
    """200,000 and above means a market order, and of a pegged order that it has no limit."""
    if appendage is not NO_APPENDAGE and appendage.price_type in _PEGS:
        return _PEGGED, 0 if price >= MARKET_PRICE else price
    return (_LIMIT, price) if price < MARKET_PRICE else (_MARKET, 0)


def time_of_cross(cross_type: str, time_in_force: int) -> int:
    """The time in force of an order for an auction."""
    if cross_type in CROSSES and time_in_force in _TIMES_OF_CROSSES:
        return CROSSES[cross_type]
    return time_in_force


def entered_terms(m: EnterOrder, midnight_ns: int) -> tuple[int, ...] | None:
    """The terms of an Enter Order without a refusal, None when it has none."""
    tags = m.appendage
    terms = Terms(
        display_qty=tags.max_floor or 0,
        display_range=tags.random_reserves or 0,
        min_qty=tags.min_qty or 0,
        instructions=(_HIDDEN if m.display == Display.HIDDEN else 0)
        | (_POST_ONLY if tags.post_only == PostOnly.POST_ONLY else 0),
        peg=_PEGS.get(tags.price_type or "", 0),
        peg_offset=tags.peg_offset or 0,
        self_trade_group=_aiq_group(tags),
        self_trade_action=_AIQ_ACTIONS.get(tags.aiq_strategy or "", 0),
        expire_time_ns=_moment(tags.expire_time, midnight_ns) or 0,
    )
    return tuple(terms) if any(terms) else None


def changed_terms(m: ReplaceOrder, midnight_ns: int) -> tuple[int | None, ...] | None:
    """What changes by a Replace without a refusal (oms.terms.change_terms), None when it says of
    terms only that the order is displayed."""
    tags = m.appendage
    is_hidden = m.display == Display.HIDDEN
    post_only = _POST_ONLY << KEPT
    if tags.post_only is not None:
        post_only = _POST_ONLY if tags.post_only == PostOnly.POST_ONLY else 0
    group = action = None
    if tags.aiq_strategy is not None:
        group, action = _aiq_group(tags), _AIQ_ACTIONS.get(tags.aiq_strategy, 0)
    change = (
        None,
        None,
        tags.max_floor,
        tags.random_reserves,
        tags.min_qty,
        (_HIDDEN if is_hidden else 0) | post_only,
        None if tags.price_type is None else _PEGS.get(tags.price_type, 0),
        tags.peg_offset,
        group,
        action,
        _moment(tags.expire_time, midnight_ns),
    )
    return None if change == _ONLY_DISPLAYED else change


def _aiq_group(tags: Appendage) -> int:
    """AIQ GroupID as a number, that of the firm as a whole when it is blank; 0 without strategy."""
    if tags.aiq_strategy is None or tags.aiq_strategy in _NO_AIQ:
        return 0
    return int.from_bytes((tags.aiq_group_id or "").ljust(2).encode("ascii"), "big")


def _moment(expire_time: int | None, midnight_ns: int) -> int | None:
    """ExpireTime, seconds of the day, in ns since the epoch; what is no time of a day stays one
    that is over."""
    if expire_time is None:
        return None
    return midnight_ns + expire_time * NS_PER_SECOND if expire_time < SECONDS_PER_DAY else -1
