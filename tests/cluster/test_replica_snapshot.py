"""A replica that was restored from its parts goes on like one that was never stopped."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import replica as replica_module
from cluster.codec import (
    MARK_STATE,
    TOOL_PREFIX,
    ClientFrame,
    encode_batch,
    opening_frame,
    pack,
    pack_commands,
    unpack,
)
from cluster.replica import Replica
from oms import sessions, snapshot
from oms.commands import CommandKind, LoadReferenceData, SetTradingState
from oms.reference_data import Account, Instrument, SessionDefinition

CLIENTS = ("fix-1", "fix-2", f"{TOOL_PREFIX}7")
SYMBOLS = ("AAPL", "INTC")
SESSIONS = ("S1", "S2")
REFERENCE_DATA = LoadReferenceData(
    CommandKind.LOAD_REFERENCE_DATA,
    tuple(
        Instrument(symbol, n, 100, 1, 1_000_000, 1000, 900) for n, symbol in enumerate(SYMBOLS, 1)
    ),
    (Account("ACC1", "FIRM", 1_000_000, 10**15),),
    tuple(SessionDefinition(session, "ACC1") for session in SESSIONS),
)
OPENING = SetTradingState(CommandKind.SET_TRADING_STATE, "", 2, "")


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds are met and parts are many."""
    monkeypatch.setattr(sessions, "CLOSED_ORDERS_KEPT", 5)
    monkeypatch.setattr(snapshot, "ROWS_PER_PART", 9)
    monkeypatch.setattr(replica_module, "CLIENTS_MAX", 2)
    monkeypatch.setattr(replica_module, "MARKS_MAX", 2)


