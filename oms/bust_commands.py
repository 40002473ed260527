"""A trade is declared void: what an operator asks, and what it does to orders and statistics.

The rules are those of oms/README.md, "Busted trades".
"""

from __future__ import annotations

from typing import Final

from oms.commands import Command
from oms.events import BustRefusal, Event, EventKind, OrderExecuted, OrdStatus
from oms.state import ExchangeState
from oms.trading_state import Listing

_TRADE_BUSTED: Final = int(EventKind.TRADE_BUSTED)
_EXECUTION_BUSTED: Final = int(EventKind.EXECUTION_BUSTED)
_BUST_REFUSED: Final = int(EventKind.BUST_REFUSED)
_CANCELED: Final = int(OrdStatus.CANCELED)


def bust_trade(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out BustTrade: TradeBusted, ExecutionBusted of each side as they were executed; or
    BustRefused alone."""
    _, match_number, reason = command
    trades = state.trades
    if match_number in trades.busted:
        return [(_BUST_REFUSED, "", match_number, int(BustRefusal.BUSTED_ALREADY))]
    sides = [(event_seq, OrderExecuted(*event)) for event_seq, event in trades.find(match_number)]
    if not sides:
        return [(_BUST_REFUSED, "", match_number, int(BustRefusal.UNKNOWN_TRADE))]
    _, trade = sides[0]
    listing = state.listings[trade.symbol]
    reports = [_bust_side(state, event_seq, side) for event_seq, side in sides]
    trades.busted[match_number] = state.match_numbers.last
    _correct_statistics(state, listing, trade)
    return [
        (
            _TRADE_BUSTED,
            "",
            listing.stock_locate,
            trade.symbol,
            match_number,
            trade.last_qty,
            trade.last_price,
            reason,
        ),
        *reports,
    ]


def _bust_side(state: ExchangeState, event_seq: int, side: OrderExecuted) -> Event:
    """Take the trade off an order, and report it. An order that lives wants so many shares less in
    all: those of the trade do not come back."""
    end = (side.last_qty, side.last_price, side.match_number, event_seq)
    session = state.sessions[side.owner]
    order = session.open_orders.get(side.order_id)
    if order is None:
        closed = (each for each in session.closed_orders if each.order_id == side.order_id)
        order = next(closed, None)
    if order is None:
        return _report_of_forgotten(state, side, end)
    order.record_bust(side.last_qty, side.last_price)
    return (
        _EXECUTION_BUSTED,
        order.owner,
        order.cl_ord_id,
        order.order_id,
        order.account,
        order.symbol,
        int(order.side),
        int(order.order_type),
        int(order.time_in_force),
        order.quantity,
        order.price,
        order.cum_qty,
        order.leaves_qty,
        order.cum_value,
        order.ord_status,
        order.order_reference_number,
        *end,
    )


def _report_of_forgotten(
    state: ExchangeState, side: OrderExecuted, end: tuple[int, int, int, int]
) -> Event:
    """The order as it was after its last execution, less this trade and others that were busted
    since."""
    trades = state.trades
    executions = trades.of_order(side.order_id)
    last = executions[-1]
    cum_qty, cum_value = last.cum_qty - side.last_qty, last.cum_value
    cum_value -= side.last_qty * side.last_price
    for other in executions:
        if trades.busted.get(other.match_number, 0) >= last.match_number:
            cum_qty -= other.last_qty
            cum_value -= other.last_qty * other.last_price
    head = last[: OrderExecuted._fields.index("cum_qty")]
    numbers = (cum_qty, 0, cum_value, _CANCELED, last.order_reference_number)
    return (_EXECUTION_BUSTED, *head[1:], *numbers, *end)


def _correct_statistics(state: ExchangeState, listing: Listing, trade: OrderExecuted) -> None:
    """Volume, value and count lose the trade; the other prices are looked up among the trades that
    are remembered, and stay where these do not go back to the start of the day."""
    day = listing.day
    day.volume -= trade.last_qty
    day.value -= trade.last_qty * trade.last_price
    day.trade_count -= 1
    prices = state.trades.prices_of(trade.symbol)
    if len(prices) == day.trade_count:
        day.open_price = prices[0] if prices else 0
        day.high_price, day.low_price = max(prices, default=0), min(prices, default=0)
    if prices:
        listing.record_last_price(prices[-1])
