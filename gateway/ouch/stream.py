"""The outbound messages of one session, numbered from 1, in a file that ends with the process.

Nothing here need survive: a gateway makes it anew from the cluster's events whenever it starts.
The file has no name, so no crash leaves it behind, and no other program can change it.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from protocols.soupbintcp import HEADER_LENGTH, encode_sequenced

PIECE_BYTES = 256 << 10
"""About how much `read` returns at once."""


class MessageStream:
    """Appended by the events, read by whoever is behind. Memory: 8 bytes per message."""

    def __init__(self, directory: Path) -> None:
        """Raises OSError when no file can be made there."""
        self._file = tempfile.TemporaryFile(  # noqa: SIM115  it lives as long as this does
            dir=directory, prefix="ouch-", buffering=0
        )
        self._ends = array("Q", [0])
        """Bytes of the first n messages, without the headers of their packets."""

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self._ends) - 1

    def append(self, messages: Sequence[bytes]) -> bytes:
        """Number some more; returns them as SoupBinTCP packets. Raises OSError for a full disk."""
        packets = encode_sequenced(messages)
        ends = array("Q", accumulate(map(len, messages), initial=self._ends[-1]))[1:]
        start = self._offset(self.count)
        written = 0
        while written < len(packets):
            written += os.pwrite(self._file.fileno(), packets[written:], start + written)
        self._ends.extend(ends)
        assert self._offset(self.count) == start + len(packets), "a packet is header and message"
        return packets

    def read(self, first: int) -> tuple[bytes, int]:
        """Packets from message `first` (1 .. count) on, about PIECE_BYTES of them and at least one;
        and the number of the message after them."""
        start = self._offset(first - 1)
        low, high = first, self.count
        while low < high:  # the last message that ends within the piece
            middle = (low + high + 1) // 2
            if self._offset(middle) - start <= PIECE_BYTES:
                low = middle
            else:
                high = middle - 1
        size = self._offset(low) - start
        piece = os.pread(self._file.fileno(), size, start)
        assert len(piece) == size, "a file without a name is as long as it was written"
        return piece, low + 1

    def _offset(self, count: int) -> int:
        """Bytes of the first `count` packets."""
        return self._ends[count] + HEADER_LENGTH * count

    def close(self) -> None:
        """Give the space back."""
        self._file.close()
