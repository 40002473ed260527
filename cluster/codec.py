"""Our own wire and log formats, all msgpack, all in this file.

Three of them:

* frames on a TCP connection (between nodes, and between a client and a node): a big-endian u32
  length, then one msgpack array whose first element is a FrameKind or a raft message code;
* the payload of a log entry: one batch of client frames with one time stamp;
* commands and events, which are tuples and travel as msgpack arrays.

Everything read here may be hostile: a decoder either returns values of the promised types or
raises CodecError, whose text says what was wrong. Nothing is ever unpickled.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from oms.commands import Command
from oms.version import RULES_VERSION

PROTOCOL_VERSION: Final = 1
BATCH_VERSION: Final = 2
MAX_FRAME_BYTES: Final = 64 << 20
MAX_CLIENT_FRAME_BYTES: Final = 1 << 20
MAX_NAME_LENGTH: Final = 64
TOOL_PREFIX: Final = "admin-"
"""Names of clients that ask once and are gone begin with this."""
MARK_STATE: Final = 0
"""Command kind of the cluster's own command (MARK_STATE, mark_id): every node notes its state hash
at this place of the log."""

_LENGTH = struct.Struct(">I")


class CodecError(Exception):
    """Bytes from outside that are not what the format says."""


class FrameKind(IntEnum):
    """First element of a frame between a client and a node."""

    HELLO = 1
    SUBMIT = 2
    QUERY = 3
    WELCOME = 11
    NOT_LEADER = 12
    EVENTS = 13
    ANSWER = 14
    REFUSED = 15
    UNKNOWN = 16


def pack(value: Any) -> bytes:
    """msgpack bytes of plain values; tuples and named tuples become arrays."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(data: bytes | memoryview) -> Any:
    """Plain values of msgpack bytes; arrays become tuples. Raises CodecError."""
    try:
        return msgpack.unpackb(data, use_list=False, raw=False, strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise CodecError(f"not msgpack: {error}") from error


def told(value: Any) -> str:
    """A value in a sentence: arrays may stand in one another so deep that repr raises."""
    return repr(value) if isinstance(value, int | str | bytes) else f"a {type(value).__name__}"


def frame(value: Any) -> bytes:
    """One frame, length included."""
    body: bytes = msgpack.packb(value, use_bin_type=True)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames. Sans-I/O; holds at most one frame of the allowed size."""

    __slots__ = ("_buffer", "_max_bytes", "_wanted")

    def __init__(self, max_bytes: int) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes
        self._wanted = 0

    def allow(self, max_bytes: int) -> None:
        """Raise the limit, once the other side is known."""
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bodies of the frames that `data` completes. Raises CodecError on a length of 0
        or beyond the allowed size; the connection is of no use after that."""
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return
            source = bytes(self._buffer)
        else:
            source = data
        at, end = 0, len(source)
        while end - at >= 4:
            (length,) = _LENGTH.unpack_from(source, at)
            if not 0 < length <= self._max_bytes:
                raise CodecError(f"a frame of {length} bytes; 1 to {self._max_bytes} are allowed")
            if end - at - 4 < length:
                self._wanted = 4 + length
                break
            yield source[at + 4 : at + 4 + length]
            at += 4 + length
            self._wanted = 0
        if at == end:
            self._buffer.clear()
        elif at or source is data:
            self._buffer = bytearray(source[at:])


# --- commands -------------------------------------------------------------------------------------


def pack_commands(commands: list[Command]) -> bytes:
    """Commands as they travel from a client into the log."""
    return pack(commands)


def unpack_commands(blob: bytes) -> tuple[Command, ...]:
    """Commands out of the log: they were checked on their way in."""
    commands: tuple[Command, ...] = msgpack.unpackb(blob, use_list=False, raw=False)
    return commands


# --- batches: the payload of a log entry ----------------------------------------------------------


class ClientFrame(NamedTuple):
    """Commands of one client, numbered from `first_number`. An `incarnation` is a random number
    that a client process draws at its start. With `first_number` 0 the frame opens the incarnation,
    and `commands` is its first number, packed. client_id "" is the leader itself, whose commands
    have no numbers."""

    client_id: str
    incarnation: int
    first_number: int
    commands: bytes


_CLIENT_FRAME_TYPES: Final = (str, int, int, bytes)


def opening_frame(client_id: str, incarnation: int, first_number: int) -> ClientFrame:
    """The frame that makes an incarnation the current one of its client."""
    return ClientFrame(client_id, incarnation, 0, pack(first_number))


def opening_number(frame_: ClientFrame) -> int:
    """The number that the first command of an opened incarnation will have."""
    number: int = unpack(frame_.commands)
    return number


class Batch(NamedTuple):
    """What one log entry holds. `time_ns` is the leader's clock when it made the batch."""

    time_ns: int
    frames: tuple[ClientFrame, ...]


def encode_batch(time_ns: int, frames: list[ClientFrame]) -> bytes:
    """Payload of a log entry: (format version, rules version, time, frames)."""
    return pack((BATCH_VERSION, RULES_VERSION, time_ns, frames))


def decode_batch(payload: bytes) -> Batch:
    """Batch of a log entry. Raises CodecError, also on a format or on rules that are not this
    program's: a node must stop rather than skip an entry, or apply it in its own way."""
    value = unpack(payload)
    if type(value) is not tuple or not value:
        raise CodecError("a log entry must be an array that begins with its version")
    version, *fields = value
    if version != BATCH_VERSION:
        raise _of_another_program("format", version, BATCH_VERSION)
    if tuple(map(type, fields)) != (int, int, tuple):
        raise CodecError("a log entry must be (version, rules, time, frames)")
    rules, time_ns, frames = fields
    if rules != RULES_VERSION:
        raise _of_another_program("rules", rules, RULES_VERSION)
    for fields in frames:
        if type(fields) is not tuple or tuple(map(type, fields)) != _CLIENT_FRAME_TYPES:
            raise CodecError("a frame in a log entry must be (client, incarnation, number, bytes)")
    return Batch(time_ns, tuple(ClientFrame._make(fields) for fields in frames))


def _of_another_program(what: str, found: Any, known: int) -> CodecError:
    advice = "update this node"
    if type(found) is int and found < known:
        advice = "apply it with the program that wrote it, up to a snapshot (RUNBOOKS, Upgrade)"
    return CodecError(f"log entry with {what} {told(found)}; this program has {known}: {advice}")


def batch_payload(command: bytes) -> bytes | None:
    """Batch in a command of the journal; None for the empty entry that a leader begins its term
    with. pysyncobj writes the kind of a command as its first byte, 0 for what was proposed."""
    return command[1:] if command[:1] == b"\0" else None


# --- client frames --------------------------------------------------------------------------------


class Hello(NamedTuple):
    """A client introduces itself. `opens_at` asks the leader to make this incarnation the current
    one, its commands numbered from there; 0 when it has been made so already. `owners` None means
    all events, () none; `from_event_seq` 0 means from now on."""

    client_id: str
    incarnation: int
    opens_at: int
    owners: tuple[str, ...] | None
    from_event_seq: int


class Submit(NamedTuple):
    """Commands numbered from `first_number`."""

    first_number: int
    commands: bytes


class Query(NamedTuple):
    """A read of a sink ("itch") or of the node itself ("node")."""

    query_id: int
    sink: str
    request: Any


def decode_client_frame(body: bytes) -> Hello | Submit | Query:
    """A frame that a node got from a client. Raises CodecError."""
    value = unpack(body)
    if type(value) is not tuple or not value:
        raise CodecError("a frame must be a non-empty array")
    kind, *fields = value
    types = tuple(map(type, fields))
    if kind == FrameKind.SUBMIT and types == (int, bytes):
        if fields[0] < 1:
            raise CodecError(f"commands are numbered from 1, not {fields[0]}")
        return Submit(*fields)
    if kind == FrameKind.QUERY and types[:2] == (int, str) and len(fields) == 3:
        return Query(*fields)
    if kind == FrameKind.HELLO and types[:4] == (int, str, int, int) and len(fields) == 6:
        version, client_id, incarnation, opens_at, owners, from_event_seq = fields
        if version != PROTOCOL_VERSION:
            raise CodecError(f"protocol version {version}; this node speaks {PROTOCOL_VERSION}")
        if not 0 < len(client_id) <= MAX_NAME_LENGTH:
            raise CodecError(f"a client_id has 1 to {MAX_NAME_LENGTH} characters")
        if owners is not None and not (
            type(owners) is tuple and all(type(owner) is str for owner in owners)
        ):
            raise CodecError("owners must be null or an array of names")
        if type(from_event_seq) is not int or from_event_seq < 0:
            raise CodecError(
                f"events are numbered from 1 (0: from now on), not {told(from_event_seq)}"
            )
        if not 0 <= opens_at < 1 << 62:
            raise CodecError(f"commands are numbered from 1, not {opens_at}")
        return Hello(client_id, incarnation, opens_at, owners, from_event_seq)
    raise CodecError(f"frame kind {told(kind)} with fields of types {[t.__name__ for t in types]}")


def decode_node_frame(body: bytes) -> tuple[Any, ...]:
    """A frame that a client got from a node: (FrameKind, ...). Raises CodecError."""
    value = unpack(body)
    if type(value) is not tuple or not value or type(value[0]) is not int:
        raise CodecError("a frame must be an array that begins with its kind")
    return value


# --- raft messages --------------------------------------------------------------------------------

_ENTRY_TYPES: Final = (bytes, int, int)
_FILE_TYPES: Final = (str, str, int)

_RAFT_FIELDS: Final[dict[str, dict[str, type]]] = {
    "append_entries": {
        "term": int,
        "commit_index": int,
        "entries": tuple,
        "prevLogIdx": int,
        "prevLogTerm": int,
    },
    "next_node_idx": {
        "next_node_idx": int,
        "reset": bool,
        "success": bool,
        "term": int,
        "epoch": int,
    },
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int},
    "response_vote": {"term": int},
    "pre_vote": {"term": int, "last_log_index": int, "last_log_term": int, "round": int},
    "response_pre_vote": {"term": int, "round": int, "granted": bool},
    "higher_term": {"term": int},
    "campaign_now": {"term": int},
    "snapshot_offer": {"term": int, "source": int, "index": int, "snapshot_term": int},
    "snapshot_request": {"term": int, "source": int, "index": int, "file": int, "offset": int},
    "snapshot_files": {"source": int, "index": int, "files": tuple},
    "snapshot_chunk": {
        "source": int,
        "index": int,
        "file": int,
        "offset": int,
        "crc": int,
        "data": bytes,
    },
    "snapshot_damaged": {"index": int},
    "position_request": {},
    "position": {"term": int, "last_log_index": int, "last_log_term": int},
}
"""Messages that a peer may send, with the types of their fields. pysyncobj's own names."""

