"""What a session is told of its orders, one event per order (oms/events/__init__.py)."""

from __future__ import annotations

from typing import Any, NamedTuple


class OrderAccepted(NamedTuple):
    """The order is live (it may have traded at once: then executions follow)."""

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
    cum_value: int  # sum of last_qty * last_price: divided by cum_qty the average price
    ord_status: int
    order_reference_number: int
    memo: bytes = b""
    terms: tuple[Any, ...] = ()


ORDER_FIELDS = OrderAccepted._fields[:-2]
"""The fields that every order event begins with."""


class OrderExecuted(NamedTuple):
    """One side of a trade. Two of them share a match number, resting side first."""

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
    last_qty: int
    last_price: int
    match_number: int
    liquidity: int


class ExecutionBusted(NamedTuple):
    """One side of a trade that is declared void: the order as it is without it. `execution_seq` is
    the event number of its OrderExecuted."""

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
    last_qty: int
    last_price: int
    match_number: int
    execution_seq: int


class OrderCanceled(NamedTuple):
    """The order is out. `orig_cl_ord_id` is "" when nobody asked for it; else `cl_ord_id` is the
    request's and `orig_cl_ord_id` the order's. `canceled_qty` is what was taken out.

    `prevented` is what stands at the end when it was canceled instead of a self-trade: the shares
    that would have traded, at which price, the Liquidity of this side, and the SelfTradeAction."""

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
    orig_cl_ord_id: str
    canceled_qty: int
    reason: int
    prevented: tuple[int, ...] = ()


class OrderReplaced(NamedTuple):
    """The order has the new price and quantity, and `cl_ord_id` as its name from now on."""

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
    orig_cl_ord_id: str
    memo: bytes = b""
    terms: tuple[Any, ...] = ()


class OrderRejected(NamedTuple):
    """The order never lived. `order_reference_number` and `order_id` are 0."""

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
    reason: int
    found: int | str
    limit: int | str
    memo: bytes = b""


class OrderReduced(NamedTuple):
    """`canceled_qty` shares were taken off an order that lives on in its place. `prevented` is what
    stands at the end when it was done instead of a self-trade (OrderCanceled)."""

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
    canceled_qty: int
    prevented: tuple[int, ...] = ()


class OrderModified(NamedTuple):
    """The order, in its place, has the side and total that were asked for; `canceled_qty` shares
    (0: none) were taken off."""

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
    canceled_qty: int


class CancelRejected(NamedTuple):
    """A cancel or replace was refused; the order, if there is one, stays as `ord_status` says."""

    kind: int
    owner: str
    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    ord_status: int
    response_to: int
    reason: int
    found: int | str
    limit: int | str


class OrderTriggered(NamedTuple):
    """A trade has triggered a stop order, which is a market or limit order from now on."""

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


class OrderRestated(NamedTuple):
    """What the order displays has traded; it displays `shown_qty` shares now, last in its level,
    under a new order reference number."""

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
    shown_qty: int
