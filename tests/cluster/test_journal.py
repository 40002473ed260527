"""What the journal does on a disk that works, and how it refuses."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from crc32c import crc32c

from cluster.disk import RealDisk
from cluster.journal import Journal, JournalError
from cluster.segment import scan_segment
from exchange.simulation.disk import PowerLoss, SimulatedDisk

WAL = Path("wal")


def journal_with(disk: SimulatedDisk, count: int, segment_bytes: int = 4096) -> Journal:
    """A journal whose entries 1..count are flushed one by one."""
    journal = Journal(WAL, segment_bytes=segment_bytes, disk=disk)
    for index in range(1, count + 1):
        journal.add(b"command %d" % index, index, 1)
        journal.flush_sync()
    return journal


def new_disk() -> SimulatedDisk:
    return SimulatedDisk(Random(1))


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "node-1" / "wal")
    assert len(journal) == 0
    assert (journal.first_index, journal.last_index, journal.last_term) == (1, 0, 0)
    assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (0, None)
    assert journal.durable_index == 0
    assert journal.durable_term_vote == (0, None)
    assert journal.getRaftCommitIndex() == 1
    assert not journal.needs_sync()
    assert journal.flush_begin() is None
    journal._destroy()


def test_entries_and_vote_come_back_from_a_real_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=8192)
    journal.add(b"\x01", 1, 0)
    journal.add(b"", 2, 3)
    journal.add(bytes(range(256)) * 4096, 3, 3)  # 1 MiB: larger than a segment
    journal.setCurrentTerm(4, "nöde-2")
    journal.flush_sync()
    journal._destroy()
    again = Journal(tmp_path, segment_bytes=8192)
    assert again[:] == [(b"\x01", 1, 0), (b"", 2, 3), (bytes(range(256)) * 4096, 3, 3)]
    assert all(type(entry) is tuple for entry in again[:])
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (4, "nöde-2")
    assert again.durable_index == 3
    assert again.durable_term_vote == (4, "nöde-2")
    again._destroy()


def test_positions_and_indexes_are_two_things() -> None:
    journal = journal_with(new_disk(), 10)
    journal.deleteEntriesTo(3)
    assert journal.first_index == 4
    assert journal[0] == (b"command 4", 4, 1)
    assert journal[-1] == (b"command 10", 10, 1)
    assert [index for _, index, _ in journal[1:3]] == [5, 6]
    assert journal.entry(4) == (b"command 4", 4, 1)
    assert (journal.term_at(3), journal.term_at(4), journal.term_at(11)) == (None, 1, None)
    with pytest.raises(IndexError, match="holds 4 to 10"):
        journal.entry(3)
    journal.deleteEntriesFrom(2)
    assert [index for _, index, _ in journal[:]] == [4, 5]
    assert journal.last_index == 5


def test_an_index_out_of_turn_is_a_bug() -> None:
    journal = journal_with(new_disk(), 3)
    with pytest.raises(AssertionError, match="5 was added where 4 comes next"):
        journal.add(b"", 5, 1)


def test_nothing_is_durable_before_the_flush_ends() -> None:
    journal = Journal(WAL, disk=new_disk())
    journal.add(b"a", 1, 1)
    journal.setCurrentTerm(1, "2")
    assert journal.needs_sync()
    job = journal.flush_begin()
    assert job is not None
    assert not journal.needs_sync()
    assert (journal.durable_index, journal.durable_term_vote) == (0, (0, None))
    journal.flush_run(job)
    assert (journal.durable_index, journal.durable_term_vote) == (0, (0, None))
    journal.flush_end(job)
    assert (journal.durable_index, journal.durable_term_vote) == (1, (1, "2"))


def test_a_vote_that_did_not_change_needs_no_flush() -> None:
    journal = Journal(WAL, disk=new_disk())
    journal.setCurrentTerm(1, "2")
    journal.flush_sync()
    journal.setCurrentTerm(1, "2")
    assert not journal.needs_sync()
    journal.setCurrentTerm(1, None)
    assert journal.needs_sync()


def test_an_entry_rewritten_while_a_flush_runs_does_not_count_as_durable() -> None:
    journal = journal_with(new_disk(), 2)
    for index in (3, 4, 5):
        journal.add(b"old", index, 1)
    job = journal.flush_begin()
    assert job is not None
    journal.flush_run(job)
    journal.deleteEntriesFrom(3)  # 4 and 5 go, 3 stays
    journal.add(b"new", 4, 2)
    journal.flush_end(job)
    assert journal.durable_index == 3
    journal.flush_sync()
    assert journal.durable_index == 4


def test_a_cleared_log_is_not_durable_by_an_older_flush() -> None:
    journal = journal_with(new_disk(), 9)
    journal.add(b"old", 10, 1)
    job = journal.flush_begin()
    assert job is not None
    journal.clear()
    assert journal.durable_index == 0
    journal.add(b"base", 8, 2)
    journal.add(b"base", 9, 2)
    journal.flush_run(job)
    journal.flush_end(job)
    assert journal.durable_index == 0
    journal.flush_sync()
    assert journal.durable_index == 9


def test_a_log_emptied_from_the_front_may_go_on_at_a_lower_index() -> None:
    journal = journal_with(new_disk(), 9)
    journal.deleteEntriesTo(9)
    assert (len(journal), journal.durable_index) == (0, 9)
    journal.add(b"", 5, 2)
    assert journal.durable_index == 4
    journal.flush_sync()
    assert journal.durable_index == 5


def test_one_flush_is_one_write_and_one_sync_and_a_mark() -> None:
    disk = new_disk()
    journal = journal_with(disk, 1, segment_bytes=1 << 20)
    disk.calls.clear()
    for index in range(2, 1002):
        journal.add(b"x" * 100, index, 1)
    journal.flush_sync()
    assert disk.calls == ["write", "sync", "write"]
    assert journal.fsync_count == 2


def test_segments_have_the_size_that_was_asked_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=1024)
    for index in range(1, 31):
        journal.add(b"x" * 100, index, 1)
        journal.flush_sync()
    sizes = {path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {1024}
    assert 30 * 100 < journal.bytes_on_disk <= 1024 * len(list(tmp_path.iterdir()))
    journal._destroy()


def test_old_segments_go_when_their_entries_are_not_needed_and_the_vote_stays() -> None:
    disk = new_disk()
    journal = Journal(WAL, segment_bytes=512, disk=disk)
    journal.setCurrentTerm(7, "3")
    for index in range(1, 41):
        journal.add(b"x" * 50, index, 7)
        journal.flush_sync()
    before = len(disk.names)
    journal.deleteEntriesTo(35)
    assert len(disk.names) == before, "removed before the record that says so is on disk"
    journal.flush_sync()
    assert len(disk.names) < before / 3
    journal._destroy()
    again = Journal(WAL, segment_bytes=512, disk=disk)
    assert [index for _, index, _ in again[:]] == [36, 37, 38, 39, 40]
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "3")


@pytest.mark.parametrize("count", range(1, 13))
def test_a_segment_goes_only_when_no_entry_of_it_is_needed(count: int) -> None:
    disk = new_disk()
    journal = journal_with(disk, 12, segment_bytes=256)
    expected = journal[count:]
    journal.deleteEntriesTo(count)
    journal.flush_sync()
    journal._destroy()
    again = Journal(WAL, segment_bytes=256, disk=disk)
    assert again[:] == expected
    assert again.first_index == count + 1


@pytest.mark.parametrize("call", range(24))
def test_power_loss_while_segments_are_removed_leaves_an_unbroken_row(call: int) -> None:
    for seed in range(5):
        disk = SimulatedDisk(Random(seed))
        journal = journal_with(disk, 30, segment_bytes=256)
        expected = journal[25:]
        journal.deleteEntriesTo(25)
        disk.fail_in = call
        with suppress(PowerLoss):
            journal.flush_sync()
        disk.lose_power()
        again = Journal(WAL, segment_bytes=256, disk=disk)
        assert again[-5:] == expected
        assert again.first_index in {1, 26}


def test_what_is_committed_is_known_again_as_of_the_last_flush() -> None:
    disk = new_disk()
    journal = journal_with(disk, 9, segment_bytes=512)
    assert journal.recovered_commit_index == 0
    journal.setRaftCommitIndex(8)
    assert not journal.needs_sync(), "it is not worth a flush of its own"
    journal.add(b"x", 10, 1)
    journal.flush_sync()
    journal.setRaftCommitIndex(10)
    disk.locked = False  # the process is killed
    again = Journal(WAL, segment_bytes=512, disk=disk)
    assert again.recovered_commit_index == 8
    assert again.getRaftCommitIndex() == 1
    again.setRaftCommitIndex(9)
    again._destroy()
    assert Journal(WAL, segment_bytes=512, disk=disk).recovered_commit_index == 9


def test_what_is_committed_survives_the_removal_of_the_segment_that_says_so() -> None:
    disk = new_disk()
    journal = journal_with(disk, 9, segment_bytes=512)
    journal.setRaftCommitIndex(9)
    for index in range(10, 40):
        journal.add(b"x", index, 1)
        journal.flush_sync()
    journal.deleteEntriesTo(35)
    journal.flush_sync()
    assert "wal/000000000002.seg" not in disk.names
    disk.locked = False
    assert Journal(WAL, segment_bytes=512, disk=disk).recovered_commit_index == 9


def test_what_is_committed_never_reaches_beyond_the_log() -> None:
    disk = new_disk()
    journal = journal_with(disk, 5)
    journal.setRaftCommitIndex(5)
    journal.deleteEntriesFrom(3)
    journal._destroy()
    assert Journal(WAL, segment_bytes=4096, disk=disk).recovered_commit_index == 3


def test_a_truncation_below_the_first_segment_that_is_left_is_read_back() -> None:
    disk = new_disk()
    journal = journal_with(disk, 12, segment_bytes=256)
    journal.deleteEntriesFrom(3)
    for index in range(4, 21):
        journal.add(b"new %d" % index, index, 2)
        journal.flush_sync()
    journal.deleteEntriesTo(15)
    journal.flush_sync()
    journal._destroy()
    again = Journal(WAL, segment_bytes=256, disk=disk)
    assert again[:] == [(b"new %d" % index, index, 2) for index in range(16, 21)]


def test_opening_again_and_again_does_not_grow_the_journal() -> None:
    disk = new_disk()
    journal_with(disk, 3)._destroy()
    used = []
    for _ in range(3):
        journal = Journal(WAL, segment_bytes=4096, disk=disk)
        used.append(journal.bytes_on_disk)
        journal._destroy()
    assert used[0] == used[2]
    assert list(disk.names) == ["wal/000000000001.seg"]


def test_destroy_flushes_what_is_left_and_refuses_what_comes_after() -> None:
    disk = new_disk()
    journal = Journal(WAL, disk=disk)
    journal.add(b"last words", 1, 1)
    journal._destroy()
    journal._destroy()
    with pytest.raises(JournalError, match="closed"):
        journal.add(b"", 2, 1)
    assert Journal(WAL, disk=disk)[0] == (b"last words", 1, 1)


def test_two_journals_never_share_a_directory(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(JournalError, match="another process uses this journal"):
        Journal(tmp_path)
    program = f"""
