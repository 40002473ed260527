"""Connections between the nodes: one TCP connection per pair, msgpack frames, bounded queues.

The member with the higher id dials. Both sides introduce themselves before anything else is
believed; a peer that is no member, belongs to another cluster or speaks another version is cut off.
A connection has an epoch, drawn by the side that dials, so that answers of an older connection can
be told apart. A connection on which nothing arrived for a second is given up and dialled anew: TCP
itself would notice a cut network only after minutes.

With TLS a member is whom its certificate says; a hello in another name is refused.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from cluster.codec import MAX_FRAME_BYTES as MAX_PEER_FRAME_BYTES
from cluster.codec import CodecError, FrameReader, decode_raft_message, frame, unpack
from cluster.election import OTHERS_TAKE_LONGER
from cluster.settings import Address, TlsSettings
from cluster.tls import (
    Complaints,
    Listener,
    Names,
    NotWelcome,
    client_context,
    dial_options,
    node_name,
    server_context,
)

_VERSION: Final = 1
_SEND_QUEUE_BYTES_MAX: Final = 256 << 20
_HELLO_BYTES_MAX: Final = 1024
_HELLO_TIMEOUT_S: Final = 2.0
_PING_EVERY_S: Final = 0.1
_SILENCE_S: Final = 1.0
_UNKNOWN_CONNECTIONS_MAX: Final = 64
_PING: Final = frame({"type": "ping"})
_PING_BODY: Final = _PING[4:]

logger = logging.getLogger(__name__)


class PeerNetwork:
    """The connections of one node to all its peers. Every callback runs on the event loop, and
    never inside a call of `send`."""

    def __init__(
        self,
        node_id: int,
        addresses: dict[int, Address],
        bind: Address,
        *,
        on_message: Callable[[int, int, dict[str, Any]], None],
        on_connected: Callable[[int, int], None],
        on_disconnected: Callable[[int, int], None],
        first_epoch: int,
        tls: TlsSettings | None = None,
    ) -> None:
        """The callbacks get (peer_id, epoch[, message]). Raises TlsError."""
        self.node_id = node_id
        self.on_message = on_message
        self.on_connected = on_connected
        self.on_disconnected = on_disconnected
        self._addresses = addresses
        self._bind = bind
        self._peers = tuple(peer for peer in sorted(addresses) if peer != node_id)
        self._links: dict[int, _Link] = {}
        self._unknown: dict[_Link, None] = {}
        """Connections from outside that have not introduced themselves, oldest first."""
        self._dialled: dict[int, _Link] = {}
        """Connections of ours that have not been answered yet."""
        self._epoch = first_epoch
        self.listener = Listener(
            "raft port", self._accept, None if tls is None else server_context(tls)
        )
        self._context = None if tls is None else client_context(tls)
        self._complaints = Complaints()
        self._tasks: list[asyncio.Task[None]] = []
        self.frames_sent = 0
        self.bytes_sent = 0

    async def start(self) -> None:
        """Listen, and dial the peers with a lower id until closed. Raises OSError when the port is
        taken."""
        loop = asyncio.get_running_loop()
        await self.listener.start(self._bind)
        for peer in self._peers:
            if peer < self.node_id:
                self._tasks.append(loop.create_task(self._dial(peer), name=f"dial node {peer}"))
        self._tasks.append(loop.create_task(self._watch(), name="watch peers"))

    async def close(self) -> None:
        """Cut every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.listener.close()
        for link in [*self._links.values(), *self._unknown, *self._dialled.values()]:
            link.abort()

    @property
    def connected(self) -> list[int]:
        """Ids of the peers that are connected, ascending."""
        return sorted(self._links)

    def epoch(self, peer_id: int) -> int | None:
        """Epoch of the connection to a peer, None while there is none."""
        link = self._links.get(peer_id)
        return None if link is None else link.epoch

    def backlog(self, peer_id: int) -> int:
        """Bytes that wait to be sent to a peer."""
        link = self._links.get(peer_id)
        if link is None or link.transport is None:
            return 0
        return link.transport.get_write_buffer_size()

    def send(self, peer_id: int, message: dict[str, Any]) -> None:
        """Send if connected; Raft repeats what is lost. A peer that does not read is cut off."""
        link = self._links.get(peer_id)
        if link is None or link.transport is None:
            return
        if link.transport.get_write_buffer_size() > _SEND_QUEUE_BYTES_MAX:
            logger.warning("node %d does not read: connection cut", peer_id)
            link.abort()
            return
        data = frame(message)
        self.frames_sent += 1
        self.bytes_sent += len(data)
        link.sent = True
        link.transport.write(data)

    def _accept(self, names: Names | None) -> _Link:
        """The protocol of a connection that a peer made. Raises NotWelcome."""
        if names is not None and not any(node_name(peer) in names for peer in self._peers):
            raise NotWelcome(f"the certificate of {', '.join(sorted(names))} is no other member's")
        return _Link(self, None, 0, names)

    async def _dial(self, peer_id: int) -> None:
        pause_s = 0.02
        while True:
            if peer_id not in self._links and peer_id not in self._dialled:
                if await self._introduced_to(peer_id):
                    self._complaints.end(peer_id)
                    pause_s = 0.02
                else:
                    pause_s = min(pause_s * 1.5, 0.25)
            await asyncio.sleep(pause_s)

    async def _introduced_to(self, peer_id: int) -> bool:
        """Dial once; True when both sides know each other."""
        self._epoch += 1
        link = _Link(self, peer_id, self._epoch, None)
        host, port = self._addresses[peer_id]
        try:
            async with asyncio.timeout(_SILENCE_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: link, host, port, **dial_options(self._context, peer_id)
                )
                # With TLS 1.3 the other side judges our certificate after our handshake is done.
                await link.settled.wait()
        except (OSError, TimeoutError) as error:
            self._complaints.about(peer_id, error)
            link.abort()
            # uvloop drops a connection that is made at the very moment of the time-out, and does
            # not tell its protocol.
            link.connection_lost(None)
        else:
            if link.peer_id is None:
                self._complaints.about(peer_id, link.lost_by)
        return link.peer_id is not None

    async def _watch(self) -> None:
        """Ping idle connections, give up silent ones."""
        loop = asyncio.get_running_loop()
        expected_s = loop.time() + _PING_EVERY_S
        patient_until_s = 0.0
        while True:
            await asyncio.sleep(_PING_EVERY_S)
            now_s = loop.time()
            # A loop that was stalled itself must not take that for silence of the others, and what
            # stalled it, a long log entry, may stall them for longer.
            late_s = max(0.0, now_s - expected_s)
            patient_until_s = max(patient_until_s, now_s + OTHERS_TAKE_LONGER * late_s)
            expected_s = now_s + _PING_EVERY_S
            for link in list(self._links.values()):
                link.last_received_s += late_s
                if now_s - link.last_received_s > _SILENCE_S and now_s > patient_until_s:
                    logger.warning("node %s is silent: connection cut", link.peer_id)
                    link.abort()
                elif not link.sent and link.transport is not None:
                    link.transport.write(_PING)
                link.sent = False
            for link in [*self._unknown, *self._dialled.values()]:
                if now_s - link.last_received_s > _HELLO_TIMEOUT_S:
                    link.abort()

    # --- called by the links ---

    def hello(self, to: int, epoch: int) -> bytes:
        """The frame that begins a connection."""
        return frame(
            {"type": "hello", "version": _VERSION, "from": self.node_id, "to": to, "epoch": epoch}
        )

    def check_hello(self, body: bytes) -> tuple[int, int]:
        """(peer id, epoch) of a hello. Raises CodecError when we do not want to talk to it."""
        value = unpack(body)
        if type(value) is not dict or value.get("type") != "hello":
            raise CodecError("the first frame is not a hello")
        if value.get("version") != _VERSION:
            raise CodecError(f"raft protocol version {value.get('version')!r}, ours is {_VERSION}")
        peer_id, to, epoch = value.get("from"), value.get("to"), value.get("epoch")
        if type(peer_id) is not int or peer_id not in self._peers:
            raise CodecError(f"node {peer_id!r} is no member; members are {list(self._addresses)}")
        if to != self.node_id or type(epoch) is not int:
            raise CodecError(f"the hello is for node {to!r}, this is node {self.node_id}")
        return peer_id, epoch

    def opened(self, link: _Link) -> None:
        """A connection exists, nobody has introduced himself yet."""
        if link.dials is not None:
            self._dialled[link.dials] = link
            return
        if len(self._unknown) >= _UNKNOWN_CONNECTIONS_MAX:
            next(iter(self._unknown)).abort()
        self._unknown[link] = None

    def introduced(self, link: _Link, peer_id: int) -> None:
        """Both sides know each other: from here on Raft messages flow."""
        self._forget(link)
        old = self._links.get(peer_id)
        if old is not None:
            old.abort()
            self.closed(old)
        self._links[peer_id] = link
        self.on_connected(peer_id, link.epoch)

    def _forget(self, link: _Link) -> None:
        """A link is not unknown any more, or no more at all."""
        self._unknown.pop(link, None)
        if link.dials is not None and self._dialled.get(link.dials) is link:
            del self._dialled[link.dials]

    def closed(self, link: _Link) -> None:
        """A connection ended."""
        self._forget(link)
        if link.peer_id is not None and self._links.get(link.peer_id) is link:
            del self._links[link.peer_id]
            self.on_disconnected(link.peer_id, link.epoch)


