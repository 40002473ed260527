"""What a node finds on its disk: snapshot and journal are one story, or it says what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snapshot_lab import NODE, SNAPSHOTS, MemoryDisk, Story, everything

from cluster.disk import RealDisk
from cluster.interface import AppliedBatch
from cluster.journal import Journal
from cluster.rebuild import describe, rebuild
from cluster.segment import JournalError
from cluster.snapshot import SnapshotError, SnapshotStore
from cluster.snapshot_maker import MakerProcess, make_snapshot
from cluster.storage import NodeFolders, NodeStorage
from exchange.simulation.disk import PowerLoss

FOLDERS = NodeFolders(NODE, {})
SEGMENT_BYTES = 1024
LENGTH = 40
VOTE = (5, "2")
EVENT_FILE = "events-00000000000000000001.evt"
STORY = Story(18, LENGTH - 2)
"""Entries 15, 20, 25, 28 and 30 bring events; there are marks and open orders."""


def open_storage(disk: MemoryDisk) -> NodeStorage:
    return NodeStorage(disk, FOLDERS, segment_bytes=SEGMENT_BYTES)


def write_journal(disk: MemoryDisk, last: int, *, first: int = 1, committed: int = 0) -> None:
    """A journal that holds these entries of the story, and a vote; its node is stopped."""
    journal = Journal(FOLDERS.wal, segment_bytes=SEGMENT_BYTES, disk=disk)
    journal.setCurrentTerm(*VOTE)
    STORY.write(journal, 1, last)
    journal.deleteEntriesTo(first - 1)
    journal.setRaftCommitIndex(committed)
    journal._destroy()


def write_snapshots(disk: MemoryDisk, *indexes: int, term: int = 1) -> None:
    """The story's snapshots after these entries, as another node made them."""
    other = MemoryDisk()
    write_journal(other, LENGTH)
    store = SnapshotStore(other, SNAPSHOTS)
    mine = SnapshotStore(disk, SNAPSHOTS)
    for index in indexes:
        make_snapshot(other, FOLDERS.wal, SNAPSHOTS, index, {}, [])
        snapshot = store.load(index)
        mine.write(snapshot.header._replace(term=term), snapshot.parts)


def disk_with(*snapshots: int, first: int = 1, committed: int = LENGTH) -> MemoryDisk:
    disk = MemoryDisk()
    write_journal(disk, LENGTH, first=first, committed=committed)
    write_snapshots(disk, *snapshots)
    return disk