_OPTIONAL: Final = {"append_entries": {"standby": str}}


def decode_raft_message(body: bytes) -> dict[str, Any]:
    """A message from a peer, every field checked. Raises CodecError."""
    try:
        message = msgpack.unpackb(body, use_list=False, raw=False, strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise CodecError(f"not msgpack: {error}") from error
    if type(message) is not dict:
        raise CodecError("a raft message must be a map")
    kind = message.get("type")
    fields = _RAFT_FIELDS.get(kind) if type(kind) is str else None
    if fields is None:
        raise CodecError(f"raft message type {told(kind)} is not allowed")
    assert isinstance(kind, str)
    optional = _OPTIONAL.get(kind, {})
    for name, value in message.items():
        expected = fields.get(name) or optional.get(name)
        if name != "type" and (expected is None or type(value) is not expected):
            raise CodecError(f"raft message {kind}: field {name!r} is {type(value).__name__}")
    if len(message) - 1 - sum(name in message for name in optional) != len(fields):
        raise CodecError(f"raft message {kind}: a field is missing")
    for offered in message.get("files", ()):
        if type(offered) is not tuple or tuple(map(type, offered)) != _FILE_TYPES:
            raise CodecError("raft message snapshot_files: a file is not (folder, name, size)")
    for place, entry in enumerate(message.get("entries", ()), start=1):
        if type(entry) is not tuple or tuple(map(type, entry)) != _ENTRY_TYPES:
            raise CodecError("raft message append_entries: an entry is not (bytes, index, term)")
        if entry[1] != message["prevLogIdx"] + place:
            raise CodecError("raft message append_entries: the entries are not consecutive")
    return message
