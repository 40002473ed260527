"""The state of the exchange, made again of the parts of a snapshot (oms/snapshot.py)."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, repeat
from typing import Final

from oms.order_state import OLD_COLUMNS, ORDER_COLUMNS, Order, SpecialOrder, restore_orders
from oms.price_protection import PriceProtection
from oms.protection_rules import ProtectionRules
from oms.reference_data import Account, Instrument
from oms.sessions import Session
from oms.snapshot import AN_ORDER, SNAPSHOT_VERSION, Part
from oms.state import ExchangeState
from oms.trading_day import TradingDay
from oms.trading_state import DayStatistics, Listing

_WITHOUT_SPECIAL_ORDERS: Final = 2
_WITHOUT_TRADING_DAY: Final = 3
"""Versions before; they are read, too. What a later one has more of stands behind what was there,
and is what it is at the beginning where it is missing."""


_TRADES: Final = 5
"""Place of what there is to know of trades in the first part."""


def restore_parts(parts: Iterable[Part]) -> ExchangeState:
    """Return the state that the parts were taken of; takes no more parts than there were.

    Raises ValueError with a sentence for another version and for what makes no sense. The garbage
    collector rests meanwhile, since nothing that is made here is garbage.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _restore(_all_of(parts))
    except EOFError as error:
        raise ValueError("the snapshot ends too early") from error
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"the snapshot cannot be restored: {error}") from error
    finally:
        if was_enabled:
            gc.enable()


