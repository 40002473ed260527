"""StreamValidator: is a stream of ITCH messages true to itself? Pure: messages in, findings out.

    validator = StreamValidator()
    findings = validator.receive(sequence_number, message)       bytes; mostly []
    findings = validator.finish()                                at the end of a capture
    validator.summary()                                          counts

It needs nothing but the messages, from the first one on, and goes on after a finding, so one
mistake may be found in many messages. The rules are those of Nasdaq TotalView-ITCH 5.0 and of our
feed (marketdata/feed.py); marketdata/findings.py names them. Those that need a thought:

Crossed books. In our feed an incoming order trades first (D, E) and is added last (A), and only A,
F and U can make a book crossed. So in state T the book must be sound right after each of these.
The one other way to a crossed book in state T is the H that opens a stock whose orders were
gathered while it did not trade. That book may be crossed until the executions that follow have
cleared it: they are of the same command, so they have the same time stamp. When the time moves on,
when an order is added, or when the stream ends, it must be sound.

Time. Time stamps start again at midnight. A step back of more than an hour is taken for a midnight
between the two messages, a smaller one is a finding.

Match numbers. E, P, Q and a printable C each have a number of their own, above all before. Of the
two orders that trade in a cross both are displayed: the two C of one trade, which are not printable
because Q prints the cross, may have the same number if they are of opposite sides. Q of a cross
without shares has no number.

Executions. E, P and a printable C happen in state T only, and E hits the first order of its side. C
need not, because a cross serves orders that are not displayed, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketdata.findings import Check, Finding
from marketdata.validator_book import NumberSet, OrderInBook, StockInBooks, Trades
from protocols import itch50
from protocols import itch50_messages as m
from protocols.itch50 import ItchError
from protocols.itch50_messages import EventCode, TradingStateCode

MIDNIGHT_STEP_NS = 3_600_000_000_000
"""A time stamp that goes back by more has passed midnight."""
MARKET_WIDE = frozenset([m.SystemEvent, m.MwcbDeclineLevel, m.MwcbStatus])
"""Types that are about no stock; their stock locate is 0."""
SIDES = frozenset("BS")
TRADING_STATES = frozenset(state.value for state in TradingStateCode)
CROSS_TYPES = frozenset("OCHAI")
IMBALANCE_DIRECTIONS = frozenset("BSNOP")
PRICE_VARIATIONS = frozenset(["", *"L123456789ABC"])


_EVENT_ORDER = {code.value: index for index, code in enumerate(EventCode)}


class StreamValidator:
    """Checks one stream from its first message on."""

    def __init__(self) -> None:
        self._messages = 0
        self._found = 0
        self._last_number = 0
        self._number = 0
        self._findings: list[Finding] = []
        self._time = 0
        self._last_event = ""
        self._ended = False
        self._stocks: dict[int, StockInBooks] = {}
        self._locates: dict[str, int] = {}
        self._orders: dict[int, OrderInBook] = {}
        self._used_references = NumberSet()
        self._orders_added = 0
        self._trades = Trades()
        self._last_of_cross: tuple[int, OrderInBook] | None = None
        self._may_be_crossed: list[StockInBooks] = []
        self._checks: dict[type, Callable[..., None]] = {
            m.SystemEvent: self._system_event,
            m.StockDirectory: self._directory,
            m.StockTradingAction: self._trading_action,
            m.AddOrder: self._add,
            m.AddOrderMpid: self._add,
            m.OrderExecuted: self._executed,
            m.OrderExecutedWithPrice: self._executed_with_price,
            m.OrderCancel: self._cancel,
            m.OrderDelete: self._delete,
            m.OrderReplace: self._replace,
            m.Trade: self._trade,
            m.CrossTrade: self._cross,
            m.BrokenTrade: self._broken,
            m.NetOrderImbalance: self._imbalance,
        }

    def receive(self, sequence_number: int | None, message: bytes) -> list[Finding]:
        """Check the next message. None as its number means that it is not known: it is counted
        on."""
        self._findings = []
        self._messages += 1
        expected = self._last_number + 1
        self._number = expected if sequence_number is None else sequence_number
        if self._number > expected:
            self._find(Check.SEQUENCE, f"number {expected} was expected: messages are missing")
        elif self._number < expected:
            self._find(Check.SEQUENCE, f"number {expected} was expected: it goes back")
        self._last_number = max(self._last_number, self._number)
        try:
            decoded = itch50.decode(message)
        except ItchError as error:
            self._find(Check.FORMAT, f"{error}")
        else:
            self._check(decoded)
        self._found += len(self._findings)
        return self._findings

    def finish(self) -> list[Finding]:
        """Check what only the end of the stream decides."""
        self._findings = []
        self._check_opened_books()
        self._found += len(self._findings)
        return self._findings

    def summary(self) -> dict[str, int]:
        """Counts so far. Broken trades are no longer among trades and volume."""
        return {
            "messages": self._messages,
            "last_sequence": self._last_number,
            "symbols": len(self._stocks),
            "orders": self._orders_added,
            "orders_in_books": len(self._orders),
            "trades": self._trades.count,
            "volume": self._trades.volume,
            "broken_trades": self._trades.broken,
            "findings": self._found,
        }

    def _find(self, check: Check, text: str) -> None:
        self._findings.append(Finding(self._number, check, text + "."))

    def _check(self, message: Any) -> None:
        kind = type(message)
        if self._ended:
            if kind is m.SystemEvent and message.event_code == EventCode.START_OF_MESSAGES:
                self._time = 0  # another day, which may begin at any time of the day
            else:
                text = "a message comes after System Event C, the end of messages"
                self._find(Check.AFTER_END, text)
        self._check_time(message.timestamp)
        if kind in MARKET_WIDE:
            if message.stock_locate:
                self._find(Check.LOCATE, f"{kind.__name__} has a stock locate")
        elif kind is not m.StockDirectory:
            self._check_stock(message.stock_locate, getattr(message, "stock", None))
        check = self._checks.get(kind)
        if check is not None:
            check(message)

    def _check_time(self, timestamp: int) -> None:
        if timestamp >= itch50.NS_PER_DAY:
            self._find(Check.TIME, f"the time stamp {timestamp} is beyond the end of a day")
            return
        if self._time - MIDNIGHT_STEP_NS <= timestamp < self._time:
            self._find(Check.TIME, f"the time stamp {timestamp} is before {self._time}")
            return
        if timestamp != self._time:
            self._check_opened_books()
            self._time = timestamp

    def _check_stock(self, locate: int, symbol: str | None) -> None:
        """The stock of a message must have been named, under that locate."""
        stock = self._stocks.get(locate)
        if stock is None:
            self._find(Check.DIRECTORY, f"no Stock Directory has named the stock locate {locate}")
        elif symbol is not None and symbol != stock.symbol:
            self._find(Check.LOCATE, f"stock locate {locate} is {stock.symbol}, not {symbol!r}")

    # --- the day ---------------------------------------------------------------------------------

    def _system_event(self, message: m.SystemEvent) -> None:
        code = message.event_code
        place = _EVENT_ORDER.get(code)
        if place is None:
            self._find(Check.SHAPE, f"the event code {code!r} is unknown")
            return
        begins_again = self._ended and code == EventCode.START_OF_MESSAGES
        if self._last_event and not begins_again and place <= _EVENT_ORDER[self._last_event]:
            self._find(Check.SYSTEM_EVENT, f"System Event {code} comes after {self._last_event}")
        self._last_event = code
        self._ended = code == EventCode.END_OF_MESSAGES

    def _directory(self, message: m.StockDirectory) -> None:
        """R may come again for the same stock and locate."""
        locate, symbol = message.stock_locate, message.stock
        known = self._stocks.get(locate)
        if not symbol or locate == 0:
            self._find(Check.SHAPE, f"stock {symbol!r} with the stock locate {locate}")
        elif known is not None and known.symbol != symbol:
            self._find(Check.LOCATE, f"stock locate {locate} is {known.symbol}, not {symbol!r}")
        elif self._locates.get(symbol, locate) != locate:
            was = self._locates[symbol]
            self._find(Check.LOCATE, f"{symbol} has the stock locate {was}, not {locate}")
        elif known is None:
            self._stocks[locate] = StockInBooks(locate, symbol)
            self._locates[symbol] = locate

    def _trading_action(self, message: m.StockTradingAction) -> None:
        state = message.trading_state
        if state not in TRADING_STATES:
            self._find(Check.SHAPE, f"the trading state {state!r} is unknown")
        elif (stock := self._stocks.get(message.stock_locate)) is not None:
            stock.state = state
            if state == TradingStateCode.TRADING and stock.crossed():
                self._may_be_crossed.append(stock)
        if message.reason and message.reason not in m.HALT_REASONS:
            self._find(Check.SHAPE, f"the reason {message.reason!r} is unknown")

    # --- orders ----------------------------------------------------------------------------------

    def _add(self, message: m.AddOrder | m.AddOrderMpid) -> None:
        stock = self._stocks.get(message.stock_locate)
        reference, side = message.order_reference_number, message.side
        if side not in SIDES:
            self._find(Check.SHAPE, f"order {reference} has the side {side!r}")
        elif stock is not None:
            self._enter(stock, reference, side, message.shares, message.price)

    def _enter(
        self, stock: StockInBooks, reference: int, side: str, shares: int, price: int
    ) -> None:
        if shares == 0 or price == 0:
            self._find(Check.SHAPE, f"order {reference}: {shares} shares at the price {price}")
        self._orders_added += 1
        if not self._used_references.add(reference):
            self._find(Check.DUPLICATE_REFERENCE, f"order {reference} was there before")
            if reference in self._orders:
                return
        if shares == 0:
            return
        order = OrderInBook(stock, reference, side, shares, price)
        self._orders[reference] = order
        stock.sides[side].add(order)
        if stock.state == TradingStateCode.TRADING:
            self._check_crossed(stock)

    def _check_crossed(self, stock: StockInBooks) -> None:
        crossed = stock.crossed()
        if crossed is not None and not stock.crossed_told:
            bid, offer = crossed
            how = "locked" if bid == offer else "crossed"
            text = f"the book of {stock.symbol} is {how}: bid {bid}, offer {offer}, in 1/10,000"
            self._find(Check.CROSSED, text)
        stock.crossed_told = crossed is not None

    def _check_opened_books(self) -> None:
        """Books that were crossed when they opened must be cleared by now."""
        for stock in self._may_be_crossed:
            if stock.state == TradingStateCode.TRADING:
                self._check_crossed(stock)
        self._may_be_crossed.clear()

    def _order_of(self, message: Any, reference: int) -> OrderInBook | None:
        order = self._orders.get(reference)
        locate = message.stock_locate
        if order is None:
            self._find(Check.UNKNOWN_ORDER, f"order {reference} is not in any book")
        elif order.book.locate != locate and locate in self._stocks:
            known = order.book.locate
            self._find(Check.LOCATE, f"order {reference} is of stock locate {known}, not {locate}")
        return order

    def _take_off(self, order: OrderInBook, shares: int, over: Check) -> None:
        if shares == 0:
            self._find(Check.SHAPE, f"0 shares are taken off order {order.reference}")
        if shares > order.shares:
            self._find(
                over, f"{shares} shares of order {order.reference}, which has {order.shares}"
            )
        order.shares -= min(shares, order.shares)
        if order.shares == 0:
            self._remove(order)

    def _remove(self, order: OrderInBook) -> None:
        del self._orders[order.reference]
        order.book.sides[order.side].remove(order)
        if order.book.crossed_told and not order.book.crossed():
            order.book.crossed_told = False

    def _cancel(self, message: m.OrderCancel) -> None:
        order = self._order_of(message, message.order_reference_number)
        if order is not None:
            self._take_off(order, message.cancelled_shares, Check.OVER_CANCEL)

    def _delete(self, message: m.OrderDelete) -> None:
        order = self._order_of(message, message.order_reference_number)
        if order is not None:
            self._remove(order)

    def _replace(self, message: m.OrderReplace) -> None:
        order = self._order_of(message, message.original_order_reference_number)
        if order is not None:
            self._remove(order)
            new = message.new_order_reference_number
            self._enter(order.book, new, order.side, message.shares, message.price)

    # --- trades ----------------------------------------------------------------------------------

    def _executed(self, message: m.OrderExecuted) -> None:
        reference, shares = message.order_reference_number, message.executed_shares
        order = self._order_of(message, reference)
        self._check_match_number(message.stock_locate, message.match_number, shares)
        if order is None:
            return
        self._check_trades(order.book, "E")
        first = order.book.sides[order.side].first()
        assert first is not None, f"order {reference} is on a side without orders"
        if order is not first:
            text = f"order {reference} at {order.price} is executed before order {first.reference}"
            self._find(Check.PRIORITY, f"{text} at {first.price}, which is older or better")
        self._take_off(order, shares, Check.OVER_EXECUTION)

    def _executed_with_price(self, message: m.OrderExecutedWithPrice) -> None:
        reference, shares = message.order_reference_number, message.executed_shares
        order = self._order_of(message, reference)
        if message.printable not in ("Y", "N"):
            self._find(Check.SHAPE, f"printable is {message.printable!r}, neither Y nor N")
        if message.execution_price == 0:
            self._find(Check.SHAPE, f"order {reference} is executed at the price 0")
        printed = message.printable == "Y"
        number, last = message.match_number, self._last_of_cross
        is_other_side = (
            not printed
            and order is not None
            and last is not None
            and last[0] == number == self._trades.last
            and (last[1].book, last[1].side) != (order.book, order.side)
            and last[1].book is order.book
        )
        if is_other_side:
            self._last_of_cross = None
        else:
            told = shares if printed else 0
            locate = message.stock_locate
            self._check_match_number(locate, number, told, is_of_cross=not printed)
            self._last_of_cross = None if printed or order is None else (number, order)
        if order is not None:
            if printed:
                self._check_trades(order.book, "C")
            self._take_off(order, shares, Check.OVER_EXECUTION)

    def _check_trades(self, stock: StockInBooks | None, kind: str) -> None:
        if stock is not None and stock.state != TradingStateCode.TRADING:
            state = f"in state {stock.state}" if stock.state else "without a state"
            self._find(Check.TRADING_STATE, f"{kind} of {stock.symbol}, which is {state}")

    def _check_match_number(
        self, locate: int, number: int, printed_shares: int, *, is_of_cross: bool = False
    ) -> None:
        last = self._trades.last
        if number <= last:
            self._find(Check.MATCH_NUMBER, f"match number {number} comes after {last}")
        else:
            self._trades.add(number, locate, printed_shares, is_of_cross=is_of_cross)

    def _trade(self, message: m.Trade) -> None:
        shares, price, side = message.shares, message.price, message.side
        if side not in SIDES or shares == 0 or price == 0:
            self._find(Check.SHAPE, f"P of {shares} shares at {price} with the side {side!r}")
        self._check_trades(self._stocks.get(message.stock_locate), "P")
        self._check_match_number(message.stock_locate, message.match_number, shares)

    def _cross(self, message: m.CrossTrade) -> None:
        shares, price = message.shares, message.cross_price
        if message.cross_type not in CROSS_TYPES:
            self._find(Check.SHAPE, f"the cross type {message.cross_type!r} is unknown")
        if shares:
            if price == 0:
                self._find(Check.SHAPE, f"a cross of {shares} shares has the price 0")
            number = message.match_number
            self._check_match_number(message.stock_locate, number, shares, is_of_cross=True)

    def _broken(self, message: m.BrokenTrade) -> None:
        number = message.match_number
        locate = self._trades.locate_of(number)
        if locate is None:
            self._find(Check.BROKEN_TRADE, f"no trade has the match number {number}")
            return
        if locate != message.stock_locate and message.stock_locate in self._stocks:
            text = f"trade {number} is of stock locate {locate}, not {message.stock_locate}"
            self._find(Check.LOCATE, text)
        if not self._trades.break_trade(number):
            self._find(Check.BROKEN_TRADE, f"trade {number} is broken a second time")

    def _imbalance(self, message: m.NetOrderImbalance) -> None:
        direction, imbalance = message.imbalance_direction, message.imbalance_shares
        if direction not in IMBALANCE_DIRECTIONS:
            self._find(Check.SHAPE, f"the imbalance direction {direction!r} is unknown")
        elif (direction in SIDES) != (imbalance > 0):
            text = f"an imbalance of {imbalance} shares has the direction {direction}"
            self._find(Check.SHAPE, text)
        if message.cross_type not in CROSS_TYPES:
            self._find(Check.SHAPE, f"the cross type {message.cross_type!r} is unknown")
        if message.price_variation_indicator not in PRICE_VARIATIONS:
            text = f"the price variation {message.price_variation_indicator!r} is unknown"
            self._find(Check.SHAPE, text)
