"""What protects the exchange by the clock: bands that move, pauses that begin and end, breakers.

The rules are those of oms/README.md, "Protection". `watch` is called at each ClockTick and nowhere
else; what must be known at once, a price that moves too far, is seen by the trade itself
(oms/special_trading.py).
"""

from __future__ import annotations

from typing import Final

from oms.commands import Command
from oms.events import Event, EventKind, TradingState
from oms.phases import band_at, change_state, report_band, set_band
from oms.price_protection import PriceProtection
from oms.protection_rules import InstrumentProtection, ProtectionRules, protection_problems
from oms.special_trading import VOLATILITY_HALT, SpecialTrading
from oms.state import ExchangeState
from oms.trading_state import Listing

LIMIT_STATE_PAUSE: Final = "LUDP"
BREAKER_HALTS: Final = ("", "MWC1", "MWC2", "MWC3")
"""Why instruments are halted (ITCH 5.0, Stock Trading Action, Reason)."""

_REOPENING: Final = {VOLATILITY_HALT: "T7", "MWC1": "MWCQ", "MWC2": "MWCQ"}
"""Why orders are collected after a halt; after others for the same reason."""

PAR: Final = 1_000_000
"""The index of the circuit breakers at the close of the day before."""

_LAST_LEVEL: Final = 3
_END_OF_DAY_NS: Final = 2**63 - 1
"""When a phase ends that only the end of the day does."""

_BASIS_POINTS: Final = 10_000
_CLOSED: Final = int(TradingState.CLOSED)
_HALTED: Final = int(TradingState.HALTED)
_TRADING: Final = int(TradingState.TRADING)
_AUCTION_CALL: Final = int(TradingState.AUCTION_CALL)
_EMERGENCY_CLOSED: Final = int(TradingState.EMERGENCY_CLOSED)
_BREAKERS_SET: Final = int(EventKind.CIRCUIT_BREAKERS_SET)
_BREAKER_TRIPPED: Final = int(EventKind.CIRCUIT_BREAKER_TRIPPED)


def set_protection(state: ExchangeState, command: Command) -> list[Event]:
    """Carry out SetProtection: PriceBandSet of each instrument whose band it changes, with the
    orders that it cancels; CircuitBreakersSet when market hours have started. No event for rules
    that are wrong, or before there are instruments: an operator's slip must not stop the nodes."""
    _, values, rows = command
    if not state.is_loaded or protection_problems(values, rows):
        return []
    instruments = [InstrumentProtection(*row) for row in rows]
    by_symbol = {each.symbol: each for each in instruments if each.symbol in state.listings}
    had_levels = breaker_levels(state)
    state.protection = ProtectionRules(*values)
    events: list[Event] = []
    for symbol, listing in state.listings.items():
        none = InstrumentProtection(symbol, 0, 0, 0)
        events += _protect(state, listing, by_symbol.get(symbol, none))
    levels = breaker_levels(state)
    if state.market_hours_started and levels != had_levels and levels:
        events.append((_BREAKERS_SET, "", *levels))
    return events


def _protect(state: ExchangeState, listing: Listing, values: InstrumentProtection) -> list[Event]:
    """Give an instrument the protection that it is to have from now on. What is remembered of its
    prices stays, unless the length of the window changes."""
    trading = SpecialTrading(state, listing)
    before, had_luld = listing.protection, listing.has_luld
    listing.index_weight = values.index_weight
    listing.protection = None
    if values.luld_bps or values.volatility_bps:
        price = listing.last_price or listing.instrument.reference_price
        listing.protection = PriceProtection(
            values.luld_bps, values.volatility_bps, state.protection.window_ns, price
        )
        if before is not None and before.row_ns == listing.protection.row_ns:
            _, _, _, *history = before.values()
            listing.protection.go_on_with(history)
    if listing.has_luld:
        if not had_luld:
            listing.band_low = listing.band_high = 0  # the collar may be the same, but is not told
        set_band(trading)
    elif had_luld:
        listing.set_collar()
        listing.pegged_to = None
        report_band(trading, 0)
    trading.settle()
    return trading.events


def start_market_hours(state: ExchangeState) -> list[Event]:
    """Begin to measure: a new day of the circuit breakers, and of trades that may be busted."""
    state.trades.forget()
    state.market_hours_since_ns = state.last_time_ns
    state.breaker_level = 0
    levels = breaker_levels(state)
    return [(_BREAKERS_SET, "", *levels)] if levels else []


