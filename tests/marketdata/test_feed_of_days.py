"""The feed of more than one day: phases, auctions, nights. All who read it must agree with it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from order_flow import START_NS, assert_same_books

from cluster.interface import AppliedBatch
from marketdata.depth import MarketDepth
from marketdata.feed import ItchFeed
from marketdata.glimpse import snapshot_messages
from marketdata.validator import StreamValidator
from oms.events import TradingState
from oms.state_machine import ExchangeStateMachine
from protocols import itch50
from protocols.itch50_messages import NetOrderImbalance, StockTradingAction, SystemEvent

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
HOUR_NS = 3_600 * SECOND_NS
INSTRUMENTS = (
    ("AAPL", 1, 100, 1, 100_0000, 1_000, 999_999),
    ("MSFT", 2, 100, 1, 50_0000, 1_000, 999_999),
)
SESSIONS = (("CLIENT1", "ACC1"), ("CLIENT2", "ACC1"))
LOAD = (30, INSTRUMENTS, (("ACC1", "FIRM1", 999_999, 10**15),), SESSIONS)
PHASES = (
    (TradingState.PRE_OPEN, 0),
    (TradingState.OPENING_AUCTION, 1),
    (TradingState.TRADING, 2),
    (TradingState.AUCTION_CALL, 3),
    (TradingState.TRADING, 4),
    (TradingState.CLOSING_AUCTION, 5),
    (TradingState.CLOSED, 6),
)


class Stream:
    """A state machine and everybody who reads its feed."""

    def __init__(self) -> None:
        self.machine = ExchangeStateMachine()
        self.feed = ItchFeed()
        self.depth = MarketDepth()
        self.validator = StreamValidator()
        self.messages: list[bytes] = []
        self.findings: list[object] = []

    def apply(self, command: tuple, now_ns: int) -> None:
        seq, events = 1, self.machine.apply(command, now_ns)
        for message in self.feed.messages(AppliedBatch(1, 1, now_ns, seq, events)):
            self.messages.append(message)
            self.depth.apply([message])
            self.findings += self.validator.receive(len(self.messages), message)

    def finish(self) -> list[object]:
        return [*self.findings, *self.validator.finish()]

    def decoded(self, kind: type) -> list:
        messages = [itch50.decode(message) for message in self.messages]
        return [message for message in messages if isinstance(message, kind)]


def enter(name: str, side: int, quantity: int, price: int, tif: int = 0) -> tuple:
    kind = 2 if price else 1
    return (1, "CLIENT1", 1, "", name, "AAPL", side, kind, tif, quantity, price)


def a_day(stream: Stream, number: int, *, halt: bool = False) -> None:
    """All phases of a day an hour each, with orders for and in each of them."""
    start_ns = START_NS + number * DAY_NS
    phases = tuple((start_ns + hour * HOUR_NS, int(state)) for state, hour in PHASES)
    stream.apply((33, 20260105 + number, phases), start_ns - HOUR_NS)
    for hour in range(7):
        now_ns = start_ns + hour * HOUR_NS
        for second in range(3):
            stream.apply((20,), now_ns + second * SECOND_NS)
        orders = [
            enter(f"{number}.{hour}.1", 1, 30, 100_0000),
            enter(f"{number}.{hour}.2", 2, 20, 99_9000),
            enter(f"{number}.{hour}.3", 2, 10, 101_0000, tif=1),
            enter(f"{number}.{hour}.4", 1, 5, 0, tif=7 if hour < 5 else 0),
        ]
        for place, order in enumerate(orders, 4):
            stream.apply(order, now_ns + place * SECOND_NS)
        if halt and hour == 2:
            stream.apply((31, "AAPL", 1, "T1"), now_ns + 10 * SECOND_NS)
            stream.apply((20,), now_ns + 11 * SECOND_NS)
            stream.apply((31, "AAPL", 6, ""), now_ns + 12 * SECOND_NS)
            stream.apply((20,), now_ns + 13 * SECOND_NS)
            stream.apply((34, "AAPL", ""), now_ns + 14 * SECOND_NS)


def test_three_days_on_one_stream_contradict_nothing():
    stream = Stream()
    stream.apply(LOAD, START_NS - 2 * HOUR_NS)
    for number in range(3):
        a_day(stream, number, halt=number == 1)
        assert_same_books(stream.depth, stream.machine)
    assert stream.finish() == []
    events = "".join(event.event_code for event in stream.decoded(SystemEvent))
    assert events == "OSQMECOSQMECOSQME"
    summary = stream.validator.summary()
    assert summary["trades"] > 15
    assert summary["orders_in_books"] > 0, "what is good till cancel stays over night"
    assert len(stream.decoded(NetOrderImbalance)) > 15


def test_orders_can_be_canceled_and_expire_in_the_night():
    stream = Stream()
    stream.apply(LOAD, START_NS - 2 * HOUR_NS)
    a_day(stream, 0)
    night_ns = START_NS + 10 * HOUR_NS
    before = stream.depth.order_count
    resting = next(iter(stream.machine.state.sessions["CLIENT1"].open_orders.values()))
    stream.apply((3, "CLIENT1", 9, "C1", resting.cl_ord_id, "AAPL", resting.side), night_ns)
    assert stream.depth.order_count == before - 1
    a_day(stream, 1)
    assert stream.finish() == []


def test_who_comes_on_the_second_day_gets_the_books_of_the_night_and_its_system_events():
    stream = Stream()
    stream.apply(LOAD, START_NS - 2 * HOUR_NS)
    a_day(stream, 0)
    night = [itch50.decode(message) for message in snapshot_messages(stream.depth)[:-1]]
    assert [m.event_code for m in night if isinstance(m, SystemEvent)] == list("OSQME")
    a_day(stream, 1)
    newcomer = MarketDepth()
    newcomer.apply(snapshot_messages(stream.depth)[:-1])
    assert_same_orders(newcomer, stream)
    today = [event.event_code for event in newcomer.system_events]
    assert today == list("OSQME")


def assert_same_orders(depth: MarketDepth, stream: Stream) -> None:
    for symbol in stream.depth.symbols:
        ours, theirs = depth.book(symbol), stream.depth.book(symbol)
        assert ours is not None
        assert theirs is not None
        assert (ours.bids(), ours.asks()) == (theirs.bids(), theirs.asks())
        assert ours.trading_state == theirs.trading_state


def test_each_day_names_the_instruments_again_and_says_that_they_do_not_trade_yet():
    stream = Stream()
    stream.apply(LOAD, START_NS - 2 * HOUR_NS)
    a_day(stream, 0)
    count = len(stream.messages)
    stream.apply((31, "MSFT", 3, ""), START_NS + 20 * HOUR_NS)
    kinds = b"".join(message[:1] for message in stream.messages[count:])
    assert kinds == b"SSSRHRHH"
    states = [action.trading_state for action in stream.decoded(StockTradingAction)[-3:]]
    assert states == ["H", "H", "Q"]


@pytest.fixture
def random_commands(monkeypatch):
    """The commands that the state machine is tried with: all order types, phases and days."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "oms"))
    return importlib.import_module("random_commands")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_feed_contradicts_nothing(random_commands, seed):
    stream = Stream()
    commands = random_commands.commands(seed, 4_000, special=(0.4, 0.9)[seed % 2])
    for now_ns, command in enumerate(commands, START_NS):
        stream.apply(command, now_ns)
    assert stream.finish() == []
    assert stream.validator.summary()["trades"] > 30
