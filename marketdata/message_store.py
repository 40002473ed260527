"""The messages of the day by number, for re-requests: recent ones in memory, all in a file.

The file is a cache of what follows from the log, not a record of its own: a node replays its
journal at start and a market-data process asks the nodes, so the store always begins empty, nothing
is ever recovered from the file and it needs no fsync. Its format (protocols/message_file.py) has a
header and checksums all the same, because `scan` reads it after the process has ended.
"""

from __future__ import annotations

import logging
import os
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from protocols import message_file, moldudp64
from protocols.message_file import MessageFileError

BLOCK_BYTES = 64 << 10
"""A block goes to the file when it has this many bytes; the index has one entry per block."""

_NOT_IN_FILE = (1 << 64) - 1

log = logging.getLogger(__name__)


class MessageStore:
    """Messages 1, 2, 3, ... of one session.

    A disk that fails does not stop trading: the error is logged once, `failed` says it, and from
    then on only what is in memory can be read.
    """

    def __init__(self, path: Path, session: str, memory_bytes: int = 8 << 20) -> None:
        """Start `path` from scratch. Raises OSError when it cannot be made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.next_sequence_number = 1
        self.failed: str | None = None
        self._file = path.open("w+b", buffering=0)
        self._file_end = 0
        self._path = path
        self._open: list[bytes] = []
        self._open_first = 1
        self._open_bytes = 0
        # Closed blocks: number of the first message, and place in the file.
        self._firsts = array("Q")
        self._offsets = array("Q")
        self._recent: deque[list[bytes]] = deque(maxlen=max(1, memory_bytes // BLOCK_BYTES))
        self._last_read: tuple[int, list[bytes]] = (-1, [])
        self._write(message_file.encode_header(moldudp64.session_field(session)))

    def append(self, messages: Sequence[bytes]) -> None:
        """Take the next messages. Does not raise."""
        self._open += messages
        self.next_sequence_number += len(messages)
        self._open_bytes += sum(map(len, messages))
        if self._open_bytes >= BLOCK_BYTES:
            self._close_block()

    def read(self, first: int, count: int, max_bytes: int) -> list[bytes]:
        """Messages from `first` on: at most `count`, at most `max_bytes` long in all, but at least
        one if it is there. Empty when `first` is not published yet, or can no longer be read."""
        found: list[bytes] = []
        end = min(first + count, self.next_sequence_number)
        size = 0
        while 0 < first < end:
            block_first, block = self._block_of(first)
            if not block:
                break
            for message in block[first - block_first : end - block_first]:
                size += len(message)
                if found and size > max_bytes:
                    return found
                found.append(message)
            first = block_first + len(block)
        return found

    def close(self) -> None:
        """Write what is still in memory only, and close the file."""
        if self._open:
            self._close_block()
        self._file.close()

    def _close_block(self) -> None:
        self._firsts.append(self._open_first)
        offset = self._file_end
        written = self._write(message_file.encode_block(self._open_first, self._open))
        self._offsets.append(offset if written else _NOT_IN_FILE)
        self._recent.append(self._open)
        self._open, self._open_bytes = [], 0
        self._open_first = self.next_sequence_number

    def _write(self, data: bytes) -> bool:
        if self.failed is not None:
            return False
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.failed = f"{self._path}: {error.strerror}"
            log.error("message store fails, re-requests reach back less far: %s", self.failed)
            return False
        self._file_end += len(data)
        return True

    def _block_of(self, number: int) -> tuple[int, list[bytes]]:
        """The block with message `number`, which exists, and the number of its first message."""
        if number >= self._open_first:
            return self._open_first, self._open
        index = bisect_right(self._firsts, number) - 1
        age = len(self._firsts) - index
        if age <= len(self._recent):
            return self._firsts[index], self._recent[-age]
        if self._last_read[0] != index:
            self._last_read = (index, self._read_block(index))
        return self._firsts[index], self._last_read[1]

    def _read_block(self, index: int) -> list[bytes]:
        """A block from the file; empty, with a line in the log, when that is not possible."""
        offset = self._offsets[index]
        if offset == _NOT_IN_FILE:
            return []
        try:
            return _read_block_at(self._file.fileno(), offset)
        except (OSError, MessageFileError) as error:
            log.error("%s: block %d cannot be read: %s", self._path, index, error)
            return []


def _read_block_at(descriptor: int, offset: int) -> list[bytes]:
    size = message_file.BLOCK_HEADER_LENGTH
    header = message_file.decode_block_header(os.pread(descriptor, size, offset))
    return message_file.decode_block_body(
        header, os.pread(descriptor, header.length, offset + size)
    )


def scan(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every message in a file that a MessageStore wrote.

    Raises MessageFileError when it is damaged, cut short, has a hole or is of a newer version.
    """
    expected = 1
    with path.open("rb") as file:
        message_file.decode_header(file.read(message_file.HEADER_LENGTH))
        while start := file.read(message_file.BLOCK_HEADER_LENGTH):
            header = message_file.decode_block_header(start)
            if header.first != expected:
                raise MessageFileError(f"{path}: message {expected} is not there")
            for message in message_file.decode_block_body(header, file.read(header.length)):
                yield expected, message
                expected += 1
