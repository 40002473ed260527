"""One TCP connection of a FIX client: bytes to messages, stored messages to bytes."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from cluster.tls import Names, names_of
from gateway.fix.client_session import ClientSession
from gateway.fix.counters import Counters
from gateway.fix.settings import FixGatewaySettings
from protocols.fix import FixDecoder, FixMessage, format_utc_timestamp, possible_duplicate

_MESSAGES_PER_STEP = 500
_MAX_RESEND_REQUESTS = 16
CLOSE_TIMEOUT_S = 2
_KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 30),
    (socket.TCP_KEEPINTVL, 10),
    (socket.TCP_KEEPCNT, 3),
)
"""A client whose machine died is gone after a minute (s, s, probes). With a HeartBtInt(108) of an
hour its session would take until then to notice, and nobody else may log on as this client."""


class Gateway(Protocol):
    """What a connection needs of the order entry."""

    settings: FixGatewaySettings
    counters: Counters
    clock_ns: Callable[[], int]
    call_soon: Callable[[Callable[[], None]], object]

    def connection_opened(self, connection: Connection) -> int: ...
    def connection_lost(self, connection: Connection) -> None: ...
    def accept(self, connection: Connection, message: FixMessage, received_ns: int) -> bool: ...


class Connection(asyncio.Protocol):
    """Reads, and writes in one of two modes.

    Normally each new message goes straight to the socket. While messages are being resent, or the
    client reads too slowly, new ones only go to the store, and this connection follows them from
    there, in order and at the client's pace: a slow client costs no memory.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.session: ClientSession | None = None
        self.is_logged_on = False
        self.peer = ""
        self.opened_ns = 0
        self.logon_ns = 0
        self.closing_since_ns = 0
        self._gateway = gateway
        self._decoder = FixDecoder(gateway.settings.max_message_bytes)
        self._transport: asyncio.Transport | None = None
        self._inbox: deque[tuple[FixMessage, int]] = deque()
        self._is_reading_paused = False
        self._is_writing_paused = False
        self.names: Names = frozenset()
        """Those in the client's certificate, if it has shown one."""
        self._catching_up = False
        self._written_through = 0  # the highest number that went to the socket for the first time
        self._resends: deque[tuple[int, int]] = deque()

    # ---- asyncio.Protocol ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = stream = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")  # None when it has gone already
        self.peer = ":".join(map(str, name[:2])) if name else "unknown"
        self.names = names_of(transport)
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                connected.setsockopt(socket.IPPROTO_TCP, option, value)
        stream.set_write_buffer_limits(high=self._gateway.settings.write_buffer_bytes)
        self.opened_ns = self._gateway.connection_opened(self)

    def data_received(self, data: bytes) -> None:
        if self.closing_since_ns:
            return
        now_ns = self._gateway.clock_ns()
        garbled = self._decoder.garbled
        messages = self._decoder.feed(data)
        counters = self._gateway.counters
        counters.garbled += self._decoder.garbled - garbled
        counters.messages_in += len(messages)
        self._inbox.extend([(message, now_ns) for message in messages])
        self.drain()

    def drain(self) -> None:
        """Work through the messages that were received, as far as the gateway takes them."""
        inbox = self._inbox
        accept = self._gateway.accept
        while inbox and not self.closing_since_ns:
            message, received_ns = inbox[0]
            if not accept(self, message, received_ns):
                break
            if inbox:  # closing the connection has emptied it
                inbox.popleft()
        if self.session is not None:
            self.session.flush()
        self._read_when(not inbox)

    def _read_when(self, wanted: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if wanted and self._is_reading_paused:
            self._is_reading_paused = False
            self._transport.resume_reading()
        elif not wanted and not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    @property
    def is_reading_paused(self) -> bool:
        """True while the gateway does not listen to this client."""
        return self._is_reading_paused

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.clear()
        self._gateway.connection_lost(self)
        self._transport = None

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        self._catching_up = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._catch_up()

    # ---- writing ----

    def begin(self, session: ClientSession) -> None:
        """The Logon is about to be answered: messages of the session go here from now on. What was
        stored before is for the client to ask for."""
        self.is_logged_on = True
        self._written_through = session.store.next_out - 1

    def numbers_reset(self) -> None:
        """The session's numbers begin again at 1."""
        self._written_through = 0
        self._resends.clear()
        self._catching_up = self._is_writing_paused

    def write_new(self, frames: list[bytes]) -> None:
        """Write messages that were just stored, unless earlier ones must go first."""
        self._gateway.counters.messages_out += len(frames)
        if self._catching_up or self._transport is None or self.session is None:
            return
        now = frames[:_MESSAGES_PER_STEP]  # the rest of a burst comes from the store, as room is
        self._written_through = self.session.store.next_out - 1 - (len(frames) - len(now))
        self._transport.write(b"".join(now))
        limit = self._gateway.settings.write_buffer_bytes
        is_full = self._transport.get_write_buffer_size() > limit
        if (is_full or len(now) < len(frames)) and not self._catching_up:
            # The transport tells of a full buffer a turn later than we can see it.
            self._catching_up = True
            self._gateway.call_soon(self._catch_up)

    @property
    def backlog(self) -> int:
        """Number of stored messages that have not gone to the socket."""
        if self.session is None or not self.is_logged_on:
            return 0
        return self.session.store.next_out - 1 - self._written_through

    def add_resend(self, first_seq: int, last_seq: int) -> bool:
        """Note a ResendRequest; start_resend() begins. False when too many wait already."""
        if len(self._resends) >= _MAX_RESEND_REQUESTS:
            return False
        self._resends.append((first_seq, last_seq))
        return True

    def start_resend(self) -> None:
        """Begin with the resends that were noted, unless that is going on already."""
        if self._resends and not self._catching_up:
            self._catching_up = True
            self._catch_up()

    def _catch_up(self) -> None:
        """Write a piece of what must be resent, then of what has only gone to the store."""
        session = self.session
        if session is None or self._transport is None or not self._catching_up:
            return
        if self._is_writing_paused:
            return
        self._forget_resends_of_what_comes_anyway()
        if self._resends:
            self._transport.write(self._resend_piece(session))
        elif self.backlog:
            first = self._written_through + 1
            last = min(first + _MESSAGES_PER_STEP, session.store.next_out) - 1
            self._written_through = last
            stored = session.store.read_sent(first, last)
            self._transport.write(b"".join([message.frame for message in stored]))
        if self._resends or self.backlog:
            self._gateway.call_soon(self._catch_up)
        else:
            self._catching_up = self._is_writing_paused

    def _forget_resends_of_what_comes_anyway(self) -> None:
        """A message that has not been on the socket is no possible duplicate, and would be one
        without saying so when its turn came."""
        resends = self._resends
        while resends and resends[0][0] > self._written_through:
            resends.popleft()
        if resends:
            first, last = resends[0]
            resends[0] = (first, min(last, self._written_through))

    def _resend_piece(self, session: ClientSession) -> bytes:
        """The next messages of the first ResendRequest, as possible duplicates."""
        first, last = self._resends.popleft()
        piece_last = min(first + _MESSAGES_PER_STEP - 1, last)
        if piece_last < last:
            self._resends.appendleft((piece_last + 1, last))
        sending_time = format_utc_timestamp(self._gateway.clock_ns())
        frames: list[bytes] = []
        fill_from = 0  # first of the admin messages that a gap fill will stand for
        for seq, is_admin, frame in session.store.read_sent(first, piece_last):
            if is_admin:
                fill_from = fill_from or seq
                continue
            if fill_from:
                frames.append(session.fix.gap_fill(fill_from, seq, sending_time))
                fill_from = 0
            frames.append(possible_duplicate(frame, sending_time))
        if fill_from:
            frames.append(session.fix.gap_fill(fill_from, piece_last + 1, sending_time))
        self._gateway.counters.resent += len(frames)
        return b"".join(frames)

    # ---- ending ----

    def finish(self, now_ns: int, last_frames: list[bytes]) -> None:
        """Write the last messages and close once they are out. Nothing is read any more.

        A client that does not read gets them at its next Logon, behind what it misses before them.
        """
        self.closing_since_ns = now_ns or 1
        self.session = None
        self._inbox.clear()
        if self._transport is not None:
            if last_frames and not self._is_writing_paused:
                self._transport.write(b"".join(last_frames))
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever has not been written. Nothing is read or written any more."""
        self.closing_since_ns = self.closing_since_ns or 1
        self.session = None
        self._inbox.clear()
        if self._transport is not None:
            self._transport.abort()
