"""The OUCH gateway without its sockets: sessions on one side, the cluster on the other.

Exactly once, in: UserRefNum rises, and the replicated state ignores one that is not above the last,
so a client that is not sure sends again, at this gateway or at another one.
Exactly once, out: the messages of a session are a function of its events (outbound.py) and are
numbered by their place in it. A gateway reads all events of the day when it starts, and keeps
nothing of its own.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

from cluster.client import EventBatch, QueueFull
from gateway.control import Refused
from gateway.ouch.client_session import ClientSession, LoginRefused, Logins
from gateway.ouch.connection import Connection, ConnectionState
from gateway.ouch.counters import Counters
from gateway.ouch.settings import OuchGatewaySettings
from gateway.ouch.translate import translate
from gateway.process import CommandQueue
from oms.commands import CloseSession, Command, CommandKind, OpenSession
from oms.events import Event, EventKind
from protocols.ouch50_codes import NS_PER_DAY
from protocols.ouch50_fields import Ouch50Error
from protocols.soupbintcp import (
    LOGIN_REQUEST,
    UNSEQUENCED_DATA,
    LoginRejectReason,
    LoginRequest,
    Packet,
    SoupBinTCPError,
    decode_login_request,
)

logger = logging.getLogger(__name__)

_SESSION_OPENED = int(EventKind.SESSION_OPENED)
_SESSION_REFUSED = int(EventKind.SESSION_REFUSED)
_SESSION_CLOSED = int(EventKind.SESSION_CLOSED)
_CONTROL_COMMANDS = 1_000
"""Room in the queue for what cannot wait: openings and closings of sessions."""


class OuchOrderEntry:
    """All sessions of one gateway. Everything runs on one event loop, nothing waits."""

    def __init__(
        self,
        settings: OuchGatewaySettings,
        *,
        clock_ns: Callable[[], int],
        utc_ns: Callable[[], int],
        call_soon: Callable[[Callable[[], None]], object],
        observe_latency_ns: Callable[[int], None] = lambda latency_ns: None,
    ) -> None:
        """`clock_ns` is for limits and latencies, `utc_ns` says which day it is.

        Raises OSError when the folder cannot be used."""
        self.settings = settings
        self.clock_ns = clock_ns
        self._utc_ns = utc_ns
        self.call_soon = call_soon
        self.counters = Counters()
        self.last_event_seq = 0
        self._queue: CommandQueue | None = None
        self._connections: dict[Connection, None] = {}
        self._strangers: dict[Connection, None] = {}
        """Those of them that have not logged in, in the order of their coming."""
        self._stalled: dict[Connection, None] = {}
        self._opening: dict[ClientSession, None] = {}
        self._observe_latency_ns = observe_latency_ns
        self._unanswered: deque[tuple[int, int]] = deque()
        """Number of the last command of those that came together, and when they came."""
        self._is_abandoned = False
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.sessions = {
            name: ClientSession(user, settings.data_dir) for name, user in settings.users.items()
        }
        self._logins = Logins(settings.session, self.sessions.values())

    @property
    def from_event_seq(self) -> int:
        """All of the day: what is not known here cannot be numbered."""
        return 1

    @property
    def queue_capacity(self) -> int:
        """What the command queue must hold."""
        return self.settings.max_pending + _CONTROL_COMMANDS + 2 * len(self.sessions)

    @property
    def active_sessions(self) -> int:
        """How many users are logged in."""
        return sum(session.connection is not None for session in self.sessions.values())

    def attach(self, queue: CommandQueue) -> None:
        """Name the cluster; to be called once, before anything else."""
        self._queue = queue

    def close_left_open(self) -> None:
        """An earlier process of this gateway may have died with sessions open."""
        for session in self.sessions.values():
            self._pay_close(session)

    # ---- connections ----

    def connection_opened(self, connection: Connection) -> None:
        """Count a new connection. When there are too many, the oldest that has not logged in gives
        way: who knocks and says nothing must not keep anybody out."""
        self.counters.connections += 1
        if self._is_abandoned:
            connection.abort()
            return
        if len(self._connections) >= self.settings.max_connections:
            self.counters.connections_refused += 1
            oldest = next(iter(self._strangers), None)
            if oldest is None:
                connection.finish("too many connections")
                return
            del self._connections[oldest], self._strangers[oldest]
            oldest.abort()
        self._connections[connection] = self._strangers[connection] = None

    def connection_ends(self, connection: Connection) -> None:
        """Nothing is read from it or written to it any more: its user is logged out. (Its socket
        may be open for a while: then nobody must take it for one that is logged in.)"""
        self._strangers.pop(connection, None)
        session = self.sessions.get(connection.username)
        if session is None or session.connection is not connection:
            return
        session.connection = None
        self.counters.disconnects += 1
        session.close_is_owed = True
        self._pay_close(session)

    def connection_lost(self, connection: Connection) -> None:
        """The socket is gone."""
        self._connections.pop(connection, None)
        self._stalled.pop(connection, None)
        self.connection_ends(connection)

    def accept(self, connection: Connection, packets: Sequence[Packet], received_ns: int) -> int:
        """Take packets, at least one, in the order of arrival; returns how many of them. 0: none
        now; drain() will be called again."""
        if connection.state is ConnectionState.OPENING:
            return 0
        packet_type = packets[0][0]
        login: tuple[ClientSession, LoginRequest] | None = None
        if connection.state is ConnectionState.CONNECTED:
            # Looked at even when nothing is taken: a stranger's packets are not kept.
            login = self._login_of(connection, packets[0])
            if login is None:
                return 1
        room = self._room
        if room <= 0:
            if login is not None:
                self._wait_for_room(login[0], connection)
            self._stalled[connection] = None
            self.counters.pauses += 1
            return 0
        if login is not None:
            self._open(connection, *login)
        elif packet_type == UNSEQUENCED_DATA:
            return self._take(connection, packets[:room], received_ns)
        elif packet_type == LOGIN_REQUEST:
            connection.malformed("a second Login Request")
        else:
            connection.finish("Logout Request")
        return 1

    @property
    def _room(self) -> int:
        """How many commands the cluster's queue takes now, 0 or less for none."""
        assert self._queue is not None, "attach() comes first"
        return self.settings.max_pending - self._queue.pending

    def _take(self, connection: Connection, packets: Sequence[Packet], received_ns: int) -> int:
        """Messages become commands, up to the first packet that carries none, or to a message that
        cannot be read, which ends the connection; returns how many packets that are."""
        assert self._queue is not None, "attach() comes first"
        settings = self.sessions[connection.username].settings
        now_ns = self._utc_ns()
        midnight_ns = now_ns - now_ns % NS_PER_DAY
        commands: list[Command] = []
        problem = ""
        try:
            for packet_type, message in packets:
                if packet_type != UNSEQUENCED_DATA:
                    break
                commands.append(translate(message, settings.username, settings.firm, midnight_ns))
        except Ouch50Error as error:
            problem = str(error)
        if commands:
            self._unanswered.append((self._queue.submit_all(commands), received_ns))
        taken = len(commands) + bool(problem)
        self.counters.messages_in += taken
        if problem:
            connection.malformed(problem)
        return taken

    # ---- login and its end ----

    def _login_of(
        self, connection: Connection, packet: Packet
    ) -> tuple[ClientSession, LoginRequest] | None:
        """Who wants to log in; None when the connection was refused."""
        if packet[0] != LOGIN_REQUEST:
            connection.malformed("the first packet is not a Login Request")
            return None
        try:
            request = decode_login_request(packet[1])
            return self._logins.user_of(request), request
        except SoupBinTCPError as error:
            connection.malformed(str(error))
        except LoginRefused as refused:
            connection.reject(refused.reason, str(refused))
        return None

    def _wait_for_room(self, session: ClientSession, connection: Connection) -> None:
        """One waiting login per user, the latest: so the users bound what waits behind logins."""
        before, session.waiting = session.waiting, connection
        if before is not None and before is not connection:
            before.finish("this user has logged in again")

    def _open(self, connection: Connection, session: ClientSession, request: LoginRequest) -> None:
        """Ask the cluster; whoever was logged in before is replaced: it may be a connection whose
        other end is gone without a word."""
        assert self._queue is not None, "attach() comes first"
        self._replace_connection(session, connection, "this user has logged in again")
        settings = session.settings
        session.waiting = None
        self._strangers.pop(connection, None)
        connection.username = settings.username
        connection.requested = request.sequence_number
        session.opening = self._queue.submit(
            OpenSession(
                int(CommandKind.OPEN_SESSION),
                settings.username,
                self.settings.gateway_id,
                settings.cancel_on_disconnect,
                False,
            )
        )
        session.close_is_owed = False
        self._opening[session] = None
        connection.enter(ConnectionState.OPENING, self.clock_ns())

    def _replace_connection(
        self, session: ClientSession, connection: Connection | None, reason: str
    ) -> None:
        """End the connection of a session without a CloseSession: the cluster knows, or hears of
        the next one. What of the old one's messages is no command yet never becomes one."""
        before, session.connection = session.connection, connection
        if before is not None:
            self.counters.disconnects += 1
            before.finish(reason)

    def _opened(self, session: ClientSession) -> None:
        """The cluster has answered, and everything before its answer is in the stream."""
        session.opening = None
        connection = session.connection
        if connection is None:
            return
        if session.holder != self.settings.gateway_id:
            connection.reject(
                LoginRejectReason.SESSION_NOT_AVAILABLE,
                f"the session is open at {session.holder or 'no gateway'}",
            )
            return
        self.counters.logins += 1
        logger.info("%s logged in from %s", session.settings.username, connection.peer)
        connection.enter(ConnectionState.ACTIVE, self.clock_ns())
        connection.begin(self.settings.session, session.stream)
        self.call_soon(connection.drain)

    def _pay_close(self, session: ClientSession) -> None:
        """Tell the cluster that a session ended; on_time() tries again when the queue is full."""
        assert self._queue is not None, "attach() comes first"
        name = session.settings.username
        try:
            self._queue.submit(
                CloseSession(int(CommandKind.CLOSE_SESSION), name, self.settings.gateway_id)
            )
        except QueueFull:
            session.close_is_owed = True
            return
        session.close_is_owed = False

    # ---- events ----

    def on_batch(self, batch: EventBatch) -> None:
        """Take events from the cluster: number their messages, and send them."""
        if self._is_abandoned:
            return
        self.counters.batches += 1
        self.counters.events += len(batch.events)
        timestamp = batch.time_ns % NS_PER_DAY
        by_owner: defaultdict[str, list[tuple[int, Event]]] = defaultdict(list)
        for numbered in batch.events:
            by_owner[numbered[1][1]].append(numbered)
        for owner, events in by_owner.items():
            session = self.sessions.get(owner)
            if session is not None and not session.is_shut_out:
                self._tell(session, events, timestamp)
        self.last_event_seq = batch.last_event_seq
        self._observe(batch.answered)
        for session in list(self._opening):
            if session.opening is None or batch.answered >= session.opening:
                del self._opening[session]
                self._opened(session)
        if self._stalled and self._room > 0:
            stalled, self._stalled = self._stalled, {}
            for connection in stalled:
                connection.drain()

    def _tell(
        self, session: ClientSession, events: list[tuple[int, Event]], timestamp: int
    ) -> None:
        """Number the messages that the next events of a session make, and send them."""
        messages: list[bytes] = []
        make_message = session.outbound.message
        for event_seq, event in events:
            try:
                message = make_message(event, timestamp)
            except Exception as error:
                # A bug; every gateway would meet it at this event again. It must cost one session.
                self._shut_out(session, event_seq, error)
                break
            if message is not None:
                messages.append(message)
            if _SESSION_OPENED <= event[0] <= _SESSION_REFUSED:
                self._holder_changed(session, event)
        if messages:
            packets = session.stream.append(messages)
            self.counters.messages_out += len(messages)
            if session.connection is not None:
                session.connection.write_new(packets, len(messages))

    def _observe(self, answered: int) -> None:
        """Count the slowest of the answers that a batch has brought."""
        unanswered = self._unanswered
        if unanswered and unanswered[0][0] <= answered:
            self._observe_latency_ns(self.clock_ns() - unanswered[0][1])
            while unanswered and unanswered[0][0] <= answered:
                unanswered.popleft()

    def _shut_out(self, session: ClientSession, event_seq: int, error: Exception) -> None:
        """Nobody can say any more what this session's next message is."""
        session.is_shut_out = True
        name = session.settings.username
        logger.critical(
            "%s is shut out: event %d makes no message", name, event_seq, exc_info=error
        )
        if session.connection is not None:
            session.connection.finish("the exchange cannot serve this session; call its operator")

    def _holder_changed(self, session: ClientSession, event: Event) -> None:
        kind, _, gateway_id, *_ = event
        if kind == _SESSION_OPENED:
            session.holder = gateway_id
        elif kind == _SESSION_CLOSED and session.holder == gateway_id:
            session.holder = ""
        connection = session.connection
        is_active = connection is not None and connection.state is ConnectionState.ACTIVE
        if connection is not None and is_active and session.holder != self.settings.gateway_id:
            where = f"opened at {session.holder}" if session.holder else "closed by the exchange"
            self._replace_connection(session, None, f"the session was {where}")

    # ---- time ----

    def on_time(self) -> None:
        """Heartbeats and time limits. To be called about ten times a second."""
        if self._is_abandoned:
            return
        now_ns = self.clock_ns()
        for connection in list(self._connections):
            connection.on_time(now_ns)
        for session in self.sessions.values():
            if session.close_is_owed and session.connection is None:
                self._pay_close(session)

    # ---- the end ----

    def log_out_all(self, text: str) -> None:
        """Before the gateway stops. No End of Session: the day goes on at the other gateways."""
        for connection in list(self._connections):
            connection.finish(text)

    def abandon(self) -> None:
        """Something went wrong: be like a killed process from now on."""
        self._is_abandoned = True
        for session in self.sessions.values():
            session.connection = None
        for connection in list(self._connections):
            connection.abort()

    def close(self) -> None:
        """Give everything back."""
        for connection in list(self._connections):
            connection.abort()
        for session in self.sessions.values():
            session.stream.close()

    def disconnect(self, name: str) -> None:
        """End the connection of a user. Raises Refused."""
        session = self.sessions.get(name)
        if session is None:
            raise Refused(f"there is no user {name}")
        if session.connection is None:
            raise Refused(f"{name} is not connected to this gateway")
        session.connection.finish("the operator ends this connection")

    def reset(self, name: str) -> None:
        """Never possible. Raises Refused."""
        raise Refused(f"{name} is an OUCH user: the numbers of its messages follow from the log")

    def session_facts(self) -> list[dict[str, Any]]:
        """[{"username", "account", "state", "next_out", "backlog", "holder", "peer"}]"""
        return [
            {
                "username": name,
                "account": session.settings.account,
                "state": str(session.connection.state) if session.connection else "disconnected",
                "next_out": session.stream.count + 1,
                "backlog": session.connection.backlog if session.connection else 0,
                "holder": session.holder,
                "peer": session.connection.peer if session.connection else None,
            }
            for name, session in self.sessions.items()
        ]
