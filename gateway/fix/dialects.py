"""What each version of FIX calls what we have to say: which tags it knows, and with which codes.

A client's engine drops, or rejects, what the dictionary of its version does not have, so a report
says no more than that. What a version has no code for is its "other" (99; in FIX 4.2, which has no
such code, 0 or 2, "broker / exchange option"), and Text(58) says the rest in every version.
Sources: the field dictionaries of FIX 4.2, 4.4 and 5.0 SP2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from matching.types import OrderType, SelfTradeAction, TimeInForce
from oms.events import RejectReason


class RejectCodes(NamedTuple):
    """How FIX names a reason: OrdRejReason(103) and CxlRejReason(102)."""

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
    RejectReason.PRICE_OFF_GRID: RejectCodes(18, 18),
    RejectReason.PRICE_OUT_OF_BAND: RejectCodes(16, 99),
    RejectReason.ORDER_VALUE_TOO_LARGE: RejectCodes(3, 99),
    RejectReason.MARKET_CLOSED: RejectCodes(2, 2),
    RejectReason.HALTED: RejectCodes(2, 2),
    RejectReason.EMERGENCY_CLOSED: RejectCodes(2, 2),
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
    RejectReason.NOT_IN_THIS_STATE: RejectCodes(99, 99),
    RejectReason.INVALID_SELF_TRADE: RejectCodes(11, 99),
}
"""In the latest version; a dialect has its own code in the place of what it does not know."""


class Dialect(NamedTuple):
    """One version. The `highest_...` codes are the last that it knows of OrdRejReason(103) and
    CxlRejReason(102), the `other_...` ones stand for those above."""

    name: str
    highest_ord_rej_reason: int
    other_ord_rej_reason: int
    highest_cxl_rej_reason: int
    other_cxl_rej_reason: int
    order_types: Mapping[str, int]
    """OrdType(40) as asked for -> OrderType."""
    types_at_the_close: Mapping[str, int]
    """The same of types that say by themselves that an order is at the close."""
    times_in_force: Mapping[str, int]
    """TimeInForce(59) as asked for -> TimeInForce."""
    type_and_time: Mapping[tuple[int, int], tuple[str, str]]
    """(OrderType, TimeInForce) -> OrdType(40) and TimeInForce(59) of a report, as they stand in
    it."""
    exec_trans_type: bool
    """ExecTransType(20) is required, a trade is ExecType(150) 1 or 2, a status has no own 150."""
    match_number_tag: int
    """Where the number of the trade stands, 0: nowhere."""
    highest_last_liquidity: int
    """The last code of LastLiquidityInd(851), which is left out when it would be higher; 0: the
    version has no such field."""
    triggered: str
    """ExecType(150) of a stop order that a trade has triggered."""
    working_indicator: bool
    """WorkingIndicator(636) and PeggedPrice(839) exist, and a trailing stop peg."""
    components: bool
    """DisplayInstruction, PegInstructions and SelfMatchPreventionID(2362) exist."""
    unsolicited_reason: int
    """ExecRestatementReason(378) of what nobody asked for and that has no code of its own."""
    halt_reason: int
    """The same of what a halt of the symbol has ended."""
    refresh_reason: int
    """The same of an iceberg that displays its next part."""
    self_trade_reasons: Mapping[int, int]
    """SelfTradeAction -> the same of shares taken off instead of a self-trade."""
    mass_action_report_id: bool
    """OrderMassCancelReport(r) needs a MassActionReportID(1369)."""
    trading_rules: bool
    """SecurityList(y) has groups for ticks (1205) and lots (1234) and a LastFragment(893)."""
    security_status_text: bool
    """SecurityStatus(f) has a Text(58)."""
    highest_security_status: int
    """The last code of SecurityTradingStatus(326): 20 (unknown) stands for pre-open where that has
    none."""
    copy_msg_indicator: bool
    """CopyMsgIndicator(797) exists, and BusinessRejectReason(380) 6 for what nobody may ask."""
    last_update_time: bool
    """MarketDataSnapshotFullRefresh(W) needs a LastUpdateTime(779)."""

    def ord_rej_reason(self, reason: int) -> int:
        """OrdRejReason(103) of a RejectReason."""
        code = REJECT_CODES[reason].ord_rej_reason
        return code if code <= self.highest_ord_rej_reason else self.other_ord_rej_reason

    def cxl_rej_reason(self, reason: int) -> int:
        """CxlRejReason(102) of a RejectReason."""
        code = REJECT_CODES[reason].cxl_rej_reason
        return code if code <= self.highest_cxl_rej_reason else self.other_cxl_rej_reason

    def gateway_ord_rej_reason(self, code: int) -> int:
        """OrdRejReason(103) of what the gateway refuses by itself, given in the latest version."""
        return code if code <= self.highest_ord_rej_reason else self.other_ord_rej_reason


_ORDER_TYPES: Final[dict[str, int]] = {
    "1": int(OrderType.MARKET),
    "2": int(OrderType.LIMIT),
    "3": int(OrderType.STOP),
    "4": int(OrderType.STOP_LIMIT),
    "K": int(OrderType.MARKET_TO_LIMIT),
    "P": int(OrderType.PEGGED),
}
_TIMES_IN_FORCE: Final[dict[str, int]] = {str(int(time)): int(time) for time in TimeInForce}
_ORDER_TYPES_42: Final[dict[str, int]] = {
    text: order_type for text, order_type in _ORDER_TYPES.items() if text != "K"
}
_AT_THE_CLOSE_42: Final = {"5": int(OrderType.MARKET), "B": int(OrderType.LIMIT)}
"""4.2 has no market-to-limit, and no time for orders at the close."""
_TIMES_IN_FORCE_42: Final[dict[str, int]] = {
    text: time for text, time in _TIMES_IN_FORCE.items() if time != TimeInForce.AT_THE_CLOSE
}


def _type_and_time(
    types: Mapping[str, int], at_the_close: Mapping[str, int], times: Mapping[str, int]
) -> dict[tuple[int, int], tuple[str, str]]:
    """What reports say of an order. `at_the_close` are the types that say the time, too; what a
    market-to-limit order is where there is no such type, is a limit order once it is accepted."""
    texts = {order_type: text for text, order_type in _ORDER_TYPES.items() if text in types}
    texts.setdefault(int(OrderType.MARKET_TO_LIMIT), "2")
    known = {
        (order_type, time): (f"40={text}\x01", f"59={time_text}\x01")
        for order_type, text in texts.items()
        for time_text, time in times.items()
    }
    for text, order_type in at_the_close.items():
        known[order_type, int(TimeInForce.AT_THE_CLOSE)] = f"40={text}\x01", ""
    return known


_FIX42: Final = Dialect(
    "FIX.4.2",
    highest_ord_rej_reason=8,
    other_ord_rej_reason=0,
    highest_cxl_rej_reason=3,
    other_cxl_rej_reason=2,
    order_types=_ORDER_TYPES_42,
    types_at_the_close=_AT_THE_CLOSE_42,
    times_in_force=_TIMES_IN_FORCE_42,
    type_and_time=_type_and_time(_ORDER_TYPES_42, _AT_THE_CLOSE_42, _TIMES_IN_FORCE_42),
    exec_trans_type=True,
    match_number_tag=0,
    highest_last_liquidity=0,
    triggered="D",
    working_indicator=False,
    components=False,
    unsolicited_reason=4,
    halt_reason=4,
    refresh_reason=4,
    self_trade_reasons={int(action): 4 for action in SelfTradeAction},
    mass_action_report_id=False,
    trading_rules=False,
    security_status_text=False,
    highest_security_status=20,
    copy_msg_indicator=False,
    last_update_time=False,
)
_FIX44: Final = Dialect(
    "FIX.4.4",
    highest_ord_rej_reason=15,
    other_ord_rej_reason=99,
    highest_cxl_rej_reason=6,
    other_cxl_rej_reason=99,
    order_types=_ORDER_TYPES,
    types_at_the_close={},
    times_in_force=_TIMES_IN_FORCE,
    type_and_time=_type_and_time(_ORDER_TYPES, {}, _TIMES_IN_FORCE),
    exec_trans_type=False,
    match_number_tag=527,
    highest_last_liquidity=3,
    triggered="D",
    working_indicator=True,
    components=False,
    unsolicited_reason=8,
    halt_reason=6,
    refresh_reason=8,
    self_trade_reasons={int(action): 8 for action in SelfTradeAction},
    mass_action_report_id=False,
    trading_rules=False,
    security_status_text=True,
    highest_security_status=26,
    copy_msg_indicator=True,
    last_update_time=False,
)
_FIX50SP2: Final = Dialect(
    "FIX.5.0SP2",
    highest_ord_rej_reason=99,
    other_ord_rej_reason=99,
    highest_cxl_rej_reason=99,
    other_cxl_rej_reason=99,
    order_types=_ORDER_TYPES,
    types_at_the_close={},
    times_in_force=_TIMES_IN_FORCE,
    type_and_time=_type_and_time(_ORDER_TYPES, {}, _TIMES_IN_FORCE),
    exec_trans_type=False,
    match_number_tag=880,
    highest_last_liquidity=11,
    triggered="L",
    working_indicator=True,
    components=True,
    unsolicited_reason=8,
    halt_reason=6,
    refresh_reason=14,
    self_trade_reasons={
        int(SelfTradeAction.CANCEL_NEWEST): 18,
        int(SelfTradeAction.CANCEL_OLDEST): 19,
        int(SelfTradeAction.CANCEL_BOTH): 20,
        int(SelfTradeAction.DECREMENT): 17,
    },
    mass_action_report_id=True,
    trading_rules=True,
    security_status_text=True,
    highest_security_status=26,
    copy_msg_indicator=True,
    last_update_time=True,
)

DIALECTS: Final[dict[str, Dialect]] = {
    dialect.name: dialect for dialect in (_FIX42, _FIX44, _FIX50SP2)
}
"""By the name of the version (protocols/fix_dictionary.py)."""
