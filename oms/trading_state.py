"""Instruments as they trade: the state of each, its price band, and what a state allows."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from matching.order_book import MatchNumbers, OrderBook
from oms.events import RejectReason, TradingState
from oms.order_state import Order
from oms.price import HIGHEST_PRICE
from oms.reference_data import Instrument

ENTRY_REFUSED: Final[dict[int, RejectReason | None]] = {
    TradingState.CLOSED: RejectReason.MARKET_CLOSED,
    TradingState.HALTED: RejectReason.HALTED,
    TradingState.TRADING: None,
}
"""Why a state refuses to enter or replace an order; None: it does not. Cancels and queries are
allowed in every state: whoever wants to get out can."""

_BASIS_POINTS: Final = 10_000


@lru_cache(maxsize=4096)
def price_band(price: int, band_bps: int) -> tuple[int, int]:
    """Return the lowest and the highest price within `band_bps` of `price`, both inclusive.

    Rounded towards `price`, so the band is never wider than it says, and cut to prices that exist.
    """
    lowest = -(price * (band_bps - _BASIS_POINTS) // _BASIS_POINTS)  # rounds up
    highest = price * (_BASIS_POINTS + band_bps) // _BASIS_POINTS
    return max(lowest, 1), min(highest, HIGHEST_PRICE)


class Listing:
    """One instrument: its rules, its trading state, its last trade and its book.

    `last_price` is 0 before the first trade. `band_low` and `band_high` follow from it, or from
    the reference price: they are what a limit price must lie between, both inclusive.
    """

    __slots__ = (
        "band_high",
        "band_low",
        "book",
        "instrument",
        "last_price",
        "lot_size",
        "max_quantity",
        "stock_locate",
        "tick_size",
        "trading_reason",
        "trading_state",
    )

    def __init__(self, instrument: Instrument, match_numbers: MatchNumbers) -> None:
        self.instrument = instrument
        self.stock_locate = instrument.stock_locate
        self.tick_size = instrument.tick_size
        self.lot_size = instrument.lot_size
        self.max_quantity = instrument.max_quantity
        self.trading_state: int = TradingState.CLOSED
        self.trading_reason = ""
        self.last_price = 0
        self.band_low, self.band_high = price_band(
            instrument.reference_price, instrument.price_band_bps
        )
        self.book: OrderBook[Order] = OrderBook(match_numbers)

    def record_last_price(self, price: int) -> None:
        """Move the band to the price of the last trade; 0 means that there was none."""
        if price != self.last_price:
            self.last_price = price
            self.band_low, self.band_high = price_band(
                price or self.instrument.reference_price, self.instrument.price_band_bps
            )
