"""OUCH 5.0 codec: layouts, round trips, refusal of whatever is not exactly one message."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import ouch50, ouch50_codes
from protocols import ouch50_messages as m
from protocols.ouch50_appendage import NO_APPENDAGE, Appendage, encode_appendage
from protocols.ouch50_fields import AppendageError, BadField, Ouch50Error, UnknownTag

# Class, type, shortest length, where the u16 length of the appendage stands (- none), fields as
# name@offset:width, text with an a: written here from the published tables a second time, so that
# a slip in the codec's own table shows. A ? marks an appendage that may be left out.
PUBLISHED_INBOUND = """
EnterOrder O 47 45 user_ref_num@1:4 side@5:a1 quantity@6:4 symbol@10:a8 price@18:8
    time_in_force@26:a1 display@27:a1 capacity@28:a1 intermarket_sweep@29:a1 cross_type@30:a1
    cl_ord_id@31:a14
ReplaceOrder U 40 38 orig_user_ref_num@1:4 user_ref_num@5:4 quantity@9:4 price@13:8
    time_in_force@21:a1 display@22:a1 intermarket_sweep@23:a1 cl_ord_id@24:a14
CancelOrder X 9 9? user_ref_num@1:4 quantity@5:4
ModifyOrder M 10 10? user_ref_num@1:4 side@5:a1 quantity@6:4
MassCancel C 19 17 user_ref_num@1:4 firm@5:a4 symbol@9:a8
DisableOrderEntry D 11 9 user_ref_num@1:4 firm@5:a4
EnableOrderEntry E 11 9 user_ref_num@1:4 firm@5:a4
AccountQuery Q 1 1?
"""
PUBLISHED_OUTBOUND = """
SystemEvent S 10 - timestamp@1:8 event_code@9:a1
OrderAccepted A 64 62 timestamp@1:8 user_ref_num@9:4 side@13:a1 quantity@14:4 symbol@18:a8
    price@26:8 time_in_force@34:a1 display@35:a1 order_reference_number@36:8 capacity@44:a1
    intermarket_sweep@45:a1 cross_type@46:a1 order_state@47:a1 cl_ord_id@48:a14
OrderReplaced U 68 66 timestamp@1:8 orig_user_ref_num@9:4 user_ref_num@13:4 side@17:a1
    quantity@18:4 symbol@22:a8 price@30:8 time_in_force@38:a1 display@39:a1
    order_reference_number@40:8 capacity@48:a1 intermarket_sweep@49:a1 cross_type@50:a1
    order_state@51:a1 cl_ord_id@52:a14
OrderCanceled C 18 18? timestamp@1:8 user_ref_num@9:4 quantity@13:4 reason@17:a1
AiqCanceled D 32 32? timestamp@1:8 user_ref_num@9:4 quantity@13:4 reason@17:a1
    quantity_prevented@18:4 execution_price@22:8 liquidity_flag@30:a1 aiq_strategy@31:a1
OrderExecuted E 36 34 timestamp@1:8 user_ref_num@9:4 quantity@13:4 price@17:8 liquidity_flag@25:a1
    match_number@26:8
BrokenTrade B 36 36? timestamp@1:8 user_ref_num@9:4 match_number@13:8 reason@21:a1 cl_ord_id@22:a14
Rejected J 29 29? timestamp@1:8 user_ref_num@9:4 reason@13:2 cl_ord_id@15:a14
CancelPending P 13 13? timestamp@1:8 user_ref_num@9:4
CancelReject I 13 13? timestamp@1:8 user_ref_num@9:4
OrderPriorityUpdate T 30 30? timestamp@1:8 user_ref_num@9:4 price@13:8 display@21:a1
    order_reference_number@22:8
