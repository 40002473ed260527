"""GLIMPSE 5.0, the client: books from the middle of the day on.

    books = BooksFromSnapshot(lines, glimpse, "GLIMPS", "password", rerequest=address)
    await books.start()                    the books are complete, and follow the lines from now on
    books.depth.book("AAPL").bids(5)

The procedure is the documented one: listen to the lines and keep what comes; log in; apply the
snapshot; drop what came with a number before that in End of Snapshot; apply the rest, and go on. A
message that both lines have lost in between is a gap like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from cluster.settings import Address
from marketdata.depth import FeedError, MarketDepth
from marketdata.receiver import FeedReceiver, OnMessages
from marketdata.rerequest import ReRequestClient
from marketdata.settings import LineSettings
from protocols import itch50, soupbintcp
from protocols.itch50 import ItchError
from protocols.soupbintcp import Direction, PacketReader, SoupBinTCPError

HEARTBEAT_S = 1.0
SILENCE_S = 15.0
"""Without a byte for so long the server counts as gone."""
READ_BYTES = 256 << 10


class GlimpseError(Exception):
    """No snapshot: refused, cut off, or not one."""


class Snapshot(NamedTuple):
    """Messages that make up the books, and the number of the message that comes after them."""

    session: str
    messages: list[bytes]
    next_sequence_number: int


async def fetch_snapshot(
    address: Address, username: str, password: str, session: str = "", silence_s: float = SILENCE_S
) -> Snapshot:
    """Log in and take a snapshot; `session` "" is the current one.

    Raises GlimpseError, also when the server is not there or silent for `silence_s`.
    """
    try:
        login = soupbintcp.encode_login_request(
            username, password, session, soupbintcp.FIRST_MESSAGE
        )
        async with asyncio.timeout(silence_s):
            reader, writer = await asyncio.open_connection(*address)
    except (OSError, TimeoutError, SoupBinTCPError) as error:
        raise GlimpseError(f"GLIMPSE at {address}: {error or 'no answer'}") from error
    heartbeats = asyncio.create_task(_send_heartbeats(writer))
    try:
        writer.write(login)
        return await _receive(reader, silence_s)
    except TimeoutError as error:
        text = f"GLIMPSE at {address} has been silent for {silence_s:.0f} s"
        raise GlimpseError(text) from error
    except (OSError, SoupBinTCPError, ItchError) as error:
        raise GlimpseError(f"GLIMPSE at {address}: {error}") from error
    finally:
        heartbeats.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _send_heartbeats(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        writer.write(soupbintcp.CLIENT_HEARTBEAT_PACKET)


async def _receive(stream: asyncio.StreamReader, silence_s: float) -> Snapshot:
    packets = PacketReader(Direction.SERVER_TO_CLIENT)
    messages: list[bytes] = []
    accepted: soupbintcp.LoginAccepted | None = None
    while True:
        async with asyncio.timeout(silence_s):
            data = await stream.read(READ_BYTES)
        if not data:
            raise GlimpseError(f"the server ended after {len(messages)} messages, without a G")
        for packet_type, payload in packets.feed(data):
            if packet_type == soupbintcp.LOGIN_REJECTED:
                reason = soupbintcp.decode_login_rejected(payload)
                raise GlimpseError(f"login refused: {reason.name.lower().replace('_', ' ')}")
            if packet_type == soupbintcp.LOGIN_ACCEPTED:
                accepted = soupbintcp.decode_login_accepted(payload)
            elif packet_type == soupbintcp.SEQUENCED_DATA:
                if accepted is None:
                    raise GlimpseError("data before Login Accepted")
                if payload[:1] == b"G":
                    number = itch50.decode_end_of_snapshot(payload)
                    return Snapshot(accepted.session, messages, number)
                itch50.check(payload)
                messages.append(payload)
            elif packet_type == soupbintcp.END_OF_SESSION:
                raise GlimpseError(f"the session ended after {len(messages)} messages, without a G")


class BooksFromSnapshot:
    """All books, from now on. `start`, and `close` at the end.

    A feed that contradicts itself ends it: `failure` says why, and the books stay as they are.
    """

    def __init__(
        self,
        lines: LineSettings,
        glimpse: Address,
        username: str,
        password: str,
        *,
        rerequest: Address | None = None,
        on_messages: OnMessages | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """`on_messages` is told of all that was applied after the snapshot, `on_snapshot` of that.
        Without `rerequest` a message that both lines lose makes the books fail."""
        self.depth = MarketDepth()
        self.failure: FeedError | None = None
        self._lines = lines
        self._glimpse = (glimpse, username, password)
        self._rerequest = rerequest
        self._on_messages = on_messages
        self._on_snapshot = on_snapshot
        self._client = ReRequestClient(lines.session, self._on_answer)
        self.receiver = FeedReceiver(
            lines,
            on_messages=self._apply,
            request=None if rerequest is None else self._client.request,
            hold=True,
        )

    async def start(self) -> None:
        """Join the lines, take a snapshot, apply what came meanwhile.

        Raises OSError when a line cannot be joined, GlimpseError when there is no snapshot.
        """
        try:
            if self._rerequest is not None:
                await self._client.start(self._rerequest)
            await self.receiver.start()
            address, username, password = self._glimpse
            snapshot = await fetch_snapshot(address, username, password, self._lines.session)
            try:
                self.depth.apply(snapshot.messages)
            except (FeedError, ItchError) as error:
                raise GlimpseError(f"the snapshot contradicts itself: {error}") from error
        except BaseException:
            await self.close()
            raise
        self.depth.continue_at(snapshot.next_sequence_number)
        if self._on_snapshot is not None:
            self._on_snapshot(snapshot)
        self.receiver.continue_at(snapshot.next_sequence_number)

    async def close(self) -> None:
        """Leave the lines. May be called twice."""
        await self.receiver.close()
        self._client.close()

    def _on_answer(self, first: int, messages: list[bytes]) -> None:
        self.receiver.fill(first, messages)

    def _apply(self, first: int, messages: list[bytes]) -> None:
        if self.failure is not None:
            return
        try:
            if first != self.depth.next_sequence_number:
                last = first - 1
                raise FeedError(f"messages {self.depth.next_sequence_number} to {last} are lost")
            self.depth.apply(messages)
        except (FeedError, ItchError) as error:
            self.failure = error if isinstance(error, FeedError) else FeedError(str(error))
            self.receiver.pause()
            return
        if self._on_messages is not None:
            self._on_messages(first, messages)
