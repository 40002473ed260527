"""What the terms of an order must be like, and which of them go together.

As in oms.risk the first refusal counts, so the order of the functions is part of the contract.
"""

from __future__ import annotations

from typing import Final

from matching.types import OrderType, PegType, SelfTradeAction, TimeInForce
from oms.events import RejectReason, TradingState
from oms.order_state import Order, SpecialOrder, terms_of
from oms.price import HIGHEST_PRICE
from oms.risk import Refusal
from oms.terms import Instruction
from oms.trading_state import COLLECTING, Listing

HIGHEST_GROUP: Final = 2**16 - 1

_KNOWN_INSTRUCTIONS: Final = int(
    Instruction.HIDDEN | Instruction.POST_ONLY | Instruction.ALL_OR_NONE
)
_STOPS: Final = (int(OrderType.STOP), int(OrderType.STOP_LIMIT))
_LIMITED: Final = (int(OrderType.LIMIT), int(OrderType.STOP_LIMIT))
_WITH_MIN_QTY: Final = (int(OrderType.MARKET), *_LIMITED, int(OrderType.PEGGED))
_WAITING: Final = (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.GTD))
_WAITING_OR_IOC: Final = (*_WAITING, int(TimeInForce.IOC))
_TIMES_OF_TYPES: Final[dict[int, tuple[int, ...]]] = {
    OrderType.MARKET: tuple(map(int, TimeInForce)),
    OrderType.LIMIT: tuple(map(int, TimeInForce)),
    OrderType.STOP: _WAITING,
    OrderType.STOP_LIMIT: _WAITING,
    OrderType.MARKET_TO_LIMIT: _WAITING_OR_IOC,
    OrderType.PEGGED: _WAITING,
}
_BEFORE_THE_OPENING: Final = (int(TradingState.PRE_OPEN), int(TradingState.OPENING_AUCTION))
_ONLY_WHILE_TRADING: Final = Instruction.POST_ONLY | Instruction.ALL_OR_NONE


def refusal_of_terms(order: SpecialOrder, listing: Listing, now_ns: int) -> Refusal | None:
    """Refuse terms that make no sense; None when all is well. The checks of oms.risk that concern
    type, time in force and quantity have passed."""
    return (
        _refusal_of_times(order, now_ns)
        or _refusal_of_stop(order, listing)
        or _refusal_of_instructions(order)
        or _refusal_of_display(order, listing)
        or _refusal_of_min_qty(order)
        or _refusal_of_peg(order, listing)
        or _refusal_of_self_trade(order)
    )


def refusal_of_state(order: Order, listing: Listing) -> Refusal | None:
    """Refuse what has no meaning while orders are collected for an auction, and orders for an
    auction that is over or not near."""
    state = listing.trading_state
    found = ""
    if order.time_in_force == TimeInForce.AT_THE_OPEN and state not in _BEFORE_THE_OPENING:
        found = f"time_in_force {order.time_in_force}"
    if state in COLLECTING:
        terms = terms_of(order)
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            found = f"time_in_force {order.time_in_force}"
        elif order.order_type in (OrderType.MARKET_TO_LIMIT, OrderType.PEGGED):
            found = f"order_type {order.order_type}"
        elif terms.min_qty or terms.instructions & _ONLY_WHILE_TRADING:
            found = f"min_qty {terms.min_qty}, instructions {terms.instructions}"
    return (RejectReason.NOT_IN_THIS_STATE, found, state) if found else None


def _refusal_of_times(order: SpecialOrder, now_ns: int) -> Refusal | None:
    """A time in force that the type has, with a time of expiry when it is GTD, and only then."""
    if order.time_in_force not in _TIMES_OF_TYPES[order.order_type]:
        return RejectReason.INVALID_TIME_IN_FORCE, order.time_in_force, ""
    expire_time_ns = order.terms.expire_time_ns
    is_right = expire_time_ns == 0
    if order.time_in_force == TimeInForce.GTD:
        is_right = now_ns < expire_time_ns < 2**63
    return None if is_right else (RejectReason.INVALID_EXPIRE_TIME, expire_time_ns, now_ns)


