"""ITCH 5.0 codec: lengths, round trips, refusal of whatever is not exactly one message."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import itch50
from protocols import itch50_messages as m

# Type, total length, names of the alpha fields with their widths: written here from the published
# tables a second time, so that a slip in the codec's own table shows.
PUBLISHED = {
    "S": (12, {"event_code": 1}),
    "R": (
        39,
        {
            "stock": 8,
            "market_category": 1,
            "financial_status_indicator": 1,
            "round_lots_only": 1,
            "issue_classification": 1,
            "issue_sub_type": 2,
            "authenticity": 1,
            "short_sale_threshold_indicator": 1,
            "ipo_flag": 1,
            "luld_reference_price_tier": 1,
            "etp_flag": 1,
            "inverse_indicator": 1,
        },
    ),
    "H": (25, {"stock": 8, "trading_state": 1, "reserved": 1, "reason": 4}),
    "Y": (20, {"stock": 8, "reg_sho_action": 1}),
    "L": (
        26,
        {
            "mpid": 4,
            "stock": 8,
            "primary_market_maker": 1,
            "market_maker_mode": 1,
            "market_participant_state": 1,
        },
    ),
    "V": (35, {}),
    "W": (12, {"breached_level": 1}),
    "K": (28, {"stock": 8, "ipo_quotation_release_qualifier": 1}),
    "J": (35, {"stock": 8}),
    "h": (21, {"stock": 8, "market_code": 1, "operational_halt_action": 1}),
    "A": (36, {"side": 1, "stock": 8}),
    "F": (40, {"side": 1, "stock": 8, "attribution": 4}),
    "E": (31, {}),
    "C": (36, {"printable": 1}),
    "X": (23, {}),
    "D": (19, {}),
    "U": (35, {}),
    "P": (44, {"side": 1, "stock": 8}),
    "Q": (40, {"stock": 8, "cross_type": 1}),
    "B": (19, {}),
    "I": (
        50,
        {
            "imbalance_direction": 1,
            "stock": 8,
            "cross_type": 1,
            "price_variation_indicator": 1,
        },
    ),
    "N": (20, {"stock": 8, "interest_flag": 1}),
    "O": (48, {"stock": 8, "open_eligibility_status": 1}),
}
# Everything else in a body is a 4-byte unsigned integer, except these of 8 bytes.
EIGHT_BYTES = {
    "order_reference_number",
    "original_order_reference_number",
    "new_order_reference_number",
    "match_number",
    "level_1",
    "level_2",
    "level_3",
    "paired_shares",
    "imbalance_shares",
    "near_execution_time",
}
TYPES = sorted(PUBLISHED)


def bits_of(message_type: str, name: str) -> int:
    if message_type == "Q" and name == "shares":
        return 64
    return 64 if name in EIGHT_BYTES else 32


@st.composite
def messages(draw: st.DrawFn, message_type: str | None = None) -> m.Message:
    kind = message_type or draw(st.sampled_from(TYPES))
    _, alphas = PUBLISHED[kind]
    message_class: Any = itch50.MESSAGE_CLASSES[kind]
    values: list[Any] = [
        draw(st.integers(0, 2**16 - 1)),
        draw(st.integers(0, 2**16 - 1)),
        draw(st.integers(0, 2**48 - 1)),
    ]
    for name in message_class._fields[3:]:
        if name in alphas:
            alphabet = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
            values.append(draw(st.text(alphabet, max_size=alphas[name])).rstrip(" "))
        else:
            values.append(draw(st.integers(0, 2 ** bits_of(kind, name) - 1)))
    message: m.Message = message_class(*values)
    return message


def test_all_23_message_types_are_there() -> None:
    assert set(itch50.LENGTHS) == set(PUBLISHED)
    assert len(PUBLISHED) == 23
    assert set(itch50.MESSAGE_TYPES) == set(get_args(m.Message))


@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
@settings(max_examples=15)
def test_every_type_has_its_published_length_and_survives_the_round_trip(
    kind: str, data: st.DataObject
) -> None:
    message = data.draw(messages(kind))
    wire = itch50.encode(message)
    assert len(wire) == PUBLISHED[kind][0] == itch50.LENGTHS[kind]
    assert wire[:1] == kind.encode()
    assert itch50.decode(wire) == message
    assert type(itch50.decode(wire)) is itch50.MESSAGE_CLASSES[kind]
    assert itch50.decode_by_table(wire) == message


def test_an_add_order_is_laid_out_as_published() -> None:
    message = m.AddOrder(1, 2, 0x0304_0506_0708, 9, "B", 10, "AAPL", 1_872_500)
    wire = itch50.encode(message)
    assert wire == (
        b"A\x00\x01\x00\x02\x03\x04\x05\x06\x07\x08"
        b"\x00\x00\x00\x00\x00\x00\x00\x09B\x00\x00\x00\x0aAAPL    " + (1_872_500).to_bytes(4)
    )


def test_a_cross_trade_has_shares_of_eight_bytes() -> None:
    wire = itch50.encode(m.CrossTrade(1, 0, 0, 2**40, "AAPL", 5, 6, "O"))
    assert wire[11:19] == (2**40).to_bytes(8)
    assert wire[19:27] == b"AAPL    "
    assert len(wire) == 40


@given(messages())
def test_a_message_cut_short_or_too_long_is_refused(message: m.Message) -> None:
    wire = itch50.encode(message)
    for length in range(len(wire)):
        assert not itch50.is_well_formed(wire[:length])
        with pytest.raises(itch50.ItchError):
            itch50.decode(wire[:length])
    with pytest.raises(itch50.ItchError, match=r"must be \d+"):
        itch50.decode(wire + b"\x00")


@given(st.binary(max_size=60))
def test_random_bytes_decode_or_raise_itch_error_and_nothing_else(data: bytes) -> None:
    try:
        message = itch50.decode(data)
    except itch50.ItchError:
        return
    assert itch50.encode(message) == data


@given(st.sampled_from(TYPES), st.binary(min_size=50, max_size=50))
def test_random_bodies_of_the_right_length_are_decoded_back_or_refused(
    kind: str, body: bytes
) -> None:
    data = kind.encode() + body[: PUBLISHED[kind][0] - 1]
    try:
        message = itch50.decode(data)
    except itch50.ItchError:
        assert not all(0x20 <= byte < 0x7F for byte in data)
        return
    assert message == itch50.decode_by_table(data)
    assert itch50.encode(message) == data


def test_an_unknown_type_is_named_in_the_error() -> None:
    with pytest.raises(itch50.ItchError, match="message type b'Z'"):
        itch50.decode(b"Z" + bytes(30))
    with pytest.raises(itch50.ItchError, match="empty"):
        itch50.decode(b"")


@pytest.mark.parametrize(
    "message",
    [
        m.OrderDelete(1, 0, 2**48, 7),
        m.OrderDelete(2**16, 0, 0, 7),
        m.OrderDelete(1, 0, -1, 7),
        m.OrderCancel(1, 0, 0, 7, 2**32),
        m.OrderCancel(1, 0, 0, 7, -1),
        m.SystemEvent(0, 0, 0, "OO"),
        m.SystemEvent(0, 0, 0, "é"),
        m.RegShoRestriction(0, 0, 0, "NINECHARS", "0"),
        m.RegShoRestriction(0, 0, 0, "A\nB", "0"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(message: m.Message) -> None:
    with pytest.raises(itch50.ItchError):
        itch50.encode(message)


U16, U32, U48, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 48, 64))


@given(U16, U48, U64, U64, U32, U32, st.sampled_from("BS"))
def test_the_fast_encoders_say_what_the_table_says(
    locate: int, time: int, reference: int, other: int, shares: int, price: int, side: str
) -> None:
    stock, side_byte = itch50.stock_field("ZVZZT"), side.encode()
    at = itch50.timestamp_field(time)
    pairs: list[tuple[bytes, m.Message]] = [
        (
            itch50.encode_add_order(locate, at, reference, side_byte, shares, stock, price),
            m.AddOrder(locate, 0, time, reference, side, shares, "ZVZZT", price),
        ),
        (
            itch50.encode_order_executed(locate, at, reference, shares, other),
            m.OrderExecuted(locate, 0, time, reference, shares, other),
        ),
        (
            itch50.encode_order_cancel(locate, at, reference, shares),
            m.OrderCancel(locate, 0, time, reference, shares),
        ),
        (
            itch50.encode_order_delete(locate, at, reference),
            m.OrderDelete(locate, 0, time, reference),
        ),
        (
            itch50.encode_order_replace(locate, at, reference, other, shares, price),
            m.OrderReplace(locate, 0, time, reference, other, shares, price),
        ),
        (
            itch50.encode_trade(locate, at, side_byte, shares, stock, price, other),
            m.Trade(locate, 0, time, 0, side, shares, "ZVZZT", price, other),
        ),
    ]
    for wire, message in pairs:
        assert wire == itch50.encode(message)


def test_a_fast_encoder_refuses_what_does_not_fit() -> None:
    with pytest.raises(itch50.LayoutError):
        itch50.encode_order_cancel(1, bytes(6), 1, 2**32)


@given(messages())
def test_a_body_decoder_says_what_decode_says_in_plain_numbers(message: m.Message) -> None:
    wire = itch50.encode(message)
    kind = chr(wire[0])
    assert itch50.timestamp_of(wire) == message[2]
    body = [
        one.decode().rstrip(" ") if isinstance(one, bytes) else one
        for one in itch50.body_decoder(kind)(wire)
    ]
    assert body == [message[0], *message[3:]]
    for wrong in (wire[:-1], wire + b" "):
        with pytest.raises(itch50.LayoutError):
            itch50.body_decoder(kind)(wrong)
        assert not itch50.are_well_formed([wire, wrong])
    assert itch50.are_well_formed([wire, wire])
    assert not itch50.are_well_formed([wire, b""])
    assert not itch50.are_well_formed([b"Z" + wire[1:]])
