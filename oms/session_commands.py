"""What gateways say about sessions: opened, closed, gateway lost."""

from __future__ import annotations

from typing import Final

from oms.commands import Command
from oms.events import CancelReason, Event, EventKind, RejectReason
from oms.order_commands import cancel_open_orders
from oms.sessions import Session
from oms.state import ExchangeState

_SESSION_OPENED: Final = int(EventKind.SESSION_OPENED)
_SESSION_CLOSED: Final = int(EventKind.SESSION_CLOSED)
_SESSION_REFUSED: Final = int(EventKind.SESSION_REFUSED)
_CANCELED_WITH_IT: Final = int(CancelReason.SESSION_CLOSED)


def open_session(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out OpenSession: SessionOpened, or SessionRefused for a session that nobody defined.

    Whoever opens a session that is open takes it over; the event tells the one before.
    """
    _, session_name, gateway_id, cancel_on_disconnect, reset = command
    session = state.sessions.get(session_name)
    if session is None:
        reason = int(RejectReason.UNKNOWN_SESSION)
        return [(_SESSION_REFUSED, session_name, gateway_id, reason)]
    session.gateway_id = gateway_id
    session.is_open = True
    session.cancel_on_disconnect = bool(cancel_on_disconnect)
    session.decide_whether_it_takes_orders()
    if reset:
        session.last_msg_seq_num = 0
    return [(_SESSION_OPENED, session_name, gateway_id, session.last_msg_seq_num)]


def close_session(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out CloseSession; no event when this gateway does not hold the session open."""
    _, session_name, gateway_id = command
    session = state.sessions.get(session_name)
    if session is None or not session.is_open or session.gateway_id != gateway_id:
        return []
    return _end_session(state, session)


def gateway_lost(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out GatewayLost: its open sessions end, in the order in which they were defined."""
    _, gateway_id = command
    events: list[Event] = []
    for session in state.sessions.values():
        if session.is_open and session.gateway_id == gateway_id:
            events += _end_session(state, session)
    return events


def _end_session(state: ExchangeState, session: Session) -> list[Event]:
    """Close an open session; take its orders out first if that was agreed."""
    events: list[Event] = []
    session.is_open = False
    session.decide_whether_it_takes_orders()
    orders = list(session.open_orders.values()) if session.cancel_on_disconnect else []
    events += cancel_open_orders(state, orders, _CANCELED_WITH_IT)
    events.append((_SESSION_CLOSED, session.name, session.gateway_id, len(orders)))
    return events
