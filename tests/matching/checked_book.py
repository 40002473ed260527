"""The order book and its oracle side by side, and seeded commands for them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from naive_book import NaiveBook

from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, Executed, OrderType, Side, TimeInForce

BUY_OR_SELL = {side: "BUY" if side == Side.BUY else "SELL" for side in Side}


class CheckedBook:
    """An OrderBook that plays every call on the oracle too and compares all that can be seen."""

    def __init__(self, match_numbers: MatchNumbers) -> None:
        self.match_numbers = match_numbers
        self.book: OrderBook[BookOrder] = OrderBook(match_numbers)
        self.naive = NaiveBook()
        self.best_bid: int | None = None
        self.best_ask: int | None = None

    def enter(
        self, order: BookOrder, order_type: int, time_in_force: int, collar_price: int | None = None
    ) -> list[Executed]:
        reference, quantity = order.order_reference_number, order.leaves_qty
        self.naive.next_match_number = self.match_numbers.last + 1
        executions = self.book.enter(order, order_type, time_in_force, collar_price)
        trades, residual = self.naive.enter(
            reference,
            BUY_OR_SELL[Side(order.side)],
            None if order_type == OrderType.MARKET else order.price,
            quantity,
            TimeInForce(time_in_force).name,
            collar_price,
        )
        self.compare(order, executions, trades)
        assert (0 if order.is_resting else order.leaves_qty) == residual
        return executions

    def cancel(self, order: BookOrder) -> int:
        canceled = self.book.cancel(order)
        assert canceled == order.leaves_qty == self.naive.cancel(order.order_reference_number)
        assert not order.is_resting
        assert self.book.find(order.order_reference_number) is None
        self.compare_books()
        return canceled

    def replace(
        self, order: BookOrder, new_reference_number: int, price: int, leaves_qty: int
    ) -> list[Executed] | None:
        reference = order.order_reference_number
        self.naive.next_match_number = self.match_numbers.last + 1
        result = self.book.replace(order, new_reference_number, price, leaves_qty)
        kept, trades = self.naive.replace(reference, new_reference_number, price, leaves_qty)
        assert (result is None) == kept
        assert order.order_reference_number == (reference if kept else new_reference_number)
        assert order.is_resting == (order.leaves_qty > 0)
        if not kept:
            assert self.book.find(reference) is None
        self.compare(order, result or [], trades)
        return result

    def add_resting(self, orders: Iterable[BookOrder]) -> None:
        orders = list(orders)
        self.book.add_resting(orders)
        for order in orders:
            side = BUY_OR_SELL[Side(order.side)]
            self.naive.arrivals.append(
                [order.order_reference_number, side, order.price, order.leaves_qty]
            )
        self.compare_books()

    def __iter__(self) -> Iterator[BookOrder]:
        return iter(self.book)

    def find(self, order_reference_number: int) -> BookOrder | None:
        return self.book.find(order_reference_number)

    def depth(self, side: int, levels: int) -> list[tuple[int, int, int]]:
        return self.book.depth(side, levels)

    def orders(self, side: int) -> Iterator[BookOrder]:
        return self.book.orders(side)

    def __len__(self) -> int:
        return len(self.book)

    def check_invariants(self) -> None:
        self.book.check_invariants()

    def compare(self, order: BookOrder, executions: list[Executed], trades: list) -> None:
        """Executions and trades are the same, field by field, and so are the books after them."""
        assert all(executed.incoming is order for executed in executions)
        seen = [
            (
                executed.resting.order_reference_number,
                executed.incoming.order_reference_number,
                executed.quantity,
                executed.price,
                executed.match_number,
                executed.resting_leaves_qty,
                executed.incoming_leaves_qty,
            )
            for executed in executions
        ]
        assert seen == trades
        assert self.naive.next_match_number == self.match_numbers.last + 1
        for executed in executions:
            number = executed.resting.order_reference_number
            assert (self.book.find(number) is None) == (executed.resting_leaves_qty == 0)
        self.compare_books()

    def compare_books(self) -> None:
        """Every order in its place, every level, the best prices; then the book's invariants."""
        book, naive = self.book, self.naive
        for side, name in ((Side.BUY, "BUY"), (Side.SELL, "SELL")):
            queue = naive.queue(name)
            assert [
                [order.order_reference_number, name, order.price, order.leaves_qty]
                for order in book.orders(side)
            ] == queue
            assert book.depth(side, len(queue) + 1) == naive.depth(name)
            for reference, *_ in queue:
                found = book.find(reference)
                assert found is not None
                assert found.order_reference_number == reference
        assert len(book) == len(naive.arrivals)
        assert [order.order_reference_number for order in book] == [
            row[0] for row in naive.arrivals
        ]
        bids, asks = naive.depth("BUY"), naive.depth("SELL")
        self.best_bid, self.best_ask = book.best_bid, book.best_ask
        assert self.best_bid == (bids[0][0] if bids else None)
        assert self.best_ask == (asks[0][0] if asks else None)
        book.check_invariants()