class _Link(asyncio.Protocol):
    """One connection. `dials` is the peer that we dialled, None when we were dialled. `names` are
    those in the certificate of whoever dialled us, None without TLS. It is `settled` once the peer
    is known, or the connection lost."""

    def __init__(
        self, network: PeerNetwork, dials: int | None, epoch: int, names: Names | None
    ) -> None:
        self.peer_id: int | None = None
        self.settled = asyncio.Event()
        self.lost_by: Exception | None = None
        self.epoch = epoch
        self.sent = False
        self.transport: asyncio.Transport | None = None
        self.last_received_s = 0.0
        self._network = network
        self.dials = dials
        self._names = names
        self._reader = FrameReader(_HELLO_BYTES_MAX)
        self._time = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        transport = cast(asyncio.Transport, transport)
        self.transport = transport
        self.last_received_s = self._time()
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._network.opened(self)
        if self.dials is not None:
            transport.write(self._network.hello(self.dials, self.epoch))

    def data_received(self, data: bytes) -> None:
        self.last_received_s = self._time()
        try:
            for body in self._reader.feed(data):
                if self.peer_id is None:
                    self._introduce(body)
                elif body != _PING_BODY:
                    self._network.on_message(self.peer_id, self.epoch, decode_raft_message(body))
        except CodecError as error:
            name = f"node {self.peer_id}" if self.peer_id is not None else "an unknown peer"
            logger.warning("raft port: %s cut off: %s", name, error)
            self.abort()

    def _introduce(self, body: bytes) -> None:
        peer_id, epoch = self._network.check_hello(body)
        if self._names is not None and node_name(peer_id) not in self._names:
            names = ", ".join(sorted(self._names))
            raise CodecError(f"it says node {peer_id}, its certificate says {names}")
        if self.dials is None:
            self.epoch = epoch
            assert self.transport is not None
            self.transport.write(self._network.hello(peer_id, epoch))
        elif (peer_id, epoch) != (self.dials, self.epoch):
            raise CodecError(f"dialled node {self.dials}, node {peer_id} answered")
        self.peer_id = peer_id
        self.settled.set()
        self._reader.allow(MAX_PEER_FRAME_BYTES)
        self._network.introduced(self, peer_id)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.lost_by = exc
        self.settled.set()
        self._network.closed(self)

    def abort(self) -> None:
        """Close at once; connection_lost follows on a later turn of the loop."""
        if self.transport is not None:
            self.transport.abort()
