"""The state machine's own contract: commands, time, names, memory, snapshots."""

from __future__ import annotations

import ast
import gc

import pytest
from random_commands import HOSTILE_BYTES, HOSTILE_INTEGERS, HOSTILE_STRINGS, LOAD, OPEN_MARKET

from oms import commands as command_module
from oms import sessions, snapshot
from oms.commands import CommandKind
from oms.events import EventKind, OrdStatus, RejectReason
from oms.protection_rules import NO_PROTECTION
from oms.snapshot import SNAPSHOT_VERSION
from oms.state_machine import HANDLERS, ExchangeStateMachine

SAMPLES = {
    1: (1, "S1", 1, "", "A1", "AAPL", 1, 2, 0, 10, 100_0000),
    2: (2, "S1", 1, "A2", "A1", "AAPL", 1, 2, 0, 10, 100_0000),
    3: (3, "S1", 1, "A2", "A1", "AAPL", 1),
    4: (4, "S1", 1, "A1", "AAPL", 1),
    5: (5, "S1", 0, 1, "AAPL", 1, 2, 0, 10, 100_0000, 0, 0, "", b""),
    6: (6, "S1", 0, 1, 2, 0, 10, 100_0000, 2, 0, "", b""),
    7: (7, "S1", 0, 1, 0),
    8: (8, "S1", 0, 1, 1, 5),
    9: (9, "S1", 0, 2, "", 0, 0, -1, 0, "", b""),
    10: (10, "S1", "GW1", False, False),
    11: (11, "S1", "GW1"),
    12: (12, "GW1"),
    13: (13, "S1", 0, 2, False, 0, "", b""),
    14: (14, "S1", 0),
    15: (15, "S1", 1, "A2", "AAPL", 1),
    16: (16, "S1", 1, "R1", "AAPL", 1, 0),
    17: (17, "S1", 1, "R1", "AAPL"),
    18: (18, "S1", 1, "R1", "AAPL"),
    19: (19, "S1", 1, "R1"),
    20: (20,),
    21: (21, "S1", 1, "R1", "AAPL", 3),
    30: LOAD,
    31: OPEN_MARKET,
    32: (32,),
    33: (33, 20260302, ((100, 3), (200, 2), (300, 0))),
    34: (34, "AAPL", ""),
    40: (40, tuple(NO_PROTECTION), (("AAPL", 500, 1_000, 1),)),
    41: (41, 1, "erroneous"),
}


def open_exchange() -> ExchangeStateMachine:
    machine = ExchangeStateMachine()
    machine.apply(LOAD, 1)
    machine.apply(OPEN_MARKET, 2)
    return machine


def enter(name: str, side: int = 1, session: str = "S1", quantity: int = 10) -> tuple:
    return (1, session, 1, "", name, "AAPL", side, 2, 0, quantity, 100_0000)


def kinds(events) -> list[EventKind]:
    return [EventKind(event[0]) for event in events]


def test_every_kind_of_command_has_a_handler():
    assert set(HANDLERS) == set(CommandKind) == set(SAMPLES)


@pytest.mark.parametrize("kind", list(CommandKind), ids=lambda kind: kind.name)
def test_a_handler_takes_exactly_the_fields_of_its_command(kind):
    words = kind.name.title().replace("_", "")
    assert len(SAMPLES[kind]) == len(getattr(command_module, words)._fields)
    open_exchange().apply(SAMPLES[kind], 3)
    # Commands to enter and to replace orders may have terms at their end.
    extra = (0, 0) if kind in (1, 2, 5, 6) else (0,)
    for wrong in (SAMPLES[kind][:-1], (*SAMPLES[kind], *extra)):
        if len(wrong) > 0:
            with pytest.raises(ValueError, match="values to unpack"):
                open_exchange().apply(wrong, 3)


@pytest.mark.parametrize("kind", [-1, 0, 22, 99, "1", None])
def test_an_unknown_kind_of_command_stops_the_node(kind):
    with pytest.raises(ValueError, match="no command has the kind"):
        open_exchange().apply((kind, "S1"), 3)


