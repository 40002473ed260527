"""MoldUDP64 re-requests over UDP: the server that answers them and the client that asks.

An answer is one ordinary downstream packet, cut at one datagram; the client asks again for the
rest. Garbage, other sessions and numbers not published yet get no answer. A request of 20 bytes can
draw an answer of 1,400 towards whatever source address it claims, so each source host gets so many
answers per second and no more.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from cluster.settings import Address
from marketdata.message_store import MessageStore
from protocols import moldudp64
from protocols.moldudp64 import DataPacket, MoldUDP64Error

MAX_SOURCES = 1_024
"""Source hosts whose rate is remembered; the one longest silent makes room."""
REQUESTS_PER_TURN = 64
"""Answered before the loop may do something else."""
LARGEST_REQUEST = 64
"""Read of a datagram; a request has 20 bytes and a longer one is malformed in any case."""


@dataclass(slots=True)
class ReRequestCounters:
    """Requests by what became of them."""

    answered: int = 0
    malformed: int = 0
    other_session: int = 0
    not_published: int = 0
    rate_limited: int = 0
    dropped: int = 0  # the kernel did not take the answer
    messages: int = 0  # sent in answers


class RateLimiter:
    """Token bucket per source host: `per_second` requests on average, as many again in a burst."""

    def __init__(self, per_second: int, max_sources: int = MAX_SOURCES) -> None:
        self._per_second = per_second
        self._max_sources = max_sources
        self._buckets: dict[str, tuple[float, float]] = {}  # host: (tokens, when); oldest first

    def allow(self, host: str, now_s: float) -> bool:
        """True when this request is within the rate; counts it."""
        tokens, when_s = self._buckets.pop(host, (float(self._per_second), now_s))
        tokens = min(float(self._per_second), tokens + (now_s - when_s) * self._per_second)
        allowed = tokens >= 1
        self._buckets[host] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > self._max_sources:
            del self._buckets[next(iter(self._buckets))]
        return allowed


class ReRequestServer:
    """Answers from a MessageStore on a UDP socket.

    Nothing is ever queued: an answer that the kernel does not take at once is dropped and counted,
    as any datagram may be.
    """

    def __init__(
        self,
        session: str,
        store: MessageStore,
        *,
        max_payload: int = moldudp64.MAX_PAYLOAD,
        requests_per_s: int = 1_000,
    ) -> None:
        self.counters = ReRequestCounters()
        self._session = session
        self._session_field = moldudp64.session_field(session)
        self._store = store
        self._max_payload = max_payload
        self._limiter = RateLimiter(requests_per_s)
        self._socket: socket.socket | None = None

    def start(self, bind: Address) -> None:
        """Listen, on the running event loop. Raises OSError when the address is taken."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(bind)
        except OSError as error:
            self.close()
            raise OSError(error.errno, f"{error.strerror}: UDP {bind}") from error
        asyncio.get_running_loop().add_reader(self._socket, self._on_readable, self._socket)

    def close(self) -> None:
        """Stop listening. May be called twice."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    @property
    def address(self) -> Address:
        """Where requests are taken; tells the port when `start` was given 0."""
        assert self._socket is not None, "address before start"
        return Address(*self._socket.getsockname())

    def _on_readable(self, server_socket: socket.socket) -> None:
        for _ in range(REQUESTS_PER_TURN):
            try:
                data, source = server_socket.recvfrom(LARGEST_REQUEST)
            except OSError:  # nothing left; or ICMP says that an asker is gone
                return
            answer = self.answer(data, source[0], time.monotonic())
            if answer is None:
                continue
            try:
                server_socket.sendto(answer, source)
            except OSError:
                self.counters.dropped += 1

    def answer(self, data: bytes, host: str, now_s: float) -> bytes | None:
        """The datagram that answers a request from `host`, if it gets one."""
        counters = self.counters
        try:
            request = moldudp64.decode_request(data)
        except MoldUDP64Error:
            counters.malformed += 1
            return None
        if request.session != self._session:
            counters.other_session += 1
            return None
        if not self._limiter.allow(host, now_s):
            counters.rate_limited += 1
            return None
        first, count = request.sequence_number, request.message_count
        messages = self._store.read(first, count, self._max_payload)
        if not messages:
            counters.not_published += 1
            return None
        answer = moldudp64.encode_data(self._session_field, first, messages, self._max_payload)[0]
        counters.answered += 1
        counters.messages += moldudp64.message_count(answer)
        return answer


class ReRequestClient(asyncio.DatagramProtocol):
    """Asks a re-request server and hands over what it answers: (first number, messages).

    `request` has the shape that FeedReceiver wants. An answer may bring less than was asked for, or
    not come at all; who asks must ask again.
    """

    def __init__(self, session: str, on_messages: Callable[[int, list[bytes]], None]) -> None:
        self._session = session
        self._session_field = moldudp64.session_field(session)
        self._on_messages = on_messages
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, server: Address) -> None:
        """Open a socket towards `server`; datagrams from elsewhere are dropped by the kernel."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, remote_addr=server)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def request(self, first: int, count: int, attempt: int = 1) -> None:
        """Ask for `count` messages from `first` on."""
        assert self._transport is not None, "request before start"
        count = min(count, moldudp64.MAX_MESSAGES)
        self._transport.sendto(moldudp64.encode_request(self._session_field, first, count))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand over the messages of an answer; ignore anything else."""
        try:
            packet = moldudp64.decode_downstream(data)
        except MoldUDP64Error:
            return
        if isinstance(packet, DataPacket) and packet.session == self._session:
            self._on_messages(packet.sequence_number, packet.messages)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP port unreachable): the same as no answer."""