OrderModified M 18 18? timestamp@1:8 user_ref_num@9:4 side@13:a1 quantity@14:4
OrderRestated R 16 14 timestamp@1:8 user_ref_num@9:4 reason@13:a1
MassCancelResponse X 27 25 timestamp@1:8 user_ref_num@9:4 firm@13:a4 symbol@17:a8
DisableOrderEntryResponse G 19 17 timestamp@1:8 user_ref_num@9:4 firm@13:a4
EnableOrderEntryResponse K 19 17 timestamp@1:8 user_ref_num@9:4 firm@13:a4
AccountQueryResponse Q 13 13? timestamp@1:8 next_user_ref_num@9:4
"""


class Field(NamedTuple):
    """Where a field lies."""

    name: str
    offset: int
    width: int
    is_text: bool


class Published(NamedTuple):
    """A row of the tables above."""

    message_class: Callable[..., Any]
    code: str
    length: int
    appendage_at: int | None
    optional: bool
    fields: list[Field]


def published(table: str) -> list[Published]:
    rows = []
    for row in re.sub(r"\n +", " ", table).split("\n"):
        if not row:
            continue
        name, code, length, appendage, *fields = row.split()
        rows.append(
            Published(
                getattr(m, name),
                code,
                int(length),
                None if appendage == "-" else int(appendage.rstrip("?")),
                appendage.endswith("?"),
                [
                    Field(name, int(offset), int(width.lstrip("a")), width.startswith("a"))
                    for name, offset, width in (re.split("[@:]", field) for field in fields)
                ],
            )
        )
    return rows


INBOUND, OUTBOUND = published(PUBLISHED_INBOUND), published(PUBLISHED_OUTBOUND)
ROWS = [(row, ouch50.decode_inbound) for row in INBOUND] + [
    (row, ouch50.decode_outbound) for row in OUTBOUND
]
EVERY = pytest.mark.parametrize(
    ("row", "decode"), [pytest.param(*row, id=row[0].message_class.__name__) for row in ROWS]
)

# Name, kind of value: the appendage of Appendix A, a second time too.
TAGS: dict[str, int | str] = {
    "secondary_ord_ref_num": 64,
    "firm": "4",
    "min_qty": 32,
    "customer_type": "1",
    "max_floor": 32,
    "price_type": "1",
    "peg_offset": -32,
    "discretion_price": 64,
    "discretion_price_type": "1",
    "discretion_peg_offset": -32,
    "post_only": "1",
    "random_reserves": 32,
    "route": "4",
    "expire_time": 32,
    "trade_now": "1",
    "handle_inst": "1",
    "bbo_weight": "1",
    "display_qty": 32,
    "display_price": 64,
    "group_id": 16,
    "shares_located": "1",
    "locate_broker": "4",
    "side": "1",
    "user_ref_idx": 8,
    "aiq_strategy": "1",
    "aiq_group_id": "2",
}


def texts(width: int) -> st.SearchStrategy[str]:
    alphabet = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
    return st.text(alphabet, max_size=width).map(lambda text: text.rstrip(" "))


def tag_values(kind: int | str) -> st.SearchStrategy[int | str]:
    if isinstance(kind, str):
        return texts(int(kind))
    if kind < 0:
        return st.integers(-(2 ** (-kind - 1)), 2 ** (-kind - 1) - 1)
    return st.integers(0, 2**kind - 1)


make_appendage: Callable[..., Appendage] = Appendage
APPENDAGES = st.one_of(
    st.just(NO_APPENDAGE),
    st.fixed_dictionaries({}, optional={name: tag_values(kind) for name, kind in TAGS.items()}).map(
        lambda fields: make_appendage(**fields)
    ),
)


@st.composite
def messages(draw: st.DrawFn, row: Published) -> Any:
    values: list[Any] = [
        draw(texts(field.width) if field.is_text else st.integers(0, 2 ** (8 * field.width) - 1))
        for field in row.fields
    ]
    if row.appendage_at is not None:
        values.append(draw(APPENDAGES))
    return row.message_class(*values)


def sample(row: Published, appendage: Appendage = NO_APPENDAGE) -> Any:
    """A message with different values in all fields."""
    values: list[Any] = [
        chr(65 + index) * field.width if field.is_text else 0x41 + index
        for index, field in enumerate(row.fields)
    ]
    return row.message_class(*values, *([] if row.appendage_at is None else [appendage]))


def test_all_messages_of_both_directions_are_there() -> None:
    assert len(INBOUND) == 8
    assert len(OUTBOUND) == 17
    assert {row.message_class for row in INBOUND} == set(get_args(m.InboundMessage))
    assert {row.message_class for row in OUTBOUND} == set(get_args(m.OutboundMessage))
    assert {row.code: row.length for row in INBOUND} == ouch50.INBOUND_LENGTHS
    assert {row.code: row.length for row in OUTBOUND} == ouch50.OUTBOUND_LENGTHS


@EVERY
def test_a_message_has_the_published_fields(row: Published, decode: object) -> None:
    names = [field.name for field in row.fields]
    names += [] if row.appendage_at is None else ["appendage"]
    assert list(row.message_class._fields) == names  # type: ignore[attr-defined]


@EVERY
@given(data=st.data())
@settings(max_examples=25)
def test_every_message_lies_as_published_and_survives_the_round_trip(
    row: Published, decode: Callable[[bytes], Any], data: st.DataObject
) -> None:
    message = data.draw(messages(row))
    wire = ouch50.encode(message)
    assert wire[:1] == row.code.encode()
    for field in row.fields:
        value = getattr(message, field.name)
        raw = value.encode().ljust(field.width) if field.is_text else value.to_bytes(field.width)
        assert wire[field.offset : field.offset + field.width] == raw, field.name
    appendage = getattr(message, "appendage", NO_APPENDAGE)
    if appendage == NO_APPENDAGE:
        assert len(wire) == row.length
    else:
        assert row.appendage_at is not None
        elements = encode_appendage(appendage)
        assert wire[row.appendage_at :] == len(elements).to_bytes(2) + elements
    assert decode(wire) == message
    assert type(decode(wire)) is row.message_class


@EVERY
def test_a_message_is_as_long_as_published(row: Published, decode: Callable[[bytes], Any]) -> None:
    wire = ouch50.encode(sample(row))
    assert len(wire) == row.length
    if row.optional:
        assert row.appendage_at == row.length
        assert decode(wire + b"\x00\x00") == sample(row)
    elif row.appendage_at is not None:
        assert row.appendage_at == row.length - 2
        assert wire[-2:] == b"\x00\x00"


@EVERY
def test_a_message_cut_short_at_any_byte_is_refused(
    row: Published, decode: Callable[[bytes], Any]
) -> None:
    appendages = [NO_APPENDAGE]
    appendages += [] if row.appendage_at is None else [Appendage(firm="ABCD", user_ref_idx=7)]
    for appendage in appendages:
        wire = ouch50.encode(sample(row, appendage))
        for length in range(len(wire)):
            if row.code == "D" and length in (31, 32) and row.message_class is m.AiqCanceled:
                continue  # ends where an edition of the message ends
            if row.optional and length == row.length:
                assert decode(wire[:length]) == sample(row)
                continue
            with pytest.raises(Ouch50Error):
                decode(wire[:length])


@EVERY
def test_a_message_that_goes_on_is_refused(row: Published, decode: Callable[[bytes], Any]) -> None:
    wire = ouch50.encode(sample(row))
    tails = [b"\x00", b"\x00\x01", b"\x00\x00\x00", b"\x00\x01\x00\x00", bytes(70_000)]
    for tail in tails:
        with pytest.raises(Ouch50Error):
            decode(wire + tail)


@given(st.binary(max_size=120))
def test_random_bytes_raise_our_error_and_nothing_else(data: bytes) -> None:
    for decode in (ouch50.decode_inbound, ouch50.decode_outbound):
        with contextlib.suppress(Ouch50Error):
            assert decode(ouch50.encode(decode(data))) == decode(data)


@EVERY
@given(noise=st.data())
@settings(max_examples=30)
def test_a_message_with_some_bytes_changed_decodes_back_or_raises_our_error(
    row: Published, decode: Callable[[bytes], Any], noise: st.DataObject
) -> None:
    wire = bytearray(ouch50.encode(noise.draw(messages(row))))
    for index in noise.draw(st.lists(st.integers(1, max(1, len(wire) - 1)), max_size=3)):
        wire[index : index + 1] = bytes([noise.draw(st.integers(0, 255))])
    try:
        message = decode(bytes(wire))
    except Ouch50Error:
        return
    assert decode(ouch50.encode(message)) == message


def test_no_inbound_message_is_longer_than_an_order_with_every_tag() -> None:
    every = make_appendage(
        **{name: "" if isinstance(kind, str) else 0 for name, kind in TAGS.items()}
    )
    lengths = [len(ouch50.encode(sample(row, every))) for row in INBOUND]
    assert max(lengths) == lengths[0] == ouch50.MAX_INBOUND_LENGTH


def test_the_tails_begin_at_the_time_in_force() -> None:
    offsets = [
        next(field.offset for field in row.fields if field.name == "time_in_force")
        for row in INBOUND[:2]
    ]
    assert offsets == [ouch50.ENTER_TAIL_OFFSET, ouch50.REPLACE_TAIL_OFFSET]


def test_an_aiq_canceled_of_an_early_edition_has_no_strategy() -> None:
    wire = ouch50.encode(m.AiqCanceled(1, 2, 3, "Q", 4, 5, "A", "D"))
    assert len(wire) == 32
    assert ouch50.decode_outbound(wire[:31]) == m.AiqCanceled(1, 2, 3, "Q", 4, 5, "A", "")
    with pytest.raises(Ouch50Error, match="30 bytes, must be at least 32"):
        ouch50.decode_outbound(wire[:30])


def test_unknown_and_missing_types_are_named_in_the_error() -> None:
    for decode in (ouch50.decode_inbound, ouch50.decode_outbound):
        with pytest.raises(Ouch50Error, match="message type b'Z'"):
            decode(b"Z" + bytes(60))
        with pytest.raises(Ouch50Error, match="empty"):
            decode(b"")
    with pytest.raises(Ouch50Error, match="known are O U X M C D E Q"):
        ouch50.decode_inbound(b"A" + bytes(63))


ENTER = m.EnterOrder(1, "B", 100, "AAPL", 1_872_500, "0", "Y", "A", "N", "N", "ORDER-1")


@pytest.mark.parametrize(
    ("offset", "raw", "error", "reason"),
    [
        (5, b"\x00", BadField, r"code b'\\x00': only printable ASCII"),
        (30, b"\x7f", BadField, "only printable ASCII"),
        (10, b"\xc9", BadField, "text field"),
        (31, b"\n", BadField, "text field"),
        (45, b"\x00\x01", AppendageError, "says 1 bytes and has 0"),
        (45, b"\x00\x03\x02\x08\x00", UnknownTag, "tag 8: not assigned"),
        (45, b"\x00\x02\x02\x1c", AppendageError, "cut short"),
    ],
)
def test_what_is_wrong_after_a_complete_fixed_part_can_be_told_from_a_broken_message(
    offset: int, raw: bytes, error: type[BadField], reason: str
) -> None:
    wire = ouch50.encode(ENTER)
    broken = wire[:offset] + raw + wire[offset + len(raw) :]
    with pytest.raises(BadField, match=reason) as caught:
        ouch50.decode_inbound(broken)
    assert type(caught.value) is error
    with pytest.raises(Ouch50Error, match="46 bytes, must be at least 47") as short:
        ouch50.decode_inbound(wire[:46])
    assert not isinstance(short.value, BadField)


@pytest.mark.parametrize(
    "message",
    [
        ENTER._replace(user_ref_num=2**32),
        ENTER._replace(quantity=-1),
        ENTER._replace(price=2**64),
        ENTER._replace(side="BB"),
        ENTER._replace(symbol="NINECHARS"),
        ENTER._replace(cl_ord_id="É"),
        ENTER._replace(cl_ord_id="FIFTEEN-LETTERS"),
        ENTER._replace(appendage=Appendage(user_ref_idx=256)),
        m.Rejected(0, 1, 0x10000, "A"),
        m.OrderModified(-1, 1, "B", 1),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    message: m.InboundMessage | m.OutboundMessage,
) -> None:
    with pytest.raises(Ouch50Error):
        ouch50.encode(message)


def test_a_decoded_code_is_equal_to_its_name() -> None:
    order = ouch50.decode_inbound(ouch50.encode(ENTER))
    assert isinstance(order, m.EnterOrder)
    assert order.side == ouch50_codes.Side.BUY
    assert order.time_in_force == ouch50_codes.TimeInForce.DAY
    assert order.capacity == ouch50_codes.Capacity.AGENCY