def test_a_command_with_named_fields_means_the_same_as_a_plain_one():
    named = command_module.EnterOrder(*SAMPLES[1])
    assert open_exchange().apply(named, 3) == open_exchange().apply(SAMPLES[1], 3)


def test_time_never_runs_backwards():
    machine = open_exchange()
    machine.apply((20,), 100)
    machine.apply((20,), 50)
    assert machine.last_time_ns == 100
    machine.apply((20,), 101)
    assert machine.last_time_ns == 101


def test_the_time_is_part_of_the_state():
    early, late = open_exchange(), open_exchange()
    early.apply((20,), 100)
    late.apply((20,), 200)
    assert early.state_hash() != late.state_hash()


@pytest.mark.parametrize("kind", sorted(set(SAMPLES) - {20, 30, 33}))
def test_no_value_of_one_field_stops_the_exchange(kind):
    for position in range(1, len(SAMPLES[kind])):
        hostile = {str: HOSTILE_STRINGS, bytes: HOSTILE_BYTES, bool: (False, True)}.get(
            type(SAMPLES[kind][position]), HOSTILE_INTEGERS
        )
        for value in hostile:
            machine = open_exchange()
            machine.apply(enter("A1"), 3)
            if kind in (6, 7, 8):
                machine.apply(SAMPLES[5], 3)
            command = (*SAMPLES[kind][:position], value, *SAMPLES[kind][position + 1 :])
            machine.apply(command, 4)
            machine.check_invariants()
            machine.state_hash()


def test_reference_data_is_loaded_once():
    machine = open_exchange()
    before = list(machine.snapshot_parts())
    assert machine.apply((30, (), (("ACC9", "FIRM", 1, 1),), ()), 2) == []
    assert list(machine.snapshot_parts()) == before


def test_reference_data_that_is_wrong_stops_the_node():
    with pytest.raises(AssertionError, match="account ACC9 is unknown"):
        ExchangeStateMachine().apply((30, (), (), (("S1", "ACC9"),)), 1)


def test_reference_data_may_be_lists():
    as_lists = ast.literal_eval(repr(LOAD).replace("(", "[").replace(")", "]"))
    machines = ExchangeStateMachine(), ExchangeStateMachine()
    assert machines[0].apply(LOAD, 1) == machines[1].apply(tuple(as_lists), 1)
    assert machines[0].state_hash() == machines[1].state_hash()


def test_an_unknown_trading_state_changes_nothing():
    machine = open_exchange()
    before = list(machine.snapshot_parts())
    assert machine.apply((31, "AAPL", 17, "oops"), 2) == []
    assert list(machine.snapshot_parts()) == before


def test_rejected_orders_take_no_order_id():
    machine = open_exchange()
    machine.apply(enter("A1", quantity=-1), 3)
    accepted = machine.apply(enter("A2"), 3)[0]
    assert accepted[3] == accepted[15] == 1


def test_an_order_keeps_its_id_when_a_replace_changes_its_number():
    machine = open_exchange()
    machine.apply(enter("A1"), 3)
    machine.apply(enter("A2"), 3)
    replaced = machine.apply((2, "S1", 1, "A3", "A1", "AAPL", 1, 2, 0, 20, 100_0000), 3)[0]
    assert (replaced[3], replaced[15]) == (1, 3)
    assert machine.apply(enter("A4"), 3)[0][3] == 4


def test_a_replace_that_keeps_its_place_takes_no_number():
    machine = open_exchange()
    machine.apply(enter("A1"), 3)
    machine.apply((2, "S1", 1, "A2", "A1", "AAPL", 1, 2, 0, 5, 100_0000), 3)
    assert machine.apply(enter("A3"), 3)[0][3] == 2


