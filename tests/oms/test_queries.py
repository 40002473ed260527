"""Queries and the cancel of many orders: what stories cannot say."""

from __future__ import annotations

import pytest
from random_commands import HOSTILE_INTEGERS, HOSTILE_STRINGS

from matching.types import Side
from oms import events as e
from oms.events import EventKind, OrdStatus, RejectReason, TradingState
from oms.query_commands import BOOK_LEVELS_MAX, INSTRUMENTS_PER_EVENT, ORDERS_PER_PAGE
from oms.state_machine import ExchangeStateMachine

ACCOUNTS = (("ACC1", "FIRM", 1_000_000, 2**60),)
SESSIONS = (("S1", "ACC1"), ("S2", "ACC1"))
QUERIES = (
    (4, "S1", 1, "A1", "AAPL", 1),
    (16, "S1", 1, "R1", "", 0, 0),
    (17, "S1", 1, "R1", ""),
    (18, "S1", 1, "R1", "AAPL"),
    (19, "S1", 1, "R1"),
    (21, "S1", 1, "R1", "AAPL", 0),
)


def open_exchange(*symbols: str) -> ExchangeStateMachine:
    machine = ExchangeStateMachine()
    instruments = tuple(
        (symbol, place, 1, 1, 100_0000, 9_999, 1_000_000)
        for place, symbol in enumerate(symbols or ("AAPL",), start=1)
    )
    machine.apply((30, instruments, ACCOUNTS, SESSIONS), 1)
    machine.apply((31, "", TradingState.TRADING, ""), 2)
    return machine


def enter(name: str, side: int = 1, price: int = 100_0000, session: str = "S1") -> tuple:
    return (1, session, 1, "", name, "AAPL", side, 2, 0, 10, price)


def ask_for_orders(machine: ExchangeStateMachine, after_order_id: int = 0, **more) -> list:
    asked = {"symbol": "", "side": 0} | more
    events = machine.apply((16, "S1", 1, "R1", *asked.values(), after_order_id), 3)
    return [e.OrderListed(*event) for event in events]


def order_ids(page: list) -> list[int]:
    return [listed.order_id for listed in page]


def test_pages_follow_each_other_to_the_end():
    machine = open_exchange()
    count = 2 * ORDERS_PER_PAGE + 7
    for number in range(count):
        machine.apply(enter(f"A{number}"), 3)
    pages = [ask_for_orders(machine)]
    while pages[-1][-1].remaining:
        pages.append(ask_for_orders(machine, pages[-1][-1].order_id))
    assert [len(page) for page in pages] == [ORDERS_PER_PAGE, ORDERS_PER_PAGE, 7]
    listed = [each for page in pages for each in page]
    assert order_ids(listed) == list(range(1, count + 1))
    assert {each.total for each in listed} == {count}
    assert [each.remaining for each in listed] == list(reversed(range(count)))


def test_what_happens_between_two_pages_hides_and_repeats_no_other_order():
    machine = open_exchange()
    for number in range(ORDERS_PER_PAGE + 5):
        machine.apply(enter(f"A{number}"), 3)
    page = ask_for_orders(machine)
    last = page[-1].order_id
    for name in ("A3", f"A{ORDERS_PER_PAGE - 1}", f"A{ORDERS_PER_PAGE + 1}"):
        machine.apply((3, "S1", 1, f"C-{name}", name, "AAPL", 1), 3)
    replace = (2, "S1", 1, "A0-2", "A0", "AAPL", 1, 2, 0, 20, 99_0000)  # last in its new level
    machine.apply(replace, 3)
    machine.apply(enter("B1"), 3)
    rest = ask_for_orders(machine, last)
    first_number_of_b1 = ORDERS_PER_PAGE + 7  # the replace took one
    assert order_ids(rest) == [last + 1, last + 3, last + 4, last + 5, first_number_of_b1]
    assert {each.total for each in rest} == {ORDERS_PER_PAGE + 3}
    assert rest[-1].remaining == 0


@pytest.mark.parametrize("after_order_id", [1, 2, 2**32, 2**64 - 1])
def test_nothing_behind_the_last_order_is_answered_with_no_order(after_order_id):
    machine = open_exchange()
    machine.apply(enter("A1"), 3)
    (listed,) = ask_for_orders(machine, after_order_id, symbol="AAPL", side=1)
    assert (listed.order_id, listed.ord_status) == (0, OrdStatus.REJECTED)
    assert (listed.symbol, listed.side, listed.request_id) == ("AAPL", 1, "R1")
    assert (listed.total, listed.remaining) == (0, 0)


def test_a_page_after_a_negative_order_begins_with_the_first():
    machine = open_exchange()
    machine.apply(enter("A1"), 3)
    assert ask_for_orders(machine, -(2**63)) == ask_for_orders(machine, 0)


@pytest.mark.parametrize("side", [3, 5, 6, 7, -1, 2**64 - 1])
def test_no_order_fits_a_side_that_is_neither_buy_nor_sell(side):
    machine = open_exchange()
    for number, own in enumerate(Side):
        machine.apply(enter(f"A{number}", own, 101_0000 if own != Side.BUY else 99_0000), 3)
    assert order_ids(ask_for_orders(machine, side=side)) == [0]
    (refused,) = machine.apply((15, "S1", 1, "M1", "", side), 3)
    expected = (EventKind.ORDERS_CANCELED, "S1", "M1", "", side, 0)
    assert refused == (*expected, RejectReason.INVALID_SIDE, side, "")
    assert order_ids(ask_for_orders(machine)) == [1, 2, 3, 4]