def _all_of(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, then EOFError: unlike StopIteration it passes through generators."""
    yield from parts
    raise EOFError


def _restore(parts: Iterator[Part]) -> ExchangeState:
    version, *head = next(parts)
    if version == _WITHOUT_SPECIAL_ORDERS:
        head = _as_without_special_orders(*head)
    elif version not in (_WITHOUT_TRADING_DAY, SNAPSHOT_VERSION):
        raise ValueError(f"it has version {version}; this program reads {SNAPSHOT_VERSION}")
    state, place_counts, closed_counts, name_counts = _restore_head(*head)
    trade_count = _restore_trades_head(state, *head[_TRADES:])
    symbols = list(state.listings)
    unnamed: dict[int, Order] = {}

    def orders_of(count: int) -> Iterator[list[Order]]:
        while count > 0:
            orders = _restore_orders(next(parts), symbols, unnamed)
            count -= len(orders)
            yield orders
        assert count == 0, f"{-count} orders too many"

    for listing, (displayed, *others) in zip(state.listings.values(), place_counts, strict=True):
        for orders in orders_of(displayed):
            _restore_displayed(listing, orders)
        _restore_places(listing, [chain.from_iterable(orders_of(count)) for count in others])
    heads = zip(state.sessions.values(), closed_counts, name_counts, strict=True)
    for session, closed_count, name_count in heads:
        for orders in orders_of(closed_count):
            session.closed_orders.extend(orders)
        _restore_names(session, name_count, parts, unnamed)
    assert not unnamed, f"{len(unnamed)} orders have no name"
    while trade_count > 0:
        rows = next(parts)
        trade_count -= len(rows)
        for row in rows:
            state.trades.restore_row(*row)
    assert trade_count == 0, f"{-trade_count} commands that traded too many"
    for session in state.sessions.values():
        for order in session.open_orders.values():
            state.remember_expiry(order)
    return state


def _as_without_special_orders(
    counters: Part, accounts: Part, listings: Part, sessions: Part
) -> list[Part]:
    """The first part of the version before in the form of this one."""
    return [
        (*counters, 0),
        accounts,
        tuple((*head, 0, (0,) * 6, (count, *[0] * 6)) for *head, count in listings),
        sessions,
    ]


def _restore_displayed(listing: Listing, orders: list[Order]) -> None:
    """Put displayed orders, of which there are the most by far, into the book."""
    listing.book.add_resting(orders)
    for order in orders:
        if isinstance(order, SpecialOrder) and order.display_qty:
            listing.special[order.order_id] = order


def _restore_places(listing: Listing, places: list[Iterator[Order]]) -> None:
    """Put the other orders of an instrument where they stood; these come as in _places_of."""
    hidden, stops, triggered, parked, collected, for_close = places
    pegs: list[SpecialOrder] = []

    def as_special(orders: Iterable[Order]) -> Iterator[SpecialOrder]:
        for order in orders:
            assert isinstance(order, SpecialOrder), f"order {order.order_id} has no terms"
            listing.special[order.order_id] = order
            if order.is_pegged:
                pegs.append(order)
            yield order

    for special in as_special(hidden):
        listing.books.hidden.add(special)
    for special in as_special(stops):
        listing.stops.add(special)
    for special in as_special(triggered):
        special.level = listing.triggered
        listing.triggered.append(special)
    for special in as_special(parked):
        special.level = listing.pegs
    for order in collected:
        listing.collected.add(order)
        if isinstance(order, SpecialOrder) and not order.is_plain_at_rest:
            listing.special[order.order_id] = order
    for special in as_special(for_close):
        special.level = listing.for_close
        listing.for_close[special.order_id] = special
    for special in sorted(pegs, key=lambda order: order.order_reference_number):
        listing.pegs[special.order_id] = special
    listing.decide_whether_it_is_plain()


def _restore_head(
    counters: Part,
    accounts: Part,
    listings: Part,
    sessions: Part,
    protection: Part = (),
    *_later: Part,
) -> tuple[ExchangeState, list[Sequence[int]], list[int], list[int]]:
    """The state without orders and names; how many orders stand where per listing, how many are
    closed per session, and how many names there are per session."""
    state = ExchangeState()
    (
        state.last_time_ns,
        state.last_order_reference_number,
        state.match_numbers.last,
        state.is_loaded,
        state.market_hours_started,
        state.random_state,
        *later,
    ) = counters
    if later:
        state.system_hours_ended, trading_day = later
        state.trading_day = TradingDay(*trading_day)
    for fields in accounts:
        account = Account(*fields)
        state.accounts[account.account] = account
    for instrument_fields, trading_state, trading_reason, last_price, *more, _ in listings:
        instrument = Instrument(*instrument_fields)
        listing = Listing(
            instrument, state.match_numbers, state.take_order_number, state.next_display
        )
        listing.trading_state = trading_state
        listing.trading_reason = trading_reason
        listing.record_last_price(last_price)
        listing.indicated_ns, day, *later = more
        listing.day = DayStatistics(day)
        if later and later[0]:
            held_state, held_reason = later[0]
            listing.held = (held_state, held_reason)
        state.listings[instrument.symbol] = listing
    if protection:
        _restore_protection(state, *protection)
    for name, account_name, *fields, _, _ in sessions:
        session = Session(name, state.accounts[account_name])
        (
            session.gateway_id,
            session.is_open,
            session.cancel_on_disconnect,
            session.last_msg_seq_num,
            session.order_entry_enabled,
            last_numbers,
        ) = fields
        session.last_numbers.update(last_numbers)
        session.decide_whether_it_takes_orders()
        state.sessions[name] = session
    return (
        state,
        [row[-1] for row in listings],
        [row[-2] for row in sessions],
        [row[-1] for row in sessions],
    )


def _restore_trades_head(state: ExchangeState, trades: Part = (0, ())) -> int:
    """How many commands that traded there are to come."""
    count, busted = trades
    assert type(count) is int, f"{count!r} commands traded"
    state.trades.busted.update(dict(busted))
    return count


def _restore_protection(
    state: ExchangeState, rules: Part, since_ns: int, breaker_level: int, rows: Part
) -> None:
    state.protection = ProtectionRules(*rules)
    state.market_hours_since_ns = since_ns
    state.breaker_level = breaker_level
    for listing, row in zip(state.listings.values(), rows, strict=True):
        listing.phase_ends_ns, listing.previous_close, listing.index_weight, *band, values = row
        listing.band_low, listing.band_high = band
        if values:
            listing.protection = PriceProtection.restore(values)


def _restore_orders(part: Part, symbols: list[str], unnamed: dict[int, Order]) -> list[Order]:
    """Make the orders of a part, and put them into `unnamed` by order_id."""
    if len(part) == OLD_COLUMNS:
        part = (*part, repeat((), len(part[0])))
    columns = dict(zip(ORDER_COLUMNS, part, strict=True))
    columns["symbol"] = [symbols[place] for place in columns["symbol"]]
    orders = restore_orders(columns.values())
    unnamed.update(zip(columns["order_id"], orders, strict=True))
    return orders


def _restore_names(
    session: Session, count: int, parts: Iterator[Part], unnamed: dict[int, Order]
) -> None:
    """Give a session its names, and these to its orders, which are taken out of `unnamed`."""
    names, account = session.names, session.account.account
    entered: dict[int, Order] = {}
    used = 0
    while used < count:
        cl_ord_ids, meanings, order_ids = next(parts)
        orders = list(map(unnamed.pop, order_ids))
        named_count = meanings.count(AN_ORDER)
        assert named_count == len(orders), f"{named_count} names mean {len(orders)} orders"
        order_names: Iterable[str] = cl_ord_ids
        values: Sequence[Order | int] = orders
        if named_count < len(cl_ord_ids):
            order_names = compress(cl_ord_ids, map(AN_ORDER.__eq__, meanings))
            named = iter(orders)
            values = [next(named) if each == AN_ORDER else each for each in meanings]
        for order, cl_ord_id in zip(orders, order_names, strict=True):
            order.cl_ord_id = cl_ord_id
            order.owner = session.name
            order.account = account
            if isinstance(order, SpecialOrder):
                order.set_terms(order.terms, session.account.firm)
        names.restore(cl_ord_ids, values, session.last_numbers)
        used += len(cl_ord_ids)
        entered.update(zip(order_ids, orders, strict=True))
    assert used == count, f"{session.name} has {used - count} names too many"
    for order in session.closed_orders:
        del entered[order.order_id]
    # A replaced order has a later name than others, but the place of its entry.
    in_order = sorted(entered)
    if in_order != list(entered):
        entered = {order_id: entered[order_id] for order_id in in_order}
    session.open_orders = entered