def breaker_levels(state: ExchangeState) -> tuple[int, ...]:
    """The index at which each level trips; () when there are no breakers."""
    rules = state.protection
    declines = (rules.breaker_level_1, rules.breaker_level_2, rules.breaker_level_3)
    if not all(declines):
        return ()
    return tuple(PAR - decline * (PAR // _BASIS_POINTS) for decline in declines)


def watch(state: ExchangeState) -> list[Event]:
    """What the time has brought: the next phase of paused instruments, pauses of those in a limit
    state, bands that have moved; then a circuit breaker that trips."""
    now_ns = state.last_time_ns
    events: list[Event] = []
    for listing in state.listings.values():
        if listing.phase_ends_ns:
            if now_ns >= listing.phase_ends_ns:
                events += _reopen(state, listing)
        elif listing.protection is not None and listing.trading_state == _TRADING:
            events += _watch_prices(state, listing, listing.protection)
    return events + _watch_index(state)


def watch_is_due(state: ExchangeState, now_ns: int) -> bool:
    """Whether `watch` at `now_ns` could do anything. Changes nothing; O(instruments)."""
    for listing in state.listings.values():
        protection = listing.protection
        if listing.phase_ends_ns:
            if now_ns >= listing.phase_ends_ns:
                return True
        elif protection is not None and listing.trading_state == _TRADING:
            if protection.is_due(now_ns) or _band_moves(state, listing, protection, now_ns):
                return True
            since_ns = protection.limit_since_ns
            if since_ns and now_ns - since_ns >= state.protection.limit_state_ns:
                return True
    return _level_to_trip(state, now_ns)[0] > 0


def _reopen(state: ExchangeState, listing: Listing) -> list[Event]:
    """The next phase of an instrument that was paused: orders are collected, then they trade; or
    the phase that the trading day has come to meanwhile."""
    phase = state.trading_day.phase
    if listing.trading_state == _HALTED and phase in (None, _TRADING, _AUCTION_CALL):
        reason = _REOPENING.get(listing.trading_reason, listing.trading_reason)
        events = change_state(state, listing, _AUCTION_CALL, reason)
        listing.held = (_AUCTION_CALL, reason)
        listing.phase_ends_ns = state.last_time_ns + state.protection.call_ns
        return events
    listing.held = None
    return change_state(state, listing, _TRADING if phase is None else phase, "")


def _watch_prices(
    state: ExchangeState, listing: Listing, protection: PriceProtection
) -> list[Event]:
    """Pause an instrument that has been in a limit state for too long; else let its band follow,
    and those trade who can by it."""
    since_ns = protection.limit_since_ns
    if since_ns and state.last_time_ns - since_ns >= state.protection.limit_state_ns:
        # If the auction trades nothing, the next band lies around the limit that was reached.
        is_up = listing.book.best_bid == listing.band_high
        protection.reference_price = listing.band_high if is_up else listing.band_low
        trading = SpecialTrading(state, listing)
        trading.pause(LIMIT_STATE_PAUSE)
        trading.settle()
        return trading.events
    protection.update_reference(state.last_time_ns)
    has_moved = _band_moves(state, listing, protection, state.last_time_ns)
    if not has_moved and not listing.special:
        return []
    trading = SpecialTrading(state, listing)
    set_band(trading)
    trading.settle()
    return trading.events


def _band_moves(
    state: ExchangeState, listing: Listing, protection: PriceProtection, now_ns: int
) -> bool:
    band = (listing.band_low, listing.band_high)
    return listing.has_luld and band != band_at(state, listing, protection, now_ns)


def _watch_index(state: ExchangeState) -> list[Event]:
    """Trip the highest level that the index has fallen to, each once a day, and halt everything
    that trades, or will without an operator."""
    now_ns = state.last_time_ns
    level, index = _level_to_trip(state, now_ns)
    if level == 0:
        return []
    state.breaker_level = level
    events: list[Event] = [(_BREAKER_TRIPPED, "", level, index)]
    for listing in state.listings.values():
        was_halted = listing.trading_state == _HALTED and not listing.phase_ends_ns
        if was_halted or listing.trading_state in (_CLOSED, _EMERGENCY_CLOSED):
            continue
        reason = BREAKER_HALTS[level]
        events += change_state(state, listing, _HALTED, reason)
        listing.held = (_HALTED, reason)
        ends_ns = now_ns + state.protection.breaker_halt_ns
        listing.phase_ends_ns = _END_OF_DAY_NS if level == _LAST_LEVEL else ends_ns
    return events


def _level_to_trip(state: ExchangeState, now_ns: int) -> tuple[int, int]:
    """(level that the index has newly fallen to, the index); level 0: none. O(instruments)."""
    levels = breaker_levels(state)
    if not levels or not state.market_hours_started:
        return 0, PAR
    index = _index(state)
    level = sum(index <= each for each in levels)
    is_late = now_ns - state.market_hours_since_ns >= state.protection.breaker_until_ns
    if level <= state.breaker_level or (is_late and level < _LAST_LEVEL):
        return 0, index
    return level, index


def _index(state: ExchangeState) -> int:
    """The mean of what instruments are worth in parts per million of their previous close, by
    weight; each of them and the mean rounded down. PAR when none has a weight."""
    total = weights = 0
    for listing in state.listings.values():
        weight = listing.index_weight
        if weight:
            price = listing.last_price or listing.previous_close
            total += weight * (price * PAR // listing.previous_close)
            weights += weight
    return total // weights if weights else PAR
