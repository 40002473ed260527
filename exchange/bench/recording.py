"""What a session received, byte for byte, and when each piece of it came: to be read afterwards."""

from __future__ import annotations

import tempfile
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_BUFFER_BYTES: Final = 1 << 20


class Recording:
    """A file without a name. Memory: 12 bytes for each read of the socket."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._file = tempfile.TemporaryFile(  # noqa: SIM115  it lives as long as this does
            dir=folder, buffering=_BUFFER_BYTES
        )
        self._sizes = array("I")
        self._times_ns = array("q")

    def add(self, data: bytes) -> None:
        """Keep what has come just now. Raises OSError for a full disk."""
        self._times_ns.append(time.perf_counter_ns())
        self._sizes.append(len(data))
        self._file.write(data)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(time.perf_counter_ns, data) of each piece."""
        self._file.seek(0)
        for time_ns, size in zip(self._times_ns, self._sizes, strict=True):
            yield time_ns, self._file.read(size)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()
