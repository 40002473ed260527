"""What promises durability waits for the disk: in order, on its connection, and never too early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from snapshot_lab import HeldFlusher, ManualRuntime, MemoryDisk

from cluster.disk_gate import DiskGate
from cluster.journal import Journal, JournalError

PEER, OTHER = 2, 3
EPOCH = 7


class FakeNetwork:
    """Notes what leaves; every connection has the epoch that a test gives it."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        self.epochs: dict[int, int | None] = {PEER: EPOCH, OTHER: EPOCH}

    def send(self, peer_id: int, message: dict[str, Any]) -> None:
        self.sent.append((peer_id, message["type"]))

    def epoch(self, peer_id: int) -> int | None:
        return self.epochs[peer_id]


class Gate(DiskGate):
    """A gate with everything around it."""

    def __init__(self) -> None:
        self.journal = Journal(Path("wal"), segment_bytes=4096, disk=MemoryDisk())
        self.runtime = ManualRuntime()
        self.released: list[dict[int, dict[str, Any]]] = []
        self.errors: list[BaseException] = []
        super().__init__(
            self.journal,
            self.runtime,  # type: ignore[arg-type]
            on_durable=self.released.append,
            on_error=self.errors.append,
        )
        self.net = FakeNetwork()
        self.network = self.net  # type: ignore[assignment]
        self.start()

    @property
    def disk(self) -> HeldFlusher:
        return self.runtime.flushers[0]

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.journal.add(b"x", self.journal.last_index + 1, 1)


def message(kind: str) -> dict[str, Any]:
    return {"type": kind}


def test_a_message_leaves_when_the_flush_that_covers_it_has_returned():
    gate = Gate()
    gate.add()
    gate.hold(PEER, None, message("vote"))
    gate.flush()
    assert gate.net.sent == []
    assert gate.journal.durable_index == 0
    gate.disk.finish()
    assert gate.net.sent == [(PEER, "vote")]
    assert gate.journal.durable_index == 1


def test_what_was_noted_after_a_flush_began_waits_for_the_next_one():
    gate = Gate()
    gate.add()
    gate.hold(PEER, None, message("first"))
    gate.flush()
    gate.hold(PEER, None, message("of the same flush"))
    gate.add()
    gate.hold(PEER, None, message("second"))
    gate.flush()  # nothing begins while one is under way
    gate.disk.finish()
    assert gate.net.sent == [(PEER, "first"), (PEER, "of the same flush")]
    gate.flush()
    gate.disk.finish()
    assert gate.net.sent[2:] == [(PEER, "second")]


def test_messages_leave_in_the_order_in_which_they_came():
    gate = Gate()
    expected = []
    for number in range(20):
        if number % 3 == 0:
            gate.add()
        peer_id = (PEER, OTHER)[number % 2]
        gate.hold(peer_id, None, message(str(number)))
        expected.append((peer_id, str(number)))
        gate.flush()
        if number % 5 == 4:
            gate.disk.finish()
            gate.flush()
    gate.disk.finish()
    assert gate.net.sent == expected


def test_a_ticket_is_served_by_the_flush_that_covers_it():
    gate = Gate()
    assert gate.is_served(gate.ticket), "nothing was noted: nothing to wait for"
    gate.add()
    first = gate.ticket
    assert not gate.is_served(first)
    gate.flush()
    assert gate.ticket == first, "nothing was noted since"
    gate.add()
    second = gate.ticket
    assert second == first + 1
    gate.disk.finish()
    assert gate.is_served(first)
    assert not gate.is_served(second)
    gate.flush()
    gate.disk.finish()
    assert gate.is_served(second)


@pytest.mark.parametrize("epoch_then", [EPOCH + 1, None])
def test_a_message_of_a_connection_that_is_gone_does_not_leave(epoch_then: int | None):
    gate = Gate()
    gate.add()
    gate.hold(PEER, EPOCH, message("acknowledgement"))
    gate.hold(PEER, None, message("vote"))
    gate.hold(OTHER, EPOCH, message("acknowledgement"))
    gate.net.epochs[PEER] = epoch_then
    gate.flush()
    gate.disk.finish()
    assert gate.net.sent == [(PEER, "vote"), (OTHER, "acknowledgement")]


