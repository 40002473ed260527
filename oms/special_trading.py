"""Trading in an instrument where more than plain orders meet.

`SpecialTrading` carries out one command in one instrument and collects what happens, in the order
that oms/README.md tells. Each order that gets its turn trades what it can and then rests, waits or
ends. Then `settle` gives a turn to those whose time has come by it: pegged orders that follow the
best prices, orders that wait for many shares at once, triggered stop orders; one after the other
and from the start again after each, so that there is no recursion, however long the cascade.
"""

from __future__ import annotations

from typing import Final, cast

from matching.instrument_books import is_within
from matching.types import Executed, OrderType, Prevented, Refreshed, TimeInForce
from oms import reports
from oms.events import CancelReason, Event, EventKind, Liquidity, OrdStatus, TradingState
from oms.names import NAMES_NO_ORDER
from oms.order_state import Order, SpecialOrder, limit_of, with_first_terms
from oms.state import ExchangeState
from oms.terms import Terms
from oms.trading_state import COLLECTING, Listing
from oms.turn_rules import (
    begin_to_trail,
    best_price_within_the_band,
    may_rest,
    price_in_range,
    price_of_peg,
    residual_reason,
    worst_price,
)

_ADDED: Final = int(Liquidity.ADDED)
_ADDED_HIDDEN: Final = int(Liquidity.ADDED_HIDDEN)
_REMOVED: Final = int(Liquidity.REMOVED)
_TRADING: Final = int(TradingState.TRADING)
_SELF_TRADE: Final = int(CancelReason.SELF_TRADE)

VOLATILITY_HALT: Final = "T5"
"""Why an instrument is halted that has moved too far (ITCH 5.0: Single Security Trading Pause)."""
_HALTED: Final = int(TradingState.HALTED)
_TRADING_ACTION: Final = int(EventKind.TRADING_ACTION)