def damage(disk: MemoryDisk, index: int) -> None:
    name = SnapshotStore(disk, SNAPSHOTS).path(index).as_posix()
    content = bytearray(disk.content(name))
    content[len(content) // 2] ^= 1
    disk.set_content(name, bytes(content))


def facts(storage: NodeStorage) -> tuple[Any, ...]:
    """What a node starts with."""
    journal = storage.journal
    return (
        storage.base_index,
        everything(storage.replica),
        journal[:],
        journal.first_index,
        (journal.getCurrentTerm(), journal.getVotedForNodeId()),
    )


def expected(base: int, entries: range, base_term: int = 1) -> tuple[Any, ...]:
    """The state after entry `base`, and these entries of the story."""
    held = [STORY.entries[index] for index in entries]
    if base_term != 1:
        held[0] = (*held[0][:2], base_term)
    return base, STORY.live[base], held, entries.start, VOTE


# --- snapshot and journal -------------------------------------------------------------------------


def test_an_empty_folder_is_an_empty_start():
    storage = open_storage(MemoryDisk())
    assert storage.base is None
    assert (storage.base_index, len(storage.journal)) == (0, 0)
    assert everything(storage.replica) == STORY.live[0]


def test_a_journal_without_a_snapshot_is_replayed_from_its_beginning():
    disk = MemoryDisk()
    write_journal(disk, 30)
    assert facts(open_storage(disk)) == expected(0, range(1, 31))


def one_story(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 30, committed=30)
    write_snapshots(disk, 20)
    return expected(20, range(1, 31))


def uncommitted_tail(disk: MemoryDisk) -> tuple[Any, ...]:
    """Entries 21 to 30 are not known to be committed, but were acknowledged: they stay."""
    write_journal(disk, 30, committed=18)
    write_snapshots(disk, 20)
    return expected(20, range(1, 31))


def trimmed(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 30, first=20, committed=30)
    write_snapshots(disk, 20, 25)
    return expected(25, range(20, 31))


def newer_one_damaged(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 30, first=20, committed=30)
    write_snapshots(disk, 20, 25)
    damage(disk, 25)
    return expected(20, range(20, 31))


def journal_ends_before(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 12, committed=12)
    write_snapshots(disk, 20)
    return expected(20, range(20, 21))


def journal_ends_right_before(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 19, committed=19)
    write_snapshots(disk, 20)
    return expected(20, range(20, 21))


def journal_has_another_uncommitted_entry(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 30, committed=19)
    write_snapshots(disk, 20, term=3)
    return expected(20, range(20, 21), base_term=3)


def journal_is_empty(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 0)
    write_snapshots(disk, 20)
    return expected(20, range(20, 21))


def journal_was_emptied(disk: MemoryDisk) -> tuple[Any, ...]:
    write_journal(disk, 12, first=13, committed=12)
    write_snapshots(disk, 20)
    return expected(20, range(20, 21))


Scene = Callable[[MemoryDisk], tuple[Any, ...]]
FITTING: list[Scene] = [one_story, uncommitted_tail, trimmed, newer_one_damaged]
ANEW: list[Scene] = [
    journal_ends_before,
    journal_ends_right_before,
    journal_has_another_uncommitted_entry,
    journal_is_empty,
    journal_was_emptied,
]


@pytest.mark.parametrize("scene", FITTING)
def test_a_journal_that_holds_the_snapshots_entry_stays_as_it_is(scene: Scene):
    disk = MemoryDisk()
    what = scene(disk)
    before = disk.files(FOLDERS.wal)
    storage = open_storage(disk)
    assert facts(storage) == what
    for name, content in disk.files(FOLDERS.wal).items():
        assert content.rstrip(b"\0").startswith(before[name].rstrip(b"\0")), "only marks were added"


@pytest.mark.parametrize("scene", ANEW)
def test_a_journal_without_the_snapshots_entry_begins_anew_and_the_vote_stays(scene: Scene):
    disk = MemoryDisk()
    what = scene(disk)
    storage = open_storage(disk)
    assert facts(storage) == what
    assert storage.journal.durable_index == 20
    disk.lose_power()
    again = open_storage(disk)
    assert facts(again) == what
    assert again.journal.recovered_commit_index == 20
    again.journal.add(b"\0", 21, 9)


@pytest.mark.parametrize("scene", [*FITTING, *ANEW])
def test_power_loss_at_any_call_of_a_start_changes_nothing(scene: Scene):
    made = MemoryDisk()
    what = scene(made)
    calls = 0
    while True:
        for seed in range(12):
            disk = made.again(seed)
            disk.fail_in = calls
            try:
                assert facts(open_storage(disk)) == what
            except PowerLoss:
                disk.lose_power()
                assert facts(open_storage(disk)) == what
            else:
                if disk.fail_in is not None and disk.fail_in > 0:
                    assert calls > 0, "a start that never touches the disk proves nothing"
                    return
        calls += 1


def refused(disk: MemoryDisk) -> str:
    """Sentence of a start that is refused; nothing may have changed, and the folder is free."""
    before = {name: disk.content(name).rstrip(b"\0") for name in disk.names}
    with pytest.raises(JournalError) as caught:
        open_storage(disk)
    assert not disk.locked
    after = {name: disk.content(name).rstrip(b"\0") for name in disk.names}
    assert before == after
    return str(caught.value)


def test_a_snapshot_that_contradicts_what_is_committed_is_refused():
    disk = MemoryDisk()
    write_journal(disk, 30, committed=20)
    write_snapshots(disk, 20, term=3)
    sentence = refused(disk)
    assert "A11: entry 20 is committed with term 1, the snapshot after it says term 3" in sentence
    assert f"move {NODE} away, start this node with an empty folder" in sentence


def test_a_gap_between_snapshot_and_journal_is_refused():
    disk = MemoryDisk()
    write_journal(disk, 35, first=25, committed=35)
    write_snapshots(disk, 20)
    sentence = refused(disk)
    assert "A9: the snapshot is of entry 20, the journal begins with entry 25" in sentence
    assert f"move {NODE} away" in sentence


def test_a_trimmed_journal_without_its_snapshot_is_refused():
    disk = MemoryDisk()
    write_journal(disk, 30, first=20, committed=30)
    sentence = refused(disk)
    assert f"{FOLDERS.wal}: begins with entry 20, and {SNAPSHOTS} holds no snapshot" in sentence
    assert f"move {NODE} away" in sentence


def test_a_journal_that_reaches_back_to_the_damaged_one_only_is_refused():
    disk = MemoryDisk()
    write_journal(disk, 30, first=25, committed=30)
    write_snapshots(disk, 20, 25)
    damage(disk, 25)
    assert "A9: the snapshot is of entry 20, the journal begins with entry 25" in refused(disk)


def test_snapshots_that_are_all_damaged_are_refused():
    disk = MemoryDisk()
    write_journal(disk, 30, first=20, committed=30)
    write_snapshots(disk, 20, 25)
    damage(disk, 20)
    damage(disk, 25)
    with pytest.raises(SnapshotError, match="damaged: sha256"):
        open_storage(disk)
    assert not disk.locked


# --- trim -----------------------------------------------------------------------------------------


def trim_to_the_end(storage: NodeStorage) -> None:
    """As the keeper does it when a snapshot was taken."""
    kept = storage.snapshots.prune()
    while len(kept) > 1 and storage.journal.trim(kept[-2]):
        pass


def test_trim_keeps_what_lies_between_the_two_snapshots():
    disk = MemoryDisk()
    write_journal(disk, 40, committed=40)
    write_snapshots(disk, 20)
    storage = open_storage(disk)
    trim_to_the_end(storage)
    assert storage.journal.first_index == 1, "it is the only one: damaged, all would be lost"
    write_snapshots(disk, 30)
    trim_to_the_end(storage)
    assert storage.journal.first_index == 20
    assert "000000000001.seg" in disk.files(FOLDERS.wal)
    storage.journal.flush_sync()
    assert "000000000001.seg" not in disk.files(FOLDERS.wal)
    storage.close()
    assert facts(open_storage(disk)) == expected(30, range(20, 41))


def test_power_loss_at_any_call_of_a_trim_never_loses_an_entry_that_is_needed():
    made = disk_with(20, 30)
    call, ended = 0, False
    while not ended:
        for seed in range(12):
            disk = made.again(seed)
            storage = open_storage(disk)
            trim_to_the_end(storage)
            disk.fail_in = call
            try:
                storage.journal.flush_sync()
            except PowerLoss:
                pass
            else:
                ended = True
            disk.lose_power()
            again = open_storage(disk)
            first = again.journal.first_index
            assert first in {1, 20}
            assert facts(again) == expected(30, range(first, 41))
        call += 1
    assert call > 5


# --- rebuild --------------------------------------------------------------------------------------


class Counting:
    """A derivation that has seen this many events."""

    def __init__(self) -> None:
        self.events: int | None = None
        self.batches: list[AppliedBatch] = []

    def on_batch(self, batch: AppliedBatch) -> None:
        self.batches.append(batch)
        assert self.events is not None
        self.events += len(batch.events)

    def snapshot(self) -> int:
        assert self.events is not None
        return self.events

    def restore(self, state: int | None) -> None:
        self.events = state or 0


@pytest.mark.parametrize("snapshots", [(), (15,), (15, 28)])
def test_a_rebuilt_state_is_that_of_a_replica_that_was_never_stopped(snapshots: tuple[int, ...]):
    disk = disk_with(*snapshots)
    store = SnapshotStore(disk, SNAPSHOTS)
    base = max(snapshots, default=0)
    for index in range(max(base, 1), LENGTH + 1):
        rebuilt = rebuild(disk, FOLDERS.wal, store, {}, upto_index=index)
        assert everything(rebuilt.replica) == STORY.live[index]
        assert rebuilt.entry == STORY.entries[index]
        assert (rebuilt.base_index, rebuilt.replayed) == (base, index - base)


@pytest.mark.parametrize("snapshots", [(), (15,), (15, 28)])
def test_at_an_event_the_state_is_the_one_after_the_entry_that_brought_it(
    snapshots: tuple[int, ...],
):
    disk = disk_with(*snapshots)
    store = SnapshotStore(disk, SNAPSHOTS)
    for event in range(1, STORY.next_event_seqs[LENGTH]):
        rebuilt = rebuild(disk, FOLDERS.wal, store, {}, upto_event_seq=event)
        index = rebuilt.entry[1]
        assert STORY.next_event_seqs[index - 1] <= event < STORY.next_event_seqs[index]
        assert everything(rebuilt.replica) == STORY.live[index]
        assert rebuilt.base_index == max(
            at for at in (0, *snapshots) if STORY.next_event_seqs[at] - 1 < event
        )


def test_where_an_event_is_found_does_not_depend_on_where_snapshots_are():
    """Entry 24 brings no event: the snapshot after it is beyond the entry that is asked for."""
    event = STORY.next_event_seqs[24] - 1
    wanted = next(at for at in range(LENGTH) if STORY.next_event_seqs[at] > event)
    for snapshots in ((), (24,)):
        disk = disk_with(*snapshots)
        store = SnapshotStore(disk, SNAPSHOTS)
        assert rebuild(disk, FOLDERS.wal, store, {}, upto_event_seq=event).entry[1] == wanted


def test_a_state_of_a_newer_program_is_refused_with_the_name_of_its_file():
    disk = MemoryDisk()
    write_journal(disk, 30, committed=30)
    write_snapshots(disk, 20)
    store = SnapshotStore(disk, SNAPSHOTS)
    snapshot = store.load(20)
    first, *rest = snapshot.parts
    store.write(snapshot.header, [(2, *first[1:]), *rest])
    with pytest.raises(SnapshotError, match=rf"{store.path(20)}: .*version 2"):
        open_storage(disk)
    with pytest.raises(SnapshotError, match="version 2"):
        rebuild(disk, FOLDERS.wal, store, {})


def test_without_a_place_it_goes_as_far_as_entries_are_known_to_be_committed():
    for committed in (20, 33, LENGTH):
        disk = disk_with(15, committed=committed)
        rebuilt = rebuild(disk, FOLDERS.wal, SnapshotStore(disk, SNAPSHOTS), {})
        assert everything(rebuilt.replica) == STORY.live[committed]


def test_derivations_come_along_from_the_snapshot_or_from_the_beginning():
    disk = MemoryDisk()
    write_journal(disk, LENGTH, committed=LENGTH)
    store = SnapshotStore(disk, SNAPSHOTS)
    fresh = Counting()
    fresh.restore(None)
    make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 15, {"count": fresh}, [])
    resumed = Counting()
    rebuild(disk, FOLDERS.wal, store, {"count": resumed}, upto_index=30)
    assert resumed.events == STORY.next_event_seqs[30] - 1
    assert [batch.log_index for batch in resumed.batches] == list(range(16, 31))
    with pytest.raises(JournalError, match="holds nothing for 'book': made without it"):
        rebuild(disk, FOLDERS.wal, store, {"book": Counting()}, upto_index=30)


