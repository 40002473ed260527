"""Instruments as they trade: the state of each, its price band, and what a state allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from matching.instrument_books import InstrumentBooks
from matching.order_book import MatchNumbers, OrderBook
from matching.order_pool import OrderPool
from matching.stop_orders import StopOrders
from matching.types import BookOrder, Side
from oms.events import RejectReason, TradingState
from oms.order_state import Order, SpecialOrder
from oms.price import HIGHEST_PRICE
from oms.price_protection import PriceProtection
from oms.reference_data import Instrument

ENTRY_REFUSED: Final[dict[int, RejectReason | None]] = {
    TradingState.CLOSED: RejectReason.MARKET_CLOSED,
    TradingState.HALTED: RejectReason.HALTED,
    TradingState.TRADING: None,
    TradingState.PRE_OPEN: None,
    TradingState.OPENING_AUCTION: None,
    TradingState.CLOSING_AUCTION: None,
    TradingState.AUCTION_CALL: None,
    TradingState.EMERGENCY_CLOSED: RejectReason.EMERGENCY_CLOSED,
}
"""Why a state refuses to enter or replace an order; None: it does not. Cancels and queries are
allowed in every state: whoever wants to get out can."""

COLLECTING: Final = frozenset(
    int(state)
    for state in (
        TradingState.PRE_OPEN,
        TradingState.OPENING_AUCTION,
        TradingState.CLOSING_AUCTION,
        TradingState.AUCTION_CALL,
    )
)
"""States in which orders are collected for an auction and none trades."""

AUCTIONS: Final = COLLECTING - {int(TradingState.PRE_OPEN)}
"""Those of them in which everyone is told what the auction would do."""

HIGHEST_VALUE: Final = 2**63 - 1
"""Where the value of a day's trades stays: no event and no snapshot carries 2**64. The most that an
account may trade at once, 18,000 times, is as much."""

_BASIS_POINTS: Final = 10_000


@lru_cache(maxsize=4096)
def price_band(price: int, band_bps: int) -> tuple[int, int]:
    """Return the lowest and the highest price within `band_bps` of `price`, both inclusive.

    Rounded towards `price`, so the band is never wider than it says, and cut to prices that exist.
    """
    lowest = -(price * (band_bps - _BASIS_POINTS) // _BASIS_POINTS)  # rounds up
    highest = price * (_BASIS_POINTS + band_bps) // _BASIS_POINTS
    return max(lowest, 1), min(highest, HIGHEST_PRICE)


class DayStatistics:
    """What has traded in an instrument since market hours started: prices in 1/10,000 (0 before the
    first trade), shares, shares times price (by shares: the average price, VWAP; HIGHEST_VALUE at
    most), trades."""

    __slots__ = ("high_price", "low_price", "open_price", "trade_count", "value", "volume")

    def __init__(self, values: Sequence[int] = (0, 0, 0, 0, 0, 0)) -> None:
        """Begin with nothing, or go on with what `values` gave."""
        (
            self.open_price,
            self.high_price,
            self.low_price,
            self.volume,
            self.value,
            self.trade_count,
        ) = values

    def values(self) -> tuple[int, int, int, int, int, int]:
        """(open, high, low, volume, value, number of trades)."""
        prices = (self.open_price, self.high_price, self.low_price)
        return (*prices, self.volume, self.value, self.trade_count)

    def record(self, first: int, last: int, volume: int, value: int, trade_count: int) -> None:
        """Count trades that went from the price `first` to `last`, never back in between."""
        low, high = (first, last) if first < last else (last, first)
        if self.trade_count == 0:
            self.open_price, self.high_price, self.low_price = first, high, low
        elif high > self.high_price:
            self.high_price = high
        if low < self.low_price:  # noqa: PLR1730  a call of min is three times that
            self.low_price = low
        self.volume += volume
        self.value = min(self.value + value, HIGHEST_VALUE)
        self.trade_count += trade_count


class Listing:
    """One instrument: its rules, its trading state, its last trade and its orders.

    `last_price` is 0 before the first trade. `band_low` and `band_high` follow from it, or from
    the reference price: they are what a limit price must lie between, both inclusive.

    `book` are the displayed orders, `books` these and the hidden ones. `stops` wait for a trade,
    `triggered` have had theirs and wait for their turn, `pegs` are all pegged orders by order_id
    in the order of their reference numbers, priced for the best prices `pegged_to` (None: maybe for
    others). `collected` are
    the orders that came for an auction and are not displayed yet, `for_close` wait for the closing
    one. `special` are the open orders that do not trade like any other; `is_plain` says that there
    are none, nor an auction: then `book` alone decides. `indicated_ns` is when everyone was last
    told what the auction would do. `day` are the statistics of the day. `held` are the trading
    state and the reason in which the schedule leaves the instrument; None: it does not.

    `protection` is None for an instrument that has no band of limit-up-limit-down and no range of
    prices that halts it; one that has is never plain. `phase_ends_ns` is when the clock takes the
    instrument out of the state in which a protection holds it, 0 if none does. `previous_close` is
    the last price of the day before, or the reference price; `index_weight` is the instrument's in
    the index of the circuit breakers.
    """

    __slots__ = (
        "band_high",
        "band_low",
        "book",
        "books",
        "collected",
        "day",
        "for_close",
        "held",
        "index_weight",
        "indicated_ns",
        "instrument",
        "is_plain",
        "last_price",
        "lot_size",
        "max_quantity",
        "pegged_to",
        "pegs",
        "phase_ends_ns",
        "previous_close",
        "protection",
        "special",
        "stock_locate",
        "stops",
        "symbol",
        "tick_size",
        "trading_reason",
        "trading_state",
        "triggered",
    )

    def __init__(
        self,
        instrument: Instrument,
        match_numbers: MatchNumbers,
        next_number: Callable[[], int],
        next_display: Callable[[BookOrder], int],
    ) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol  # the one str that all its orders share
        self.stock_locate = instrument.stock_locate
        self.tick_size = instrument.tick_size
        self.lot_size = instrument.lot_size
        self.max_quantity = instrument.max_quantity
        self.trading_state: int = TradingState.CLOSED
        self.trading_reason = ""
        self.held: tuple[int, str] | None = None
        self.last_price = 0
        self.band_low, self.band_high = price_band(
            instrument.reference_price, instrument.price_band_bps
        )
        self.books: InstrumentBooks[Order] = InstrumentBooks(
            match_numbers, next_number, next_display
        )
        self.book: OrderBook[Order] = self.books.displayed
        self.stops: StopOrders[SpecialOrder] = StopOrders()
        self.triggered: deque[SpecialOrder] = deque()
        self.pegs: dict[int, SpecialOrder] = {}
        self.pegged_to: tuple[int | None, int | None] | None = None
        self.collected: OrderPool[Order] = OrderPool()
        self.for_close: dict[int, SpecialOrder] = {}
        self.indicated_ns = 0
        self.day = DayStatistics()
        self.special: dict[int, SpecialOrder] = {}
        self.protection: PriceProtection | None = None
        self.phase_ends_ns = 0
        self.index_weight = 0
        self.previous_close = instrument.reference_price
        self.is_plain = True

    def decide_whether_it_is_plain(self) -> None:
        """Set `is_plain`; to be called after a change of what it follows from."""
        self.is_plain = not (
            self.special
            or self.trading_state in COLLECTING
            or len(self.collected)
            or self.protection is not None
        )

    def depth(self, side: int, levels: int) -> list[tuple[int, int, int]]:
        """(price, quantity, number of orders) of the best displayed levels, with the shares that
        are displayed; O(levels), and O(special orders) besides."""
        depth = self.book.depth(side, levels)
        if self.is_plain:
            return depth
        undisplayed: dict[int, int] = {}
        for order in self.special.values():
            is_displayed = self.book.find(order.order_reference_number) is order
            if is_displayed and (order.side == Side.BUY) == (side == Side.BUY):
                reserve = order.leaves_qty - order.shown_qty
                undisplayed[order.price] = undisplayed.get(order.price, 0) + reserve
        return [
            (price, quantity - undisplayed.get(price, 0), order_count)
            for price, quantity, order_count in depth
        ]

    def open_orders(self) -> Iterator[Order]:
        """Every order of the instrument that lives, wherever it stands."""
        yield from self.book
        yield from self.books.hidden
        yield from self.stops
        yield from self.triggered
        yield from self.parked_pegs()
        yield from self.collected
        yield from self.for_close.values()

    def parked_pegs(self) -> Iterator[SpecialOrder]:
        """The pegged orders that have nothing to follow, in the order of their numbers."""
        for order in self.pegs.values():
            if order.level is self.pegs:
                yield order

    def check_invariants(self) -> None:
        """Assert what must be true of the orders of one instrument between two commands."""
        if self.trading_state == TradingState.TRADING:
            self.books.check_invariants(is_bounded=self.has_range)
            assert not self.triggered, "triggered orders have not had their turn"
            assert not len(self.collected), "orders are collected while others trade"
        self.collected.check_invariants()
        self.stops.check_invariants()
        special = {
            order.order_id
            for order in self.open_orders()
            if isinstance(order, SpecialOrder) and not order.is_plain_at_rest
        }
        assert special == set(self.special), f"special are {special}, known {list(self.special)}"
        is_auction = self.trading_state in COLLECTING or len(self.collected)
        is_protected = self.protection is not None
        is_plain = not special and not is_auction and not is_protected
        assert self.is_plain == is_plain, "is_plain is stale"
        if self.trading_state == TradingState.TRADING and self.has_luld:
            bid, ask = self.books.best_price(Side.BUY), self.books.best_price(Side.SELL)
            assert bid is None or bid <= self.band_high, f"{bid} is above the upper band"
            assert ask is None or ask >= self.band_low, f"{ask} is below the lower band"
        numbers = [order.order_reference_number for order in self.pegs.values()]
        assert numbers == sorted(numbers), f"pegged orders out of order: {numbers}"
        for order_id, order in self.pegs.items():
            assert order.is_pegged, f"order {order_id} is not pegged"
            assert order_id == order.order_id
            assert order.level is not None, f"pegged order {order_id} is gone"

    def best_displayed(self) -> tuple[int | None, int | None]:
        """The best displayed (bid, ask)."""
        return self.book.best_bid, self.book.best_ask

    def record_last_price(self, price: int) -> None:
        """Move the collar to the price of the last trade; 0 means that there was none."""
        if price != self.last_price:
            self.last_price = price
            if not self.has_luld:
                self.set_collar()

    def set_collar(self) -> None:
        """Let the band be the collar around the last trade."""
        self.band_low, self.band_high = price_band(
            self.last_price or self.instrument.reference_price, self.instrument.price_band_bps
        )

    @property
    def has_luld(self) -> bool:
        """Whether the band is one of limit-up-limit-down, and not the collar."""
        return self.protection is not None and self.protection.luld_bps > 0

    @property
    def has_range(self) -> bool:
        """Whether a move of prices halts the instrument."""
        return self.protection is not None and self.protection.volatility_bps > 0

    def is_out_of_band(self, side: int, price: int) -> bool:
        """Whether the band refuses an order with this limit.

        The collar refuses what is far from the last trade on either side. A limit-up-limit-down
        band refuses what could trade outside of it: buyers above and sellers below; and nobody
        while orders are collected, because an auction finds the price that the next band is for.
        """
        if self.band_low <= price <= self.band_high:
            return False
        if not self.has_luld:
            return True
        if self.trading_state in COLLECTING:
            return False
        return price > self.band_high if side == Side.BUY else price < self.band_low

    def note_limit_state(self, now_ns: int) -> None:
        """Take note of when the best bid has come to the upper edge of a limit-up-limit-down band,
        or the best offer to the lower one, and of when it has left it."""
        protection = self.protection
        if protection is None or not protection.luld_bps:
            return
        if self.trading_state != TradingState.TRADING:
            protection.limit_since_ns = 0
            return
        if self.book.best_bid != self.band_high and self.book.best_ask != self.band_low:
            protection.limit_since_ns = 0
        elif protection.limit_since_ns == 0:
            protection.limit_since_ns = now_ns
