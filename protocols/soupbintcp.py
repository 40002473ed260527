"""SoupBinTCP 3.00: packets of a TCP session in both directions, and the login of 4.10. Pure.

    u16 length (of type and payload) | type | payload        big-endian

    client to server   L login request   U unsequenced data   R heartbeat   O logout    + debug
    server to client   A login accepted  J login rejected     S sequenced data
                       H heartbeat       Z end of session     U unsequenced data        + debug

Sequenced data carries no number: the receiver counts from the one in Login Accepted. Lengths and
types are strict. Numbers and names are taken with blanks on either side, because implementations
differ; session and number are sent with blanks on the left, user name and password with blanks on
the right. Source: SoupBinTCP 3.00; `U` from the server (4.00) and the heartbeat timeout of the
login request (4.10) are taken too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import Enum, StrEnum
from functools import cache
from itertools import chain
from typing import NamedTuple, TypeAlias

Packet: TypeAlias = tuple[bytes, bytes]
"""Type (one byte) and payload."""

LOGIN_REQUEST = b"L"
UNSEQUENCED_DATA = b"U"
CLIENT_HEARTBEAT = b"R"
LOGOUT_REQUEST = b"O"
LOGIN_ACCEPTED = b"A"
LOGIN_REJECTED = b"J"
SEQUENCED_DATA = b"S"
SERVER_HEARTBEAT = b"H"
END_OF_SESSION = b"Z"
DEBUG = b"+"

HEADER_LENGTH = 3
MAX_PACKET_BYTES = 2 + 0xFFFF
"""Bytes of the longest packet that the length can say, the length included."""
MAX_MESSAGE_LENGTH = 0xFFFE

NEXT_MESSAGE = 0
"""Requested sequence number: begin with the next message that is generated."""
FIRST_MESSAGE = 1
"""Requested sequence number: begin with the first message of the session."""
MAX_SEQUENCE_NUMBER = (1 << 64) - 1

_USERNAME_LENGTH = 6
_PASSWORD_LENGTH = 10
_SESSION_LENGTH = 10
_NUMBER_LENGTH = 20
_TIMEOUT_LENGTH = 5
_LOGIN_LENGTH = 46  # payload of 3.00
_LOGIN_WITH_TIMEOUT_LENGTH = 51  # payload of 4.10

_LENGTH = struct.Struct(">H")


class SoupBinTCPError(ValueError):
    """Bytes that are no SoupBinTCP packet, or values that do not fit into one.

    `packets` are those that a PacketReader completed before, in the same call.
    """

    def __init__(self, reason: str, packets: list[Packet] | None = None) -> None:
        super().__init__(reason)
        self.packets = packets or []


class Direction(Enum):
    """Who sends."""

    CLIENT_TO_SERVER = "client"
    SERVER_TO_CLIENT = "server"


class LoginRejectReason(StrEnum):
    """Why a login is refused."""

    NOT_AUTHORIZED = "A"
    SESSION_NOT_AVAILABLE = "S"


class LoginRequest(NamedTuple):
    """`session` "" is the current one. `sequence_number` 0 (or blank) begins with the next message,
    n with message n. `heartbeat_timeout_ms` is None in a login of 3.00, or when it is blank."""

    username: str
    password: str
    session: str
    sequence_number: int
    heartbeat_timeout_ms: int | None


class LoginAccepted(NamedTuple):
    """`sequence_number` is that of the next packet of sequenced data."""

    session: str
    sequence_number: int


# --- packets out --------------------------------------------------------------------------------


def _prefixes(packet_type: bytes) -> tuple[bytes, ...]:
    """Length and type before a message, by its length; nearly all messages are that short."""
    return tuple(_LENGTH.pack(1 + length) + packet_type for length in range(256))


_SEQUENCED_PREFIXES = _prefixes(SEQUENCED_DATA)
_UNSEQUENCED_PREFIXES = _prefixes(UNSEQUENCED_DATA)


def _packet(packet_type: bytes, payload: bytes) -> bytes:
    if len(payload) > MAX_MESSAGE_LENGTH:
        raise SoupBinTCPError(
            f"message of {len(payload)} bytes: at most {MAX_MESSAGE_LENGTH} are allowed"
        )
    return _LENGTH.pack(1 + len(payload)) + packet_type + payload


CLIENT_HEARTBEAT_PACKET = _packet(CLIENT_HEARTBEAT, b"")
LOGOUT_REQUEST_PACKET = _packet(LOGOUT_REQUEST, b"")
SERVER_HEARTBEAT_PACKET = _packet(SERVER_HEARTBEAT, b"")
END_OF_SESSION_PACKET = _packet(END_OF_SESSION, b"")


def encode_sequenced_data(message: bytes) -> bytes:
    """S. Raises SoupBinTCPError for a message beyond 65,534 bytes."""
    if len(message) < 256:
        return _SEQUENCED_PREFIXES[len(message)] + message
    return _packet(SEQUENCED_DATA, message)


def encode_sequenced(messages: Sequence[bytes]) -> bytes:
    """A packet of sequenced data per message, one after the other. O(bytes).

    Raises SoupBinTCPError for a message beyond 65,534 bytes.
    """
    try:
        prefixes = [*map(_SEQUENCED_PREFIXES.__getitem__, map(len, messages))]
    except IndexError:  # one of them is long
        return b"".join(map(encode_sequenced_data, messages))
    return b"".join(chain.from_iterable(zip(prefixes, messages, strict=True)))


def encode_unsequenced_data(message: bytes) -> bytes:
    """U. Raises SoupBinTCPError for a message beyond 65,534 bytes."""
    if len(message) < 256:
        return _UNSEQUENCED_PREFIXES[len(message)] + message
    return _packet(UNSEQUENCED_DATA, message)


def encode_debug(text: str) -> bytes:
    """+. Raises SoupBinTCPError unless `text` is ASCII and at most 65,534 characters."""
    if not text.isascii():
        raise SoupBinTCPError(f"debug text {text!r}: only ASCII is allowed")
    return _packet(DEBUG, text.encode("ascii"))


def encode_login_request(
    username: str,
    password: str,
    session: str = "",
    sequence_number: int = NEXT_MESSAGE,
    heartbeat_timeout_ms: int | None = None,
) -> bytes:
    """L: 49 bytes, or the 54 of 4.10 with a heartbeat timeout. Raises SoupBinTCPError for what does
    not fit."""
    payload = (
        _name("user name", username, _USERNAME_LENGTH)
        + _name("password", password, _PASSWORD_LENGTH)
        + _session_field(session)
        + _number("sequence number", sequence_number, _NUMBER_LENGTH, MAX_SEQUENCE_NUMBER)
    )
    if heartbeat_timeout_ms is not None:
        payload += _number("heartbeat timeout", heartbeat_timeout_ms, _TIMEOUT_LENGTH, 99_999)
    return _packet(LOGIN_REQUEST, payload)


def encode_login_accepted(session: str, sequence_number: int) -> bytes:
    """A. Raises SoupBinTCPError for what does not fit."""
    if not session:
        raise SoupBinTCPError("session '': must be 1 to 10 ASCII letters and digits")
    number = _number("sequence number", sequence_number, _NUMBER_LENGTH, MAX_SEQUENCE_NUMBER)
    return _packet(LOGIN_ACCEPTED, _session_field(session) + number)


def encode_login_rejected(reason: LoginRejectReason) -> bytes:
    """J."""
    return _packet(LOGIN_REJECTED, reason.encode("ascii"))


def _name(field: str, text: str, width: int) -> bytes:
    if len(text) > width or not text.isascii() or not text.isprintable():
        raise SoupBinTCPError(f"{field}: at most {width} printable ASCII characters are allowed")
    return text.encode("ascii").ljust(width)


def _session_field(session: str) -> bytes:
    if len(session) > _SESSION_LENGTH or not session.isascii() or not (session + "0").isalnum():
        raise SoupBinTCPError(
            f"session {session!r}: at most {_SESSION_LENGTH} ASCII letters and digits are allowed"
        )
    return session.encode("ascii").rjust(_SESSION_LENGTH)


def _number(field: str, value: int, width: int, largest: int) -> bytes:
    if not 0 <= value <= largest:
        raise SoupBinTCPError(f"{field} {value}: must be 0 to {largest}")
    return b"%*d" % (width, value)


# --- payloads in --------------------------------------------------------------------------------


def normalized_credential(text: str) -> str:
    """User name or password in the form in which two of them are compared: case does not count,
    nor do blanks at either end."""
    return text.strip(" ").upper()


def decode_login_request(payload: bytes) -> LoginRequest:
    """L, of 3.00 or 4.10. Raises SoupBinTCPError; the error never shows a password."""
    if len(payload) not in (_LOGIN_LENGTH, _LOGIN_WITH_TIMEOUT_LENGTH):
        raise SoupBinTCPError(
            f"login request of {len(payload)} bytes:"
            f" must be {_LOGIN_LENGTH} or {_LOGIN_WITH_TIMEOUT_LENGTH}"
        )
    return LoginRequest(
        _decode_name("user name", payload[:6]),
        _decode_name("password", payload[6:16]),
        _decode_session(payload[16:26]),
        _decode_number("sequence number", payload[26:46], MAX_SEQUENCE_NUMBER) or NEXT_MESSAGE,
        _decode_number("heartbeat timeout", payload[46:], 99_999),
    )


def decode_login_accepted(payload: bytes) -> LoginAccepted:
    """A. Raises SoupBinTCPError, also for a session or number that is blank."""
    if len(payload) != 30:
        raise SoupBinTCPError(f"login accepted of {len(payload)} bytes: must be 30")
    session = _decode_session(payload[:10])
    number = _decode_number("sequence number", payload[10:], MAX_SEQUENCE_NUMBER)
    if not session or number is None:
        raise SoupBinTCPError(f"login accepted {payload!r}: session and number must not be blank")
    return LoginAccepted(session, number)


def decode_login_rejected(payload: bytes) -> LoginRejectReason:
    """J. Raises SoupBinTCPError for a reason other than A and S."""
    for reason in LoginRejectReason:
        if payload == reason.encode("ascii"):
            return reason
    raise SoupBinTCPError(f"login rejected with reason {payload!r}: must be A or S")


def decode_debug(payload: bytes) -> str:
    """Text of a debug packet, which may be anything; what is not printable ASCII is escaped."""
    return "".join([chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in payload])


def _decode_name(field: str, raw: bytes) -> str:
    if not raw.isascii() or not (text := raw.decode("ascii")).isprintable():
        raise SoupBinTCPError(f"{field}: only printable ASCII is allowed")
    return text.strip(" ")


def _decode_session(raw: bytes) -> str:
    session = raw.strip(b" ")
    if session and not session.isalnum():  # of bytes: ASCII letters and digits only
        raise SoupBinTCPError(f"session {raw!r}: only ASCII letters and digits are allowed")
    return session.decode("ascii")


def _decode_number(field: str, raw: bytes, largest: int) -> int | None:
    """Digits with blanks on either side; None when there are only blanks."""
    digits = raw.strip(b" ")
    if not digits:
        return None
    if not digits.isdigit() or (value := int(digits)) > largest:  # of bytes: 0 to 9 only
        raise SoupBinTCPError(f"{field} {raw!r}: must be digits, 0 to {largest}")
    return value


# --- bytes in -----------------------------------------------------------------------------------

# What the length may be, by type; None is any.
_CLIENT_LENGTHS: dict[int, frozenset[int] | None] = {
    ord(LOGIN_REQUEST): frozenset({1 + _LOGIN_LENGTH, 1 + _LOGIN_WITH_TIMEOUT_LENGTH}),
    ord(UNSEQUENCED_DATA): None,
    ord(CLIENT_HEARTBEAT): frozenset({1}),
    ord(LOGOUT_REQUEST): frozenset({1}),
    ord(DEBUG): None,
}
_SERVER_LENGTHS: dict[int, frozenset[int] | None] = {
    ord(LOGIN_ACCEPTED): frozenset({31}),
    ord(LOGIN_REJECTED): frozenset({2}),
    ord(SEQUENCED_DATA): None,
    ord(UNSEQUENCED_DATA): None,
    ord(SERVER_HEARTBEAT): frozenset({1}),
    ord(END_OF_SESSION): frozenset({1}),
    ord(DEBUG): None,
}


@cache
def _short_packets(direction: Direction, longest: int) -> dict[bytes, tuple[bytes, int]]:
    """Type and bytes (header included) of a packet by its header, for all that are allowed and so
    short as nearly all packets are: one look takes the place of the checks of each part."""
    by_client = direction is Direction.CLIENT_TO_SERVER
    return {
        _LENGTH.pack(length) + bytes((code,)): (bytes((code,)), 2 + length)
        for code, lengths in (_CLIENT_LENGTHS if by_client else _SERVER_LENGTHS).items()
        for length in range(1, min(longest, 255) + 1)
        if lengths is None or length in lengths
    }


class PacketReader:
    """Takes the bytes that one side sends, in pieces, and gives back whole packets.

    `max_packet_bytes` bounds a packet, its length included, and with it what is kept: never more
    than one packet that is not complete. A packet is refused as soon as its header shows that it
    must be; nothing is read after that.
    """

    def __init__(self, direction: Direction, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        assert HEADER_LENGTH <= max_packet_bytes <= MAX_PACKET_BYTES, max_packet_bytes
        by_client = direction is Direction.CLIENT_TO_SERVER
        self._lengths = _CLIENT_LENGTHS if by_client else _SERVER_LENGTHS
        self._direction = direction
        self._longest = max_packet_bytes - 2
        self._short = _short_packets(direction, self._longest)
        self._buffer = bytearray()
        self._needed = 2  # bytes until there is something to look at
        self._error: str | None = None

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not complete: more than 0 at the end means it was cut."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Packet]:
        """Packets completed by `data`. O(bytes), however they are cut.

        Raises SoupBinTCPError at the first packet that is not allowed, with those before it in
        its `packets`, and from then on always.
        """
        if self._error is not None:
            raise SoupBinTCPError(self._error)
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        return self._split(data)

    def _split(self, data: bytes) -> list[Packet]:
        packets: list[Packet] = []
        short = self._short
        offset, end = 0, len(data)
        self._needed = 2
        while (start := offset + HEADER_LENGTH) <= end:
            known = short.get(data[offset:start])
            if known is None:
                if self._refusal(data[offset:start]) is not None:
                    break
                known = data[start - 1 : start], 2 + (data[offset] << 8 | data[offset + 1])
            packet_type, size = known
            after = offset + size
            if after > end:
                self._needed = size
                break
            packets.append((packet_type, data[start:after]))
            offset = after
        rest = data[offset:]
        self._error = self._refusal(rest)
        if self._error is not None:
            raise SoupBinTCPError(self._error, packets)
        self._buffer += rest
        return packets

    def _refusal(self, rest: bytes) -> str | None:
        """Why the packet that begins `rest` is not allowed; None while nothing speaks against
        it."""
        if len(rest) < 2:
            return None
        length = rest[0] << 8 | rest[1]
        if length == 0:
            return "packet of length 0: must be at least 1, the type"
        if length > self._longest:
            return f"packet of {length + 2} bytes: at most {self._longest + 2} are allowed"
        if len(rest) < HEADER_LENGTH:
            return None
        if rest[2] not in self._lengths:
            known = " ".join(map(chr, self._lengths))
            return f"packet type {rest[2:3]!r}: a {self._direction.value} sends {known}"
        lengths = self._lengths[rest[2]]
        if lengths is None or length in lengths:
            return None
        wanted = " or ".join(map(str, sorted(lengths)))
        return f"packet type {chr(rest[2])}: length {length}, must be {wanted}"
