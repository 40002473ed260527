"""The price of an auction, and who trades in it: pure functions of the orders that take part.

An auction trades everything at one price: the one at which most shares trade; of several the one
that leaves the fewest over; of several, when buyers are left over at all of them the highest that
is a limit or the reference price, when sellers are the lowest of these; else, or if there is none,
the one nearest to the reference price (the higher of two as near).
Source: the usual rules of call auctions, as in the London Stock Exchange's "Guide to the trading
system" (Millennium Exchange), price determination.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias

Interest: TypeAlias = tuple[int, int]
"""(limit price in 1/10,000, shares) of an order that takes part; the price 0 is no limit."""


class AuctionResult(NamedTuple):
    """What an auction would do now. `price` is 0 when nothing trades; `imbalance_qty` are the
    shares left over at the price: above 0 of buyers, below 0 of sellers."""

    price: int
    paired_qty: int
    imbalance_qty: int


def find_auction_price(
    buys: Sequence[Interest], sells: Sequence[Interest], reference_price: int, tick: int
) -> AuctionResult:
    """Return price, paired shares and imbalance, in O(n log n) of the orders.

    The price is on the grid of `tick`, or the reference price. Without limits on either side it is
    that. When nothing trades, the imbalance is what is wanted more than offered at any price.
    """
    demand, supply = _Curve(buys), _Curve(sells)
    # Between two limits nothing changes: beside each limit is enough.
    limits = {*demand.prices, *supply.prices}
    beside = {limit + step for limit in limits for step in (-tick, tick)}
    candidates = sorted(price for price in limits | beside | {reference_price} if price > 0)
    results = []
    for price in candidates:
        wanted, offered = demand.at_or_above(price), supply.at_or_below(price)
        results.append(AuctionResult(price, min(wanted, offered), wanted - offered))
    most = max(result.paired_qty for result in results)
    if most == 0:
        return AuctionResult(0, 0, demand.total - supply.total)
    results = [result for result in results if result.paired_qty == most]
    least = min(abs(result.imbalance_qty) for result in results)
    results = [result for result in results if abs(result.imbalance_qty) == least]
    said = [each for each in results if each.price in limits or each.price == reference_price]
    if said and all(result.imbalance_qty > 0 for result in results):
        return said[-1]
    if said and all(result.imbalance_qty < 0 for result in results):
        return said[0]
    return min(results, key=lambda result: (abs(result.price - reference_price), -result.price))


def pair(buys: Sequence[int], sells: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (place of the buyer, place of the seller, shares) of each trade, when the quantities of
    those who trade at the price are given, the first to trade first. One side trades in full."""
    buyer = seller = 0
    left_to_buy = buys[0] if buys else 0
    left_to_sell = sells[0] if sells else 0
    while buyer < len(buys) and seller < len(sells):
        quantity = min(left_to_buy, left_to_sell)
        yield buyer, seller, quantity
        left_to_buy -= quantity
        left_to_sell -= quantity
        if left_to_buy == 0:
            buyer += 1
            left_to_buy = buys[buyer] if buyer < len(buys) else 0
        if left_to_sell == 0:
            seller += 1
            left_to_sell = sells[seller] if seller < len(sells) else 0


class _Curve:
    """How many shares of one side trade at which price."""

    __slots__ = ("prices", "sums", "total", "unlimited")

    def __init__(self, interests: Sequence[Interest]) -> None:
        limited = sorted(interest for interest in interests if interest[0])
        self.unlimited = sum(quantity for price, quantity in interests if not price)
        self.prices = [price for price, _ in limited]
        self.sums = [0, *accumulate(quantity for _, quantity in limited)]
        self.total = self.unlimited + self.sums[-1]

    def at_or_above(self, price: int) -> int:
        """Shares with a limit at or above a price, or with none."""
        return self.total - self.sums[bisect_left(self.prices, price)]

    def at_or_below(self, price: int) -> int:
        """Shares with a limit at or below a price, or with none."""
        return self.unlimited + self.sums[bisect_right(self.prices, price)]
