"""Numbered orders: what stories cannot say."""

from __future__ import annotations

from typing import Any

import pytest
from random_commands import LOAD, OPEN_MARKET

from matching.types import Side
from oms import events as e
from oms.events import CancelReason, EventKind, RejectReason
from oms.names import number_name
from oms.numbered_commands import HIGHEST_GROUP_ID
from oms.state_machine import ExchangeStateMachine


def open_exchange() -> ExchangeStateMachine:
    machine = ExchangeStateMachine()
    machine.apply(LOAD, 1)
    machine.apply(OPEN_MARKET, 2)
    return machine


def enter(number: int, side: int = 2, channel: int = 0, **more: Any) -> tuple:
    fields = {"group_id": 0, "refusal": 0, "found": "", "memo": b""} | more
    return (5, "S1", channel, number, "AAPL", side, 2, 0, 10, 100_0000, *fields.values())


@pytest.mark.parametrize(("channel", "name"), [(0, "7"), (1, "1:7"), (255, "255:7")], ids=str)
def test_a_number_is_a_name(channel, name):
    assert number_name(channel, 7) == name
    assert open_exchange().apply(enter(7, channel=channel), 3)[0][2] == name


def test_only_events_of_numbered_requests_have_a_memo():
    machine = open_exchange()
    named = machine.apply((1, "S1", 1, "", "A1", "AAPL", 1, 2, 0, 10, 99_0000), 3)[0]
    numbered = machine.apply(enter(1, memo=b"\x00m"), 3)[0]
    assert len(named) + 1 == len(numbered)
    assert e.OrderAccepted(*named).memo == b""
    assert e.OrderAccepted(*numbered).memo == b"\x00m"
    assert e.OrderAccepted(*named)[: len(e.ORDER_FIELDS)] == named


def test_order_fields_begin_every_order_event():
    for cls in (e.OrderAccepted, e.OrderExecuted, e.OrderReduced, e.OrderModified, e.OrderReplaced):
        assert cls._fields[:16] == e.ORDER_FIELDS
    assert len(e.ORDER_FIELDS) == 16


def test_what_is_ignored_leaves_no_trace():
    machine = open_exchange()
    machine.apply(enter(5), 3)
    before, digest = list(machine.snapshot_parts()), machine.state_hash()
    for command in (
        enter(5),
        enter(4),
        enter(0),
        enter(-1),
        (6, "S1", 0, 4, 6, 0, 10, 99_0000, 2, 0, "", b""),
        (6, "S1", 0, 5, 5, 0, 10, 99_0000, 2, 0, "", b""),
        (7, "S1", 0, 5, 10),
        (8, "S1", 0, 5, 1, 5),
        (8, "S1", 0, 5, 2, 11),
        (9, "S1", 0, 5, "", 0, 0, -1, 0, "", b""),
        (13, "S1", 0, 5, False, 0, "", b""),
    ):
        assert machine.apply(command, 3) == [], command
    assert list(machine.snapshot_parts()) == before
    assert machine.state_hash() == digest


def test_a_replace_that_is_ignored_or_invalid_leaves_its_number_free():
    machine = open_exchange()
    machine.apply(enter(1), 3)
    machine.apply((6, "S1", 0, 9, 2, 0, 10, 99_0000, 2, 0, "", b""), 3)
    canceled = machine.apply((6, "S1", 0, 1, 2, 0, 10, -5, 2, 0, "", b""), 3)[0]
    assert canceled[2] == "1"
    assert canceled[16:19] == ("", 10, CancelReason.REPLACE_INVALID)
    assert machine.apply((14, "S1", 0), 3) == [(EventKind.NUMBERS_REPORTED, "S1", 0, 2)]


@pytest.mark.parametrize("side", [side for side in Side if side != Side.BUY])
def test_a_sale_of_any_kind_shows_and_trades_as_a_sale(side):
    machine = open_exchange()
    accepted, added = machine.apply(enter(1, side), 3)
    assert (accepted[6], added[4]) == (side, Side.SELL)
    executed = machine.apply((1, "S2", 1, "", "B1", "AAPL", 1, 2, 0, 10, 100_0000), 3)[1]
    assert (executed[1], executed[6], executed[16]) == ("S1", side, 10)


def test_a_modified_sale_keeps_its_place():
    machine = open_exchange()
    machine.apply(enter(1), 3)
    machine.apply(enter(2), 3)
    machine.apply((8, "S1", 0, 1, Side.SELL_SHORT_EXEMPT, 5), 3)
    machine.check_invariants()
    events = machine.apply((1, "S2", 1, "", "B1", "AAPL", 1, 2, 0, 8, 100_0000), 3)
    assert [(event[2], event[16]) for event in events if event[0] == 2 and event[19] == 1] == [
        ("1", 5),
        ("2", 3),
    ]


@pytest.mark.parametrize("group_id", [-1, HIGHEST_GROUP_ID + 1])
def test_a_group_that_is_none_is_refused(group_id):
    (event,) = open_exchange().apply(enter(1, group_id=group_id), 3)
    assert event[16:18] == (RejectReason.INVALID_INSTRUCTION, f"group_id {group_id}")


def test_a_group_survives_a_replace_and_is_part_of_the_hash():
    machines = open_exchange(), open_exchange()
    for group_id, machine in enumerate(machines, start=1):
        machine.apply(enter(1, group_id=group_id), 3)
        machine.apply((6, "S1", 0, 1, 2, 0, 20, 101_0000, 2, 0, "", b""), 3)
    assert machines[0].state_hash() != machines[1].state_hash()
    assert machines[1].apply((9, "S1", 0, 3, "", 0, 2, -1, 0, "", b""), 3)[0][5] == 1


@pytest.mark.parametrize("reason", [32, -1, 2**63])
def test_a_reason_that_is_unknown_here_is_an_invalid_instruction(reason):
    (event,) = open_exchange().apply(enter(1, refusal=reason, found="x"), 3)
    assert event[16:18] == (RejectReason.INVALID_INSTRUCTION, "x")


def test_numbered_requests_have_no_message_numbers():
    machine = open_exchange()
    machine.apply(enter(41), 3)
    machine.apply((9, "S1", 0, 42, "", 0, 0, -1, 0, "", b""), 3)
    assert machine.apply((10, "S1", "GW1", False, False), 3)[0][3] == 0


def test_numbers_and_order_entry_are_part_of_the_hash():
    commands = (
        (14, "S1", 0),
        (13, "S1", 0, 1, True, 0, "", b""),
        (13, "S1", 0, 1, False, 0, "", b""),
        (13, "S1", 0, 2, False, 0, "", b""),
        (13, "S1", 1, 1, False, 0, "", b""),
        (13, "S2", 0, 1, False, 0, "", b""),
    )
    hashes = set()
    for command in commands:
        machine = open_exchange()
        machine.apply(command, 3)
        hashes.add(machine.state_hash())
        assert ExchangeStateMachine.restore(machine.snapshot_parts()).state_hash() in hashes
    assert len(hashes) == len(commands)
