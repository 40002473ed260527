"""What the validator remembers: books, used numbers, trades. Independent of marketdata/depth.py.

The validator is to find mistakes in the feed and in the books made of it, so it shares no code with
those who make them: levels lie in plain dictionaries, and heaps tell the best price.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from heapq import heappop, heappush

_PAGE_BITS = 1024


class OrderInBook:
    """One displayed order and what is left of it."""

    __slots__ = ("book", "price", "reference", "shares", "side")

    def __init__(
        self, book: StockInBooks, reference: int, side: str, shares: int, price: int
    ) -> None:
        self.book = book
        self.reference = reference
        self.side = side
        self.shares = shares
        self.price = price


class _Side:
    """Orders of one side by price; a dictionary keeps those of a price in their order of time."""

    __slots__ = ("_levels", "_prices", "_sign")

    def __init__(self, sign: int) -> None:
        """`sign` is 1 when the lowest price is the best, -1 when the highest is."""
        self._sign = sign
        self._levels: dict[int, dict[int, OrderInBook]] = {}
        self._prices: list[int] = []
        """A heap of signed prices. A price stays in it when its last order leaves."""

    def best_price(self) -> int | None:
        while self._prices:
            price = self._prices[0] * self._sign
            if price in self._levels:
                return price
            heappop(self._prices)
        return None

    def first(self) -> OrderInBook | None:
        """The order that must trade next: of the best price the oldest."""
        price = self.best_price()
        return None if price is None else next(iter(self._levels[price].values()))

    def add(self, order: OrderInBook) -> None:
        level = self._levels.get(order.price)
        if level is None:
            level = self._levels[order.price] = {}
            heappush(self._prices, order.price * self._sign)
        level[order.reference] = order

    def remove(self, order: OrderInBook) -> None:
        level = self._levels[order.price]
        del level[order.reference]
        if not level:
            del self._levels[order.price]


class StockInBooks:
    """One stock: its name, its state, both sides of its book."""

    __slots__ = ("crossed_told", "locate", "sides", "state", "symbol")

    def __init__(self, locate: int, symbol: str) -> None:
        self.locate = locate
        self.symbol = symbol
        self.state = ""
        """Its trading state; "" before the first Stock Trading Action."""
        self.sides = {"B": _Side(-1), "S": _Side(1)}
        self.crossed_told = False
        """True from the finding that it is crossed until it is so no more."""

    def crossed(self) -> tuple[int, int] | None:
        """Best bid and offer when they could trade with each other: crossed, or locked."""
        bid, offer = self.sides["B"].best_price(), self.sides["S"].best_price()
        if bid is None or offer is None or bid < offer:
            return None
        return bid, offer


class NumberSet:
    """A set of integers that stays small when they lie close together: 0.3 bytes each."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """True when it was not there."""
        page_number, bit = divmod(number, _PAGE_BITS)
        page = self._pages.get(page_number)
        if page is None:
            page = self._pages[page_number] = bytearray(_PAGE_BITS // 8)
        index, mask = bit >> 3, 1 << (bit & 7)
        was_there = page[index] & mask
        page[index] |= mask
        return not was_there


class Trades:
    """Match numbers in their order, each with its stock and the shares that were printed."""

    def __init__(self) -> None:
        self.count = 0
        self.volume = 0
        self.broken = 0
        self._numbers = array("Q")
        self._locates = array("H")
        self._shares = array("Q")
        self._of_cross = bytearray()
        self._broken = NumberSet()

    @property
    def last(self) -> int:
        """The last match number, 0 before the first."""
        return self._numbers[-1] if self._numbers else 0

    def add(
        self, match_number: int, locate: int, printed_shares: int, *, is_of_cross: bool
    ) -> None:
        """Take a trade whose number is above `last`; `printed_shares` is 0 when it is not to be
        counted."""
        self._numbers.append(match_number)
        self._locates.append(locate)
        self._shares.append(printed_shares)
        self._of_cross.append(is_of_cross)
        self.count += printed_shares > 0
        self.volume += printed_shares

    def locate_of(self, match_number: int) -> int | None:
        """The stock locate of a trade, None when there was none of that number.

        A cross prints its trades as one. Those of two orders that nobody had displayed have numbers
        all the same, which stand before the next one of the cross."""
        index = bisect_left(self._numbers, match_number)
        if index == len(self._numbers):
            return None
        is_told = self._numbers[index] == match_number
        return self._locates[index] if is_told or self._of_cross[index] else None

    def break_trade(self, match_number: int) -> bool:
        """Take the trade of a known number back; False when it was taken back before."""
        if not self._broken.add(match_number):
            return False
        index = bisect_left(self._numbers, match_number)
        shares = self._shares[index] if self._numbers[index] == match_number else 0
        self.broken += 1
        self.count -= shares > 0
        self.volume -= shares
        return True
