"""What answers to an OUCH 5.0 order repeat: the end of its Enter or Replace, read and merged. Pure.

A gateway keeps the bytes of an accepted message from its Time in Force on (Enter Order [26:],
Replace Order [21:]) and builds the answers from them, without judging them a second time. Codes are
bytes of one character, `cl_ord_id` the 14 bytes as they came, `appendage` u16 length and elements,
or b"" for none. Source: Nasdaq OUCH 5.0, Enter Order, Replace Order.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from protocols.ouch50_appendage import Tag, join_elements, split_elements
from protocols.ouch50_fields import AppendageError, Ouch50Error

_ENTER_TAIL = struct.Struct(">ccccc14s")
_REPLACE_TAIL = struct.Struct(">ccc14s")

NOT_INHERITED = frozenset({int(Tag.SHARES_LOCATED), int(Tag.LOCATE_BROKER)})
"""Tags that a Replace must give again: a locate is good for the shares it was made for."""


class EnterTail(NamedTuple):
    """Enter Order from byte 26 on, and the terms of an order after any number of Replaces."""

    time_in_force: bytes
    display: bytes
    capacity: bytes
    intermarket_sweep: bytes
    cross_type: bytes
    cl_ord_id: bytes
    appendage: bytes


class ReplaceTail(NamedTuple):
    """Replace Order from byte 21 on."""

    time_in_force: bytes
    display: bytes
    intermarket_sweep: bytes
    cl_ord_id: bytes
    appendage: bytes


def _appendage_after(tail: bytes, size: int) -> bytes:
    """What follows the fixed part: nothing, or an u16 length and as many bytes."""
    appendage = tail[size:]
    if len(tail) < size:
        raise Ouch50Error(f"tail of {len(tail)} bytes: must be at least {size}")
    if appendage and int.from_bytes(appendage[:2], "big") != len(appendage) - 2:
        raise AppendageError(f"appendage of {len(appendage)} bytes: does not fit its length")
    return appendage


def decode_enter_tail(tail: bytes) -> EnterTail:
    """Enter Order [26:]. Raises Ouch50Error for another length; elements are not looked at."""
    appendage = _appendage_after(tail, _ENTER_TAIL.size)
    time_in_force, display, capacity, sweep, cross_type, cl_ord_id = _ENTER_TAIL.unpack_from(tail)
    return EnterTail(time_in_force, display, capacity, sweep, cross_type, cl_ord_id, appendage)


def decode_replace_tail(tail: bytes) -> ReplaceTail:
    """Replace Order [21:]. Raises Ouch50Error for another length; elements are not looked at."""
    appendage = _appendage_after(tail, _REPLACE_TAIL.size)
    time_in_force, display, sweep, cl_ord_id = _REPLACE_TAIL.unpack_from(tail)
    return ReplaceTail(time_in_force, display, sweep, cl_ord_id, appendage)


def encode_enter_tail(tail: EnterTail) -> bytes:
    """The inverse of decode_enter_tail: what to keep of an order that was replaced."""
    return b"".join(tail)


def replaced_tail(original: EnterTail, replace: ReplaceTail) -> EnterTail:
    """The terms of an order after a Replace.

    Capacity, cross type and the tags that the Replace does not give are those of the original,
    except SharesLocated and LocateBroker. Elements of the original come first, in their order.
    Raises AppendageError when one of the appendages was not checked before.
    """
    return EnterTail(
        replace.time_in_force,
        replace.display,
        original.capacity,
        replace.intermarket_sweep,
        original.cross_type,
        replace.cl_ord_id,
        _merged(original.appendage, replace.appendage),
    )


def _merged(original: bytes, replace: bytes) -> bytes:
    if len(original) <= 2:
        return replace
    given = split_elements(replace[2:])
    kept = {
        tag: value
        for tag, value in split_elements(original[2:]).items()
        if tag not in NOT_INHERITED
    }
    elements = join_elements({**kept, **given})
    return len(elements).to_bytes(2, "big") + elements


def user_ref_idx_of(appendage: bytes) -> int:
    """UserRefIdx in u16 length and elements, 0 when it is not given. Raises AppendageError when
    the appendage was not checked before."""
    if len(appendage) <= 2:
        return 0
    value = split_elements(appendage[2:]).get(Tag.USER_REF_IDX)
    return value[0] if value else 0
