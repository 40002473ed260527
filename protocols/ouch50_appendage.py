"""The appendage of OUCH 5.0 messages: optional attributes as tagged elements. Pure.

    u16 length of all elements, then per element:  u8 length (tag and value) | u8 tag | value

Source: Nasdaq OUCH 5.0, Appendix A. Integers are big-endian, prices Price(4). Which tag may stand
in which message, and which values it may have, is judged by whoever acts on it. Here an appendage
is refused when an element is cut short, has another length than its tag says, comes twice, or is
not assigned; the first of these, in wire order, is what the error names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from protocols.ouch50_fields import (
    AppendageError,
    Ouch50Error,
    UnknownTag,
    decode_text,
    encode_text,
)


class Tag(IntEnum):
    """Tags of Appendix A. 8, 19, 20 and 21 are not assigned; 29 and 30 came with edition 1.05."""

    SECONDARY_ORD_REF_NUM = 1
    FIRM = 2
    MIN_QTY = 3
    CUSTOMER_TYPE = 4
    MAX_FLOOR = 5
    PRICE_TYPE = 6
    PEG_OFFSET = 7
    DISCRETION_PRICE = 9
    DISCRETION_PRICE_TYPE = 10
    DISCRETION_PEG_OFFSET = 11
    POST_ONLY = 12
    RANDOM_RESERVES = 13
    ROUTE = 14
    EXPIRE_TIME = 15
    TRADE_NOW = 16
    HANDLE_INST = 17
    BBO_WEIGHT = 18
    DISPLAY_QTY = 22
    DISPLAY_PRICE = 23
    GROUP_ID = 24
    SHARES_LOCATED = 25
    LOCATE_BROKER = 26
    SIDE = 27
    USER_REF_IDX = 28
    AIQ_STRATEGY = 29
    AIQ_GROUP_ID = 30


class Appendage(NamedTuple):
    """Attributes of a message by name, in the order of their tags. None: the tag is not there.

    Offsets are signed and, like prices, in 1/10,000. `expire_time` is in seconds since midnight.
    A field of blanks is "", which is not the same as None.
    """

    secondary_ord_ref_num: int | None = None
    firm: str | None = None
    min_qty: int | None = None
    customer_type: str | None = None
    max_floor: int | None = None
    price_type: str | None = None
    peg_offset: int | None = None
    discretion_price: int | None = None
    discretion_price_type: str | None = None
    discretion_peg_offset: int | None = None
    post_only: str | None = None
    random_reserves: int | None = None
    route: str | None = None
    expire_time: int | None = None
    trade_now: str | None = None
    handle_inst: str | None = None
    bbo_weight: str | None = None
    display_qty: int | None = None
    display_price: int | None = None
    group_id: int | None = None
    shares_located: str | None = None
    locate_broker: str | None = None
    side: str | None = None
    user_ref_idx: int | None = None
    aiq_strategy: str | None = None
    aiq_group_id: str | None = None


NO_APPENDAGE = Appendage()

# Formats of the values by tag: Price(4) is Q, an offset is i, text is Ns.
_FORMATS: dict[Tag, str] = {
    Tag.SECONDARY_ORD_REF_NUM: "Q",
    Tag.FIRM: "4s",
    Tag.MIN_QTY: "I",
    Tag.CUSTOMER_TYPE: "1s",
    Tag.MAX_FLOOR: "I",
    Tag.PRICE_TYPE: "1s",
    Tag.PEG_OFFSET: "i",
    Tag.DISCRETION_PRICE: "Q",
    Tag.DISCRETION_PRICE_TYPE: "1s",
    Tag.DISCRETION_PEG_OFFSET: "i",
    Tag.POST_ONLY: "1s",
    Tag.RANDOM_RESERVES: "I",
    Tag.ROUTE: "4s",
    Tag.EXPIRE_TIME: "I",
    Tag.TRADE_NOW: "1s",
    Tag.HANDLE_INST: "1s",
    Tag.BBO_WEIGHT: "1s",
    Tag.DISPLAY_QTY: "I",
    Tag.DISPLAY_PRICE: "Q",
    Tag.GROUP_ID: "H",
    Tag.SHARES_LOCATED: "1s",
    Tag.LOCATE_BROKER: "4s",
    Tag.SIDE: "1s",
    Tag.USER_REF_IDX: "B",
    Tag.AIQ_STRATEGY: "1s",
    Tag.AIQ_GROUP_ID: "2s",
}
assert list(_FORMATS) == list(Tag), "every tag has a format, in the order of tags"
assert Appendage._fields == tuple(tag.name.lower() for tag in Tag), "every tag has a field"

_VALUES: dict[int, struct.Struct] = {
    int(tag): struct.Struct(f">{format_}") for tag, format_ in _FORMATS.items()
}
_NAMES: dict[int, str] = {int(tag): tag.name.lower() for tag in Tag}
_TEXT_TAGS = frozenset(int(tag) for tag, format_ in _FORMATS.items() if format_.endswith("s"))

MAX_APPENDAGE_LENGTH = sum(2 + value.size for value in _VALUES.values())
"""Bytes of all elements of an appendage in which every tag stands once. None is longer."""


def split_elements(data: bytes) -> dict[int, bytes]:
    """Values as they lie on the wire, by tag, in wire order. `data` begins after the u16 length.

    Raises AppendageError, or UnknownTag, for anything but whole, known, different elements.
    """
    elements: dict[int, bytes] = {}
    offset, end = 0, len(data)
    while offset < end:
        length = data[offset]
        if length == 0:
            raise AppendageError(f"element of length 0 at byte {offset}: must count its tag")
        after = offset + 1 + length
        if after > end:
            raise AppendageError(
                f"element at byte {offset} cut short: length {length}, {end - offset - 1} are left"
            )
        tag = data[offset + 1]
        value = _VALUES.get(tag)
        if value is None:
            raise UnknownTag(tag)
        if length != 1 + value.size:
            raise AppendageError(
                f"tag {tag} ({_NAMES[tag]}): length {length}, must be {1 + value.size}"
            )
        if tag in elements:
            raise AppendageError(f"tag {tag} ({_NAMES[tag]}): given twice, at most once is allowed")
        elements[tag] = data[offset + 2 : after]
        offset = after
    return elements


def join_elements(elements: Mapping[int, bytes]) -> bytes:
    """The inverse of split_elements, without the u16 length."""
    return b"".join(bytes((1 + len(value), tag)) + value for tag, value in elements.items())


def decode_appendage(data: bytes) -> Appendage:
    """Attributes of an appendage. `data` begins after the u16 length and holds nothing else.

    Raises AppendageError, UnknownTag, or BadField for text that is not printable ASCII.
    """
    if not data:
        return NO_APPENDAGE
    fields: dict[str, int | str] = {}
    for tag, raw in split_elements(data).items():
        name = _NAMES[tag]
        fields[name] = decode_text(raw) if tag in _TEXT_TAGS else _VALUES[tag].unpack(raw)[0]
    make: Callable[..., Appendage] = Appendage
    return make(**fields)


def encode_appendage(appendage: Appendage) -> bytes:
    """Elements in the order of their tags, without the u16 length. Raises Ouch50Error when a value
    does not fit."""
    if appendage is NO_APPENDAGE:
        return b""
    parts: list[bytes] = []
    for (tag, value), field in zip(_VALUES.items(), appendage, strict=True):
        if field is None:
            continue
        try:
            raw = value.pack(encode_text(field, value.size) if isinstance(field, str) else field)
        except struct.error as error:
            raise Ouch50Error(f"tag {tag} ({_NAMES[tag]}), value {field!r}: {error}") from error
        parts.append(bytes((1 + value.size, tag)))
        parts.append(raw)
    return b"".join(parts)


def user_ref_idx_element(user_ref_idx: int) -> bytes:
    """The element UserRefIdx (0 to 255) and nothing else, without the u16 length."""
    return bytes((2, Tag.USER_REF_IDX, user_ref_idx))


@cache
def user_ref_idx_appendage(user_ref_idx: int) -> Appendage:
    """What messages about an order carry: UserRefIdx when it is not 0, otherwise nothing."""
    return Appendage(user_ref_idx=user_ref_idx) if user_ref_idx else NO_APPENDAGE
