"""Events to FIX messages about orders.

ExecutionReport(8), OrderCancelReject(9) and OrderMassCancelReport(r) are made here.

A report is a pure function of the event, its number, its time and the version of FIX, so a report
that is made again after a crash is the same but for the session header. ExecID(17) is the number
of the event. Each function returns the fields after the standard header as `tag=value|...|` text.

What a version does not know is left out or said in its own way (dialects.py): the match number is
SecondaryExecID(527) in 4.4 and TrdMatchID(880) in 5.0 SP2; a trade is ExecType(150) F, in 4.2 1 or
2. A replaced order is 150=5 with the status that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from gateway.fix.dialects import Dialect
from gateway.fix.term_reports import terms_text
from gateway.fix.texts import CANCEL_TEXTS, Facts, money, reject_text
from matching.types import OrderType
from oms.events import (
    ORDER_FIELDS,
    CancelReason,
    CancelRejected,
    Event,
    EventKind,
    Liquidity,
    OrderAccepted,
    OrderCanceled,
    OrderListed,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrdersCanceled,
    OrdStatus,
    RejectReason,
)
from oms.price import format_price

EXECUTION_REPORT: Final = "8"
ORDER_CANCEL_REJECT: Final = "9"
ORDER_MASS_CANCEL_REPORT: Final = "r"
NO_ORDER_ID: Final = "NONE"
"""OrderID(37) where there is no order."""

_MARKET: Final = int(OrderType.MARKET)
_PEGGED: Final = int(OrderType.PEGGED)
_STOPS: Final = (int(OrderType.STOP), int(OrderType.STOP_LIMIT))
_ORDER_FIELDS: Final = len(ORDER_FIELDS)
_TERMS_OF_ACCEPTED: Final = OrderAccepted._fields.index("terms")
_TERMS_OF_REPLACED: Final = OrderReplaced._fields.index("terms")
_PREVENTED_OF_REDUCED: Final = OrderReduced._fields.index("prevented")
_UNSAID: Final = ("", "")
_TELL_THE_LIMIT: Final = (
    int(EventKind.ORDER_ACCEPTED),
    int(EventKind.ORDER_REPLACED),
    int(EventKind.ORDER_REJECTED),
)
"""The events of a pegged order that say its limit; others say where it stands."""
_UNSOLICITED: Final = frozenset((
    CancelReason.SESSION_CLOSED,
    CancelReason.SYSTEM,
    CancelReason.PRICE_OUT_OF_BAND,
    CancelReason.EMERGENCY_CLOSED,
))  # fmt: skip
"""What ends an order that nobody has canceled, and whose terms have not ended it."""
_REDUCED: Final = int(EventKind.ORDER_REDUCED)
_PARTIAL_DECLINE: Final = 5  # ExecRestatementReason(378)
_STATUS_EXPIRED: Final = int(OrdStatus.EXPIRED)
_LAST_LIQUIDITY: Final = {
    int(Liquidity.ADDED): 1,
    int(Liquidity.ADDED_HIDDEN): 1,
    int(Liquidity.REMOVED): 2,
    int(Liquidity.AUCTION): 4,
    int(Liquidity.OPENING_AUCTION): 4,
    int(Liquidity.CLOSING_AUCTION): 4,
}
"""LastLiquidityInd(851): FIX knows no more than this."""
_EXPIRED: Final = chr(OrdStatus.EXPIRED)  # ExecType(150) and OrdStatus(39)
_RESTATED: Final = "D"  # ExecType(150)
_TRADE_CANCEL: Final = "H"
_BUSTED_TEXT: Final = "The exchange has busted the trade; its shares do not come back"
_TRIGGERED_TEXT: Final = "A trade has triggered the stop order"
_NEW_MESSAGE: Final = "20=0\x01"  # ExecTransType(20): 0 new, 1 cancel, 3 status
_CANCEL_MESSAGE: Final = "20=1\x01"
_STATUS_MESSAGE: Final = "20=3\x01"
_ALL_ORDERS: Final = 7  # MassCancelRequestType(530) and MassCancelResponse(531)
_ORDERS_OF_SYMBOL: Final = 1
_MASS_CANCEL_REFUSED: Final = 0
_MASS_CANCEL_REJECT_REASONS: Final = {RejectReason.UNKNOWN_SYMBOL: 1}  # 532; all others are 99
_UNDISCLOSED: Final = 7
"""Side(54) where nothing has one."""
_NO_SYMBOL: Final = "[N/A]"
"""Symbol(55) where nothing has one: of all orders, and of an OUCH order with a blank Symbol."""
_price_text = lru_cache(maxsize=65_536)(format_price)


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
    event: Event,
    exec_id: int,
    exec_type: str,
    transact_time: str,
    orig: str,
    more: str,
    dialect: Dialect,
) -> str:
    """The ExecutionReport of an event that begins with ORDER_FIELDS. `orig` is the OrigClOrdID(41)
    or ""; `more` are the fields of this kind of event only."""
    (
        kind,
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
    if order_type == _PEGGED and kind not in _TELL_THE_LIMIT:
        is_told = price > 0 and dialect.working_indicator
        price_text = f"839={_price_text(price)}\x01" if is_told else ""
    status: object = _EXPIRED if ord_status == _STATUS_EXPIRED else ord_status
    type_text, time_text = dialect.type_and_time.get((order_type, time_in_force), _UNSAID)
    average = average_price(cum_value, cum_qty) if cum_qty else "0"
    return (
        f"37={order_id or NO_ORDER_ID}\x0111={cl_ord_id}\x01{orig_text}17={exec_id}\x01"
        f"150={exec_type}\x0139={status}\x011={account}\x0155={symbol or _NO_SYMBOL}\x01"
        f"54={side or _UNDISCLOSED}\x01"
        f"38={quantity}\x01{type_text}{price_text}{time_text}{more}"
        f"151={leaves_qty}\x0114={cum_qty}\x016={average}\x0160={transact_time}\x01"
    )


def _plain(dialect: Dialect) -> str:
    return _NEW_MESSAGE if dialect.exec_trans_type else ""


def _accepted(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    more = _plain(dialect)
    if len(event) > _TERMS_OF_ACCEPTED:
        more += terms_text(event[_TERMS_OF_ACCEPTED], dialect)
        if event[7] in _STOPS and dialect.working_indicator:
            more += "636=N\x01"
    return _order_report(event, exec_id, "0", transact_time, "", more, dialect)


def _executed(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    last_qty, last_price, match_number, liquidity = event[16:20]
    more = f"32={last_qty}\x0131={_price_text(last_price)}\x01"
    if dialect.exec_trans_type:
        exec_type = "1" if event[12] else "2"
        more = _NEW_MESSAGE + more
        return _order_report(event, exec_id, exec_type, transact_time, "", more, dialect)
    last_liquidity = _LAST_LIQUIDITY[liquidity]
    more += f"{dialect.match_number_tag}={match_number}\x01"
    if last_liquidity <= dialect.highest_last_liquidity:
        more += f"851={last_liquidity}\x01"
    return _order_report(event, exec_id, "F", transact_time, "", more, dialect)


def _busted(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    """A trade is void: Trade Cancel, in 4.2 by the ExecTransType(20). ExecRefID(19) is the ExecID
    of the report that told the trade."""
    last_qty, last_price, match_number, execution_seq = event[_ORDER_FIELDS:]
    more = f"19={execution_seq}\x0132={last_qty}\x0131={_price_text(last_price)}\x01"
    more += f"58={_BUSTED_TEXT}\x01"
    if dialect.exec_trans_type:
        more = _CANCEL_MESSAGE + more
        exec_type = status_text(event[14])
        return _order_report(event, exec_id, exec_type, transact_time, "", more, dialect)
    more += f"{dialect.match_number_tag}={match_number}\x01"
    return _order_report(event, exec_id, _TRADE_CANCEL, transact_time, "", more, dialect)


def _canceled(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    canceled = OrderCanceled(*event)
    text = CANCEL_TEXTS[canceled.reason]
    more = f"58={text}\x01" if text else ""
    if canceled.prevented:
        more = f"378={dialect.self_trade_reasons[canceled.prevented[3]]}\x01{more}"
    elif canceled.reason == CancelReason.HALTED:
        more = f"378={dialect.halt_reason}\x01{more}"
    elif canceled.reason in _UNSOLICITED:
        more = f"378={dialect.unsolicited_reason}\x01{more}"
    more = _plain(dialect) + more
    exec_type = status_text(canceled.ord_status)
    orig = canceled.orig_cl_ord_id
    return _order_report(event, exec_id, exec_type, transact_time, orig, more, dialect)


def status_text(ord_status: int) -> str:
    """OrdStatus(39), and the ExecType(150) of what ends with it."""
    return _EXPIRED if ord_status == OrdStatus.EXPIRED else str(ord_status)


def _replaced(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    more = _plain(dialect)
    if len(event) > _TERMS_OF_REPLACED:
        more += terms_text(event[_TERMS_OF_REPLACED], dialect)
    return _order_report(event, exec_id, "5", transact_time, event[16], more, dialect)


def _reduced(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    """Shares were taken off, or the kind of sale changed, under the same name: over OUCH; or shares
    were taken off instead of a self-trade, which nobody asked for."""
    if event[0] == _REDUCED and len(event) > _PREVENTED_OF_REDUCED:
        more = f"{_plain(dialect)}378={_PARTIAL_DECLINE}\x01"
        more += f"58={CANCEL_TEXTS[CancelReason.SELF_TRADE]}\x01"
        return _order_report(event, exec_id, _RESTATED, transact_time, "", more, dialect)
    return _order_report(event, exec_id, "5", transact_time, "", _plain(dialect), dialect)


def _triggered(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    """A stop order is a market or limit order from now on."""
    more = _plain(dialect)
    if dialect.triggered == _RESTATED:
        more += f"378={dialect.unsolicited_reason}\x01"
    if dialect.working_indicator:
        more += "636=Y\x01"
    more += f"58={_TRIGGERED_TEXT}\x01"
    return _order_report(event, exec_id, dialect.triggered, transact_time, "", more, dialect)


def _restated(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    """An iceberg displays its next part."""
    shown_qty = event[_ORDER_FIELDS]
    more = f"{_plain(dialect)}378={dialect.refresh_reason}\x01"
    more += f"1138={shown_qty}\x01" if dialect.components else ""
    more += f"58={shown_qty} shares are displayed now, last in the queue of their price\x01"
    return _order_report(event, exec_id, _RESTATED, transact_time, "", more, dialect)


def _rejected(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    rejected = OrderRejected(*event)
    text = reject_text(rejected.reason, Facts(rejected.found, rejected.limit, rejected.symbol))
    if rejected.reason == RejectReason.INVALID_PRICE and rejected.order_type == _MARKET:
        text = f"Price(44) {money(rejected.price)} on a market order: leave it out"
    code = dialect.ord_rej_reason(rejected.reason)
    more = f"{_plain(dialect)}103={code}\x0158={text}\x01"
    return _order_report(event, exec_id, "8", transact_time, "", more, dialect)


def _status(event: Event, exec_id: int, transact_time: str, dialect: Dialect, more: str) -> str:
    exec_type = "I"
    if dialect.exec_trans_type:
        exec_type = status_text(event[14])
        more = _STATUS_MESSAGE + more
    return _order_report(event, exec_id, exec_type, transact_time, "", more, dialect)


def _no_order(
    event: Event, exec_id: int, transact_time: str, dialect: Dialect, name: str, more: str
) -> str:
    """A status report that has nothing to report. `name` is the ClOrdID(11) that was asked for."""
    exec_type, transaction = ("8", _STATUS_MESSAGE) if dialect.exec_trans_type else ("I", "")
    name_text = f"11={name}\x01" if name else ""
    symbol, side = event[5], event[6]
    return (
        f"37={NO_ORDER_ID}\x01{name_text}17={exec_id}\x01{transaction}150={exec_type}\x01"
        f"39={event[14]}\x01{more}55={symbol or _NO_SYMBOL}\x0154={side or _UNDISCLOSED}\x01"
        f"38=0\x01151=0\x0114=0\x016=0\x0160={transact_time}\x01"
    )


def _status_reported(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    if event[3]:
        more = terms_text(event[_ORDER_FIELDS], dialect) if len(event) > _ORDER_FIELDS else ""
        return _status(event, exec_id, transact_time, dialect, more)
    name = event[2]
    more = f"103=5\x0158=ClOrdID(11) {name} names no order that this session can still ask for\x01"
    return _no_order(event, exec_id, transact_time, dialect, name, more)


def _listed(event: Event, exec_id: int, transact_time: str, dialect: Dialect) -> str:
    """One order of the answer to an OrderMassStatusRequest(AF)."""
    listed = OrderListed(*event)
    is_last = "N" if listed.remaining else "Y"
    more = f"584={listed.request_id}\x01911={listed.total}\x01912={is_last}\x01"
    if listed.order_id:
        if listed.terms:
            more = terms_text(listed.terms, dialect) + more
        return _status(event[:_ORDER_FIELDS], exec_id, transact_time, dialect, more)
    more += "58=No open order of this session fits the request\x01"
    return _no_order(event, exec_id, transact_time, dialect, "", more)


def cancel_reject_body(event: Event, transact_time: str, dialect: Dialect, text: str | None) -> str:
    """OrderCancelReject(9) of a CancelRejected; `text` replaces the sentence that belongs to it."""
    refused = CancelRejected(*event)
    facts = Facts(refused.found, refused.limit, refused.symbol, refused.orig_cl_ord_id)
    sentence = text or reject_text(refused.reason, facts)
    account = f"1={refused.account}\x01" if refused.account else ""
    return (
        f"37={refused.order_id or NO_ORDER_ID}\x0111={refused.cl_ord_id}\x01"
        f"41={refused.orig_cl_ord_id}\x0139={status_text(refused.ord_status)}\x01{account}"
        f"60={transact_time}\x01434={refused.response_to}\x01"
        f"102={dialect.cxl_rej_reason(refused.reason)}\x0158={sentence}\x01"
    )


def mass_cancel_body(event: Event, event_seq: int, transact_time: str, dialect: Dialect) -> str:
    """OrderMassCancelReport(r) of an OrdersCanceled; the reports of the orders follow it."""
    canceled = OrdersCanceled(*event)
    asked = _ORDERS_OF_SYMBOL if canceled.symbol else _ALL_ORDERS
    result = f"531={asked}\x01533={canceled.canceled}\x01"
    if canceled.reason:
        text = reject_text(canceled.reason, Facts(canceled.found, canceled.limit, canceled.symbol))
        reason = RejectReason(canceled.reason)
        code = _MASS_CANCEL_REJECT_REASONS.get(reason, 99)
        result = f"531={_MASS_CANCEL_REFUSED}\x01532={code}\x0158={text}\x01"
    symbol = f"55={canceled.symbol}\x01" if canceled.symbol else ""
    side = f"54={canceled.side}\x01" if canceled.side else ""
    return mass_cancel_head(str(event_seq), canceled.cl_ord_id, asked, dialect) + (
        f"{result}{symbol}{side}60={transact_time}\x01"
    )


def mass_cancel_head(report_id: str, cl_ord_id: str, asked: int | str, dialect: Dialect) -> str:
    """The fields that every OrderMassCancelReport(r) begins with. `asked` is its
    MassCancelRequestType(530)."""
    action_id = f"1369={report_id}\x01" if dialect.mass_action_report_id else ""
    return f"11={cl_ord_id}\x0137={report_id}\x01{action_id}530={asked}\x01"


_REPORTS: Final[dict[int, Callable[[Event, int, str, Dialect], str]]] = {
    EventKind.ORDER_ACCEPTED: _accepted,
    EventKind.ORDER_EXECUTED: _executed,
    EventKind.ORDER_CANCELED: _canceled,
    EventKind.EXECUTION_BUSTED: _busted,
    EventKind.ORDER_REPLACED: _replaced,
    EventKind.ORDER_REDUCED: _reduced,
    EventKind.ORDER_MODIFIED: _reduced,
    EventKind.ORDER_TRIGGERED: _triggered,
    EventKind.ORDER_RESTATED: _restated,
    EventKind.ORDER_REJECTED: _rejected,
    EventKind.ORDER_STATUS_REPORTED: _status_reported,
    EventKind.ORDER_LISTED: _listed,
}

EXECUTION_REPORT_KINDS: Final = frozenset(_REPORTS)
"""The events that an ExecutionReport(8) tells."""


def execution_report_body(
    event: Event, event_seq: int, transact_time: str, dialect: Dialect
) -> str:
    """ExecutionReport(8) of an event of EXECUTION_REPORT_KINDS, its number and time given."""
    return _REPORTS[event[0]](event, event_seq, transact_time, dialect)