def test_what_cannot_be_reached_is_said():
    disk = disk_with(15, 28, first=15, committed=33)
    store = SnapshotStore(disk, SNAPSHOTS)
    with pytest.raises(JournalError, match="ends with entry 40, 41 was asked for"):
        rebuild(disk, FOLDERS.wal, store, {}, upto_index=41)
    last_event = STORY.next_event_seqs[33] - 1
    assert last_event + 1 < STORY.next_event_seqs[LENGTH]
    with pytest.raises(JournalError, match=f"committed is {last_event}, {last_event + 1} was ask"):
        rebuild(disk, FOLDERS.wal, store, {}, upto_event_seq=last_event + 1)
    with pytest.raises(JournalError, match="begins with entry 15, and no snapshot reaches that"):
        rebuild(disk, FOLDERS.wal, store, {}, upto_event_seq=1)


def test_nothing_is_changed_and_a_node_that_runs_is_no_obstacle():
    disk = disk_with(15, 28)
    storage = open_storage(disk)
    disk.calls.clear()
    assert rebuild(disk, FOLDERS.wal, SnapshotStore(disk, SNAPSHOTS), {}).entry[1] == LENGTH
    assert disk.calls == []
    storage.close()


def test_what_replay_shows_counts_orders_by_side():
    disk = disk_with(15)
    rebuilt = rebuild(disk, FOLDERS.wal, SnapshotStore(disk, SNAPSHOTS), {})
    shown = json.loads(json.dumps(describe(rebuilt)))
    assert (shown["log_index"], shown["snapshot_index"], shown["replayed_entries"]) == (40, 15, 25)
    assert shown["state_hash"] == STORY.hashes[LENGTH]
    assert shown["event_seq"] == STORY.next_event_seqs[LENGTH] - 1
    listed = sum(bids + asks for _, bids, asks, _, _ in shown["books"])
    assert listed == shown["open_orders"] > 0
    for _, bids, asks, best_bid, best_ask in shown["books"]:
        assert (best_bid is None) == (bids == 0)
        assert (best_ask is None) == (asks == 0)
        assert best_bid is None or best_ask is None or best_bid < best_ask


