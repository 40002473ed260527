"""Nasdaq TotalView-ITCH 5.0: bytes <-> typed messages. Pure.

    encode(AddOrder(...)) -> bytes          decode(bytes) -> AddOrder(...) | ItchError

`encode` and `decode` work for all 23 types from one table of layouts. The types that make up nearly
all of a day (A E D U X P) have an encoder and a decoder of their own, which tests hold equal to the
table. Who wants plain numbers, of every message of a day, has a `body_decoder` from the same table.
A message is exactly as long as its type says: shorter or longer is an ItchError, as are unknown
types and text that is not printable ASCII. Whether a code ("market category M") is known is not
judged here, because new editions add codes; whoever acts on a field judges it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from protocols import itch50_messages as m
from protocols.itch50_messages import (
    AddOrder,
    Message,
    OrderCancel,
    OrderDelete,
    OrderExecuted,
    OrderReplace,
    Trade,
)

MAX_MESSAGE_LENGTH = 50
NS_PER_DAY = 86_400 * 1_000_000_000


class ItchError(ValueError):
    """Bytes that are not an ITCH 5.0 message, or values that do not fit into one."""


LayoutError: Final = struct.error
"""What a `body_decoder` and the encoders of single types raise; `check` says it in words."""


# Message class, type, total length, struct formats of the body in field order.
# Price(4) is I, Price(8) is Q, text is Ns. The 48-bit timestamp is split into H and I.
_TABLE: tuple[tuple[Callable[..., Message], str, int, str], ...] = (
    (m.SystemEvent, "S", 12, "1s"),
    (m.StockDirectory, "R", 39, "8s 1s 1s I 1s 1s 2s 1s 1s 1s 1s 1s I 1s"),
    (m.StockTradingAction, "H", 25, "8s 1s 1s 4s"),
    (m.RegShoRestriction, "Y", 20, "8s 1s"),
    (m.MarketParticipantPosition, "L", 26, "4s 8s 1s 1s 1s"),
    (m.MwcbDeclineLevel, "V", 35, "Q Q Q"),
    (m.MwcbStatus, "W", 12, "1s"),
    (m.IpoQuotingPeriodUpdate, "K", 28, "8s I 1s I"),
    (m.LuldAuctionCollar, "J", 35, "8s I I I I"),
    (m.OperationalHalt, "h", 21, "8s 1s 1s"),
    (m.AddOrder, "A", 36, "Q 1s I 8s I"),
    (m.AddOrderMpid, "F", 40, "Q 1s I 8s I 4s"),
    (m.OrderExecuted, "E", 31, "Q I Q"),
    (m.OrderExecutedWithPrice, "C", 36, "Q I Q 1s I"),
    (m.OrderCancel, "X", 23, "Q I"),
    (m.OrderDelete, "D", 19, "Q"),
    (m.OrderReplace, "U", 35, "Q Q I I"),
    (m.Trade, "P", 44, "Q 1s I 8s I Q"),
    (m.CrossTrade, "Q", 40, "Q 8s I Q 1s"),
    (m.BrokenTrade, "B", 19, "Q"),
    (m.NetOrderImbalance, "I", 50, "Q Q 1s 8s I I I 1s 1s"),
    (m.RetailPriceImprovement, "N", 20, "8s 1s"),
    (m.DirectListingPriceDiscovery, "O", 48, "8s 1s I I I Q I I"),
)

LENGTHS: dict[str, int] = {message_type: length for _, message_type, length, _ in _TABLE}
"""Total length in bytes by message type."""

MESSAGE_CLASSES: dict[str, Callable[..., Message]] = {row[1]: row[0] for row in _TABLE}
"""Tuple class by message type."""

MESSAGE_TYPES: dict[Callable[..., Message], str] = {row[0]: row[1] for row in _TABLE}
"""Message type by tuple class."""

_TIMESTAMP = slice(5, 11)

# The headers of struct formats, for `_struct`: all fields, the timestamp in two parts; without
# tracking number, the timestamp as its bytes; the stock locate alone.
_HEADER = ">cHHHI"
_OUR_HEADER = ">cH2x6s"
_LOCATE_ONLY = ">xH8x"
_FORMATS: dict[str, str] = {row[1]: row[3].replace(" ", "") for row in _TABLE}


def _struct(header: str, message_type: str) -> struct.Struct:
    return struct.Struct(header + _FORMATS[message_type])


_LENGTHS_BY_CODE: dict[bytes, int] = {key.encode(): length for key, length in LENGTHS.items()}


@lru_cache(maxsize=16_384)
def _text(raw: bytes) -> str:
    """Text of a padded field. Raises ItchError unless it is printable ASCII."""
    if not raw.isascii() or not (text := raw.decode("ascii")).isprintable():
        raise ItchError(f"text field {raw!r}: only printable ASCII is allowed")
    return text.rstrip(" ")


@lru_cache(maxsize=16_384)
def _padded(text: str, width: int) -> bytes:
    """`text` as a field of `width` bytes, blanks on the right. Raises ItchError if it cannot be."""
    if len(text) > width or not text.isascii() or not text.isprintable():
        raise ItchError(f"text {text!r}: at most {width} printable ASCII characters are allowed")
    return text.encode("ascii").ljust(width)


def stock_field(symbol: str) -> bytes:
    """The 8 bytes of a stock symbol, for the encoders below."""
    return _padded(symbol, 8)


class _Layout:
    """How one message type lies on the wire."""

    __slots__ = ("_code", "_message_class", "_struct", "_text_fields")

    def __init__(self, message_class: Callable[..., Message], code: str, formats: str) -> None:
        self._message_class = message_class
        self._code = code.encode("ascii")
        self._struct = _struct(_HEADER, code)
        # (index in the tuple, width): three header fields come first
        self._text_fields = tuple(
            (index, int(field[:-1]))
            for index, field in enumerate(formats.split(), 3)
            if field.endswith("s")
        )

    @property
    def length(self) -> int:
        return self._struct.size

    def decode(self, data: bytes) -> Message:
        """`data` has the right type and length."""
        _, stock_locate, tracking_number, high, low, *body = self._struct.unpack(data)
        fields = [stock_locate, tracking_number, high << 32 | low, *body]
        for index, _ in self._text_fields:
            fields[index] = _text(fields[index])
        return self._message_class(*fields)

    def encode(self, message: Message) -> bytes:
        stock_locate, tracking_number, timestamp, *body = message
        fields: list[Any] = [stock_locate, tracking_number, timestamp, *body]
        for index, width in self._text_fields:
            fields[index] = _padded(fields[index], width)
        high, low = timestamp >> 32, timestamp & 0xFFFFFFFF
        try:
            return self._struct.pack(
                self._code, stock_locate, tracking_number, high, low, *fields[3:]
            )
        except struct.error as error:
            raise ItchError(f"{message!r} does not fit its layout: {error}") from error


_LAYOUT_BY_CLASS: dict[Callable[..., Message], _Layout] = {}
_LAYOUT_BY_CODE: dict[int, _Layout] = {}
for _class, _type, _length, _formats in _TABLE:
    _layout = _Layout(_class, _type, _formats)
    assert _layout.length == _length, f"ITCH {_type}: {_layout.length} bytes, not {_length}"
    assert len(_formats.split()) + 3 == len(_class._fields), f"ITCH {_type}: fields"  # type: ignore[attr-defined]
    _LAYOUT_BY_CLASS[_class] = _LAYOUT_BY_CODE[ord(_type)] = _layout


def encode(message: Message) -> bytes:
    """The bytes of any message. Raises ItchError when a value does not fit its field."""
    return _LAYOUT_BY_CLASS[type(message)].encode(message)


def decode(data: bytes) -> Message:
    """The message in `data`, which must be exactly one. Raises ItchError, and nothing else."""
    check(data)
    code = data[0]
    fast = _FAST_DECODERS.get(code)
    return fast(data) if fast is not None else _LAYOUT_BY_CODE[code].decode(data)


def decode_by_table(data: bytes) -> Message:
    """As `decode`, without the fast decoders: what tests compare them with."""
    check(data)
    return _LAYOUT_BY_CODE[data[0]].decode(data)


def body_decoder(message_type: str) -> Callable[[bytes], tuple[Any, ...]]:
    """What turns a message of a type into a tuple: its stock locate, and the fields that come
    after the timestamp in its class, text as bytes with all blanks. The tuple is not looked at any
    further. Raises LayoutError when the length is wrong; the type is not looked at."""
    return _struct(_LOCATE_ONLY, message_type).unpack


def timestamp_of(data: bytes) -> int:
    """The timestamp of a message, in ns since midnight."""
    return int.from_bytes(data[_TIMESTAMP], "big")


def is_well_formed(data: bytes) -> bool:
    """True when `data` has a known type and that type's length. Cheap; text is not looked at."""
    return _LENGTHS_BY_CODE.get(data[:1]) == len(data)


