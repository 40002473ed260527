"""GLIMPSE 5.0: the state of all books, for who comes in the middle of the day. The server.

A client logs in over SoupBinTCP and gets, as sequenced data: the System Events of the day, the
Stock Directory and the trading state of every instrument, every order in the books (with its own
order reference number and the shares that are left, those of a price in priority), and End of
Snapshot (G) with the number of the MoldUDP64 message to apply next. Then the session ends. Source:
Nasdaq GLIMPSE 5.0.

All of it is of one moment: it is made in one turn of the event loop, after the login, and of
everything that has arrived on the lines by then. So a client that listens to the lines before it
logs in misses nothing in between.

Making a snapshot keeps the process busy (1 us per order). Those who log in while that is too soon
after the last one wait and share the next.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from cluster.settings import Address
from marketdata.depth import MarketDepth
from marketdata.settings import GlimpseSettings
from protocols import itch50, soupbintcp
from protocols.soupbintcp import Direction, LoginRejectReason, PacketReader, SoupBinTCPError

MAX_CLIENT_PACKET_BYTES = 512
"""A login request has 54; debug packets may be longer."""
PIECE_BYTES = 128 << 10
"""Written in one turn of the event loop."""
BUSY_SHARE = 0.25
"""Of the time, at most, goes into making snapshots."""
COMPLETE_WITHIN_S = 5.0
"""How long a login may wait for the books to be complete before it is refused."""
RETRY_S = 0.02


@dataclass(slots=True)
class GlimpseCounters:
    """Connections by what became of them."""

    connections: int = 0  # open now
    snapshots: int = 0  # made
    served: int = 0  # handed to the network in full
    too_many: int = 0
    not_authorized: int = 0
    session_not_available: int = 0
    malformed: int = 0
    timed_out: int = 0  # no login, or too slow in reading


def snapshot_messages(depth: MarketDepth) -> list[bytes]:
    """The snapshot of all books, G included.

    S, R and H are those of the feed; the orders have the time stamp of the last message.
    """
    books = [book for symbol in depth.symbols if (book := depth.book(symbol)) is not None]
    messages = [itch50.encode(event) for event in depth.system_events]
    messages += [itch50.encode(book.directory) for book in books if book.directory is not None]
    messages += [itch50.encode(b.trading_action) for b in books if b.trading_action is not None]
    add, timestamp = itch50.encode_add_order, itch50.timestamp_field(depth.timestamp)
    messages += [
        add(side.stock_locate, timestamp, reference, side.code, shares, side.stock, price)
        for side, reference, price, shares in depth.orders()
    ]
    messages.append(itch50.encode_end_of_snapshot(depth.next_sequence_number))
    return messages


class GlimpseServer:
    """Listens, and serves whoever logs in."""

    def __init__(
        self, settings: GlimpseSettings, session: str, books: Callable[[], MarketDepth | None]
    ) -> None:
        """`session` is that of the feed. `books` says the books, up to everything that has arrived
        by now; None while they are not complete."""
        self.settings = settings
        self.session = session
        self.counters = GlimpseCounters()
        self._books = books
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._waiting: dict[_Connection, float] = {}
        """Logged in, and when each is refused."""
        self._timer: asyncio.TimerHandle | None = None
        self._earliest_s = 0.0

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), *self.settings.bind)

    async def close(self) -> None:
        """Stop listening, disconnect everybody. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    @property
    def address(self) -> Address:
        """Where it listens; tells the port when the settings said 0."""
        assert self._server is not None, "address before start"
        return Address(*self._server.sockets[0].getsockname()[:2])

    def admit(self, connection: _Connection) -> bool:
        """Whether there is room for another connection."""
        if len(self._connections) >= self.settings.max_connections:
            self.counters.too_many += 1
            return False
        self._connections.add(connection)
        self.counters.connections = len(self._connections)
        return True

    def forget(self, connection: _Connection) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        self._waiting.pop(connection, None)
        self.counters.connections = len(self._connections)

    def refusal(self, payload: bytes) -> LoginRejectReason | None:
        """Why a login request is refused, None when it is not. Raises SoupBinTCPError."""
        login = soupbintcp.decode_login_request(payload)
        names = (login.username, self.settings.username), (login.password, self.settings.password)
        equal = [
            hmac.compare_digest(*(soupbintcp.normalized_credential(one).encode() for one in both))
            for both in names
        ]
        if not all(equal):
            return LoginRejectReason.NOT_AUTHORIZED
        if login.session not in ("", self.session):
            return LoginRejectReason.SESSION_NOT_AVAILABLE
        return None

    def serve(self, connection: _Connection) -> None:
        """Have the connection get the next snapshot."""
        loop = asyncio.get_running_loop()
        self._waiting[connection] = loop.time() + COMPLETE_WITHIN_S
        if self._timer is None:
            self._timer = loop.call_at(self._earliest_s, self._serve_waiting)

    def _serve_waiting(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        depth = self._books()
        if depth is None:
            for connection, until_s in list(self._waiting.items()):
                if started_s > until_s:
                    del self._waiting[connection]
                    connection.refuse(LoginRejectReason.SESSION_NOT_AVAILABLE)
            if self._waiting:
                self._timer = loop.call_later(RETRY_S, self._serve_waiting)
            return
        packets = soupbintcp.encode_login_accepted(self.session, soupbintcp.FIRST_MESSAGE)
        packets += soupbintcp.encode_sequenced(snapshot_messages(depth))
        packets += soupbintcp.END_OF_SESSION_PACKET
        self.counters.snapshots += 1
        waiting = list(self._waiting)
        self._waiting.clear()
        for connection in waiting:
            connection.send(packets)
        took_s = loop.time() - started_s
        self._earliest_s = loop.time() + took_s / BUSY_SHARE


class _Connection(asyncio.Protocol):
    """One client: login, snapshot, end. What it holds is bounded: a packet that is not complete,
    the pieces the transport has, and a snapshot that it shares with others, for so long and no
    longer."""

    def __init__(self, server: GlimpseServer) -> None:
        self._server = server
        self._reader = PacketReader(Direction.CLIENT_TO_SERVER, MAX_CLIENT_PACKET_BYTES)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._logged_in = False
        self._ended = False
        self._paused = False
        self._rest = memoryview(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.admit(self):
            self.abort()
            return
        self._transport.set_write_buffer_limits(high=PIECE_BYTES)
        self._set_timer(self._server.settings.login_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._rest = memoryview(b"")
        self._cancel_timer()
        self._server.forget(self)

    def eof_received(self) -> None:
        """Who sends no more is not there any more, unless all was said."""
        if not self._ended:
            self.abort()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write_on()

    def data_received(self, data: bytes) -> None:
        """Act on the packets of the client; whoever breaks the rules is disconnected."""
        if self._ended:
            return
        try:
            for packet_type, payload in self._reader.feed(data):
                if not self._ended:
                    self._take(packet_type, payload)
        except SoupBinTCPError:
            self._server.counters.malformed += 1
            self.abort()

    def _take(self, packet_type: bytes, payload: bytes) -> None:
        if packet_type == soupbintcp.DEBUG:
            return
        if self._logged_in:
            if packet_type == soupbintcp.LOGOUT_REQUEST:
                self.abort()
            elif packet_type != soupbintcp.CLIENT_HEARTBEAT:
                raise SoupBinTCPError(f"{packet_type!r} after the login")
            return
        if packet_type != soupbintcp.LOGIN_REQUEST:
            raise SoupBinTCPError(f"{packet_type!r} before the login")
        reason = self._server.refusal(payload)
        if reason is not None:
            self.refuse(reason)
            return
        self._logged_in = True
        self._cancel_timer()
        self._server.serve(self)

    def refuse(self, reason: LoginRejectReason) -> None:
        """Say why not, and end."""
        assert self._transport is not None
        self._set_timer(self._server.settings.login_timeout_s)
        if reason is LoginRejectReason.NOT_AUTHORIZED:
            self._server.counters.not_authorized += 1
        else:
            self._server.counters.session_not_available += 1
        self._transport.write(soupbintcp.encode_login_rejected(reason))
        self._end()

    def send(self, packets: bytes) -> None:
        """Send these in pieces, as fast as the client reads them, and end."""
        self._set_timer(self._server.settings.send_timeout_s)
        self._rest = memoryview(packets)
        self._write_on()

    def _write_on(self) -> None:
        """Write the next piece; one in each turn, because a fast client must not stop the feed."""
        if self._ended or self._paused or not self._rest:
            return
        assert self._transport is not None
        self._transport.write(bytes(self._rest[:PIECE_BYTES]))
        self._rest = self._rest[PIECE_BYTES:]
        if self._rest:
            self._loop.call_soon(self._write_on)
        else:
            self._server.counters.served += 1
            self._end()

    def _end(self) -> None:
        """All is said. The client closes once it has read it, and the timer goes on until then:
        closing here would reset the connection if a heartbeat of the client had not been read, and
        the kernel would throw away what it has not sent yet."""
        assert self._transport is not None
        self._ended = True
        self._transport.write_eof()

    def abort(self) -> None:
        """End at once."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(seconds, self._on_timeout)

    def _on_timeout(self) -> None:
        if not self._ended:
            self._server.counters.timed_out += 1
        self.abort()
