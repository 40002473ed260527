"""What a session is told because it asked; nothing changes by it (oms/events/__init__.py)."""

from __future__ import annotations

from typing import Any, NamedTuple


class OrderStatusReported(NamedTuple):
    """Answer to QueryOrder. order_id 0 and ord_status REJECTED for an unknown order."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    terms: tuple[Any, ...] = ()


class OrderListed(NamedTuple):
    """One order of the answer to QueryOrders. `total` open orders fit the question as a whole at
    this moment, `remaining` of them come after this one: in this answer or on the next page.

    One with order_id 0, ord_status REJECTED, `total` and `remaining` 0, when none fits that is
    above `after_order_id`; it has the symbol and side that were asked for."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    request_id: str
    total: int
    remaining: int
    terms: tuple[Any, ...] = ()


class NumbersReported(NamedTuple):
    """Answer to QueryNumbers: the lowest number of the channel that is not used up."""

    kind: int
    owner: str
    channel: int
    next_number: int


class InstrumentsListed(NamedTuple):
    """Part of the answer to QueryInstruments: `rows` of (symbol, stock_locate, lot_size, tick_size,
    reference_price, TradingState), in the order of loading. Of `total` rows that fit, `remaining`
    come in later events. For an unknown symbol `total` is 0 and `rows` empty."""

    kind: int
    owner: str
    request_id: str
    total: int
    remaining: int
    rows: tuple[tuple[str, int, int, int, int, int], ...]


class InstrumentStatusReported(NamedTuple):
    """Answer to QueryInstrumentStatus. `last_price` is 0 before the first trade; a limit price must
    lie from `band_low` to `band_high`. All numbers are 0 when the symbol is not known."""

    kind: int
    owner: str
    request_id: str
    symbol: str
    is_known: bool
    trading_state: int
    last_price: int
    band_low: int
    band_high: int


class MarketStatusReported(NamedTuple):
    """Answer to QueryMarketStatus: how many instruments are in each TradingState."""

    kind: int
    owner: str
    request_id: str
    closed: int
    halted: int
    trading: int
    pre_open: int
    opening_auction: int
    closing_auction: int
    auction_call: int
    emergency_closed: int


class BookReported(NamedTuple):
    """Answer to QueryBook: price levels of (price, shares, number of orders), best first.
    `last_price` is 0 before the first trade. All is 0 and empty when the symbol is not known."""

    kind: int
    owner: str
    request_id: str
    symbol: str
    is_known: bool
    last_price: int
    bids: tuple[tuple[int, int, int], ...]
    asks: tuple[tuple[int, int, int], ...]
