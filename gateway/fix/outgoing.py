"""Which message tells an event: the one place that knows all of them."""

from __future__ import annotations

from typing import Final

from gateway.fix.dialects import Dialect
from gateway.fix.market_reports import (
    ENTRY_TYPES,
    NEWS,
    SECURITY_LIST,
    SECURITY_STATUS,
    TRADING_SESSION_STATUS,
    book_answer,
    news_body,
    security_list_body,
    security_status_body,
    trading_session_status_body,
)
from gateway.fix.notes import Notes
from gateway.fix.reports import (
    EXECUTION_REPORT,
    EXECUTION_REPORT_KINDS,
    ORDER_CANCEL_REJECT,
    ORDER_MASS_CANCEL_REPORT,
    cancel_reject_body,
    execution_report_body,
    mass_cancel_body,
)
from oms.events import CancelRejected, Event, EventKind, RejectReason

_CANCEL_REJECTED: Final = int(EventKind.CANCEL_REJECTED)
_STATUS_REPORTED: Final = int(EventKind.ORDER_STATUS_REPORTED)
_ORDERS_CANCELED: Final = int(EventKind.ORDERS_CANCELED)
_INSTRUMENTS_LISTED: Final = int(EventKind.INSTRUMENTS_LISTED)
_INSTRUMENT_STATUS: Final = int(EventKind.INSTRUMENT_STATUS_REPORTED)
_MARKET_STATUS: Final = int(EventKind.MARKET_STATUS_REPORTED)
_BOOK_REPORTED: Final = int(EventKind.BOOK_REPORTED)

_EMERGENCY_CLOSED: Final = int(EventKind.EMERGENCY_CLOSED)

REPORTED_KINDS: Final = EXECUTION_REPORT_KINDS | {
    _CANCEL_REJECTED,
    _ORDERS_CANCELED,
    _INSTRUMENTS_LISTED,
    _INSTRUMENT_STATUS,
    _MARKET_STATUS,
    _BOOK_REPORTED,
    _EMERGENCY_CLOSED,
}
"""The events that a client is told of."""

_NOTE_APPLIES: Final = frozenset(
    (RejectReason.INVALID_QUANTITY, RejectReason.INVALID_PRICE, RejectReason.ORDER_MISMATCH)
)
"""The refusals that a request with a note can be meant to get: see translate.py."""


def application_message(
    event: Event, event_seq: int, transact_time: str, dialect: Dialect, notes: Notes
) -> tuple[str, str]:
    """(MsgType, body) of an event of REPORTED_KINDS with the number `event_seq`, which happened at
    `transact_time`. The body are the fields after the standard header."""
    kind = event[0]
    if kind in EXECUTION_REPORT_KINDS:
        body = execution_report_body(event, event_seq, transact_time, dialect)
        if kind == _STATUS_REPORTED and notes:
            request_id = notes.take(f"I{event[2]}")
            body += f"790={request_id}\x01" if request_id else ""
        return EXECUTION_REPORT, body
    if kind == _CANCEL_REJECTED:
        note = notes.take(f"9{event[2]}")
        text = note if CancelRejected(*event).reason in _NOTE_APPLIES else None
        return ORDER_CANCEL_REJECT, cancel_reject_body(event, transact_time, dialect, text)
    if kind == _ORDERS_CANCELED:
        return ORDER_MASS_CANCEL_REPORT, mass_cancel_body(event, event_seq, transact_time, dialect)
    if kind == _INSTRUMENTS_LISTED:
        return SECURITY_LIST, security_list_body(event, event_seq, dialect)
    if kind == _INSTRUMENT_STATUS:
        return SECURITY_STATUS, security_status_body(event, transact_time, dialect)
    if kind == _EMERGENCY_CLOSED:
        return NEWS, news_body(event)
    if kind == _MARKET_STATUS:
        return TRADING_SESSION_STATUS, trading_session_status_body(event)
    assert kind == _BOOK_REPORTED, f"no message tells an event of kind {kind}"
    asked = notes.take(f"W{event[2]}:{event[3]}")
    entry_types = ENTRY_TYPES if asked is None else frozenset(asked)
    return book_answer(event, transact_time, entry_types, dialect)
