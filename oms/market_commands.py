"""What concerns the exchange as a whole: reference data, trading states, the passing of time."""

from __future__ import annotations

from collections.abc import Iterable
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
from oms.safeguards import start_market_hours, watch, watch_is_due
from oms.sessions import Session
from oms.state import ExchangeState
from oms.trading_day import TradingDay
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
_DAY_STARTED_FOR_SESSION: Final = int(EventKind.TRADING_DAY_STARTED)
_DAY_ENDED_FOR_SESSION: Final = int(EventKind.TRADING_DAY_ENDED)
_EMERGENCY_CLOSED: Final = int(EventKind.EMERGENCY_CLOSED)
_TRADING_STATES: Final = frozenset(int(trading_state) for trading_state in TradingState)
_NO_ENTRY: Final = (
    int(TradingState.CLOSED),
    int(TradingState.HALTED),
    int(TradingState.EMERGENCY_CLOSED),
)
"""States in which the schedule leaves an instrument that an operator has put into them."""


def clock_tick(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ClockTick: apply has already moved the time. The phases of the trading day begin
    whose time has come, one after the other however late it is; orders expire by it, by the time
    that they said and then in the order of entry, and none is there in a phase that begins later;
    what protects the exchange does what is due; everyone is told what the auctions would do."""
    (_,) = command
    now_ns = state.last_time_ns
    events: list[Event] = []
    while (phase := state.trading_day.take_due(now_ns)) is not None:
        time_ns, trading_state = phase
        events += _expire(state, time_ns)
        if trading_state == TradingState.CLOSED:
            events += _end_day(state)
        else:
            events += _put(state, state.listings.values(), trading_state, "")
    events += _expire(state, now_ns)
    events += watch(state)
    for listing in state.listings.values():
        if listing.trading_state not in AUCTIONS:
            continue
        if now_ns - listing.indicated_ns >= INDICATION_INTERVAL_NS:
            listing.indicated_ns = now_ns
            events.append(indicate(listing))
    return events


def clock_is_due(state: ExchangeState, now_ns: int) -> bool:
    """Whether a ClockTick at `now_ns` would do anything but move the time: the leader puts none
    into the log otherwise, so a quiet exchange has a quiet log. O(instruments)."""
    now_ns = max(now_ns, state.last_time_ns)
    phase = state.trading_day.next_phase
    if phase is not None and phase[0] <= now_ns:
        return True
    if state.expiries and state.expiries[0][0] <= now_ns:
        return True
    return watch_is_due(state, now_ns) or any(
        listing.trading_state in AUCTIONS
        and now_ns - listing.indicated_ns >= INDICATION_INTERVAL_NS
        for listing in state.listings.values()
    )


def _expire(state: ExchangeState, time_ns: int) -> list[Event]:
    """OrderCanceled (EXPIRED) and BookDeleted of each order whose time has come by `time_ns`."""
    due: dict[tuple[int, int], SpecialOrder] = {}
    while state.expiries and state.expiries[0][0] <= time_ns:
        expire_time_ns, _, order = heappop(state.expiries)
        # A replace may have given it another time meanwhile.
        if order.level is not None and order.terms.expire_time_ns == expire_time_ns:
            due[expire_time_ns, order.order_id] = order
    return cancel_open_orders(state, [due[key] for key in sorted(due)], _EXPIRED)


def load_reference_data(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out LoadReferenceData; no events when there is reference data already."""
    _, instruments, accounts, sessions = command
    if state.is_loaded:
        return []
    problems = reference_data_problems(instruments, accounts, sessions)
    assert not problems, f"reference data in the log is wrong: {'; '.join(problems)}"
    state.is_loaded = True
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
    return _start_system_hours(state)


def _start_system_hours(state: ExchangeState) -> list[Event]:
    """The day begins for everyone: END_OF_MESSAGES of the one before, START_OF_MESSAGES,
    START_OF_SYSTEM_HOURS, InstrumentAdded each; and for each session, unless it is the very first
    day."""
    events: list[Event] = []
    if state.system_hours_ended:
        events.append((_SYSTEM_EVENT, "", int(SystemEventCode.END_OF_MESSAGES)))
    events.append((_SYSTEM_EVENT, "", int(SystemEventCode.START_OF_MESSAGES)))
    events.append((_SYSTEM_EVENT, "", int(SystemEventCode.START_OF_SYSTEM_HOURS)))
    for listing in state.listings.values():
        instrument = listing.instrument
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
    if state.system_hours_ended:
        events += [(_DAY_STARTED_FOR_SESSION, session) for session in state.sessions]
    state.system_hours_ended = False
    return events


def set_trading_state(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out SetTradingState: TradingAction for each instrument whose state or reason changes,
    after what trades in an auction that is over by it, before the turns of those who have waited.

    The schedule does not put an instrument into another state that is halted or closed by this.
    EmergencyClosed to each session comes first. No event for an unknown symbol or trading state: an
    operator's slip must not stop the nodes.
    """
    _, symbol, trading_state, reason = command
    listings = _listings_of(state, symbol)
    if not listings or trading_state not in _TRADING_STATES:
        return []
    for listing in listings:
        holds = trading_state in _NO_ENTRY
        listing.held = (int(trading_state), reason) if holds else None
        listing.phase_ends_ns = 0
    events: list[Event] = []
    if trading_state == TradingState.EMERGENCY_CLOSED:
        events += [(_EMERGENCY_CLOSED, session, symbol, reason) for session in state.sessions]
    return events + _put(state, listings, int(trading_state), reason)


def resume_trading(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ResumeTrading: as SetTradingState with the state of the phase that the trading day
    is in; before a day that is scheduled that is CLOSED, without a schedule TRADING."""
    _, symbol, reason = command
    day = state.trading_day
    trading_state = day.phase
    if trading_state is None:
        trading_state = int(TradingState.CLOSED if day.is_scheduled else TradingState.TRADING)
    listings = _listings_of(state, symbol)
    for listing in listings:
        listing.held = None
        listing.phase_ends_ns = 0
    return _put(state, listings, trading_state, reason) if listings else []


def _listings_of(state: ExchangeState, symbol: str) -> list[Listing]:
    """The listing of a symbol, all for ""; none for one that is not known."""
    if symbol == "":
        return list(state.listings.values())
    return [state.listings[symbol]] if symbol in state.listings else []


def _put(
    state: ExchangeState, listings: Iterable[Listing], trading_state: int, reason: str
) -> list[Event]:
    """Put instruments into another state, but those that are held into that in which they are
    held. What begins by it for everyone comes first."""
    events: list[Event] = []
    if trading_state not in _NO_ENTRY and state.system_hours_ended:
        events += _start_system_hours(state)
    if trading_state == TradingState.TRADING and not state.market_hours_started:
        state.market_hours_started = True
        for listing in state.listings.values():
            listing.day = DayStatistics()
        events.append((_SYSTEM_EVENT, "", int(SystemEventCode.START_OF_MARKET_HOURS)))
        events += start_market_hours(state)
    for listing in listings:
        target = listing.held or (trading_state, reason)
        if target != (listing.trading_state, listing.trading_reason):
            events += change_state(state, listing, *target)
    return events


def schedule_trading_day(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out ScheduleTradingDay: no events, the phases come with ClockTick. Ignored while
    another day is running, and for a day that has been."""
    _, date, phases = command
    day = state.trading_day
    if day.gives_way_to(date):
        state.trading_day = TradingDay(date, phases, date_before=day.last_date)
    return []


def end_day(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out EndDay: what closing an instrument makes happen, for each that is not closed; then
    OrderCanceled (EXPIRED) and BookDeleted for each order that lives for the day, in the order of
    entry; then, if market hours had started, InstrumentDayEnded of each instrument and SystemEvent
    END_OF_MARKET_HOURS; then, if the day had, TradingDayEnded of each session and SystemEvent
    END_OF_SYSTEM_HOURS. Of the schedule nothing more comes that day."""
    (_,) = command
    state.trading_day.end()
    return _end_day(state)


def _end_day(state: ExchangeState) -> list[Event]:
    events: list[Event] = []
    for listing in state.listings.values():
        is_paused = listing.phase_ends_ns > 0
        if listing.trading_state not in (TradingState.CLOSED, TradingState.EMERGENCY_CLOSED):
            events += change_state(state, listing, int(TradingState.CLOSED), "")
        if is_paused or (listing.held is not None and listing.held[0] == TradingState.CLOSED):
            listing.held = None  # closed or paused for the day; an operator's halt outlives it
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
            if listing.protection is not None:
                listing.protection.reference_price = listing.previous_close
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
    if state.is_loaded and not state.system_hours_ended:
        state.system_hours_ended = True
        events += [(_DAY_ENDED_FOR_SESSION, session) for session in state.sessions]
        events.append((_SYSTEM_EVENT, "", int(SystemEventCode.END_OF_SYSTEM_HOURS)))
    return events
