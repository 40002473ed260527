"""At which prices an order may trade when it has its turn, and what becomes of what is left.

Pure functions of an order and its listing.
"""

from __future__ import annotations

from typing import Final

from matching.instrument_books import is_within, opposite_side
from matching.peg_price import peg_price
from matching.types import OrderType, Side, TimeInForce
from oms.events import CancelReason
from oms.order_state import Order, SpecialOrder
from oms.trading_state import Listing

_BUY: Final = int(Side.BUY)
_MARKETS: Final = (int(OrderType.MARKET), int(OrderType.STOP))
_WAITING: Final = (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.GTD))


def worst_price(order: Order, listing: Listing) -> int:
    """The worst price at which an order may trade now."""
    if order.order_type in _MARKETS:
        return listing.band_high if order.side == _BUY else listing.band_low
    return order.price


def price_in_range(order: Order, listing: Listing, now_ns: int) -> int | None:
    """The worst price at which an order may trade as a whole without a move that would halt the
    instrument, counted from the best price that it could meet; None: it can not."""
    assert listing.protection is not None
    limit = worst_price(order, listing)
    best = listing.books.best_price(opposite_side(order.side))
    if best is None or not is_within(best, order.side, limit):
        return None
    lowest, highest = listing.protection.free_range(now_ns, best)
    if not lowest <= best <= highest:
        return None
    return min(limit, highest) if order.side == _BUY else max(limit, lowest)


def best_price_within_the_band(listing: Listing, side: int) -> int:
    """The best displayed price of the other side, 0 if there is none within the band."""
    price = listing.book.best_ask if side == _BUY else listing.book.best_bid
    if price is None or not listing.band_low <= price <= listing.band_high:
        return 0
    return price


def price_of_peg(
    order: SpecialOrder, listing: Listing, best: tuple[int | None, int | None]
) -> int | None:
    """Where a pegged order stands; None while there is nothing to follow. It follows no further
    than a limit-up-limit-down band."""
    terms, limit = order.terms, order.limit
    if listing.has_luld:
        if order.side == _BUY:
            limit = min(limit or listing.band_high, listing.band_high)
        else:
            limit = max(limit, listing.band_low)
    return peg_price(terms.peg, order.side, terms.peg_offset, limit, best, listing.tick_size)


def begin_to_trail(order: SpecialOrder, listing: Listing) -> None:
    """Give a trailing order that says no stop price its first one: from the last trade, or before
    the first from the reference price."""
    if order.trail_amount and not order.stop_price:
        price = listing.last_price or listing.instrument.reference_price
        distance = order.trail_amount
        order.stop_price = price + distance if order.side == _BUY else price - distance


def may_rest(order: Order) -> bool:
    """Whether what is left of an order after its turn rests."""
    return order.order_type not in _MARKETS and order.price > 0 and order.time_in_force in _WAITING


def residual_reason(order: Order) -> int:
    """Why what is left of an order does not rest."""
    if order.order_type in _MARKETS or order.price == 0:
        return int(CancelReason.NO_LIQUIDITY)
    if order.time_in_force == TimeInForce.FOK:
        return int(CancelReason.FILL_OR_KILL)
    return int(CancelReason.IMMEDIATE_OR_CANCEL)
