"""Each check alone, at its edges, and the order in which they speak."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.order_book import MatchNumbers
from oms import risk
from oms.events import RejectReason, TradingState
from oms.order_state import Order
from oms.price import HIGHEST_PRICE
from oms.reference_data import Account, Instrument
from oms.risk import CHECKS, REDUCE_CHECKS, REPLACE_CHECKS, first_refusal, is_plain_order
from oms.state_machine import ExchangeStateMachine
from oms.trading_state import ENTRY_REFUSED, HIGHEST_VALUE, DayStatistics, Listing, price_band

INSTRUMENT = Instrument("AAPL", 1, 100, 10, 100_0000, 1_000, 1_000)
ACCOUNT = Account("ACC1", "FIRM", 800, 50_000_0000)
HUGE = 2**80


def listing_with(trading_state: int = TradingState.TRADING, **changes: int) -> Listing:
    listing = Listing(INSTRUMENT._replace(**changes), MatchNumbers(), lambda: 1, lambda order: 1)
    listing.trading_state = trading_state
    return listing


def order_with(side=1, order_type=2, tif=0, quantity=100, price=100_0000, cum_qty=0) -> Order:
    order = Order(1, "S1", "A1", "ACC1", "AAPL", side, order_type, tif, quantity, price)
    order.cum_qty = cum_qty
    return order


def is_plain(order: Order, listing: Listing) -> bool:
    fields = (order.side, order.order_type, order.time_in_force, order.quantity, order.price)
    return is_plain_order(listing, ACCOUNT, *fields)


def check(function: Callable, order: Order, listing: Listing | None = None, account=ACCOUNT):
    return function(order, listing or listing_with(), account)


@pytest.mark.parametrize("state", list(TradingState))
def test_every_trading_state_says_whether_orders_enter(state):
    reason = ENTRY_REFUSED[state]
    expected = None if reason is None else (reason, state, "")
    assert check(risk.check_trading_state, order_with(), listing_with(state)) == expected


def test_only_trading_and_auctions_let_orders_enter():
    refused = [state for state in TradingState if ENTRY_REFUSED[state] is not None]
    assert refused == [
        TradingState.CLOSED,
        TradingState.HALTED,
        TradingState.EMERGENCY_CLOSED,
    ]


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_side_of_ours_passes(side):
    assert check(risk.check_side, order_with(side=side)) is None


@pytest.mark.parametrize("side", [-1, 0, 3, 4, 7, HUGE])
def test_another_side_is_refused(side):
    assert check(risk.check_side, order_with(side=side)) == (RejectReason.INVALID_SIDE, side, "")


@pytest.mark.parametrize("order_type", [1, 2, 3, 4, 75, 80])
def test_an_order_type_of_ours_passes(order_type):
    assert check(risk.check_order_type, order_with(order_type=order_type)) is None


@pytest.mark.parametrize("order_type", [-1, 0, 5, 74, HUGE])
def test_another_order_type_is_refused(order_type):
    expected = (RejectReason.INVALID_ORDER_TYPE, order_type, "")
    assert check(risk.check_order_type, order_with(order_type=order_type)) == expected


@pytest.mark.parametrize("tif", [0, 1, 2, 3, 4, 6, 7])
def test_a_time_in_force_of_ours_passes(tif):
    assert check(risk.check_time_in_force, order_with(tif=tif)) is None


@pytest.mark.parametrize("tif", [-1, 5, 8, HUGE])
def test_another_time_in_force_is_refused(tif):
    expected = (RejectReason.INVALID_TIME_IN_FORCE, tif, "")
    assert check(risk.check_time_in_force, order_with(tif=tif)) == expected


@pytest.mark.parametrize("quantity", [0, -1, -HUGE])
def test_no_shares_and_fewer_are_refused(quantity):
    expected = (RejectReason.INVALID_QUANTITY, quantity, "")
    assert check(risk.check_quantity, order_with(quantity=quantity)) == expected
    assert check(risk.check_quantity, order_with(quantity=1)) is None


@pytest.mark.parametrize(("quantity", "passes"), [(10, True), (9, False), (11, False), (15, False)])
def test_a_quantity_is_a_multiple_of_the_lot(quantity, passes):
    expected = None if passes else (RejectReason.QUANTITY_NOT_ROUND_LOT, quantity, 10)
    assert check(risk.check_round_lot, order_with(quantity=quantity)) == expected


@pytest.mark.parametrize(
    ("instrument_most", "account_most", "most"), [(500, 800, 500), (1_000, 800, 800)]
)
def test_the_lower_of_two_quantity_limits_counts(instrument_most, account_most, most):
    listing = listing_with(max_quantity=instrument_most)
    account = ACCOUNT._replace(max_order_quantity=account_most)
    passing, failing = order_with(quantity=most), order_with(quantity=most + 1)
    assert risk.check_max_quantity(passing, listing, account) is None
    expected = (RejectReason.QUANTITY_TOO_LARGE, most + 1, most)
    assert risk.check_max_quantity(failing, listing, account) == expected


@pytest.mark.parametrize("price", [0, -1, -HUGE, HIGHEST_PRICE + 1, HUGE])
def test_a_limit_that_is_no_price_is_refused(price):
    expected = (RejectReason.INVALID_PRICE, price, "")
    assert check(risk.check_price, order_with(price=price)) == expected


@pytest.mark.parametrize("price", [1, HIGHEST_PRICE])
def test_a_limit_up_to_the_highest_price_passes(price):
    assert check(risk.check_price, order_with(price=price)) is None


@pytest.mark.parametrize("price", [1, -1, 100_0000, HUGE])
def test_a_market_order_has_no_price(price):
    expected = (RejectReason.INVALID_PRICE, price, "")
    assert check(risk.check_price, order_with(order_type=1, price=price)) == expected
    assert check(risk.check_price, order_with(order_type=1, price=0)) is None


@pytest.mark.parametrize(("price", "passes"), [(100, True), (150, False), (199, False), (1, False)])
def test_a_limit_is_on_the_grid(price, passes):
    expected = None if passes else (RejectReason.PRICE_OFF_GRID, price, 100)
    assert check(risk.check_price_grid, order_with(price=price)) == expected


@pytest.mark.parametrize(
    ("price", "passes"),
    [(90_0000, True), (110_0000, True), (89_9999, False), (110_0001, False)],
)
@pytest.mark.parametrize("side", [1, 2, 5])
def test_both_edges_of_the_band_are_inside(price, passes, side):
    expected = None if passes else (RejectReason.PRICE_OUT_OF_BAND, price, "900000-1100000")
    assert check(risk.check_price_band, order_with(side=side, price=price)) == expected


def test_the_band_of_a_market_order_is_its_collar():
    assert check(risk.check_price_band, order_with(order_type=1, price=0)) is None


def test_the_band_follows_the_last_trade_and_returns_to_the_reference():
    listing = listing_with()
    listing.record_last_price(200_0000)
    assert (listing.band_low, listing.band_high) == (180_0000, 220_0000)
    listing.record_last_price(0)
    assert (listing.band_low, listing.band_high) == (90_0000, 110_0000)


@pytest.mark.parametrize(
    ("price", "bps", "low", "high"),
    [
        (100_0000, 0, 100_0000, 100_0000),
        (33, 1_000, 30, 36),  # 29.7 and 36.3: rounded to the inside
        (1, 1_000, 1, 1),
        (100_0000, 10_000, 1, 200_0000),  # 100 % down would be no price
        (100_0000, 50_000, 1, 600_0000),
        (HIGHEST_PRICE, 1_000, 179_999_9910, HIGHEST_PRICE),
    ],
)
def test_a_band_is_never_wider_than_it_says_and_has_only_prices(price, bps, low, high):
    assert price_band(price, bps) == (low, high)


@pytest.mark.parametrize(("quantity", "passes"), [(500, True), (501, False)])
def test_an_order_is_worth_its_limit_times_its_quantity(quantity, passes):
    expected = None
    if not passes:
        expected = (RejectReason.ORDER_VALUE_TOO_LARGE, 501 * 100_0000, 50_000_0000)
    assert check(risk.check_order_value, order_with(quantity=quantity)) == expected


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_market_order_is_worth_the_upper_edge_of_the_band(side):
    passing = order_with(side=side, order_type=1, price=0, quantity=454)
    failing = order_with(side=side, order_type=1, price=0, quantity=455)
    assert check(risk.check_order_value, passing) is None
    expected = (RejectReason.ORDER_VALUE_TOO_LARGE, 455 * 110_0000, 50_000_0000)
    assert check(risk.check_order_value, failing) == expected


@pytest.mark.parametrize(("quantity", "passes"), [(41, True), (40, False), (39, False)])
def test_a_new_total_leaves_something_open(quantity, passes):
    expected = None if passes else (RejectReason.QUANTITY_ALREADY_EXECUTED, quantity, 40)
    order = order_with(quantity=quantity, cum_qty=40)
    assert check(risk.check_already_executed, order) == expected


def test_the_first_check_that_refuses_counts():
    """An order with every fault, cured one by one, names them in the order of CHECKS."""
    listing = listing_with(TradingState.HALTED)
    order = order_with(side=9, order_type=9, tif=9, quantity=-1, price=-1)
    cures = [
        (RejectReason.HALTED, lambda: setattr(listing, "trading_state", TradingState.TRADING)),
        (RejectReason.INVALID_SIDE, lambda: setattr(order, "side", 1)),
        (RejectReason.INVALID_ORDER_TYPE, lambda: setattr(order, "order_type", 2)),
        (RejectReason.INVALID_TIME_IN_FORCE, lambda: setattr(order, "time_in_force", 0)),
        (RejectReason.INVALID_QUANTITY, lambda: setattr(order, "quantity", 100_001)),
        (RejectReason.QUANTITY_NOT_ROUND_LOT, lambda: setattr(order, "quantity", 100_000)),
        (RejectReason.QUANTITY_TOO_LARGE, lambda: setattr(order, "quantity", 800)),
        (RejectReason.INVALID_PRICE, lambda: setattr(order, "price", 1_000_0001)),
        (RejectReason.PRICE_OFF_GRID, lambda: setattr(order, "price", 1_000_0000)),
        (RejectReason.PRICE_OUT_OF_BAND, lambda: setattr(order, "price", 100_0000)),
        (RejectReason.ORDER_VALUE_TOO_LARGE, lambda: setattr(order, "quantity", 10)),
    ]
    assert len(cures) == len(CHECKS)
    for reason, cure in cures:
        refusal = first_refusal(CHECKS, order, listing, ACCOUNT)
        assert refusal is not None
        assert refusal[0] == reason
        cure()
    assert first_refusal(CHECKS, order, listing, ACCOUNT) is None


def test_a_replace_that_only_reduces_is_not_held_up_by_price_or_size():
    left_out = [check for check in REPLACE_CHECKS if check not in REDUCE_CHECKS]
    assert left_out == [
        risk.check_max_quantity,
        risk.check_new_price,
        risk.check_price_grid,
        risk.check_price_band,
        risk.check_order_value,
    ]


def test_a_new_order_passes_every_check_that_a_replace_passes():
    only_for_replaces = set(REPLACE_CHECKS) - set(CHECKS)
    assert only_for_replaces == {risk.check_already_executed, risk.check_new_price}


@settings(max_examples=300)
@given(
    state=st.sampled_from((2, 2, 2, 0, 1)),
    side=st.sampled_from((1, 2, 5, 1, 2, 5, 0, -1, 3)),
    order_type=st.sampled_from((2, 2, 2, 2, 1, 0, 3)),
    tif=st.sampled_from((0, 1, 3, 4, 0, 1, 3, 4, 2, -1)),
    quantity=st.sampled_from((10, 100, 500, 510, 800, 810, 1_000, 0, -10, 5, HUGE)),
    price=st.sampled_from(
        (100_0000, 90_0000, 110_0000, 62_5000, 89_9900, 110_0100, 100_0050, 0, -100, HUGE)
    ),
    band_bps=st.sampled_from((1_000, 0, 9_999, 20_000, 10_000_000)),
)
def test_a_plain_order_is_exactly_a_limit_order_that_passes_every_check(
    state, side, order_type, tif, quantity, price, band_bps
):
    listing = listing_with(state, price_band_bps=band_bps)
    order = order_with(side, order_type, tif, quantity, price)
    passes = first_refusal(CHECKS, order, listing, ACCOUNT) is None
    assert is_plain(order, listing) == (passes and order_type == 2 and tif in (0, 1, 3, 4))


def test_an_order_with_a_single_fault_is_not_plain():
    """Each line of the expression counts."""
    sound = {"side": 1, "order_type": 2, "tif": 0, "quantity": 100, "price": 100_0000}
    assert is_plain(order_with(**sound), listing_with())
    faults = [
        {"side": 3},
        {"order_type": 1},
        {"tif": 2},
        {"quantity": 0},
        {"quantity": 810, "price": 10_0000},
        {"quantity": 105},
        {"price": 89_9900},
        {"price": 110_0100},
        {"price": 100_0050},
        {"quantity": 510},
    ]
    for fault in faults:
        listing = listing_with(price_band_bps=9_999 if fault.get("price") == 10_0000 else 1_000)
        assert not is_plain(order_with(**{**sound, **fault}), listing), fault
    assert not is_plain(order_with(**sound), listing_with(TradingState.HALTED))
    assert not is_plain(order_with(**sound), listing_with(max_quantity=90))


def test_the_readme_tells_the_checks_in_their_order():
    readme = (Path(__file__).resolve().parents[2] / "oms" / "README.md").read_text("utf-8")
    told = re.findall(r"`(check_\w+)`", readme)
    new_order = [check.__name__ for check in CHECKS]
    replace = [check.__name__ for check in REPLACE_CHECKS]
    assert told[: len(new_order)] == new_order
    assert told[len(new_order) :] == replace


def test_no_event_holds_what_a_stop_price_that_is_none_would_be_worth():
    machine = ExchangeStateMachine()
    most = 2**32 - 1
    instruments = (("AAPL", 1, 100, 1, 100_0000, 1_000, most),)
    machine.apply((30, instruments, (("ACC1", "FIRM", most, 10**15),), (("S1", "ACC1"),)), 1)
    machine.apply((31, "", 2, ""), 2)
    order = (1, "S1", 1, "", "A1", "AAPL", 1, 3, 1, most, 0, (2**64 - 1,))
    (event,) = machine.apply(order, 3)
    assert max(value for value in event if isinstance(value, int)) < 2**64


def test_the_value_of_a_day_stays_where_an_event_can_carry_it():
    day = DayStatistics()
    for _ in range(20_000):
        day.record(100_0000, 100_0000, 10**9, 10**15, 1)
    assert day.value == HIGHEST_VALUE < 2**64
    assert day.volume == 20_000 * 10**9