def test_match_numbers_run_through_all_books():
    machine = open_exchange()
    match_numbers = []
    for number, (symbol, price) in enumerate((("AAPL", 100_0000), ("INTC", 31_2500)) * 2):
        for side, session in ((1, "S1"), (2, "S2")):
            name = f"{symbol}{number}"
            command = (1, session, 1, "", name, symbol, side, 2, 0, 10, price)
            events = machine.apply(command, 3)
            match_numbers += [event[18] for event in events if event[0] == 2]
    assert match_numbers == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_short_sale_shows_as_a_sale_on_the_feed():
    accepted, added = open_exchange().apply(enter("A1", side=5), 3)
    assert accepted[6] == 5
    assert added[4] == 2


def test_the_last_message_number_is_the_highest_not_the_latest():
    machine = open_exchange()
    for number in (3, 7, 5):
        machine.apply((4, "S1", number, "A1", "AAPL", 1), 3)
    assert machine.apply(SAMPLES[10], 3) == [(10, "S1", "GW1", 7)]


@pytest.mark.parametrize("kind", [1, 2, 3, 4, *range(15, 20), 21])
def test_every_command_with_a_message_number_counts(kind):
    machine = open_exchange()
    command = (kind, "S1", 41, *SAMPLES[kind][3:])
    machine.apply(command, 3)
    assert machine.apply(SAMPLES[10], 3)[0][3] == 41


def test_an_empty_gateway_name_does_not_close_a_session_that_nobody_holds():
    machine = open_exchange()
    assert machine.apply((11, "S1", ""), 3) == []
    assert machine.apply((12, ""), 3) == []


GTD = 6


def enter_until(name: str, expire_time_ns: int) -> tuple:
    terms = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, expire_time_ns)
    return (1, "S1", 1, "", name, "AAPL", 1, 2, GTD, 10, 99_0000, terms)


def test_orders_good_till_a_far_day_that_are_gone_fill_no_memory():
    machine = open_exchange()
    machine.apply(enter_until("STAYS", 9_000), 3)
    for number in range(5_000):
        machine.apply(enter_until(f"A{number}", 10**18), 3)
        machine.apply((3, "S1", 1, f"C{number}", f"A{number}", "AAPL", 1), 3)
    assert len(machine.state.expiries) < 2_000
    machine.check_invariants()
    events = machine.apply((20,), 9_000)
    assert [event[2] for event in events if event[0] == EventKind.ORDER_CANCELED] == ["STAYS"]


class TestClosedOrders:
    """What is kept of orders that live no more."""

    @pytest.fixture
    def kept(self, monkeypatch) -> int:
        monkeypatch.setattr(sessions, "CLOSED_ORDERS_KEPT", 3)
        return 3

    @pytest.fixture
    def machine(self, kept) -> ExchangeStateMachine:
        """Orders F0 .. F4 were filled, in this order, then C0 .. C4 canceled in another session."""
        machine = open_exchange()
        for number in range(5):
            machine.apply(enter(f"F{number}"), 3)
            machine.apply(enter(f"S{number}", side=2, session="S3"), 3)
        for number in range(5):
            machine.apply(enter(f"C{number}", session="S2"), 3)
            machine.apply((3, "S2", 1, f"X{number}", f"C{number}", "AAPL", 1), 3)
        machine.check_invariants()
        return machine

    def test_a_remembered_order_can_be_asked_for(self, machine):
        for session, name, status in (("S1", "F2", OrdStatus.FILLED), ("S2", "C4", 4)):
            (event,) = machine.apply((4, session, 1, name, "AAPL", 1), 3)
            assert event[3] > 0
            assert event[14] == status

    def test_a_forgotten_order_cannot_be_described(self, machine):
        (event,) = machine.apply((4, "S1", 1, "F1", "AAPL", 1), 3)
        assert (event[3], event[14]) == (0, OrdStatus.REJECTED)

    @pytest.mark.parametrize(("session", "name", "status"), [("S1", "F0", 2), ("S2", "C0", 4)])
    def test_a_cancel_of_a_forgotten_order_is_still_too_late(self, machine, session, name, status):
        (event,) = machine.apply((3, session, 1, "X9", name, "AAPL", 1), 3)
        assert kinds([event]) == [EventKind.CANCEL_REJECTED]
        assert event[4:8] == (0, "", "AAPL", status)
        assert event[9:11] == (RejectReason.TOO_LATE, status)

    def test_the_name_of_a_forgotten_order_stays_used(self, machine):
        (event,) = machine.apply(enter("F0"), 3)
        assert event[16] == RejectReason.DUPLICATE_CL_ORD_ID

    def test_a_restored_exchange_remembers_and_forgets_the_same(self, machine):
        restored = ExchangeStateMachine.restore(machine.snapshot_parts())
        for name in ("F0", "F1", "F2", "F3", "F4", "S0", "nobody"):
            for command in (
                (4, "S1", 1, name, "AAPL", 1),
                (3, "S1", 1, f"Y{name}", name, "AAPL", 1),
            ):
                assert restored.apply(command, 3) == machine.apply(command, 3)

    def test_memory_of_closed_orders_is_bounded(self, machine, kept):
        closed = [len(session.closed_orders) for session in machine.state.sessions.values()]
        assert closed == [kept, kept, kept]


