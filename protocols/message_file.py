"""The file that a feed's messages are kept in: header, then blocks of numbered messages. Pure.

    header   8 magic "ITCHMSGS" | u16 version | 10 session | u32 crc32 of the 20 bytes before
    block    u64 number of the first message | u32 count | u32 bytes | u32 crc32 | messages
             messages as in BinaryFILE; the crc covers the 16 bytes before it and the messages

All integers big-endian. Our own format, version 1; a reader refuses a newer version.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from protocols.binaryfile import BinaryFileError, frame, unframe

MAGIC = b"ITCHMSGS"
VERSION = 1
HEADER_LENGTH = 24
BLOCK_HEADER_LENGTH = 20
MAX_BLOCK_BYTES = 16 << 20
"""A block header that says more is damaged."""

_HEADER = struct.Struct(">8sH10s")
_BLOCK = struct.Struct(">QII")
_CRC = struct.Struct(">I")


class MessageFileError(ValueError):
    """Bytes that are not a message file, or are damaged, or of a newer version."""


class BlockHeader(NamedTuple):
    """`message_count` messages from `first` on, in `length` bytes that follow."""

    first: int
    message_count: int
    length: int
    crc: int
    crc_of_header: int


def encode_header(session: bytes) -> bytes:
    """The first bytes of a file. `session` is moldudp64.session_field."""
    start = _HEADER.pack(MAGIC, VERSION, session)
    return start + _CRC.pack(zlib.crc32(start))


def decode_header(data: bytes) -> str:
    """The session of a file from its first HEADER_LENGTH bytes. Raises MessageFileError."""
    if len(data) < HEADER_LENGTH or data[: len(MAGIC)] != MAGIC:
        raise MessageFileError(f"starts with {data[:8]!r}: a message file starts with {MAGIC!r}")
    _, version, session = _HEADER.unpack_from(data)
    if version > VERSION:
        raise MessageFileError(f"version {version}: this program reads up to {VERSION}")
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
        raise MessageFileError("the checksum of the header is wrong: the file is damaged")
    name: bytes = session.rstrip(b" ")
    return name.decode("latin-1")


def encode_block(first: int, messages: Sequence[bytes]) -> bytes:
    """A block of messages numbered from `first`."""
    body = frame(messages)
    start = _BLOCK.pack(first, len(messages), len(body))
    return start + _CRC.pack(zlib.crc32(body, zlib.crc32(start))) + body


def decode_block_header(data: bytes) -> BlockHeader:
    """What stands before a block's messages. Raises MessageFileError."""
    if len(data) < BLOCK_HEADER_LENGTH:
        raise MessageFileError(f"block header cut short: {len(data)} of {BLOCK_HEADER_LENGTH}")
    first, count, length = _BLOCK.unpack_from(data)
    if length > MAX_BLOCK_BYTES:
        raise MessageFileError(f"block of {length} bytes: at most {MAX_BLOCK_BYTES} are allowed")
    crc = _CRC.unpack_from(data, _BLOCK.size)[0]
    return BlockHeader(first, count, length, crc, zlib.crc32(data[: _BLOCK.size]))


def decode_block_body(header: BlockHeader, body: bytes) -> list[bytes]:
    """The messages of a block. Raises MessageFileError when they are damaged or cut short."""
    if len(body) != header.length:
        raise MessageFileError(
            f"block of message {header.first}: {len(body)} of {header.length} bytes"
        )
    if zlib.crc32(body, header.crc_of_header) != header.crc:
        raise MessageFileError(f"block of message {header.first}: the checksum is wrong")
    try:
        messages = unframe(body)
    except BinaryFileError as error:
        raise MessageFileError(f"block of message {header.first}: {error}") from error
    if len(messages) != header.message_count:
        raise MessageFileError(
            f"block of message {header.first}: {len(messages)} messages, not {header.message_count}"
        )
    return messages