def _refusal_of_stop(order: SpecialOrder, listing: Listing) -> Refusal | None:
    """A stop price on the grid for a stop order; one that trails may leave it out."""
    stop_price, trail_amount = order.terms.stop_price, order.terms.trail_amount
    for what, value in (("", stop_price), ("trail_amount ", trail_amount)):
        if not 0 <= value <= HIGHEST_PRICE or value % listing.tick_size:
            return RejectReason.INVALID_STOP_PRICE, f"{what}{value}", listing.tick_size
    is_stop = order.order_type in _STOPS
    if (stop_price > 0 or trail_amount > 0) != is_stop:
        return RejectReason.INVALID_STOP_PRICE, str(stop_price), ""
    if trail_amount and order.order_type != OrderType.STOP:
        return RejectReason.INVALID_STOP_PRICE, f"trail_amount {trail_amount}", ""
    return None


def _refusal_of_instructions(order: SpecialOrder) -> Refusal | None:
    """Instructions that exist, on a limit order that may wait."""
    said = order.terms.instructions
    if said & ~_KNOWN_INSTRUCTIONS or said < 0:
        return RejectReason.INVALID_INSTRUCTION, f"instructions {said}", _KNOWN_INSTRUCTIONS
    for instruction, types in (
        (Instruction.HIDDEN, (*_LIMITED, OrderType.PEGGED)),
        (Instruction.POST_ONLY, (OrderType.LIMIT,)),
        (Instruction.ALL_OR_NONE, (*_LIMITED, OrderType.PEGGED)),
    ):
        if not said & instruction:
            continue
        if order.order_type not in types:
            found = f"{instruction.name} with order_type {order.order_type}"
            return RejectReason.INVALID_INSTRUCTION, found, ""
        if order.time_in_force not in _WAITING:
            found = f"{instruction.name} with time_in_force {order.time_in_force}"
            return RejectReason.INVALID_INSTRUCTION, found, ""
    if said & Instruction.POST_ONLY and said & Instruction.ALL_OR_NONE:
        return RejectReason.INVALID_INSTRUCTION, "POST_ONLY with ALL_OR_NONE", ""
    return None


def _refusal_of_display(order: SpecialOrder, listing: Listing) -> Refusal | None:
    """Round lots on display of a limit order that may wait and is displayed at all."""
    display_qty, display_range = order.terms.display_qty, order.terms.display_range
    is_allowed = (
        order.order_type in _LIMITED and order.time_in_force in _WAITING and not order.is_hidden
    )
    if display_qty < 0 or display_qty % listing.lot_size or (display_qty and not is_allowed):
        return RejectReason.INVALID_DISPLAY, display_qty, listing.lot_size
    highest = max(display_qty - 1, 0)
    if not 0 <= display_range <= highest or display_range % listing.lot_size:
        return RejectReason.INVALID_DISPLAY, f"display_range {display_range}", highest
    return None


def _refusal_of_min_qty(order: SpecialOrder) -> Refusal | None:
    """No more shares at once than the order has, and no second condition of the kind."""
    min_qty = order.terms.min_qty
    if min_qty == 0:
        return None
    is_allowed = (
        order.order_type in _WITH_MIN_QTY
        and order.time_in_force in _WAITING_OR_IOC
        and not order.terms.instructions & (Instruction.POST_ONLY | Instruction.ALL_OR_NONE)
    )
    if is_allowed and 0 < min_qty <= order.quantity:
        return None
    return RejectReason.INVALID_MIN_QUANTITY, min_qty, order.quantity


def _refusal_of_peg(order: SpecialOrder, listing: Listing) -> Refusal | None:
    """Something to follow for a pegged order, at a distance on the grid."""
    peg, offset = order.terms.peg, order.terms.peg_offset
    pegs = tuple(PegType) if order.is_pegged else (0,)
    if peg not in pegs:
        return RejectReason.INVALID_PEG, peg, ""
    highest = HIGHEST_PRICE if order.is_pegged else 0
    if not -highest <= offset <= highest or offset % listing.tick_size:
        return RejectReason.INVALID_PEG, f"peg_offset {offset}", listing.tick_size
    return None


def _refusal_of_self_trade(order: SpecialOrder) -> Refusal | None:
    """A group and what to do, or neither."""
    group, action = order.terms.self_trade_group, order.terms.self_trade_action
    if not 0 <= group <= HIGHEST_GROUP:
        return RejectReason.INVALID_SELF_TRADE, f"self_trade_group {group}", HIGHEST_GROUP
    actions = tuple(SelfTradeAction) if group else (0,)
    if action not in actions:
        return RejectReason.INVALID_SELF_TRADE, f"self_trade_action {action}", ""
    return None
