"""What an order must pass before it may live: an ordered tuple of pure functions.

Each check looks at the order as it would be, its listing and its account, and returns None or a
Refusal. The first refusal counts, so the order of a tuple is part of the contract (oms/README.md).
What comes before them (is the session, the name, the account, the symbol known) are look-ups of
the state machine, because the checks need what they find.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from matching.types import OrderType, Side, TimeInForce
from oms.events import RejectReason, TradingState
from oms.order_state import Order, SpecialOrder, terms_of
from oms.price import HIGHEST_PRICE
from oms.reference_data import Account
from oms.trading_state import ENTRY_REFUSED, Listing

Refusal: TypeAlias = tuple[RejectReason, int | str, int | str]
"""(reason, what was found, what is allowed); the docstring of RejectReason says which facts. The
limit is "" where the reason needs none."""

Check: TypeAlias = Callable[[Order, Listing, Account], Refusal | None]

_SIDES: Final = frozenset(int(side) for side in Side)
_ORDER_TYPES: Final = frozenset(int(order_type) for order_type in OrderType)
_TIMES_IN_FORCE: Final = frozenset(int(time_in_force) for time_in_force in TimeInForce)
_LIMIT: Final = int(OrderType.LIMIT)
_STOP_LIMIT: Final = int(OrderType.STOP_LIMIT)
_LIMITED: Final = (_LIMIT, _STOP_LIMIT)
_MARKET_TO_LIMIT: Final = int(OrderType.MARKET_TO_LIMIT)
_LIMITED_BY_NOW: Final = (*_LIMITED, _MARKET_TO_LIMIT)
_PEGGED: Final = int(OrderType.PEGGED)
_PLAIN_TYPES: Final = (int(OrderType.MARKET), _LIMIT)
_PLAIN_TIMES: Final = frozenset(
    (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.IOC), int(TimeInForce.FOK))
)
_TRADING: Final = int(TradingState.TRADING)


def check_trading_state(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse while the instrument is closed or halted."""
    reason = ENTRY_REFUSED[listing.trading_state]
    return None if reason is None else (reason, listing.trading_state, "")


