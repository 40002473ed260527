"""One connection of a client to a node: who it is, its commands in, its events and answers out.

A client that lags behind is fed from the event store at its own pace and never slows the others:
nothing of it is queued here beyond one write buffer.
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
    decode_client_frame,
    frame,
    opening_frame,
)
from cluster.event_store import EventStoreError
from cluster.interface import AppliedBatch
from cluster.replica import ClientRecord
from cluster.runtime import Runtime
from cluster.settings import NodeSettings
from cluster.submission import check_commands
from cluster.tls import Names, may_be_client

CONNECTIONS_MAX: Final = 512
_WRITE_BUFFER_BYTES: Final = 4 << 20
_EVENTS_PER_FRAME: Final = 4_096
"""Of one log entry. A gateway writes what a frame brings, and syncs it if told to, session by
session: what it would save in the caches with short frames it would spend on that."""
_CATCH_UP_EVENTS: Final = 2000

logger = logging.getLogger(__name__)


class Events(Protocol):
    """The event store, as far as clients see it."""

    next_event_seq: int

    @property
    def first_event_seq(self) -> int: ...
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


class Port(Protocol):
    """What a connection needs of the port that it belongs to (cluster/client_port.py)."""

    host: Host
    events: Events
    runtime: Runtime
    answer: Callable[[str, Any], Any]

    @property
    def is_reading(self) -> bool: ...
    @property
    def leader_elsewhere(self) -> int | None: ...
    def joined(self, connection: ClientConnection) -> bool: ...
    def left(self, connection: ClientConnection) -> None: ...
    def renamed(self, connection: ClientConnection, client_id: str | None) -> None: ...
    def subscribe(self, connection: ClientConnection) -> None: ...
    def unsubscribe(self, connection: ClientConnection) -> None: ...
    def stop_reading(self) -> None: ...


class ClientConnection(asyncio.Protocol):
    """One client connection. `welcomed`: this node leads, and serves the client. `names` are those
    in its certificate, None without TLS."""

    def __init__(self, port: Port, names: Names | None) -> None:
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
        self._refuse(f"another process with the name {self.hello.client_id!r} has taken over")

    def _refuse(self, text: str) -> None:
        self.stop_serving()
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
        if self._next_event_seq < min(events.first_event_seq, events.next_event_seq):
            self._refuse(
                f"event {self._next_event_seq} is not kept here any more, the oldest one is "
                f"{events.first_event_seq}; ask for a later one, or let another node lead"
            )
            return
        try:
            self._send_from_store(events, wanted)
        except EventStoreError as error:  # whoever reads there must not stop a leader
            logger.error("%s", error)
            self._refuse(f"{error}; or let another node lead")
            return
        if self._next_event_seq >= events.next_event_seq:
            self._live = True
            self._port.unsubscribe(self)
            self._port.subscribe(self)
            self._write_events(0, self._next_event_seq - 1, self._current_answered(), [])
        elif self._writable:
            self._runtime.call_soon(self._catch_up)

    def _send_from_store(self, events: Events, wanted: frozenset[str] | None) -> None:
        """A piece of what the client has not seen. Raises EventStoreError."""
        budget = _CATCH_UP_EVENTS
        while self._writable and budget > 0 and self._next_event_seq < events.next_event_seq:
            before = self._next_event_seq
            for batch in events.read_from(self._next_event_seq, budget):
                self._send_stored(batch, wanted)
                budget -= len(batch.events)
                if not self._writable:
                    break
            assert self._next_event_seq > before, f"the event store has no event {before}"

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
        """In several frames if they are many: one command may cancel a million orders. Only the
        last of them answers anything."""
        size = 2 * _EVENTS_PER_FRAME
        for start in range(0, len(flat) - size, size):
            piece = flat[start : start + size]
            before = self._answered_sent
            self.write((FrameKind.EVENTS, time_ns, piece[-2], before, piece))
        if len(flat) > size:
            flat = flat[(len(flat) - 1) // size * size :]
        self._answered_sent = answered
        self.write((FrameKind.EVENTS, time_ns, last, answered, flat))
