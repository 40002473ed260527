"""One instrument as the feed tells it: its orders by price and priority, its trades, its state.

A feed has a million orders and is read by few, so an order costs little and reading may cost more:

* An order is one integer in one dictionary, by its reference number; a level is one in the
  dictionary of its side, by its rank. They are shifted and added, and no object is made that
  Python's garbage collector would ever look at.

      order   stock locate 16 bits | side 1 bit | rank 32 bits | shares 32 bits
      level   shares | number of orders 32 bits

  The first two parts of an order are the key of its side; a sell has the bit.
* A rank says how good a price is, and the higher one is the better: the price itself of a buy, its
  complement to 2**32 - 1 of a sell.
* A dictionary keeps the order in which keys came, so orders of a level stand in it by priority.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from protocols import itch50
from protocols import itch50_messages as m
from protocols.itch50_messages import SideCode, TradingStateCode

MASK: Final = (1 << 32) - 1
"""Of a part of 32 bits."""
# Where a part begins, in bits.
RANK_AT: Final = 32
SIDE_AT: Final = 64
LOCATE_AT: Final = 65
SHARES_AT: Final = 32  # in a level


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


class DisplayedOrder(NamedTuple):
    """Level 3: one order in the book."""

    order_reference_number: int
    side: SideCode
    price: int
    shares: int


class Side:
    """One side of a book: its levels by rank, and their ranks, the best one last."""

    __slots__ = ("code", "flip", "key", "levels", "ranks", "stock", "stock_locate")

    def __init__(self, stock_locate: int, stock: bytes, code: SideCode) -> None:
        self.stock_locate = stock_locate
        self.stock = stock
        self.code = code.encode("ascii")
        """These as they are in messages."""
        is_sell = code is SideCode.SELL
        self.key = stock_locate << 1 | is_sell
        """With which its orders begin."""
        self.flip = MASK if is_sell else 0
        """A price ^ this is the rank, a rank ^ this is the price."""
        self.levels: dict[int, int] = {}
        self.ranks: list[int] = []

    def add(self, rank: int, shares: int) -> None:
        """One more order. A new level costs the more, the farther it is from the best one."""
        levels = self.levels
        level = levels.get(rank)
        if level is None:
            levels[rank] = shares << SHARES_AT | 1
            insort(self.ranks, rank)
        else:
            levels[rank] = level + (shares << SHARES_AT | 1)

    def take(self, rank: int, shares: int, orders: int) -> None:
        """So many shares and orders less; the level leaves with the last of them."""
        left = self.levels[rank] - (shares << SHARES_AT | orders)
        if left:
            self.levels[rank] = left
        else:
            del self.levels[rank]
            del self.ranks[bisect_left(self.ranks, rank)]

    def best(self, depth: int | None) -> list[PriceLevel]:
        levels, flip = self.levels, self.flip
        return [
            PriceLevel(rank ^ flip, levels[rank] >> SHARES_AT, levels[rank] & MASK)
            for rank in islice(reversed(self.ranks), depth)
        ]


class InstrumentBook:
    """One instrument: its orders by price and priority, its trades, its state."""

    def __init__(
        self, symbol: str, stock_locate: int, trades_kept: int, orders: dict[int, int]
    ) -> None:
        """`orders` are those of all books, as MarketDepth keeps them."""
        self.symbol = symbol
        self.stock = itch50.stock_field(symbol)
        """The symbol as messages have it."""
        self.stock_locate = stock_locate
        self.trading_state = TradingStateCode.HALTED
        self.round_lot_size = 1
        self.directory: m.StockDirectory | None = None
        self.trading_action: m.StockTradingAction | None = None
        """The last ones; the rest of an instrument's state is in them."""
        self.last_price: int | None = None
        self.volume = 0
        """Shares traded since the day began."""
        self.trades_kept = trades_kept
        self._sides = {code: Side(stock_locate, self.stock, code) for code in SideCode}
        self.sides = {side.code: side for side in self._sides.values()}
        """By the Buy/Sell Indicator as it is in messages."""
        self._orders = orders
        self._last_match_before = 0  # the last trade of the days before
        self._trades: deque[tuple[int, int, int, int]] = deque(maxlen=trades_kept)

    def bids(self, depth: int | None = None) -> list[PriceLevel]:
        """Price levels to buy, the highest first; at most `depth`."""
        return self._sides[SideCode.BUY].best(depth)

    def asks(self, depth: int | None = None) -> list[PriceLevel]:
        """Price levels to sell, the lowest first; at most `depth`."""
        return self._sides[SideCode.SELL].best(depth)

    def best_bid(self) -> PriceLevel | None:
        return next(iter(self.bids(1)), None)

    def best_ask(self) -> PriceLevel | None:
        return next(iter(self.asks(1)), None)

    def orders(self, side: SideCode) -> list[DisplayedOrder]:
        """Every order of a side, in priority: by price, then by time. Looks through the orders of
        all books; for those of all there is MarketDepth.orders."""
        own = self._sides[side]
        found = [
            (order >> RANK_AT & MASK, reference, order & MASK)
            for reference, order in self._orders.items()
            if order >> SIDE_AT == own.key
        ]
        found.sort(key=itemgetter(0), reverse=True)  # equal ones stay as they are
        return [
            DisplayedOrder(reference, side, rank ^ own.flip, shares)
            for rank, reference, shares in found
        ]

    def trades(self, limit: int | None = None) -> list[TradePrint]:
        """Recent trades, the last one first; at most `limit`, None: all that are kept."""
        return [TradePrint(*trade) for trade in islice(reversed(self._trades), limit)]

    def begin_day(self) -> None:
        """Nothing has traded today; the last price and the recent trades stay."""
        self.volume = 0
        if self._trades:
            self._last_match_before = self._trades[-1][3]

    def print_trade(self, timestamp: int, price: int, shares: int, match_number: int) -> None:
        self._trades.append((timestamp, price, shares, match_number))
        self.last_price = price
        self.volume += shares

    def break_trade(self, match_number: int) -> None:
        """Take a trade back, if it is still remembered."""
        for trade in self._trades:
            if trade[3] == match_number:
                self._trades.remove(trade)
                if match_number > self._last_match_before:
                    self.volume -= trade[2]
                self.last_price = self._trades[-1][1] if self._trades else None
                return

    def check_invariants(self, levels: dict[int, dict[int, int]]) -> None:
        """Assert that levels are in order and as they should be, by the key of their side, and that
        the book is not crossed."""
        for side in self.sides.values():
            assert side.ranks == sorted(side.levels), f"{self.symbol}: ranks out of order"
            assert side.levels == levels.get(side.key, {}), f"{self.symbol}: wrong levels"
        bid, ask = self.best_bid(), self.best_ask()
        if bid is not None and ask is not None:
            assert bid.price < ask.price, f"{self.symbol}: crossed, {bid} and {ask}"
