"""Golden scripts of the feed: events in, ITCH messages and books out.

One line is one event; `time` begins a batch at that time of the day (UTC), and all events until the
next `time` are of that batch. The output is each message as the tape shows it, then the books.

    time 09:30:00.000000001
    system START_OF_MESSAGES
    instrument AAPL 1 lot 100
    state AAPL TRADING [reason]
    breakers 930000 870000 800000 | tripped 1
    accepted 17 BUY AAPL 100 10.00              a private event: no message
    rest 17 BUY AAPL 100 10.00
    trade AAPL resting 17 incoming 18 50 10.00 match 1
    reduced 17 10 | deleted 17 | replaced 17 with 19 100 10.05
    canceled 18 50                              a private event: no message
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.interface import AppliedBatch
from marketdata.depth import MarketDepth
from marketdata.feed import ItchFeed
from marketdata.tape import Tape
from matching.types import OrderType, Side, TimeInForce
from oms import events as e
from oms.events import EventKind, Liquidity, OrdStatus, SystemEventCode, TradingState
from oms.price import format_price, parse_price

FOLDER = Path(__file__).parent
MIDNIGHT_NS = 1_767_225_600 * 1_000_000_000  # 2026-01-01 UTC


def time_ns(text: str) -> int:
    hours, minutes, seconds = text.split(":")
    whole, _, fraction = seconds.partition(".")
    at_s = int(hours) * 3600 + int(minutes) * 60 + int(whole)
    return MIDNIGHT_NS + at_s * 1_000_000_000 + int(fraction.ljust(9, "0"))


def order_fields(reference: int, side: Side, symbol: str, quantity: int, price: int) -> Any:
    limit, day = OrderType.LIMIT, TimeInForce.DAY
    head = ("CLIENT1", f"C{reference}", reference, "ACC1", symbol, side, limit, day)
    return (*head, quantity, price, 0, quantity, 0, OrdStatus.NEW, reference)


def price_of(text: str) -> int:
    price = parse_price(text)
    assert price is not None, text
    return price


class Script:
    """Turns lines into batches of events."""

    def __init__(self) -> None:
        self.batches: list[AppliedBatch] = []
        self._event_seq = 1
        self._locates: dict[str, int] = {}
        self._stock_of_order: dict[int, str] = {}

    def line(self, text: str) -> None:
        verb, *words = text.split()
        if verb == "time":
            index = len(self.batches) + 1
            self.batches.append(AppliedBatch(index, 1, time_ns(words[0]), self._event_seq, []))
            return
        events = getattr(self, f"_{verb}")(*words)
        self.batches[-1].events.extend(events)
        self._event_seq += len(events)

    def _system(self, code: str) -> list[e.Event]:
        return [e.SystemEvent(EventKind.SYSTEM_EVENT, "", SystemEventCode[code])]

    def _breakers(self, *levels: str) -> list[e.Event]:
        return [e.CircuitBreakersSet(EventKind.CIRCUIT_BREAKERS_SET, "", *map(int, levels))]

    def _tripped(self, level: str) -> list[e.Event]:
        return [e.CircuitBreakerTripped(EventKind.CIRCUIT_BREAKER_TRIPPED, "", int(level), 925_000)]

    def _instrument(self, symbol: str, locate: str, _: str, lot: str) -> list[e.Event]:
        self._locates[symbol] = int(locate)
        kind = EventKind.INSTRUMENT_ADDED
        return [e.InstrumentAdded(kind, "", symbol, int(locate), int(lot), 100, 1_000_000)]

    def _state(self, symbol: str, state: str, *reason: str) -> list[e.Event]:
        locate, text = self._locates[symbol], " ".join(reason)
        kind = EventKind.TRADING_ACTION
        return [e.TradingAction(kind, "", symbol, locate, TradingState[state], text)]

    def _accepted(self, *words: str) -> list[e.Event]:
        return [e.OrderAccepted(EventKind.ORDER_ACCEPTED, *self._fields(*words))]

    def _canceled(self, reference: str, quantity: str) -> list[e.Event]:
        fields = order_fields(int(reference), Side.BUY, "AAPL", int(quantity), 0)
        reason = e.CancelReason.IMMEDIATE_OR_CANCEL
        return [e.OrderCanceled(EventKind.ORDER_CANCELED, *fields, "", int(quantity), reason)]

    def _rest(self, reference: str, side: str, symbol: str, *rest: str) -> list[e.Event]:
        quantity, price = int(rest[0]), price_of(rest[1])
        self._stock_of_order[int(reference)] = symbol
        locate, kind = self._locates[symbol], EventKind.BOOK_ADDED
        return [e.BookAdded(kind, "", locate, int(reference), Side[side], quantity, price)]

    def _trade(self, symbol: str, *words: str) -> list[e.Event]:
        _, resting, _, incoming, quantity, price, _, match = words
        sides = [(resting, Liquidity.ADDED), (incoming, Liquidity.REMOVED)]
        return [
            e.OrderExecuted(
                EventKind.ORDER_EXECUTED,
                *order_fields(int(reference), Side.BUY, symbol, int(quantity), price_of(price)),
                int(quantity),
                price_of(price),
                int(match),
                liquidity,
            )
            for reference, liquidity in sides
        ]

    def _reduced(self, reference: str, quantity: str) -> list[e.Event]:
        locate, kind = self._locate_of(reference), EventKind.BOOK_REDUCED
        return [e.BookReduced(kind, "", locate, int(reference), int(quantity))]

    def _deleted(self, reference: str) -> list[e.Event]:
        locate = self._locate_of(reference)
        return [e.BookDeleted(EventKind.BOOK_DELETED, "", locate, int(reference))]

    def _replaced(self, original: str, _: str, new: str, *rest: str) -> list[e.Event]:
        locate, kind = self._locate_of(original), EventKind.BOOK_REPLACED
        self._stock_of_order[int(new)] = self._stock_of_order[int(original)]
        quantity, price = int(rest[0]), price_of(rest[1])
        return [e.BookReplaced(kind, "", locate, int(original), int(new), quantity, price)]

    def _locate_of(self, reference: str) -> int:
        return self._locates[self._stock_of_order[int(reference)]]

    def _fields(self, reference: str, side: str, symbol: str, quantity: str, price: str) -> Any:
        return order_fields(int(reference), Side[side], symbol, int(quantity), price_of(price))


def run(lines: list[str]) -> list[str]:
    script = Script()
    for text in lines:
        script.line(text)
    feed, tape, depth = ItchFeed(), Tape(), MarketDepth()
    output = []
    for batch in script.batches:
        for sequence, message in enumerate(feed.messages(batch), depth.next_sequence_number):
            output.append(tape.line(sequence, message))
            depth.apply([message])
            depth.check_invariants()
    for symbol in depth.symbols:
        book = depth.book(symbol)
        assert book is not None
        levels = [
            " ".join(f"{format_price(one.price)}x{one.shares}({one.orders})" for one in side)
            for side in (book.bids(), book.asks())
        ]
        last = "-" if book.last_price is None else format_price(book.last_price)
        output.append(
            f"book {symbol} {book.trading_state.name} last {last} volume {book.volume}"
            f" bids [{levels[0]}] asks [{levels[1]}]"
        )
    return output


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_the_script_gives_the_messages_it_says(
    path: Path, check_golden: Callable[[Path, Callable[[list[str]], list[str]]], None]
) -> None:
    check_golden(path, run)
