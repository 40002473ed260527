"""What an order wants: FIX fields to terms and back, in every version."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fix.dialects import DIALECTS
from gateway.fix.order_terms import TERM_TAGS, Reading, Refusal, read_terms
from gateway.fix.request import Sender
from gateway.fix.term_reports import terms_text
from matching.types import OrderType, PegType, SelfTradeAction
from oms.terms import Instruction, Terms
from protocols.fix import FixMessage
from protocols.fix_dictionary import FIX50SP2, VERSIONS

SIXTY_YEARS_NS = 60 * 365 * 86_400 * 10**9
PRICES = st.integers(1, 200_000).map(lambda cents: cents * 100)
SHARES = st.integers(1, 1_000_000)


def sender(version, zone=UTC):
    return Sender("CLIENT1", "ACC1", "CLIENT1-0-", DIALECTS[version], zone)


def message(text):
    """A message with these fields and no others: `99=1.00|18=6`."""
    pairs = [field.partition("=") for field in text.split("|") if field]
    tags = tuple(int(tag) for tag, _, _ in pairs)
    return FixMessage((8, 9, 35, *tags), ["FIX.4.4", "5", "D", *(v for _, _, v in pairs)], True)


@st.composite
def terms_of_orders(draw):
    """(order type, terms) that make sense together."""
    order_type = draw(st.sampled_from([*OrderType]))
    fields = {}
    if order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
        fields["stop_price"] = draw(PRICES)
    if order_type == OrderType.STOP and draw(st.booleans()):
        fields["trail_amount"] = draw(PRICES)
    if order_type == OrderType.PEGGED:
        fields["peg"] = int(draw(st.sampled_from(PegType)))
        fields["peg_offset"] = draw(st.integers(-500, 500)) * 100
    shown = draw(st.sampled_from(["all", "part", "varying", "nothing"]))
    if shown in ("part", "varying"):
        fields["display_qty"] = draw(SHARES)
    if shown == "varying":
        fields["display_range"] = draw(st.integers(0, fields["display_qty"] - 1))
    bits = draw(st.sampled_from([0, Instruction.POST_ONLY, Instruction.ALL_OR_NONE]))
    fields["instructions"] = int(bits | (Instruction.HIDDEN if shown == "nothing" else 0))
    if draw(st.booleans()):
        fields["min_qty"] = draw(SHARES)
    if draw(st.booleans()):
        fields["self_trade_group"] = draw(st.integers(1, 65_535))
        fields["self_trade_action"] = int(draw(st.sampled_from(SelfTradeAction)))
    if draw(st.booleans()):
        fields["expire_time_ns"] = draw(st.integers(1, SIXTY_YEARS_NS)) // 10**6 * 10**6
    return int(order_type), Terms(**fields)


def as_told(terms, version):
    """What a report of a version can tell of terms."""
    dialect = DIALECTS[version]
    if not dialect.components:
        terms = terms._replace(display_range=0, self_trade_group=0, self_trade_action=0)
    if terms.self_trade_action == SelfTradeAction.DECREMENT:
        usual = int(SelfTradeAction.CANCEL_NEWEST)
        terms = terms._replace(self_trade_action=usual)  # 2964 has no code for it
    return terms


@pytest.mark.parametrize("version", VERSIONS)
@given(case=terms_of_orders())
def test_what_a_report_tells_asks_for_the_same(version, case):
    order_type, terms = case
    if version == "FIX.4.2" and (terms.trail_amount or order_type == OrderType.MARKET_TO_LIMIT):
        return  # it cannot be asked for
    text = terms_text(terms, DIALECTS[version])
    told = message(text.replace("\x01", "|"))
    reading = read_terms(told, order_type, sender(version))
    expected = as_told(terms, version)
    assert reading == Reading(order_type, expected if any(expected) else None)


@pytest.mark.parametrize("version", VERSIONS)
@given(case=terms_of_orders())
def test_a_report_says_only_what_its_version_has(version, case):
    _, terms = case
    dictionary = VERSIONS[version]
    for field in terms_text(terms, DIALECTS[version]).split("\x01")[:-1]:
        tag, _, value = field.partition("=")
        assert int(tag) in dictionary.names, field
        known = dictionary.enumerations.get(int(tag))
        assert known is None or set(value.split(" ")) <= set(known), field


@given(st.lists(st.tuples(st.sampled_from(sorted(TERM_TAGS)), st.text(max_size=12)), max_size=6))
def test_any_text_is_read_or_refused(fields):
    text = "|".join(f"{tag}={value.replace('|', '')}" for tag, value in dict(fields).items())
    for order_type in map(int, OrderType):
        reading = read_terms(message(text), order_type, sender("FIX.5.0SP2"))
        assert isinstance(reading, Reading | Refusal)
        if isinstance(reading, Reading) and reading.terms is not None:
            assert all(-(2**63) <= field < 2**63 for field in reading.terms)
        if isinstance(reading, Refusal):
            assert str(reading.ord_rej_reason) in FIX50SP2.enumerations[103]
            assert reading.text.isprintable()
            assert reading.text.isascii()


@pytest.mark.parametrize(
    ("zone", "end"),
    [("UTC", "20240703-00:00:00.000"), ("America/New_York", "20240703-04:00:00.000"),
     ("Asia/Tokyo", "20240702-15:00:00.000")],
)  # fmt: skip
def test_a_day_ends_where_the_market_is(zone, end):
    reading = read_terms(message("432=20240702"), 2, sender("FIX.4.4", ZoneInfo(zone)))
    assert isinstance(reading, Reading)
    assert terms_text(reading.terms, DIALECTS["FIX.4.4"]) == f"126={end}\x01"
