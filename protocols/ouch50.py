"""Nasdaq OUCH 5.0: bytes <-> typed messages, both directions. Pure.

    encode(EnterOrder(...)) -> bytes      decode_inbound(bytes) -> EnterOrder(...) | Ouch50Error
    encode(Rejected(...)) -> bytes        decode_outbound(bytes) -> Rejected(...) | Ouch50Error

A letter means one thing inbound and another outbound, so there are two decoders. One table of
layouts codes everything. A message has a fixed part and, most of them, an appendage
(protocols/ouch50_appendage.py): `u16 length` and elements. In some messages the length is always
there, in others ("optional") the message may end before it, and is so encoded when there is nothing
to say. A message is exactly as long as type and appendage say: shorter or longer is an Ouch50Error,
as are unknown types and text that is not printable ASCII. Codes are passed through unjudged.

For a gateway, which has little time: the raw fields of plain messages are in
protocols/ouch50_plain.py, encoders that answer from the bytes of an order in
protocols/ouch50_outbound.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeVar

from protocols import ouch50_messages as m
from protocols.ouch50_appendage import (
    MAX_APPENDAGE_LENGTH,
    NO_APPENDAGE,
    Appendage,
    decode_appendage,
    encode_appendage,
)
from protocols.ouch50_fields import (
    AppendageError,
    Ouch50Error,
    decode_code,
    decode_name,
    decode_text,
    encode_text,
    symbol_field,
)
from protocols.ouch50_messages import InboundMessage, OutboundMessage

ENTER_TAIL_OFFSET = 26
"""Where, in an Enter Order, begins what an answer repeats: its Time in Force."""
REPLACE_TAIL_OFFSET = 21
"""The same in a Replace Order."""

MAX_INBOUND_LENGTH = 47 + MAX_APPENDAGE_LENGTH
"""Bytes of an Enter Order with every tag: no inbound message that is well formed is longer."""

_EARLY_AIQ_LENGTH = 31


class _Appended(Enum):
    """Whether a message has an appendage."""

    NEVER = "never"
    ALWAYS = "always"
    OPTIONAL = "optional"


NEVER, ALWAYS, OPTIONAL = _Appended.NEVER, _Appended.ALWAYS, _Appended.OPTIONAL

# Message class, type, shortest length in bytes (with the length of the appendage where it is always
# there), appendage, struct formats of the body. Price(4) is Q, text is Ns.
_Row = tuple[Callable[..., Any], str, int, _Appended, str]

_INBOUND: tuple[_Row, ...] = (
    (m.EnterOrder, "O", 47, ALWAYS, "I 1s I 8s Q 1s 1s 1s 1s 1s 14s"),
    (m.ReplaceOrder, "U", 40, ALWAYS, "I I I Q 1s 1s 1s 14s"),
    (m.CancelOrder, "X", 9, OPTIONAL, "I I"),
    (m.ModifyOrder, "M", 10, OPTIONAL, "I 1s I"),
    (m.MassCancel, "C", 19, ALWAYS, "I 4s 8s"),
    (m.DisableOrderEntry, "D", 11, ALWAYS, "I 4s"),
    (m.EnableOrderEntry, "E", 11, ALWAYS, "I 4s"),
    (m.AccountQuery, "Q", 1, OPTIONAL, ""),
)

_OUTBOUND: tuple[_Row, ...] = (
    (m.SystemEvent, "S", 10, NEVER, "Q 1s"),
    (m.OrderAccepted, "A", 64, ALWAYS, "Q I 1s I 8s Q 1s 1s Q 1s 1s 1s 1s 14s"),
    (m.OrderReplaced, "U", 68, ALWAYS, "Q I I 1s I 8s Q 1s 1s Q 1s 1s 1s 1s 14s"),
    (m.OrderCanceled, "C", 18, OPTIONAL, "Q I I 1s"),
    (m.AiqCanceled, "D", 32, OPTIONAL, "Q I I 1s I Q 1s 1s"),
    (m.OrderExecuted, "E", 36, ALWAYS, "Q I I Q 1s Q"),
    (m.BrokenTrade, "B", 36, OPTIONAL, "Q I Q 1s 14s"),
    (m.Rejected, "J", 29, OPTIONAL, "Q I H 14s"),
    (m.CancelPending, "P", 13, OPTIONAL, "Q I"),
    (m.CancelReject, "I", 13, OPTIONAL, "Q I"),
    (m.OrderPriorityUpdate, "T", 30, OPTIONAL, "Q I Q 1s Q"),
    (m.OrderModified, "M", 18, OPTIONAL, "Q I 1s I"),
    (m.OrderRestated, "R", 16, ALWAYS, "Q I 1s"),
    (m.MassCancelResponse, "X", 27, ALWAYS, "Q I 4s 8s"),
    (m.DisableOrderEntryResponse, "G", 19, ALWAYS, "Q I 4s"),
    (m.EnableOrderEntryResponse, "K", 19, ALWAYS, "Q I 4s"),
    (m.AccountQueryResponse, "Q", 13, OPTIONAL, "Q I"),
)

INBOUND_LENGTHS: dict[str, int] = {row[1]: row[2] for row in _INBOUND}
"""Shortest length in bytes by message type, client to exchange."""

OUTBOUND_LENGTHS: dict[str, int] = {row[1]: row[2] for row in _OUTBOUND}
"""Shortest length in bytes by message type, exchange to client."""

_TEXT_DECODERS: dict[str, Callable[[bytes], str]] = {
    "1s": decode_code,
    "4s": decode_name,
    "8s": decode_name,
    "14s": decode_text,  # a ClOrdID hardly ever comes twice: no cache
}
_TEXT_ENCODERS: dict[str, Callable[[str], bytes]] = {
    "1s": partial(encode_text, width=1),
    "4s": partial(encode_text, width=4),
    "8s": symbol_field,
    "14s": partial(encode_text, width=14),
}

_Message = TypeVar("_Message")


def decode_appended(data: bytes, offset: int) -> Appendage:
    """The appendage that fills `data` from its u16 length at `offset`. Raises AppendageError."""
    found = len(data) - offset - 2
    if found < 0:
        raise AppendageError(f"appendage length of {found + 2} bytes: must be 2")
    length = data[offset] << 8 | data[offset + 1]
    if length != found:
        raise AppendageError(f"appendage says {length} bytes and has {found}")
    return decode_appendage(data[offset + 2 :]) if length else NO_APPENDAGE


def encode_appended(appendage: Appendage) -> bytes:
    """u16 length and elements. Raises Ouch50Error when a value does not fit."""
    elements = encode_appendage(appendage)
    return len(elements).to_bytes(2, "big") + elements


class _Layout(Generic[_Message]):
    """How one message type lies on the wire."""

    __slots__ = ("_appended", "_code", "_length", "_message_class", "_struct", "_text_fields")

    def __init__(
        self,
        message_class: Callable[..., _Message],
        code: str,
        length: int,
        appended: _Appended,
        formats: str,
    ) -> None:
        self._message_class = message_class
        self._code = code.encode("ascii")
        self._length = length
        self._appended = appended
        self._struct = struct.Struct(f">c{formats.replace(' ', '')}")
        self._text_fields = tuple(
            (index, _TEXT_DECODERS[field], _TEXT_ENCODERS[field])
            for index, field in enumerate(formats.split())
            if field.endswith("s")
        )
        size = self._struct.size + (2 if appended is ALWAYS else 0)
        assert size == length, f"OUCH {code}: {size} bytes, not {length}"

    def decode(self, data: bytes) -> _Message:
        """`data` has the right type. Raises Ouch50Error."""
        size = self._struct.size
        if len(data) < self._length:
            raise Ouch50Error(
                f"message type {chr(data[0])}: {len(data)} bytes, must be at least {self._length}"
            )
        fields: list[Any] = list(self._struct.unpack_from(data))
        del fields[0]
        for index, decode_field, _ in self._text_fields:
            fields[index] = decode_field(fields[index])
        if self._appended is NEVER:
            if len(data) > size:
                raise Ouch50Error(f"message type {chr(data[0])}: {len(data)} bytes, must be {size}")
        elif len(data) > size:  # otherwise: an optional appendage that is not there
            fields.append(decode_appended(data, size))
        return self._message_class(*fields)

    def encode(self, message: Any) -> bytes:
        """Raises Ouch50Error when a value does not fit its field."""
        fields = list(message)
        appendage = NO_APPENDAGE if self._appended is NEVER else fields.pop()
        for index, _, encode_field in self._text_fields:
            fields[index] = encode_field(fields[index])
        try:
            fixed = self._struct.pack(self._code, *fields)
        except struct.error as error:
            raise Ouch50Error(f"{message!r} does not fit its layout: {error}") from error
        if self._appended is ALWAYS or appendage != NO_APPENDAGE:
            return fixed + encode_appended(appendage)
        return fixed


_INBOUND_LAYOUTS: dict[int, _Layout[InboundMessage]] = {
    ord(row[1]): _Layout[InboundMessage](*row) for row in _INBOUND
}
_OUTBOUND_LAYOUTS: dict[int, _Layout[OutboundMessage]] = {
    ord(row[1]): _Layout[OutboundMessage](*row) for row in _OUTBOUND
}
_LAYOUT_BY_CLASS: dict[Callable[..., Any], _Layout[Any]] = {
    **{row[0]: _INBOUND_LAYOUTS[ord(row[1])] for row in _INBOUND},
    **{row[0]: _OUTBOUND_LAYOUTS[ord(row[1])] for row in _OUTBOUND},
}


def encode(message: InboundMessage | OutboundMessage) -> bytes:
    """The bytes of any message. Raises Ouch50Error when a value does not fit its field."""
    return _LAYOUT_BY_CLASS[type(message)].encode(message)


def decode_inbound(data: bytes) -> InboundMessage:
    """The message from a client in `data`, which must be exactly one.

    Raises Ouch50Error, and nothing else; BadField when the fixed part is complete.
    """
    layout = _INBOUND_LAYOUTS.get(data[0]) if data else None
    if layout is None:
        raise _unknown_type(data, INBOUND_LENGTHS)
    return layout.decode(data)


def decode_outbound(data: bytes) -> OutboundMessage:
    """The message from an exchange in `data`, which must be exactly one.

    Takes the AIQ Canceled of early editions, which end before the AIQ strategy. Raises Ouch50Error,
    and nothing else.
    """
    layout = _OUTBOUND_LAYOUTS.get(data[0]) if data else None
    if layout is None:
        raise _unknown_type(data, OUTBOUND_LENGTHS)
    if data[0] == ord("D") and len(data) == _EARLY_AIQ_LENGTH:
        data += b" "
    return layout.decode(data)


def _unknown_type(data: bytes, lengths: dict[str, int]) -> Ouch50Error:
    if not data:
        return Ouch50Error("empty message: at least the type byte is needed")
    return Ouch50Error(f"message type {data[:1]!r}: known are {' '.join(lengths)}")
