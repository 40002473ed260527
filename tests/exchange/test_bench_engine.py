"""exchange bench engine: the flows that it measures with, and that it measures at all."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from exchange.bench.book_flow import BookFlow, Message, MessageKind
from exchange.bench.command_flow import CommandFlow
from exchange.bench.engine import measure_commands, measure_kinds, measure_matching, play
from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, TimeInForce
from oms.events import EventKind
from oms.state_machine import ExchangeStateMachine

ORDERS = 2_000


@pytest.fixture
def flow() -> BookFlow:
    return BookFlow(Random(7), ORDERS)


def test_a_flow_has_the_shares_that_it_says(flow):
    assert len(list(flow.filling())) == ORDERS
    messages = flow.trading(40_000)
    kinds = Counter(message.kind for message in messages)
    entered = kinds[MessageKind.ENTER]
    is_ioc = [message.time_in_force == TimeInForce.IOC for message in messages]
    assert sum(is_ioc) / entered == pytest.approx(0.15, abs=0.01)
    assert kinds[MessageKind.REPLACE] / entered == pytest.approx(0.2, abs=0.01)
    assert kinds[MessageKind.CANCEL] == entered - sum(is_ioc), "each order that may rest goes again"


def test_nearly_all_orders_of_a_flow_are_canceled_and_not_filled(flow):
    book: OrderBook[BookOrder] = OrderBook(MatchNumbers())
    play(book, flow.filling())
    messages = flow.trading(40_000)
    cancels = [message for message in messages if message.kind == MessageKind.CANCEL]
    too_late = 0
    for message in messages:
        is_cancel = message.kind == MessageKind.CANCEL
        too_late += is_cancel and book.find(message.old_number) is None
        play(book, [message])
    assert 0.02 < too_late / len(cancels) < 0.08
    assert len(book) == pytest.approx(ORDERS, rel=0.1)
    book.check_invariants()


def test_equal_flows_are_equal(flow):
    other = BookFlow(Random(7), ORDERS)
    assert list(flow.filling()) == list(other.filling())
    assert flow.trading(5_000) == other.trading(5_000)


def test_an_order_is_spoken_of_by_the_number_that_it_has(flow):
    orders: dict[int, Message] = {}
    for message in [*flow.filling(), *flow.trading(10_000)]:
        if message.kind == MessageKind.ENTER:
            assert message.order_id not in orders
            orders[message.order_id] = message
            continue
        order = orders[message.order_id]
        assert message.old_number == order.number
        if message.kind == MessageKind.CANCEL:
            del orders[message.order_id]
        else:
            keeps_place = message.price == order.price and message.quantity < order.quantity
            number = order.number if keeps_place else message.number
            orders[message.order_id] = message._replace(number=number)


def test_commands_of_a_flow_are_what_the_exchange_expects():
    flow = CommandFlow(instruments=5, open_orders=1_000)
    machine = ExchangeStateMachine()
    machine.apply_all(flow.opening(), 1)
    machine.apply_all(flow.filling(), 2)
    events = machine.apply_all(flow.trading(20_000), 3)
    kinds = Counter(event[0] for event in events)
    assert kinds[EventKind.ORDER_REJECTED] == 0
    assert kinds[EventKind.ORDER_REPLACED] > 0
    assert kinds[EventKind.ORDER_EXECUTED] > 0
    # A cancel, or a replace, that comes too late.
    assert kinds[EventKind.CANCEL_REJECTED] < kinds[EventKind.ORDER_CANCELED] / 10
    machine.check_invariants()


def test_everything_is_measured():
    matching = measure_matching(2_000, 1_000)
    assert matching["messages_per_s"] > 0
    assert matching["executions"] > 0
    commands = measure_commands(2_000, 1_000, 10)
    assert commands["orders_per_s"] > 0
    assert commands["instruments"] == 10
    costs = measure_kinds()
    assert list(costs) == ["rest", "replace", "trade", "cancel"]
    assert all(cost > 0 for cost in costs.values())
