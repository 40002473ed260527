"""One TCP connection of an OUCH client: SoupBinTCP packets in both directions."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol, cast

from gateway.ouch.counters import Counters
from gateway.ouch.settings import OuchGatewaySettings
from gateway.ouch.stream import MessageStream
from protocols.soupbintcp import (
    CLIENT_HEARTBEAT,
    DEBUG,
    HEADER_LENGTH,
    SERVER_HEARTBEAT_PACKET,
    Direction,
    LoginRejectReason,
    Packet,
    PacketReader,
    SoupBinTCPError,
    encode_debug,
    encode_login_accepted,
    encode_login_rejected,
)

logger = logging.getLogger(__name__)

NS_PER_MS = 1_000_000
_BYTES_PER_TURN = 8_192
_PACKETS_PER_TURN = 200
_BYTES_BEFORE_LOGIN = 4_096
"""A Login Request is 54 bytes; what strangers send must cost nothing."""
CLOSE_TIMEOUT_NS = 2_000 * NS_PER_MS


class ConnectionState(StrEnum):
    """How far the login is."""

    CONNECTED = "connected"
    OPENING = "opening"
    ACTIVE = "active"
    CLOSING = "closing"


class Gateway(Protocol):
    """What a connection needs of the order entry."""

    settings: OuchGatewaySettings
    counters: Counters
    clock_ns: Callable[[], int]
    call_soon: Callable[[Callable[[], None]], object]

    def connection_opened(self, connection: Connection) -> None: ...
    def connection_ends(self, connection: Connection) -> None: ...
    def connection_lost(self, connection: Connection) -> None: ...
    def accept(
        self, connection: Connection, packets: Sequence[Packet], received_ns: int
    ) -> int: ...


class Connection(asyncio.Protocol):
    """Reads packets, and writes the messages of one session from a number on.

    New messages go straight to the socket while the client keeps up. Otherwise, and after a login
    that asks for older ones, they are read from the stream at the client's pace: a slow client
    costs no memory. Nor does one that sends more than is taken: it is not read from, and what waits
    is what one read of the socket brought.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.state = ConnectionState.CONNECTED
        self.username = ""
        self.peer = ""
        self.since_ns = 0
        """When the present state began."""
        self.heard_ns = 0
        self.requested = 0
        """Sequence number of the Login Request."""
        self._sent_ns = 0
        self._gateway = gateway
        self._reader = PacketReader(
            Direction.CLIENT_TO_SERVER, gateway.settings.max_message_bytes + HEADER_LENGTH
        )
        self._transport: asyncio.Transport | None = None
        self._raw = b""
        """What was received and is not split into packets yet."""
        self._bytes_before_login = 0
        self._problem = ""
        """What is wrong with the packet behind those in the inbox."""
        self._is_turn_scheduled = False
        self._inbox: list[Packet] = []
        self._received_ns = 0
        """When the bytes of the inbox came: they are of one read."""
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._is_catching_up = False
        self._is_catch_up_scheduled = False
        self._stream: MessageStream | None = None
        self._next = 0
        self._end_at_login = 0

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = stream = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")  # None when it has gone already
        self.peer = ":".join(map(str, name[:2])) if name else "unknown"
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.set_write_buffer_limits(high=self._gateway.settings.write_buffer_bytes)
        self.since_ns = self.heard_ns = self._sent_ns = self._gateway.clock_ns()
        self._gateway.connection_opened(self)

    def data_received(self, data: bytes) -> None:
        if self.state is ConnectionState.CLOSING:
            return
        self.heard_ns = self._received_ns = self._gateway.clock_ns()
        self._raw = self._raw + data if self._raw else data  # one read, as it is paused after it
        self.drain()

    def drain(self) -> None:
        """Work through what was received, as far as the gateway takes it, and a little at a time:
        nobody waits for what one client has sent in one go."""
        if not self._is_turn_scheduled:
            self._turn()

    def _turn(self) -> None:
        self._is_turn_scheduled = False
        if not self._inbox and self._raw:
            self._split()
        is_taken = self._take_packets()
        if self.state is ConnectionState.CLOSING:
            return
        if self._problem and not self._inbox:
            self.malformed(self._problem)
            return
        has_more = bool(self._inbox or self._raw)
        self._read_when(not has_more)
        if has_more and is_taken:
            self._is_turn_scheduled = True
            self._gateway.call_soon(self._turn)

    def _split(self) -> None:
        """The next piece of what was received, in packets."""
        size = _BYTES_PER_TURN
        if self.state is ConnectionState.CONNECTED:
            size = max(0, min(size, _BYTES_BEFORE_LOGIN - self._bytes_before_login))
            self._bytes_before_login += min(size, len(self._raw))
            if not size:
                self._raw = b""
                self._problem = f"more than {_BYTES_BEFORE_LOGIN} bytes before the login"
                return
        piece, self._raw = self._raw[:size], self._raw[size:]
        try:
            packets = self._reader.feed(piece)
        except SoupBinTCPError as error:
            packets, self._problem, self._raw = error.packets, str(error), b""
        self._inbox = [
            packet for packet in packets if packet[0] != CLIENT_HEARTBEAT and packet[0] != DEBUG
        ]

    def _take_packets(self) -> bool:
        """Hand over some packets; False when the gateway takes none at the moment."""
        left = _PACKETS_PER_TURN
        while self._inbox and left > 0:
            taken = self._gateway.accept(self, self._inbox[:left], self._received_ns)
            if not taken:
                return False
            del self._inbox[:taken]  # empty already if this has closed the connection
            left -= taken
        return True

    def malformed(self, problem: str) -> None:
        """What cannot be read ends the connection, and nothing else."""
        if self.state is not ConnectionState.CLOSING:
            self._gateway.counters.malformed += 1
            self.finish(problem)

    def _read_when(self, wanted: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if wanted and self._is_reading_paused:
            self._is_reading_paused = False
            self.heard_ns = self._gateway.clock_ns()
            self._transport.resume_reading()
        elif not wanted and not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.state = ConnectionState.CLOSING
        self._inbox.clear()
        self._raw = b""
        self._transport = self._stream = None
        self._gateway.connection_lost(self)

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        self._is_catching_up = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._catch_up()

    # ---- writing ----

    def enter(self, state: ConnectionState, now_ns: int) -> None:
        """The next step of the login."""
        self.state, self.since_ns = state, now_ns

    def begin(self, session: str, stream: MessageStream) -> None:
        """Accept the login: messages go out from the number that was requested on. One beyond the
        end means the next one, and so does 0; the answer tells which it is."""
        next_number = stream.count + 1
        self._next = min(self.requested or next_number, next_number)
        self._end_at_login = next_number
        self._stream = stream
        self.heard_ns = self._gateway.clock_ns()  # the wait for the cluster was no silence of its
        self._write(encode_login_accepted(session, self._next))
        self._is_catching_up = True
        self._catch_up()

    def write_new(self, packets: bytes, count: int) -> None:
        """`count` messages were just appended to the stream: these packets."""
        if self._is_catching_up or self._transport is None or self._stream is None:
            return
        self._next += count
        self._write(packets)
        limit = self._gateway.settings.write_buffer_bytes
        if self._transport.get_write_buffer_size() > limit and not self._is_catching_up:
            # The transport tells of a full buffer a turn later than we can see it.
            self._is_catching_up = True
            self._catch_up_soon()

    @property
    def backlog(self) -> int:
        """Number of messages that have not gone to the socket."""
        return 0 if self._stream is None else self._stream.count + 1 - self._next

    @property
    def missed(self) -> int:
        """The same without those that were there at the login: to ask for a whole day is not to be
        slow."""
        if self._stream is None:
            return 0
        return self._stream.count + 1 - max(self._next, self._end_at_login)

    def _catch_up_soon(self) -> None:
        if not self._is_catch_up_scheduled:
            self._is_catch_up_scheduled = True
            self._gateway.call_soon(self._catch_up_now)

    def _catch_up_now(self) -> None:
        self._is_catch_up_scheduled = False
        self._catch_up()

    def _catch_up(self) -> None:
        """Write a piece of what is behind; the rest in later turns of the loop."""
        stream = self._stream
        if stream is None or self._transport is None or not self._is_catching_up:
            return
        if self._is_writing_paused:
            return
        if self._next <= stream.count:
            packets, self._next = stream.read(self._next)
            self._write(packets)
        if self._next <= stream.count:
            self._catch_up_soon()
        else:
            self._is_catching_up = self._is_writing_paused

    def _write(self, packets: bytes) -> None:
        assert self._transport is not None, "there is a socket to write to"
        self._sent_ns = self._gateway.clock_ns()
        self._transport.write(packets)

    # ---- time ----

    def on_time(self, now_ns: int) -> None:
        """Send a heartbeat if it is time; end what is silent or too slow."""
        settings = self._gateway.settings
        if self.state is ConnectionState.CLOSING:
            if now_ns - self.since_ns > CLOSE_TIMEOUT_NS:
                self.abort()
        elif self.state is not ConnectionState.ACTIVE:
            if now_ns - self.since_ns > settings.login_timeout_ms * NS_PER_MS:
                self.timed_out()
        elif self.missed > settings.max_backlog_messages:
            self.finish(f"the client reads too slowly: {self.missed} messages wait for it")
        elif not self._is_reading_paused and (
            now_ns - self.heard_ns > settings.silence_ms * NS_PER_MS
        ):
            self.finish(f"the client was silent for {settings.silence_ms} ms")
        elif not self._is_writing_paused and (
            now_ns - self._sent_ns >= settings.heartbeat_ms * NS_PER_MS
        ):
            self._write(SERVER_HEARTBEAT_PACKET)

    def timed_out(self) -> None:
        """No Login Request came, or no answer of the cluster to it, or no room for it there."""
        if self.state is ConnectionState.OPENING or self._inbox:
            self.reject(
                LoginRejectReason.SESSION_NOT_AVAILABLE, "the exchange is not reached at the moment"
            )
        else:
            self.finish("no Login Request came in time")

    # ---- ending ----

    def reject(self, reason: LoginRejectReason, text: str) -> None:
        """Login Rejected, and the end."""
        self._gateway.counters.logins_rejected += 1
        self._end(encode_login_rejected(reason), text)

    def finish(self, reason: str) -> None:
        """Tell the client why, and close once that is out; at the latest after CLOSE_TIMEOUT_NS.
        Nothing is read any more. A client that is behind reads the reason after what is in the
        socket: whole packets, and not all that it has missed."""
        self._end(encode_debug(_ascii(reason)), reason)

    def _end(self, packets: bytes, reason: str) -> None:
        if self.state is ConnectionState.CLOSING:
            return
        logger.info("%s (%s) disconnected: %s", self.username or "nobody", self.peer, reason)
        self.enter(ConnectionState.CLOSING, self._gateway.clock_ns())
        self._inbox.clear()
        self._raw = b""
        self._stream = None
        if self._transport is not None:
            self._transport.write(packets)
            self._transport.close()
        self._gateway.connection_ends(self)

    def abort(self) -> None:
        """Close at once, whatever has not been written."""
        self.state = ConnectionState.CLOSING
        self._inbox.clear()
        self._raw = b""
        self._stream = None
        if self._transport is not None:
            self._transport.abort()
        self._gateway.connection_ends(self)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
