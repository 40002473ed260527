"""Instruments, accounts and sessions: what the exchange knows before the first order."""

from __future__ import annotations

from typing import NamedTuple


class Instrument(NamedTuple):
    """A tradable instrument. Prices in 1/10,000, quantities in shares.

    `price_band_bps` limits how far an order's price may be from the last trade (or, before the
    first, from `reference_price`), in 1/100 of a percent. `stock_locate` is its number on the
    feed, counted from 1 in the order of loading.
    """

    symbol: str
    stock_locate: int
    tick_size: int
    lot_size: int
    reference_price: int
    price_band_bps: int
    max_quantity: int


class Account(NamedTuple):
    """An account and its limits: shares in one order, and price times shares (in 1/10,000)."""

    account: str
    firm: str
    max_order_quantity: int
    max_order_value: int


class SessionDefinition(NamedTuple):
    """A trading session and the account that its orders are booked on."""

    session: str
    account: str
