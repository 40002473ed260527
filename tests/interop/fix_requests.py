"""Requests of a FIX client, with what every version asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

VERSIONS = ("FIX.4.2", "FIX.4.4", "FIX.5.0SP2")
"""What the gateway speaks."""
COMPONENTS = tuple(version for version in VERSIONS if version != "FIX.4.2")
"""Those that have Parties and NextExpectedMsgSeqNum."""

BUY, SELL, SELL_SHORT = "1", "2", "5"
MARKET, LIMIT = "1", "2"
DAY, GTC, IOC, FOK = "0", "1", "3", "4"

Fields = list[tuple[int, Any]]


def utc_now() -> str:
    """A UTCTimestamp."""
    return f"{datetime.now(UTC):%Y%m%d-%H:%M:%S.%f}"[:-3]


def _identified(cl_ord_id: str, symbol: str, side: str) -> Fields:
    return [(11, cl_ord_id), (55, symbol), (54, side), (60, utc_now())]


def new_order(
    cl_ord_id: str,
    symbol: str,
    side: str,
    quantity: int | str,
    price: str | None,
    *more: tuple[int, Any],
    time_in_force: str = DAY,
) -> Fields:
    """NewOrderSingle(D): a limit order, or a market order when `price` is None."""
    kind: Fields = [(40, MARKET)] if price is None else [(40, LIMIT), (44, price)]
    fields = [*_identified(cl_ord_id, symbol, side), (21, "1"), (38, quantity), *kind]
    return [*fields, (59, time_in_force), *more]


def replace(
    cl_ord_id: str, orig_cl_ord_id: str, symbol: str, side: str, quantity: int, price: str
) -> Fields:
    """OrderCancelReplaceRequest(G) of a limit order; `quantity` is the new total."""
    fields = [(41, orig_cl_ord_id), *_identified(cl_ord_id, symbol, side)]
    return [*fields, (21, "1"), (38, quantity), (40, LIMIT), (44, price), (59, DAY)]


def cancel(cl_ord_id: str, orig_cl_ord_id: str, symbol: str, side: str, quantity: int) -> Fields:
    """OrderCancelRequest(F)."""
    return [(41, orig_cl_ord_id), *_identified(cl_ord_id, symbol, side), (38, quantity)]


def order_status(cl_ord_id: str, symbol: str, side: str) -> Fields:
    """OrderStatusRequest(H)."""
    return [(11, cl_ord_id), (55, symbol), (54, side)]
