"""The order book does what the naive book does, command by command."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from book_script import ScriptPlayer
from checked_book import TIMES_IN_FORCE, CheckedBook, SeededTrader
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, OrderType, Side, TimeInForce

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "books").glob("*.txt"))
CHECKED = SimpleNamespace(OrderBook=CheckedBook, MatchNumbers=MatchNumbers)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_golden_output_is_what_the_naive_book_gives(path, check_golden):
    check_golden(path, lambda commands: ScriptPlayer(CHECKED).play(commands))


@pytest.mark.parametrize(
    ("seed", "prices", "overlap", "orders_max", "commands"),
    [
        (1, range(99_900, 100_101, 50), 20, 30, 3000),  # five prices: long queues
        (2, range(99_000, 101_000, 100), 20, 60, 3000),  # twenty prices: sweeps over levels
        (3, range(1, 400_000, 7), 10, 80, 2000),  # nearly every order has a level of its own
        (4, range(100_000, 100_003), 33, 25, 2000),  # three prices, the middle one for both sides
        (5, range(99_500, 100_500, 100), 100, 20, 2000),  # every price for both sides
    ],
)
def test_seeded_commands_give_what_the_naive_book_gives(
    seed, prices, overlap, orders_max, commands
):
    trader = SeededTrader(seed, CheckedBook(MatchNumbers()), prices, overlap, orders_max)
    verbs = {"enter": 0, "cancel": 0, "replace": 0}
    trades = sizes = 0
    for _ in range(commands):
        verb, executions = trader.step()
        verbs[verb] += 1
        trades += len(executions)
        sizes += len(trader.book)
    assert min(verbs.values()) > commands / 20, f"too few of one kind: {verbs}"
    assert trades > commands / 20, f"only {trades} trades"
    if overlap < 100:
        assert sizes / commands > orders_max / 2, f"{sizes / commands} orders on the average"


def test_thousands_of_levels_stay_in_price_order():
    """More levels than a SortedList keeps in one list, so that its lists split and join."""
    match_numbers = MatchNumbers()
    book: OrderBook[BookOrder] = OrderBook(match_numbers)
    prices = [1 + (7919 * n) % 5003 for n in range(5003)]
    for reference, price in enumerate(prices):
        book.enter(BookOrder(reference, Side.SELL, price, 10), OrderType.LIMIT, TimeInForce.DAY)
    book.check_invariants()
    assert [price for price, _, _ in book.depth(Side.SELL, 6000)] == sorted(prices)
    for reference in range(0, 5003, 3):
        order = book.find(reference)
        assert order is not None
        book.cancel(order)
    book.check_invariants()
    left = sorted(price for n, price in enumerate(prices) if n % 3)
    sweep = BookOrder(6000, Side.BUY, 0, 10 * len(left))
    executions = book.enter(sweep, OrderType.MARKET, TimeInForce.DAY)
    assert [executed.price for executed in executions] == left
    assert match_numbers.last == len(left)
    assert len(book) == 0
    book.check_invariants()


def test_two_books_share_one_sequence_of_match_numbers():
    match_numbers = MatchNumbers()
    traders = [
        SeededTrader(seed, CheckedBook(match_numbers), range(100_000, 100_900, 100), 20, 20)
        for seed in (5, 6)
    ]
    given = []
    for turn in range(1000):
        _, executions = traders[turn % 2].step()
        given.extend(executed.match_number for executed in executions)
    assert given == list(range(1, match_numbers.last + 1))
    assert len(given) > 100


def test_a_restored_book_goes_on_like_the_one_it_was_copied_from():
    prices = range(99_000, 101_000, 100)
    original = SeededTrader(7, CheckedBook(MatchNumbers()), prices, 20, 50)
    for _ in range(500):
        original.step()
    copy = SeededTrader(7, CheckedBook(MatchNumbers()), prices, 20, 50)
    copy.book.match_numbers.last = original.book.match_numbers.last
    copy.book.add_resting(
        BookOrder(order.order_reference_number, order.side, order.price, order.leaves_qty)
        for order in original.book
    )
    copy.reference = original.reference
    copy.random.setstate(original.random.getstate())
    assert len(copy.book) > 10
    trades = 0
    for _ in range(500):
        (verb, executions), (copied_verb, copied) = original.step(), copy.step()
        assert verb == copied_verb
        assert [executed[2:] for executed in executions] == [executed[2:] for executed in copied]
        trades += len(executions)
    assert trades > 50


PRICES = st.sampled_from((99_900, 100_000, 100_001, 100_100))
QUANTITIES = st.integers(1, 12)
COLLARS = st.one_of(st.none(), PRICES)


class BookMachine(RuleBasedStateMachine):
    """Any sequence of calls; CheckedBook compares after each. A failure shrinks to a few lines."""

    def __init__(self) -> None:
        super().__init__()
        self.book = CheckedBook(MatchNumbers())
        self.reference = 0

    def new_order(self, side: Side, price: int, quantity: int) -> BookOrder:
        self.reference += 1
        return BookOrder(self.reference, side, price, quantity)

    def resting_order(self, at: int) -> BookOrder:
        resting = [*self.book.orders(Side.BUY), *self.book.orders(Side.SELL)]
        return resting[at % len(resting)]

    @rule(side=st.sampled_from(Side), price=PRICES, quantity=QUANTITIES)
    def enter_day(self, side: Side, price: int, quantity: int) -> None:
        order = self.new_order(side, price, quantity)
        self.book.enter(order, OrderType.LIMIT, TimeInForce.DAY)

    @rule(
        side=st.sampled_from(Side),
        price=PRICES,
        quantity=QUANTITIES,
        time_in_force=st.sampled_from(TIMES_IN_FORCE),
    )
    def enter_limit(
        self, side: Side, price: int, quantity: int, time_in_force: TimeInForce
    ) -> None:
        order = self.new_order(side, price, quantity)
        self.book.enter(order, OrderType.LIMIT, time_in_force)

    @rule(
        side=st.sampled_from(Side),
        quantity=QUANTITIES,
        collar=COLLARS,
        time_in_force=st.sampled_from(TIMES_IN_FORCE),
    )
    def enter_market(
        self, side: Side, quantity: int, collar: int | None, time_in_force: TimeInForce
    ) -> None:
        order = self.new_order(side, 0, quantity)
        self.book.enter(order, OrderType.MARKET, time_in_force, collar)

    @precondition(lambda self: len(self.book) > 0)
    @rule(at=st.integers(0, 99))
    def cancel(self, at: int) -> None:
        self.book.cancel(self.resting_order(at))

    @precondition(lambda self: len(self.book) > 0)
    @rule(at=st.integers(0, 99), price=PRICES, leaves_qty=QUANTITIES)
    def replace(self, at: int, price: int, leaves_qty: int) -> None:
        self.reference += 1
        self.book.replace(self.resting_order(at), self.reference, price, leaves_qty)

    @precondition(lambda self: len(self.book) > 0)
    @rule(at=st.integers(0, 99), more=st.integers(-3, 1))
    def replace_at_the_same_price(self, at: int, more: int) -> None:
        self.reference += 1
        order = self.resting_order(at)
        leaves_qty = max(1, order.leaves_qty + more)
        self.book.replace(order, self.reference, order.price, leaves_qty)


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