def are_well_formed(messages: Sequence[bytes]) -> bool:
    """True when each of them is; for those of a whole datagram, at a third of the cost."""
    length_of = _LENGTHS_BY_CODE.get
    return [length_of(message[:1]) for message in messages] == [*map(len, messages)]


def check(data: bytes) -> None:
    """Raise ItchError, with the reason, unless `data` is well formed."""
    if is_well_formed(data):
        return
    if not data:
        raise ItchError("empty message: at least the type byte is needed")
    length = _LENGTHS_BY_CODE.get(data[:1])
    if length is None:
        raise ItchError(f"message type {data[:1]!r}: known are {' '.join(LENGTHS)}")
    raise ItchError(f"message type {chr(data[0])}: {len(data)} bytes, must be {length}")


END_OF_SNAPSHOT_LENGTH = 21


def encode_end_of_snapshot(next_sequence_number: int) -> bytes:
    """G of GLIMPSE 5.0: the number of the message that comes after a snapshot, in 20 characters
    with blanks on the left. Raises ItchError for what is not 1 to 2**64 - 1."""
    if not 0 < next_sequence_number < 1 << 64:
        raise ItchError(f"sequence number {next_sequence_number}: must be 1 to {(1 << 64) - 1}")
    return b"G%20d" % next_sequence_number


