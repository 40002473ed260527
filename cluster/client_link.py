"""The TCP connection of a ClusterClient to one node: bytes to frames and back."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from cluster.codec import MAX_FRAME_BYTES, CodecError, FrameReader, decode_node_frame, frame

logger = logging.getLogger(__name__)


class LinkOwner(Protocol):
    """The part of ClusterClient that a link needs."""

    def connected(self, link: NodeLink) -> None:
        """A connection to a node exists."""

    def disconnected(self, link: NodeLink) -> None:
        """A connection ended."""

    def received(self, link: NodeLink, value: tuple[Any, ...]) -> None:
        """A frame from a node."""


class NodeLink(asyncio.Protocol):
    """The TCP connection to one node."""

    def __init__(self, client: LinkOwner, node_id: int, time: Callable[[], float]) -> None:
        self.node_id = node_id
        self.closed = asyncio.Event()
        self.lost_by: Exception | None = None
        self.has_answered = False
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader(MAX_FRAME_BYTES)
        self._time = time
        self._last_received_s = time()

    @property
    def silent_for_s(self) -> float:
        """Seconds since the node last sent anything."""
        return self._time() - self._last_received_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.connected(self)

    def data_received(self, data: bytes) -> None:
        self._last_received_s = self._time()
        self.has_answered = True
        try:
            for body in self._reader.feed(data):
                self._client.received(self, decode_node_frame(body))
        except CodecError as error:
            logger.error("node %d sent nonsense: %s", self.node_id, error)
            self.has_answered = False  # rest before the next attempt
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost_by = exc
        self.closed.set()
        self._client.disconnected(self)

    def write(self, value: tuple[Any, ...]) -> None:
        """Send one frame."""
        if self._transport is not None:
            self._transport.write(frame(value))

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
