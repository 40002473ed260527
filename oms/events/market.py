"""What everyone is told: the market data. `owner` is "" (oms/events/__init__.py)."""

from __future__ import annotations

from typing import NamedTuple


class InstrumentAdded(NamedTuple):
    """An instrument was loaded (ITCH Stock Directory)."""

    kind: int
    owner: str
    symbol: str
    stock_locate: int
    lot_size: int
    tick_size: int
    reference_price: int


class TradingAction(NamedTuple):
    """An instrument changed its trading state (ITCH Stock Trading Action)."""

    kind: int
    owner: str
    symbol: str
    stock_locate: int
    trading_state: int
    reason: str


class PriceBandSet(NamedTuple):
    """The limit-up-limit-down band of an instrument: nothing trades below `band_low` or above
    `band_high`. It lies around `reference_price`. All are 0 when there is a band no more."""

    kind: int
    owner: str
    stock_locate: int
    symbol: str
    reference_price: int
    band_low: int
    band_high: int


class CircuitBreakersSet(NamedTuple):
    """The index at which the market-wide circuit breakers of the day trip (ITCH V). It was
    1,000,000 at the close of the day before."""

    kind: int
    owner: str
    level_1: int
    level_2: int
    level_3: int


class CircuitBreakerTripped(NamedTuple):
    """The index has fallen to a level of the circuit breakers, 1 to 3 (ITCH W)."""

    kind: int
    owner: str
    level: int
    index_ppm: int


class SystemEvent(NamedTuple):
    """A milestone of the day (ITCH System Event)."""

    kind: int
    owner: str
    code: int


class BookAdded(NamedTuple):
    """An order came to rest in the book with `quantity` shares (ITCH Add Order)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int
    side: int
    quantity: int
    price: int


class BookReduced(NamedTuple):
    """`canceled_qty` shares were taken off a resting order, which keeps its place (ITCH X)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int
    canceled_qty: int


class BookDeleted(NamedTuple):
    """A resting order left the book without trading (ITCH D)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int


class BookReplaced(NamedTuple):
    """A resting order got a new reference number, price, quantity and the last place (ITCH U)."""

    kind: int
    owner: str
    stock_locate: int
    original_reference_number: int
    new_reference_number: int
    quantity: int
    price: int


class BookExecuted(NamedTuple):
    """Displayed shares of an order traded in an auction, at its price (ITCH C)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int
    quantity: int
    price: int
    match_number: int


class AuctionExecuted(NamedTuple):
    """An auction is over; `quantity` shares traded at `price` (ITCH Q). Both are 0, and so is the
    match number, when nothing did. `auction` is the TradingState that was the auction's."""

    kind: int
    owner: str
    stock_locate: int
    symbol: str
    quantity: int
    price: int
    match_number: int
    auction: int


class AuctionIndicated(NamedTuple):
    """What the auction would do now (ITCH I): `paired_qty` shares would trade at `price` (0: none),
    and `imbalance_qty` more are wanted (below 0: offered)."""

    kind: int
    owner: str
    stock_locate: int
    symbol: str
    paired_qty: int
    imbalance_qty: int
    price: int
    reference_price: int
    auction: int


class InstrumentDayEnded(NamedTuple):
    """The statistics of an instrument's day: prices in 1/10,000, 0 without a trade; `value` is the
    sum of shares times price, which divided by `volume` is the average price (VWAP)."""

    kind: int
    owner: str
    stock_locate: int
    symbol: str
    open_price: int
    high_price: int
    low_price: int
    volume: int
    value: int
    trade_count: int
    last_price: int
