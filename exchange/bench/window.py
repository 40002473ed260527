"""A FIX session on the event loop that keeps a window of requests unanswered: for long runs."""

from __future__ import annotations

import asyncio
from typing import cast

from cluster.settings import Address
from exchange.bench.scan import FixScanner

LOGIN_TIMEOUT_S = 10.0


class FixWindowSession(asyncio.Protocol):
    """Where the requests come from, and what becomes of the answers, is for those to say who derive
    from it."""

    def __init__(self, comp_id: str, window: int) -> None:
        self.name = comp_id
        self.logged_on = asyncio.Event()
        self.all_answered = asyncio.Event()
        self.sent = 0
        self.answered = 0
        self.lost_connection = False
        self._scanner = FixScanner(comp_id)
        self._window = window
        self._transport: asyncio.Transport | None = None
        self._running = False

    # ---- what a measurement says ----

    def next_frames(self, count: int) -> list[bytes]:
        """The next `count` requests, fewer only at the end. They are sent now."""
        raise NotImplementedError

    def answers(self, messages: bytes, count: int) -> None:
        """Whole messages, `count` answers among them, the next ones in the order of requests."""
        raise NotImplementedError

    # ---- the window ----

    async def connect(self, address: Address) -> None:
        """Connect and log on."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, address.host, address.port)
        await asyncio.wait_for(self.logged_on.wait(), LOGIN_TIMEOUT_S)

    def start(self) -> None:
        """Send the first window."""
        self._running = True
        self._send(self._window)

    def stop(self) -> None:
        """Send nothing more; answers still come in."""
        self._running = False
        if self.answered >= self.sent:
            self.all_answered.set()

    def close(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._scanner.login())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_connection = self._running
        self._running = False
        self.all_answered.set()

    def data_received(self, data: bytes) -> None:
        count = self._scanner.feed(data)
        if self._scanner.logged_on:
            self.logged_on.set()
        if not count:
            return
        self.answers(self._scanner.messages, count)
        self.answered += count
        if self._running:
            self._send(count)
        elif self.answered >= self.sent:
            self.all_answered.set()

    def _send(self, count: int) -> None:
        frames = self.next_frames(count)
        if not frames:
            self.stop()
            return
        assert self._transport is not None
        self._transport.write(b"".join(frames))
        self.sent += len(frames)