def test_acknowledgements_come_back_after_the_flush_the_newest_of_each_peer():
    gate = Gate()
    gate.add()
    gate.flush()
    gate.hold_acknowledgement(PEER, message("older"))
    gate.hold_acknowledgement(PEER, message("newer"))
    gate.hold_acknowledgement(OTHER, message("only"))
    assert gate.released == []
    gate.disk.finish()
    assert gate.released == [{PEER: message("newer"), OTHER: message("only")}]
    gate.add()
    gate.flush()
    gate.disk.finish()
    assert gate.released[1:] == [{}], "they count once"


def test_acknowledgements_of_a_lost_connection_count_no_more():
    gate = Gate()
    gate.add()
    gate.flush()
    for peer_id in (PEER, OTHER):
        gate.hold_acknowledgement(peer_id, message("acknowledgement"))
    gate.forget_acknowledgements(PEER)
    gate.forget_acknowledgements(PEER)
    gate.disk.finish()
    assert list(gate.released[0]) == [OTHER]
    gate.add()
    gate.flush()
    gate.hold_acknowledgement(OTHER, message("acknowledgement"))
    gate.forget_acknowledgements()
    gate.disk.finish()
    assert gate.released[1] == {}


def test_one_flush_at_a_time_and_none_for_nothing():
    gate = Gate()
    gate.flush()
    assert gate.disk.job is None
    gate.add(3)
    gate.flush()
    job = gate.disk.job
    gate.add()
    gate.flush()
    assert gate.disk.job is job
    gate.disk.finish()
    assert gate.journal.fsync_count == 1


def test_a_disk_hangs_when_its_flush_takes_longer_than_a_second():
    gate = Gate()
    gate.runtime.advance(100)
    assert not gate.hangs, "it has nothing to do"
    gate.add()
    gate.flush()
    gate.runtime.advance(1.0)
    assert not gate.hangs
    gate.runtime.advance(0.01)
    assert gate.hangs
    gate.disk.finish()
    assert not gate.hangs
    gate.add()
    gate.flush()
    assert not gate.hangs, "the time counts from the beginning of each flush"


def test_a_disk_is_not_blamed_for_what_our_own_loop_did_not_hear_of_it():
    gate = Gate()
    gate.add()
    gate.flush()
    gate.runtime.advance(3.0)
    gate.excuse(2.9)
    assert not gate.hangs
    gate.runtime.advance(1.0)
    assert gate.hangs


def test_a_request_for_votes_that_waits_is_seen():
    gate = Gate()
    gate.add()
    gate.hold(PEER, None, message("next_node_idx"))
    assert not gate.holds_vote_request
    gate.hold(PEER, None, message("request_vote"))
    assert gate.holds_vote_request
    gate.flush()
    gate.disk.finish()
    assert not gate.holds_vote_request


def test_after_a_failed_flush_nothing_leaves():
    gate = Gate()
    gate.add()
    gate.hold(PEER, None, message("vote"))
    gate.hold_acknowledgement(PEER, message("acknowledgement"))
    gate.flush()
    failure = JournalError("the disk is full")
    gate.disk.finish(failure)
    assert gate.errors == [failure]
    assert gate.net.sent == []
    assert gate.released == []
    assert not gate.is_served(1)
    assert gate.journal.durable_index == 0


def test_what_waits_for_a_flush_may_fail_and_is_told():
    gate = Gate()
    gate.add()
    gate.hold(PEER, None, message("vote"))
    del gate.net.epochs[PEER]
    gate.hold(PEER, EPOCH, message("acknowledgement"))
    gate.flush()
    gate.disk.finish()
    assert [type(error) for error in gate.errors] == [KeyError]


def test_a_closed_gate_sends_nothing_and_flushes_what_is_left_if_asked():
    gate = Gate()
    gate.add()
    gate.hold(PEER, None, message("vote"))
    gate.close(flush=True)
    assert gate.disk.closed
    gate.disk.finish()
    assert gate.net.sent == []
    assert gate.errors == []
    gate.close(flush=True)
    assert gate.disk.job is None
    without = Gate()
    without.add()
    without.close(flush=False)
    assert without.disk.job is None
