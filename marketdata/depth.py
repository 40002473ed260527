"""ITCH messages -> books, trades, trading states. Strict enough to be an oracle in tests.

    depth = MarketDepth()
    depth.apply(messages)                          raises FeedError on whatever cannot be
    depth.book("AAPL").bids(5)                     five price levels, best first
    depth.book("AAPL").orders(SideCode.BUY)        every order, in priority

The rules are those of Nasdaq TotalView-ITCH 5.0: E, C and X take shares off an order, which is gone
at 0; U moves it to the end of its new level; P and Q never touch the book; a C that is not
printable is no trade for the tape; B takes a trade back.

How an order is kept is told in instrument_book.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from marketdata.instrument_book import (
    LOCATE_AT,
    ONE_ORDER,
    PLACE_AT,
    SHARES_OF_ORDER,
    SIDE_AT,
    DisplayedOrder,
    InstrumentBook,
    Side,
)
from protocols import itch50
from protocols import itch50_messages as m
from protocols.itch50_messages import EventCode, SideCode, TradingStateCode

_decode_add = itch50.body_decoder("A")
_decode_add_mpid = itch50.body_decoder("F")
_decode_executed = itch50.body_decoder("E")
_decode_executed_with_price = itch50.body_decoder("C")
_decode_cancel = itch50.body_decoder("X")
_decode_delete = itch50.body_decoder("D")
_decode_replace = itch50.body_decoder("U")


class FeedError(ValueError):
    """A message that contradicts those before it: the feed, or its reader, is wrong."""


class MarketDepth:
    """All books of a feed. Messages must come in order and from the first."""

    def __init__(self, trades_kept: int = 1_000) -> None:
        self.next_sequence_number = 1
        self.system_events: list[m.SystemEvent] = []
        """Those of the day, which begins with O."""
        self.timestamp = 0
        """Of the last message, in ns since midnight UTC."""
        self._trades_kept = trades_kept
        self._books: dict[int, InstrumentBook] = {}
        self._symbols: dict[str, InstrumentBook] = {}
        self._orders: dict[int, int] = {}
        self._levels: dict[int, int] = {}
        self._sides: dict[int, Side] = {}
        self._sides_of_fields: dict[tuple[int, bytes, bytes], Side] = {}
        """By stock locate, stock and Buy/Sell Indicator as they are in messages."""
        # By the first byte: nearly all that comes on a day.
        self._handlers: dict[bytes, Callable[[bytes], None]] = {
            b"A": self._add_order,
            b"F": self._add_order_mpid,
            b"E": self._order_executed,
            b"C": self._order_executed_with_price,
            b"X": self._order_cancel,
            b"D": self._order_delete,
            b"U": self._order_replace,
        }
        # By class: the rest, of which types that are not here say nothing of books and trades.
        self._rare_handlers: dict[type, Callable[..., None]] = {
            m.SystemEvent: self._system_event,
            m.StockDirectory: self._stock_directory,
            m.StockTradingAction: self._trading_action,
            m.Trade: self._trade,
            m.CrossTrade: self._cross_trade,
            m.BrokenTrade: self._broken_trade,
        }

    def apply(self, messages: Sequence[bytes]) -> None:
        """Take the next messages. Raises FeedError when one contradicts those before it, ItchError
        when one is no ITCH message; the books are then no longer to be trusted, and
        `next_sequence_number` is the number of that message."""
        handler_of, rare = self._handlers.get, self._rare
        number = self.next_sequence_number
        try:
            for message in messages:
                handler_of(message[:1], rare)(message)
                number += 1
        except FeedError as error:
            raise FeedError(f"message {number}: {error}") from None
        except itch50.LayoutError:
            itch50.check(message)
            raise
        finally:
            self.next_sequence_number = number
        if messages:
            self.timestamp = itch50.timestamp_of(messages[-1])

    def continue_at(self, next_sequence_number: int) -> None:
        """What was applied is a snapshot, and the message of that number comes next."""
        self.next_sequence_number = next_sequence_number

    @property
    def system_event(self) -> str:
        """Code of the last System Event, "" before the first."""
        return self.system_events[-1].event_code if self.system_events else ""

    @property
    def symbols(self) -> list[str]:
        """Symbols in the order in which the feed named them."""
        return list(self._symbols)

    @property
    def order_count(self) -> int:
        """Orders in all books."""
        return len(self._orders)

    def book(self, symbol: str) -> InstrumentBook | None:
        """The book of an instrument, None when the feed has not named it."""
        return self._symbols.get(symbol)

    def order(self, order_reference_number: int) -> DisplayedOrder | None:
        """An order in a book, None when there is none."""
        order = self._orders.get(order_reference_number)
        if order is None:
            return None
        place = order >> PLACE_AT
        side = self._sides[place >> SIDE_AT]
        shares = order & SHARES_OF_ORDER
        code = SideCode(side.code.decode("ascii"))
        return DisplayedOrder(order_reference_number, code, place ^ side.origin, shares)

    def orders(self) -> Iterator[tuple[Side, int, int, int]]:
        """Side, reference number, price and shares of every order, in the sequence in which they
        took their places: those of a level are in priority. Nothing may be applied meanwhile."""
        sides = self._sides
        for reference, order in self._orders.items():
            place = order >> PLACE_AT
            side = sides[place >> SIDE_AT]
            yield side, reference, place ^ side.origin, order & SHARES_OF_ORDER

    def check_invariants(self) -> None:
        """Assert what must hold after every message."""
        levels: dict[int, int] = {}
        for reference, order in self._orders.items():
            place, shares = order >> PLACE_AT, order & SHARES_OF_ORDER
            assert shares, f"order {reference} has no shares"
            levels[place] = levels.get(place, 0) + ONE_ORDER + shares
        assert levels == self._levels, "levels contradict orders"
        for book in self._books.values():
            book.check_invariants()

    # --- orders: every shift and addition here is explained at the top ----------------------------

    def _add_order(self, message: bytes) -> None:
        locate, reference, code, shares, stock, price = _decode_add(message)
        side = self._sides_of_fields.get((locate, stock, code))
        self._enter(side or self._no_side(locate, stock, code), reference, shares, price)

    def _add_order_mpid(self, message: bytes) -> None:
        locate, reference, code, shares, stock, price, _ = _decode_add_mpid(message)
        side = self._sides_of_fields.get((locate, stock, code))
        self._enter(side or self._no_side(locate, stock, code), reference, shares, price)

    def _order_executed(self, message: bytes) -> None:
        locate, reference, shares, match_number = _decode_executed(message)
        price = self._take_off(locate, reference, shares)
        timestamp = itch50.timestamp_of(message)
        self._books[locate].print_trade(timestamp, price, shares, match_number)

    def _order_executed_with_price(self, message: bytes) -> None:
        locate, reference, shares, match_number, printable, price = _decode_executed_with_price(
            message
        )
        self._take_off(locate, reference, shares)
        if printable == b"Y":
            timestamp = itch50.timestamp_of(message)
            self._books[locate].print_trade(timestamp, price, shares, match_number)

    def _order_cancel(self, message: bytes) -> None:
        locate, reference, shares = _decode_cancel(message)
        self._take_off(locate, reference, shares)

    def _order_delete(self, message: bytes) -> None:
        locate, reference = _decode_delete(message)
        self._remove(locate, reference)

    def _order_replace(self, message: bytes) -> None:
        locate, original, reference, shares, price = _decode_replace(message)
        place = self._remove(locate, original)
        self._enter(self._sides[place >> SIDE_AT], reference, shares, price)

    def _enter(self, side: Side, reference: int, shares: int, price: int) -> None:
        if reference in self._orders:
            raise FeedError(f"order {reference} is added twice")
        if not shares:
            raise FeedError(f"order {reference} has no shares")
        place = price ^ side.origin
        self._orders[reference] = place << PLACE_AT | shares
        level = self._levels.get(place)
        if level is None:
            self._levels[place] = ONE_ORDER + shares
            side.places.add(place)
        else:
            self._levels[place] = level + ONE_ORDER + shares

    def _remove(self, locate: int, reference: int) -> int:
        """Take an order out; returns the place that it had."""
        order = self._orders.pop(reference, None)
        if order is None:
            raise FeedError(f"order {reference} is not in any book")
        place = order >> PLACE_AT
        if place >> LOCATE_AT != locate:
            raise self._elsewhere(reference, place, locate)
        self._reduce(place, ONE_ORDER + (order & SHARES_OF_ORDER))
        return place

    def _take_off(self, locate: int, reference: int, shares: int) -> int:
        """Take shares off an order, which leaves with the last of them; returns its price."""
        order = self._orders.get(reference)
        if order is None:
            raise FeedError(f"order {reference} is not in any book")
        place = order >> PLACE_AT
        if place >> LOCATE_AT != locate:
            raise self._elsewhere(reference, place, locate)
        left = (order & SHARES_OF_ORDER) - shares
        if left < 0 or not shares:
            raise FeedError(f"{shares} shares of order {reference}, which has {left + shares}")
        if left:
            self._orders[reference] = order - shares
            self._reduce(place, shares)
        else:
            del self._orders[reference]
            self._reduce(place, ONE_ORDER + shares)
        return place ^ self._sides[place >> SIDE_AT].origin

    def _reduce(self, place: int, part: int) -> None:
        """Take a part off a level, which leaves with its last order."""
        left = self._levels[place] - part
        if left:
            self._levels[place] = left
        else:
            del self._levels[place]
            self._sides[place >> SIDE_AT].places.remove(place)

    def _no_side(self, locate: int, stock: bytes, code: bytes) -> NoReturn:
        self._book_of(locate, stock.decode("ascii", "replace").rstrip(" "))
        raise FeedError(f"side {code.decode('ascii', 'replace')!r} of an order is unknown")

    def _elsewhere(self, reference: int, place: int, locate: int) -> FeedError:
        own = place >> LOCATE_AT
        return FeedError(
            f"order {reference} is of stock locate {own} and the message says {locate}"
        )

    # --- the rest of a day ------------------------------------------------------------------------

    def _rare(self, message: bytes) -> None:
        decoded = itch50.decode(message)
        handler = self._rare_handlers.get(type(decoded))
        if handler is not None:
            handler(decoded)

    def _system_event(self, message: m.SystemEvent) -> None:
        if message.event_code == EventCode.START_OF_MESSAGES:
            self.system_events.clear()
            for book in self._books.values():
                book.begin_day()
        self.system_events.append(message)

    def _stock_directory(self, message: m.StockDirectory) -> None:
        locate, symbol = message.stock_locate, message.stock
        book = self._books.get(locate)
        if book is None:
            if symbol in self._symbols:
                raise FeedError(f"{symbol} has the stock locates {locate} and another")
            book = InstrumentBook(symbol, locate, self._trades_kept, self._orders, self._levels)
            self._books[locate] = self._symbols[symbol] = book
            for side in book.sides.values():
                self._sides[side.key] = side
                self._sides_of_fields[locate, side.stock, side.code] = side
        elif book.symbol != symbol:
            raise FeedError(f"stock locate {locate} is {symbol} and was {book.symbol}")
        book.directory = message
        book.round_lot_size = message.round_lot_size

    def _trading_action(self, message: m.StockTradingAction) -> None:
        try:
            state = TradingStateCode(message.trading_state)
        except ValueError:
            raise FeedError(f"trading state {message.trading_state!r} is unknown") from None
        book = self._book_of(message.stock_locate, message.stock)
        book.trading_state = state
        book.trading_action = message

    def _trade(self, message: m.Trade) -> None:
        book = self._book_of(message.stock_locate, message.stock)
        book.print_trade(message.timestamp, message.price, message.shares, message.match_number)

    def _cross_trade(self, message: m.CrossTrade) -> None:
        book = self._book_of(message.stock_locate, message.stock)
        price, match_number = message.cross_price, message.match_number
        if message.shares:  # a cross of nothing is told too
            book.print_trade(message.timestamp, price, message.shares, match_number)

    def _broken_trade(self, message: m.BrokenTrade) -> None:
        # A trade too old to be remembered is no error: only `trades_kept` of them are.
        self._book_at(message.stock_locate).break_trade(message.match_number)

    def _book_at(self, stock_locate: int) -> InstrumentBook:
        book = self._books.get(stock_locate)
        if book is None:
            raise FeedError(f"stock locate {stock_locate} was never named by a Stock Directory")
        return book

    def _book_of(self, stock_locate: int, stock: str) -> InstrumentBook:
        book = self._book_at(stock_locate)
        if book.symbol != stock:
            raise FeedError(f"stock locate {stock_locate} is {book.symbol}, not {stock!r}")
        return book
