"""The messages of the day by number, for re-requests: recent ones in memory, all in files.

The files are those of cluster/day_files.py. A node keeps them over a restart, cut back to the
message that its snapshot names; a market-data process asks the nodes and begins anew. The payload
of a block is a row of messages as in BinaryFILE.
"""

from __future__ import annotations

import logging
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
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
        self._last_read = _Block(resume_at)

    def append(self, messages: Sequence[bytes]) -> None:
        """Take the next messages. Does not raise."""
        self._open.append(messages)
        self.next_sequence_number += len(messages)
        if len(self._open.payload) >= BLOCK_BYTES:
            self.flush()

    def read(self, first: int, count: int, max_bytes: int) -> list[bytes]:
        """Messages from `first` on: at most `count`, at most `max_bytes` long in all, but at least
        one if it is there. Empty when `first` is not published yet, or can no longer be read."""
        found: list[bytes] = []
        end = min(first + count, self.next_sequence_number)
        size = 0
        while 0 < first < end:
            block = self._block_of(first)
            if first >= block.end:
                break
            for number in range(first, min(end, block.end)):
                message = block.message(number)
                size += len(message)
                if found and size > max_bytes:
                    return found
                found.append(message)
            first = block.end
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

    def _block_of(self, number: int) -> _Block:
        """The block with message `number`, which was published; an empty one when it can no longer
        be read."""
        if number >= self._open.first:
            return self._open
        if self._recent and number >= self._recent[0].first:
            return next(block for block in reversed(self._recent) if block.first <= number)
        if not self._last_read.first <= number < self._last_read.end:
            self._last_read = self._read_block(number)
        return self._last_read

    def _read_block(self, number: int) -> _Block:
        """A block from a file; empty, with a line in the log, when that is not possible."""
        block = _Block(number)
        if not self._files.first_number <= number < self._files.next_number:
            return block
        try:
            found = self._files.read(number)
        except (OSError, DayFileError) as error:
            log.error("message %d cannot be read: %s", number, error)
            return block
        block = _Block(found.first)
        block.append(unframe(found.payload)[: found.end - found.first])
        return block


class _Block:
    """Messages side by side, as in the files: far less memory than an object for each, and what
    has been published for a while is not worth a place in the processor's caches."""

    __slots__ = ("_lengths", "first", "payload")

    def __init__(self, first: int) -> None:
        self.first = first
        self.payload: bytes | bytearray = bytearray()
        self._lengths = array("I", [0])
        """Of all messages before the first, the second, ... and of all."""

    @property
    def end(self) -> int:
        """The number after that of the last message."""
        return self.first + len(self._lengths) - 1

    def append(self, messages: Sequence[bytes]) -> None:
        self.payload += frame(messages)
        self._lengths.extend(accumulate(map(len, messages), initial=self._lengths.pop()))

    def message(self, number: int) -> bytes:
        at = number - self.first
        prefixes = 2 * (at + 1)  # of this message and of those before it
        return bytes(self.payload[self._lengths[at] + prefixes : self._lengths[at + 1] + prefixes])


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
