"""Real order flow for the tests of this folder: random commands through the state machine."""

from __future__ import annotations

import random

from cluster.interface import AppliedBatch
from marketdata.depth import MarketDepth
from matching.types import OrderType, Side, TimeInForce
from oms.commands import (
    CancelOrder,
    Command,
    CommandKind,
    EnterOrder,
    LoadReferenceData,
    OpenSession,
    ReplaceOrder,
    SetTradingState,
)
from oms.events import Event, TradingState
from oms.reference_data import Account, Instrument, SessionDefinition
from oms.state_machine import ExchangeStateMachine
from protocols.itch50_messages import SideCode

SYMBOLS = ("AAPL", "MSFT", "ZVZZT")
SESSIONS = ("CLIENT1", "CLIENT2", "CLIENT3")
START_NS = 1_767_225_600_000_000_000 + 9 * 3_600_000_000_000


PLAIN_TIMES = [TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]


class OrderFlow:
    """A state machine, and an endless supply of batches of what it does. Repeats from its seed."""

    def __init__(self, seed: int) -> None:
        self.machine = ExchangeStateMachine()
        self._random = random.Random(seed)
        self._time_ns = START_NS
        self._event_seq = 1
        self._log_index = 0
        self._number = 0
        self._names: list[tuple[str, str, str, int]] = []

    def opening(self) -> AppliedBatch:
        """The batch that every flow begins with."""
        instruments = tuple(
            Instrument(symbol, locate, 100, 1, 1_000_000, 1_000, 999_999)
            for locate, symbol in enumerate(SYMBOLS, 1)
        )
        accounts = (Account("ACC1", "FIRM1", 999_999, 10**15),)
        sessions = tuple(SessionDefinition(session, "ACC1") for session in SESSIONS)
        kind = CommandKind.LOAD_REFERENCE_DATA
        load = LoadReferenceData(kind, instruments, accounts, sessions)
        opened = [
            OpenSession(CommandKind.OPEN_SESSION, session, "fix1", False, False)
            for session in SESSIONS
        ]
        trading = SetTradingState(CommandKind.SET_TRADING_STATE, "", TradingState.TRADING, "")
        return self._batch([load, *opened, trading])

    def batch(self, commands: int) -> AppliedBatch:
        """The events of so many random commands; most of them do something."""
        return self._batch([self._command() for _ in range(commands)])

    def _batch(self, commands: list[Command]) -> AppliedBatch:
        self._time_ns += self._random.randrange(1, 5_000_000)
        self._log_index += 1
        events: list[Event] = []
        for command in commands:
            events += self.machine.apply(command, self._time_ns)
        batch = AppliedBatch(self._log_index, 1, self._time_ns, self._event_seq, events)
        self._event_seq += len(events)
        return batch

    def _command(self) -> Command:
        chance = self._random
        self._number += 1
        number, name = self._number, f"O{self._number}"
        price = 1_000_000 + 100 * chance.randrange(-8, 9)
        quantity = chance.randrange(1, 500)
        if self._names and chance.random() < 0.4:
            session, symbol, original, side = chance.choice(self._names[-60:])
            if chance.random() < 0.5:
                kind = CommandKind.CANCEL_ORDER
                return CancelOrder(kind, session, number, name, original, symbol, side)
            self._names.append((session, symbol, name, side))
            kind = CommandKind.REPLACE_ORDER
            limit, day = OrderType.LIMIT, TimeInForce.DAY
            head = (kind, session, number, name, original, symbol, side, limit, day)
            return ReplaceOrder(*head, quantity, price)
        session, symbol = chance.choice(SESSIONS), chance.choice(SYMBOLS)
        side = chance.choice(list(Side))
        self._names.append((session, symbol, name, side))
        terms = chance.choices(PLAIN_TIMES, [6, 1, 1, 1])[0]
        kind = CommandKind.ENTER_ORDER
        head = (kind, session, number, "ACC1", name, symbol, side, OrderType.LIMIT, terms)
        return EnterOrder(*head, quantity, price)


def assert_same_books(depth: MarketDepth, machine: ExchangeStateMachine) -> None:
    """Every order of every book, in priority, is the same on the feed and in the exchange."""
    listings = machine.state.listings
    assert depth.symbols == list(listings)
    for symbol, listing in listings.items():
        book = depth.book(symbol)
        assert book is not None
        for feed_side, side in ((SideCode.BUY, Side.BUY), (SideCode.SELL, Side.SELL)):
            on_the_feed = [
                (order.order_reference_number, order.price, order.shares)
                for order in book.orders(feed_side)
            ]
            in_the_exchange = [
                (order.order_reference_number, order.price, order.leaves_qty)
                for order in listing.book.orders(side)
            ]
            assert on_the_feed == in_the_exchange
        assert (book.last_price or 0) == listing.last_price
