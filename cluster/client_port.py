"""The port that gateways, market data and tools connect to: commands in, events and answers out.

Only the leader takes commands and streams events. Every node answers queries. A client that lags
behind is fed from the event store at its own pace and never slows the others: nothing of it is
queued here beyond one write buffer.

With TLS a client gives the name that its certificate carries (cluster/tls.py), or no name at all.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, cast

from cluster.codec import (
    MAX_CLIENT_FRAME_BYTES,
    TOOL_PREFIX,
    ClientFrame,
    CodecError,
    FrameKind,
    FrameReader,
    Hello,
    Query,
    Submit,
    check_commands,
    decode_client_frame,
    frame,
    opening_frame,
)
from cluster.interface import AppliedBatch
from cluster.replica import ClientRecord
from cluster.runtime import Runtime
from cluster.settings import Address, NodeSettings, TlsSettings
from cluster.tls import Listener, Names, NotWelcome, is_client, may_be_client, node_name

CONNECTIONS_MAX: Final = 512
_WRITE_BUFFER_BYTES: Final = 4 << 20
_CATCH_UP_EVENTS: Final = 2000
_SILENCE_S: Final = 10.0

logger = logging.getLogger(__name__)


class Events(Protocol):
    """The event store, as far as clients see it."""

    next_event_seq: int

    def read_from(self, event_seq: int, max_events: int) -> Iterator[AppliedBatch]: ...


class Host(Protocol):
    """What the node does for its clients."""

    node_id: int
    settings: NodeSettings

    @property
    def is_ready(self) -> bool: ...
    @property
    def leader_id(self) -> int | None: ...
    @property
    def term(self) -> int: ...
    @property
    def can_take_more(self) -> bool: ...
    def client_record(self, client_id: str) -> ClientRecord | None: ...
    def submit(self, client_frame: ClientFrame) -> None: ...
    def client_joined(self, client_id: str) -> None: ...
    def client_left(self, client_id: str) -> None: ...


class ClientPort:
    """All client connections of one node."""

    def __init__(
        self,
        host: Host,
        events: Events,
        answer: Callable[[str, Any], Any],
        bind: Address,
        runtime: Runtime,
        tls: TlsSettings | None = None,
    ) -> None:
        """`answer(sink, request)` answers queries, or raises ValueError with a sentence. Raises
        TlsError."""
        self.host = host
        self.runtime = runtime
        self.events = events
        self.answer = answer
        self._bind = bind
        self._listener = Listener("client port", self.connection, tls)
        self._connections: dict[_Connection, None] = {}
        self._by_client: dict[str, list[_Connection]] = {}
        self._by_owner: dict[str, list[_Connection]] = {}
        self._of_everything: list[_Connection] = []
        self._reading = True
        self._watch_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._listener.start(self._bind)
        loop = asyncio.get_running_loop()
        self._watch_task = loop.create_task(self._watch(), name="watch clients")

    def connection(self, names: Names | None = None) -> asyncio.Protocol:
        """The protocol of a new connection, whose certificate has these names. Raises NotWelcome
        when they are neither a member's nor a client's."""
        if names is not None and not is_client(names):
            members = [node_name(node_id) for node_id in self.host.settings.client_addresses]
            if names.isdisjoint(members):
                found = ", ".join(sorted(names))
                raise NotWelcome(f"the certificate of {found} is neither a member's nor a client's")
        return _Connection(self, names)

    async def close(self) -> None:
        """Cut every connection."""
        if self._watch_task is not None:
            self._watch_task.cancel()
        self._listener.close()
        for connection in list(self._connections):
            connection.abort()

    @property
    def connections(self) -> list[_Connection]:
        """All that are open."""
        return list(self._connections)

    @property
    def clients(self) -> list[str]:
        """Names of the clients that the leader serves at the moment."""
        return [c.hello.client_id for c in self._connections if c.hello and c.welcomed]

    @property
    def is_reading(self) -> bool:
        """False under back pressure."""
        return self._reading

    # --- called by the node ---

    def became_ready(self) -> None:
        """This node leads now: invite everybody."""
        for connection in self._connections:
            connection.write((FrameKind.NOT_LEADER, self.host.node_id))

    def lost_leadership(self) -> None:
        """Tell everybody at once, so that nobody waits for an answer that will not come."""
        self._by_owner.clear()
        self._of_everything.clear()
        for connection in self._connections:
            if connection.hello is not None:
                connection.stop_serving()
                connection.write((FrameKind.NOT_LEADER, self.leader_elsewhere))
        self.resume_reading()

    @property
    def leader_elsewhere(self) -> int | None:
        """Whom to send clients to. Not to ourselves: that is what became_ready() says."""
        leader_id = self.host.leader_id
        return None if leader_id == self.host.node_id else leader_id

    def publish(self, batch: AppliedBatch, client_ids: list[str]) -> None:
        """Events of one log entry, to those whom they concern; called after each apply.
        `client_ids` had commands in the entry, or opened their incarnation: they get an answer even
        if nothing happened."""
        concerned: dict[_Connection, list[Any]] = {}
        named: list[_Connection] = []
        for client_id in client_ids:
            for connection in self._by_client.get(client_id, ()):
                if connection.welcomed:
                    concerned[connection] = []
                named.append(connection)
        by_owner = self._by_owner
        if by_owner:
            event_seq = batch.first_event_seq
            for event in batch.events:
                for connection in by_owner.get(event[1], ()):
                    concerned.setdefault(connection, []).extend((event_seq, event))
                event_seq += 1
        if self._of_everything:
            everything: list[Any] = []
            for event_seq, event in enumerate(batch.events, batch.first_event_seq):
                everything += (event_seq, event)
            for connection in self._of_everything:
                concerned[connection] = everything
        for connection, flat in concerned.items():
            connection.send_live(batch, flat)
        for connection in named:
            connection.welcome_if_open()

    def cut(self, client_id: str) -> None:
        """End the connections of a client: something of it was lost on the way."""
        for connection in list(self._by_client.get(client_id, ())):
            logger.warning("client port: commands of %s are missing: connection cut", client_id)
            connection.abort()

    def stop_reading(self) -> None:
        """Back pressure: the queue for the log is full."""
        if self._reading:
            self._reading = False
            for connection in self._connections:
                connection.set_reading(False)

    def resume_reading(self) -> None:
        """There is room again."""
        if not self._reading:
            self._reading = True
            for connection in self._connections:
                connection.set_reading(True)

    # --- called by the connections ---

    def joined(self, connection: _Connection) -> bool:
        """False when there are too many connections already."""
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections[connection] = None
        return True

    def left(self, connection: _Connection) -> None:
        """A connection ended."""
        self._connections.pop(connection, None)
        self.unsubscribe(connection)
        self.renamed(connection, None)
        if connection.welcomed and connection.hello is not None:
            self.host.client_left(connection.hello.client_id)

    def renamed(self, connection: _Connection, client_id: str | None) -> None:
        """A connection says whose it is (None: nobody's any more)."""
        if connection.hello is not None:
            namesakes = self._by_client.get(connection.hello.client_id, [])
            if connection in namesakes:
                namesakes.remove(connection)
            if not namesakes:
                self._by_client.pop(connection.hello.client_id, None)
        if client_id is not None:
            self._by_client.setdefault(client_id, []).append(connection)

    def subscribe(self, connection: _Connection) -> None:
        """Live events from now on."""
        assert connection.hello is not None
        if connection.hello.owners is None:
            self._of_everything.append(connection)
        else:
            for owner in dict.fromkeys(connection.hello.owners):
                self._by_owner.setdefault(owner, []).append(connection)

    def unsubscribe(self, connection: _Connection) -> None:
        """No live events any more."""
        if connection in self._of_everything:
            self._of_everything.remove(connection)
        if connection.hello is not None:
            for owner in connection.hello.owners or ():
                listeners = self._by_owner.get(owner, [])
                if connection in listeners:
                    listeners.remove(connection)
                if not listeners:
                    self._by_owner.pop(owner, None)

    async def _watch(self) -> None:
        """Cut off connections that are silent: their other end is gone."""
        while True:
            await asyncio.sleep(1)
            for connection in list(self._connections):
                connection.send_position()
                if self._reading and self.runtime.time() - connection.last_received_s > _SILENCE_S:
                    connection.abort()


class _Connection(asyncio.Protocol):
    """One client connection. `welcomed`: this node leads, and serves the client. `names` are those
    in its certificate, None without TLS."""

    def __init__(self, port: ClientPort, names: Names | None) -> None:
        self._names = names
        self.hello: Hello | None = None
        self.welcomed = False
        self._port = port
        self._host = port.host
        self._reader = FrameReader(MAX_CLIENT_FRAME_BYTES)
        self._transport: asyncio.Transport | None = None
        self._runtime = port.runtime
        self.last_received_s = self._runtime.time()
        self._live = False
        self._writable = True
        self._next_event_seq = 1
        self._answered_sent = 0

    # --- bytes ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if not self._port.is_reading:
            transport.pause_reading()
        if not self._port.joined(self):
            logger.warning("client port: more than %d connections", CONNECTIONS_MAX)
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.last_received_s = self._runtime.time()
        try:
            for body in self._reader.feed(data):
                self._handle(decode_client_frame(body))
        except CodecError as error:
            name = self.hello.client_id if self.hello else "an unknown client"
            logger.warning("client port: %s cut off: %s", name, error)
            if self.hello is None:
                self.write((FrameKind.REFUSED, str(error), self._host.term))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._live = False
        self._port.left(self)
        self.welcomed = False

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self.welcomed and not self._live:
            self._catch_up()

    def set_reading(self, reading: bool) -> None:
        """Let the client wait, or go on."""
        if self._transport is not None:
            if reading:
                self.last_received_s = self._runtime.time()
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def write(self, value: tuple[Any, ...] | None) -> None:
        """Send one frame."""
        if self._transport is not None and value is not None:
            self._transport.write(frame(value))

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Read nothing more, and close once what was written is sent."""
        if self._transport is not None:
            self._transport.pause_reading()
            self._transport.close()

    # --- frames in ---

    def _handle(self, request: Hello | Submit | Query) -> None:
        if isinstance(request, Submit):
            self._submit(request)
        elif isinstance(request, Query):
            self._query(request)
        else:
            self._introduce(request)

    def _submit(self, request: Submit) -> None:
        if not self.welcomed or self.hello is None:
            return  # the client sends it again once somebody welcomes it
        check_commands(request.commands, may_mark=self.hello.client_id.startswith(TOOL_PREFIX))
        self._host.submit(
            ClientFrame(
                self.hello.client_id,
                self.hello.incarnation,
                request.first_number,
                request.commands,
            )
        )
        if not self._host.can_take_more:
            self._port.stop_reading()

    def _query(self, request: Query) -> None:
        try:
            answer = (FrameKind.ANSWER, request.query_id, True, self._answer(request))
        except ValueError as error:
            answer = (FrameKind.ANSWER, request.query_id, False, str(error))
        self.write(answer)

    def _answer(self, request: Query) -> Any:
        if not self._writable:
            raise ValueError("read the answers to earlier queries first")
        return self._port.answer(request.sink, request.request)

    def _introduce(self, hello: Hello) -> None:
        if self._names is not None and not may_be_client(self._names, hello.client_id):
            found = ", ".join(sorted(self._names))
            raise CodecError(
                f"the certificate of {found} is not that of client {hello.client_id!r}"
            )
        if self.welcomed:
            self.stop_serving()
            self._port.unsubscribe(self)
        self._port.renamed(self, hello.client_id)
        self.hello = hello
        if not self._host.is_ready:
            self.write((FrameKind.NOT_LEADER, self._port.leader_elsewhere))
            return
        record = self._host.client_record(hello.client_id)
        if record is not None and record.incarnation == hello.incarnation:
            self._welcome(record)
        elif hello.opens_at:
            self._host.submit(opening_frame(hello.client_id, hello.incarnation, hello.opens_at))
        else:
            self._turn_away(record)

    # --- serving ---

    def welcome_if_open(self) -> None:
        """The log was asked to open our incarnation; has it?"""
        if self.hello is None or not self._host.is_ready:
            return
        record = self._host.client_record(self.hello.client_id)
        if record is not None and record.incarnation == self.hello.incarnation:
            if not self.welcomed:
                self._welcome(record)
        elif self.welcomed:
            self._turn_away(record)

    def _turn_away(self, record: ClientRecord | None) -> None:
        """Our incarnation is not the current one: another one is, or the record was dispensed
        with, and the client may open again if nothing of it is unanswered."""
        assert self.hello is not None
        self.stop_serving()
        if record is None:
            self.write((FrameKind.UNKNOWN, self._host.term))
            return
        text = f"another process with the name {self.hello.client_id!r} has taken over"
        self.write((FrameKind.REFUSED, text, self._host.term))
        self.close()

    def _welcome(self, record: ClientRecord) -> None:
        assert self.hello is not None
        self.welcomed = True
        self._host.client_joined(self.hello.client_id)
        self._live = False
        self._answered_sent = 0
        last_event_seq = self._port.events.next_event_seq - 1
        self._next_event_seq = self.hello.from_event_seq or last_event_seq + 1
        self.write(
            (
                FrameKind.WELCOME,
                self._host.node_id,
                self._host.term,
                record.last_number,
                last_event_seq,
            )
        )
        self._catch_up()

    def stop_serving(self) -> None:
        """Leadership is lost: no events, no commands."""
        self.welcomed = False
        self._live = False

    def _catch_up(self) -> None:
        """Send what the client has not seen, a piece per turn of the loop, until it is level."""
        if not self.welcomed or self._live or self.hello is None:
            return
        events = self._port.events
        wanted = None if self.hello.owners is None else frozenset(self.hello.owners)
        if wanted is not None and not wanted:
            self._next_event_seq = max(self._next_event_seq, events.next_event_seq)
        budget = _CATCH_UP_EVENTS
        while self._writable and budget > 0 and self._next_event_seq < events.next_event_seq:
            before = self._next_event_seq
            for batch in events.read_from(self._next_event_seq, budget):
                self._send_stored(batch, wanted)
                budget -= len(batch.events)
                if not self._writable:
                    break
            assert self._next_event_seq > before, f"the event store has no event {before}"
        if self._next_event_seq >= events.next_event_seq:
            self._live = True
            self._port.unsubscribe(self)
            self._port.subscribe(self)
            self._write_events(0, self._next_event_seq - 1, self._current_answered(), [])
        elif self._writable:
            self._runtime.call_soon(self._catch_up)

    def _send_stored(self, batch: AppliedBatch, wanted: frozenset[str] | None) -> None:
        flat: list[Any] = []
        for event_seq, event in enumerate(batch.events, batch.first_event_seq):
            if event_seq >= self._next_event_seq and (wanted is None or event[1] in wanted):
                flat += (event_seq, event)
        self._next_event_seq = batch.first_event_seq + len(batch.events)
        if flat:
            self._write_events(batch.time_ns, self._next_event_seq - 1, self._answered_sent, flat)

    def send_live(self, batch: AppliedBatch, flat: list[Any]) -> None:
        """Events of the batch that was just applied; `flat` is event_seq, event, event_seq ..."""
        if not self._live:
            return
        if not self._writable:
            # The client does not keep up: from here on it is fed from the store.
            self._live = False
            return
        self._next_event_seq = batch.first_event_seq + len(batch.events)
        answered = self._current_answered()
        if flat or answered != self._answered_sent:
            self._write_events(batch.time_ns, self._next_event_seq - 1, answered, flat)

    def send_position(self) -> None:
        """Tell a live client of which nothing happened how far the stream is, now and then: after a
        failover it need not be looked for in all that was others'."""
        last_event_seq = self._port.events.next_event_seq - 1
        if self._live and self._writable and self._next_event_seq <= last_event_seq:
            self._next_event_seq = last_event_seq + 1
            self._write_events(0, last_event_seq, self._current_answered(), [])

    def _current_answered(self) -> int:
        assert self.hello is not None
        record = self._host.client_record(self.hello.client_id)
        return 0 if record is None else record.last_number

    def _write_events(self, time_ns: int, last: int, answered: int, flat: list[Any]) -> None:
        self._answered_sent = answered
        self.write((FrameKind.EVENTS, time_ns, last, answered, flat))