def decode_end_of_snapshot(data: bytes) -> int:
    """The number in a G; blanks on either side and zeros on the left are taken. Raises ItchError,
    and nothing else."""
    digits = data[1:].strip(b" ")
    if len(data) != END_OF_SNAPSHOT_LENGTH or data[:1] != b"G" or not digits.isdigit():
        raise ItchError(f"{data[:40]!r} is no End of Snapshot: G and 20 characters with a number")
    number = int(digits)
    if not 0 < number < 1 << 64:
        raise ItchError(f"End of Snapshot says {number}: must be 1 to {(1 << 64) - 1}")
    return number


# --- the types that make up nearly all of a day -------------------------------------------------
# tracking_number is 0: it is a number internal to Nasdaq and this exchange has no use for it.

_pack_add = _struct(_OUR_HEADER, "A").pack
_pack_executed = _struct(_OUR_HEADER, "E").pack
_pack_cancel = _struct(_OUR_HEADER, "X").pack
_pack_delete = _struct(_OUR_HEADER, "D").pack
_pack_replace = _struct(_OUR_HEADER, "U").pack
_pack_trade = _struct(_OUR_HEADER, "P").pack
_unpack_add = _struct(_HEADER, "A").unpack
_unpack_executed = _struct(_HEADER, "E").unpack
_unpack_cancel = _struct(_HEADER, "X").unpack
_unpack_delete = _struct(_HEADER, "D").unpack
_unpack_replace = _struct(_HEADER, "U").unpack
_unpack_trade = _struct(_HEADER, "P").unpack