def test_many_instruments_come_in_many_events():
    count = 2 * INSTRUMENTS_PER_EVENT + 3
    machine = open_exchange(*(f"S{number}" for number in range(count)))
    events = [e.InstrumentsListed(*each) for each in machine.apply((17, "S1", 1, "R1", ""), 3)]
    assert [len(each.rows) for each in events] == [INSTRUMENTS_PER_EVENT] * 2 + [3]
    assert [each.remaining for each in events] == [INSTRUMENTS_PER_EVENT + 3, 3, 0]
    assert [row[1] for each in events for row in each.rows] == list(range(1, count + 1))
    assert {each.total for each in events} == {count}


def test_an_exchange_without_instruments_says_so():
    machine = ExchangeStateMachine()
    machine.apply((30, (), ACCOUNTS, SESSIONS), 1)
    assert machine.apply((17, "S1", 1, "R1", ""), 3) == [(19, "S1", "R1", 0, 0, ())]
    assert machine.apply((19, "S1", 1, "R1"), 3) == [(25, "S1", "R1", *[0] * 8)]


@pytest.mark.parametrize(
    ("depth", "shown"),
    [
        (1, 1),
        (BOOK_LEVELS_MAX, BOOK_LEVELS_MAX),
        (BOOK_LEVELS_MAX + 1, BOOK_LEVELS_MAX),
        (2**64 - 1, BOOK_LEVELS_MAX),
        (0, BOOK_LEVELS_MAX),
        (-1, BOOK_LEVELS_MAX),
        (-(2**63), BOOK_LEVELS_MAX),
    ],
)
def test_a_book_shows_as_many_levels_as_asked_and_allowed(depth, shown):
    machine = open_exchange()
    for number in range(BOOK_LEVELS_MAX + 10):
        machine.apply(enter(f"B{number}", 1, 90_0000 - number), 3)
        machine.apply(enter(f"S{number}", 2, 110_0000 + number), 3)
    (event,) = machine.apply((21, "S2", 1, "R1", "AAPL", depth), 3)
    book = e.BookReported(*event)
    assert book.bids == tuple((90_0000 - place, 10, 1) for place in range(shown))
    assert book.asks == tuple((110_0000 + place, 10, 1) for place in range(shown))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: str(query[0]))
def test_a_query_leaves_no_trace_but_its_message_number(query):
    machine = open_exchange("AAPL", "MSFT")
    machine.apply(enter("A1"), 3)
    before, digest = list(machine.snapshot_parts()), machine.state_hash()
    assert machine.apply(query, 3)
    assert list(machine.snapshot_parts()) == before
    machine.apply((query[0], "S1", 41, *query[3:]), 3)
    assert machine.state_hash() != digest
    restored = ExchangeStateMachine.restore(machine.snapshot_parts())
    assert restored.apply((10, "S1", "GW1", False, False), 3) == [(10, "S1", "GW1", 41)]


@pytest.mark.parametrize("query", QUERIES[1:], ids=lambda query: str(query[0]))
@pytest.mark.parametrize("session", ["", "S9", "ACC1"])
def test_a_query_of_nobody_is_not_answered(query, session):
    assert open_exchange().apply((query[0], session, *query[2:]), 3) == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: str(query[0]))
def test_an_answer_is_plain_values_that_repeat_the_request(query):
    machine = open_exchange()
    machine.apply(enter("A1"), 3)

    def plain(value) -> bool:
        if type(value) is tuple:
            return all(plain(item) for item in value)
        return type(value) in (int, str, bool)

    hostile = [*HOSTILE_INTEGERS, *HOSTILE_STRINGS]
    for position in range(3, len(query)):
        for value in hostile:
            if type(value) is type(query[position]):
                asked = (*query[:position], value, *query[position + 1 :])
                for event in machine.apply(asked, 3):
                    assert plain(event)
                    assert event[1] == "S1"
                    assert asked[3] in event


def test_a_cancel_of_many_uses_up_its_name_and_no_number():
    machine = open_exchange()
    machine.apply(enter("A1"), 3)
    before = machine.state_hash()
    canceled, *_ = machine.apply((15, "S1", 9, "M1", "", Side.BUY), 3)
    assert e.OrdersCanceled(*canceled).canceled == 1
    assert machine.state_hash() != before
    assert machine.state.sessions["S1"].last_numbers == {}
    assert machine.apply((10, "S1", "GW1", False, False), 3)[0][3] == 9
    (refused,) = machine.apply(enter("M1"), 3)
    assert refused[16] == RejectReason.DUPLICATE_CL_ORD_ID


def test_a_session_that_ended_may_still_ask_and_cancel():
    """What is under way from a lost gateway must not enter orders; taking out does no harm."""
    machine = open_exchange()
    machine.apply((10, "S1", "GW1", True, False), 3)
    machine.apply((11, "S1", "GW1"), 3)
    assert machine.apply((15, "S1", 1, "M1", "", 0), 3)[0][5:7] == (0, 0)
    assert order_ids(ask_for_orders(machine)) == [0]
