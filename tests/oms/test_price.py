"""Decimal text to Price(4) and back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.price import HIGHEST_PRICE, format_price, parse_price


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("187.25", 1_872_500),
        ("187.2505", 1_872_505),
        ("187", 1_870_000),
        ("0", 0),
        ("0.0001", 1),
        ("00187.2500", 1_872_500),
        ("187.250000", 1_872_500),  # what printf("%f") writes
        ("1.15", 11_500),
        ("199999.9900", HIGHEST_PRICE),
    ],
)
def test_a_price_is_read_exactly(text, price):
    assert parse_price(text) == price
    assert parse_price(text.encode()) == price


@pytest.mark.parametrize(
    "text",
    [
        "187.25555",
        "187.25001",
        "-1",
        "+1",
        "1e3",
        "1E3",
        "NaN",
        "Infinity",
        "",
        ".",
        " 1",
        "1 ",
        "1.",
        ".5",
        "1.2.3",
        "1,5",
        "1_000",
        "0x10",
        "1\n",
        "1\x00",
        "\u0661",  # a digit, but not an ASCII one
        "\u00b2",
        "199999.9901",
        "200000",
        "9" * 32,
        "9" * 10_000,  # int() itself would raise
        "0" * 33,
    ],
)
def test_what_is_no_price_is_none(text):
    assert parse_price(text) is None
    assert parse_price(text.encode("utf-8")) is None


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (0, "0.00"),
        (1, "0.0001"),
        (10, "0.001"),
        (100, "0.01"),
        (1_000, "0.10"),
        (10_000, "1.00"),
        (1_872_500, "187.25"),
        (1_872_550, "187.255"),
        (1_872_505, "187.2505"),
        (HIGHEST_PRICE, "199999.99"),
    ],
)
def test_a_price_is_written_with_at_least_two_decimals(price, text):
    assert format_price(price) == text


@given(st.integers(0, HIGHEST_PRICE))
def test_a_price_survives_the_way_there_and_back(price):
    text = format_price(price)
    assert parse_price(text) == price
    assert Decimal(text) * 10_000 == price


@given(st.text(alphabet="0123456789.+-e _", max_size=12))
def test_a_text_that_is_read_means_what_decimal_says(text):
    price = parse_price(text)
    if price is not None:
        assert Decimal(text) * 10_000 == price


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_no_text_raises(text):
    price = parse_price(text)
    assert price is None or 0 <= price <= HIGHEST_PRICE


def test_a_negative_price_cannot_be_written():
    with pytest.raises(AssertionError, match="-1 is negative"):
        format_price(-1)
