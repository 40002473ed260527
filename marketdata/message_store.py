"""The messages of the day by number, for re-requests: recent ones in memory, all in files.

The files are those of cluster/day_files.py. A node keeps them over a restart, cut back to the
message that its snapshot names; a market-data process asks the nodes and begins anew. The payload
of a block is a row of messages as in BinaryFILE.
"""

from __future__ import annotations

import logging
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
        # The block that is being gathered, and closed ones: number of the first message, messages.
        self._open: list[bytes] = []
        self._open_first = resume_at
        self._open_bytes = 0
        self._recent: deque[tuple[int, list[bytes]]] = deque(
            maxlen=max(1, memory_bytes // BLOCK_BYTES)
        )
        self._last_read: tuple[int, list[bytes]] = (resume_at, [])

    def append(self, messages: Sequence[bytes]) -> None:
        """Take the next messages. Does not raise."""
        self._open += messages
        self.next_sequence_number += len(messages)
        self._open_bytes += sum(map(len, messages))
        if self._open_bytes >= BLOCK_BYTES:
            self.flush()

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

    def flush(self) -> None:
        """Hand everything to the operating system, without a sync. Does not raise."""
        if not self._open:
            return
        if self.failed is None:
            try:
                self._files.append(self._open_first, len(self._open), frame(self._open))
            except OSError as error:
                self.failed = f"{self._directory}: {error.strerror}"
                log.error("message store fails, re-requests reach back less far: %s", self.failed)
        self._recent.append((self._open_first, self._open))
        self._open, self._open_bytes = [], 0
        self._open_first = self.next_sequence_number

    def files(self) -> list[tuple[str, int]]:
        """Name and length of each file, oldest first, after a flush. Does not raise.

        A file that is not the last never changes, the last one only grows."""
        self.flush()
        return self._files.files()

    def close(self) -> None:
        """Write what is still in memory only, and close the files."""
        self.flush()
        self._files.close()

    def _block_of(self, number: int) -> tuple[int, list[bytes]]:
        """The block with message `number`, which was published, and the number of its first
        message; nothing when it can no longer be read."""
        if number >= self._open_first:
            return self._open_first, self._open
        if self._recent and number >= self._recent[0][0]:
            return next(block for block in reversed(self._recent) if block[0] <= number)
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
