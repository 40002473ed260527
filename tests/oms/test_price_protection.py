"""Protection: its rules, and what is remembered of prices."""

from __future__ import annotations

import re

import pytest

from oms import safeguards
from oms.events import EventKind
from oms.market_commands import clock_is_due
from oms.price_protection import WINDOW_ROWS, PriceProtection, luld_band
from oms.protection_rules import (
    NO_PROTECTION,
    SECOND_NS,
    ProtectionRules,
    protection_problems,
)
from oms.state_machine import ExchangeStateMachine
from protocols.itch50_messages import HALT_REASONS

LOAD = (
    30,
    (("AAPL", 1, 100, 1, 100_0000, 1_000, 10_000),),
    (("ACC1", "FIRM", 10_000, 2**62),),
    (("S1", "ACC1"), ("S2", "ACC1")),
)
ROW = ("AAPL", 500, 1_000, 1)


@pytest.mark.parametrize(
    ("rules", "rows", "problem"),
    [
        ((), (), "is not 11 numbers"),
        ((1, 2, 3), (), "is not 11 numbers"),
        (NO_PROTECTION._replace(pause_ns=0), (), "pause_ns 0 is not in 1.."),
        (NO_PROTECTION._replace(window_ns=86_401 * SECOND_NS), (), "window_ns"),
        (NO_PROTECTION._replace(breaker_level_1=700), (), "do not rise"),
        (
            NO_PROTECTION._replace(breaker_level_1=7, breaker_level_2=7, breaker_level_3=9),
            (),
            "do not rise",
        ),
        (NO_PROTECTION, (("AAPL", 500, 1_000),), r"is not \(symbol, three numbers\)"),
        (NO_PROTECTION, (7,), r"is not \(symbol, three numbers\)"),
        (NO_PROTECTION, (("AAPL", 10_000, 0, 0),), "luld_bps 10000 is not in 0..9999"),
        (NO_PROTECTION, (("AAPL", 0, -1, 0),), "volatility_bps -1"),
        (NO_PROTECTION, (("AAPL", 0, 0, True),), "index_weight True"),
        (NO_PROTECTION, (ROW, ROW), "more than once"),
    ],
)
def test_what_is_wrong_with_rules_is_said_and_changes_nothing(rules, rows, problem):
    (said,) = protection_problems(rules, rows)
    assert re.search(problem, said)
    machine = ExchangeStateMachine()
    machine.apply(LOAD, 1)
    before = machine.state_hash()
    assert machine.apply((40, rules, rows), 1) == []
    assert machine.state_hash() == before


def test_usual_rules_are_right():
    rules = ProtectionRules(breaker_level_1=700, breaker_level_2=1_300, breaker_level_3=2_000)
    assert protection_problems(rules, (ROW,)) == []


def test_a_band_is_rounded_outwards_to_prices_that_an_order_may_have():
    assert luld_band(100_0000, 500, 100) == (95_0000, 105_0000)
    assert luld_band(100_0049, 500, 100) == (95_0000, 105_0100)
    assert luld_band(100, 1, 100) == (100, 200)
    assert luld_band(199_999_9900, 9_999, 100)[1] == 199_999_9900


def test_memory_of_prices_is_bounded_and_passes_with_the_window():
    protection = PriceProtection(500, 1_000, 300 * SECOND_NS, 100_0000)
    for second in range(5_000):
        protection.record_trade(second * SECOND_NS, 100_0000 + second)
        assert len(protection.rows) <= WINDOW_ROWS
    again = PriceProtection.restore(protection.values())
    assert again.values() == protection.values()
    now_ns = 5_289 * SECOND_NS
    assert protection.is_due(now_ns)
    protection.update_reference(now_ns)
    assert len(protection.rows) == 1
    protection.update_reference(now_ns + 10 * SECOND_NS)
    assert len(protection.rows) == 0
    assert not protection.is_due(now_ns + 10 * SECOND_NS)


def test_the_clock_ticks_for_a_protection_when_something_is_due_and_only_then():
    machine = ExchangeStateMachine()
    machine.apply(LOAD, 1)
    machine.apply((40, tuple(NO_PROTECTION), (ROW,)), 1)
    machine.apply((31, "", 2, ""), 1)
    ticked, now_ns = [], 0
    machine.apply((1, "S1", 1, "", "A1", "AAPL", 1, 2, 0, 10, 105_0000), SECOND_NS)
    for second in range(1, 600):
        now_ns = second * SECOND_NS
        is_due = clock_is_due(machine.state, now_ns)
        before = machine.state_hash()
        assert clock_is_due(machine.state, now_ns) == is_due
        assert machine.state_hash() == before, "who asks changes nothing"
        if is_due:
            events = machine.apply((20,), now_ns)
            ticked += [(second, EventKind(event[0]).name) for event in events]
    actions = [second for second, name in ticked if name == "TRADING_ACTION"]
    assert actions == [16, 316, 376], "pause, call, auction"


def test_the_reasons_of_halts_are_codes_of_itch():
    reasons = {*safeguards.BREAKER_HALTS[1:], safeguards.LIMIT_STATE_PAUSE, "T5", "T7", "MWCQ"}
    assert reasons <= HALT_REASONS


def test_a_band_that_equals_the_collar_is_told():
    machine = ExchangeStateMachine()
    machine.apply(LOAD, 1)
    (event,) = machine.apply((40, tuple(NO_PROTECTION), (("AAPL", 1_000, 0, 0),)), 2)
    assert event == (EventKind.PRICE_BAND_SET, "", 1, "AAPL", 100_0000, 90_0000, 110_0000)


def test_rules_that_are_tuples_a_thousand_deep_are_wrong_like_any_others():
    deep: tuple[object, ...] = ()
    for _ in range(5_000):
        deep = (deep,)
    machine = ExchangeStateMachine()
    machine.apply(LOAD, 1)
    assert machine.apply((40, tuple(NO_PROTECTION), (deep,)), 2) == []
    assert machine.apply((40, (*NO_PROTECTION[1:], deep), ()), 2) == []
    assert machine.apply((40, tuple(NO_PROTECTION), (("AAPL", deep, 0, 0),)), 2) == []
