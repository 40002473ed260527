"""Appendages of OUCH 5.0: elements of known tags and lengths, each at most once."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.ouch50_appendage import (
    MAX_APPENDAGE_LENGTH,
    NO_APPENDAGE,
    Appendage,
    Tag,
    decode_appendage,
    encode_appendage,
    join_elements,
    split_elements,
    user_ref_idx_appendage,
    user_ref_idx_element,
)
from protocols.ouch50_fields import AppendageError, BadField, Ouch50Error, UnknownTag

# Every tag with a value, and the element that says so: written by hand from Appendix A.
GOLDEN: dict[str, tuple[int | str, str]] = {
    "secondary_ord_ref_num": (258, "09 01 0000000000000102"),
    "firm": ("ABCD", "05 02 41424344"),
    "min_qty": (100, "05 03 00000064"),
    "customer_type": ("R", "02 04 52"),
    "max_floor": (200, "05 05 000000C8"),
    "price_type": ("M", "02 06 4D"),
    "peg_offset": (-1, "05 07 FFFFFFFF"),
    "discretion_price": (1_872_500, "09 09 00000000001C9274"),
    "discretion_price_type": ("P", "02 0A 50"),
    "discretion_peg_offset": (-(2**31), "05 0B 80000000"),
    "post_only": ("P", "02 0C 50"),
    "random_reserves": (1, "05 0D 00000001"),
    "route": ("AB", "05 0E 41422020"),
    "expire_time": (86_399, "05 0F 0001517F"),
    "trade_now": ("Y", "02 10 59"),
    "handle_inst": ("I", "02 11 49"),
    "bbo_weight": ("3", "02 12 33"),
    "display_qty": (0xFFFF_FFFF, "05 16 FFFFFFFF"),
    "display_price": (1, "09 17 0000000000000001"),
    "group_id": (0x0203, "03 18 0203"),
    "shares_located": ("Y", "02 19 59"),
    "locate_broker": ("LOCB", "05 1A 4C4F4342"),
    "side": ("B", "02 1B 42"),
    "user_ref_idx": (255, "02 1C FF"),
    "aiq_strategy": ("O", "02 1D 4F"),
    "aiq_group_id": ("A", "03 1E 4120"),
}
ELEMENTS = [bytes.fromhex(text) for _, text in GOLDEN.values()]
EVERYTHING: Any = {name: value for name, (value, _) in GOLDEN.items()}


def test_every_tag_is_tried() -> None:
    assert list(GOLDEN) == list(Appendage._fields)
    assert [element[1] for element in ELEMENTS] == list(Tag)
    assert len(Tag) == 26


@pytest.mark.parametrize("name", GOLDEN)
def test_an_element_is_laid_out_as_published(name: str) -> None:
    value, text = GOLDEN[name]
    fields: Any = {name: value}
    assert encode_appendage(Appendage(**fields)) == bytes.fromhex(text)
    assert decode_appendage(bytes.fromhex(text)) == Appendage(**fields)


def test_all_tags_together_are_the_longest_appendage() -> None:
    data = b"".join(ELEMENTS)
    assert encode_appendage(Appendage(**EVERYTHING)) == data
    assert decode_appendage(data) == Appendage(**EVERYTHING)
    assert len(data) == MAX_APPENDAGE_LENGTH


def test_no_elements_are_no_appendage() -> None:
    assert decode_appendage(b"") is NO_APPENDAGE
    assert encode_appendage(NO_APPENDAGE) == b""
    assert set(NO_APPENDAGE) == {None}


@given(st.permutations(ELEMENTS), st.integers(0, len(ELEMENTS)))
def test_elements_may_come_in_any_order(elements: list[bytes], count: int) -> None:
    data = b"".join(elements[:count])
    split = split_elements(data)
    assert list(split) == [element[1] for element in elements[:count]]
    assert join_elements(split) == data
    by_tag = sorted(elements[:count], key=lambda element: element[1])
    assert encode_appendage(decode_appendage(data)) == b"".join(by_tag)


def test_blank_text_is_there_and_none_is_not() -> None:
    assert decode_appendage(b"\x02\x04 ").customer_type == ""
    assert encode_appendage(Appendage(customer_type="")) == b"\x02\x04 "
    assert NO_APPENDAGE.customer_type is None


@pytest.mark.parametrize("tag", sorted(set(range(256)) - set(Tag)))
def test_a_tag_that_is_not_assigned_is_an_error_of_its_own(tag: int) -> None:
    with pytest.raises(UnknownTag, match=f"tag {tag}: not assigned") as caught:
        decode_appendage(user_ref_idx_element(1) + bytes((2, tag, 0x41)))
    assert caught.value.tag == tag


@pytest.mark.parametrize("element", ELEMENTS)
def test_an_element_of_another_length_names_tag_and_both_lengths(element: bytes) -> None:
    tag, length = element[1], element[0]
    for wrong in {1, length - 1, length + 1, 255} - {length}:
        data = bytes((wrong, tag)) + bytes(wrong - 1)
        reason = rf"tag {tag} \({Tag(tag).name.lower()}\): length {wrong}, must be {length}"
        with pytest.raises(AppendageError, match=reason):
            decode_appendage(data)


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_tag_given_twice_is_refused(element: bytes) -> None:
    with pytest.raises(AppendageError, match=rf"tag {element[1]} .*given twice"):
        decode_appendage(element + element)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00", "length 0 at byte 0"),
        (b"\x02\x1c\x01\x00", "length 0 at byte 3"),
        (b"\x02", "at byte 0 cut short: length 2, 0 are left"),
        (b"\x02\x1c", "cut short: length 2, 1 are left"),
        (b"\x02\x1c\x01\x05\x03\x00", "at byte 3 cut short: length 5, 2 are left"),
        (b"\xff\x08", "cut short"),
    ],
)
def test_an_element_cut_short_is_refused_with_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(AppendageError, match=reason) as caught:
        decode_appendage(data)
    assert not isinstance(caught.value, UnknownTag)


def test_all_tags_cut_short_at_any_byte_are_refused_or_a_shorter_appendage() -> None:
    data = b"".join(ELEMENTS)
    ends = {len(b"".join(ELEMENTS[:count])) for count in range(len(ELEMENTS) + 1)}
    for length in range(len(data)):
        if length in ends:
            assert encode_appendage(decode_appendage(data[:length])) == data[:length]
        else:
            with pytest.raises(AppendageError, match="cut short"):
                decode_appendage(data[:length])


@given(st.binary(max_size=60))
def test_random_bytes_raise_our_error_and_nothing_else(data: bytes) -> None:
    for candidate in (data, b"".join(ELEMENTS[:3]) + data):
        with contextlib.suppress(Ouch50Error):
            assert set(split_elements(candidate)) <= set(Tag)
            assert len(encode_appendage(decode_appendage(candidate))) == len(candidate)


@pytest.mark.parametrize("data", [b"\x02\x04\x00", b"\x05\x02AB\xc9 ", b"\x05\x0eAB\n "])
def test_text_that_is_not_printable_is_a_bad_field(data: bytes) -> None:
    with pytest.raises(BadField, match="printable ASCII"):
        decode_appendage(data)


@pytest.mark.parametrize(
    ("appendage", "reason"),
    [
        (Appendage(user_ref_idx=256), r"tag 28 \(user_ref_idx\), value 256"),
        (Appendage(group_id=-1), "tag 24"),
        (Appendage(peg_offset=2**31), "tag 7"),
        (Appendage(firm="FIRMA"), "at most 4"),
        (Appendage(firm=5), r"tag 2 \(firm\), value 5"),  # type: ignore[arg-type]
        (Appendage(side="BS"), "at most 1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(appendage: Appendage, reason: str) -> None:
    with pytest.raises(Ouch50Error, match=reason):
        encode_appendage(appendage)


def test_an_index_of_zero_is_not_said() -> None:
    assert user_ref_idx_appendage(0) is NO_APPENDAGE
    assert user_ref_idx_appendage(9) == Appendage(user_ref_idx=9)
    assert user_ref_idx_element(9) == encode_appendage(Appendage(user_ref_idx=9))
