"""ITCH messages -> books, trades, trading states. Strict enough to be an oracle in tests.

    depth = MarketDepth()
    depth.apply(itch50.decode(message))            raises FeedError on whatever cannot be
    depth.book("AAPL").bids(5)                     five price levels, best first
    depth.book("AAPL").orders(SideCode.BUY)        every order, in priority

The rules are those of Nasdaq TotalView-ITCH 5.0: E, C and X take shares off an order, which is gone
at 0; U moves it to the end of its new level; P and Q never touch the book; a C that is not
printable is no trade for the tape; B takes a trade back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from sortedcontainers import SortedDict

from protocols import itch50_messages as m
from protocols.itch50_messages import EventCode, Message, SideCode, TradingStateCode


class FeedError(ValueError):
    """A message that contradicts those before it: the feed, or its reader, is wrong."""


class PriceLevel(NamedTuple):
    """Level 2: the shares and the number of orders at one price."""

    price: int
    shares: int
    orders: int


class TradePrint(NamedTuple):
    """A trade of the tape. `timestamp` is in ns since midnight UTC."""

    timestamp: int
    price: int
    shares: int
    match_number: int


class DisplayedOrder:
    """Level 3: one order in the book."""

    __slots__ = ("book", "order_reference_number", "price", "shares", "side")

    def __init__(
        self, book: InstrumentBook, reference: int, side: SideCode, price: int, shares: int
    ) -> None:
        self.book = book
        self.order_reference_number = reference
        self.side = side
        self.price = price
        self.shares = shares


class _Level:
    """Orders at one price in the order of their priority, and the sum of their shares."""

    __slots__ = ("orders", "shares")

    def __init__(self) -> None:
        self.orders: dict[int, DisplayedOrder] = {}
        self.shares = 0


class InstrumentBook:
    """One instrument: its orders by price and priority, its trades, its state."""

    def __init__(self, symbol: str, stock_locate: int, trades_kept: int) -> None:
        self.symbol = symbol
        self.stock_locate = stock_locate
        self.trading_state = TradingStateCode.HALTED
        self.round_lot_size = 1
        self.directory: m.StockDirectory | None = None
        self.trading_action: m.StockTradingAction | None = None
        """The last ones; the rest of an instrument's state is in them."""
        self.last_price: int | None = None
        self.volume = 0
        """Shares traded since the day began."""
        self._last_match_before = 0  # the last trade of the days before
        self.trades: deque[TradePrint] = deque(maxlen=trades_kept)
        """Recent trades, the last one at the right."""
        self._levels: dict[SideCode, SortedDict[int, _Level]] = {
            SideCode.BUY: SortedDict(lambda price: -price),
            SideCode.SELL: SortedDict(),
        }

    def bids(self, depth: int | None = None) -> list[PriceLevel]:
        """Price levels to buy, the highest first; at most `depth`."""
        return self._side(SideCode.BUY, depth)

    def asks(self, depth: int | None = None) -> list[PriceLevel]:
        """Price levels to sell, the lowest first; at most `depth`."""
        return self._side(SideCode.SELL, depth)

    def best_bid(self) -> PriceLevel | None:
        return next(iter(self.bids(1)), None)

    def best_ask(self) -> PriceLevel | None:
        return next(iter(self.asks(1)), None)

    def orders(self, side: SideCode) -> Iterator[DisplayedOrder]:
        """Every order of a side, in priority: by price, then by time."""
        for level in self._levels[side].values():
            yield from level.orders.values()

    def _side(self, side: SideCode, depth: int | None) -> list[PriceLevel]:
        return [
            PriceLevel(price, level.shares, len(level.orders))
            for price, level in islice(self._levels[side].items(), depth)
        ]

    def add(self, order: DisplayedOrder) -> None:
        levels = self._levels[order.side]
        level = levels.get(order.price)
        if level is None:
            level = levels[order.price] = _Level()
        level.orders[order.order_reference_number] = order
        level.shares += order.shares

    def reduce(self, order: DisplayedOrder, shares: int) -> None:
        """Take shares off an order; it leaves with the last of them."""
        levels = self._levels[order.side]
        level = levels[order.price]
        order.shares -= shares
        level.shares -= shares
        if order.shares == 0:
            del level.orders[order.order_reference_number]
            if not level.orders:
                del levels[order.price]

    def begin_day(self) -> None:
        """Nothing has traded today; the last price and the recent trades stay."""
        self.volume = 0
        if self.trades:
            self._last_match_before = self.trades[-1].match_number

    def print_trade(self, trade: TradePrint) -> None:
        self.trades.append(trade)
        self.last_price = trade.price
        self.volume += trade.shares

    def break_trade(self, match_number: int) -> bool:
        """Take a trade back, if it is still remembered."""
        for trade in self.trades:
            if trade.match_number == match_number:
                self.trades.remove(trade)
                if match_number > self._last_match_before:
                    self.volume -= trade.shares
                self.last_price = self.trades[-1].price if self.trades else None
                return True
        return False

    def check_invariants(self) -> None:
        """Assert that sums agree with orders and that the book is not crossed."""
        for side, levels in self._levels.items():
            for price, level in levels.items():
                assert level.orders, f"{self.symbol}: empty level {price}"
                assert level.shares == sum(order.shares for order in level.orders.values())
                for order in level.orders.values():
                    assert order.shares > 0
                    assert (order.side, order.price) == (side, price)
        bid, ask = self.best_bid(), self.best_ask()
        if bid is not None and ask is not None:
            assert bid.price < ask.price, f"{self.symbol}: crossed, {bid} and {ask}"


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
        self._orders: dict[int, DisplayedOrder] = {}
        self._handlers: dict[type, Callable[..., None]] = {
            m.SystemEvent: self._system_event,
            m.StockDirectory: self._stock_directory,
            m.StockTradingAction: self._trading_action,
            m.AddOrder: self._add_order,
            m.AddOrderMpid: self._add_order,
            m.OrderExecuted: self._order_executed,
            m.OrderExecutedWithPrice: self._order_executed_with_price,
            m.OrderCancel: self._order_cancel,
            m.OrderDelete: self._order_delete,
            m.OrderReplace: self._order_replace,
            m.Trade: self._trade,
            m.CrossTrade: self._cross_trade,
            m.BrokenTrade: self._broken_trade,
        }

    def apply(self, message: Message) -> None:
        """Take the next message. Raises FeedError, and is then no longer to be trusted."""
        handler = self._handlers.get(type(message))
        if handler is not None:  # other types say nothing of books and trades
            handler(message)
        self.timestamp = message[2]
        self.next_sequence_number += 1

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
        return self._orders.get(order_reference_number)

    def check_invariants(self) -> None:
        """Assert what must hold after every message."""
        for book in self._books.values():
            book.check_invariants()
        in_books = sum(
            sum(1 for _ in book.orders(side)) for book in self._books.values() for side in SideCode
        )
        assert in_books == len(self._orders)

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
                raise self._error(f"{symbol} has the stock locates {locate} and another")
            book = InstrumentBook(symbol, locate, self._trades_kept)
            self._books[locate] = self._symbols[symbol] = book
        elif book.symbol != symbol:
            raise self._error(f"stock locate {locate} is {symbol} and was {book.symbol}")
        book.directory = message
        book.round_lot_size = message.round_lot_size

    def _trading_action(self, message: m.StockTradingAction) -> None:
        try:
            state = TradingStateCode(message.trading_state)
        except ValueError:
            raise self._error(f"trading state {message.trading_state!r} is unknown") from None
        book = self._book_of(message.stock_locate, message.stock)
        book.trading_state = state
        book.trading_action = message

    def _add_order(self, message: m.AddOrder | m.AddOrderMpid) -> None:
        book = self._book_of(message.stock_locate, message.stock)
        reference, shares = message.order_reference_number, message.shares
        try:
            side = SideCode(message.side)
        except ValueError:
            raise self._error(f"order {reference}: side {message.side!r} is unknown") from None
        self._enter(book, reference, side, message.price, shares)

    def _enter(
        self, book: InstrumentBook, reference: int, side: SideCode, price: int, shares: int
    ) -> None:
        if reference in self._orders:
            raise self._error(f"order {reference} is added twice")
        if shares == 0:
            raise self._error(f"order {reference} has no shares")
        order = DisplayedOrder(book, reference, side, price, shares)
        self._orders[reference] = order
        book.add(order)

    def _order_executed(self, message: m.OrderExecuted) -> None:
        _, _, timestamp, reference, shares, match_number = message
        order = self._take_off(message.stock_locate, reference, shares)
        order.book.print_trade(TradePrint(timestamp, order.price, shares, match_number))

    def _order_executed_with_price(self, message: m.OrderExecutedWithPrice) -> None:
        shares = message.executed_shares
        order = self._take_off(message.stock_locate, message.order_reference_number, shares)
        if message.printable == "Y":
            price, match_number = message.execution_price, message.match_number
            order.book.print_trade(TradePrint(message.timestamp, price, shares, match_number))

    def _order_cancel(self, message: m.OrderCancel) -> None:
        self._take_off(
            message.stock_locate, message.order_reference_number, message.cancelled_shares
        )

    def _order_delete(self, message: m.OrderDelete) -> None:
        self._remove(message.stock_locate, message.order_reference_number)

    def _order_replace(self, message: m.OrderReplace) -> None:
        old = self._remove(message.stock_locate, message.original_order_reference_number)
        new_reference = message.new_order_reference_number
        self._enter(old.book, new_reference, old.side, message.price, message.shares)

    def _trade(self, message: m.Trade) -> None:
        book = self._book_of(message.stock_locate, message.stock)
        book.print_trade(
            TradePrint(message.timestamp, message.price, message.shares, message.match_number)
        )

    def _cross_trade(self, message: m.CrossTrade) -> None:
        book = self._book_of(message.stock_locate, message.stock)
        if message.shares:  # a cross of nothing is told too
            trade = TradePrint(
                message.timestamp, message.cross_price, message.shares, message.match_number
            )
            book.print_trade(trade)

    def _broken_trade(self, message: m.BrokenTrade) -> None:
        # A trade too old to be remembered is no error: only `trades_kept` of them are.
        self._book_at(message.stock_locate).break_trade(message.match_number)

    def _remove(self, stock_locate: int, reference: int) -> DisplayedOrder:
        order = self._order_of(stock_locate, reference)
        return self._take_off(stock_locate, reference, order.shares)

    def _take_off(self, stock_locate: int, reference: int, shares: int) -> DisplayedOrder:
        """Take shares off an order, which leaves with the last of them."""
        order = self._order_of(stock_locate, reference)
        if not 0 < shares <= order.shares:
            raise self._error(f"{shares} shares of order {reference}, which has {order.shares}")
        order.book.reduce(order, shares)
        if order.shares == 0:
            del self._orders[reference]
        return order

    def _order_of(self, stock_locate: int, reference: int) -> DisplayedOrder:
        order = self._orders.get(reference)
        if order is None:
            raise self._error(f"order {reference} is not in any book")
        if order.book.stock_locate != stock_locate:
            raise self._error(
                f"order {reference} is of stock locate {order.book.stock_locate}"
                f" and the message says {stock_locate}"
            )
        return order

    def _book_at(self, stock_locate: int) -> InstrumentBook:
        book = self._books.get(stock_locate)
        if book is None:
            raise self._error(f"stock locate {stock_locate} was never named by a Stock Directory")
        return book

    def _book_of(self, stock_locate: int, stock: str) -> InstrumentBook:
        book = self._book_at(stock_locate)
        if book.symbol != stock:
            raise self._error(f"stock locate {stock_locate} is {book.symbol}, not {stock!r}")
        return book

    def _error(self, text: str) -> FeedError:
        return FeedError(f"message {self.next_sequence_number}: {text}")
