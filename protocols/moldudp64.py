"""MoldUDP64 1.00: datagrams <-> packets. Pure.

A downstream packet carries the messages `sequence_number`, `sequence_number` + 1, ... of a session.
With no messages it is a heartbeat, with the count 0xFFFF the end of the session; both say which
number comes next. A request asks for `message_count` messages from `sequence_number` on; the answer
is an ordinary downstream packet. Numbers start at 1; an empty message consumes one too.

Decoding is strict, because datagrams come from anybody: whatever is not exactly one packet raises
MoldUDP64Error, and nothing else.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from protocols.binaryfile import BinaryFileError, frame, unframe

HEADER_LENGTH = 20
SESSION_LENGTH = 10
MAX_PAYLOAD = 1400
"""Bytes of a datagram that pass an Ethernet and most tunnels unfragmented."""
MAX_MESSAGES = 0xFFFE
END_OF_SESSION_COUNT = 0xFFFF
MAX_SEQUENCE_NUMBER = (1 << 64) - 1

_HEADER = struct.Struct(">10sQH")


class MoldUDP64Error(ValueError):
    """A datagram that is not a MoldUDP64 packet, or a packet that cannot be built."""


class DataPacket(NamedTuple):
    """Messages sequence_number .. sequence_number + len(messages) - 1; at least one."""

    session: str
    sequence_number: int
    messages: list[bytes]


class Heartbeat(NamedTuple):
    """Nothing new; `sequence_number` comes next."""

    session: str
    sequence_number: int


class EndOfSession(NamedTuple):
    """The session is over; `sequence_number` would have come next."""

    session: str
    sequence_number: int


class Request(NamedTuple):
    """Please send `message_count` messages from `sequence_number` on."""

    session: str
    sequence_number: int
    message_count: int


DownstreamPacket: TypeAlias = DataPacket | Heartbeat | EndOfSession


def session_field(session: str) -> bytes:
    """The ten bytes of a session name. Raises MoldUDP64Error unless it is 1 to 10 ASCII letters
    and digits."""
    if not (0 < len(session) <= SESSION_LENGTH and session.isascii() and session.isalnum()):
        raise MoldUDP64Error(
            f"session {session!r}: must be 1 to 10 ASCII letters and digits; example: EXCH000001"
        )
    return session.encode("ascii").ljust(SESSION_LENGTH)


def encode_data(
    session: bytes, first: int, messages: Sequence[bytes], max_payload: int = MAX_PAYLOAD
) -> list[bytes]:
    """Datagrams of at most `max_payload` bytes that carry `messages`, numbered from `first`.

    `session` comes from session_field. Raises MoldUDP64Error when one message alone is too long.
    """
    try:
        framed = frame(messages)
    except BinaryFileError as error:
        raise MoldUDP64Error(str(error)) from error
    room = max_payload - HEADER_LENGTH
    ends = list(accumulate([len(message) + 2 for message in messages]))
    datagrams: list[bytes] = []
    begin = full = 0  # messages that have a datagram, and their bytes
    while begin < len(messages):
        at_most = min(len(messages), begin + MAX_MESSAGES)
        end = bisect_right(ends, full + room, begin, at_most)
        if end == begin:
            raise MoldUDP64Error(
                f"message of {len(messages[begin])} bytes: a datagram of {max_payload} bytes has"
                f" room for {room - 2}"
            )
        header = _HEADER.pack(session, first + begin, end - begin)
        datagrams.append(header + framed[full : ends[end - 1]])
        begin, full = end, ends[end - 1]
    return datagrams


def message_count(datagram: bytes) -> int:
    """The count in the header of a packet that encode_data made."""
    return datagram[18] << 8 | datagram[19]


def encode_heartbeat(session: bytes, next_sequence_number: int) -> bytes:
    """A heartbeat. `session` comes from session_field."""
    return _HEADER.pack(session, next_sequence_number, 0)


def encode_end_of_session(session: bytes, next_sequence_number: int) -> bytes:
    """An end of session. `session` comes from session_field."""
    return _HEADER.pack(session, next_sequence_number, END_OF_SESSION_COUNT)


def encode_request(session: bytes, first: int, count: int) -> bytes:
    """A request for `count` messages, 1 to 65,535. `session` comes from session_field."""
    return _HEADER.pack(session, first, count)


def _decode_header(data: bytes) -> tuple[str, int, int]:
    """Session, sequence number, count."""
    if len(data) < HEADER_LENGTH:
        raise MoldUDP64Error(f"datagram of {len(data)} bytes: the header has {HEADER_LENGTH}")
    session, sequence_number, count = _HEADER.unpack_from(data)
    name = _session_name(session)
    if sequence_number == 0:
        raise MoldUDP64Error("sequence number 0: numbers start at 1")
    return name, sequence_number, count


@lru_cache(maxsize=64)
def _session_name(field: bytes) -> str:
    name = field.rstrip(b" ")
    if not name.isalnum():  # of bytes: ASCII letters and digits only
        raise MoldUDP64Error(f"session {field!r}: must be ASCII letters and digits")
    return name.decode("ascii")


def peek(data: bytes) -> tuple[bytes, int, int]:
    """Session field, sequence number and count as they stand in a header, at little cost and
    unchecked; (b"", 0, 0) when there is no whole header."""
    return _HEADER.unpack_from(data) if len(data) >= HEADER_LENGTH else (b"", 0, 0)


def decode_downstream(data: bytes) -> DownstreamPacket:
    """The packet in a datagram from a line or from a re-request server."""
    session, sequence_number, count = _decode_header(data)
    if count in (0, END_OF_SESSION_COUNT):
        if len(data) != HEADER_LENGTH:
            raise MoldUDP64Error(f"{len(data) - HEADER_LENGTH} bytes after a packet of no messages")
        return (EndOfSession if count else Heartbeat)(session, sequence_number)
    try:
        messages = unframe(data, HEADER_LENGTH)
    except BinaryFileError as error:
        raise MoldUDP64Error(f"packet {sequence_number}: {error}") from error
    if len(messages) != count:
        raise MoldUDP64Error(f"packet says {count} messages and has {len(messages)}")
    if sequence_number + count - 1 > MAX_SEQUENCE_NUMBER:
        raise MoldUDP64Error(f"packet {sequence_number}: numbers beyond 64 bits")
    return DataPacket(session, sequence_number, messages)


def decode_request(data: bytes) -> Request:
    """The request in a datagram from a client."""
    session, sequence_number, count = _decode_header(data)
    if len(data) != HEADER_LENGTH:
        raise MoldUDP64Error(f"request of {len(data)} bytes: must be {HEADER_LENGTH}")
    if count == 0:
        raise MoldUDP64Error("request for no messages")
    return Request(session, sequence_number, count)
