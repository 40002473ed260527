"""What reference data of a new cluster must be like."""

from __future__ import annotations

import pytest

from oms.reference_data import (
    HIGHEST_QUANTITY,
    Account,
    Instrument,
    SessionDefinition,
    reference_data_problems,
)

INSTRUMENTS = (
    Instrument("AAPL", 1, 100, 1, 100_0000, 1_000, 1_000),
    Instrument("MSFT", 2, 100, 1, 100_0000, 1_000, 1_000),
)
ACCOUNTS = (Account("ACC1", "FIRM", 1_000, 10_000_0000),)
SESSIONS = (SessionDefinition("CLIENT1", "ACC1"), SessionDefinition("CLIENT2", "ACC1"))


def test_sound_reference_data_has_no_problems():
    assert reference_data_problems(INSTRUMENTS, ACCOUNTS, SESSIONS) == []
    assert reference_data_problems((), (), ()) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"symbol": ""}, "1 to 8 printable ASCII"),
        ({"symbol": "TOOLONGER"}, "'TOOLONGER': a symbol is 1 to 8"),
        ({"symbol": "A\u00c4"}, "printable ASCII"),
        ({"symbol": "A\n"}, "printable ASCII"),
        ({"symbol": "A B"}, "without blanks"),
        ({"symbol": "AAPL"}, "symbol AAPL is defined more than once"),
        ({"stock_locate": 3}, "stock_locate 3 is not its position 2"),
        ({"stock_locate": 1}, "stock_locate 1 is not its position 2"),
        ({"tick_size": 0}, "instrument MSFT: tick_size 0 is not in 1..1999999900"),
        ({"lot_size": 0}, "lot_size 0"),
        ({"reference_price": 0}, "reference_price 0"),
        ({"reference_price": 2_000_000_000}, "reference_price 2000000000"),
        ({"price_band_bps": -1}, "price_band_bps -1"),
        ({"max_quantity": 0}, "max_quantity 0"),
        ({"max_quantity": HIGHEST_QUANTITY + 1}, "max_quantity 4294967296"),
    ],
)
def test_a_wrong_instrument_is_named_with_what_was_found(change, problem):
    instruments = (INSTRUMENTS[0], INSTRUMENTS[1]._replace(**change))
    problems = reference_data_problems(instruments, ACCOUNTS, SESSIONS)
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("accounts", "sessions", "problem"),
    [
        ((*ACCOUNTS, ACCOUNTS[0]), SESSIONS, "account ACC1 is defined more than once"),
        ((*ACCOUNTS, ACCOUNTS[0]._replace(account="")), SESSIONS, "an account has no name"),
        ((ACCOUNTS[0]._replace(max_order_quantity=0),), SESSIONS, "max_order_quantity 0 is not"),
        ((ACCOUNTS[0]._replace(max_order_value=0),), SESSIONS, "max_order_value 0 is not"),
        ((ACCOUNTS[0]._replace(max_order_value=2**63),), SESSIONS, "max_order_value 922"),
        (ACCOUNTS, (*SESSIONS, SESSIONS[0]), "session CLIENT1 is defined more than once"),
        (ACCOUNTS, (("CLIENT1", "ACC7"),), "session CLIENT1: account ACC7 is unknown"),
        (ACCOUNTS, (("", "ACC1"),), "a session has no name"),
    ],
)
def test_a_wrong_account_or_session_is_named(accounts, sessions, problem):
    problems = reference_data_problems(INSTRUMENTS, accounts, sessions)
    assert len(problems) == 1
    assert problem in problems[0]
