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


class NumbersReported(NamedTuple):
    """Answer to QueryNumbers: the lowest number of the channel that is not used up."""

    kind: int
    owner: str
    channel: int
    next_number: int
