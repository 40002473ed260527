"""A receiver of the multicast feed as a firm runs one: both lines, re-requests, own books."""

from __future__ import annotations

from typing import Any

from cluster.settings import Address
from exchange.config import Config
from exchange.settings import line_settings
from marketdata.depth import MarketDepth
from marketdata.instrument_book import InstrumentBook, PriceLevel
from marketdata.receiver import FeedReceiver
from marketdata.rerequest import ReRequestClient
from marketdata.settings import LineSettings
from marketdata.validator import StreamValidator
from oms.price import format_price

EVERY_TRADE = 10_000_000


class FeedCapture:
    """Listens on both lines from `start` on, and asks the re-request server for what is missing.

    `messages` are all messages in order from number 1; `depth` the books that they make.
    """

    def __init__(self, lines: LineSettings, rerequest: Address) -> None:
        self.messages: list[bytes] = []
        self.depth = MarketDepth(trades_kept=EVERY_TRADE)
        self._rerequest = rerequest
        self._client = ReRequestClient(lines.session, self._filled)
        self.receiver = FeedReceiver(
            lines, on_messages=self._take, request=self._client.request, start_at=1
        )

    async def start(self) -> None:
        """Join both groups. Raises OSError when that is not possible."""
        await self._client.start(self._rerequest)
        await self.receiver.start()

    async def close(self) -> None:
        """Leave the groups."""
        await self.receiver.close()
        self._client.close()

    def executions(self) -> list[tuple[int, int, int, str]]:
        """(match number, quantity, price, symbol) of every execution so far."""
        found = []
        for symbol in self.depth.symbols:
            book = self.depth.book(symbol)
            assert book is not None
            found += [(t.match_number, t.shares, t.price, symbol) for t in reversed(book.trades())]
        return found

    def findings(self) -> list[str]:
        """What the stream itself contradicts, by a judge with books of its own."""
        validator = StreamValidator()
        found = [
            finding
            for sequence, message in enumerate(self.messages, 1)
            for finding in validator.receive(sequence, message)
        ]
        found += validator.finish()
        return [f"message {number}: {check.value}: {text}" for number, check, text in found]

    def _take(self, first: int, messages: list[bytes]) -> None:
        assert first == len(self.messages) + 1, f"message {first} after {len(self.messages)}"
        self.messages += messages
        self.depth.apply(messages)

    def _filled(self, first: int, messages: list[bytes]) -> None:
        self.receiver.fill(first, messages)


def capture_of(config: Config) -> FeedCapture:
    """A capture of the feed of an exchange on this machine."""
    return FeedCapture(line_settings(config), config.addresses.rerequest)


def levels(book: InstrumentBook) -> dict[str, Any]:
    """Both sides of a book as /book/SYMBOL says them, best first."""

    def side(found: list[PriceLevel]) -> list[dict[str, Any]]:
        return [
            {"price": format_price(level.price), "quantity": level.shares, "orders": level.orders}
            for level in found
        ]

    return {"bids": side(book.bids()), "asks": side(book.asks())}
