"""Encoders of OUCH 5.0 messages for a gateway: straight from numbers and bytes. Pure.

They say the same as `ouch50.encode`, which tests hold them to, and are several times faster.
`timestamp` is in ns since midnight, prices are in 1/10,000, `symbol` comes from
ouch50_fields.symbol_field, codes are bytes of one character. A `tail` (ouch50_tails) goes into the
answer as it is. `user_ref_idx` (0 to 255) is that of the order: when it is not 0, every message
about the order carries it in its appendage; the tails carry it themselves. Integers out of range
are a struct.error. The messages that are rare (System Event, Order Restated, the responses) are
encoded by `ouch50.encode`.

Source: Nasdaq OUCH 5.0, section 3.
"""

from __future__ import annotations

import struct

from protocols.ouch50_appendage import user_ref_idx_element

# Before the ClOrdID; "2s" is the start of a tail (time in force, display), "3s" what follows there.
_ACCEPTED = struct.Struct(">cQIcI8sQ2sQ3sc")
_REPLACED = struct.Struct(">cQIIcI8sQ2sQ3sc")
_CANCELED = struct.Struct(">cQIIc")
_AIQ_CANCELED = struct.Struct(">cQIIcIQcc")
_EXECUTED = struct.Struct(">cQIIQcQ")
_BROKEN_TRADE = struct.Struct(">cQIQc14s")
_REJECTED = struct.Struct(">cQIH14s")
_NUMBER_ONLY = struct.Struct(">cQI")
_PRIORITY_UPDATE = struct.Struct(">cQIQcQ")
_MODIFIED = struct.Struct(">cQIcI")

_NONE = b"\x00\x00"
# u16 length and the element UserRefIdx, by its value.
_INDEXED = tuple(b"\x00\x03" + user_ref_idx_element(index) for index in range(256))
_OPTIONAL = (b"", *_INDEXED[1:])
_ALWAYS = (_NONE, *_INDEXED[1:])


def encode_order_accepted(
    timestamp: int,
    user_ref_num: int,
    side: bytes,
    quantity: int,
    symbol: bytes,
    price: int,
    order_reference_number: int,
    order_state: bytes,
    tail: bytes,
) -> bytes:
    """A. The tail is that of the Enter Order."""
    head = _ACCEPTED.pack(
        b"A",
        timestamp,
        user_ref_num,
        side,
        quantity,
        symbol,
        price,
        tail[:2],
        order_reference_number,
        tail[2:5],
        order_state,
    )
    return head + tail[5:]


def encode_order_replaced(
    timestamp: int,
    orig_user_ref_num: int,
    user_ref_num: int,
    side: bytes,
    quantity: int,
    symbol: bytes,
    price: int,
    order_reference_number: int,
    order_state: bytes,
    tail: bytes,
) -> bytes:
    """U. The tail comes from ouch50_tails.replaced_tail; `quantity` is what is outstanding."""
    head = _REPLACED.pack(
        b"U",
        timestamp,
        orig_user_ref_num,
        user_ref_num,
        side,
        quantity,
        symbol,
        price,
        tail[:2],
        order_reference_number,
        tail[2:5],
        order_state,
    )
    return head + tail[5:]


def encode_order_canceled(
    timestamp: int, user_ref_num: int, quantity: int, reason: bytes, user_ref_idx: int = 0
) -> bytes:
    """C. `quantity` is what was taken off the order."""
    return _CANCELED.pack(b"C", timestamp, user_ref_num, quantity, reason) + _OPTIONAL[user_ref_idx]


def encode_aiq_canceled(
    timestamp: int,
    user_ref_num: int,
    quantity: int,
    reason: bytes,
    quantity_prevented: int,
    execution_price: int,
    liquidity_flag: bytes,
    aiq_strategy: bytes,
    user_ref_idx: int = 0,
) -> bytes:
    """D. `quantity` is what was taken off the order."""
    return (
        _AIQ_CANCELED.pack(
            b"D",
            timestamp,
            user_ref_num,
            quantity,
            reason,
            quantity_prevented,
            execution_price,
            liquidity_flag,
            aiq_strategy,
        )
        + _OPTIONAL[user_ref_idx]
    )


def encode_order_executed(
    timestamp: int,
    user_ref_num: int,
    quantity: int,
    price: int,
    liquidity_flag: bytes,
    match_number: int,
    user_ref_idx: int = 0,
) -> bytes:
    """E."""
    return (
        _EXECUTED.pack(b"E", timestamp, user_ref_num, quantity, price, liquidity_flag, match_number)
        + _ALWAYS[user_ref_idx]
    )


def encode_broken_trade(
    timestamp: int,
    user_ref_num: int,
    match_number: int,
    reason: bytes,
    cl_ord_id: bytes,
    user_ref_idx: int = 0,
) -> bytes:
    """B. `cl_ord_id` is the 14 bytes of the order's tail."""
    return (
        _BROKEN_TRADE.pack(b"B", timestamp, user_ref_num, match_number, reason, cl_ord_id)
        + _OPTIONAL[user_ref_idx]
    )


def encode_rejected(
    timestamp: int, user_ref_num: int, reason: int, cl_ord_id: bytes, user_ref_idx: int = 0
) -> bytes:
    """J. `cl_ord_id` is the 14 bytes of the tail of what is refused."""
    return (
        _REJECTED.pack(b"J", timestamp, user_ref_num, reason, cl_ord_id) + _OPTIONAL[user_ref_idx]
    )


def encode_cancel_pending(timestamp: int, user_ref_num: int, user_ref_idx: int = 0) -> bytes:
    """P."""
    return _NUMBER_ONLY.pack(b"P", timestamp, user_ref_num) + _OPTIONAL[user_ref_idx]


def encode_cancel_reject(timestamp: int, user_ref_num: int, user_ref_idx: int = 0) -> bytes:
    """I."""
    return _NUMBER_ONLY.pack(b"I", timestamp, user_ref_num) + _OPTIONAL[user_ref_idx]


def encode_order_priority_update(
    timestamp: int,
    user_ref_num: int,
    price: int,
    display: bytes,
    order_reference_number: int,
    user_ref_idx: int = 0,
) -> bytes:
    """T."""
    return (
        _PRIORITY_UPDATE.pack(b"T", timestamp, user_ref_num, price, display, order_reference_number)
        + _OPTIONAL[user_ref_idx]
    )


def encode_order_modified(
    timestamp: int, user_ref_num: int, side: bytes, quantity: int, user_ref_idx: int = 0
) -> bytes:
    """M. `quantity` is what is outstanding."""
    return _MODIFIED.pack(b"M", timestamp, user_ref_num, side, quantity) + _OPTIONAL[user_ref_idx]
