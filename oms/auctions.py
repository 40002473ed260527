"""Auctions: what would trade, what trades when one is over, and who goes where then.

The rules are those of matching/README.md. All orders with a price take part that rest or were
collected, but pegged ones and those that want so many shares at once; so do market orders, before
all others. A self-trade is not prevented in an auction.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

from matching.auction import AuctionResult, Interest, find_auction_price, pair
from matching.types import OrderType, Side, TimeInForce
from oms import reports
from oms.events import CancelReason, Event, EventKind, Liquidity, TradingState
from oms.order_state import Order, SpecialOrder
from oms.special_trading import SpecialTrading
from oms.trading_state import COLLECTING, Listing

INDICATION_INTERVAL_NS = 1_000_000_000
"""How often everyone is told at most what an auction would do."""

_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_MARKET: Final = int(OrderType.MARKET)
_AUCTION: Final = int(Liquidity.AUCTION)
_LIQUIDITY: Final = {
    int(TradingState.PRE_OPEN): int(Liquidity.OPENING_AUCTION),
    int(TradingState.OPENING_AUCTION): int(Liquidity.OPENING_AUCTION),
    int(TradingState.CLOSING_AUCTION): int(Liquidity.CLOSING_AUCTION),
}
_AUCTION_OVER: Final = int(CancelReason.AUCTION_OVER)
_AUCTION_EXECUTED: Final = int(EventKind.AUCTION_EXECUTED)
_AUCTION_INDICATED: Final = int(EventKind.AUCTION_INDICATED)
_FOR_AUCTIONS: Final = (int(TimeInForce.AT_THE_OPEN), int(TimeInForce.AT_THE_CLOSE))


def is_over(listing: Listing, state_after: int) -> bool:
    """Whether a change of the trading state ends an auction: those who came for it trade now."""
    if state_after == TradingState.TRADING:
        return listing.trading_state in COLLECTING or len(listing.collected) > 0
    return (
        state_after == TradingState.CLOSED and listing.trading_state == TradingState.CLOSING_AUCTION
    )


def indicate(listing: Listing) -> Event:
    """AuctionIndicated: what the auction would do now, in O(price levels and special orders): it is
    told each second, while matching waits."""
    result = _result_of(listing)
    return (
        _AUCTION_INDICATED,
        "",
        listing.stock_locate,
        listing.instrument.symbol,
        result.paired_qty,
        result.imbalance_qty,
        result.price,
        _reference_price(listing),
        listing.trading_state,
    )


def uncross(trading: SpecialTrading) -> int:
    """Carry out the auction of an instrument: the trades, then AuctionExecuted, then what is left
    of orders for an auction or without a limit is canceled, and the others are displayed. Return
    its price, 0 when nothing traded."""
    listing = trading.listing
    result = _result_of(listing)
    price = result.price
    displayed_next: list[SpecialOrder] = []
    if price:
        buys, sells = _interested(listing, _BUY), _interested(listing, _SELL)
        buyers = [order for order in buys if order.price == 0 or order.price >= price]
        sellers = [order for order in sells if order.price <= price]
        displayed_next = _trade(trading, buyers, sellers, price)
    match_numbers = trading.state.match_numbers
    trading.events.append(
        (
            _AUCTION_EXECUTED,
            "",
            listing.stock_locate,
            listing.instrument.symbol,
            result.paired_qty,
            price,
            match_numbers.next() if price else 0,
            listing.trading_state,
        )
    )
    for order in displayed_next:
        order.order_reference_number = trading.state.take_order_number()
        trading.books.rest(order)
        trading.report_refresh(order)
    _release(trading)
    if price:
        listing.record_last_price(price)
        for order in listing.stops.on_trade(price):
            trading.trigger(order)
    return price


def join_the_close(listing: Listing) -> None:
    """Collect the orders that have waited for the closing auction, in the order of their time."""
    for order in list(listing.for_close.values()):
        order.level = None
        listing.collected.add(order)
    listing.for_close.clear()


def leave_the_close(listing: Listing) -> None:
    """Let the collected orders for the closing auction wait for it again: it is called off. They
    must not trade in what else ends the call, the reopening after a halt for one."""
    for order in list(listing.collected):
        if order.time_in_force == TimeInForce.AT_THE_CLOSE:
            assert isinstance(order, SpecialOrder), f"order {order.order_id} has no terms"
            listing.collected.remove(order)
            order.level = listing.for_close
            listing.for_close[order.order_id] = order


def cancel_for_close(trading: SpecialTrading) -> None:
    """Cancel the orders for a closing auction that there will not be."""
    for order in list(trading.listing.for_close.values()):
        trading.cancel(order, order.cl_ord_id, "", _AUCTION_OVER)


def _interested(listing: Listing, side: int) -> list[Order]:
    """Orders of a side that take part, the first to trade first: without a limit, then by price, at
    one price those that are or will be displayed first, then by time."""
    # What rests came before what was collected, so a stable sort keeps them in time.
    orders = [
        order
        for order in chain(
            listing.book.orders(side),
            listing.books.hidden.queue(side),
            listing.collected.queue(side),
        )
        if _takes_part(order)
    ]
    sign = -1 if side == _BUY else 1
    orders.sort(key=lambda order: (order.price > 0, sign * order.price, order.is_hidden))
    return orders


def _takes_part(order: Order) -> bool:
    return order.least_qty == 1 and order.order_type != OrderType.PEGGED


def _interest(listing: Listing, side: int) -> list[Interest]:
    """What the orders of a side want together that take part, by price."""
    totals: dict[int, int] = {}
    for price, quantity, _ in listing.book.depth(side, len(listing.book)):
        totals[price] = quantity
    for price, quantity in listing.collected.level_totals(side):
        totals[price] = totals.get(price, 0) + quantity
    for order in listing.books.hidden.queue(side):
        if _takes_part(order):
            totals[order.price] = totals.get(order.price, 0) + order.leaves_qty
    for special in listing.special.values():
        is_of_side = (special.side == _BUY) == (side == _BUY)
        if is_of_side and special in listing.collected and not _takes_part(special):
            totals[special.price] -= special.leaves_qty
    return [(price, quantity) for price, quantity in totals.items() if quantity]


def _result_of(listing: Listing) -> AuctionResult:
    return find_auction_price(
        _interest(listing, _BUY),
        _interest(listing, _SELL),
        _reference_price(listing),
        listing.tick_size,
    )


def _reference_price(listing: Listing) -> int:
    return listing.last_price or listing.instrument.reference_price


def _trade(
    trading: SpecialTrading, buyers: list[Order], sellers: list[Order], price: int
) -> list[SpecialOrder]:
    """Trade buyers and sellers at the price, in turn. Return the orders that have traded all that
    they displayed, and have more."""
    trades = list(
        pair([order.leaves_qty for order in buyers], [order.leaves_qty for order in sellers])
    )
    traded: dict[int, int] = {}
    for buyer, seller, quantity in trades:
        for order in (buyers[buyer], sellers[seller]):
            traded[order.order_id] = traded.get(order.order_id, 0) + quantity
    left: dict[int, int] = {}
    shown: dict[int, int] = {}
    displayed_next: list[SpecialOrder] = []
    for order in chain(buyers, sellers):
        quantity = traded.get(order.order_id, 0)
        if quantity == 0:
            continue
        left[order.order_id] = order.leaves_qty
        is_displayed = trading.listing.book.find(order.order_reference_number) is order
        shown[order.order_id] = (order.shown_qty or order.leaves_qty) if is_displayed else 0
        if _lower(trading, order, quantity, is_displayed):
            assert isinstance(order, SpecialOrder)
            displayed_next.append(order)
    for buyer, seller, quantity in trades:
        _report(trading, (buyers[buyer], sellers[seller]), quantity, price, left, shown)
    return displayed_next


def _lower(trading: SpecialTrading, order: Order, quantity: int, is_displayed: bool) -> bool:
    """Take what an order trades out of where it stands. Return whether it has to be displayed anew:
    then it stands nowhere."""
    listing = trading.listing
    if quantity == order.leaves_qty:
        trading.take_out(order)
        order.leaves_qty = 0
    elif not is_displayed:
        place = listing.collected if order in listing.collected else listing.books.hidden
        place.reduce(order, quantity)
    elif order.display_qty and quantity >= order.shown_qty:
        trading.take_out(order)
        order.leaves_qty -= quantity
        return True
    else:
        trading.books.take_from(order, quantity)
    return False


def _report(
    trading: SpecialTrading,
    parties: tuple[Order, Order],
    quantity: int,
    price: int,
    left: dict[int, int],
    shown: dict[int, int],
) -> None:
    """Count and report one trade: of the buyer, of the seller, then what was displayed of them."""
    stock_locate = trading.listing.stock_locate
    trading.listing.day.record(price, price, quantity, quantity * price, 1)
    match_number = trading.state.match_numbers.next()
    liquidity = _LIQUIDITY.get(trading.listing.trading_state, _AUCTION)
    for order in parties:
        left[order.order_id] -= quantity
        leaves_qty = left[order.order_id]
        order.record_execution(quantity, price, leaves_qty)
        trading.events.append(
            reports.order_executed(order, leaves_qty, quantity, price, match_number, liquidity)
        )
    for order in parties:
        shown_qty = min(quantity, shown[order.order_id])
        if shown_qty:
            shown[order.order_id] -= shown_qty
            trading.events.append(
                reports.book_executed(order, stock_locate, shown_qty, price, match_number)
            )
        if left[order.order_id] == 0:
            trading.close(order)


def _release(trading: SpecialTrading) -> None:
    """Empty the pool of collected orders: cancel those that only the auction was for, let the
    others rest, in the order in which they came."""
    collected = trading.listing.collected
    for order in list(collected):
        if order.order_type == _MARKET or order.time_in_force in _FOR_AUCTIONS:
            trading.cancel(order, order.cl_ord_id, "", _AUCTION_OVER)
        else:
            collected.remove(order)
            trading.rest(order)
