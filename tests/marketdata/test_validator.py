"""StreamValidator: silent on every true stream, and each check fires on the damage it is for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from order_flow import OrderFlow
from validation import findings_of

from marketdata.depth import MarketDepth
from marketdata.feed import ItchFeed
from marketdata.findings import Check, Finding
from marketdata.validator import StreamValidator
from protocols import itch50
from protocols import itch50_messages as m
from protocols.itch50_messages import Message

AAPL, MSFT = (1, 0), (2, 0)
GOLDEN = Path(__file__).parent.parent / "itch"
NOON = 12 * 3_600 * 1_000_000_000
LAST_NS = itch50.NS_PER_DAY - 1


def directory(locate: int, stock: str) -> m.StockDirectory:
    head = (locate, 0, NOON, stock, "", "", 1, "N", "C", "Z", "P", "", "", "", "")
    return m.StockDirectory(*head, 0, "N")


def state(code: str, *, time: int = NOON) -> m.StockTradingAction:
    return m.StockTradingAction(*AAPL, time, "AAPL", code, "", "")


def event(code: str, *, time: int = NOON) -> m.SystemEvent:
    return m.SystemEvent(0, 0, time, code)


def add(reference: int, side: str, shares: int, price: int, *, time: int = NOON) -> m.AddOrder:
    return m.AddOrder(*AAPL, time, reference, side, shares, "AAPL", price)


def executed(reference: int, shares: int, match: int, *, time: int = NOON) -> m.OrderExecuted:
    return m.OrderExecuted(*AAPL, time, reference, shares, match)


def crossed_at(
    reference: int, shares: int, match: int, printable: str = "N", price: int = 100
) -> m.OrderExecutedWithPrice:
    return m.OrderExecutedWithPrice(*AAPL, NOON, reference, shares, match, printable, price)


def cross(shares: int, match: int, price: int = 100, kind: str = "O") -> m.CrossTrade:
    return m.CrossTrade(*AAPL, NOON, shares, "AAPL", price, match, kind)


def imbalance(shares: int = 5, direction: str = "B", **fields: Any) -> m.NetOrderImbalance:
    head = (*AAPL, NOON, 10, shares, direction, "AAPL", 100, 100, 100)
    return m.NetOrderImbalance(*head, "O", "L")._replace(**fields)


OPENING: tuple[Message, ...] = (
    event("O"),
    event("S"),
    directory(1, "AAPL"),
    state("H"),
    directory(2, "MSFT"),
    event("Q"),
    state("T"),
    add(1, "B", 100, 99),
    add(2, "B", 50, 100),
    add(3, "B", 70, 100),
    add(4, "S", 40, 102),
)


def after_opening(*messages: Message | bytes) -> list[Finding]:
    assert findings_of(OPENING) == []
    return findings_of([*OPENING, *messages])


@pytest.mark.parametrize("seed", range(6))
def test_the_real_feed_has_no_findings(seed: int) -> None:
    flow, feed, validator, depth = OrderFlow(seed), ItchFeed(), StreamValidator(), MarketDepth()
    number = 1
    for step in range(200):
        for message in feed.messages(flow.batch(10) if step else flow.opening()):
            assert validator.receive(number, message) == []
            depth.apply([message])
            number += 1
    assert validator.finish() == []
    summary = validator.summary()
    books = [book for symbol in depth.symbols if (book := depth.book(symbol)) is not None]
    assert summary["messages"] == summary["last_sequence"] == number - 1
    assert summary["symbols"] == len(books) == 3
    assert summary["trades"] == flow.machine.state.match_numbers.last > 100
    assert summary["volume"] == sum(book.volume for book in books)
    assert summary["orders_in_books"] == depth.order_count
    assert summary["findings"] == summary["broken_trades"] == 0


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_the_golden_scenarios_have_no_findings(path: Path, read_golden: Any) -> None:
    spec = importlib.util.spec_from_file_location("itch_golden", GOLDEN / "test_itch_golden.py")
    assert spec is not None
    assert spec.loader is not None
    golden = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden)
    script, feed = golden.Script(), ItchFeed()
    for text in read_golden(path)[0]:
        script.line(text)
    messages = [message for batch in script.batches for message in feed.messages(batch)]
    assert messages
    assert findings_of(messages) == []


GOOD = {
    "executions in priority": [executed(2, 50, 1), executed(3, 10, 5), executed(3, 60, 6)],
    "a partial cancel keeps the place": [m.OrderCancel(*AAPL, NOON, 2, 10), executed(2, 40, 1)],
    "a cancel of everything": [m.OrderCancel(*AAPL, NOON, 2, 50), executed(3, 1, 1)],
    "a replace loses the place": [m.OrderReplace(*AAPL, NOON, 2, 9, 50, 100), executed(3, 1, 1)],
    "a replace to a better price": [m.OrderReplace(*AAPL, NOON, 1, 9, 5, 101), executed(9, 5, 1)],
    "a better price that comes back": [
        m.OrderDelete(*AAPL, NOON, 2),
        m.OrderDelete(*AAPL, NOON, 3),
        executed(1, 1, 1),
        add(8, "B", 1, 100),
        executed(8, 1, 2),
    ],
    "an attributed order": [m.AddOrderMpid(*AAPL, NOON, 9, "S", 1, "AAPL", 101, "MPID")],
    "a printable execution away from the first order": [crossed_at(1, 1, 1, "Y")],
    "a trade that no book showed": [m.Trade(*AAPL, NOON, 0, "B", 5, "AAPL", 101, 3)],
    "a broken trade": [executed(2, 50, 7), m.BrokenTrade(*AAPL, NOON, 7)],
    "midnight": [event("M", time=LAST_NS), event("E", time=0), event("C", time=1)],
    "a second day": [event("C"), event("O", time=NOON - 5), event("S")],
    "a directory told again": [directory(1, "AAPL")],
    "a cross of nothing": [state("H"), cross(0, 0, 0)],
    "an imbalance": [imbalance(), imbalance(0, "N"), imbalance(0, "O")],
    "market-wide messages": [m.MwcbStatus(0, 0, NOON, "1")],
    "a halted book may be crossed and is cleared before it opens": [
        state("H"),
        add(9, "S", 120, 100),
        crossed_at(2, 50, 1),
        crossed_at(9, 50, 1),
        crossed_at(3, 70, 2),
        crossed_at(9, 70, 2),
        cross(120, 3),
        state("T"),
        add(10, "S", 5, 101),
    ],
    "a halted book that opens crossed and is cleared by the same command": [
        state("H"),
        add(9, "S", 120, 100),
        state("T", time=NOON + 1),
        executed(2, 50, 1, time=NOON + 1),
        executed(3, 70, 2, time=NOON + 1),
        m.OrderDelete(*AAPL, NOON + 1, 9),
        event("M", time=NOON + 2),
    ],
}


@pytest.mark.parametrize("messages", GOOD.values(), ids=GOOD.keys())
def test_a_true_stream_has_no_findings(messages: list[Message]) -> None:
    assert after_opening(*messages) == []


DAMAGED: list[tuple[Check, str, list[Message | bytes]]] = [
    (Check.FORMAT, "b'!'", [b"!"]),
    (Check.FORMAT, "empty message", [b""]),
    (Check.FORMAT, "must be 19", [itch50.encode(m.OrderDelete(*AAPL, NOON, 1))[:-1]]),
    (Check.TIME, f"before {NOON}", [event("M", time=NOON - 1)]),
    (Check.TIME, "end of a day", [event("M", time=LAST_NS + 1)]),
    (Check.SYSTEM_EVENT, "Q comes after Q", [event("Q")]),
    (Check.SYSTEM_EVENT, "S comes after Q", [event("S")]),
    (Check.SYSTEM_EVENT, "O comes after Q", [event("O")]),
    (Check.SHAPE, "'Z' is unknown", [event("Z")]),
    (Check.AFTER_END, "end of messages", [event("C"), m.OrderDelete(*AAPL, NOON, 1)]),
    (Check.DIRECTORY, "stock locate 3", [m.AddOrder(3, 0, NOON, 9, "B", 1, "NVDA", 5)]),
    (Check.DIRECTORY, "stock locate 3", [m.StockTradingAction(3, 0, NOON, "NVDA", "T", "", "")]),
    (Check.DIRECTORY, "stock locate 3", [m.RegShoRestriction(3, 0, NOON, "NVDA", "0")]),
    (Check.DIRECTORY, "stock locate 0", [executed(2, 1, 1)._replace(stock_locate=0)]),
    (Check.DIRECTORY, "stock locate 3", [cross(5, 1)._replace(stock_locate=3)]),
    (Check.LOCATE, "is AAPL, not 'MSFT'", [add(9, "B", 1, 5)._replace(stock="MSFT")]),
    (Check.LOCATE, "is MSFT, not 'AAPL'", [state("T")._replace(stock_locate=2)]),
    (Check.LOCATE, "is AAPL, not 'NVDA'", [directory(1, "NVDA")]),
    (Check.LOCATE, "has the stock locate 1, not 3", [directory(3, "AAPL")]),
    (Check.LOCATE, "locate 1, not 2", [executed(2, 1, 1)._replace(stock_locate=2)]),
    (Check.LOCATE, "locate 1, not 2", [m.OrderDelete(2, 0, NOON, 1)]),
    (Check.LOCATE, "locate 1, not 2", [executed(2, 50, 7), m.BrokenTrade(2, 0, NOON, 7)]),
    (Check.LOCATE, "SystemEvent has", [event("M")._replace(stock_locate=1)]),
    (Check.UNKNOWN_ORDER, "order 77", [executed(77, 1, 1)]),
    (Check.UNKNOWN_ORDER, "order 77", [crossed_at(77, 1, 1)]),
    (Check.UNKNOWN_ORDER, "order 77", [m.OrderCancel(*AAPL, NOON, 77, 1)]),
    (Check.UNKNOWN_ORDER, "order 77", [m.OrderDelete(*AAPL, NOON, 77)]),
    (Check.UNKNOWN_ORDER, "order 77", [m.OrderReplace(*AAPL, NOON, 77, 78, 1, 5)]),
    (Check.UNKNOWN_ORDER, "order 2", [executed(2, 50, 1), m.OrderDelete(*AAPL, NOON, 2)]),
    (Check.DUPLICATE_REFERENCE, "order 4", [add(4, "S", 1, 105)]),
    (Check.DUPLICATE_REFERENCE, "order 4", [m.OrderDelete(*AAPL, NOON, 4), add(4, "S", 1, 105)]),
    (
        Check.DUPLICATE_REFERENCE,
        "order 4",
        [m.AddOrderMpid(*AAPL, NOON, 4, "S", 1, "AAPL", 105, "")],
    ),
    (Check.DUPLICATE_REFERENCE, "order 2", [m.OrderReplace(*AAPL, NOON, 1, 2, 1, 99)]),
    (Check.DUPLICATE_REFERENCE, "order 1", [m.OrderReplace(*AAPL, NOON, 1, 1, 1, 99)]),
    (Check.OVER_EXECUTION, "51 shares of order 2, which has 50", [executed(2, 51, 1)]),
    (Check.OVER_EXECUTION, "which has 1", [executed(2, 49, 1), executed(2, 2, 2)]),
    (Check.OVER_EXECUTION, "which has 50", [crossed_at(2, 51, 1)]),
    (Check.OVER_CANCEL, "which has 50", [m.OrderCancel(*AAPL, NOON, 2, 51)]),
    (Check.CROSSED, "locked: bid 102, offer 102", [add(9, "B", 1, 102)]),
    (Check.CROSSED, "crossed: bid 100, offer 99", [add(9, "S", 1, 99)]),
    (Check.CROSSED, "bid 103", [m.OrderReplace(*AAPL, NOON, 1, 9, 1, 103)]),
    (Check.CROSSED, "bid 102", [add(9, "B", 1, 102), add(10, "B", 1, 101)]),
    (Check.CROSSED, "bid 100, offer 99", [state("H"), add(9, "S", 1, 99), state("T")]),
    (
        Check.CROSSED,
        "bid 100, offer 99",
        [
            state("H"),
            add(9, "S", 90, 99),
            state("T"),
            executed(2, 50, 1),
            executed(3, 5, 2),
            event("M", time=NOON + 1),
            m.OrderDelete(*AAPL, NOON + 1, 9),
        ],
    ),
    (
        Check.CROSSED,
        "bid 100, offer 99",
        [state("H"), add(9, "S", 90, 99), state("T"), add(10, "S", 1, 102), executed(2, 1, 1)],
    ),
    (Check.PRIORITY, "order 3 at 100 is executed before order 2", [executed(3, 1, 1)]),
    (Check.PRIORITY, "order 1 at 99 is executed before order 2 at 100", [executed(1, 1, 1)]),
    (
        Check.PRIORITY,
        "order 9 at 100 is executed before order 3",
        [m.OrderReplace(*AAPL, NOON, 2, 9, 50, 100), executed(9, 1, 1)],
    ),
    (Check.TRADING_STATE, "E of AAPL, which is in state H", [state("H"), executed(2, 1, 1)]),
    (Check.TRADING_STATE, "in state P", [state("P"), crossed_at(2, 1, 1, "Y")]),
    (
        Check.TRADING_STATE,
        "P of MSFT, which is without a state",
        [m.Trade(*MSFT, NOON, 0, "B", 5, "MSFT", 101, 3)],
    ),
    (Check.MATCH_NUMBER, "7 comes after 7", [executed(2, 1, 7), executed(2, 1, 7)]),
    (Check.MATCH_NUMBER, "6 comes after 7", [executed(2, 1, 7), executed(2, 1, 6)]),
    (Check.MATCH_NUMBER, "0 comes after 0", [executed(2, 1, 0)]),
    (
        Check.MATCH_NUMBER,
        "7 comes after 7",
        [executed(2, 1, 7), m.Trade(*AAPL, NOON, 0, "B", 5, "AAPL", 101, 7)],
    ),
    (Check.MATCH_NUMBER, "7 comes after 7", [crossed_at(2, 1, 7), crossed_at(3, 1, 7)]),
    (
        Check.MATCH_NUMBER,
        "7 comes after 7",
        [crossed_at(2, 1, 7), crossed_at(4, 1, 7), crossed_at(2, 1, 7)],
    ),
    (Check.MATCH_NUMBER, "7 comes after 7", [executed(2, 1, 7), cross(5, 7)]),
    (Check.BROKEN_TRADE, "the match number 8", [executed(2, 1, 7), m.BrokenTrade(*AAPL, NOON, 8)]),
    (
        Check.BROKEN_TRADE,
        "a second time",
        [executed(2, 1, 7), *[m.BrokenTrade(*AAPL, NOON, 7)] * 2],
    ),
    (Check.SHAPE, "side 'X'", [add(9, "X", 1, 5)]),
    (Check.SHAPE, "0 shares", [add(9, "B", 0, 5)]),
    (Check.SHAPE, "the price 0", [add(9, "B", 1, 0)]),
    (Check.SHAPE, "0 shares", [executed(2, 0, 1)]),
    (Check.SHAPE, "0 shares", [m.OrderCancel(*AAPL, NOON, 2, 0)]),
    (Check.SHAPE, "0 shares", [m.OrderReplace(*AAPL, NOON, 2, 9, 0, 5)]),
    (Check.SHAPE, "printable is 'X'", [crossed_at(2, 1, 1, "X")]),
    (Check.SHAPE, "price 0", [crossed_at(2, 1, 1, "N", 0)]),
    (Check.SHAPE, "state 'Z'", [state("Z")]),
    (Check.SHAPE, "reason 'XX'", [state("T")._replace(reason="XX")]),
    (Check.SHAPE, "stock locate 0", [directory(0, "NVDA")]),
    (Check.SHAPE, "stock ''", [directory(3, "")]),
    (Check.SHAPE, "side 'X'", [m.Trade(*AAPL, NOON, 0, "X", 5, "AAPL", 101, 3)]),
    (Check.SHAPE, "P of 0 shares", [m.Trade(*AAPL, NOON, 0, "B", 0, "AAPL", 101, 3)]),
    (Check.SHAPE, "shares at 0", [m.Trade(*AAPL, NOON, 0, "B", 1, "AAPL", 0, 3)]),
    (Check.SHAPE, "cross type 'X'", [cross(5, 1, kind="X")]),
    (Check.SHAPE, "price 0", [cross(5, 1, price=0)]),
    (Check.SHAPE, "direction 'X'", [imbalance(direction="X")]),
    (Check.SHAPE, "imbalance of 0 shares", [imbalance(0, "B")]),
    (Check.SHAPE, "has the direction N", [imbalance(5, "N")]),
    (Check.SHAPE, "cross type 'X'", [imbalance(cross_type="X")]),
    (Check.SHAPE, "variation '0'", [imbalance(price_variation_indicator="0")]),
]


@pytest.mark.parametrize(("check", "says", "messages"), DAMAGED)
def test_each_check_fires_alone_and_once_on_its_damage(
    check: Check, says: str, messages: list[Message | bytes]
) -> None:
    [finding] = after_opening(*messages)
    assert finding.check == check
    assert says in finding.text
    assert len(OPENING) < finding.sequence_number <= len(OPENING) + len(messages)


def test_every_check_has_a_damaged_stream() -> None:
    assert {check for check, _, _ in DAMAGED} == set(Check) - {Check.SEQUENCE}


def test_a_gap_and_a_number_that_goes_back_are_found() -> None:
    validator = StreamValidator()
    data = [itch50.encode(message) for message in OPENING]
    numbers = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 11]
    stream_of_ours = zip(numbers, data, strict=True)
    found = [one for n, message in stream_of_ours for one in validator.receive(n, message)]
    assert [(one.sequence_number, one.check) for one in found] == [
        (10, Check.SEQUENCE),
        (11, Check.SEQUENCE),
    ]
    assert "number 9 was expected" in found[0].text
    assert "number 12 was expected" in found[1].text


def test_a_stream_that_does_not_begin_with_message_1_has_a_gap() -> None:
    [finding] = StreamValidator().receive(5, itch50.encode(event("O")))
    assert finding == (5, Check.SEQUENCE, "number 1 was expected: messages are missing.")


def test_without_numbers_messages_are_counted() -> None:
    [finding] = findings_of([*OPENING, event("Z")], numbered=False)
    assert finding.sequence_number == len(OPENING) + 1


def test_a_crossed_book_is_told_once_and_again_when_it_is_crossed_again() -> None:
    found = after_opening(
        add(9, "B", 1, 102),
        add(10, "B", 1, 101),
        m.OrderDelete(*AAPL, NOON, 9),
        add(11, "B", 1, 103),
    )
    assert [one.check for one in found] == [Check.CROSSED, Check.CROSSED]


def test_a_broken_trade_is_counted_out() -> None:
    validator = StreamValidator()
    for message in (*OPENING, executed(2, 50, 1), executed(3, 5, 2), m.BrokenTrade(*AAPL, NOON, 1)):
        assert validator.receive(None, itch50.encode(message)) == []
    summary = validator.summary()
    assert (summary["trades"], summary["volume"], summary["broken_trades"]) == (1, 5, 1)


def test_a_trade_that_only_its_cross_has_told_can_be_broken() -> None:
    validator = StreamValidator()
    for message in (*OPENING, state("H"), cross(80, 4, 101)):
        assert validator.receive(None, itch50.encode(message)) == []
    for number in (2, 3):  # of orders that nobody had displayed
        broken = m.BrokenTrade(*AAPL, NOON, number)
        assert validator.receive(None, itch50.encode(broken)) == []
    again = validator.receive(None, itch50.encode(m.BrokenTrade(*AAPL, NOON, 3)))
    assert [one.check for one in again] == [Check.BROKEN_TRADE]
    beyond = validator.receive(None, itch50.encode(m.BrokenTrade(*AAPL, NOON, 5)))
    assert [one.check for one in beyond] == [Check.BROKEN_TRADE]
    summary = validator.summary()
    assert (summary["trades"], summary["volume"], summary["broken_trades"]) == (1, 80, 2)