class TestSnapshot:
    """Plain values, there and back."""

    def test_a_snapshot_is_plain_values_even_if_commands_were_not(self):
        machine = open_exchange()
        named = command_module.EnterOrder(CommandKind.ENTER_ORDER, *SAMPLES[1][1:])
        machine.apply(named, 3)
        machine.apply((31, "INTC", 1, "T1"), 3)

        def types(value) -> set[type]:
            if type(value) is tuple:
                return set().union({tuple}, *(types(item) for item in value))
            return {type(value)}

        parts = tuple(machine.snapshot_parts())
        assert types(parts) == {tuple, int, str, bool, bytes}
        assert parts[0][0] == SNAPSHOT_VERSION

    def test_parts_are_copies(self):
        machine = open_exchange()
        machine.apply(enter("A1"), 3)
        parts = list(machine.snapshot_parts())
        before = repr(parts)
        machine.apply(enter("B1", side=2, session="S2", quantity=3), 4)
        assert repr(parts) == before
        assert repr(list(machine.snapshot_parts())) != before

    def test_another_version_is_refused_in_words(self):
        (_, *head), *rest = open_exchange().snapshot_parts()
        with pytest.raises(ValueError, match="has version 1; this program reads 4"):
            ExchangeStateMachine.restore([(1, *head), *rest])

    @pytest.mark.parametrize("version", [2, 3])
    def test_the_versions_before_are_read(self, version):
        """3 knew of no trading day and no protection; 2 of no order but plain ones, and of no
        generator either."""
        machine = open_exchange()
        machine.state.market_hours_since_ns = 0  # this, too, is known only since
        machine.apply(enter("A1"), 3)
        machine.apply(enter("A2"), 3)
        machine.apply((3, "S1", 1, "A3", "A1", "AAPL", 1), 3)
        (_, counters, accounts, listings, sessions, *_), *columns = machine.snapshot_parts()
        if version == 2:
            old_listings = tuple((*head[:4], counts[0]) for *head, counts in listings)
            columns = [part[:-1] if len(part) == 14 else part for part in columns]
        else:
            old_listings = tuple((*head[:6], counts) for *head, counts in listings)
        old = [(version, counters[: version + 3], accounts, old_listings, sessions), *columns]
        restored = ExchangeStateMachine.restore(old)
        restored.check_invariants()
        assert restored.state_hash() == machine.state_hash()

    def test_parts_that_are_missing_or_wrong_are_refused_in_words(self):
        machine = open_exchange()
        machine.apply(enter("A1"), 3)
        machine.apply((3, "S1", 1, "A2", "A1", "AAPL", 1), 3)
        machine.apply(enter("A3"), 3)
        parts = list(machine.snapshot_parts())
        for count in range(len(parts)):
            with pytest.raises(ValueError, match="the snapshot ends too early"):
                ExchangeStateMachine.restore(parts[:count])
        for place in range(len(parts)):
            for nonsense in (None, 7, (), ((),), (1, 2, 3), parts[place - 1], parts[place - 2]):
                if nonsense != parts[place]:
                    wrong = [*parts[:place], nonsense, *parts[place + 1 :]]
                    with pytest.raises(ValueError, match=r"the snapshot cannot be restored: \S"):
                        ExchangeStateMachine.restore(wrong)

    def test_only_parts_of_the_machine_are_taken_of_a_longer_stream(self):
        stream = iter([*open_exchange().snapshot_parts(), "next"])
        ExchangeStateMachine.restore(stream)
        assert next(stream) == "next"

    def test_restoring_leaves_the_garbage_collector_as_it_was(self):
        parts = list(open_exchange().snapshot_parts())
        try:
            for collects in (True, False):
                (gc.enable if collects else gc.disable)()
                ExchangeStateMachine.restore(parts)
                with pytest.raises(ValueError):
                    ExchangeStateMachine.restore(parts[:-1])
                assert gc.isenabled() is collects
        finally:
            gc.enable()

    def test_many_orders_and_names_come_in_many_parts(self, monkeypatch):
        machine = open_exchange()
        for number in range(25):
            machine.apply(enter(f"A{number}"), 3)
            machine.apply(enter(f"R{number}", quantity=0), 3)
        monkeypatch.setattr(snapshot, "ROWS_PER_PART", 7)
        pieces = list(machine.snapshot_parts())
        assert len(pieces) == 1 + 4 + 8  # head, 25 orders, 50 names
        restored = ExchangeStateMachine.restore(pieces)
        restored.check_invariants()
        assert list(restored.snapshot_parts()) == pieces
        assert restored.state_hash() == machine.state_hash()

    def test_a_new_exchange_can_be_restored(self):
        machine = ExchangeStateMachine.restore(ExchangeStateMachine().snapshot_parts())
        assert machine.state_hash() == ExchangeStateMachine().state_hash()
        assert machine.apply(LOAD, 1) == ExchangeStateMachine().apply(LOAD, 1)

    def test_the_hash_does_not_depend_on_when_it_was_taken(self):
        often, once = open_exchange(), open_exchange()
        for number in range(20):
            for machine in (often, once):
                machine.apply(enter(f"\u00e9,'{number}"), 3)
            often.state_hash()
        assert often.state_hash() == once.state_hash()

    @pytest.mark.parametrize(
        ("here", "there"),
        [
            (("A", "B"), ("B", "A")),
            (("A,B",), ("A", "B")),
            (("AB", "C"), ("A", "BC")),
            (("A", "B"), ("A",)),
            (("A',", "'B"), ("A", "'',B")),
        ],
    )
    def test_names_that_were_used_differently_hash_differently(self, here, there):
        """Rejected orders leave nothing behind but their names."""
        machines = open_exchange(), open_exchange()
        for machine, names in zip(machines, (here, there), strict=True):
            for name in names:
                machine.apply(enter(name, quantity=0), 3)
        assert machines[0].state_hash() != machines[1].state_hash()

    def test_what_became_of_a_forgotten_order_is_part_of_the_hash(self, monkeypatch):
        monkeypatch.setattr(sessions, "CLOSED_ORDERS_KEPT", 0)
        machines = open_exchange(), open_exchange()
        for machine in machines:
            machine.apply(enter("A1"), 3)
            machine.apply((3, "S1", 1, "A2", "A1", "AAPL", 1), 3)
        names = machines[1].state.sessions["S1"].names
        assert list(names) == ["A1", "A2"]
        assert list(names.meanings()) == [OrdStatus.CANCELED, 0]
        names.let_stand("A1", int(OrdStatus.FILLED))
        assert machines[0].state_hash() != machines[1].state_hash()

    def test_the_hash_is_known(self):
        """A change of this value means that replicas of two versions cannot be compared."""
        machine = open_exchange()
        machine.apply(enter("A1"), 3)
        machine.apply(enter("B1", side=2, session="S2", quantity=3), 4)
        assert machine.state_hash() == KNOWN_HASH


KNOWN_HASH = "e25333fe0cb55d696f5a227bcad201621c5dfe507d1dfe94ba4dfc4b4346a157"
