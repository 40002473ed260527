"""Calls that no caller may make: each is an AssertionError and leaves the book as it was."""

from __future__ import annotations

import pytest

from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, OrderType, Side, TimeInForce


@pytest.fixture
def book():
    """A book with 1 and 2 selling 100 each at 10.00 and 3 buying 100 at 9.90."""
    book: OrderBook[BookOrder] = OrderBook(MatchNumbers())
    enter(book, BookOrder(1, Side.SELL, 100_000, 100))
    enter(book, BookOrder(2, Side.SELL, 100_000, 100))
    enter(book, BookOrder(3, Side.BUY, 99_000, 100))
    return book


def enter(book, order, order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY):
    return book.enter(order, order_type, time_in_force)


def picture(book):
    """All that can be seen of a book."""
    return [
        (order.order_reference_number, order.side, order.price, order.leaves_qty)
        for side in (Side.BUY, Side.SELL)
        for order in book.orders(side)
    ]


def refused(book, call, message):
    """The call asserts with these words and nothing has changed."""
    before = picture(book)
    with pytest.raises(AssertionError, match=message):
        call()
    assert picture(book) == before
    book.check_invariants()


def test_entering_a_number_that_is_in_the_book_asserts(book):
    refused(book, lambda: enter(book, BookOrder(1, Side.BUY, 100_000, 50)), "already in the book")


@pytest.mark.parametrize("quantity", [0, -1])
def test_entering_without_quantity_asserts(book, quantity):
    order = BookOrder(9, Side.BUY, 100_000, quantity)
    refused(book, lambda: enter(book, order), f"has quantity {quantity}")


@pytest.mark.parametrize("price", [0, -100])
def test_entering_a_limit_order_without_price_asserts(book, price):
    refused(book, lambda: enter(book, BookOrder(9, Side.SELL, price, 10)), f"has price {price}")


def test_entering_an_unknown_order_type_asserts(book):
    order = BookOrder(9, Side.BUY, 100_000, 10)
    refused(book, lambda: enter(book, order, order_type=3), "order type 3")


def test_entering_an_unknown_time_in_force_asserts(book):
    order = BookOrder(9, Side.BUY, 100_000, 10)
    refused(book, lambda: enter(book, order, time_in_force=7), "TIF 7")


def test_entering_an_unknown_side_asserts(book):
    refused(book, lambda: enter(book, BookOrder(9, 3, 100_000, 10)), "side 3")


def test_entering_an_order_that_rests_in_another_book_asserts(book):
    other: OrderBook[BookOrder] = OrderBook(MatchNumbers())
    order = BookOrder(9, Side.BUY, 98_000, 10)
    enter(other, order)
    refused(book, lambda: enter(book, order), "rests in another book")
    refused(book, lambda: book.add_resting([order]), "rests in another book")


def test_cancel_of_an_unknown_order_asserts(book):
    refused(book, lambda: book.cancel(BookOrder(9, Side.SELL, 100_000, 100)), "does not rest")


def test_cancel_of_a_look_alike_asserts(book):
    refused(book, lambda: book.cancel(BookOrder(1, Side.SELL, 100_000, 100)), "does not rest")


def test_cancel_of_a_filled_order_asserts(book):
    order = book.find(1)
    enter(book, BookOrder(9, Side.BUY, 100_000, 100))
    assert order.leaves_qty == 0
    refused(book, lambda: book.cancel(order), "does not rest")


def test_second_cancel_asserts(book):
    order = book.find(1)
    assert book.cancel(order) == 100
    refused(book, lambda: book.cancel(order), "does not rest")


def test_cancel_in_another_book_asserts(book):
    other: OrderBook[BookOrder] = OrderBook(MatchNumbers())
    refused(book, lambda: other.cancel(book.find(1)), "does not rest")


def test_replace_of_an_order_that_does_not_rest_asserts(book):
    order = book.find(1)
    book.cancel(order)
    refused(book, lambda: book.replace(order, 9, 100_000, 50), "does not rest")
    refused(book, lambda: book.replace(order, 9, 101_000, 50), "does not rest")


@pytest.mark.parametrize("leaves_qty", [0, -5])
def test_replace_without_quantity_asserts(book, leaves_qty):
    refused(book, lambda: book.replace(book.find(1), 9, 100_000, leaves_qty), "with quantity")


def test_replace_without_price_asserts(book):
    refused(book, lambda: book.replace(book.find(1), 9, 0, 100), "with price 0")


@pytest.mark.parametrize("number", [1, 2])
def test_replace_by_a_number_in_the_book_asserts(book, number):
    refused(book, lambda: book.replace(book.find(1), number, 101_000, 100), "is in the book")


def test_restoring_a_number_twice_asserts(book):
    order = BookOrder(1, Side.BUY, 98_000, 10)
    refused(book, lambda: book.add_resting([order]), "already in the book")


def test_restoring_an_order_that_crosses_asserts(book):
    refused(book, lambda: book.add_resting([BookOrder(9, Side.BUY, 100_000, 10)]), "crosses")
    refused(book, lambda: book.add_resting([BookOrder(9, Side.SELL, 99_000, 10)]), "crosses")


def test_restoring_an_order_without_quantity_asserts(book):
    refused(book, lambda: book.add_resting([BookOrder(9, Side.BUY, 98_000, 0)]), "has quantity 0")


def test_restoring_an_order_without_price_asserts(book):
    refused(book, lambda: book.add_resting([BookOrder(9, Side.BUY, 0, 10)]), "has price 0")


def test_invariants_notice_every_kind_of_damage(book):
    """check_invariants can fail: each single wrong value is found."""
    first, second, bid = book.find(1), book.find(2), book.find(3)
    level = first.level
    book_side = book._asks
    damages = [
        (level, "quantity", 199),
        (level, "order_count", 1),
        (level, "last", first),
        (level, "first", second),
        (level, "key", -100_000),
        (level, "price", 98_000),
        (book_side, "best", None),
        (first, "leaves_qty", 0),
        (first, "price", 100_100),
        (first, "side", Side.BUY),
        (first, "order_reference_number", 4),
        (first, "_next", None),
        (first, "_next", first),
        (second, "_prev", None),
        (second, "level", bid.level),
        (book._match_numbers, "last", -1),
        (book, "_orders", {1: first, 3: bid}),
        (book, "_orders", {1: first, 2: second, 3: bid, 4: bid}),
        (book, "_orders", {2: second, 1: first, 3: bid}),
    ]
    for damaged, name, value in damages:
        good = getattr(damaged, name)
        setattr(damaged, name, value)
        with pytest.raises(AssertionError):
            book.check_invariants()
        setattr(damaged, name, good)
        book.check_invariants()


def test_invariants_notice_a_crossed_book(book):
    book._bids.append(crossing := BookOrder(9, Side.BUY, 100_000, 10))
    book._orders[9] = crossing
    with pytest.raises(AssertionError, match="crossed or locked"):
        book.check_invariants()


def test_an_order_that_left_keeps_no_other_order_alive(book):
    first, second = book.find(1), book.find(2)
    book.cancel(first)
    enter(book, BookOrder(9, Side.BUY, 100_000, 100))
    for order in (first, second):
        assert (order.level, order._prev, order._next) == (None, None, None)
