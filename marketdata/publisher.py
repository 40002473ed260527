"""ItchPublisher: the event sink in a node that publishes ITCH over MoldUDP64.

Every node derives every message and keeps it. The LEADER multicasts them on line A, the STANDBY on
line B, a FOLLOWER (and a node that replays its journal is one) is silent. Datagrams leave inside
`on_batch`, which the node calls before it tells any gateway: nobody hears of an order from its
report before the market could.

A node that takes a line over sends a heartbeat with its next number at once and goes on with the
exact next message. What the old sender had published and the new one publishes again is a
duplicate, which receivers drop; what neither published shows as a gap against that heartbeat, and
receivers ask for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from cluster.interface import AppliedBatch, NodeRole
from cluster.settings import Address
from marketdata.feed import ItchFeed
from marketdata.lines import LineSender
from marketdata.message_store import MessageStore
from marketdata.settings import FeedSettings
from protocols import moldudp64

SINK_NAME = "itch"
MAX_QUERY_MESSAGES = 2_000
MAX_QUERY_BYTES = 256 << 10


class ItchPublisher:
    """An EventSink. Register it under SINK_NAME.

    Queries (cluster.client.ClusterClient.query):
    ["messages", session, first, count] -> list of messages from `first` on, cut at
    MAX_QUERY_MESSAGES and MAX_QUERY_BYTES, empty when `first` is not there yet;
    ["position"] -> number of the next message; ["status"] -> dict of counts.
    """

    def __init__(self, settings: FeedSettings, sender: LineSender | None = None) -> None:
        """`sender` replaces the socket that `start` would open; the publisher closes it."""
        self.feed = ItchFeed()
        self._settings = settings
        self._session = moldudp64.session_field(settings.session)
        self._sender = sender
        self._store: MessageStore | None = None
        self._role = NodeRole.FOLLOWER
        self._line: Address | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._interval_s = settings.heartbeat_ms / 1_000
        self._last_sent_s = 0.0
        self._heartbeats = 0

    def restore(self, state: Any) -> None:
        """Go on with the message that an ItchFeed's snapshot names; None: with the first."""
        assert self._store is None, "restore after start"
        self.feed.restore(state)

    async def start(self) -> None:
        """Open the socket and the store. Raises OSError when either is not possible."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        if self._sender is None:
            self._sender = LineSender(settings.interface, settings.ttl)
        self._store = MessageStore(
            settings.store_dir,
            settings.session,
            settings.memory_bytes,
            max_bytes=settings.store_bytes,
            resume_at=self.feed.next_sequence_number,
        )
        self._timer = self._loop.call_later(self._interval_s, self._on_timer)

    async def close(self) -> None:
        """Fall silent; close socket and file."""
        self._line = None
        if self._timer is not None:
            self._timer.cancel()
        if self._sender is not None:
            self._sender.close()
        if self._store is not None:
            self._store.close()

    def on_batch(self, batch: AppliedBatch) -> None:
        """Number, keep and publish the messages of a batch."""
        first = self.feed.next_sequence_number
        messages = self.feed.messages(batch)
        if not messages:
            return
        store, sender, line = self._store, self._sender, self._line
        assert store is not None, "on_batch before start"
        if line is not None:
            assert sender is not None, "on_batch before start"
            for datagram in moldudp64.encode_data(
                self._session, first, messages, self._settings.max_payload
            ):
                sender.send(datagram, line)
            assert self._loop is not None, "on_batch before start"
            self._last_sent_s = self._loop.time()
        store.append(messages)

    def on_role(self, role: NodeRole) -> None:
        """Take the role's line, or fall silent."""
        lines = {
            NodeRole.LEADER: self._settings.line_a,
            NodeRole.STANDBY: self._settings.line_b,
            NodeRole.FOLLOWER: None,
        }
        self._role = role
        self._line = lines[role]
        if self._line is not None and self._loop is not None:
            self._send_heartbeat()

    def query(self, request: Any) -> Any:
        """Answer one of the queries above. Raises ValueError for anything else."""
        match request:
            case ["messages", str(session), int(first), int(count)]:
                return self._messages(session, first, count)
            case ["position"]:
                return self.feed.next_sequence_number
            case ["status"]:
                return self._status()
        raise ValueError(
            f"{request!r}: known are ['messages', session, first, count], ['position'], ['status']"
        )

    def day_files(self) -> tuple[Path, list[tuple[str, int]]]:
        """The message store's folder and files."""
        return self._settings.store_dir, [] if self._store is None else self._store.files()

    def _messages(self, session: str, first: int, count: int) -> list[bytes]:
        if session != self._settings.session:
            raise ValueError(f"session {session!r}: this is session {self._settings.session!r}")
        if first < 1 or count < 1:
            raise ValueError(f"messages from {first}, {count} of them: both must be 1 or more")
        assert self._store is not None, "query before start"
        return self._store.read(first, min(count, MAX_QUERY_MESSAGES), MAX_QUERY_BYTES)

    def _status(self) -> dict[str, Any]:
        sender = self._sender
        assert sender is not None, "query before start"
        assert self._store is not None, "query before start"
        return {
            "session": self._settings.session,
            "position": self.feed.next_sequence_number,
            "role": self._role.value,
            "datagrams": sender.sent,
            "heartbeats": self._heartbeats,
            "dropped": dict(sender.dropped),
            "store_failed": self._store.failed,
        }

    def _on_timer(self) -> None:
        """Send a heartbeat when the line was silent for the interval; wake up when it may be."""
        assert self._loop is not None
        now_s = self._loop.time()
        if self._line is None:
            due_s = now_s + self._interval_s
        else:
            if now_s - self._last_sent_s >= self._interval_s:
                self._send_heartbeat()
            due_s = self._last_sent_s + self._interval_s
        self._timer = self._loop.call_at(due_s, self._on_timer)

    def _send_heartbeat(self) -> None:
        assert self._loop is not None
        assert self._sender is not None
        assert self._line is not None
        encode = moldudp64.encode_end_of_session if self.feed.ended else moldudp64.encode_heartbeat
        self._sender.send(encode(self._session, self.feed.next_sequence_number), self._line)
        self._heartbeats += 1
        self._last_sent_s = self._loop.time()
