"""MarketDepth: the book-building rules of ITCH, and refusal of whatever contradicts the book."""

from __future__ import annotations

import gc
import random

import pytest

from marketdata.depth import FeedError, MarketDepth
from marketdata.instrument_book import PriceLevel
from matching.level_keys import NEAR_MAX
from protocols import itch50
from protocols import itch50_messages as m
from protocols.itch50_messages import Message, SideCode, TradingStateCode


def directory(locate: int = 1, stock: str = "AAPL") -> m.StockDirectory:
    head = (locate, 0, 0, stock, "", "", 1, "N", "C", "Z", "P", "", "", "", "")
    return m.StockDirectory(*head, 0, "N")


def add(reference: int, side: str, shares: int, price: int) -> m.AddOrder:
    return m.AddOrder(1, 0, 0, reference, side, shares, "AAPL", price)


def tell(depth: MarketDepth, *messages: Message) -> None:
    depth.apply([itch50.encode(message) for message in messages])


def depth_of(*messages: Message) -> MarketDepth:
    depth = MarketDepth()
    for message in (directory(), *messages):
        tell(depth, message)
        depth.check_invariants()
    return depth


def levels(depth: MarketDepth) -> tuple[list[PriceLevel], list[PriceLevel]]:
    book = depth.book("AAPL")
    assert book is not None
    return book.bids(), book.asks()


def test_levels_are_sorted_and_summed() -> None:
    depth = depth_of(
        add(1, "B", 100, 99), add(2, "B", 50, 100), add(3, "B", 7, 100), add(4, "S", 5, 102),
        m.AddOrderMpid(1, 0, 0, 5, "S", 6, "AAPL", 101, "MPID"),
    )  # fmt: skip
    assert levels(depth) == ([(100, 57, 2), (99, 100, 1)], [(101, 6, 1), (102, 5, 1)])
    book = depth.book("AAPL")
    assert book is not None
    assert book.best_bid() == (100, 57, 2)
    assert book.best_ask() == (101, 6, 1)
    assert book.bids(1) == [(100, 57, 2)]
    assert [order.order_reference_number for order in book.orders(SideCode.BUY)] == [2, 3, 1]


def test_an_empty_book_has_no_best_prices() -> None:
    book = depth_of().book("AAPL")
    assert book is not None
    assert (book.best_bid(), book.best_ask(), book.last_price) == (None, None, None)


def test_an_executed_order_leaves_with_its_last_share() -> None:
    depth = depth_of(add(1, "B", 100, 99), m.OrderExecuted(1, 0, 7, 1, 60, 11))
    assert levels(depth)[0] == [(99, 40, 1)]
    tell(depth, m.OrderExecuted(1, 0, 8, 1, 40, 12))
    assert levels(depth)[0] == []
    assert depth.order(1) is None
    book = depth.book("AAPL")
    assert book is not None
    assert book.trades() == [(8, 99, 40, 12), (7, 99, 60, 11)]
    assert (book.last_price, book.volume) == (99, 100)


def test_an_execution_at_another_price_counts_only_if_it_is_printable() -> None:
    depth = depth_of(
        add(1, "B", 100, 99),
        m.OrderExecutedWithPrice(1, 0, 7, 1, 10, 11, "Y", 98),
        m.OrderExecutedWithPrice(1, 0, 8, 1, 20, 12, "N", 97),
    )
    book = depth.book("AAPL")
    assert book is not None
    assert (levels(depth)[0], book.trades(), book.volume) == (
        [(99, 70, 1)],
        [(7, 98, 10, 11)],
        10,
    )


def test_a_partial_cancel_keeps_priority_and_a_replace_loses_it() -> None:
    depth = depth_of(
        add(1, "B", 100, 99), add(2, "B", 100, 99), add(3, "B", 100, 99),
        m.OrderCancel(1, 0, 0, 1, 10), m.OrderReplace(1, 0, 0, 2, 9, 70, 99),
    )  # fmt: skip
    book = depth.book("AAPL")
    assert book is not None
    orders = [(o.order_reference_number, o.shares) for o in book.orders(SideCode.BUY)]
    assert orders == [(1, 90), (3, 100), (9, 70)]


def test_a_delete_and_a_cancel_of_everything_take_the_order_out() -> None:
    depth = depth_of(
        add(1, "S", 100, 99), add(2, "S", 10, 99),
        m.OrderDelete(1, 0, 0, 1), m.OrderCancel(1, 0, 0, 2, 10),
    )  # fmt: skip
    assert (levels(depth), depth.order_count) == (([], []), 0)


