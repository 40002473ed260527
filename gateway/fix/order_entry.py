"""The FIX gateway without its sockets: sessions on one side, the cluster on the other.

Exactly once, in: a command carries the MsgSeqNum it came with, and the replicated state remembers
the highest of each session. After a crash the next number expected from a client is one above the
larger of that and the store's own mark, so a message that became a command is never executed
again, and one that was lost on the way is asked for with a ResendRequest.
"""

from __future__ import annotations

import logging

from gateway.fix.acceptor import Acceptor
from gateway.fix.actions import Deliver, Open, SessionState
from gateway.fix.client_session import ClientSession, Unanswered
from gateway.fix.cluster_sessions import ClusterSessions
from gateway.fix.listing import MAX_BOOKS, MAX_LISTINGS
from gateway.fix.market_requests import MAX_SYMBOLS
from gateway.fix.request import OTHER, Answer, Outcome, business_reject
from gateway.fix.translate import translate
from gateway.process import CommandQueue
from oms.events import Event, EventKind
from protocols.fix import format_utc_timestamp
from protocols.fix_validation import printable

logger = logging.getLogger(__name__)

_SESSION_CLOSED = int(EventKind.SESSION_CLOSED)


class OrderEntry(Acceptor):
    """The acceptor of those who trade."""

    _queue: CommandQueue
    _cluster: ClusterSessions
    _waiting: dict[ClientSession, None]
    """Those with commands without an answer."""

    @property
    def queue_capacity(self) -> int:
        """What the command queue must hold: the limit for orders, and room for what cannot wait:
        messages that came early, books, pages of lists, the opening and closing of sessions."""
        books = MAX_BOOKS + MAX_SYMBOLS
        per_session = self.settings.max_early_messages + books + MAX_LISTINGS + 2
        return self.settings.max_pending + per_session * len(self.sessions) + 1_000

    def attach(self, queue: CommandQueue) -> None:
        """Name the cluster; to be called once, before anything else."""
        self._waiting = {}
        self._queue = queue
        self._cluster = ClusterSessions(queue, self.settings.gateway_id)

    def close_left_open(self) -> None:
        """To be called when the cluster is ready, before clients connect: an earlier process of
        this gateway may have died with sessions open, and its clients were disconnected."""
        self._cluster.close_left_open(self.sessions.values())

    def _is_full(self) -> bool:
        return self._queue.pending >= self.settings.max_pending

    # ---- in ----

    def _open(self, session: ClientSession, action: Open) -> None:
        self._cluster.open(
            session, cancel_on_disconnect=action.cancel_on_disconnect, reset=action.reset
        )
        if session.connection is not None:
            session.connection.logon_ns = self.clock_ns()
        self._waiting[session] = None

    def _unbind(self, session: ClientSession, reason: str) -> None:
        session.listings.clear()
        super()._unbind(session, reason)
        if session.is_open_in_cluster:
            self._cluster.close(session)

    def _deliver(
        self, session: ClientSession, action: Deliver, now_ns: int, received_ns: int
    ) -> None:
        """Turn an application message into a command, or answer it."""
        message, seq, is_over_limit = action
        if seq in session.store.answered:
            return  # before a crash; the answer has been stored
        sending_time = format_utc_timestamp(now_ns)
        outcome: Outcome
        if is_over_limit:
            self.counters.over_limit += 1
            outcome = business_reject(message, seq, OTHER, session.fix.limit_text)
        elif (refusal := session.listings.refusal(message)) is not None:
            outcome = business_reject(message, seq, OTHER, refusal)
        else:
            outcome = translate(message, seq, sending_time, session.sender, session.notes)
        if isinstance(outcome, Answer):
            self.counters.answered_by_gateway += 1
            session.fix.last_sent_ns = now_ns
            session.send_application(outcome.msg_type, outcome.body, sending_time, answered_seq=seq)
            return
        if not outcome:
            name, said = session.settings.comp_id, printable(message.get(58) or "")
            logger.warning("%s rejects message %s: %s", name, message.get(45), said)
            return
        session.listings.begin(message.msg_type, outcome)
        for command in outcome:
            number = self._queue.submit(command)
            session.unanswered.append(Unanswered(number, seq, received_ns))
        self.counters.commands += len(outcome)
        self._waiting[session] = None

    # ---- out ----

    def _report(
        self,
        session: ClientSession,
        event_seq: int,
        event: Event,
        sending_time: str,
        transact_time: str,
    ) -> None:
        next_page = session.report(event_seq, event, sending_time, transact_time)
        if next_page is not None:
            self._queue.submit(next_page)

    def _on_session_event(self, session: ClientSession, event: Event) -> None:
        if (
            event[0] == _SESSION_CLOSED
            and event[2] == self.settings.gateway_id
            and session.fix.state is SessionState.ACTIVE
        ):
            text = "The exchange has closed the session: the gateway was away for too long"
            session.is_open_in_cluster = False
            self._log_out(session, text, self.clock_ns())

    def _on_answers(self, answered: int, touched: dict[ClientSession, None], now_ns: int) -> None:
        for session in list(self._waiting):
            touched[session] = None
            self._on_answered(session, answered, now_ns)

    def _on_answered(self, session: ClientSession, answered: int, now_ns: int) -> None:
        """All commands up to number `answered` have been carried out."""
        received_ns = session.forget_answered(answered)
        if received_ns:
            self._observe_latency_ns(now_ns - received_ns)
        if session.opening is not None and session.opening <= answered:
            session.flush()  # what was numbered before the answer to the Logon
            connection = session.connection
            self._decide_opening(session, now_ns)
            if connection is not None:
                connection.drain()
        if not session.unanswered and session.opening is None:
            self._waiting.pop(session, None)

    def on_time(self) -> None:
        """Also pays the closings that found no room in the queue."""
        super().on_time()
        if self._is_abandoned:
            return
        for session in self.sessions.values():
            if session.close_is_owed and session.connection is None:
                self._cluster.close(session)
