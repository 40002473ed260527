"""Events of a session -> its OUCH messages: the n-th one is the same at every gateway, for ever.

An Outbound reads the events of one session from the first of the log on. What it remembers comes
from those events alone: nothing that a gateway is told or does, no clock, no connection. So any
gateway can serve any session from any number, live, or after it was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from matching.types import SelfTradeAction, Side, TimeInForce
from oms.events import (
    CancelReason,
    Event,
    EventKind,
    Liquidity,
    OrderCanceled,
    OrderReduced,
    RejectReason,
)
from protocols import ouch50, ouch50_codes
from protocols import ouch50_messages as messages
from protocols.ouch50_appendage import user_ref_idx_appendage
from protocols.ouch50_codes import MARKET_PRICE
from protocols.ouch50_fields import symbol_field
from protocols.ouch50_outbound import (
    encode_aiq_canceled,
    encode_broken_trade,
    encode_order_accepted,
    encode_order_canceled,
    encode_order_executed,
    encode_order_modified,
    encode_order_replaced,
    encode_rejected,
)
from protocols.ouch50_tails import (
    cl_ord_id_of_enter,
    cl_ord_id_of_replace,
    enter_tail,
    replace_tail,
    replaced_tail,
)

_SIDES: Final = {
    int(Side.BUY): b"B",
    int(Side.SELL): b"S",
    int(Side.SELL_SHORT): b"T",
    int(Side.SELL_SHORT_EXEMPT): b"E",
}
_LIVE: Final = b"L"
_HIGHEST_NUMBER: Final = 0xFFFF_FFFF
_LIQUIDITY_FLAGS: Final = {
    int(Liquidity.ADDED): ouch50_codes.LiquidityFlag.ADDED.encode(),
    int(Liquidity.REMOVED): ouch50_codes.LiquidityFlag.REMOVED.encode(),
    int(Liquidity.AUCTION): ouch50_codes.LiquidityFlag.HALT_CROSS.encode(),
    int(Liquidity.OPENING_AUCTION): ouch50_codes.LiquidityFlag.OPENING_CROSS.encode(),
    int(Liquidity.CLOSING_AUCTION): ouch50_codes.LiquidityFlag.CLOSING_CROSS.encode(),
    int(Liquidity.ADDED_HIDDEN): ouch50_codes.LiquidityFlag.NON_DISPLAYED_ADDED.encode(),
}
_AIQ_STRATEGIES: Final = {
    int(SelfTradeAction.CANCEL_NEWEST): ouch50_codes.AiqStrategy.CANCEL_NEWEST.encode(),
    int(SelfTradeAction.CANCEL_OLDEST): ouch50_codes.AiqStrategy.CANCEL_OLDEST.encode(),
    int(SelfTradeAction.DECREMENT): ouch50_codes.AiqStrategy.DECREMENT_BOTH.encode(),
}
_AT_THE_OPEN: Final = f"time_in_force {int(TimeInForce.AT_THE_OPEN)}"
_NO_CL_ORD_ID: Final = b" " * 14
_SUPERVISORY: Final = ouch50_codes.BrokenTradeReason.SUPERVISORY.encode()

CANCEL_REASONS: Final[dict[CancelReason, str]] = {
    CancelReason.USER: ouch50_codes.CancelReason.USER,
    CancelReason.IMMEDIATE_OR_CANCEL: ouch50_codes.CancelReason.IMMEDIATE_OR_CANCEL,
    CancelReason.FILL_OR_KILL: ouch50_codes.CancelReason.IMMEDIATE_OR_CANCEL,
    CancelReason.NO_LIQUIDITY: ouch50_codes.CancelReason.MARKET_COLLAR,
    CancelReason.SESSION_CLOSED: ouch50_codes.CancelReason.SYSTEM,
    CancelReason.SYSTEM: ouch50_codes.CancelReason.SYSTEM,
    CancelReason.REPLACE_INVALID: ouch50_codes.CancelReason.SYSTEM,
    CancelReason.MASS_CANCEL: ouch50_codes.CancelReason.USER,
    CancelReason.SELF_TRADE: ouch50_codes.CancelReason.SELF_MATCH_PREVENTION,
    CancelReason.AUCTION_OVER: ouch50_codes.CancelReason.TIMEOUT,
    CancelReason.EXPIRED: ouch50_codes.CancelReason.TIMEOUT,
    CancelReason.PRICE_OUT_OF_BAND: ouch50_codes.CancelReason.MARKET_COLLAR,
    CancelReason.HALTED: ouch50_codes.CancelReason.HALTED,
    CancelReason.EMERGENCY_CLOSED: ouch50_codes.CancelReason.SUPERVISORY,
}
"""OUCH 5.0, Appendix B."""

REJECT_REASONS: Final[dict[RejectReason, int]] = {
    RejectReason.UNKNOWN_SYMBOL: ouch50_codes.RejectReason.INVALID_SYMBOL,
    RejectReason.UNKNOWN_ACCOUNT: ouch50_codes.RejectReason.FIRM_NOT_AUTHORIZED,
    RejectReason.DUPLICATE_CL_ORD_ID: ouch50_codes.RejectReason.OTHER,
    RejectReason.INVALID_SIDE: ouch50_codes.RejectReason.INVALID_SIDE,
    RejectReason.INVALID_ORDER_TYPE: ouch50_codes.RejectReason.OTHER,
    RejectReason.INVALID_TIME_IN_FORCE: ouch50_codes.RejectReason.OTHER,
    RejectReason.INVALID_QUANTITY: ouch50_codes.RejectReason.INVALID_QUANTITY,
    RejectReason.QUANTITY_NOT_ROUND_LOT: ouch50_codes.RejectReason.INVALID_QUANTITY,
    RejectReason.QUANTITY_TOO_LARGE: ouch50_codes.RejectReason.SHARES_EXCEED_THRESHOLD,
    RejectReason.INVALID_PRICE: ouch50_codes.RejectReason.INVALID_PRICE,
    RejectReason.PRICE_OFF_GRID: ouch50_codes.RejectReason.INVALID_PRICE,
    RejectReason.PRICE_OUT_OF_BAND: ouch50_codes.RejectReason.FAT_FINGER,
    RejectReason.ORDER_VALUE_TOO_LARGE: ouch50_codes.RejectReason.EXCEEDS_MAX_NOTIONAL,
    RejectReason.MARKET_CLOSED: ouch50_codes.RejectReason.DESTINATION_CLOSED,
    RejectReason.HALTED: ouch50_codes.RejectReason.HALTED,
    RejectReason.EMERGENCY_CLOSED: ouch50_codes.RejectReason.DESTINATION_CLOSED,
    RejectReason.UNKNOWN_ORDER: ouch50_codes.RejectReason.OTHER,
    RejectReason.TOO_LATE: ouch50_codes.RejectReason.OTHER,
    RejectReason.ORDER_MISMATCH: ouch50_codes.RejectReason.OTHER,
    RejectReason.QUANTITY_ALREADY_EXECUTED: ouch50_codes.RejectReason.INVALID_QUANTITY,
    RejectReason.UNKNOWN_SESSION: ouch50_codes.RejectReason.FIRM_NOT_AUTHORIZED,
    RejectReason.INVALID_DISPLAY: ouch50_codes.RejectReason.INVALID_MAX_FLOOR,
    RejectReason.INVALID_MAX_FLOOR: ouch50_codes.RejectReason.INVALID_MAX_FLOOR,
    RejectReason.INVALID_PEG: ouch50_codes.RejectReason.INVALID_PEG_TYPE,
    RejectReason.INTERMARKET_SWEEP_NOT_ALLOWED: ouch50_codes.RejectReason.ISO_NOT_ALLOWED,
    RejectReason.FIRM_NOT_AUTHORIZED: ouch50_codes.RejectReason.FIRM_NOT_AUTHORIZED,
    RejectReason.INVALID_MIN_QUANTITY: ouch50_codes.RejectReason.INVALID_MIN_QUANTITY,
    RejectReason.INVALID_CROSS_TYPE: ouch50_codes.RejectReason.INVALID_CROSS_ORDER,
    RejectReason.ROUTING_NOT_ALLOWED: ouch50_codes.RejectReason.ROUTING_NOT_ALLOWED,
    RejectReason.ORDER_ENTRY_DISABLED: ouch50_codes.RejectReason.FIRM_NOT_AUTHORIZED,
    RejectReason.INVALID_INSTRUCTION: ouch50_codes.RejectReason.OTHER,
    RejectReason.POST_ONLY_WOULD_TRADE: ouch50_codes.RejectReason.CROSSED_MARKET,
    RejectReason.INVALID_STOP_PRICE: ouch50_codes.RejectReason.INVALID_PRICE,
    RejectReason.INVALID_EXPIRE_TIME: ouch50_codes.RejectReason.OTHER,
    RejectReason.NOT_IN_THIS_STATE: ouch50_codes.RejectReason.HALTED,
    RejectReason.INVALID_SELF_TRADE: ouch50_codes.RejectReason.INVALID_AIQ,
}
"""OUCH 5.0, Appendix C."""

_CANCEL_CODES: Final = {int(ours): code.encode() for ours, code in CANCEL_REASONS.items()}
_REJECT_CODES: Final = {int(ours): int(code) for ours, code in REJECT_REASONS.items()}


class Outbound:
    """One session. Memory: name and terms of its live orders, about 150 bytes each."""

    def __init__(self) -> None:
        self._orders: dict[str, bytes] = {}
        """Terms (ouch50_tails) of the live orders that OUCH has entered, by name."""
        self._has_begun = False
        self._is_over = False
        """Whether the day has begun for the session, and has ended since."""

    def message(self, event: Event, timestamp: int) -> bytes | None:
        """The message that an event of the session makes, None for one that makes none.
        `timestamp` is that of the event, in ns since midnight."""
        make = _MAKERS.get(event[0])
        return None if make is None else make(self, event, timestamp)

    # ---- orders ----

    def _accepted(self, event: Event, timestamp: int) -> bytes | None:
        if len(event) <= _MEMO_OF_ACCEPTED:
            return None  # not entered by OUCH
        name = event[2]
        self._orders[name] = tail = enter_tail(event[_MEMO_OF_ACCEPTED][1:])
        return encode_order_accepted(
            timestamp,
            _numbers(name)[1],
            _SIDES[event[6]],
            event[9],
            symbol_field(event[5]),
            event[10] or MARKET_PRICE,
            event[15],
            _LIVE,
            tail,
        )

    def _executed(self, event: Event, timestamp: int) -> bytes | None:
        name = event[2]
        if name not in self._orders:
            return None
        if not event[12]:
            del self._orders[name]
        channel, number = _numbers(name)
        return encode_order_executed(
            timestamp, number, event[16], event[17], _LIQUIDITY_FLAGS[event[19]], event[18], channel
        )

    def _busted(self, event: Event, timestamp: int) -> bytes | None:
        """Broken Trade. Of an order that is over its UserRefNum is known still, its ClOrdID is
        not."""
        name = event[2]
        if name in self._orders:
            cl_ord_id = cl_ord_id_of_enter(self._orders[name])
        elif _is_number(name):
            cl_ord_id = _NO_CL_ORD_ID
        else:
            return None  # not entered by OUCH
        channel, number = _numbers(name)
        return encode_broken_trade(timestamp, number, event[18], _SUPERVISORY, cl_ord_id, channel)

    def _canceled(self, event: Event, timestamp: int) -> bytes | None:
        name = event[16] or event[2]
        if self._orders.pop(name, None) is None:
            return None
        if len(event) > _PREVENTED_OF_CANCELED:
            return _aiq_canceled(timestamp, name, event[17], event[_PREVENTED_OF_CANCELED])
        channel, number = _numbers(name)
        return encode_order_canceled(
            timestamp, number, event[17], _CANCEL_CODES[event[18]], channel
        )

    def _reduced(self, event: Event, timestamp: int) -> bytes | None:
        name = event[2]
        if name not in self._orders:
            return None
        if len(event) > _PREVENTED_OF_REDUCED:
            return _aiq_canceled(timestamp, name, event[16], event[_PREVENTED_OF_REDUCED])
        channel, number = _numbers(name)
        return encode_order_canceled(timestamp, number, event[16], b"U", channel)

    def _restated(self, event: Event, timestamp: int) -> bytes | None:
        """The next part of an order is displayed."""
        name = event[2]
        if name not in self._orders:
            return None
        channel, number = _numbers(name)
        appendage = user_ref_idx_appendage(channel)._replace(
            secondary_ord_ref_num=event[15], display_qty=event[16]
        )
        reason = ouch50_codes.RestatementReason.REFRESH_OF_DISPLAY
        return ouch50.encode(messages.OrderRestated(timestamp, number, reason, appendage))

    def _modified(self, event: Event, timestamp: int) -> bytes | None:
        name = event[2]
        if name not in self._orders:
            return None
        channel, number = _numbers(name)
        return encode_order_modified(timestamp, number, _SIDES[event[6]], event[12], channel)

    def _replaced(self, event: Event, timestamp: int) -> bytes | None:
        original = self._orders.pop(event[16], None)
        if original is None or len(event) <= _MEMO_OF_REPLACED:
            return None
        tail = replaced_tail(original, replace_tail(event[_MEMO_OF_REPLACED][1:]))
        self._orders[event[2]] = tail
        return encode_order_replaced(
            timestamp,
            _numbers(event[16])[1],
            _numbers(event[2])[1],
            _SIDES[event[6]],
            event[12],
            symbol_field(event[5]),
            event[10] or MARKET_PRICE,
            event[15],
            _LIVE,
            tail,
        )

    def _rejected(self, event: Event, timestamp: int) -> bytes | None:
        if len(event) <= _MEMO_OF_REJECTED:
            return None  # not entered by OUCH
        channel, number = _numbers(event[2])
        cl_ord_id = cl_ord_id_of_enter(enter_tail(event[_MEMO_OF_REJECTED][1:]))
        code = _reject_code(event[16], event[17])
        return encode_rejected(timestamp, number, code, cl_ord_id, channel)

    # ---- the rest ----

    def _number_rejected(self, event: Event, timestamp: int) -> bytes | None:
        _, _, channel, number, reason, _, memo = event
        if not memo:
            return None  # of a request that OUCH answers with nothing
        cl_ord_id = _NO_CL_ORD_ID
        if memo[:1] == b"U":
            cl_ord_id = cl_ord_id_of_replace(replace_tail(memo[1:]))
        return encode_rejected(timestamp, number, _REJECT_CODES[reason], cl_ord_id, channel)

    def _mass_canceled(self, event: Event, timestamp: int) -> bytes | None:
        _, _, _, number, symbol, _, memo = event
        firm = memo[1:5].decode("ascii").rstrip()
        appendage = ouch50.decode_appended(memo, 13)
        return ouch50.encode(
            messages.MassCancelResponse(timestamp, number, firm, symbol, appendage)
        )

    def _order_entry_set(self, event: Event, timestamp: int) -> bytes | None:
        _, _, _, number, enabled, memo = event
        firm = memo[1:5].decode("ascii").rstrip()
        response = (
            messages.EnableOrderEntryResponse if enabled else messages.DisableOrderEntryResponse
        )
        return ouch50.encode(response(timestamp, number, firm, ouch50.decode_appended(memo, 5)))

    def _numbers_reported(self, event: Event, timestamp: int) -> bytes | None:
        _, _, channel, next_number = event
        # When all are used up there is no next one: a request under the last one is ignored, too.
        next_number = min(next_number, _HIGHEST_NUMBER)
        appendage = user_ref_idx_appendage(channel)
        return ouch50.encode(messages.AccountQueryResponse(timestamp, next_number, appendage))

    def _opened(self, event: Event, timestamp: int) -> bytes | None:
        """The first login of all begins the day of a session."""
        if self._has_begun:
            return None
        self._has_begun = True
        return ouch50.encode(messages.SystemEvent(timestamp, "S"))

    def _day_ended(self, event: Event, timestamp: int) -> bytes | None:
        """Nobody hears the end of a day whose beginning was not told."""
        if not self._has_begun or self._is_over:
            return None
        self._is_over = True
        return ouch50.encode(messages.SystemEvent(timestamp, "E"))

    def _day_started(self, event: Event, timestamp: int) -> bytes | None:
        if not self._is_over:
            return None
        self._is_over = False
        return ouch50.encode(messages.SystemEvent(timestamp, "S"))


def _reject_code(reason: int, found: int | str) -> int:
    """OUCH has more codes than there are reasons: for a Display that is not offered (what else is
    about the display is about Max Floor), and for an order at the open that comes too late."""
    if reason == RejectReason.INVALID_DISPLAY and str(found).startswith("display "):
        return int(ouch50_codes.RejectReason.INVALID_DISPLAY)
    if reason == RejectReason.NOT_IN_THIS_STATE and found == _AT_THE_OPEN:
        return int(ouch50_codes.RejectReason.INVALID_CROSS_ORDER)
    return _REJECT_CODES[reason]


def _aiq_canceled(timestamp: int, name: str, quantity: int, prevented: tuple[int, ...]) -> bytes:
    """AIQ Canceled. Where both sides were canceled, which OUCH has no strategy for, each is told
    what happened to itself: the incoming order was the newest, the other one the oldest."""
    prevented_qty, price, liquidity, action = prevented
    if action == SelfTradeAction.CANCEL_BOTH:
        is_incoming = liquidity == Liquidity.REMOVED
        newest, oldest = SelfTradeAction.CANCEL_NEWEST, SelfTradeAction.CANCEL_OLDEST
        action = newest if is_incoming else oldest
    channel, number = _numbers(name)
    return encode_aiq_canceled(
        timestamp,
        number,
        quantity,
        _CANCEL_CODES[CancelReason.SELF_TRADE],
        prevented_qty,
        price,
        _LIQUIDITY_FLAGS[liquidity],
        _AIQ_STRATEGIES[action],
        channel,
    )


_PREVENTED_OF_CANCELED: Final = OrderCanceled._fields.index("prevented")
_PREVENTED_OF_REDUCED: Final = OrderReduced._fields.index("prevented")
_MEMO_OF_ACCEPTED: Final = 16
_MEMO_OF_REPLACED: Final = 17
_MEMO_OF_REJECTED: Final = 19

_MAKERS: Final[dict[int, Callable[[Outbound, Event, int], bytes | None]]] = {
    int(kind): maker
    for kind, maker in {
        EventKind.ORDER_ACCEPTED: Outbound._accepted,
        EventKind.ORDER_EXECUTED: Outbound._executed,
        EventKind.ORDER_CANCELED: Outbound._canceled,
        EventKind.EXECUTION_BUSTED: Outbound._busted,
        EventKind.ORDER_REDUCED: Outbound._reduced,
        EventKind.ORDER_RESTATED: Outbound._restated,
        EventKind.ORDER_MODIFIED: Outbound._modified,
        EventKind.ORDER_REPLACED: Outbound._replaced,
        EventKind.ORDER_REJECTED: Outbound._rejected,
        EventKind.NUMBER_REJECTED: Outbound._number_rejected,
        EventKind.MASS_CANCELED: Outbound._mass_canceled,
        EventKind.ORDER_ENTRY_SET: Outbound._order_entry_set,
        EventKind.NUMBERS_REPORTED: Outbound._numbers_reported,
        EventKind.SESSION_OPENED: Outbound._opened,
        EventKind.TRADING_DAY_ENDED: Outbound._day_ended,
        EventKind.TRADING_DAY_STARTED: Outbound._day_started,
    }.items()
}


def _is_number(name: str) -> bool:
    """Whether a name is that of a numbered order."""
    channel, colon, number = name.rpartition(":")
    return number.isdecimal() and (channel.isdecimal() or not colon)


def _numbers(name: str) -> tuple[int, int]:
    """(UserRefIdx, UserRefNum) of the name of a numbered order."""
    if ":" not in name:  # as nearly always
        return 0, int(name)
    channel, _, number = name.partition(":")
    return int(channel), int(number)
