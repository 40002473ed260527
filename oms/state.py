"""Everything that the exchange remembers, in one object: what a snapshot holds and no more."""

from __future__ import annotations

from heapq import heapify, heappush
from typing import Final

from matching.order_book import MatchNumbers
from matching.types import BookOrder, OrderType
from oms.events import OrdStatus
from oms.names import NAMES_NO_ORDER
from oms.order_state import Order, SpecialOrder
from oms.protection_rules import NO_PROTECTION, ProtectionRules
from oms.reference_data import Account
from oms.sessions import Session
from oms.trades import Trades
from oms.trading_day import TradingDay
from oms.trading_state import Listing, price_band

_FILLED: Final = (OrdStatus.FILLED,)
_NOT_FILLED: Final = (OrdStatus.CANCELED, OrdStatus.EXPIRED)
_MEANINGS_WITHOUT_ORDER: Final = (*_FILLED, *_NOT_FILLED, NAMES_NO_ORDER)

_MULTIPLIER: Final = 6_364_136_223_846_793_005
_INCREMENT: Final = 1_442_695_040_888_963_407
"""Knuth's linear congruential generator MMIX, modulo 2**64; its high bits are the good ones."""

_EXPIRIES_SPARE: Final = 1_000


class ExchangeState:
    """The state of the exchange; two replicas are equal when these fields are.

    `last_order_reference_number` and `match_numbers.last` are the numbers given last, 0 before the
    first. The dictionaries are in the order of loading. `random_state` is that of the generator
    which varies what an order displays: as much a part of the state as a counter. `expiries` are
    (time, order reference number, order) of GTD orders, a heap; those that are gone are in it for a
    while. `system_hours_ended` says that a day is over and the next one has not begun.
    `protection` are the rules for all instruments; `market_hours_since_ns` is when market hours
    have started last, `breaker_level` the highest level of the circuit breakers since then.
    """

    __slots__ = (
        "_expiries_limit",
        "accounts",
        "breaker_level",
        "expiries",
        "is_loaded",
        "last_order_reference_number",
        "last_time_ns",
        "listings",
        "market_hours_since_ns",
        "market_hours_started",
        "match_numbers",
        "protection",
        "random_state",
        "sessions",
        "system_hours_ended",
        "trades",
        "trading_day",
    )

    def __init__(self) -> None:
        self.last_time_ns = 0
        self.last_order_reference_number = 0
        self.match_numbers = MatchNumbers()
        self.random_state = 0
        self.expiries: list[tuple[int, int, SpecialOrder]] = []
        self._expiries_limit = _EXPIRIES_SPARE
        self.is_loaded = False
        self.market_hours_started = False
        self.system_hours_ended = False
        self.trading_day = TradingDay()
        self.market_hours_since_ns = 0
        self.protection: ProtectionRules = NO_PROTECTION
        self.breaker_level = 0
        self.trades = Trades()
        self.accounts: dict[str, Account] = {}
        self.listings: dict[str, Listing] = {}
        self.sessions: dict[str, Session] = {}

    def take_order_number(self) -> int:
        """Give the next order reference number."""
        self.last_order_reference_number += 1
        return self.last_order_reference_number

    def next_display(self, order: BookOrder) -> int:
        """How many shares an order displays next: `display_qty`, give or take up to `display_range`
        in round lots, and no more than it has."""
        assert isinstance(order, SpecialOrder)
        shown_qty = order.display_qty
        lot_size = self.listings[order.symbol].lot_size
        lots = order.terms.display_range // lot_size
        if lots:
            self.random_state = (self.random_state * _MULTIPLIER + _INCREMENT) % 2**64
            shown_qty += ((self.random_state >> 33) % (2 * lots + 1) - lots) * lot_size
        return min(shown_qty, order.leaves_qty)

    def bands_are_wide(self, now_ns: int) -> bool:
        """Whether the limit-up-limit-down bands are to be twice as wide."""
        rules = self.protection
        since_ns = now_ns - self.market_hours_since_ns
        if not self.market_hours_started:
            return False
        is_late = 0 < rules.wide_from_ns <= since_ns
        return is_late or since_ns < rules.wide_until_ns

    def remember_expiry(self, order: Order) -> None:
        """Take note of when an order expires, if it says so."""
        if isinstance(order, SpecialOrder) and order.terms.expire_time_ns:
            if len(self.expiries) >= self._expiries_limit:
                self._forget_expiries()
            number = order.order_reference_number
            heappush(self.expiries, (order.terms.expire_time_ns, number, order))

    def _forget_expiries(self) -> None:
        """Drop those of orders that are gone or expire at another time now: whoever enters orders
        good till the end of the century and cancels them must not fill memory."""
        self.expiries = [
            entry
            for entry in self.expiries
            if self.sessions[entry[2].owner].open_orders.get(entry[2].order_id) is entry[2]
            and entry[2].terms.expire_time_ns == entry[0]
        ]
        heapify(self.expiries)
        self._expiries_limit = 2 * len(self.expiries) + _EXPIRIES_SPARE

    def session_that_asks(self, name: str, msg_seq_num: int) -> Session | None:
        """Return the session, which remembers its highest message number; None for one that nobody
        defined."""
        session = self.sessions.get(name)
        if session is not None:
            session.last_msg_seq_num = max(session.last_msg_seq_num, msg_seq_num)
        return session

    def check_invariants(self) -> None:
        """Assert everything that must be true between two commands, in O(state)."""
        for symbol, listing in self.listings.items():
            self._check_listing(symbol, listing)
        for session in self.sessions.values():
            self._check_session(session)
        resting = sum(len(list(listing.open_orders())) for listing in self.listings.values())
        open_orders = sum(len(session.open_orders) for session in self.sessions.values())
        assert resting == open_orders, f"{resting} orders rest, sessions know {open_orders}"

    def _check_listing(self, symbol: str, listing: Listing) -> None:
        instrument = listing.instrument
        assert instrument.symbol == symbol, f"{instrument.symbol} is listed as {symbol}"
        price = listing.last_price or instrument.reference_price
        band = price_band(price, instrument.price_band_bps)
        is_band = band == (listing.band_low, listing.band_high)
        assert is_band or listing.has_luld, f"{symbol}: the band of {price}"
        listing.check_invariants()
        for order in listing.open_orders():
            self._check_open_order(order, listing)

    def _check_open_order(self, order: Order, listing: Listing) -> None:
        symbol = listing.instrument.symbol
        what = f"order {order.order_id} of {order.owner} in {symbol}"
        number = order.order_reference_number
        session = self.sessions[order.owner]
        assert session.open_orders.get(order.order_id) is order, f"{what} is not open"
        assert session.names.meaning(order.cl_ord_id) is order, f"{what} has lost its name"
        assert order.symbol == symbol, f"{what} is for {order.symbol}"
        assert order.account == session.account.account, f"{what}: {order.account}"
        is_on_grid = order.price % listing.tick_size == 0 or order.order_type == OrderType.PEGGED
        assert is_on_grid, f"{what} at {order.price}: grid"
        assert order.cum_qty + order.leaves_qty == order.quantity, (
            f"{what}: cum {order.cum_qty} + leaves {order.leaves_qty} is not {order.quantity}"
        )
        expected = OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW
        assert order.ord_status == expected, f"{what} has status {order.ord_status}"
        assert 0 < order.order_id <= number <= self.last_order_reference_number, (
            f"{what} has the number {number}"
        )

    def _check_session(self, session: Session) -> None:
        order_ids = list(session.open_orders)
        assert order_ids == sorted(order_ids), f"{session.name}: open orders are out of order"
        for order in session.open_orders.values():
            assert order.is_resting, f"order {order.order_id} is open and does not rest"
            assert order.owner == session.name, f"order {order.order_id} is of {order.owner}"
        for order in session.closed_orders:
            what = f"closed order {order.order_id} of {session.name}"
            assert not order.is_resting, f"{what} rests"
            assert order.leaves_qty == 0, f"{what} has {order.leaves_qty} left"
            assert session.names.meaning(order.cl_ord_id) is order, f"{what} has lost its name"
            is_filled = order.cum_qty == order.quantity
            expected = _FILLED if is_filled else _NOT_FILLED
            assert order.ord_status in expected, f"{what} has status {order.ord_status}"
        named = 0
        names = session.names
        names.check_invariants()
        for name, order_or_status in zip(names, names.meanings(), strict=True):
            if isinstance(order_or_status, Order):
                named += 1
                assert order_or_status.cl_ord_id == name, f"{session.name}: {name} is stale"
            else:
                assert order_or_status in _MEANINGS_WITHOUT_ORDER
        known = len(session.open_orders) + len(session.closed_orders)
        assert named == known, f"{session.name}: {named} named orders, {known} known"
        for channel, number in session.last_numbers.items():
            assert number > 0, f"{session.name}: channel {channel} has used {number}"
        takes_orders = session.order_entry_enabled and not session.is_locked
        assert session.takes_orders is takes_orders, f"{session.name} takes orders: {takes_orders}"
        if session.is_locked:
            assert not session.open_orders, f"{session.name} ended with open orders"