def test_trades_that_were_never_in_the_book_do_not_touch_it() -> None:
    depth = depth_of(
        add(1, "B", 100, 99),
        m.Trade(1, 0, 1, 0, "B", 30, "AAPL", 98, 4),
        m.CrossTrade(1, 0, 2, 500, "AAPL", 97, 5, "O"),
        m.CrossTrade(1, 0, 3, 0, "AAPL", 0, 0, "C"),
    )
    book = depth.book("AAPL")
    assert book is not None
    assert (levels(depth)[0], book.volume, book.last_price) == ([(99, 100, 1)], 530, 97)


def test_a_broken_trade_is_taken_back() -> None:
    depth = depth_of(
        add(1, "B", 100, 99), m.OrderExecuted(1, 0, 1, 1, 10, 1),
        m.Trade(1, 0, 1, 0, "B", 30, "AAPL", 98, 2), m.BrokenTrade(1, 0, 3, 2),
    )  # fmt: skip
    book = depth.book("AAPL")
    assert book is not None
    assert (book.volume, book.last_price) == (10, 99)
    tell(depth, m.BrokenTrade(1, 0, 4, 77))  # long forgotten: no error
    tell(depth, m.BrokenTrade(1, 0, 4, 1))
    assert (book.volume, book.last_price) == (0, None)


def test_the_volume_is_that_of_the_day() -> None:
    depth = depth_of(
        m.Trade(1, 0, 1, 0, "B", 30, "AAPL", 98, 1), m.SystemEvent(0, 0, 2, "O"),
        m.Trade(1, 0, 3, 0, "B", 5, "AAPL", 99, 2),
    )  # fmt: skip
    book = depth.book("AAPL")
    assert book is not None
    assert (book.volume, book.last_price) == (5, 99)
    tell(depth, m.BrokenTrade(1, 0, 4, 1))  # of yesterday
    assert (book.volume, book.last_price) == (5, 99)
    tell(depth, m.BrokenTrade(1, 0, 5, 2))
    assert book.volume == 0


def test_states_and_milestones_are_kept() -> None:
    depth = depth_of(
        m.SystemEvent(0, 0, 0, "Q"), m.StockTradingAction(1, 0, 0, "AAPL", "T", "", "")
    )
    book = depth.book("AAPL")
    assert book is not None
    assert (depth.system_event, book.trading_state) == ("Q", TradingStateCode.TRADING)
    assert depth.book("MSFT") is None


def test_messages_that_say_nothing_of_books_only_count() -> None:
    depth = depth_of(m.RegShoRestriction(1, 0, 0, "AAPL", "0"), m.MwcbStatus(0, 0, 0, "1"))
    assert depth.next_sequence_number == 4


def test_only_recent_trades_are_kept() -> None:
    depth = MarketDepth(trades_kept=3)
    tell(depth, directory())
    for match in range(10):
        tell(depth, m.Trade(1, 0, 0, 0, "B", 1, "AAPL", 98, match))
    book = depth.book("AAPL")
    assert book is not None
    assert [trade.match_number for trade in book.trades()] == [9, 8, 7]
    assert [trade.match_number for trade in book.trades(2)] == [9, 8]
    assert book.volume == 10


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (add(1, "B", 5, 99), "added twice"),
        (add(2, "B", 0, 99), "no shares"),
        (add(2, "X", 5, 99), "side 'X'"),
        (m.AddOrder(2, 0, 0, 2, "B", 5, "MSFT", 99), "never named"),
        (m.AddOrder(1, 0, 0, 2, "B", 5, "MSFT", 99), "is AAPL, not 'MSFT'"),
        (m.OrderExecuted(1, 0, 0, 9, 5, 1), "order 9 is not in any book"),
        (m.OrderExecuted(1, 0, 0, 1, 101, 1), "101 shares of order 1, which has 100"),
        (m.OrderExecuted(1, 0, 0, 1, 0, 1), "0 shares of order 1"),
        (m.OrderExecuted(3, 0, 0, 1, 5, 1), "stock locate 1 and the message says 3"),
        (m.OrderExecutedWithPrice(1, 0, 0, 1, 101, 1, "Y", 5), "101 shares"),
        (m.OrderCancel(1, 0, 0, 1, 101), "101 shares"),
        (m.OrderCancel(1, 0, 0, 9, 1), "not in any book"),
        (m.OrderDelete(1, 0, 0, 9), "not in any book"),
        (m.OrderReplace(1, 0, 0, 9, 10, 5, 99), "not in any book"),
        (m.OrderReplace(1, 0, 0, 1, 7, 5, 99), "added twice"),
        (m.OrderReplace(1, 0, 0, 1, 8, 0, 99), "no shares"),
        (m.StockTradingAction(1, 0, 0, "AAPL", "Z", "", ""), "trading state 'Z'"),
        (m.StockTradingAction(4, 0, 0, "AAPL", "T", "", ""), "never named"),
        (directory(1, "MSFT"), "is MSFT and was AAPL"),
        (directory(2, "AAPL"), "AAPL has the stock locates 2 and another"),
        (m.Trade(4, 0, 0, 0, "B", 1, "AAPL", 98, 1), "never named"),
        (m.CrossTrade(4, 0, 0, 1, "AAPL", 98, 1, "O"), "never named"),
        (m.BrokenTrade(4, 0, 0, 1), "never named"),
    ],
)
def test_a_message_that_contradicts_the_book_is_refused(message: Message, reason: str) -> None:
    depth = depth_of(add(1, "B", 100, 99), add(7, "S", 100, 101))
    with pytest.raises(FeedError, match=f"message 4: .*{reason}"):
        tell(depth, message)


