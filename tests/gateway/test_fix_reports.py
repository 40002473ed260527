"""Codes and sentences of reports: one for every reason, all of them known to their version."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fix.dialects import DIALECTS
from gateway.fix.fields import parse_offset, parse_quantity
from gateway.fix.outgoing import REPORTED_KINDS
from gateway.fix.reports import average_price, execution_report_body
from gateway.fix.texts import CANCEL_TEXTS, Facts, reject_text
from oms.events import CancelReason, EventKind, OrderRejected, OrdStatus, RejectReason
from protocols.fix_dictionary import VERSIONS

FOUND = {
    RejectReason.TOO_LATE: 2,
    RejectReason.HALTED: 1,
    RejectReason.MARKET_CLOSED: 0,
    RejectReason.PRICE_OUT_OF_BAND: 1_000_000,
    RejectReason.ORDER_MISMATCH: "side 1",
    RejectReason.NOT_IN_THIS_STATE: "order_type 80",
    RejectReason.INVALID_INSTRUCTION: "HIDDEN with order_type 1",
}
LIMITS = {RejectReason.PRICE_OUT_OF_BAND: "900000-1100000", RejectReason.NOT_IN_THIS_STATE: 4}
TAGGED = (
    "(99)",
    "(110)",
    "(111)",
    "(211)",
    "(18)",
    "(126)",
    "(2362)",
    "(55)",
    "(1)",
    "(11)",
    "(54)",
    "(40)",
    "(59)",
    "(38)",
    "(44)",
    "(41)",
    "session",
)


@pytest.mark.parametrize("reason", RejectReason)
def test_every_reason_has_codes_and_a_sentence_with_its_tag(reason):
    for name, dialect in DIALECTS.items():
        known = VERSIONS[name].enumerations
        assert str(dialect.ord_rej_reason(reason)) in known[103]
        assert str(dialect.cxl_rej_reason(reason)) in known[102]
    limit = LIMITS.get(reason, 100)
    text = reject_text(reason, Facts(FOUND.get(reason, 7), limit, "AAPL", "a"))
    assert any(tag in text for tag in TAGGED), text
    assert text.isprintable()
    assert text.isascii()


def test_a_copy_says_once_what_ouch_has_asked_for():
    firm = reject_text(RejectReason.FIRM_NOT_AUTHORIZED, Facts("firm NOPE"))
    assert firm == "This session may not trade for firm NOPE"
    cross = reject_text(RejectReason.INVALID_CROSS_TYPE, Facts("cross type 'H'"))
    assert cross == "The cross type 'H' is not supported in this session"


@pytest.mark.parametrize("reason", CancelReason)
def test_every_cancel_reason_has_a_text_and_only_the_clients_own_none(reason):
    assert bool(CANCEL_TEXTS[reason]) == (reason != CancelReason.USER)


def test_a_client_is_told_of_everything_but_what_the_gateway_or_another_protocol_needs():
    assert {kind.name for kind in EventKind if kind not in REPORTED_KINDS} == {
        "SESSION_OPENED",
        "SESSION_CLOSED",
        "SESSION_REFUSED",
        "NUMBER_REJECTED",
        "MASS_CANCELED",
        "ORDER_ENTRY_SET",
        "NUMBERS_REPORTED",
        "INSTRUMENT_ADDED",
        "TRADING_ACTION",
        "SYSTEM_EVENT",
        "BOOK_ADDED",
        "BOOK_REDUCED",
        "BOOK_DELETED",
        "BOOK_REPLACED",
        "BOOK_EXECUTED",
        "AUCTION_EXECUTED",
        "AUCTION_INDICATED",
        "INSTRUMENT_DAY_ENDED",
        "TRADING_DAY_STARTED",
        "TRADING_DAY_ENDED",
        "PRICE_BAND_SET",
        "CIRCUIT_BREAKERS_SET",
        "CIRCUIT_BREAKER_TRIPPED",
        "TRADE_BUSTED",
        "BUST_REFUSED",
    }


@given(
    st.lists(
        st.tuples(st.integers(1, 1_000_000), st.integers(1, 1_999_999_900)), min_size=1, max_size=9
    )
)
def test_average_price_is_exact_to_six_decimals(fills):
    cum_qty = sum(quantity for quantity, _ in fills)
    cum_value = sum(quantity * price for quantity, price in fills)
    exact = Decimal(cum_value) / cum_qty / 10_000
    expected = exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)
    assert Decimal(average_price(cum_value, cum_qty)) == expected


def test_average_price_before_the_first_fill_is_zero():
    assert average_price(0, 0) == "0"


@pytest.mark.parametrize(
    ("text", "quantity"),
    [("100", 100), ("100.0", 100), ("100.", 100), ("0", 0), ("-5", -5), ("007", 7),
     ("999999999999", 999_999_999_999), ("1000000000000", None), ("1.5", None), (".5", None),
     ("", None), ("1e3", None), ("+1", None), ("\u0661", None), ("9" * 5_000, None)],
)  # fmt: skip
def test_quantities(text, quantity):
    assert parse_quantity(text) == quantity


@pytest.mark.parametrize(
    ("text", "offset"),
    [("0.05", 500), ("-0.05", -500), ("0", 0), ("-0", 0), ("--1", None), ("+1", None),
     ("-", None), ("1e3", None), (".5", None), ("0.00001", None)],
)  # fmt: skip
def test_offsets(text, offset):
    assert parse_offset(text) == offset


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_the_copy_of_an_ouch_order_with_a_blank_symbol_has_no_field_without_value(dialect):
    order = ("ACC1", "", 1, 2, 0, 100, 1_000_000, 0, 0, 0, int(OrdStatus.REJECTED), 0)
    kind, reason = int(EventKind.ORDER_REJECTED), int(RejectReason.UNKNOWN_SYMBOL)
    rejected = OrderRejected(kind, "OUCH1", "5", 0, *order, reason, "", "")
    body = execution_report_body(rejected, 7, "20240102-09:30:00", dialect)
    assert "55=[N/A]\x01" in body
    assert all(field.partition("=")[2] for field in body.split("\x01")[:-1])
