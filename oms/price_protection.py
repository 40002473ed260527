"""What is remembered of the trades of an instrument to tell a price that runs away.

Trades of the window are counted in WINDOW_ROWS rows of equal time, each with its lowest and highest
price, the sum of its prices and their number: bounded memory however much trades. So a trade counts
for the length of the window, less at most one row of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from oms.price import HIGHEST_PRICE
from oms.protection_rules import SECOND_NS

WINDOW_ROWS: Final = 30

REFERENCE_HOLDS_NS = 30 * SECOND_NS
"""A reference price stays for so long at least (limit-up-limit-down plan, V.A)."""

_BASIS_POINTS: Final = 10_000
_REFERENCE_MOVES_BPS: Final = 100
"""The mean of the window becomes the reference price when it is so far from it."""


def luld_band(price: int, band_bps: int, tick_size: int) -> tuple[int, int]:
    """Return the lowest and the highest price of a limit-up-limit-down band around `price`: prices
    that an order may have, the last one within `band_bps` or the first one beyond."""
    whole = _BASIS_POINTS * tick_size
    lowest = price * (_BASIS_POINTS - band_bps) // whole * tick_size
    highest = -(-price * (_BASIS_POINTS + band_bps) // whole) * tick_size
    return max(lowest, tick_size), min(highest, HIGHEST_PRICE // tick_size * tick_size)


class PriceProtection:
    """The protection of one instrument, and where its prices have been.

    `reference_price` is what the limit-up-limit-down band lies around, since `reference_since_ns`.
    `limit_since_ns` is when the best bid came to the upper edge, or the best offer to the lower
    one; 0: neither is there. `anchor_price` is that of the last trade, 0 before the first one of
    a stretch of trading: this one may be at any price. `rows` are
    (number of the row, lowest price, highest price, sum of prices, trades), the oldest first.
    """

    __slots__ = (
        "_count",
        "_total",
        "anchor_price",
        "limit_since_ns",
        "luld_bps",
        "reference_price",
        "reference_since_ns",
        "row_ns",
        "rows",
        "volatility_bps",
    )

    def __init__(self, luld_bps: int, volatility_bps: int, window_ns: int, price: int) -> None:
        """`price` is the first reference price."""
        self.luld_bps = luld_bps
        self.volatility_bps = volatility_bps
        self.row_ns = max(window_ns // WINDOW_ROWS, 1)
        self.reference_price = price
        self.reference_since_ns = 0
        self.limit_since_ns = 0
        self.anchor_price = 0
        self.rows: deque[tuple[int, int, int, int, int]] = deque()
        self._total = self._count = 0  # of all rows

    def values(self) -> tuple[Any, ...]:
        """(band, range, length of a row, reference price, since when, since when in a limit state,
        anchor price, rows)."""
        return (
            self.luld_bps,
            self.volatility_bps,
            self.row_ns,
            self.reference_price,
            self.reference_since_ns,
            self.limit_since_ns,
            self.anchor_price,
            tuple(self.rows),
        )

    @classmethod
    def restore(cls, values: Sequence[Any]) -> PriceProtection:
        """Make one of what `values` gave."""
        luld_bps, volatility_bps, row_ns, *history = values
        protection = cls(luld_bps, volatility_bps, row_ns * WINDOW_ROWS, 0)
        protection.go_on_with(history)
        return protection

    def go_on_with(self, history: Sequence[Any]) -> None:
        """Take what `values` gave, from the reference price on."""
        (
            self.reference_price,
            self.reference_since_ns,
            self.limit_since_ns,
            self.anchor_price,
            rows,
        ) = history
        self.rows = deque((*row,) for row in rows)
        self._total = sum(row[3] for row in rows)
        self._count = sum(row[4] for row in rows)

    def record_trade(self, now_ns: int, price: int) -> None:
        """Count a trade."""
        self.anchor_price = price
        self._total += price
        self._count += 1
        number = now_ns // self.row_ns
        rows = self.rows
        if rows and rows[-1][0] == number:
            _, low, high, total, count = rows[-1]
            rows[-1] = (number, min(low, price), max(high, price), total + price, count + 1)
            return
        rows.append((number, price, price, price, 1))
        self._forget(number)

    def start(self, now_ns: int, auction_price: int) -> None:
        """Begin a stretch of trading, with what an auction traded at (0: there was none, or it
        traded nothing). What was before counts no more."""
        self.limit_since_ns = 0
        self.rows.clear()
        self._total = self._count = self.anchor_price = 0
        if auction_price:
            self.reference_price = auction_price
            self.record_trade(now_ns, auction_price)
        self.reference_since_ns = now_ns

    def update_reference(self, now_ns: int) -> None:
        """Let the reference price follow the mean of the window, rounded down, when it has moved by
        1 % and the last reference price has held for its time."""
        self._forget(now_ns // self.row_ns)
        if not self._count or now_ns - self.reference_since_ns < REFERENCE_HOLDS_NS:
            return
        mean = self._total // self._count
        moved = abs(mean - self.reference_price) * _BASIS_POINTS
        if moved >= self.reference_price * _REFERENCE_MOVES_BPS:
            self.reference_price = mean
            self.reference_since_ns = now_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether the passing of time may change what is remembered, and with it the reference
        price or the range."""
        held_ns = now_ns - self.reference_since_ns
        return self._count > 0 and (held_ns >= REFERENCE_HOLDS_NS or self.volatility_bps > 0)

    def is_in_range(self, price: int, now_ns: int) -> bool:
        """Whether a trade at this price is no move of `volatility_bps`."""
        lowest, highest = self.free_range(now_ns, price)
        return lowest <= price <= highest

    def free_range(self, now_ns: int, price: int) -> tuple[int, int]:
        """The lowest and the highest price of a trade that is no move of `volatility_bps`: from
        `price`, from the last trade, however long ago, or from any within the window."""
        self._forget(now_ns // self.row_ns)
        prices = [price, self.anchor_price or price]
        prices += [row[1] for row in self.rows]
        prices += [row[2] for row in self.rows]
        lowest, highest = min(prices), max(prices)
        fallen = highest * (_BASIS_POINTS - self.volatility_bps) // _BASIS_POINTS
        risen = (lowest * (_BASIS_POINTS + self.volatility_bps) - 1) // _BASIS_POINTS
        return fallen + 1, risen

    def _forget(self, number: int) -> None:
        """Drop the rows that are out of the window when `number` is the row of now."""
        while self.rows and self.rows[0][0] <= number - WINDOW_ROWS:
            _, _, _, total, count = self.rows.popleft()
            self._total -= total
            self._count -= count