class SpecialTrading:
    """One command in one instrument; `events` are what has happened so far."""

    __slots__ = ("books", "events", "listing", "state")

    def __init__(self, state: ExchangeState, listing: Listing) -> None:
        self.state = state
        self.listing = listing
        self.books = listing.books
        self.events: list[Event] = []

    def accept(self, order: Order, memo: bytes | None) -> list[Event]:
        """Accept an order that has passed all checks. The first event is OrderAccepted."""
        if order.order_type == OrderType.MARKET_TO_LIMIT:
            order.price = best_price_within_the_band(self.listing, order.side)
        if isinstance(order, SpecialOrder):
            begin_to_trail(order, self.listing)
        self.state.sessions[order.owner].open_orders[order.order_id] = order
        self.state.remember_expiry(order)
        self.events.append(reports.with_end(reports.order_accepted(order), order, memo))
        self._place(order)
        self.settle()
        return self.events

    def replace(
        self,
        order: Order,
        cl_ord_id: str,
        quantity: int,
        price: int,
        terms: Terms | None,
        memo: bytes | None,
    ) -> list[Event]:
        """Carry out a replace that has passed all checks. `terms` None: they stay as they are. The
        first event is OrderReplaced."""
        state = self.state
        session = state.sessions[order.owner]
        orig_cl_ord_id, original_number = order.cl_ord_id, order.order_reference_number
        only_reduces = price == limit_of(order) and quantity < order.quantity and terms is None
        canceled_qty = order.quantity - quantity
        unshown_qty = 0
        was_displayed = self._is_displayed(order)
        if only_reduces:
            unshown_qty = self._reduce_in_place(order, canceled_qty)
        else:
            self.take_out(order)
            if terms is not None and not isinstance(order, SpecialOrder):
                order = with_first_terms(order, terms)
                session.open_orders[order.order_id] = order
            order.order_reference_number = state.take_order_number()
            order.leaves_qty = quantity - order.cum_qty
            order.price = price
            if isinstance(order, SpecialOrder):
                self._renew(order, terms)
        order.record_replace(cl_ord_id, quantity)
        session.names.let_stand(orig_cl_ord_id, NAMES_NO_ORDER)
        session.names.let_stand(cl_ord_id, order)
        event = reports.order_replaced(order, order.leaves_qty, orig_cl_ord_id, limit_of(order))
        self.events.append(reports.with_end(event, order, memo))
        if unshown_qty:
            stock_locate = self.listing.stock_locate
            self.events.append(reports.book_reduced(order, stock_locate, unshown_qty))
        if not only_reduces:
            self._place(order, original_number if was_displayed else None)
        self.settle()
        return self.events

    def _renew(self, order: SpecialOrder, terms: Terms | None) -> None:
        """Make a replaced order one that has only just come, maybe with other terms."""
        self.listing.special.pop(order.order_id, None)
        self.listing.pegs.pop(order.order_id, None)
        order.limit = order.price
        order.shown_qty = 0
        if terms is not None:
            order.set_terms(terms, self.state.accounts[order.account].firm)
            order.stop_price = terms.stop_price
            begin_to_trail(order, self.listing)
            self.state.remember_expiry(order)

    def reduce(self, order: Order, quantity: int) -> int:
        """Lower the total of an order in its place. Return by how much it shows less."""
        unshown_qty = self._reduce_in_place(order, order.quantity - quantity)
        order.record_replace(order.cl_ord_id, quantity)
        return unshown_qty

    def cancel(self, order: Order, cl_ord_id: str, orig_cl_ord_id: str, reason: int) -> None:
        """Take a live order out; the names are those of the OrderCanceled event. `settle` must
        follow."""
        number = order.order_reference_number if self._is_displayed(order) else None
        self.take_out(order)
        canceled_qty = order.leaves_qty
        order.record_cancel(reason)
        self.close(order)
        self.events.append(
            reports.order_canceled(order, cl_ord_id, orig_cl_ord_id, canceled_qty, reason)
        )
        if number is not None:
            self.events.append(reports.book_deleted(self.listing.stock_locate, number))

    def settle(self) -> None:
        """Give their turns to the orders whose time has come, until there are none."""
        listing = self.listing
        while listing.trading_state == _TRADING:
            if self._reprice_pegs():
                continue
            waiting = self.books.find_waiting(self._reach if listing.has_range else None)
            if waiting is not None:
                self.take_out(waiting)
                self._trade_and_rest(waiting)
            elif listing.triggered:
                self._enter_triggered(listing.triggered.popleft())
            else:
                break
        listing.note_limit_state(self.state.last_time_ns)
        listing.decide_whether_it_is_plain()

    # --- turns ------------------------------------------------------------------------------------

    def _place(self, order: Order, replaced_number: int | None = None) -> None:
        """Put an order where it belongs: it waits for a trade, follows the best prices, or trades
        and rests. `replaced_number` is the one under which it was displayed until now."""
        if isinstance(order, SpecialOrder):
            if not order.is_plain_at_rest:
                self.listing.special[order.order_id] = order
            if order.is_waiting_stop:
                self._wait_for_trigger(order)
                return
            if order.time_in_force == TimeInForce.AT_THE_CLOSE and not self._is_closing():
                order.level = self.listing.for_close
                self.listing.for_close[order.order_id] = order
                return
        if self.listing.trading_state in COLLECTING:
            self._collect(order, replaced_number)
            return
        if isinstance(order, SpecialOrder) and order.is_pegged:
            self.listing.pegs[order.order_id] = order
            self._price_peg(order, self.listing.best_displayed())
            return
        self._trade_and_rest(order, replaced_number)

    def _is_closing(self) -> bool:
        return self.listing.trading_state == TradingState.CLOSING_AUCTION

    def _collect(self, order: Order, replaced_number: int | None) -> None:
        """Keep an order for the auction; it is displayed no more, if it was."""
        if replaced_number is not None:
            deleted = reports.book_deleted(self.listing.stock_locate, replaced_number)
            self.events.append(deleted)
        self.listing.collected.add(order)

    def _trade_and_rest(self, order: Order, replaced_number: int | None = None) -> None:
        """The turn of an order: it trades with what it meets, then rests or ends."""
        limit = worst_price(order, self.listing)
        needed = order.leaves_qty if order.time_in_force == TimeInForce.FOK else order.least_qty
        place = len(self.events)
        if limit > 0 and self._may_trade(order, limit, needed):
            self._sweep(order, limit)
        is_halted = self.listing.trading_state != _TRADING
        rests = order.leaves_qty > 0 and may_rest(order)
        if replaced_number is not None:
            has_only_moved = rests and not order.is_hidden and len(self.events) == place
            if not has_only_moved:
                deleted = reports.book_deleted(self.listing.stock_locate, replaced_number)
                self.events.insert(place, deleted)
                replaced_number = None
        if rests and is_halted:
            self._wait_for_the_reopening(order)
        elif rests:
            self.rest(order, replaced_number)
        elif order.leaves_qty > 0:
            self._end(order, int(CancelReason.HALTED) if is_halted else residual_reason(order))
        elif order.ord_status == OrdStatus.FILLED:
            self.close(order)

    def _may_trade(self, order: Order, limit: int, needed: int) -> bool:
        """Whether an order that trades `needed` shares at once, or none, finds them; without a move
        that would halt the instrument, if there are such."""
        if needed == 1:
            return True
        reach = self._reach(order) if self.listing.has_range else limit
        return reach is not None and self.books.tradable_qty(order, reach) >= needed

    def _reach(self, order: Order) -> int | None:
        return price_in_range(order, self.listing, self.state.last_time_ns)

    def _sweep(self, order: Order, limit: int) -> None:
        is_in_range = self._is_in_range if self.listing.has_range else None
        for event in self.books.sweep(order, limit, is_in_range):
            if isinstance(event, Executed):
                self._report_execution(event)
            elif isinstance(event, Refreshed):
                self.report_refresh(cast(SpecialOrder, event.order))
            elif isinstance(event, Prevented):
                self._report_prevention(event)
            else:
                self.pause(VOLATILITY_HALT)

    def _is_in_range(self, price: int) -> bool:
        assert self.listing.protection is not None
        return self.listing.protection.is_in_range(price, self.state.last_time_ns)

    def pause(self, reason: str) -> None:
        """Halt the instrument for a time, after which it opens again (oms.safeguards)."""
        listing = self.listing
        listing.trading_state = _HALTED
        listing.trading_reason = reason
        listing.held = (_HALTED, reason)
        listing.phase_ends_ns = self.state.last_time_ns + self.state.protection.pause_ns
        listing.pegged_to = None
        symbol, stock_locate = listing.instrument.symbol, listing.stock_locate
        self.events.append((_TRADING_ACTION, "", symbol, stock_locate, _HALTED, reason))

    def _wait_for_the_reopening(self, order: Order) -> None:
        """Keep what is left of an order that has met a halt."""
        if isinstance(order, SpecialOrder) and order.is_pegged:
            order.price = 0
            order.level = self.listing.pegs
        else:
            self.listing.collected.add(order)

    def _end(self, order: Order, reason: int) -> None:
        """Cancel what is left of an order that stands nowhere."""
        canceled_qty = order.leaves_qty
        order.record_cancel()
        self.close(order)
        canceled = reports.order_canceled(order, order.cl_ord_id, "", canceled_qty, reason)
        self.events.append(canceled)

    def rest(self, order: Order, replaced_number: int | None = None) -> None:
        """Let an order rest in the book, and show what it displays."""
        self.books.rest(order)
        if order.is_hidden:
            return
        stock_locate = self.listing.stock_locate
        if replaced_number is None:
            self.events.append(reports.book_added(order, stock_locate))
        else:
            self.events.append(reports.book_replaced(order, stock_locate, replaced_number))

    def _wait_for_trigger(self, order: SpecialOrder) -> None:
        """Let a stop order wait, unless the last trade triggers it already."""
        last_price = self.listing.last_price
        if last_price and is_within(order.stop_price, order.side, last_price):
            self.trigger(order)
        else:
            self.listing.stops.add(order)

    def trigger(self, order: SpecialOrder) -> None:
        """Let a stop order wait for its turn."""
        order.level = self.listing.triggered
        self.listing.triggered.append(order)

    def _enter_triggered(self, order: SpecialOrder) -> None:
        """The turn of a stop order that a trade has triggered."""
        listing = self.listing
        order.level = None
        order.is_triggered = True
        if order.is_plain_at_rest:
            listing.special.pop(order.order_id, None)
        self.events.append(reports.order_triggered(order))
        is_limited = order.order_type == OrderType.STOP_LIMIT
        if is_limited and listing.is_out_of_band(order.side, order.price):
            self._end(order, int(CancelReason.PRICE_OUT_OF_BAND))
        else:
            self._trade_and_rest(order)

    def _reprice_pegs(self) -> bool:
        """Let the pegged orders follow the best displayed prices. Return whether these differ from
        those that they have followed."""
        listing = self.listing
        best = listing.best_displayed()
        if not listing.pegs or best == listing.pegged_to:
            return False
        listing.pegged_to = best
        for order in list(listing.pegs.values()):
            # One that is gone has traded with another in this very round.
            price = price_of_peg(order, listing, best) or 0
            if order.level is not None and price != order.price:
                self.take_out(order)
                self._price_peg(order, best)
        return True

    def _price_peg(self, order: SpecialOrder, best: tuple[int | None, int | None]) -> None:
        """Give a pegged order its price and its turn; without a price it waits for one."""
        price = price_of_peg(order, self.listing, best)
        order.price = price or 0
        if price is None:
            order.level = self.listing.pegs
        else:
            self._trade_and_rest(order)

    # --- reports ----------------------------------------------------------------------------------

    def _report_execution(self, trade: Executed) -> None:
        """Count a trade on both sides, report it, and take out the stop orders it triggers."""
        resting, incoming = cast(Order, trade.resting), cast(Order, trade.incoming)
        _, _, quantity, price, match_number, resting_leaves_qty, incoming_leaves_qty = trade
        resting.record_execution(quantity, price, resting_leaves_qty)
        incoming.record_execution(quantity, price, incoming_leaves_qty)
        added = _ADDED_HIDDEN if resting.is_hidden else _ADDED
        report = reports.order_executed
        self.events += (
            report(resting, resting_leaves_qty, quantity, price, match_number, added),
            report(incoming, incoming_leaves_qty, quantity, price, match_number, _REMOVED),
        )
        if resting_leaves_qty == 0:
            self.close(resting)
        self.listing.day.record(price, price, quantity, quantity * price, 1)
        self.listing.record_last_price(price)
        if self.listing.protection is not None:
            self.listing.protection.record_trade(self.state.last_time_ns, price)
        for order in self.listing.stops.on_trade(price):
            self.trigger(order)

    def report_refresh(self, order: SpecialOrder) -> None:
        """Tell what an order displays next."""
        self.events += (
            reports.order_restated(order),
            reports.book_added(order, self.listing.stock_locate),
        )

    def _report_prevention(self, prevented: Prevented) -> None:
        """Report what was done instead of a trade, first of the resting order."""
        resting, incoming = cast(Order, prevented.resting), cast(Order, prevented.incoming)
        stock_locate = self.listing.stock_locate
        added = _ADDED_HIDDEN if resting.is_hidden else _ADDED
        trade = (prevented.quantity, prevented.price)
        action = int(incoming.self_trade_action)
        if prevented.resting_qty:
            self._report_lowered(resting, prevented.resting_qty, (*trade, added, action))
        if prevented.shown_qty and resting.leaves_qty:
            self.events.append(reports.book_reduced(resting, stock_locate, prevented.shown_qty))
        elif prevented.shown_qty:
            number = resting.order_reference_number
            self.events.append(reports.book_deleted(stock_locate, number))
        if prevented.incoming_qty:
            removed = (*trade, _REMOVED, action)
            self._report_lowered(incoming, prevented.incoming_qty, removed)

    def _report_lowered(self, order: Order, quantity: int, prevented: tuple[int, ...]) -> None:
        """Report shares that were taken off an order: it lives on, or is canceled. `prevented` is
        that of the event."""
        if order.leaves_qty:
            order.record_replace(order.cl_ord_id, order.quantity - quantity)
            self.events.append((*reports.order_reduced(order, quantity), prevented))
            return
        order.record_cancel()
        self.close(order)
        canceled = reports.order_canceled(order, order.cl_ord_id, "", quantity, _SELF_TRADE)
        self.events.append((*canceled, prevented))

    # --- places -----------------------------------------------------------------------------------

    def _is_displayed(self, order: Order) -> bool:
        return self.listing.book.find(order.order_reference_number) is order

    def take_out(self, order: Order) -> None:
        """Take a live order from where it stands."""
        listing = self.listing
        if order.level is listing.stops:
            listing.stops.remove(cast(SpecialOrder, order))
        elif order.level is listing.triggered:
            order.level = None
            listing.triggered.remove(cast(SpecialOrder, order))
        elif order.level is listing.pegs:
            order.level = None
        elif order.level is listing.for_close:
            order.level = None
            del listing.for_close[order.order_id]
        elif order in listing.collected:
            listing.collected.remove(order)
        else:
            self.books.remove(order)

    def _reduce_in_place(self, order: Order, quantity: int) -> int:
        """Take shares off a live order where it stands. Return how many fewer are displayed."""
        listing = self.listing
        outside = (listing.stops, listing.triggered, listing.pegs, listing.for_close)
        if any(order.level is place for place in outside):
            order.leaves_qty -= quantity
            return 0
        if order in listing.collected:
            listing.collected.reduce(order, quantity)
            return 0
        return self.books.reduce(order, quantity)

    def close(self, order: Order) -> None:
        """Forget an order that lives no more, but for the session's memory."""
        self.listing.special.pop(order.order_id, None)
        self.listing.pegs.pop(order.order_id, None)
        self.state.sessions[order.owner].close(order)
