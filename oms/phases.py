"""An instrument changes its trading state: who trades, who is canceled, who may trade from now on.

Whoever changes one does it here: operators, the clock, and the end of the day.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from matching.types import Side
from oms.auctions import cancel_for_close, is_over, join_the_close, leave_the_close, uncross
from oms.events import CancelReason, Event, EventKind, TradingState
from oms.order_state import Order
from oms.price_protection import PriceProtection, luld_band
from oms.special_trading import SpecialTrading
from oms.state import ExchangeState
from oms.trading_state import Listing

_TRADING: Final = int(TradingState.TRADING)
_TRADING_ACTION: Final = int(EventKind.TRADING_ACTION)
_PRICE_BAND_SET: Final = int(EventKind.PRICE_BAND_SET)
_PRICE_OUT_OF_BAND: Final = int(CancelReason.PRICE_OUT_OF_BAND)
_EMERGENCY_CLOSED: Final = int(CancelReason.EMERGENCY_CLOSED)
_SIDES: Final = (int(Side.BUY), int(Side.SELL))


def change_state(
    state: ExchangeState, listing: Listing, trading_state: int, reason: str
) -> list[Event]:
    """Put an instrument into another state: what an auction trades that is over by it, then
    TradingAction, then the turns of those who have waited. In an emergency all its orders are
    canceled instead."""
    trading = SpecialTrading(state, listing)
    begins = trading_state == _TRADING != listing.trading_state
    auction_price = uncross(trading) if is_over(listing, trading_state) else 0
    if trading_state == TradingState.CLOSED:
        cancel_for_close(trading)
    elif trading_state == TradingState.CLOSING_AUCTION:
        join_the_close(listing)
    elif listing.trading_state == TradingState.CLOSING_AUCTION:
        leave_the_close(listing)
    listing.trading_state = trading_state
    listing.trading_reason = reason
    listing.indicated_ns = 0
    listing.phase_ends_ns = 0
    if listing.protection is not None and (begins or auction_price):
        listing.protection.start(state.last_time_ns, auction_price)
        set_band(trading)
    symbol, stock_locate = listing.instrument.symbol, listing.stock_locate
    trading.events.append((_TRADING_ACTION, "", symbol, stock_locate, trading_state, reason))
    if trading_state == TradingState.EMERGENCY_CLOSED:
        for order in sorted(listing.open_orders(), key=attrgetter("order_id")):
            trading.cancel(order, order.cl_ord_id, "", _EMERGENCY_CLOSED)
    trading.settle()
    return trading.events


def set_band(trading: SpecialTrading) -> None:
    """Let the limit-up-limit-down band of an instrument lie around its reference price, and cancel
    what rests beyond it: PriceBandSet if it changes, then OrderCanceled and BookDeleted, buyers
    before sellers, each in the order in which they would trade. `settle` must follow."""
    listing = trading.listing
    protection = listing.protection
    if protection is None or not protection.luld_bps:
        return
    band = band_at(trading.state, listing, protection, trading.state.last_time_ns)
    if band != (listing.band_low, listing.band_high):
        listing.band_low, listing.band_high = band
        listing.pegged_to = None  # a pegged order follows no further than the band
        report_band(trading, protection.reference_price)
    if listing.trading_state != _TRADING:
        return
    for side in _SIDES:
        for order in _beyond_the_band(listing, side):
            trading.cancel(order, order.cl_ord_id, "", _PRICE_OUT_OF_BAND)


def band_at(
    state: ExchangeState, listing: Listing, protection: PriceProtection, now_ns: int
) -> tuple[int, int]:
    """The limit-up-limit-down band that an instrument should have."""
    width = protection.luld_bps * (2 if state.bands_are_wide(now_ns) else 1)
    return luld_band(protection.reference_price, width, listing.tick_size)


def report_band(trading: SpecialTrading, reference_price: int) -> None:
    """Tell everyone the band; a reference price of 0 that there is none."""
    listing = trading.listing
    band = (listing.band_low, listing.band_high) if reference_price else (0, 0)
    symbol, stock_locate = listing.instrument.symbol, listing.stock_locate
    trading.events.append((_PRICE_BAND_SET, "", stock_locate, symbol, reference_price, *band))


def _beyond_the_band(listing: Listing, side: int) -> list[Order]:
    """Resting orders that could trade outside of the band, displayed ones first; O(their number).
    Pegged orders get another price."""
    found: list[Order] = []
    for queue in (listing.book.orders(side), listing.books.hidden.queue(side)):
        for order in queue:
            if not listing.is_out_of_band(side, order.price):
                break
            if order.order_id not in listing.pegs:
                found.append(order)
    return found
