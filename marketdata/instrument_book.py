"""One instrument as the feed tells it: its orders by price and priority, its trades, its state.

A feed has a million orders and is read by few, so an order costs little and reading may cost more:

* An order is one integer in one dictionary, by its reference number; a level is one in another, by
  its place. They are shifted and added, and no object is made that Python's garbage collector would
  ever look at.

      place   stock locate 16 bits | side 1 bit, set for a sell | rank 32 bits
      order   place | shares 32 bits
      level   number of orders | shares of them all 64 bits

* A rank says how good a price is, and the lower one is the better: the price itself of a sell, its
  complement to 2**32 - 1 of a buy. So places of one side are in the order of its prices, and those
  of its levels are the keys of matching/level_keys.py: far from the market a level costs no more.
* A dictionary keeps the order in which keys came, so orders of a level stand in it by priority.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from matching.level_keys import LevelKeys
from protocols import itch50
from protocols import itch50_messages as m
from protocols.itch50_messages import SideCode, TradingStateCode

SHARES_OF_ORDER: Final = (1 << 32) - 1
SHARES_OF_LEVEL: Final = (1 << 64) - 1
ONE_ORDER: Final = 1 << 64
"""In a level."""
# Where the parts of an order and of a place begin, in bits.
PLACE_AT: Final = 32
ORDERS_AT: Final = 64
SIDE_AT: Final = 32
LOCATE_AT: Final = 33


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
    """One side of a book: the places of its levels, the best one first."""

    __slots__ = ("code", "key", "origin", "places", "stock", "stock_locate")

    def __init__(self, stock_locate: int, stock: bytes, code: SideCode) -> None:
        self.stock_locate = stock_locate
        self.stock = stock
        self.code = code.encode("ascii")
        """These as they are in messages."""
        is_sell = code is SideCode.SELL
        self.key = stock_locate << 1 | is_sell
        """With which its places begin."""
        self.origin = self.key << SIDE_AT | (0 if is_sell else 0xFFFFFFFF)
        """A price ^ this is the place, a place ^ this is the price."""
        self.places = LevelKeys()


class InstrumentBook:
    """One instrument: its orders by price and priority, its trades, its state."""

    def __init__(
        self,
        symbol: str,
        stock_locate: int,
        trades_kept: int,
        orders: dict[int, int],
        levels: dict[int, int],
    ) -> None:
        """`orders` and `levels` are those of all books, as MarketDepth keeps them."""
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
        self.trades_kept = trades_kept
        stock = itch50.stock_field(symbol)
        self.sides = {code: Side(stock_locate, stock, code) for code in SideCode}
        self._orders = orders
        self._levels = levels
        self._last_match_before = 0  # the last trade of the days before
        self._trades: deque[tuple[int, int, int, int]] = deque(maxlen=trades_kept)

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

    def orders(self, side: SideCode) -> list[DisplayedOrder]:
        """Every order of a side, in priority: by price, then by time. Looks through the orders of
        all books; for those of all there is MarketDepth.orders."""
        own = self.sides[side]
        found = [
            (order >> PLACE_AT, reference, order & SHARES_OF_ORDER)
            for reference, order in self._orders.items()
            if order >> PLACE_AT + SIDE_AT == own.key
        ]
        found.sort(key=itemgetter(0))  # equal ones stay as they are
        return [
            DisplayedOrder(reference, side, place ^ own.origin, shares)
            for place, reference, shares in found
        ]

    def _side(self, code: SideCode, depth: int | None) -> list[PriceLevel]:
        side, levels = self.sides[code], self._levels
        return [
            PriceLevel(
                place ^ side.origin, levels[place] & SHARES_OF_LEVEL, levels[place] >> ORDERS_AT
            )
            for place in islice(side.places, depth)
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

    def check_invariants(self) -> None:
        """Assert that the levels of each side are known and in order, and that the book is not
        crossed."""
        for side in self.sides.values():
            known = [place for place in self._levels if place >> SIDE_AT == side.key]
            assert list(side.places) == sorted(known), f"{self.symbol}: places out of order"
        bid, ask = self.best_bid(), self.best_ask()
        if bid is not None and ask is not None:
            assert bid.price < ask.price, f"{self.symbol}: crossed, {bid} and {ask}"
