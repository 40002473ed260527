"""OUCH 5.0 for a gateway: answers from the bytes of an order say what the codec says."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import ouch50, ouch50_outbound
from protocols import ouch50_messages as m
from protocols.ouch50_appendage import (
    NO_APPENDAGE,
    Appendage,
    encode_appendage,
    user_ref_idx_appendage,
)
from protocols.ouch50_fields import Ouch50Error, cl_ord_id_field, symbol_field
from protocols.ouch50_tails import (
    EnterTail,
    ReplaceTail,
    decode_enter_tail,
    decode_replace_tail,
    encode_enter_tail,
    replaced_tail,
    user_ref_idx_of,
)

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
CODE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
INDEX = st.integers(0, 255)
CL_ORD_ID = st.text(PRINTABLE, max_size=14).map(lambda text: text.rstrip(" "))
SYMBOL = st.text(PRINTABLE, max_size=8).map(lambda text: text.rstrip(" "))
make_appendage: Callable[..., Appendage] = Appendage
APPENDAGES = st.fixed_dictionaries(
    {},
    optional={
        "min_qty": U32,
        "peg_offset": st.integers(-100, 100),
        "shares_located": CODE,
        "locate_broker": st.just("LOCB"),
        "user_ref_idx": INDEX,
    },
).map(lambda fields: make_appendage(**fields))
ENTERS = st.builds(
    m.EnterOrder, U32, CODE, U32, SYMBOL, U64, CODE, CODE, CODE, CODE, CODE, CL_ORD_ID, APPENDAGES
)
REPLACES = st.builds(m.ReplaceOrder, U32, U32, U32, U64, CODE, CODE, CODE, CL_ORD_ID, APPENDAGES)
ENTER = m.EnterOrder(1, "B", 100, "AAPL", 1_872_500, "0", "Y", "A", "N", "C", "ORDER-1")
REPLACE = m.ReplaceOrder(1, 2, 50, 1_872_400, "3", "N", "Y", "ORDER-2")


def enter_tail(order: m.EnterOrder) -> EnterTail:
    return decode_enter_tail(ouch50.encode(order)[ouch50.ENTER_TAIL_OFFSET :])


def replace_tail(order: m.ReplaceOrder) -> ReplaceTail:
    return decode_replace_tail(ouch50.encode(order)[ouch50.REPLACE_TAIL_OFFSET :])


def appended(appendage: Appendage) -> bytes:
    elements = encode_appendage(appendage)
    return len(elements).to_bytes(2) + elements


def test_a_tail_has_the_codes_of_its_order() -> None:
    assert enter_tail(ENTER) == EnterTail(
        b"0", b"Y", b"A", b"N", b"C", b"ORDER-1       ", b"\x00\x00"
    )
    assert replace_tail(REPLACE) == ReplaceTail(b"3", b"N", b"Y", b"ORDER-2       ", b"\x00\x00")


@given(ENTERS)
def test_a_tail_survives_the_round_trip(order: m.EnterOrder) -> None:
    tail = ouch50.encode(order)[26:]
    assert encode_enter_tail(decode_enter_tail(tail)) == tail


@given(ENTERS, U64, U64, CODE)
def test_an_accepted_order_repeats_its_tail(
    order: m.EnterOrder, timestamp: int, reference: int, state: str
) -> None:
    wire = ouch50_outbound.encode_order_accepted(
        timestamp,
        order.user_ref_num,
        order.side.encode(),
        order.quantity,
        symbol_field(order.symbol),
        order.price,
        reference,
        state.encode(),
        enter_tail(order),
    )
    number, side, quantity, symbol, price, time_in_force, display, *rest = order[:11]
    capacity, sweep, cross_type, cl_ord_id = rest
    fields: list[Any] = [timestamp, number, side, quantity, symbol, price, time_in_force, display]
    fields += [reference, capacity, sweep, cross_type, state, cl_ord_id, order.appendage]
    assert ouch50.decode_outbound(wire) == m.OrderAccepted(*fields)
    assert ouch50.encode(m.OrderAccepted(*fields)) == wire


@given(ENTERS, REPLACES, U64, U32, U64, CODE)
def test_a_replaced_order_has_the_terms_of_the_replace_and_the_rest_of_the_original(
    order: m.EnterOrder,
    replace: m.ReplaceOrder,
    timestamp: int,
    outstanding: int,
    reference: int,
    state: str,
) -> None:
    tail = replaced_tail(enter_tail(order), replace_tail(replace))
    wire = ouch50_outbound.encode_order_replaced(
        timestamp,
        replace.orig_user_ref_num,
        replace.user_ref_num,
        order.side.encode(),
        outstanding,
        symbol_field(order.symbol),
        replace.price,
        reference,
        state.encode(),
        tail,
    )
    original, given_tags = order.appendage, replace.appendage
    inherited = Appendage(
        min_qty=original.min_qty if given_tags.min_qty is None else given_tags.min_qty,
        peg_offset=original.peg_offset if given_tags.peg_offset is None else given_tags.peg_offset,
        shares_located=given_tags.shares_located,
        locate_broker=given_tags.locate_broker,
        user_ref_idx=(
            original.user_ref_idx if given_tags.user_ref_idx is None else given_tags.user_ref_idx
        ),
    )
    assert ouch50.decode_outbound(wire) == m.OrderReplaced(
        timestamp,
        replace.orig_user_ref_num,
        replace.user_ref_num,
        order.side,
        outstanding,
        order.symbol,
        replace.price,
        replace.time_in_force,
        replace.display,
        reference,
        order.capacity,
        replace.intermarket_sweep,
        order.cross_type,
        state,
        replace.cl_ord_id,
        inherited,
    )
    again = decode_enter_tail(encode_enter_tail(tail))
    assert again == tail


def test_an_accepted_order_lies_as_published() -> None:
    wire = ouch50_outbound.encode_order_accepted(
        258, 1, b"B", 100, b"AAPL    ", 10_000, 7, b"L", enter_tail(ENTER)
    )
    assert wire == (
        b"A\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x01B\x00\x00\x00\x64AAPL    "
        b"\x00\x00\x00\x00\x00\x00\x27\x100Y\x00\x00\x00\x00\x00\x00\x00\x07ANCLORDER-1       "
        b"\x00\x00"
    )


def test_a_tail_without_an_appendage_is_answered_with_an_empty_one() -> None:
    tail = decode_enter_tail(b"0YANNORDER-1       ")
    assert tail.appendage == b""
    wire = ouch50_outbound.encode_order_accepted(1, 1, b"B", 1, symbol_field("A"), 1, 1, b"L", tail)
    assert len(wire) == 64
    assert wire[-2:] == b"\x00\x00"
    unchanged = replaced_tail(tail, decode_replace_tail(b"0YNORDER-2       "))
    wire = ouch50_outbound.encode_order_replaced(
        1, 1, 2, b"B", 1, symbol_field("A"), 1, 1, b"L", unchanged
    )
    assert len(wire) == 68


def test_what_a_replace_does_not_say_stays_except_the_locate() -> None:
    located = Appendage(min_qty=5, shares_located="Y", locate_broker="LOCB", user_ref_idx=3)
    original = enter_tail(ENTER._replace(appendage=located))
    silent = replaced_tail(original, replace_tail(REPLACE))
    assert silent.appendage == appended(Appendage(min_qty=5, user_ref_idx=3))
    loud = replace_tail(REPLACE._replace(appendage=Appendage(min_qty=0, locate_broker="LOC2")))
    # min_qty keeps its place; what is new stands at the end
    assert replaced_tail(original, loud).appendage == (
        b"\x00\x0f" + b"\x05\x03\x00\x00\x00\x00" + b"\x02\x1c\x03" + b"\x05\x1aLOC2"
    )


def test_replaces_add_up() -> None:
    tail = enter_tail(ENTER._replace(appendage=Appendage(min_qty=5)))
    for index, appendage in enumerate(
        (Appendage(post_only="P"), NO_APPENDAGE, Appendage(min_qty=6))
    ):
        replace = REPLACE._replace(cl_ord_id=f"ORDER-{index}", appendage=appendage)
        tail = replaced_tail(tail, replace_tail(replace))
    assert tail.cl_ord_id == cl_ord_id_field("ORDER-2")
    assert tail.appendage == appended(Appendage(min_qty=6, post_only="P"))
    assert tail.capacity == b"A"


@pytest.mark.parametrize("decode", [decode_enter_tail, decode_replace_tail])
def test_a_tail_of_another_length_is_refused(decode: Any) -> None:
    order: Any = ENTER if decode is decode_enter_tail else REPLACE
    offset = 26 if decode is decode_enter_tail else 21
    tail = ouch50.encode(order._replace(appendage=Appendage(user_ref_idx=1)))[offset:]
    bare = len(tail) - 5
    for length in range(len(tail)):
        if length == bare:
            assert decode(tail[:length]).appendage == b""
            continue
        with pytest.raises(Ouch50Error):
            decode(tail[:length])
    with pytest.raises(Ouch50Error, match="does not fit its length"):
        decode(tail + b"x")


@given(st.binary(max_size=60))
def test_random_tails_raise_our_error_and_nothing_else(data: bytes) -> None:
    for decode, fixed in ((decode_enter_tail, 19), (decode_replace_tail, 17)):
        with contextlib.suppress(Ouch50Error):
            appendage = decode(data).appendage
            assert appendage == data[fixed:]
            assert 0 <= user_ref_idx_of(appendage) <= 255


@given(APPENDAGES)
def test_the_index_of_an_order_is_found_in_its_appendage(appendage: Appendage) -> None:
    assert user_ref_idx_of(appended(appendage)) == (appendage.user_ref_idx or 0)
    assert user_ref_idx_of(b"") == 0


@given(st.tuples(U64, U32, U32, U32, U64, U64, U16), CODE, CODE, CL_ORD_ID, INDEX)
def test_short_answers_say_what_the_codec_says_and_carry_the_index_of_the_order(
    numbers: tuple[int, ...], code: str, other: str, cl_ord_id: str, index: int
) -> None:
    out = ouch50_outbound
    time, number, quantity, prevented, price, match, reason = numbers
    raw, raw_other, raw_id = code.encode(), other.encode(), cl_ord_id_field(cl_ord_id)
    app = user_ref_idx_appendage(index)
    pairs: list[tuple[bytes, m.OutboundMessage]] = [
        (
            out.encode_order_canceled(time, number, quantity, raw, index),
            m.OrderCanceled(time, number, quantity, code, app),
        ),
        (
            out.encode_aiq_canceled(
                time, number, quantity, raw, prevented, price, raw_other, raw, index
            ),
            m.AiqCanceled(time, number, quantity, code, prevented, price, other, code, app),
        ),
        (
            out.encode_order_executed(time, number, quantity, price, raw, match, index),
            m.OrderExecuted(time, number, quantity, price, code, match, app),
        ),
        (
            out.encode_broken_trade(time, number, match, raw, raw_id, index),
            m.BrokenTrade(time, number, match, code, cl_ord_id, app),
        ),
        (
            out.encode_rejected(time, number, reason, raw_id, index),
            m.Rejected(time, number, reason, cl_ord_id, app),
        ),
        (out.encode_cancel_pending(time, number, index), m.CancelPending(time, number, app)),
        (out.encode_cancel_reject(time, number, index), m.CancelReject(time, number, app)),
        (
            out.encode_order_priority_update(time, number, price, raw, match, index),
            m.OrderPriorityUpdate(time, number, price, code, match, app),
        ),
        (
            out.encode_order_modified(time, number, raw, quantity, index),
            m.OrderModified(time, number, code, quantity, app),
        ),
    ]
    for wire, message in pairs:
        assert wire == ouch50.encode(message)
        assert ouch50.decode_outbound(wire) == message
        assert (b"\x02\x1c" + bytes([index]) in wire[-3:]) == bool(index)


def test_without_an_index_an_answer_is_as_short_as_it_can_be() -> None:
    assert len(ouch50_outbound.encode_order_canceled(1, 2, 3, b"U")) == 18
    assert len(ouch50_outbound.encode_order_canceled(1, 2, 3, b"U", 1)) == 23
    assert len(ouch50_outbound.encode_order_executed(1, 2, 3, 4, b"A", 5)) == 36
    assert len(ouch50_outbound.encode_order_executed(1, 2, 3, 4, b"A", 5, 1)) == 39


def test_numbers_out_of_range_are_not_sent() -> None:
    with pytest.raises(struct.error):
        ouch50_outbound.encode_order_canceled(1, 2**32, 3, b"U")
    with pytest.raises(struct.error):
        ouch50_outbound.encode_rejected(1, 1, 2**16, b"A" * 14)
    with pytest.raises(IndexError):
        ouch50_outbound.encode_cancel_reject(1, 1, 256)
