"""What concerns the exchange as a whole: reference data, trading states, the passing of time."""

from __future__ import annotations

from heapq import heappop
from operator import attrgetter
from typing import Final

from matching.types import TimeInForce
from oms.auctions import INDICATION_INTERVAL_NS, indicate
from oms.commands import Command
from oms.events import CancelReason, Event, EventKind, SystemEventCode, TradingState
from oms.order_commands import cancel_open_orders
from oms.order_state import SpecialOrder
from oms.phases import change_state
from oms.reference_data import Account, Instrument, SessionDefinition, reference_data_problems
from oms.safeguards import start_market_hours, watch
from oms.sessions import Session
from oms.state import ExchangeState
from oms.trading_state import AUCTIONS, DayStatistics, Listing

_FOR_THE_DAY: Final = tuple(
    int(time_in_force)
    for time_in_force in TimeInForce
    if time_in_force not in (TimeInForce.GTC, TimeInForce.GTD)
)
_EXPIRED: Final = int(CancelReason.EXPIRED)
_INSTRUMENT_ADDED: Final = int(EventKind.INSTRUMENT_ADDED)
_DAY_ENDED: Final = int(EventKind.INSTRUMENT_DAY_ENDED)
_SYSTEM_EVENT: Final = int(EventKind.SYSTEM_EVENT)
_TRADING_STATES: Final = frozenset(int(trading_state) for trading_state in TradingState)


def clock_tick(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ClockTick: apply has already moved the time. Orders expire by it, by the time that
    they said and then in the order of entry; what protects the exchange does what is due; and
    everyone is told what the auctions would do."""
    (_,) = command
    now_ns = state.last_time_ns
    due: dict[tuple[int, int], SpecialOrder] = {}
    while state.expiries and state.expiries[0][0] <= now_ns:
        expire_time_ns, _, order = heappop(state.expiries)
        # A replace may have given it another time meanwhile.
        if order.level is not None and order.terms.expire_time_ns == expire_time_ns:
            due[expire_time_ns, order.order_id] = order
    events = cancel_open_orders(state, [due[key] for key in sorted(due)], _EXPIRED)
    events += watch(state)
    for listing in state.listings.values():
        if listing.trading_state not in AUCTIONS:
            continue
        if now_ns - listing.indicated_ns >= INDICATION_INTERVAL_NS:
            listing.indicated_ns = now_ns
            events.append(indicate(listing))
    return events


def load_reference_data(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out LoadReferenceData; no events when there is reference data already."""
    _, instruments, accounts, sessions = command
    if state.is_loaded:
        return []
    problems = reference_data_problems(instruments, accounts, sessions)
    assert not problems, f"reference data in the log is wrong: {'; '.join(problems)}"
    state.is_loaded = True
    events: list[Event] = [
        (_SYSTEM_EVENT, "", int(SystemEventCode.START_OF_MESSAGES)),
        (_SYSTEM_EVENT, "", int(SystemEventCode.START_OF_SYSTEM_HOURS)),
    ]
    for fields in accounts:
        account = Account(*fields)
        state.accounts[account.account] = account
    for fields in sessions:
        definition = SessionDefinition(*fields)
        account = state.accounts[definition.account]
        state.sessions[definition.session] = Session(definition.session, account)
    for fields in instruments:
        instrument = Instrument(*fields)
        state.listings[instrument.symbol] = Listing(
            instrument, state.match_numbers, state.take_order_number, state.next_display
        )
        events.append(
            (
                _INSTRUMENT_ADDED,
                "",
                instrument.symbol,
                instrument.stock_locate,
                instrument.lot_size,
                instrument.tick_size,
                instrument.reference_price,
            )
        )
    return events


def set_trading_state(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out SetTradingState: TradingAction for each instrument whose state or reason changes,
    after what trades in an auction that is over by it, before the turns of those who have waited.

    No event for an unknown symbol or trading state: an operator's slip must not stop the nodes.
    """
    _, symbol, trading_state, reason = command
    if symbol == "":
        listings = list(state.listings.values())
    else:
        listings = [state.listings[symbol]] if symbol in state.listings else []
    if not listings or trading_state not in _TRADING_STATES:
        return []
    events: list[Event] = []
    if trading_state == TradingState.TRADING and not state.market_hours_started:
        state.market_hours_started = True
        for listing in state.listings.values():
            listing.day = DayStatistics()
        events.append((_SYSTEM_EVENT, "", int(SystemEventCode.START_OF_MARKET_HOURS)))
        events += start_market_hours(state)
    for listing in listings:
        listing.phase_ends_ns = 0  # from now on the operator decides
        if (trading_state, reason) != (listing.trading_state, listing.trading_reason):
            events += change_state(state, listing, int(trading_state), reason)
    return events


def end_day(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out EndDay: what closing an instrument makes happen, for each that is not closed; then
    OrderCanceled (EXPIRED) and BookDeleted for each order that lives for the day, in the order of
    entry; then, if market hours had started, InstrumentDayEnded of each instrument and SystemEvent
    END_OF_MARKET_HOURS."""
    (_,) = command
    events: list[Event] = []
    for listing in state.listings.values():
        if listing.trading_state not in (TradingState.CLOSED, TradingState.EMERGENCY_CLOSED):
            events += change_state(state, listing, int(TradingState.CLOSED), "")
    orders = [
        order
        for session in state.sessions.values()
        for order in session.open_orders.values()
        if order.time_in_force in _FOR_THE_DAY
    ]
    orders.sort(key=attrgetter("order_id"))
    events += cancel_open_orders(state, orders, _EXPIRED)
    if state.market_hours_started:
        state.market_hours_started = False
        for listing in state.listings.values():
            listing.previous_close = listing.last_price or listing.previous_close
        events += [
            (
                _DAY_ENDED,
                "",
                listing.stock_locate,
                listing.instrument.symbol,
                *listing.day.values(),
                listing.last_price,
            )
            for listing in state.listings.values()
        ]
        events.append((_SYSTEM_EVENT, "", int(SystemEventCode.END_OF_MARKET_HOURS)))
    return events