import sys
from pathlib import Path
from cluster.journal import Journal, JournalError
try:
    Journal(Path({str(tmp_path)!r}))
except JournalError as error:
    sys.exit(str(error))
"""
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "another process uses this journal" in run.stderr
    journal._destroy()
    Journal(tmp_path)._destroy()


def test_a_newer_format_is_refused_with_a_clear_sentence() -> None:
    disk = new_disk()
    journal_with(disk, 1)._destroy()
    content = bytearray(disk.content("wal/000000000001.seg"))
    content[8] = 2
    disk.set_content("wal/000000000001.seg", bytes(content))
    with pytest.raises(JournalError, match=r"format version 2.*newer program") as caught:
        Journal(WAL, disk=disk)
    assert "000000000001.seg" in str(caught.value)


def test_a_record_of_a_newer_program_is_refused_and_not_cut_off() -> None:
    disk = new_disk()
    journal = journal_with(disk, 1)
    end = journal.bytes_on_disk
    journal._destroy()
    content = bytearray(disk.content("wal/000000000001.seg"))
    body = b"\x11\0\0\0" + bytes([99]) + bytes(16)
    content[end : end + 25] = crc32c(body).to_bytes(4, "little") + body
    disk.set_content("wal/000000000001.seg", bytes(content))
    with pytest.raises(JournalError, match=rf"at byte {end}: record kind 99.*newer program"):
        Journal(WAL, disk=disk)


@pytest.mark.parametrize(
    ("code", "says"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "may be failing")]
)
@pytest.mark.parametrize("call", range(10))
def test_after_a_failed_write_or_sync_the_journal_refuses_every_change(
    code: int, says: str, call: int
) -> None:
    disk = new_disk()
    journal = journal_with(disk, 4, segment_bytes=240)
    disk.failure = OSError(code, "no")
    journal.add(b"x" * 100, 5, 1)
    job = journal.flush_begin()  # needs a new segment: sync, create, allocate, write, sync, ...
    assert job is not None
    disk.fail_in = call
    with pytest.raises(JournalError, match=says) as caught:
        journal.flush_run(job)
    assert "wal" in str(caught.value)
    disk.fail_in = None
    disk.calls.clear()
    for refused in (
        lambda: journal.add(b"", 6, 1),
        lambda: journal.setCurrentTerm(9, None),
        lambda: journal.deleteEntriesFrom(0),
        lambda: journal.deleteEntriesTo(1),
        journal.clear,
        journal.flush_begin,
        journal.flush_sync,
        lambda: journal.flush_run(job),
        lambda: journal.flush_end(job),
    ):
        with pytest.raises(JournalError, match=says):
            refused()
    assert journal.durable_index == 4
    journal._destroy()
    assert disk.calls == [], "a sync that failed must never be tried again"
    assert len(Journal(WAL, segment_bytes=240, disk=disk)) >= 4


def test_a_flush_runs_on_another_thread_while_entries_come_and_go(tmp_path: Path) -> None:
    random = Random(5)
    journal = Journal(tmp_path, segment_bytes=4096)
    journal.add(b"\x01", 1, 0)
    model = [(b"\x01", 1, 0)]
    durable: list[tuple[bytes, int, int]] = []
    for term in range(1, 120):
        job = journal.flush_begin()
        assert job is not None
        durable = list(model)
        thread = threading.Thread(target=journal.flush_run, args=(job,))
        thread.start()
        kept = random.randint(max(1, len(model) - 5), len(model))
        journal.deleteEntriesFrom(kept)
        del model[kept:]
        for index in range(kept + 1, kept + random.randint(2, 40)):
            entry = (random.randbytes(random.randint(0, 60)), index, term)
            journal.add(*entry)
            model.append(entry)
        thread.join()
        journal.flush_end(job)
        assert journal.durable_index == kept, "what was cut off was rewritten after the flush"
        assert model[: journal.durable_index] == durable[: journal.durable_index]
    assert journal[:] == model
    journal._destroy()
    again = Journal(tmp_path, segment_bytes=4096)
    assert again[:] == model
    again._destroy()


def test_every_segment_on_a_real_disk_ends_with_zeros(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=1 << 16)
    journal.add(b"x", 1, 1)
    journal.flush_sync()
    scan = scan_segment(RealDisk().read(tmp_path / "000000000001.seg"), 1)
    assert scan.damage is None
    assert scan.end == journal.bytes_on_disk
    journal._destroy()
