"""The tape: ITCH messages as dictionaries and lines, live or from a capture file.

A capture is a BinaryFILE, which other ITCH tools read too: u16 length, message, and a length of
zero at the end. It has no message numbers; they are counted from the first message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from cluster.settings import Address
from marketdata import message_store
from marketdata.receiver import FeedReceiver
from marketdata.rerequest import ReRequestClient
from marketdata.settings import LineSettings
from oms.price import format_price
from protocols import itch50
from protocols.binaryfile import END, BinaryFileError, BinaryFileReader, frame

READ_BYTES = 1 << 20
MAX_WAITING = 100_000
"""Messages that may wait for whoever iterates; beyond it the lines are not read."""
ATTEMPTS = 8
"""Requests for the same messages before a live tape goes on without them."""

_PRICE_FIELDS = frozenset(
    {
        "price",
        "execution_price",
        "cross_price",
        "ipo_price",
        "reference_price",
        "upper_price",
        "lower_price",
        "far_price",
        "near_price",
        "current_reference_price",
        "minimum_allowable_price",
        "maximum_allowable_price",
        "near_execution_price",
        "lower_price_range_collar",
        "upper_price_range_collar",
    }
)
_PRICE_8_FIELDS = frozenset({"level_1", "level_2", "level_3"})


class Tape:
    """Describes messages, and remembers from Stock Directory which stock a locate number means."""

    def __init__(self) -> None:
        self._stocks: dict[int, str] = {}

    def describe(self, sequence: int, message: bytes) -> dict[str, Any]:
        """A message as values that JSON has: prices as decimal text, times as ns and as text.

        Raises ItchError when it is not an ITCH 5.0 message.
        """
        decoded = itch50.decode(message)
        kind = chr(message[0])
        fields = decoded._asdict()
        locate, timestamp = fields.pop("stock_locate"), fields.pop("timestamp")
        del fields["tracking_number"]
        if kind == "R":
            self._stocks[locate] = fields["stock"]
        described: dict[str, Any] = {
            "sequence": sequence,
            "type": kind,
            "name": type(decoded).__name__,
            "timestamp": timestamp,
            "time": format_time(timestamp),
            "stock_locate": locate,
        }
        if locate:
            described["stock"] = fields.get("stock") or self._stocks.get(locate)
        for name, value in fields.items():
            if name in _PRICE_FIELDS:
                described[name] = format_price(value)
            elif name in _PRICE_8_FIELDS:
                described[name] = f"{value // 10**8}.{value % 10**8:08d}"
            elif name != "stock":
                described[name] = value
        return described

    def line(self, sequence: int, message: bytes) -> str:
        """A message as one line of text. Raises ItchError."""
        return format_line(self.describe(sequence, message))


def describe(sequence: int, message: bytes) -> dict[str, Any]:
    """As Tape.describe, of one message alone: "stock" is None where the message does not say it."""
    return Tape().describe(sequence, message)


def line(sequence: int, message: bytes) -> str:
    """As Tape.line, of one message alone."""
    return format_line(describe(sequence, message))


def format_line(described: dict[str, Any]) -> str:
    """The line of text for what `describe` returned; blank fields are left out."""
    stock = described.get("stock") or (described["stock_locate"] or "-")
    rest = [
        f"{name}={value}"
        for name, value in described.items()
        if name not in _IN_HEAD and value not in ("", None)
    ]
    head = f"{described['sequence']} {described['time']} {described['type']} {described['name']}"
    return " ".join([head, str(stock), *rest])


_IN_HEAD = frozenset({"sequence", "type", "name", "timestamp", "time", "stock_locate", "stock"})


def format_time(timestamp: int) -> str:
    """ns since midnight as hh:mm:ss.nnnnnnnnn. A 48-bit field can say more than a day has."""
    seconds, ns = divmod(timestamp, 1_000_000_000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ns:09d}"


class CaptureWriter:
    """Writes messages to a BinaryFILE. A context manager; leaving it writes the end."""

    def __init__(self, path: Path) -> None:
        """Start `path` from scratch. Raises OSError."""
        self._file = path.open("wb")

    def write(self, messages: Sequence[bytes]) -> None:
        """Append messages. An empty one cannot be told from the end and raises BinaryFileError."""
        if not all(messages):
            raise BinaryFileError("an empty message cannot stand in a BinaryFILE: it is its end")
        self._file.write(frame(messages))

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Write the end. May be called twice."""
        if not self._file.closed:
            self._file.write(END)
            self._file.close()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def read_capture(path: Path, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each message in a BinaryFILE, or in a message store's folder or file.

    `first` is the number of the first message of a BinaryFILE. A file without an end, as one that
    is still being written, is read up to its last whole message; a message cut short raises
    BinaryFileError after all whole ones were given. Raises OSError when it cannot be read, and
    DayFileError for a damaged message store.
    """
    if path.is_dir() or message_store.is_message_file(path):
        yield from message_store.scan(path)
        return
    with path.open("rb") as file:
        reader = BinaryFileReader()
        sequence = first
        while data := file.read(READ_BYTES):
            for message in reader.receive_data(data):
                yield sequence, message
                sequence += 1
        if reader.pending:
            raise BinaryFileError(
                f"{path}: message {sequence} is cut short, {reader.pending} bytes are left"
            )


async def live(
    lines: LineSettings, *, rerequest: Address | None = None, start_at: int | None = None
) -> AsyncIterator[tuple[int, bytes]]:
    """Number and bytes of each message as it is published, in order, for ever.

    `start_at` None begins with the first message that is heard, 1 with the first of the day, which
    needs a re-request server. What that server does not answer is left out; the numbers show it.
    Raises OSError when a line cannot be joined.
    """
    waiting: deque[tuple[int, bytes]] = deque()
    arrived = asyncio.Event()

    def on_messages(first: int, messages: list[bytes]) -> None:
        waiting.extend(enumerate(messages, first))
        arrived.set()
        if len(waiting) > MAX_WAITING:
            receiver.pause()

    def on_answer(first: int, messages: list[bytes]) -> None:
        receiver.fill(first, messages)

    client = ReRequestClient(lines.session, on_answer)
    receiver = FeedReceiver(
        lines,
        on_messages=on_messages,
        request=None if rerequest is None else client.request,
        start_at=start_at,
        skip_after=ATTEMPTS,
    )
    try:
        if rerequest is not None:
            await client.start(rerequest)
        await receiver.start()
        while True:
            await arrived.wait()
            arrived.clear()
            while waiting:
                yield waiting.popleft()
            receiver.resume()
    finally:
        await receiver.close()
        client.close()
