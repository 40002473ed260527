"""A session that keeps a window of requests unanswered, whatever its protocol."""

from __future__ import annotations

import asyncio
from typing import cast

from cluster.settings import Address

LOGIN_TIMEOUT_S = 10.0
SETTLE_TIMEOUT_S = 20.0


class WindowSession(asyncio.Protocol):
    """A protocol says how to log in and what an answer is; where the requests come from, and what
    becomes of the answers, is for those to say who derive from that."""

    def __init__(self, name: str, window: int) -> None:
        self.name = name
        self.logged_on = asyncio.Event()
        self.all_answered = asyncio.Event()
        self.settled = asyncio.Event()
        self.sent = 0
        self.answered = 0
        self.questions = 0
        self.lost_connection = False
        self._window = window
        self._transport: asyncio.Transport | None = None
        self._running = False

    # ---- what a protocol says ----

    def login(self) -> bytes:
        """What is sent first."""
        raise NotImplementedError

    def scan(self, data: bytes) -> int:
        """Take what came (after the answer to the login, which sets `logged_on`); returns how many
        requests it answers."""
        raise NotImplementedError

    def question(self) -> bytes:
        """What the gateway answers after everything that it has sent us before; `scan` sets
        `settled` when that comes."""
        raise NotImplementedError

    # ---- what a measurement says ----

    def next_frames(self, count: int) -> tuple[list[bytes], int]:
        """What asks for the next `count` answers, and for how many it asks: fewer only at the end.
        It is sent now."""
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

    async def settle(self) -> None:
        """Wait for what is on its way: others' last orders may have traded with ours. To be called
        when everybody's are answered. Raises TimeoutError."""
        assert self._transport is not None
        self.settled.clear()
        self._transport.write(self.question())
        self.questions += 1
        await asyncio.wait_for(self.settled.wait(), SETTLE_TIMEOUT_S)

    def close(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self.login())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_connection = self._running
        self._running = False
        self.all_answered.set()

    def data_received(self, data: bytes) -> None:
        count = self.scan(data)
        if not count:
            return
        self.answered += count
        if self._running:
            self._send(count)
        elif self.answered >= self.sent:
            self.all_answered.set()

    def _send(self, count: int) -> None:
        frames, asked = self.next_frames(count)
        if not frames:
            self.stop()
            return
        assert self._transport is not None
        self._transport.write(b"".join(frames))
        self.sent += asked