SIDES = (Side.BUY, Side.BUY, Side.BUY, Side.SELL, Side.SELL_SHORT, Side.SELL_SHORT_EXEMPT)
TIMES_IN_FORCE = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
"""Those of an OrderBook; who owns the orders takes care of the others."""


class SeededTrader:
    """Plays seeded commands on a book, one per call of `step`.

    Buyers bid in the lower part of `prices` and sellers ask in the upper part; `overlap`, a share
    of all prices in percent, is common to both, so it sets how often orders meet. The book grows
    to about `orders_max` orders. Reference numbers are 1, 2, 3, ... for orders and for replaces.
    """

    def __init__(self, seed: int, book, prices: range, overlap: int, orders_max: int) -> None:
        self.random = random.Random(seed)
        self.book = book
        half = len(prices) * (100 - overlap) // 200
        self.buy_prices, self.sell_prices = prices[: len(prices) - half], prices[half:]
        self.orders_max = orders_max
        self.reference = 0

    def step(self) -> tuple[str, list[Executed]]:
        """One command: its verb and the executions that followed."""
        weights = (3, 4, 3) if len(self.book) > self.orders_max else (8, 1, 1)
        verb = self.random.choices(("enter", "cancel", "replace"), weights)[0]
        if verb == "enter" or len(self.book) == 0:
            return "enter", self.enter()
        resting = [*self.book.orders(Side.BUY), *self.book.orders(Side.SELL)]
        order = self.random.choice(resting)
        if verb == "cancel":
            self.book.cancel(order)
            return verb, []
        return verb, self.replace(order)

    def pick_price(self, side: int) -> int:
        return self.random.choice(self.buy_prices if side == Side.BUY else self.sell_prices)

    def enter(self) -> list[Executed]:
        pick = self.random
        self.reference += 1
        side = pick.choice(SIDES)
        price = self.pick_price(side)
        time_in_force = TimeInForce.DAY if pick.random() < 0.7 else pick.choice(TIMES_IN_FORCE)
        quantity = pick.choice((1, 2, 3, 5, 8)) * pick.choice((1, 1, 1, 10))
        if pick.random() < 0.05:
            order = BookOrder(self.reference, side, 0, quantity)
            # The other side's prices: a collar among its own would hardly ever be reached.
            collar = pick.choice(
                (None, pick.choice(self.sell_prices), pick.choice(self.buy_prices))
            )
            return self.book.enter(order, OrderType.MARKET, time_in_force, collar)
        if time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            price = self.pick_price(Side.SELL if side == Side.BUY else Side.BUY)
        order = BookOrder(self.reference, side, price, quantity)
        return self.book.enter(order, OrderType.LIMIT, time_in_force)

    def replace(self, order: BookOrder) -> list[Executed]:
        pick = self.random
        self.reference += 1
        price = order.price if pick.random() < 0.6 else self.pick_price(order.side)
        leaves_qty = max(1, order.leaves_qty + pick.choice((-20, -5, -1, 0, 0, 1, 7)))
        return self.book.replace(order, self.reference, price, leaves_qty) or []
