"""What is displayed of an instrument and what is hidden, and how an order trades with both.

The displayed orders stand in an OrderBook, the hidden ones in an OrderPool. Where nothing but plain
orders rest, their owner trades with the OrderBook alone; here is the way for all the rest: orders
that are hidden, show a part of themselves, trade so many shares at once or none, or must not meet
orders of their own group. The rules are those of matching/README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import groupby
from typing import Final, Generic, TypeAlias, TypeVar

from matching.order_book import MatchNumbers, OrderBook
from matching.order_pool import OrderPool
from matching.types import (
    BookOrder,
    Executed,
    OutOfRange,
    Prevented,
    Refreshed,
    SelfTradeAction,
    Side,
)

O = TypeVar("O", bound=BookOrder)  # noqa: E741  the caller's own class of orders

BookEvent: TypeAlias = Executed | Refreshed | Prevented | OutOfRange

_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)


def opposite_side(side: int) -> int:
    """BUY for every kind of sale, SELL for BUY."""
    return _SELL if side == _BUY else _BUY


def is_within(price: int, side: int, limit: int | None) -> bool:
    """Whether an order of `side` with this limit (None: none) may trade at `price`."""
    if limit is None:
        return True
    return price <= limit if side == _BUY else price >= limit


class InstrumentBooks(Generic[O]):
    """The displayed and the hidden orders of one instrument.

    `next_number` gives order reference numbers, `next_display` says how many shares an order shows
    next when what it showed has traded; both are the owner's, because they count for all books.
    """

    __slots__ = ("_match_numbers", "_next_display", "_next_number", "displayed", "hidden")

    def __init__(
        self,
        match_numbers: MatchNumbers,
        next_number: Callable[[], int],
        next_display: Callable[[BookOrder], int],
    ) -> None:
        self.displayed: OrderBook[O] = OrderBook(match_numbers)
        self.hidden: OrderPool[O] = OrderPool()
        self._match_numbers = match_numbers
        self._next_number = next_number
        self._next_display = next_display

    def sweep(
        self,
        order: O,
        limit: int | None,
        is_in_range: Callable[[int], bool] | None = None,
    ) -> Iterator[BookEvent]:
        """Trade an incoming order with whatever it meets within `limit` (None: at any price).

        `is_in_range` is asked for the price of each trade (None: any is); the first that is not
        ends the sweep with OutOfRange. Yields what happens, one by one: while the caller has an
        event, the orders are as they were right after it, and nothing may be changed. Does not ask
        whether the order wants so many shares or none (`tradable_qty`), and does not let it rest.
        """
        queue = self.hidden.queue(opposite_side(order.side))
        hidden = next(queue, None)
        while order.leaves_qty > 0:
            # Fewer shares than a resting order wants: it is passed over, now and from now on,
            # because the incoming order only gets smaller.
            while hidden is not None and _is_passed_over(order.leaves_qty, hidden):
                hidden = next(queue, None)
            resting = self._first_to_trade(order.side, hidden)
            if resting is None or not is_within(resting.price, order.side, limit):
                return
            if resting is hidden:
                hidden = next(queue, None)
            if _are_of_one_group(order, resting):
                yield self._prevent(order, resting)
                continue
            if is_in_range is not None and not is_in_range(resting.price):
                yield OutOfRange(resting)
                return
            quantity = min(order.leaves_qty, resting.shown_qty or resting.leaves_qty)
            self.take_from(resting, quantity)
            order.leaves_qty -= quantity
            match_number = self._match_numbers.next()
            yield Executed(
                resting,
                order,
                quantity,
                resting.price,
                match_number,
                resting.leaves_qty,
                order.leaves_qty,
            )
            if resting.display_qty and resting.shown_qty == 0 and resting.leaves_qty > 0:
                self._refresh(resting)
                yield Refreshed(resting)

    def tradable_qty(self, order: O, limit: int | None) -> int:
        """How many shares of an order `sweep` would execute now, in O(orders that it would meet).

        An order of its own group counts for nothing; and unless that one would be canceled, nothing
        behind it counts either.
        """
        side = opposite_side(order.side)
        sign = 1 if side == _SELL else -1
        # Of equal prices the displayed one comes first: merge keeps the order of its arguments.
        queue = merge(
            self.displayed.orders(side),
            self.hidden.queue(side),
            key=lambda resting: sign * resting.price,
        )
        cancels_resting = order.self_trade_action == SelfTradeAction.CANCEL_OLDEST
        left = order.leaves_qty
        for (price, _), level in groupby(queue, lambda each: (each.price, each.is_hidden)):
            if left == 0 or not is_within(price, order.side, limit):
                break
            # What an order shows next stands behind the others: before one of them stops the
            # count, only what is shown has traded.
            left_of_shown = left
            for resting in level:
                if _is_passed_over(left_of_shown, resting):
                    continue
                if not _are_of_one_group(order, resting):
                    left -= min(left, resting.leaves_qty)
                    left_of_shown -= min(left_of_shown, resting.shown_qty or resting.leaves_qty)
                elif not cancels_resting:
                    return order.leaves_qty - left_of_shown
        return order.leaves_qty - left

    def find_waiting(self, reach: Callable[[O], int | None] | None = None) -> O | None:
        """An order that waits for so many shares at once, and could have them now: of those who
        buy the one with the best price, the oldest of that price; then of those who sell. `reach`
        gives the worst price at which an order may trade now (None: it may not), if that is not
        its own."""
        for side in (_BUY, _SELL):
            for order in self.hidden.queue(side):
                best = self.best_price(opposite_side(side))
                if best is None or not is_within(best, side, order.price):
                    break
                limit = order.price if reach is None else reach(order)
                if limit is None:
                    continue
                if self.tradable_qty(order, limit) >= order.least_qty:
                    return order
        return None

    def rest(self, order: O) -> None:
        """Let an order that has traded what it can wait last in the level of its price."""
        if order.is_hidden:
            self.hidden.add(order)
            return
        if order.display_qty:
            order.shown_qty = self._next_display(order)
        self.displayed.add_resting((order,))

    def remove(self, order: O) -> None:
        """Take out an order that rests; its `leaves_qty` stays, for the caller to report."""
        if order.is_hidden:
            self.hidden.remove(order)
        else:
            self.displayed.cancel(order)

    def reduce(self, order: O, quantity: int) -> int:
        """Take shares off a resting order, which keeps its place and has some left: first those
        that it does not show. Return how many fewer it shows."""
        if order.is_hidden:
            self.hidden.reduce(order, quantity)
            return 0
        shown_before = order.shown_qty or order.leaves_qty
        self._lower(order, quantity)
        if not order.display_qty:
            return quantity
        order.shown_qty = min(order.shown_qty, order.leaves_qty)
        return shown_before - order.shown_qty

    def check_invariants(self, is_bounded: bool = False) -> None:
        """Assert what must be true between two commands of continuous trading. `is_bounded`: not
        every price may be traded at."""
        self.displayed.check_invariants()
        self.hidden.check_invariants()
        for order in self.displayed:
            number = order.order_reference_number
            assert not order.is_hidden, f"order {number} is hidden and displayed"
            assert order.least_qty == 1, f"order {number} is displayed and wants more at once"
            if order.display_qty:
                assert 0 < order.shown_qty <= order.leaves_qty, f"order {number} shows nothing"
            else:
                assert order.shown_qty == 0, f"order {number} shows a part"
        for order in self.hidden:
            number = order.order_reference_number
            assert order.is_hidden, f"order {number} is not hidden"
            assert order.display_qty == 0, f"order {number} is hidden and shows a part"
        assert is_bounded or self.find_waiting() is None, "an order waits for what it could have"

    def _first_to_trade(self, side: int, hidden: O | None) -> O | None:
        """The first of the displayed orders, unless `hidden` has a better price."""
        first = next(self.displayed.orders(opposite_side(side)), None)
        if first is None or hidden is None:
            return first or hidden
        is_better = hidden.price < first.price if side == _BUY else hidden.price > first.price
        return hidden if is_better else first

    def best_price(self, side: int) -> int | None:
        """The best price of a side, hidden orders included; None when nobody is there."""
        hidden = self.hidden.best_price(side)
        displayed = self.displayed.best_bid if side == _BUY else self.displayed.best_ask
        if hidden is None or displayed is None:
            return hidden or displayed
        return max(hidden, displayed) if side == _BUY else min(hidden, displayed)

    def take_from(self, resting: O, quantity: int) -> None:
        """Lower a resting order by a trade, first what it shows; without leaves it is out."""
        if quantity == resting.leaves_qty:
            self._remove_all(resting)
        elif resting.is_hidden:
            self.hidden.reduce(resting, quantity)
        else:
            self._lower(resting, quantity)
            if resting.display_qty:
                resting.shown_qty -= quantity

    def _remove_all(self, order: O) -> None:
        """Take out an order that has nothing left."""
        self.remove(order)
        order.leaves_qty = 0
        if order.display_qty:
            order.shown_qty = 0

    def _lower(self, order: O, quantity: int) -> None:
        """Take shares off a displayed order in its place."""
        self.displayed.replace(
            order, order.order_reference_number, order.price, order.leaves_qty - quantity
        )

    def _refresh(self, order: O) -> None:
        self.displayed.cancel(order)
        order.order_reference_number = self._next_number()
        order.shown_qty = self._next_display(order)
        self.displayed.add_resting((order,))

    def _prevent(self, order: O, resting: O) -> Prevented:
        """Carry out what the incoming order wants done instead of a trade with `resting`."""
        action = order.self_trade_action
        quantity = min(order.leaves_qty, resting.leaves_qty)
        incoming_qty = resting_qty = shown_qty = 0
        if action == SelfTradeAction.DECREMENT:
            incoming_qty = resting_qty = quantity
        if action in (SelfTradeAction.CANCEL_NEWEST, SelfTradeAction.CANCEL_BOTH):
            incoming_qty = order.leaves_qty
        if action in (SelfTradeAction.CANCEL_OLDEST, SelfTradeAction.CANCEL_BOTH):
            resting_qty = resting.leaves_qty
        if 0 < resting_qty < resting.leaves_qty:
            shown_qty = self.reduce(resting, resting_qty)
        elif resting_qty:
            shown_qty = 0 if resting.is_hidden else resting.shown_qty or resting.leaves_qty
            self._remove_all(resting)
        order.leaves_qty -= incoming_qty
        return Prevented(
            resting, order, quantity, resting.price, resting_qty, incoming_qty, shown_qty
        )


def _is_passed_over(quantity: int, resting: BookOrder) -> bool:
    """Whether so many shares are fewer than a resting order wants at once."""
    return min(quantity, resting.leaves_qty) < resting.least_qty


def _are_of_one_group(order: BookOrder, resting: BookOrder) -> bool:
    group = order.self_trade_group
    return group is not None and resting.self_trade_group == group
