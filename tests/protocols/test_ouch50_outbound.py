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
    cl_ord_id_of_enter,
    cl_ord_id_of_replace,
    enter_tail,
    replace_tail,
    replaced_tail,
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


def tail_of_enter(order: m.EnterOrder) -> bytes:
    return enter_tail(ouch50.encode(order)[ouch50.ENTER_TAIL_OFFSET :])


def tail_of_replace(order: m.ReplaceOrder) -> bytes:
    return replace_tail(ouch50.encode(order)[ouch50.REPLACE_TAIL_OFFSET :])


def appended(appendage: Appendage) -> bytes:
    elements = encode_appendage(appendage)
    return len(elements).to_bytes(2) + elements


@given(ENTERS, REPLACES)
def test_a_tail_is_the_end_of_its_message(order: m.EnterOrder, replace: m.ReplaceOrder) -> None:
    assert tail_of_enter(order) == ouch50.encode(order)[26:]
    assert tail_of_replace(replace) == ouch50.encode(replace)[21:]
    assert cl_ord_id_of_enter(tail_of_enter(order)) == cl_ord_id_field(order.cl_ord_id)
    assert cl_ord_id_of_replace(tail_of_replace(replace)) == cl_ord_id_field(replace.cl_ord_id)


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
        tail_of_enter(order),
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
    tail = replaced_tail(tail_of_enter(order), tail_of_replace(replace))
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
    assert enter_tail(tail) == tail
    assert cl_ord_id_of_enter(tail) == cl_ord_id_field(replace.cl_ord_id)


def test_an_accepted_order_lies_as_published() -> None:
    wire = ouch50_outbound.encode_order_accepted(
        258, 1, b"B", 100, b"AAPL    ", 10_000, 7, b"L", tail_of_enter(ENTER)
    )
    assert wire == (
        b"A\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x01B\x00\x00\x00\x64AAPL    "
        b"\x00\x00\x00\x00\x00\x00\x27\x100Y\x00\x00\x00\x00\x00\x00\x00\x07ANCLORDER-1       "
        b"\x00\x00"
    )


def test_a_tail_without_an_appendage_is_answered_with_an_empty_one() -> None:
    tail = enter_tail(b"0YANNORDER-1       ")
    wire = ouch50_outbound.encode_order_accepted(1, 1, b"B", 1, symbol_field("A"), 1, 1, b"L", tail)
    assert len(wire) == 64
    assert wire[-2:] == b"\x00\x00"
    unchanged = replaced_tail(tail, replace_tail(b"0YNORDER-2       "))
    wire = ouch50_outbound.encode_order_replaced(
        1, 1, 2, b"B", 1, symbol_field("A"), 1, 1, b"L", unchanged
    )
    assert len(wire) == 68


def test_what_a_replace_does_not_say_stays_except_the_locate() -> None:
    located = Appendage(min_qty=5, shares_located="Y", locate_broker="LOCB", user_ref_idx=3)
    original = tail_of_enter(ENTER._replace(appendage=located))
    silent = replaced_tail(original, tail_of_replace(REPLACE))
    assert silent[19:] == appended(Appendage(min_qty=5, user_ref_idx=3))
    loud = tail_of_replace(REPLACE._replace(appendage=Appendage(min_qty=0, locate_broker="LOC2")))
    # min_qty keeps its place; what is new stands at the end
    assert replaced_tail(original, loud)[19:] == (
        b"\x00\x0f" + b"\x05\x03\x00\x00\x00\x00" + b"\x02\x1c\x03" + b"\x05\x1aLOC2"
    )


def test_replaces_add_up() -> None:
    tail = tail_of_enter(ENTER._replace(appendage=Appendage(min_qty=5)))
    for index, appendage in enumerate(
        (Appendage(post_only="P"), NO_APPENDAGE, Appendage(min_qty=6))
    ):
        replace = REPLACE._replace(cl_ord_id=f"ORDER-{index}", appendage=appendage)
        tail = replaced_tail(tail, tail_of_replace(replace))
    assert tail[:5] == b"3NAYC"
    assert cl_ord_id_of_enter(tail) == cl_ord_id_field("ORDER-2")
    assert tail[19:] == appended(Appendage(min_qty=6, post_only="P"))


@pytest.mark.parametrize("tail_of", [enter_tail, replace_tail])
def test_a_tail_of_another_length_is_refused(tail_of: Callable[[bytes], bytes]) -> None:
    order: Any = ENTER if tail_of is enter_tail else REPLACE
    offset = 26 if tail_of is enter_tail else 21
    tail = ouch50.encode(order._replace(appendage=Appendage(user_ref_idx=1)))[offset:]
    bare = len(tail) - 5
    for length in range(len(tail)):
        if length == bare:
            assert tail_of(tail[:length]) == tail[:length] + b"\x00\x00"
            continue
        with pytest.raises(Ouch50Error):
            tail_of(tail[:length])
    with pytest.raises(Ouch50Error, match="does not fit its length"):
        tail_of(tail + b"x")


@given(st.binary(max_size=60))
def test_random_tails_raise_our_error_and_nothing_else(data: bytes) -> None:
    for tail_of, fixed in ((enter_tail, 19), (replace_tail, 17)):
        with contextlib.suppress(Ouch50Error):
            tail = tail_of(data)
            assert tail == (data if len(data) > fixed else data + b"\x00\x00")
            assert int.from_bytes(tail[fixed : fixed + 2]) == len(tail) - fixed - 2


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
