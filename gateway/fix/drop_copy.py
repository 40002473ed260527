"""The drop copy: sessions that read what other sessions are told about their orders, and send none.

A risk desk or a clearing firm sees each order, trade and cancel of the sessions it may watch, over
FIX or OUCH, at whatever gateway. Each report is a copy with OnBehalfOfCompID(115), whose order it
is, and CopyMsgIndicator(797)=Y where the version knows it. ExecID(17) is that of the original.

The sessions live in this gateway only: the cluster has nothing to open for them. Everything since
the first event of the log is in their stores, so that a client may ask for the whole day again.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.fix.acceptor import Acceptor
from gateway.fix.actions import Deliver, Open
from gateway.fix.client_session import ClientSession, TimedEvent
from gateway.fix.cluster_sessions import SESSION_OPENED
from gateway.fix.outgoing import application_message
from gateway.fix.request import BUSINESS_MESSAGE_REJECT, NOT_AUTHORIZED, OTHER, business_reject
from gateway.process import CommandQueue
from oms.commands import Command
from oms.events import Event, EventKind
from protocols.fix import format_utc_timestamp

COPIED_KINDS: Final = frozenset(
    (
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_EXECUTED,
        EventKind.ORDER_CANCELED,
        EventKind.EXECUTION_BUSTED,
        EventKind.ORDER_REPLACED,
        EventKind.ORDER_REDUCED,
        EventKind.ORDER_MODIFIED,
        EventKind.ORDER_TRIGGERED,
        EventKind.ORDER_RESTATED,
        EventKind.ORDER_REJECTED,
        EventKind.CANCEL_REJECTED,
    )
)
"""What is copied: what happened to orders, and no answers to questions."""


class DropCopySession(ClientSession):
    """One reader. Its stored messages are copies of the reports of the sessions it watches."""

    __slots__ = ()

    @property
    def owners(self) -> tuple[str, ...]:
        """The trading sessions that it watches."""
        return self.settings.copies_of

    def report(
        self, event_seq: int, event: Event, sending_time: str, transact_time: str
    ) -> Command | None:
        """Copy the report of an event of COPIED_KINDS; all others are not for this session."""
        if event[0] in COPIED_KINDS:
            dialect = self.dialect
            msg_type, body = application_message(
                event, event_seq, transact_time, dialect, self.notes
            )
            is_marked = dialect.copy_msg_indicator and event[0] != EventKind.CANCEL_REJECTED
            mark = "797=Y\x01" if is_marked else ""
            self.send_application(
                msg_type, f"115={event[1]}\x01{body}{mark}", sending_time, event_seq=event_seq
            )
        return None


class DropCopy(Acceptor):
    """All drop copy sessions of one gateway."""

    _session_class = DropCopySession

    @property
    def queue_capacity(self) -> int:
        """Nothing is asked of the cluster."""
        return 1

    def attach(self, queue: CommandQueue) -> None:
        """Nothing is asked of the cluster."""

    def _on_session_event(self, session: ClientSession, event: Event) -> None:
        """The cluster knows nothing of these sessions."""

    def _on_answers(self, answered: int, touched: dict[ClientSession, None], now_ns: int) -> None:
        """Nothing is asked of the cluster."""

    def close_left_open(self) -> None:
        """The cluster knows nothing of these sessions."""

    def _open(self, session: ClientSession, action: Open) -> None:
        """The session is open at once, and all that has been stored is before its Logon."""
        name, gateway_id = session.settings.comp_id, self.settings.gateway_id
        opened = (SESSION_OPENED, name, gateway_id, 0)
        session.verdict = TimedEvent(self.last_event_seq, opened, "")
        self._decide_opening(session, self.clock_ns())

    def _deliver(
        self, session: ClientSession, action: Deliver, now_ns: int, received_ns: int
    ) -> None:
        """Whatever is not about the session itself is refused."""
        message, seq = action.message, action.seq
        if seq in session.store.answered or message.msg_type == BUSINESS_MESSAGE_REJECT:
            return
        reason = NOT_AUTHORIZED if session.dialect.copy_msg_indicator else OTHER
        text = "A drop copy session only reads: it gets copies of the reports of other sessions"
        answer = business_reject(message, seq, reason, text)
        self.counters.answered_by_gateway += 1
        sending_time = format_utc_timestamp(now_ns)
        session.fix.last_sent_ns = now_ns
        session.send_application(answer.msg_type, answer.body, sending_time, answered_seq=seq)

    def session_facts(self) -> list[dict[str, Any]]:
        """What /sessions shows: also whom each session reads."""
        return [
            {**session.facts(), "copies_of": list(session.settings.copies_of)}
            for session in self.sessions.values()
        ]
