"""The messages of the day by number, for re-requests: recent ones in memory, all in files.

The files are those of cluster/day_files.py. A node keeps them over a restart, cut back to the
message that its snapshot names; a market-data process asks the nodes and begins anew. The payload
of a block is a row of messages as in BinaryFILE.
"""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cluster.day_files import (
    BLOCK_BYTES,
    MAX_BYTES,
    SEGMENT_BYTES,
    DayFileError,
    DayFiles,
    FileKind,
    read_files,
)
from cluster.disk import Disk, RealDisk
from protocols import moldudp64
from protocols.binaryfile import frame, unframe

MESSAGE_FILES: Final = FileKind(b"EXCHMSG\n", "itch-", ".messages")
_REAL_DISK: Final = RealDisk()
_MESSAGES_PER_CHUNK: Final = 256
"""Who reads one message has as many split at most, however long the batch that it came in."""

log = logging.getLogger(__name__)


class MessageStore:
    """Messages 1, 2, 3, ... of one session, in a folder.

    Opening keeps the messages before `resume_at` as far as the files have them without a gap, and
    drops the rest, as well as those of other sessions; 1 begins anew. `memory_bytes` of recent
    messages stay in memory. When the files have more than `max_bytes`, the oldest one of
    `segment_bytes` goes.

    A disk that fails does not stop trading: the error is logged once, `failed` says it, and from
    then on only what is in memory, or was in the files by then, can be read.
    """

    def __init__(
        self,
        directory: Path,
        session: str,
        memory_bytes: int = 8 << 20,
        *,
        resume_at: int = 1,
        disk: Disk = _REAL_DISK,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Raises OSError when the files cannot be opened."""
        self.next_sequence_number = resume_at
        self.failed: str | None = None
        self._directory = directory
        self._files = DayFiles(
            MESSAGE_FILES,
            directory,
            label=moldudp64.session_field(session),
            resume_at=resume_at,
            disk=disk,
            segment_bytes=segment_bytes,
            max_bytes=max_bytes,
        )
        self._open = _Block(resume_at)
        """The one that is being gathered."""
        self._recent: deque[_Block] = deque(maxlen=max(1, memory_bytes // BLOCK_BYTES))
        self._last_read: tuple[int, list[bytes]] = (resume_at, [])

    def append(self, messages: Sequence[bytes]) -> None:
        """Take the next messages. Does not raise."""
        for at in range(0, len(messages), _MESSAGES_PER_CHUNK):
            chunk = messages[at : at + _MESSAGES_PER_CHUNK]
            self._open.append(chunk)
            self.next_sequence_number += len(chunk)
            if len(self._open.payload) >= BLOCK_BYTES:
                self.flush()

    def read(self, first: int, count: int, max_bytes: int) -> list[bytes]:
        """Messages from `first` on: at most `count`, at most `max_bytes` long in all, but at least
        one if it is there. Empty when `first` is not published yet, or can no longer be read."""
        found: list[bytes] = []
        end = min(first + count, self.next_sequence_number)
        size = 0
        while 0 < first < end:
            chunk_first, chunk = self._chunk_of(first)
            if not chunk:
                break
            for message in chunk[first - chunk_first : end - chunk_first]:
                size += len(message)
                if found and size > max_bytes:
                    return found
                found.append(message)
            first = chunk_first + len(chunk)
        return found

    def flush(self) -> None:
        """Hand everything to the operating system, without a sync. Does not raise."""
        block = self._open
        count = block.end - block.first
        if not count:
            return
        block.payload = bytes(block.payload)  # it grows no more
        if self.failed is None:
            try:
                self._files.append(block.first, count, block.payload)
            except OSError as error:
                self.failed = f"{self._directory}: {error.strerror}"
                log.error("message store fails, re-requests reach back less far: %s", self.failed)
        self._recent.append(block)
        self._open = _Block(self.next_sequence_number)

    def files(self) -> list[tuple[str, int]]:
        """Name and length of each file, oldest first, after a flush. Does not raise.

        A file that is not the last never changes, the last one only grows."""
        self.flush()
        return self._files.files()

    def close(self) -> None:
        """Write what is still in memory only, and close the files."""
        self.flush()
        self._files.close()

    def _chunk_of(self, number: int) -> tuple[int, list[bytes]]:
        """Messages among which is `number`, which was published, and the number of the first of
        them; nothing when it can no longer be read."""
        if number >= self._open.first:
            return self._open.chunk_of(number)
        if self._recent and number >= self._recent[0].first:
            block = next(block for block in reversed(self._recent) if block.first <= number)
            return block.chunk_of(number)
        first, messages = self._last_read
        if not first <= number < first + len(messages):
            self._last_read = self._read_block(number)
        return self._last_read

    def _read_block(self, number: int) -> tuple[int, list[bytes]]:
        """A block from a file; empty, with a line in the log, when that is not possible."""
        if not self._files.first_number <= number < self._files.next_number:
            return number, []
        try:
            block = self._files.read(number)
        except (OSError, DayFileError) as error:
            log.error("message %d cannot be read: %s", number, error)
            return number, []
        return block.first, unframe(block.payload)[: block.end - block.first]


class _Block:
    """Messages side by side as in the files, in chunks of those that came together.

    An object for each would be twice the memory, of which nothing is in the processor's caches any
    more when it makes room for a new one."""

    __slots__ = ("_firsts", "_offsets", "end", "first", "payload")

    def __init__(self, first: int) -> None:
        self.first = self.end = first
        self.payload: bytes | bytearray = bytearray()
        self._firsts = array("Q")
        self._offsets = array("Q")
        """Of each chunk: the number of its first message, and where that begins."""

    def append(self, messages: Sequence[bytes]) -> None:
        self._firsts.append(self.end)
        self._offsets.append(len(self.payload))
        self.payload += frame(messages)
        self.end += len(messages)

    def chunk_of(self, number: int) -> tuple[int, list[bytes]]:
        """The chunk with message `number`, and the number of the first of its messages."""
        at = bisect_right(self._firsts, number) - 1
        end = self._offsets[at + 1] if at + 1 < len(self._offsets) else len(self.payload)
        return self._firsts[at], unframe(bytes(self.payload[self._offsets[at] : end]))


def is_message_file(path: Path) -> bool:
    """Whether a file begins as those of a MessageStore do. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(MESSAGE_FILES.magic)) == MESSAGE_FILES.magic


def scan(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of every message in the files of a MessageStore: all those in the folder
    `path`, or only the file `path`.

    Raises DayFileError when one is damaged, cut short, missing or of another version, OSError when
    one cannot be read.
    """
    paths = [path]
    if path.is_dir():
        paths = [found for found in path.iterdir() if MESSAGE_FILES.first(found.name) is not None]
        if not paths:
            raise DayFileError(f"{path}: no message store has a file in this folder")
    for block in read_files(MESSAGE_FILES, _REAL_DISK, paths):
        yield from enumerate(unframe(block.payload)[: block.end - block.first], block.first)
