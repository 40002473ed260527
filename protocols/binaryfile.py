"""BinaryFILE, the framing of ITCH in files, and of the blocks inside a MoldUDP64 packet. Pure.

A file is `u16 length | message`, big-endian, repeated; a length of zero ends it. The same framing
without the end carries messages in the blocks of our own message store.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

MAX_BLOCK_LENGTH = 0xFFFF
END = b"\x00\x00"
"""What stands after the last message of a complete file."""

_LENGTH = struct.Struct(">H")
# Nearly all messages are shorter than 64 bytes; their length prefixes are made once.
_SHORT_PREFIXES = [_LENGTH.pack(length) for length in range(64)]


class BinaryFileError(ValueError):
    """Bytes that are not whole BinaryFILE blocks."""


def frame(messages: Sequence[bytes]) -> bytes:
    """Messages as blocks, one after the other, without an end. Raises BinaryFileError for a message
    beyond 65,535 bytes."""
    parts = [b""] * (2 * len(messages))
    parts[1::2] = messages
    try:
        parts[::2] = [_SHORT_PREFIXES[len(message)] for message in messages]
    except IndexError:
        parts[::2] = [_length_prefix(len(message)) for message in messages]
    return b"".join(parts)


def _length_prefix(length: int) -> bytes:
    if length > MAX_BLOCK_LENGTH:
        raise BinaryFileError(f"message of {length} bytes: at most {MAX_BLOCK_LENGTH} are allowed")
    return _LENGTH.pack(length)


def unframe(data: bytes, offset: int = 0) -> list[bytes]:
    """Messages of the blocks that fill `data` from `offset`. Raises BinaryFileError when the last
    one is cut short. A length of zero is an empty message here."""
    messages: list[bytes] = []
    start, end = offset, len(data)
    try:
        while offset < end:
            start = offset + 2
            offset = start + (data[offset] << 8 | data[start - 1])
            messages.append(data[start:offset])
    except IndexError:
        raise BinaryFileError(f"length cut short at byte {offset} of {end}") from None
    if offset > end:  # only the last one can reach beyond it
        raise BinaryFileError(f"message cut short: block at byte {start - 2} of {end}")
    return messages


class BinaryFileReader:
    """Takes a file in pieces and gives back whole messages.

    `at_end` becomes True with the zero length; bytes after it are an error. `pending` is the number
    of bytes of a message that is not complete: more than 0 at the end means the file was cut.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self.at_end = False

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Messages completed by `data`. Raises BinaryFileError for bytes after the end."""
        buffer = self._buffer + data
        messages: list[bytes] = []
        offset, end = 0, len(buffer)
        while offset + 2 <= end and not self.at_end:
            length = buffer[offset] << 8 | buffer[offset + 1]
            if length == 0:
                self.at_end = True
                offset += 2
            elif offset + 2 + length > end:
                break
            else:
                messages.append(buffer[offset + 2 : offset + 2 + length])
                offset += 2 + length
        self._buffer = buffer[offset:]
        if self.at_end and self._buffer:
            raise BinaryFileError(f"{len(self._buffer)} bytes after the end of the file")
        return messages
