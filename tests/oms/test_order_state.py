"""The transition table of OrdStatus, row by row, and what it forbids."""

from __future__ import annotations

from itertools import product

import pytest

from matching.types import TimeInForce
from oms.events import CancelReason, OrdStatus
from oms.order_state import NEXT_STATUS, ExecType, Order, next_status

NEW, PARTIALLY_FILLED = OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED
FILLED, CANCELED, REJECTED = OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED
EXPIRED = OrdStatus.EXPIRED
TRADE, CANCEL, REPLACE = ExecType.TRADE, ExecType.CANCELED, ExecType.REPLACED
EXPIRE = ExecType.EXPIRED

ROWS = [
    (NEW, TRADE, False, PARTIALLY_FILLED),
    (NEW, TRADE, True, FILLED),
    (NEW, CANCEL, True, CANCELED),
    (NEW, EXPIRE, True, EXPIRED),
    (NEW, REPLACE, False, NEW),
    (PARTIALLY_FILLED, TRADE, False, PARTIALLY_FILLED),
    (PARTIALLY_FILLED, TRADE, True, FILLED),
    (PARTIALLY_FILLED, CANCEL, True, CANCELED),
    (PARTIALLY_FILLED, EXPIRE, True, EXPIRED),
    (PARTIALLY_FILLED, REPLACE, False, PARTIALLY_FILLED),
]
FORBIDDEN = sorted(
    set(product(OrdStatus, ExecType, (False, True))) - {(row[0], row[1], row[2]) for row in ROWS}
)


def order_with(status: OrdStatus) -> Order:
    order = Order(7, "S1", "A1", "ACC1", "AAPL", 1, 2, 0, 100, 100_0000)
    order.ord_status = int(status)
    if status == PARTIALLY_FILLED:
        order.cum_qty, order.leaves_qty = 40, 60
    return order


@pytest.mark.parametrize(("before", "exec_type", "is_done", "after"), ROWS)
def test_a_row_of_the_table_holds(before, exec_type, is_done, after):
    assert NEXT_STATUS[(before, exec_type, is_done)] == after
    assert next_status(7, before, exec_type, is_done) == after


def test_the_table_has_these_rows_and_no_other():
    assert {(*key, after) for key, after in NEXT_STATUS.items()} == set(ROWS)


@pytest.mark.parametrize(("before", "exec_type", "is_done"), FORBIDDEN)
def test_a_step_that_is_not_in_the_table_is_a_bug(before, exec_type, is_done):
    with pytest.raises(AssertionError, match=f"order 7: no step from {before.name}"):
        next_status(7, before, exec_type, is_done)


def test_a_status_is_a_plain_integer():
    for (before, exec_type, is_done), _ in NEXT_STATUS.items():
        assert type(next_status(7, before, exec_type, is_done)) is int
    assert type(order_with(NEW).ord_status) is int


def test_executions_add_up():
    order = order_with(NEW)
    order.record_execution(40, 100_0000, 60)
    assert (order.ord_status, order.cum_qty, order.cum_value) == (PARTIALLY_FILLED, 40, 4_000_0000)
    order.record_execution(60, 99_0000, 0)
    assert (order.ord_status, order.cum_qty, order.cum_value) == (FILLED, 100, 9_940_0000)


@pytest.mark.parametrize("status", [FILLED, CANCELED, REJECTED, EXPIRED])
def test_a_closed_order_stays_closed(status):
    order = order_with(status)
    with pytest.raises(AssertionError, match="no step from"):
        order.record_execution(1, 100_0000, 0)
    with pytest.raises(AssertionError, match="no step from"):
        order.record_cancel()
    with pytest.raises(AssertionError, match="no step from"):
        order.record_replace("A2", 200)


def test_a_replace_that_leaves_nothing_is_a_bug():
    with pytest.raises(AssertionError, match="REPLACED with nothing left"):
        order_with(PARTIALLY_FILLED).record_replace("A2", 40)


def test_an_order_that_rests_cannot_be_recorded_as_canceled():
    order = order_with(NEW)
    order.level = object()
    with pytest.raises(AssertionError, match="still in the book"):
        order.record_cancel()


@pytest.mark.parametrize(
    ("time_in_force", "reason", "after"),
    [
        (TimeInForce.DAY, CancelReason.EXPIRED, EXPIRED),
        (TimeInForce.GTD, CancelReason.EXPIRED, EXPIRED),
        (TimeInForce.AT_THE_OPEN, CancelReason.AUCTION_OVER, EXPIRED),
        (TimeInForce.AT_THE_CLOSE, CancelReason.AUCTION_OVER, EXPIRED),
        (TimeInForce.DAY, CancelReason.AUCTION_OVER, CANCELED),
        (TimeInForce.GTD, CancelReason.USER, CANCELED),
        (TimeInForce.IOC, CancelReason.IMMEDIATE_OR_CANCEL, CANCELED),
    ],
)
def test_what_its_own_time_ends_has_expired(time_in_force, reason, after):
    order = order_with(PARTIALLY_FILLED)
    order.time_in_force = int(time_in_force)
    order.record_cancel(int(reason))
    assert (order.ord_status, order.leaves_qty) == (after, 0)
