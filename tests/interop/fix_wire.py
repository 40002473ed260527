"""What goes over the line between a FIX engine and the gateway: kept, cut off, and judged.

simplefix, which is not ours either, takes the bytes apart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from simplefix import FixParser

from cluster.settings import Address
from exchange.local import wait_for

ADMIN_TYPES = frozenset("A012345")
REFUSALS = frozenset("3j")
"""Reject and BusinessMessageReject: how an engine says that a message does not fit."""
_RENEWED = frozenset((8, 9, 10, 43, 52, 122, 34))
"""What may differ when a message is sent again; its number is compared by itself."""


class WireMessage(NamedTuple):
    """One message: tags and values in wire order."""

    fields: tuple[tuple[int, str], ...]

    def get(self, tag: int) -> str | None:
        """The first value of a tag."""
        return next((value for found, value in self.fields if found == tag), None)

    @property
    def msg_type(self) -> str:
        return self.get(35) or ""

    @property
    def seq(self) -> int:
        return int(self.get(34) or 0)

    @property
    def is_resent(self) -> bool:
        return self.get(43) == "Y"

    @property
    def content(self) -> tuple[tuple[int, str], ...]:
        """All that stays the same when it is sent again."""
        return tuple(field for field in self.fields if field[0] not in _RENEWED)


def messages_of(data: bytes) -> Iterator[WireMessage]:
    """The whole messages at the beginning of what one connection carried."""
    parser = FixParser()
    parser.append_buffer(data)
    while (message := parser.get_message()) is not None:
        yield WireMessage(
            tuple((int(tag), value.decode("latin-1")) for tag, value in message.pairs)
        )


def with_field(msg_type: str, field: bytes) -> Callable[[bytes], bytes]:
    """A forger: messages of that type get one more field, and all else that makes them whole."""

    def forge(data: bytes) -> bytes:
        forged = b""
        for message in data.split(b"8=FIX")[1:]:
            begin, _, rest = message.partition(b"\x019=")
            body = rest.partition(b"\x01")[2].rpartition(b"10=")[0]
            if body.startswith(b"35=%s\x01" % msg_type.encode()):
                body += field + b"\x01"
            whole = b"8=FIX%s\x019=%d\x01%s" % (begin, len(body), body)
            forged += b"%s10=%03d\x01" % (whole, sum(whole) % 256)
        return forged

    return forge


class Wire:
    """A port in front of the gateway. Everything that passes is kept, connection by connection."""

    def __init__(self, target: Address) -> None:
        self.address = target
        self.up: list[bytearray] = []
        """From the engine."""
        self.down: list[bytearray] = []
        """From the exchange."""
        self.forge: Callable[[bytes], bytes] = bytes
        """What becomes of the bytes of the exchange before the engine sees them."""
        self.is_up = True
        """False: nobody gets through to the gateway."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: list[asyncio.StreamWriter] = []
        self._cut_after: int | None = None
        self._may_pass = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.release()

    async def start(self) -> None:
        """Listen; `address` says where."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = Address(*self._server.sockets[0].getsockname()[:2])

    async def close(self) -> None:
        """End every connection and accept no more."""
        assert self._server is not None, "start() first"
        self._server.close()
        self.cut()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 5.0)

    def cut(self) -> None:
        """Break every connection, at both ends and without a word; the next one is let through."""
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def take_down(self) -> None:
        """Break every connection, and let nobody connect until bring_up()."""
        self.is_up = False
        self.cut()

    def bring_up(self) -> None:
        """Let connect who wants to."""
        self.is_up = True

    def hold(self, way: str) -> None:
        """Let nothing pass `up` or `down` until release()."""
        self._may_pass[way].clear()

    def release(self) -> None:
        """Let pass what was held up, and all that follows."""
        for may_pass in self._may_pass.values():
            may_pass.set()

    def cut_after(self, count: int) -> None:
        """Break the connection when `count` more bytes have come from the exchange, which may be in
        the middle of a message."""
        self._cut_after = count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_up:
            writer.transport.abort()
            return
        try:
            source, target = await asyncio.open_connection(*self._target)
        except OSError:  # the gateway is down
            writer.transport.abort()
            return
        self.up.append(bytearray())
        self.down.append(bytearray())
        self._open += [writer, target]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry("up", reader, target, self.up[-1]))
                group.create_task(self._carry("down", source, writer, self.down[-1]))
        finally:
            writer.transport.abort()
            target.transport.abort()

    async def _carry(
        self, way: str, source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: bytearray
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 16):
                await self._may_pass[way].wait()
                if way == "down":
                    data = self.forge(data)
                if way == "down" and self._cut_after is not None:
                    data = data[: self._cut_after]
                    self._cut_after -= len(data)
                kept += data
                target.write(data)
                await target.drain()
                if self._cut_after == 0:
                    self._cut_after = None
                    self.cut()
                    return
        target.close()

    # ---- what it has seen

    def sent(self) -> list[WireMessage]:
        """Every message of the engine, in order."""
        return [message for data in self.up for message in messages_of(bytes(data))]

    def heard(self) -> list[WireMessage]:
        """Every message of the exchange, in order, resent ones each time."""
        return [message for data in self.down for message in messages_of(bytes(data))]

    def heard_types(self) -> Counter[str]:
        """Messages of the exchange by type; resent ones as `8 again`."""
        return Counter(
            f"{message.msg_type} again" if message.is_resent else message.msg_type
            for message in self.heard()
        )

    async def wait_heard(self, msg_type: str, count: int, timeout_s: float = 20.0) -> None:
        """Return when so many messages of a type have come from the exchange."""
        await wait_for(
            lambda: sum(one.msg_type == msg_type for one in self.heard()) >= count,
            f"{count} messages {msg_type} came",
            timeout_s,
        )

    def problems(self) -> list[str]:
        """What must not be on this line, as sentences."""
        found = [
            f"the engine refused: {one.fields}" for one in self.sent() if one.msg_type in REFUSALS
        ]
        return found + resend_problems(self.heard())


def resend_problems(messages: list[WireMessage]) -> list[str]:
    """Numbers that were used twice without PossDupFlag(43), gaps, contents that have changed."""
    problems: list[str] = []
    first: dict[int, WireMessage] = {}
    next_seq = 1
    for message in messages:
        if message.msg_type == "A" and message.get(141) == "Y":
            first.clear()
            next_seq = 1
        if message.is_resent:
            original = first.get(message.seq)
            if message.msg_type == "4":
                if original is not None and original.msg_type not in ADMIN_TYPES:
                    problems.append(f"a gap fill hides {original.fields}")
            elif original is None:
                first[message.seq] = message  # it was sent into a connection that was lost
            elif original.content != message.content:
                problems.append(f"{message.fields} is not {original.fields}")
            next_seq = max(next_seq, message.seq + 1, int(message.get(36) or 0))
        elif message.seq < next_seq:
            problems.append(f"the number of {message.fields} was used before")
        else:
            first[message.seq] = message
            next_seq = message.seq + 1
    return problems