def test_what_is_no_itch_message_is_told_from_a_contradiction() -> None:
    good = itch50.encode(add(1, "B", 100, 99))
    for bad in (b"", b"Z" + good[1:], good[:-1], good + b" ", b"H" + good[1:]):
        depth = depth_of()
        with pytest.raises(itch50.ItchError):
            depth.apply([good, bad])
        assert depth.next_sequence_number == 3


def test_orders_of_all_books_come_in_the_sequence_in_which_they_took_their_places() -> None:
    depth = depth_of(
        directory(2, "MSFT"), m.AddOrder(2, 0, 0, 5, "S", 5, "MSFT", 90),
        add(3, "S", 5, 102), add(4, "S", 6, 101), add(2, "B", 7, 99), add(1, "B", 8, 99),
        m.OrderCancel(2, 0, 0, 5, 1), m.OrderReplace(1, 0, 0, 3, 6, 9, 102),
    )  # fmt: skip
    found = [(side.stock_locate, side.code, *order) for side, *order in depth.orders()]
    assert found == [
        (2, b"S", 5, 90, 4), (1, b"S", 4, 101, 6), (1, b"B", 2, 99, 7), (1, b"B", 1, 99, 8),
        (1, b"S", 6, 102, 9),
    ]  # fmt: skip
    assert depth.order(4) == (4, SideCode.SELL, 101, 6)
    assert depth.order(9) is None


def test_very_many_levels_are_in_order_and_the_far_ones_as_cheap_as_the_near_ones() -> None:
    prices = list(range(1, 20_001))
    random.Random(1).shuffle(prices)
    buys, sells = prices[:10_000], [20_000 + price for price in prices[:10_000]]
    depth = depth_of()
    tell(depth, *(add(price, "B", price, price) for price in buys))
    tell(depth, *(add(price, "S", 1, price) for price in sells))
    tell(depth, *(m.OrderDelete(1, 0, 0, price) for price in buys[:3_000] + sells[:9_900]))
    depth.check_invariants()
    bids, asks = levels(depth)
    assert bids == [(price, price, 1) for price in sorted(buys[3_000:], reverse=True)]
    assert asks == [(price, 1, 1) for price in sorted(sells[9_900:])]
    for side in depth._sides.values():
        assert len(side.places.near) <= NEAR_MAX, "a new level moves no more than these"


def test_the_garbage_collector_has_nothing_to_look_at_in_orders_and_levels() -> None:
    depth = depth_of(add(1, "B", 100, 99), add(2, "S", 100, 2**32 - 1), add(3, "B", 1, 0))
    assert levels(depth) == ([(99, 100, 1), (0, 1, 1)], [(2**32 - 1, 100, 1)])
    assert not gc.is_tracked(depth._orders)
    assert not gc.is_tracked(depth._levels)


def test_a_crossed_book_breaks_an_invariant() -> None:
    depth = MarketDepth()
    for message in (directory(), add(1, "B", 100, 99), add(2, "S", 100, 99)):
        tell(depth, message)
    with pytest.raises(AssertionError, match="crossed"):
        depth.check_invariants()
