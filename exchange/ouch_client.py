"""An OUCH client: SoupBinTCP login, heartbeats, replay. For the demo, the bench and tests.

It moves to the next address when a connection ends, asks for what it has not read, and sends again
what it has not seen answered: UserRefNum makes that safe.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from cluster.settings import Address
from protocols import ouch50, soupbintcp
from protocols.ouch50_messages import InboundMessage
from protocols.soupbintcp import (
    CLIENT_HEARTBEAT_PACKET,
    DEBUG,
    LOGIN_ACCEPTED,
    LOGIN_REJECTED,
    LOGOUT_REQUEST_PACKET,
    SEQUENCED_DATA,
    Direction,
    PacketReader,
    SoupBinTCPError,
    encode_unsequenced_data,
)

_HEARTBEAT_S = 1.0
_SILENCE_S = 15.0
_PAUSE_S = 0.02


class LoginRejected(Exception):
    """The gateway refuses: the reason, and what it said."""


class OuchClient:
    """One user. `on_message(number, message)` gets each sequenced message once, in order."""

    def __init__(
        self,
        addresses: Sequence[Address],
        username: str,
        on_message: Callable[[int, bytes], None],
        *,
        password: str = "password",
        first: int = 1,
    ) -> None:
        self.username = username
        self.session = ""
        self.next_number = first
        """Number of the sequenced message that comes next."""
        self.logins = 0
        self.last_debug = ""
        """What the gateway said last in words."""
        self._addresses = list(addresses)
        self._at = 0
        self._password = password
        self._on_message = on_message
        self._writer: asyncio.StreamWriter | None = None
        self._unanswered: dict[Any, bytes] = {}
        self._logged_in = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sent_s = 0.0
        self._stopping = False

    @property
    def address(self) -> Address:
        """The gateway in use."""
        return self._addresses[self._at % len(self._addresses)]

    async def start(self, timeout_s: float = 30.0) -> None:
        """Log in; raises LoginRejected, TimeoutError."""
        self._task = asyncio.create_task(self._run(), name=f"ouch-{self.username}")
        waiting = asyncio.create_task(self._logged_in.wait())
        done, _ = await asyncio.wait(
            {self._task, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            raise TimeoutError(f"{self.username} is not logged in after {timeout_s} s")
        if self._task in done:
            waiting.cancel()
            self._task.result()

    async def stop(self) -> None:
        """Log out."""
        self._stopping = True
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.write(LOGOUT_REQUEST_PACKET)
                self._writer.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def send(self, message: InboundMessage, *, until: Any = None) -> None:
        """Send a message. `until`: it is sent again after each login, until answered(until)."""
        data = encode_unsequenced_data(ouch50.encode(message))
        if until is not None:
            self._unanswered[until] = data
        self.send_packets(data)

    def send_packets(self, data: bytes) -> None:
        """Send encoded packets now, if there is a connection."""
        writer = self._writer
        if writer is not None and self._logged_in.is_set() and not writer.is_closing():
            writer.write(data)
            self._sent_s = asyncio.get_running_loop().time()

    def answered(self, key: Any) -> None:
        """What was sent under this key need not be sent again."""
        self._unanswered.pop(key, None)

    @property
    def unanswered(self) -> int:
        """Messages that would be sent again."""
        return len(self._unanswered)

    def move(self) -> None:
        """Cut the connection and go on at the next address."""
        self._at += 1
        if self._writer is not None:
            transport: Any = self._writer.transport
            transport.abort()

    # ---- one connection after the other ----

    async def _run(self) -> None:
        while not self._stopping:
            try:
                reader, self._writer = await asyncio.open_connection(*self.address)
            except OSError:
                self._at += 1
                await asyncio.sleep(_PAUSE_S)
                continue
            at = self._at
            try:
                await self._talk(reader, self._writer)
            except (OSError, SoupBinTCPError, asyncio.IncompleteReadError):
                pass
            finally:
                self._logged_in.clear()
                self._writer.transport.abort()
                self._writer = None
            if self._at == at:
                self._at += 1
            await asyncio.sleep(_PAUSE_S)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            soupbintcp.encode_login_request(
                self.username, self._password, self.session, self.next_number
            )
        )
        packets = PacketReader(Direction.SERVER_TO_CLIENT)
        loop = asyncio.get_running_loop()
        self._sent_s = heard_s = loop.time()
        while True:
            data = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEARTBEAT_S / 2):
                    data = await reader.read(1 << 16)
                    if not data:
                        return
            now_s = loop.time()
            if data:
                heard_s = now_s
                for kind, payload in packets.feed(data):
                    self._received(kind, payload)
            elif now_s - heard_s > _SILENCE_S:
                return
            if now_s - self._sent_s >= _HEARTBEAT_S:
                writer.write(CLIENT_HEARTBEAT_PACKET)
                self._sent_s = now_s

    def _received(self, kind: bytes, payload: bytes) -> None:
        if kind == SEQUENCED_DATA:
            number = self.next_number
            self.next_number += 1
            self._on_message(number, payload)
        elif kind == LOGIN_ACCEPTED:
            accepted = soupbintcp.decode_login_accepted(payload)
            self.session = accepted.session
            if self.next_number not in (0, accepted.sequence_number):
                raise SoupBinTCPError(
                    f"message {self.next_number} was asked for, {accepted.sequence_number} comes"
                )
            self.next_number = accepted.sequence_number
            self.logins += 1
            self._logged_in.set()
            for data in self._unanswered.values():
                self.send_packets(data)
        elif kind == LOGIN_REJECTED:
            reason = soupbintcp.decode_login_rejected(payload)
            if reason is soupbintcp.LoginRejectReason.NOT_AUTHORIZED:
                raise LoginRejected(f"{self.username}: reason {reason}; {self.last_debug}")
            raise SoupBinTCPError("the session is not available here at the moment")
        elif kind == DEBUG:
            self.last_debug = soupbintcp.decode_debug(payload)
