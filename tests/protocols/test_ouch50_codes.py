"""OUCH 5.0: the closed sets and the prices with a meaning are those published."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from protocols import ouch50_codes


@pytest.mark.parametrize(
    ("codes", "characters"),
    [
        (ouch50_codes.Side, "BSTE"),
        (ouch50_codes.TimeInForce, "0356E"),
        (ouch50_codes.Display, "YNAZ"),
        (ouch50_codes.Capacity, "APRO"),
        (ouch50_codes.IntermarketSweep, "YN"),
        (ouch50_codes.CrossType, "NOCHSREA"),
        (ouch50_codes.PriceType, "LPMRQm"),
        (ouch50_codes.PostOnly, "PN"),
        (ouch50_codes.AiqStrategy, "N*OWDY"),
        (ouch50_codes.OrderState, "LD"),
        (ouch50_codes.SystemEventCode, "SE"),
        (ouch50_codes.RestatementReason, "RP"),
        (ouch50_codes.BrokenTradeReason, "ECSX"),
        (ouch50_codes.CancelReason, "DEFGHIKQSTUXZe"),
        (ouch50_codes.LiquidityFlag, "ARJukmNnOMCLHKie078jpqrt1"),
    ],
)
def test_the_codes_are_those_published(codes: Any, characters: str) -> None:
    assert sorted(codes) == sorted(characters)


def test_reject_reasons_are_numbered_without_a_gap_but_before_the_last() -> None:
    assert list(ouch50_codes.RejectReason) == [*range(0x01, 0x34), 0x40]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("QUOTE_UNAVAILABLE", 0x01),
        ("HALTED", 0x07),
        ("OTHER", 0x0F),
        ("INVALID_QUANTITY", 0x13),
        ("INVALID_SYMBOL", 0x17),
        ("INVALID_PRICE", 0x1D),
        ("EXCEEDS_MAX_NOTIONAL", 0x1F),
        ("RISK_AGGREGATE_EXPOSURE", 0x20),
        ("RISK_FAT_FINGER", 0x26),
        ("RISK_PORT_MESSAGE_RATE", 0x29),
        ("RISK_MAX_QUANTITY", 0x31),
        ("IPO_MARKET_BUY", 0x33),
    ],
)
def test_a_reject_reason_has_its_published_number(name: str, code: int) -> None:
    assert ouch50_codes.RejectReason[name] == code


def test_prices_with_a_meaning_are_those_published() -> None:
    assert ouch50_codes.HIGHEST_LIMIT_PRICE == 1_999_999_900  # 199,999.9900
    assert ouch50_codes.MARKET_PRICE == 2_000_000_000  # 200,000.0000
    assert struct.pack(">I", ouch50_codes.MARKET_IN_CROSS_PRICE) == b"\x7f\xff\xff\xff"
    assert (ouch50_codes.MIN_QUANTITY, ouch50_codes.MAX_QUANTITY) == (1, 999_999)
