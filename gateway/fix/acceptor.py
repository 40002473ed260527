"""What every FIX gateway is: an acceptor of sessions, with their stores and what they are told.

Events of the cluster are numbered, stored and sent here. What becomes of a Logon and of an
application message is said by OrderEntry (order_entry.py), which takes orders, and by DropCopy
(drop_copy.py), which does not.

Exactly once, out: a report is stored with the number of its event before it goes on the socket.
After a crash the events are read again from a little earlier, and those stored already are skipped.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from cluster.client import EventBatch
from gateway.control import Refused
from gateway.fix.actions import (
    Action,
    Deliver,
    Disconnect,
    Open,
    Resend,
    ResetNumbers,
    Send,
    SessionState,
    SetVersion,
)
from gateway.fix.client_session import ClientSession, SessionConnection, TimedEvent
from gateway.fix.cluster_sessions import SESSION_OPENED, take_while_opening
from gateway.fix.connection import Connection
from gateway.fix.counters import Counters
from gateway.fix.lobby import Lobby
from gateway.fix.outgoing import REPORTED_KINDS
from gateway.fix.passwords import PasswordChecks, RunAside
from gateway.fix.periods import Periods
from gateway.fix.settings import FixGatewaySettings
from gateway.fix.store import ProgressFile, SessionStore
from gateway.fix.texts import Facts, reject_text
from gateway.process import CommandQueue
from oms.events import Event
from protocols.fix import (
    NS_PER_SECOND,
    FixMessage,
    UtcTimestampCache,
    format_utc_timestamp,
)

logger = logging.getLogger(__name__)


class Acceptor(ABC):
    """All sessions of one gateway. Everything runs on one event loop, nothing waits."""

    _session_class: type[ClientSession] = ClientSession

    def __init__(
        self,
        settings: FixGatewaySettings,
        *,
        clock_ns: Callable[[], int],
        call_soon: Callable[[Callable[[], None]], object],
        run_aside: RunAside | None = None,
        observe_latency_ns: Callable[[int], None] = lambda latency_ns: None,
    ) -> None:
        """Opens the stores. Raises StoreError when one of them cannot be used.

        `run_aside` does what would stop the loop; without it that is done a turn of the loop later.
        `observe_latency_ns` is told how long each answer of the cluster took.
        """
        self.settings = settings
        self.clock_ns = clock_ns
        self.call_soon = call_soon
        self.counters = Counters()
        self._observe_latency_ns = observe_latency_ns
        self._stalled: dict[Connection, None] = {}
        self._transact_times = UtcTimestampCache()
        self._is_abandoned = False
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._progress = ProgressFile(settings.data_dir / "progress", sync=settings.store_sync)
        self.last_event_seq = self._progress.event_seq
        self.sessions: dict[str, ClientSession] = {}
        self._audience: dict[str, tuple[ClientSession, ...]] = {}
        for comp_id, session_settings in settings.sessions.items():
            path = settings.data_dir / f"{quote(comp_id, safe='')}.store"
            store = SessionStore(path, sync=settings.store_sync)
            session = self.sessions[comp_id] = self._session_class(
                session_settings, settings, store
            )
            for owner in session.owners:
                self._audience[owner] = (*self._audience.get(owner, ()), session)
        if run_aside is None:

            def run_aside(work: Callable[[], bool], done: Callable[[bool], None]) -> None:
                call_soon(lambda: done(work()))

        passwords = PasswordChecks(clock_ns, run_aside)
        self._periods = Periods(settings.schedule, self.sessions, self._log_out)
        self._lobby = Lobby(settings, self.sessions, passwords, self.counters, clock_ns)

    @property
    def from_event_seq(self) -> int:
        """The first event that may not be in the stores yet."""
        return self._progress.event_seq + 1

    # ---- who derives from it says ----

    @property
    @abstractmethod
    def queue_capacity(self) -> int:
        """What the command queue must hold."""

    @abstractmethod
    def attach(self, queue: CommandQueue) -> None:
        """Name the cluster; to be called once, before anything else."""

    @abstractmethod
    def close_left_open(self) -> None:
        """To be called when the cluster is ready, before clients connect: an earlier process of
        this gateway may have died with sessions open, and its clients were disconnected."""

    @abstractmethod
    def _open(self, session: ClientSession, action: Open) -> None:
        """A Logon is fine: open the session; _decide_opening() must follow."""

    @abstractmethod
    def _deliver(
        self, session: ClientSession, action: Deliver, now_ns: int, received_ns: int
    ) -> None:
        """Turn an application message into commands, or answer it."""

    def _is_full(self) -> bool:
        """Whether messages must wait where they are."""
        return False

    def _report(
        self,
        session: ClientSession,
        event_seq: int,
        event: Event,
        sending_time: str,
        transact_time: str,
    ) -> None:
        """Tell a session of an event of REPORTED_KINDS."""
        session.report(event_seq, event, sending_time, transact_time)

    @abstractmethod
    def _on_session_event(self, session: ClientSession, event: Event) -> None:
        """An event of another kind."""

    @abstractmethod
    def _on_answers(self, answered: int, touched: dict[ClientSession, None], now_ns: int) -> None:
        """Commands up to number `answered` have been carried out; `touched` sessions are flushed
        afterwards."""

    # ---- connections ----

    def connection_opened(self, connection: Connection) -> int:
        """Count a new connection; returns the time. One too many makes another one go."""
        now_ns = self.clock_ns()
        if self._is_abandoned:
            connection.abort()
        else:
            self._lobby.enter(connection, now_ns)
        return now_ns

    def connection_lost(self, connection: Connection) -> None:
        """The socket is gone."""
        self._lobby.leave(connection)
        self._stalled.pop(connection, None)
        session = connection.session
        if session is not None:
            connection.session = None
            session.fix.disconnected()
            self._unbind(session, "the connection was lost")

    def accept(self, connection: Connection, message: FixMessage, received_ns: int) -> bool:
        """Take a message, in the order of arrival. False: not now; drain() will be called again."""
        session = connection.session
        if session is None:
            return self._accept_first(connection, message, received_ns)
        if session.fix.state is SessionState.OPENING:
            return False
        if self._is_full():
            self._stalled[connection] = None
            self.counters.pauses += 1
            return False
        # A message may have waited here for long: its answers are of now.
        now_ns = self.clock_ns() if connection.is_reading_paused else received_ns
        actions = session.fix.receive(message, now_ns, received_ns)
        self._perform(session, actions, now_ns, received_ns)
        return True

    def _accept_first(self, connection: Connection, message: FixMessage, now_ns: int) -> bool:
        self._periods.follow(now_ns, self.last_event_seq)
        if self._is_full():
            self._lobby.refuse(connection, "the exchange is not reached, the queue is full", now_ns)
            return True
        session = self._lobby.admit(connection, message, now_ns)
        if session is not None:
            self._perform(session, session.fix.logon(message, now_ns), now_ns)
        return not self._lobby.is_checking(connection)

    def _unbind(self, session: ClientSession, reason: str) -> None:
        """After the end of a connection: the session stays, the cluster is told."""
        logger.info("%s disconnected: %s", session.settings.comp_id, reason)
        self.counters.disconnects += 1
        session.connection = None
        session.frames.clear()
        session.opening = None
        session.verdict = None
        self._report_held(session, self.clock_ns())
        session.flush()

    # ---- actions of a session ----

    def _perform(
        self, session: ClientSession, actions: list[Action], now_ns: int, received_ns: int = 0
    ) -> None:
        """Carry out what a session asks for; flush() comes later, by whoever started this."""
        has_too_many_resends = False
        for action in actions:
            if isinstance(action, Deliver):
                self._deliver(session, action, now_ns, received_ns)
            elif isinstance(action, Send):
                sending_time = format_utc_timestamp(now_ns)
                session.send(action.msg_type, action.body, sending_time, action.begin_string)
            elif isinstance(action, Resend):
                connection = session.connection
                assert connection is not None, f"{session.settings.comp_id} is not connected"
                if not connection.add_resend(action.first_seq, action.last_seq):
                    has_too_many_resends = True
            elif isinstance(action, Open):
                self._open(session, action)
            elif isinstance(action, ResetNumbers):
                assert session.verdict is not None, "numbers are reset with a SessionOpened"
                numbering = session.store.numbering._replace(
                    version=action.version, is_reset_owed=False, is_version_open=False
                )
                session.reset_numbers(session.verdict.event_seq, numbering)
                if session.connection is not None:
                    session.connection.numbers_reset()
            elif isinstance(action, SetVersion):
                session.set_version(action.version)
            else:
                self._disconnect(session, action, now_ns)
        # Only now: the orders among the actions have used up their numbers and must not be lost.
        if has_too_many_resends and session.fix.state is SessionState.ACTIVE:
            text = "ResendRequests come faster than they can be answered"
            self._log_out(session, text, now_ns)

    def _disconnect(self, session: ClientSession, action: Disconnect, now_ns: int) -> None:
        """Close the connection; what the session has just said goes out before."""
        connection, frames = session.connection, session.frames
        session.frames = []
        session.connection = None
        session.flush()
        if connection is not None:
            connection.finish(now_ns, frames)
        self._unbind(session, action.reason)

    # ---- events ----

    def on_batch(self, batch: EventBatch) -> None:
        """Take events from the cluster: number, store and send the reports."""
        if self._is_abandoned:
            return
        now_ns = self.clock_ns()
        self._periods.follow(now_ns, self.last_event_seq)
        sending_time = format_utc_timestamp(now_ns)
        transact_time = self._transact_times.format(batch.time_ns)
        self.counters.batches += 1
        self.counters.events += len(batch.events)
        touched: dict[ClientSession, None] = {}
        gateway_id = self.settings.gateway_id
        for event_seq, event in batch.events:
            for session in self._audience.get(event[1], ()):
                touched[session] = None
                if session.opening is None:
                    self._on_event(session, event_seq, event, sending_time, transact_time)
                else:
                    timed = TimedEvent(event_seq, event, transact_time)
                    for due in take_while_opening(session, timed, gateway_id):
                        self._on_event(
                            session, due.event_seq, due.event, sending_time, due.transact_time
                        )
        self.last_event_seq = batch.last_event_seq
        self._on_answers(batch.answered, touched, now_ns)
        for session in touched:
            session.fix.last_sent_ns = now_ns if session.frames else session.fix.last_sent_ns
            session.flush()
        if self._stalled and not self._is_full():
            stalled, self._stalled = self._stalled, {}
            for connection in stalled:
                connection.drain()

    def _on_event(
        self,
        session: ClientSession,
        event_seq: int,
        event: Event,
        sending_time: str,
        transact_time: str,
    ) -> None:
        if event_seq <= session.store.last_event_seq:
            return  # stored before a crash
        if event[0] in REPORTED_KINDS:
            self._report(session, event_seq, event, sending_time, transact_time)
        else:
            self._on_session_event(session, event)

    def _decide_opening(self, session: ClientSession, now_ns: int) -> None:
        """The OpenSession has been carried out: answer the Logon."""
        verdict = session.verdict
        session.opening = None
        if verdict is None:
            actions = session.fix.refused("The exchange did not open the session", now_ns)
        elif verdict.event[0] == SESSION_OPENED:
            self.counters.logons += 1
            if session.store.numbering.is_reset_owed:
                session.reset_was_told()
            if session.connection is not None:
                session.connection.begin(session)
            actions = session.fix.opened(verdict.event[3], now_ns)
        else:
            session.is_open_in_cluster = False
            comp_id = session.settings.comp_id
            actions = session.fix.refused(reject_text(verdict.event[3], Facts(comp_id)), now_ns)
        self._perform(session, actions, now_ns)
        session.verdict = None
        self._report_held(session, now_ns)

    def _report_held(self, session: ClientSession, now_ns: int) -> None:
        held, session.held = session.held, []
        sending_time = format_utc_timestamp(now_ns)
        for event_seq, event, transact_time in held:
            self._on_event(session, event_seq, event, sending_time, transact_time)

    # ---- time ----

    def on_time(self) -> None:
        """Heartbeats, time limits, progress. To be called about ten times a second."""
        if self._is_abandoned:
            return
        now_ns = self.clock_ns()
        self._periods.follow(now_ns, self.last_event_seq)
        for session in self.sessions.values():
            if session.connection is not None:
                self._on_time_of(session, session.connection, now_ns)
        self._lobby.on_time(now_ns)
        if self.last_event_seq > self._progress.event_seq and not self._is_holding_reports:
            self._progress.write(self.last_event_seq)

    @property
    def _is_holding_reports(self) -> bool:
        """Whether there are events that are read but not stored: they must be read again after a
        crash."""
        return any(session.held for session in self.sessions.values())

    def _on_time_of(
        self, session: ClientSession, connection: SessionConnection, now_ns: int
    ) -> None:
        fix = session.fix
        if connection.is_reading_paused:
            fix.heard(now_ns)  # it is we who do not listen
        if connection.backlog > self.settings.max_backlog_messages:
            text = f"The client reads too slowly: {connection.backlog} messages wait for it"
            self._log_out(session, text, now_ns)
            connection.abort()
            return
        actions = fix.on_time(now_ns)
        timeout_ns = self.settings.logon_timeout_s * NS_PER_SECOND
        if fix.state is SessionState.OPENING and now_ns - connection.logon_ns > timeout_ns:
            actions = fix.refused("The exchange cannot be reached at the moment; try later", now_ns)
        if actions:
            self._perform(session, actions, now_ns)
            session.flush()

    # ---- ending ----

    def _log_out(self, session: ClientSession, text: str, now_ns: int) -> None:
        """End a session from our side."""
        self._perform(session, session.fix.logout(text, now_ns), now_ns)

    def log_out_all(self, text: str) -> None:
        """Before the gateway stops: Logout on every session."""
        if self._is_abandoned:
            return
        now_ns = self.clock_ns()
        for session in self.sessions.values():
            if session.fix.state is not SessionState.DISCONNECTED:
                self._log_out(session, text, now_ns)
        self._lobby.finish(now_ns)

    def disconnect(self, name: str) -> None:
        """End the connection of a session with a Logout. Raises Refused."""
        session = self._find(name)
        if session.connection is None:
            raise Refused(f"{name} is not connected")
        self._log_out(session, "The operator of the exchange ends this connection", self.clock_ns())
        session.flush()

    def reset(self, name: str) -> None:
        """Let both directions of a session begin again at 1. A client that is connected is logged
        out before; what was stored for it is forgotten. Raises Refused."""
        session = self._find(name)
        if session.connection is not None:
            text = "The operator resets the numbers; log on again, with MsgSeqNum(34) 1"
            self._log_out(session, text, self.clock_ns())
        session.begin_anew(self.last_event_seq, session.store.numbering.period_s)

    def _find(self, name: str) -> ClientSession:
        if name not in self.sessions:
            raise Refused(f"{name!r} is not a session of this gateway")
        return self.sessions[name]

    def session_facts(self) -> list[dict[str, Any]]:
        """What /sessions shows."""
        return [session.facts() for session in self.sessions.values()]

    def abandon(self) -> None:
        """Something went wrong, perhaps in the middle of storing: be like a killed process from now
        on. Nothing is written, sent or taken any more; the next process goes on from the stores."""
        self._is_abandoned = True
        self._lobby.abort()
        for session in self.sessions.values():
            session.connection = None

    def close(self) -> None:
        """Close the stores. Everything that was sent is in them."""
        self._lobby.abort()
        for session in self.sessions.values():
            if self._is_abandoned:
                session.store.abandon()
            else:
                session.flush()
                session.store.close()
        if not self._is_abandoned:
            self._progress.write(self.last_event_seq)
        self._progress.close()
