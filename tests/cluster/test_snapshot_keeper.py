"""When a node takes a snapshot, what it does with one, and what stops it."""

from __future__ import annotations

import pytest
from snapshot_lab import NODE, ManualRuntime, MemoryDisk, Story

from cluster import journal as journal_module
from cluster.codec import batch_payload
from cluster.snapshot import SnapshotStore
from cluster.snapshot_keeper import ReplicaDiverged, SnapshotKeeper
from cluster.snapshot_maker import SnapshotMade, make_snapshot
from cluster.storage import NodeFolders, NodeStorage

FOLDERS = NodeFolders(NODE, {})
AFTER_BYTES = 2000
LENGTH = 60
STORY = Story(18, LENGTH - 2)
"""Some entries are marks."""


class Lab:
    """A node without consensus: entries are applied as soon as they are on the disk."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self.storage = NodeStorage(self.disk, FOLDERS, segment_bytes=1024)
        self.runtime = ManualRuntime()
        self.fatal: list[BaseException] = []
        self.flushes = 0
        self.flush_error: Exception | None = None
        self.is_fetched = False
        self.applied_index = self.storage.base_index
        self.keeper = SnapshotKeeper(
            self.storage,
            self.storage.replica,
            self.runtime,  # type: ignore[arg-type]
            self._make,
            after_bytes=AFTER_BYTES,
            position=lambda: self.applied_index,
            flush_day_files=self._flush_day_files,
            is_fetched=lambda: self.is_fetched,
            on_fatal=self.fatal.append,
        )
        self.keeper.start()

    def _make(self, index: int) -> SnapshotMade:
        return make_snapshot(self.disk, FOLDERS.wal, FOLDERS.snapshots, index, {}, [])

    def _flush_day_files(self) -> None:
        self.flushes += 1
        if self.flush_error is not None:
            raise self.flush_error

    def grow(self, last: int) -> None:
        """Entries up to this one are written, and applied."""
        journal = self.storage.journal
        for index in range(journal.last_index + 1, last + 1):
            journal.add(*STORY.entries[index])
            journal.flush_sync()
        for index in range(self.applied_index + 1, last + 1):
            command, _, term = STORY.entries[index]
            payload = batch_payload(command)
            if payload is not None:
                self.storage.replica.apply(index, term, payload)
        self.applied_index = last

    def grow_until_due(self) -> int:
        """Let the journal grow until a snapshot is begun; returns the index it is after."""
        for index in range(self.storage.journal.last_index + 1, LENGTH + 1):
            assert self.keeper.bytes_since < AFTER_BYTES
            self.grow(index)
            self.runtime.advance(0.3)
            if self.runtime.jobs:
                assert self.keeper.bytes_since >= AFTER_BYTES
                return index
        raise AssertionError("no snapshot was begun")

    def snapshots(self) -> list[int]:
        return SnapshotStore(self.disk, FOLDERS.snapshots).indexes()


def test_a_snapshot_is_due_when_the_journal_has_grown_by_the_set_size():
    lab = Lab()
    lab.runtime.advance(1000)
    assert lab.runtime.jobs == []
    index = lab.grow_until_due()
    assert lab.flushes == 1, "the day files are handed over before the maker syncs them"
    assert lab.keeper.is_running
    assert lab.snapshots() == []
    lab.runtime.run_job()
    assert lab.snapshots() == [index]
    assert lab.keeper.status()["snapshot_index"] == index
    assert not lab.keeper.is_running


def test_what_is_written_while_one_is_made_counts_for_the_next():
    lab = Lab()
    index = lab.grow_until_due()
    before = lab.keeper.bytes_since
    lab.grow(index + 3)
    grown = lab.keeper.bytes_since - before
    assert grown > 0
    lab.runtime.run_job()
    assert lab.keeper.bytes_since == grown


def test_the_next_one_comes_after_as_many_bytes_again():
    lab = Lab()
    first = lab.grow_until_due()
    lab.runtime.run_job()
    second = lab.grow_until_due()
    lab.runtime.run_job()
    assert lab.snapshots() == [first, second]
    assert lab.keeper.status()["snapshots_taken"] == 2


def test_one_at_a_time():
    lab = Lab()
    index = lab.grow_until_due()
    lab.grow(LENGTH)
    lab.runtime.advance(10)
    assert len(lab.runtime.jobs) == 1
    with pytest.raises(ValueError, match="a snapshot is being taken already"):
        lab.keeper.take()
    lab.runtime.run_job()
    assert lab.keeper.last_index == index


def test_one_can_be_asked_for_at_any_time_but_not_of_nothing():
    lab = Lab()
    with pytest.raises(ValueError, match="the snapshot after entry 0 is the newest possible"):
        lab.keeper.take()
    lab.grow(5)
    assert lab.keeper.take() == 5
    lab.runtime.run_job()
    with pytest.raises(ValueError, match="the snapshot after entry 5 is the newest possible"):
        lab.keeper.take()
    assert (lab.snapshots(), lab.keeper.taken) == ([5], 1)


def test_what_was_written_before_a_restart_counts():
    lab = Lab()
    index = lab.grow_until_due()
    lab.runtime.run_job()
    lab.grow(index + 4)
    written = lab.keeper.bytes_since
    lab.storage.close()
    again = Lab(lab.disk)
    assert again.keeper.last_index == index
    assert 0 < again.keeper.bytes_since <= written
    again.grow(index + 4)
    assert again.grow_until_due() > index + 4


def test_nothing_new_is_no_reason_however_large_the_journal():
    lab = Lab()
    index = lab.grow_until_due()
    lab.runtime.run_job()
    journal = lab.storage.journal
    for number in range(index + 1, LENGTH):
        journal.add(*STORY.entries[number])  # written, and not applied: no majority has it
        journal.flush_sync()
    assert lab.keeper.bytes_since > AFTER_BYTES
    lab.runtime.advance(100)
    assert lab.runtime.jobs == []


def test_one_that_fails_is_tried_again_after_a_minute_and_the_journal_is_kept(caplog):
    lab = Lab()
    index = lab.grow_until_due()
    lab.disk.failure = OSError(28, "no space")
    lab.disk.fail_in = 0
    lab.runtime.run_job()
    lab.disk.fail_in = None
    assert "no space; trading goes on, the journal is kept" in caplog.text
    assert (lab.keeper.failed, lab.keeper.taken, lab.fatal) == (1, 0, [])
    assert lab.storage.journal.first_index == 1
    lab.runtime.advance(59.5)
    assert lab.runtime.jobs == []
    lab.runtime.advance(1)
    lab.runtime.run_job()
    assert (lab.keeper.failed, lab.keeper.taken) == (1, 1)
    assert lab.snapshots() == [index]


def test_a_failure_does_not_forbid_to_ask_for_one():
    lab = Lab()
    lab.grow(5)
    lab.keeper.take()
    lab.disk.failure = OSError(28, "no space")
    lab.disk.fail_in = 0
    lab.runtime.run_job()
    lab.disk.fail_in = None
    assert lab.keeper.take() == 5
    lab.runtime.run_job()
    assert lab.snapshots() == [5]


def test_one_that_a_peer_fetches_is_not_taken_away_until_the_journal_is_four_times_its_size():
    lab = Lab()
    lab.is_fetched = True
    while not lab.runtime.jobs:
        before = lab.keeper.bytes_since
        lab.grow(lab.applied_index + 1)
        lab.runtime.advance(0.3)
    assert before < 4 * AFTER_BYTES <= lab.keeper.bytes_since


def test_once_no_peer_fetches_it_is_taken_at_once():
    lab = Lab()
    lab.is_fetched = True
    while lab.keeper.bytes_since < 2 * AFTER_BYTES:
        lab.grow(lab.applied_index + 1)
        lab.runtime.advance(0.3)
    assert lab.runtime.jobs == []
    lab.is_fetched = False
    lab.runtime.advance(0.3)
    assert len(lab.runtime.jobs) == 1


def test_marks_that_differ_stop_the_node_before_the_journal_is_trimmed():
    lab = Lab()
    first = lab.grow_until_due()
    lab.runtime.run_job()
    lab.grow_until_due()
    mark = next(iter(lab.storage.replica.marks.values()))
    mark.state_hash = "another"
    lab.runtime.run_job()
    (error,) = lab.fatal
    assert isinstance(error, ReplicaDiverged)
    assert f"at entry {mark.log_index} (event {mark.event_seq})" in str(error)
    assert "this node's state was another, a replay of its journal gives" in str(error)
    assert "keep its folder for an inquiry and follow the runbook" in str(error)
    assert lab.storage.journal.first_index == 1
    assert lab.keeper.last_index == first


@pytest.mark.parametrize("what", ["forgotten", "set again"])
def test_a_mark_that_is_forgotten_or_was_set_again_is_no_difference(what: str):
    lab = Lab()
    lab.grow_until_due()
    assert lab.storage.replica.marks
    if what == "forgotten":
        lab.storage.replica.marks.clear()
    for mark in lab.storage.replica.marks.values():
        mark.log_index += 1
        mark.state_hash = "that of a later entry"
    lab.runtime.run_job()
    assert (lab.fatal, lab.keeper.taken) == ([], 1)


def test_a_disk_that_fails_when_one_begins_stops_the_node():
    lab = Lab()
    lab.flush_error = OSError(5, "bad disk")
    for index in range(1, LENGTH + 1):
        lab.grow(index)
        lab.runtime.advance(0.3)
        if lab.fatal:
            break
    assert lab.fatal[0] is lab.flush_error
    assert lab.runtime.jobs == []


def test_the_journal_keeps_what_lies_between_the_two_snapshots(monkeypatch):
    monkeypatch.setattr(journal_module, "_TRIM_ENTRIES", 4)
    lab = Lab()
    first = lab.grow_until_due()
    lab.runtime.run_job()
    lab.runtime.advance(1)
    assert lab.storage.journal.first_index == 1, "one snapshot alone may be damaged"
    second = lab.grow_until_due()
    lab.runtime.run_job()
    assert 1 < lab.storage.journal.first_index < first, "a little at a time"
    lab.runtime.advance(1)
    assert lab.storage.journal.first_index == first
    third = lab.grow_until_due()
    lab.runtime.run_job()
    lab.runtime.advance(1)
    assert lab.storage.journal.first_index == second
    assert lab.snapshots() == [second, third]


@pytest.mark.parametrize("damaged", [0, 1])
def test_after_a_trim_either_snapshot_may_be_damaged_or_neither(damaged: int):
    lab = Lab()
    for _ in range(2):
        lab.grow_until_due()
        lab.runtime.run_job()
    lab.runtime.advance(1)
    lab.storage.close()
    index = lab.snapshots()[damaged]
    name = SnapshotStore(lab.disk, FOLDERS.snapshots).path(index).as_posix()
    lab.disk.set_content(name, lab.disk.content(name)[:-1] + b"?")
    again = Lab(lab.disk)
    again.grow(LENGTH)
    assert again.storage.replica.state_machine.state_hash() == STORY.hashes[LENGTH]


def test_power_loss_at_any_call_of_the_maker_leaves_a_node_that_starts():
    call, ended = 0, False
    while not ended:
        for seed in range(6):
            lab = Lab(MemoryDisk(seed))
            first = lab.grow_until_due()
            lab.runtime.run_job()
            second = lab.grow_until_due()
            lab.disk.fail_in = call
            lab.runtime.run_job()
            ended = not lab.keeper.failed
            lab.disk.lose_power()
            again = Lab(lab.disk)
            assert again.storage.base_index in {first, second}
            again.grow(LENGTH)
            assert again.storage.replica.state_machine.state_hash() == STORY.hashes[LENGTH]
        call += 1
    assert call > 4


def test_status_tells_what_the_metrics_need():
    lab = Lab()
    assert lab.keeper.status() == {
        "snapshot_index": 0,
        "snapshot_bytes": None,
        "snapshot_seconds": None,
        "snapshots_taken": 0,
        "snapshots_failed": 0,
        "snapshot_running": False,
        "journal_bytes_since_snapshot": 0,
    }
    index = lab.grow_until_due()
    lab.runtime.run_job()
    facts = lab.keeper.status()
    path = SnapshotStore(lab.disk, FOLDERS.snapshots).path(index)
    assert facts["snapshot_bytes"] == lab.disk.file_size(path)
    assert facts["snapshot_seconds"] >= 0
    assert (facts["snapshot_index"], facts["snapshots_taken"]) == (index, 1)
