"""What each version of FIX calls what we have to say: which tags it knows, and with which codes.

A client's engine drops, or rejects, what the dictionary of its version does not have, so a report
says no more than that. What a version has no code for is its "other" (99; in FIX 4.2, which has no
such code, 0 or 2, "broker / exchange option"), and Text(58) says the rest in every version.
Sources: the field dictionaries of FIX 4.2, 4.4 and 5.0 SP2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

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
    RejectReason.NOT_IN_THIS_STATE: RejectCodes(2, 2),
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
    exec_trans_type: bool
    """ExecTransType(20) is required, a trade is ExecType(150) 1 or 2, a status has no own 150."""
    match_number_tag: int
    """Where the number of the trade stands, 0: nowhere."""
    last_liquidity: bool
    """LastLiquidityInd(851) exists."""
    unsolicited_reason: int
    """ExecRestatementReason(378) of a cancel that nobody asked for."""
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


_FIX42: Final = Dialect(
    "FIX.4.2",
    highest_ord_rej_reason=8,
    other_ord_rej_reason=0,
    highest_cxl_rej_reason=3,
    other_cxl_rej_reason=2,
    exec_trans_type=True,
    match_number_tag=0,
    last_liquidity=False,
    unsolicited_reason=4,
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
    exec_trans_type=False,
    match_number_tag=527,
    last_liquidity=True,
    unsolicited_reason=8,
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
    exec_trans_type=False,
    match_number_tag=880,
    last_liquidity=True,
    unsolicited_reason=8,
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