def timestamp_field(timestamp: int) -> bytes:
    """The 6 bytes of a timestamp in ns since midnight, for the encoders below."""
    return timestamp.to_bytes(6, "big")


def encode_add_order(
    locate: int,
    timestamp: bytes,
    reference: int,
    side: bytes,
    shares: int,
    stock: bytes,
    price: int,
) -> bytes:
    """A. `side` is b"B" or b"S"; `timestamp` and `stock` come from timestamp_field and stock_field,
    here and below. LayoutError if out of range."""
    return _pack_add(b"A", locate, timestamp, reference, side, shares, stock, price)


def encode_order_executed(
    locate: int, timestamp: bytes, reference: int, shares: int, match_number: int
) -> bytes:
    """E. LayoutError if out of range."""
    return _pack_executed(b"E", locate, timestamp, reference, shares, match_number)


def encode_order_cancel(locate: int, timestamp: bytes, reference: int, shares: int) -> bytes:
    """X. LayoutError if out of range."""
    return _pack_cancel(b"X", locate, timestamp, reference, shares)


def encode_order_delete(locate: int, timestamp: bytes, reference: int) -> bytes:
    """D. LayoutError if out of range."""
    return _pack_delete(b"D", locate, timestamp, reference)


def encode_order_replace(
    locate: int, timestamp: bytes, original: int, reference: int, shares: int, price: int
) -> bytes:
    """U. LayoutError if out of range."""
    return _pack_replace(b"U", locate, timestamp, original, reference, shares, price)


def encode_trade(
    locate: int, timestamp: bytes, side: bytes, shares: int, stock: bytes, price: int, match: int
) -> bytes:
    """P, with the order reference number 0. LayoutError if out of range."""
    return _pack_trade(b"P", locate, timestamp, 0, side, shares, stock, price, match)


def _decode_add_order(data: bytes) -> AddOrder:
    _, locate, tracking, high, low, reference, side, shares, stock, price = _unpack_add(data)
    return AddOrder(
        locate, tracking, high << 32 | low, reference, _text(side), shares, _text(stock), price
    )


def _decode_order_executed(data: bytes) -> OrderExecuted:
    _, locate, tracking, high, low, reference, shares, match = _unpack_executed(data)
    return OrderExecuted(locate, tracking, high << 32 | low, reference, shares, match)


def _decode_order_cancel(data: bytes) -> OrderCancel:
    _, locate, tracking, high, low, reference, shares = _unpack_cancel(data)
    return OrderCancel(locate, tracking, high << 32 | low, reference, shares)


def _decode_order_delete(data: bytes) -> OrderDelete:
    _, locate, tracking, high, low, reference = _unpack_delete(data)
    return OrderDelete(locate, tracking, high << 32 | low, reference)


def _decode_order_replace(data: bytes) -> OrderReplace:
    _, locate, tracking, high, low, original, new, shares, price = _unpack_replace(data)
    return OrderReplace(locate, tracking, high << 32 | low, original, new, shares, price)


def _decode_trade(data: bytes) -> Trade:
    _, locate, tracking, high, low, *body = _unpack_trade(data)
    reference, side, shares, stock, price, match = body
    time = high << 32 | low
    return Trade(locate, tracking, time, reference, _text(side), shares, _text(stock), price, match)


_FAST_DECODERS: dict[int, Callable[[bytes], Message]] = {
    ord("A"): _decode_add_order,
    ord("E"): _decode_order_executed,
    ord("X"): _decode_order_cancel,
    ord("D"): _decode_order_delete,
    ord("U"): _decode_order_replace,
    ord("P"): _decode_trade,
}