# --- the maker ------------------------------------------------------------------------------------


class BusyDisk(MemoryDisk):
    """The journal's node goes on writing: something happens before every look at the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    def _interrupt(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
            self.meanwhile = meanwhile

    def list_directory(self, path: Path) -> list[str]:
        self._interrupt()
        return super().list_directory(path)

    def read(self, path: Path) -> bytes:
        self._interrupt()
        return super().read(path)


def test_the_maker_reads_a_journal_that_is_being_written():
    disk = BusyDisk()
    journal = Journal(FOLDERS.wal, segment_bytes=SEGMENT_BYTES, disk=disk)
    STORY.write(journal, 1, 12)
    following = iter(range(13, LENGTH + 1))

    def write_on() -> None:
        index = next(following, None)
        if index is not None:
            STORY.write(journal, index, index)

    disk.meanwhile = write_on
    made = make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 12, {}, [])
    disk.meanwhile = None
    assert journal.last_index > 14
    assert made.index == 12
    assert made.state_hash == STORY.hashes[12]
    rebuilt = rebuild(disk, FOLDERS.wal, SnapshotStore(disk, SNAPSHOTS), {}, upto_index=12)
    assert everything(rebuilt.replica) == STORY.live[12]


def test_the_maker_reads_a_journal_whose_first_files_go_meanwhile():
    disk = BusyDisk()
    journal = Journal(FOLDERS.wal, segment_bytes=SEGMENT_BYTES, disk=disk)
    STORY.write(journal, 1, LENGTH)
    make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 20, {}, [])
    segments = len(disk.files(FOLDERS.wal))

    def trim() -> None:
        disk.meanwhile = None
        journal.trim(20)
        journal.flush_sync()

    countdown = iter(range(3))

    def trim_after_a_moment() -> None:
        if next(countdown, None) is None:
            trim()

    disk.meanwhile = trim_after_a_moment
    assert make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 33, {}, []).state_hash == STORY.hashes[33]
    assert len(disk.files(FOLDERS.wal)) < segments, "it did happen"


class TornReads(MemoryDisk):
    """The first `torn` reads of a segment show the end of a flush without its beginning."""

    torn = 0

    def read(self, path: Path) -> bytes:
        content = bytearray(super().read(path))
        if path.suffix == ".seg" and self.torn:
            self.torn -= 1
            end = len(content.rstrip(b"\0"))
            content[end - 200 : end - 100] = bytes(100)
        return bytes(content)


def test_a_flush_that_is_seen_in_part_is_looked_at_again_and_damage_is_not_for_ever():
    disk = TornReads()
    write_journal(disk, LENGTH, committed=LENGTH)
    disk.torn = 4
    assert make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 30, {}, []).state_hash == STORY.hashes[30]
    assert disk.torn == 0
    disk.torn = 1000
    with pytest.raises(JournalError, match=r"\.seg at byte"):
        make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 35, {}, [])


def test_a_snapshot_says_what_it_was_made_of_and_the_day_files_are_synced_first():
    disk = MemoryDisk()
    write_journal(disk, LENGTH)
    events = disk.create(FOLDERS.events / EVENT_FILE)
    events.write_at(0, b"handed to the operating system, not more")
    made = make_snapshot(disk, FOLDERS.wal, SNAPSHOTS, 30, {}, [FOLDERS.events])
    disk.lose_power()
    assert disk.files(FOLDERS.events) == {EVENT_FILE: b"handed to the operating system, not more"}
    snapshot = SnapshotStore(disk, SNAPSHOTS).load(30)
    assert (made.index, made.size, made.event_seq) == (
        30, snapshot.size, STORY.next_event_seqs[30] - 1,
    )  # fmt: skip
    header = snapshot.header
    assert (header.entry, header.log_index, header.term) == STORY.entries[30]
    assert header.next_event_seq == STORY.next_event_seqs[30]
    assert header.state_hash == made.state_hash == STORY.hashes[30]
    replica = rebuild(disk, FOLDERS.wal, SnapshotStore(disk, SNAPSHOTS), {}, upto_index=30).replica
    assert made.marks == [
        (name, mark.event_seq, mark.log_index, mark.state_hash)
        for name, mark in replica.marks.items()
    ]
    assert made.marks, "a story without a mark proves nothing"


# --- the maker as a process -----------------------------------------------------------------------


def real_folders(tmp_path: Path) -> NodeFolders:
    folders = NodeFolders(tmp_path / "node-1", {"itch": tmp_path / "node-1" / "itch"})
    journal = Journal(folders.wal)
    for index in range(1, 21):
        journal.add(*STORY.entries[index])
    journal._destroy()
    for folder in (folders.snapshots, *folders.day.values()):
        folder.mkdir(parents=True)
    return folders


def test_the_process_makes_the_snapshot_that_the_function_makes(tmp_path: Path):
    folders = real_folders(tmp_path)
    made = MakerProcess(folders, "").make(15)
    path = folders.snapshots / "00000000000000000015.snapshot"
    assert (made.index, made.size) == (15, path.stat().st_size)
    assert made.state_hash == STORY.hashes[15]
    content = path.read_bytes()
    again = make_snapshot(RealDisk(), folders.wal, folders.snapshots, 15, {}, [])
    assert path.read_bytes() == content
    assert again.marks == made.marks


def test_a_process_that_fails_says_why_in_one_sentence(tmp_path: Path):
    folders = real_folders(tmp_path)
    with pytest.raises(SnapshotError) as caught:
        MakerProcess(folders, "").make(21)
    assert str(caught.value) == (
        f"the snapshot after entry 21 was not made: {folders.wal}: ends with entry 20, 21 was "
        "asked for (exit code 1)"
    )
    assert list(folders.snapshots.iterdir()) == []


def test_a_process_whose_node_is_gone_ends(tmp_path: Path):
    folders = real_folders(tmp_path)
    arguments = [
        str(folders.wal),
        str(folders.snapshots),
        "15",
        "--derivations",
        "waits:derivations",
    ]
    (tmp_path / "waits.py").write_text(
        "import time\ndef derivations():\n    time.sleep(600)\n    return {}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "cluster.snapshot_maker", *arguments],
        stdin=subprocess.PIPE,
        env={"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"},
    ) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 1
    assert list(folders.snapshots.iterdir()) == []
