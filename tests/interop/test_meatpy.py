"""MeatPy (PyPI) rebuilds our books: the same levels, shares and orders, all day long."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from busy_day import Day
from every_type import every_type
from meatpy.itch50 import ITCH50MarketProcessor, ITCH50MessageReader
from meatpy.itch50.itch50_market_message import ITCH50MarketMessage

from marketdata.depth import MarketDepth
from marketdata.instrument_book import InstrumentBook, PriceLevel
from protocols import itch50
from protocols.binaryfile import frame
from protocols.itch50_messages import SideCode

pytestmark = pytest.mark.interop

COMPARE_EVERY = 25
"""Messages between two comparisons of all books."""
MEATPY_CANNOT = "O"
"""Its Direct Listing message has a field too many: it wants 52 bytes, ITCH 5.0 has 48."""


class TheirBooks:
    """One processor per symbol, as MeatPy wants it; each gets the whole feed."""

    def __init__(self, symbols: list[str]) -> None:
        today = datetime(2026, 1, 1)
        self._processors = {one: ITCH50MarketProcessor(one, today) for one in symbols}

    def process(self, message: ITCH50MarketMessage) -> None:
        for processor in self._processors.values():
            processor.process_message(message)

    def levels(self, symbol: str) -> tuple[list[PriceLevel], list[PriceLevel]]:
        """Bids and asks, best first. Before the first order there is no book."""
        book = self._processors[symbol].current_lob
        if book is None:
            return [], []
        bids, asks = (
            [
                PriceLevel(one.price, sum(o.volume for o in one.queue), len(one.queue))
                for one in side
            ]
            for side in (book.bid_levels, book.ask_levels)
        )
        return bids, asks

    def orders(self, symbol: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(reference number, shares) of bids and asks in priority."""
        book = self._processors[symbol].current_lob
        if book is None:
            return [], []
        bids, asks = (
            [(order.order_id, order.volume) for level in side for order in level.queue]
            for side in (book.bid_levels, book.ask_levels)
        )
        return bids, asks

    def check_priority(self) -> None:
        """Raises when an execution was not of the oldest order at the best price."""
        for processor in self._processors.values():
            processor.processing_done()


def our_orders(book: InstrumentBook, side: SideCode) -> list[tuple[int, int]]:
    return [(order.order_reference_number, order.shares) for order in book.orders(side)]


def without_the_end(day: Day, tmp_path: Path) -> Path:
    """The capture without the zero length at its end: MeatPy does not know that a BinaryFILE ends
    so, and raises ValueError("Empty message data")."""
    path = tmp_path / "day.itch"
    path.write_bytes(frame(day.messages))
    return path


def read(path: Path) -> Iterator[Any]:
    return ITCH50MessageReader().read_file(path)


def test_all_books_are_the_same_at_every_point_of_the_day(day: Day, tmp_path: Path) -> None:
    ours = MarketDepth()
    symbols = [one.stock for raw in day.messages if raw[:1] == b"R" for one in [itch50.decode(raw)]]
    theirs = TheirBooks(symbols)
    compared = 0
    for number, message in enumerate(read(without_the_end(day, tmp_path)), 1):
        theirs.process(message)
        ours.apply([day.messages[number - 1]])
        if number % COMPARE_EVERY and number != len(day.messages):
            continue
        for symbol in symbols:
            book = ours.book(symbol)
            if book is None:
                continue
            compared += 1
            where = f"{symbol} after message {number}"
            assert theirs.levels(symbol) == (book.bids(), book.asks()), where
            in_priority = (our_orders(book, SideCode.BUY), our_orders(book, SideCode.SELL))
            assert theirs.orders(symbol) == in_priority, where
    theirs.check_priority()
    assert ours.symbols == symbols
    assert ours.next_sequence_number == len(day.messages) + 1
    assert ours.order_count > 100
    assert compared > len(symbols) * (len(day.messages) // COMPARE_EVERY - 5)


@pytest.mark.parametrize("seed", range(20))
def test_messages_of_all_types_but_one_go_through_it_unchanged(seed: int, tmp_path: Path) -> None:
    messages = [one for one in every_type(random.Random(seed)) if chr(one[0]) not in MEATPY_CANNOT]
    path = tmp_path / "types.itch"
    path.write_bytes(frame(messages))
    assert [message.to_bytes() for message in read(path)] == messages


def test_its_direct_listing_message_is_still_too_long(tmp_path: Path) -> None:
    """When this fails, MeatPy was mended, and the message can join the others."""
    [message] = [one for one in every_type(random.Random(1)) if chr(one[0]) in MEATPY_CANNOT]
    path = tmp_path / "types.itch"
    path.write_bytes(frame([message]))
    with pytest.raises(Exception, match="requires a buffer of 51 bytes"):
        list(read(path))
