"""Everything that the exchange remembers, in one object: what a snapshot holds and no more."""

from __future__ import annotations

from matching.order_book import MatchNumbers
from oms.events import OrdStatus
from oms.order_state import Order
from oms.reference_data import Account
from oms.sessions import NAMES_NO_ORDER, Session
from oms.trading_state import Listing, price_band


class ExchangeState:
    """The state of the exchange; two replicas are equal when these fields are.

    `last_order_reference_number` and `match_numbers.last` are the numbers given last, 0 before the
    first. The dictionaries are in the order of loading.
    """

    __slots__ = (
        "accounts",
        "is_loaded",
        "last_order_reference_number",
        "last_time_ns",
        "listings",
        "market_hours_started",
        "match_numbers",
        "sessions",
    )

    def __init__(self) -> None:
        self.last_time_ns = 0
        self.last_order_reference_number = 0
        self.match_numbers = MatchNumbers()
        self.is_loaded = False
        self.market_hours_started = False
        self.accounts: dict[str, Account] = {}
        self.listings: dict[str, Listing] = {}
        self.sessions: dict[str, Session] = {}

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
        resting = sum(len(listing.book) for listing in self.listings.values())
        open_orders = sum(len(session.open_orders) for session in self.sessions.values())
        assert resting == open_orders, f"{resting} orders rest, sessions know {open_orders}"

    def _check_listing(self, symbol: str, listing: Listing) -> None:
        instrument = listing.instrument
        assert instrument.symbol == symbol, f"{instrument.symbol} is listed as {symbol}"
        price = listing.last_price or instrument.reference_price
        band = price_band(price, instrument.price_band_bps)
        assert band == (listing.band_low, listing.band_high), f"{symbol}: the band of {price}"
        listing.book.check_invariants()
        for side in (1, 2):
            for order in listing.book.orders(side):
                what = f"order {order.order_id} of {order.owner} in {symbol}"
                number = order.order_reference_number
                session = self.sessions[order.owner]
                assert session.open_orders.get(order.order_id) is order, f"{what} is not open"
                assert session.names.get(order.cl_ord_id) is order, f"{what} has lost its name"
                assert order.symbol == symbol, f"{what} is for {order.symbol}"
                assert order.account == session.account.account, f"{what}: {order.account}"
                assert order.price % listing.tick_size == 0, f"{what} at {order.price}: grid"
                assert order.cum_qty + order.leaves_qty == order.quantity, (
                    f"{what}: cum {order.cum_qty} + leaves {order.leaves_qty} is not"
                    f" {order.quantity}"
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
            assert session.names.get(order.cl_ord_id) is order, f"{what} has lost its name"
            is_filled = order.cum_qty == order.quantity
            expected = OrdStatus.FILLED if is_filled else OrdStatus.CANCELED
            assert order.ord_status == expected, f"{what} has status {order.ord_status}"
        named = 0
        for name, order_or_status in session.names.items():
            if isinstance(order_or_status, Order):
                named += 1
                assert order_or_status.cl_ord_id == name, f"{session.name}: {name} is stale"
            else:
                assert order_or_status in (OrdStatus.FILLED, OrdStatus.CANCELED, NAMES_NO_ORDER)
        known = len(session.open_orders) + len(session.closed_orders)
        assert named == known, f"{session.name}: {named} named orders, {known} known"
        for channel, number in session.last_numbers.items():
            assert number > 0, f"{session.name}: channel {channel} has used {number}"
        takes_orders = session.order_entry_enabled and not session.is_locked
        assert session.takes_orders is takes_orders, f"{session.name} takes orders: {takes_orders}"
        if session.is_locked:
            assert not session.open_orders, f"{session.name} ended with open orders"