class RandomLog:
    """Payloads of log entries: orders, frames sent again, lost and fenced ones, marks, leaders
    whose clocks differ."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._incarnations: dict[str, int] = {}
        self._next_numbers: dict[str, int] = {}
        self._names = 0
        self._orders: list[tuple[str, str, str, int]] = []

    def payloads(self, count: int) -> Iterator[bytes]:
        yield encode_batch(5, [ClientFrame("", 0, 0, pack_commands([REFERENCE_DATA, OPENING]))])
        for _ in range(count):
            frames = [self._frame() for _ in range(self._random.randint(0, 3))]
            yield encode_batch(self._random.randint(1, 10**6), frames)

    def _frame(self) -> ClientFrame:
        chance = self._random
        client = chance.choice(CLIENTS)
        if client not in self._incarnations or chance.random() < 0.1:
            self._incarnations[client] = chance.randint(1, 9)
            self._next_numbers[client] = chance.randint(1, 5)
            return opening_frame(client, self._incarnations[client], self._next_numbers[client])
        incarnation, next_number = self._incarnations[client], self._next_numbers[client]
        if chance.random() < 0.1:
            commands = [(MARK_STATE, f"m{chance.randint(1, 5)}")]
        else:
            commands = [self._command() for _ in range(chance.randint(1, 6))]
        packed = pack_commands(commands)
        if chance.random() < 0.1:
            return ClientFrame(client, incarnation + 1, next_number, packed)
        if chance.random() < 0.1:
            return ClientFrame(client, incarnation, next_number + 1, packed)
        first = max(1, next_number - chance.choice((0, 0, 0, 1, 2)))
        self._next_numbers[client] = max(next_number, first + len(commands))
        return ClientFrame(client, incarnation, first, packed)

    def _command(self) -> tuple[object, ...]:
        chance = self._random
        kind = chance.choice((1, 1, 1, 1, 1, 2, 2, 3, 4, 10, 12))
        self._names += 1
        name = f"n{self._names}"
        quantity, price = chance.randint(1, 30), 1_000_000 + 100 * chance.randint(-3, 3)
        if kind == 1 or not self._orders:
            order = name, chance.choice(SESSIONS), chance.choice(SYMBOLS), chance.choice((1, 2))
            self._orders.append(order)
            _, session, symbol, side = order
            time_in_force = chance.choice((0, 0, 0, 1, 3, 4))
            return 1, session, 1, "", name, symbol, side, 2, time_in_force, quantity, price
        other, session, symbol, side = chance.choice(self._orders[-12:])
        if kind == 2:
            self._orders.append((name, session, symbol, side))
            return 2, session, 2, name, other, symbol, side, 2, 0, quantity, price
        if kind == 3:
            return 3, session, 3, name, other, symbol, side
        if kind == 4:
            return 4, session, 4, other, symbol, side
        if kind == 10:
            return 10, session, "fix-1", chance.random() < 0.3, False
        return 12, "fix-1"


def restored(replica: Replica) -> Replica:
    """What comes out of a file: every part packed and unpacked on its own."""
    return Replica.restore(
        unpack(blob) for blob in [pack(part) for part in replica.snapshot_parts()]
    )


def everything(replica: Replica) -> list[bytes]:
    return [pack(part) for part in replica.snapshot_parts()]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), entries=st.integers(0, 60), cut=st.floats(0, 1))
def test_a_replica_restored_anywhere_goes_on_like_one_that_was_never_stopped(seed, entries, cut):
    original = Replica()
    payloads = list(RandomLog(seed).payloads(entries))
    place = int(cut * len(payloads))
    for index, payload in enumerate(payloads[:place], start=1):
        original.apply(index, 1, payload)
    copy = restored(original)
    copy.state_machine.check_invariants()
    assert everything(copy) == everything(original)
    for index, payload in enumerate(payloads[place:], start=place + 1):
        assert copy.apply(index, 1, payload) == original.apply(index, 1, payload)
        assert copy.last_client_ids == original.last_client_ids
        assert copy.last_gaps == original.last_gaps
        assert list(copy.clients.items()) == list(original.clients.items())
    assert copy.state_machine.state_hash() == original.state_machine.state_hash()
    assert copy.marks == original.marks
    assert everything(copy) == everything(original)


def test_random_logs_meet_what_a_snapshot_must_carry():
    """The test above proves nothing about what it never meets."""
    replica = Replica()
    state = replica.state_machine.state
    gaps = replaced = partly_filled = 0
    for index, payload in enumerate(RandomLog(1).payloads(400), start=1):
        replica.apply(index, 1, payload)
        gaps += len(replica.last_gaps)
        for session in state.sessions.values():
            orders = session.open_orders.values()
            replaced += any(o.order_id != o.order_reference_number for o in orders)
            partly_filled += any(order.cum_qty for order in orders)
    assert min(replica.duplicate_commands, replica.fenced_frames, gaps) > 10
    assert replica.applied_commands > 500
    assert state.match_numbers.last > 50
    assert (len(replica.marks), len(replica.clients)) == (2, 2)
    assert all(len(session.closed_orders) == 5 for session in state.sessions.values())
    assert min(replaced, partly_filled) > 50


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_parts_of_another_version_are_refused_in_words(version):
    (_, *rest), *parts = Replica().snapshot_parts()
    with pytest.raises(ValueError, match=f"has version {version}; this program reads 1"):
        Replica.restore([(version, *rest), *parts])


@pytest.mark.parametrize("first", [(), 7, (1, (), (), ()), (1, ((1, 2),), (), (1,) * 5), (1, 2)])
def test_a_first_part_that_makes_no_sense_is_refused_in_words(first):
    _, *parts = Replica().snapshot_parts()
    with pytest.raises(ValueError, match="the replica cannot be restored"):
        Replica.restore([first, *parts])


def test_nothing_at_all_is_refused_in_words():
    with pytest.raises(ValueError, match="the replica cannot be restored"):
        Replica.restore([])
    with pytest.raises(ValueError, match="the snapshot ends too early"):
        Replica.restore(list(Replica().snapshot_parts())[:1])
