"""How the market stands, for operators: read from the state of one node, beside the log."""

from __future__ import annotations

from typing import Any

from oms.auctions import indicate
from oms.events import AuctionIndicated, TradingState
from oms.state import ExchangeState
from oms.trading_state import AUCTIONS, Listing


def market_status(state: ExchangeState) -> dict[str, Any]:
    """Plain values: `time_ns` of the last command; `date` (YYYYMMDD, 0: never a schedule), `phase`
    (None while no day is running) and `next_phase` (when in ns, which; or None) of the trading day;
    `instruments` in the order of loading. States are names of TradingState, prices in 1/10,000, 0
    for none. O(instruments), and O(orders) of each that is in an auction."""
    day = state.trading_day
    next_phase = day.next_phase
    return {
        "time_ns": state.last_time_ns,
        "date": day.date,
        "phase": None if day.phase is None else TradingState(day.phase).name,
        "next_phase": next_phase and (next_phase[0], TradingState(next_phase[1]).name),
        "instruments": [_instrument(listing) for listing in state.listings.values()],
    }


def _instrument(listing: Listing) -> dict[str, Any]:
    """`auction` is what it would do now, None outside of one; `is_held`: an operator has put the
    instrument into this state, and the schedule leaves it there."""
    auction = None
    if listing.trading_state in AUCTIONS:
        indicated = AuctionIndicated(*indicate(listing))
        auction = {
            "price": indicated.price,
            "paired_qty": indicated.paired_qty,
            "imbalance_qty": indicated.imbalance_qty,
            "reference_price": indicated.reference_price,
        }
    return {
        "symbol": listing.instrument.symbol,
        "trading_state": TradingState(listing.trading_state).name,
        "reason": listing.trading_reason,
        "is_held": listing.held is not None,
        "last_price": listing.last_price,
        "auction": auction,
    }