def check_side(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a side that is not one of Side."""
    return None if order.side in _SIDES else (RejectReason.INVALID_SIDE, order.side, "")


def check_order_type(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse an order type that is not one of OrderType."""
    if order.order_type in _ORDER_TYPES:
        return None
    return RejectReason.INVALID_ORDER_TYPE, order.order_type, ""


def check_time_in_force(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a time in force that is not one of TimeInForce."""
    if order.time_in_force in _TIMES_IN_FORCE:
        return None
    return RejectReason.INVALID_TIME_IN_FORCE, order.time_in_force, ""


def check_quantity(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse no shares and fewer."""
    return None if order.quantity > 0 else (RejectReason.INVALID_QUANTITY, order.quantity, "")


def check_already_executed(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a new total that would leave nothing open: that is a cancel, and must say so."""
    if order.quantity > order.cum_qty:
        return None
    return RejectReason.QUANTITY_ALREADY_EXECUTED, order.quantity, order.cum_qty


def check_round_lot(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a quantity that is not a multiple of the lot size."""
    if order.quantity % listing.lot_size == 0:
        return None
    return RejectReason.QUANTITY_NOT_ROUND_LOT, order.quantity, listing.lot_size


def check_max_quantity(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse more shares than the instrument or the account allows in one order."""
    most = min(listing.max_quantity, account.max_order_quantity)
    if order.quantity <= most:
        return None
    return RejectReason.QUANTITY_TOO_LARGE, order.quantity, most


def check_price(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a limit that is no price, and any price on an order without one. A pegged order may
    have a limit, or none."""
    return _refusal_of_price(order, order.order_type in _LIMITED)


def check_new_price(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse the same of a replace: by now a market-to-limit order has a limit."""
    return _refusal_of_price(order, order.order_type in _LIMITED_BY_NOW)


def _refusal_of_price(order: Order, is_limited: bool) -> Refusal | None:
    lowest = 1 if is_limited else 0
    highest = HIGHEST_PRICE if is_limited or order.order_type == _PEGGED else 0
    if lowest <= order.price <= highest:
        return None
    return RejectReason.INVALID_PRICE, order.price, ""


def check_price_grid(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a limit between two ticks."""
    if order.price % listing.tick_size == 0:
        return None
    return RejectReason.PRICE_OFF_GRID, order.price, listing.tick_size


def check_price_band(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse a limit too far from the last trade, or beyond a limit-up-limit-down band. That of a
    market order is its collar, a stop order meets the band when it is triggered, and if it is
    replaced after that; a pegged order follows the market."""
    if not listing.is_out_of_band(order.side, order.price):
        return None
    order_type = order.order_type
    is_limited = order_type == _LIMIT or (order_type == _MARKET_TO_LIMIT and order.price > 0)
    if order_type == _STOP_LIMIT and isinstance(order, SpecialOrder):
        is_limited = order.is_triggered
    if not is_limited:
        return None
    return (
        RejectReason.PRICE_OUT_OF_BAND,
        order.price,
        f"{listing.band_low}-{listing.band_high}",
    )


def check_order_value(order: Order, listing: Listing, account: Account) -> Refusal | None:
    """Refuse an order worth more than the account allows.

    An order without a limit, buy or sell, is valued at the upper edge of the band, the most it can
    be worth; a stop order at its stop price if that is higher.
    """
    # A stop price that is none is refused later: no event may hold what it would be worth.
    stop_price = min(terms_of(order).stop_price, HIGHEST_PRICE)
    price = order.price or max(listing.band_high, stop_price)
    value = price * order.quantity
    if value <= account.max_order_value:
        return None
    return RejectReason.ORDER_VALUE_TOO_LARGE, value, account.max_order_value


CHECKS: Final[tuple[Check, ...]] = (
    check_trading_state,
    check_side,
    check_order_type,
    check_time_in_force,
    check_quantity,
    check_round_lot,
    check_max_quantity,
    check_price,
    check_price_grid,
    check_price_band,
    check_order_value,
)
"""What a new order must pass, in this order."""

REDUCE_CHECKS: Final[tuple[Check, ...]] = (
    check_trading_state,
    check_quantity,
    check_already_executed,
    check_round_lot,
)
"""What a replace must pass that only takes shares off: it lowers the risk, so neither a band that
has moved on nor a limit on size stands in its way."""

REPLACE_CHECKS: Final[tuple[Check, ...]] = (
    *REDUCE_CHECKS,
    check_max_quantity,
    check_new_price,
    check_price_grid,
    check_price_band,
    check_order_value,
)
"""What any other replace must pass. Side, order type and time in force cannot change."""


def is_plain_order(
    listing: Listing,
    account: Account,
    side: int,
    order_type: int,
    time_in_force: int,
    quantity: int,
    price: int,
) -> bool:
    """Whether a new order is a limit order that passes CHECKS, found out in one expression.

    Nearly every order is, and eleven calls would be a quarter of the time that it takes. False
    says nothing: CHECKS decide, and find the reason. (The band lies within the prices that exist.)
    """
    return (
        order_type == _LIMIT
        and listing.trading_state == _TRADING
        and side in _SIDES
        and time_in_force in _PLAIN_TIMES
        and 0 < quantity <= listing.max_quantity
        and quantity <= account.max_order_quantity
        and listing.band_low <= price <= listing.band_high
        and price % listing.tick_size == 0
        and quantity % listing.lot_size == 0
        and price * quantity <= account.max_order_value
    )


def is_special(order: Order) -> bool:
    """Whether type or time in force alone make an order a special one (oms.order_state)."""
    return order.order_type not in _PLAIN_TYPES or order.time_in_force not in _PLAIN_TIMES


def first_refusal(
    checks: tuple[Check, ...], order: Order, listing: Listing, account: Account
) -> Refusal | None:
    """Return what the first check that refuses says; None when all pass."""
    for check in checks:
        refusal = check(order, listing, account)
        if refusal is not None:
            return refusal
    return None
