"""The power goes at any moment: what the real journal had written by then is enough to start again.

A run on the real disk notes every change that is made to its folder. Then, for every prefix of
these changes, the folder is made as a power loss at that moment would have left it (with all that
was not synced, without it, and with a part of it, some of it torn), and opened.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random

import pytest
from power_loss_lab import (
    Broken,
    Call,
    HastyDisk,
    Killed,
    Promises,
    RecordingDisk,
    Replay,
    check_every_moment,
    content_of,
    let_journals_take_notes,
    put,
)

from cluster.journal import Journal, JournalError

SEGMENT_BYTES = 2048


@pytest.fixture(autouse=True)
def _journals_take_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    let_journals_take_notes(monkeypatch)


class JournalRun:
    """A journal that lives through everything that can happen to one. Repeats from its seed."""

    def __init__(self, folder: Path, seed: int, left_out: frozenset[tuple[str, str]]) -> None:
        self.folder = folder
        self.disk = RecordingDisk(left_out)
        self.random = Random(seed)
        self.journal = self._open()
        self.kills = self.power_losses = self.truncations = self.trims = 0

    def _open(self) -> Journal:
        return Journal(self.folder / "wal", segment_bytes=SEGMENT_BYTES, disk=self.disk)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            if self.random.random() < 0.05:
                self.disk.kill_in = self.random.randrange(6)
            try:
                self._step()
            except Killed:
                self._start_again(power_loss=self.random.random() < 0.5)
        self.disk.kill_in = None
        self.journal._destroy()

    def _step(self) -> None:
        chance = self.random
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            self._change()
        job = self.journal.flush_begin()
        if job is not None:
            while chance.random() < 0.3:  # the loop goes on while the disk thread writes
                self._change()
            self.journal.flush_run(job)
            self.journal.flush_end(job)

    def _change(self) -> None:
        chance, journal = self.random, self.journal
        kind = chance.random()
        if kind < 0.65:
            payload = chance.randbytes(chance.choice((0, 10, 100, 100, 700)))
            journal.add(payload, journal.last_index + 1, max(1, journal.getCurrentTerm()))
            journal.setRaftCommitIndex(journal.durable_index)
        elif kind < 0.8:
            term, voted_for = journal.getCurrentTerm(), chance.choice(("1", "2", "3", None))
            gives_vote = journal.getVotedForNodeId() is None and voted_for is not None
            journal.setCurrentTerm(term if gives_vote else term + 1, voted_for)
        elif kind < 0.9:
            self.truncations += 1
            journal.deleteEntriesFrom(max(0, len(journal) - chance.randrange(5)))
        elif kind < 0.97:
            # a snapshot includes what is dropped, so that it must be durable
            durable = journal.durable_index - journal.first_index + 1
            if durable > 0:
                self.trims += 1
                journal.deleteEntriesTo(chance.randrange(durable + 1))
        elif kind < 0.98 and self._flush_is_over():
            journal.rebase(b"", journal.last_index + 10, journal.getCurrentTerm())

    def _flush_is_over(self) -> bool:
        return self.journal._running is None

    def _start_again(self, *, power_loss: bool) -> None:
        """The process was killed: the kernel still has all that was written, unless the power went
        as well."""
        self.disk.kill_in = None
        self.journal._writer.close()
        self.journal._lock.release()
        self.kills += 1
        if power_loss:
            self.power_losses += 1
            replay = Replay(self.folder)
            self.disk.calls.append(Call("lose_power", (self.random.getrandbits(32),)))
            for call in self.disk.calls:
                replay.step(call)
            put(dict(replay.images(0))["all"], self.folder)
        self.journal = self._open()


def check_journals(run: JournalRun, work: Path) -> int:
    """Every moment of a JournalRun. Raises Broken."""
    promises = Promises()

    def check(folder: Path) -> None:
        journal = Journal(folder / "wal", segment_bytes=SEGMENT_BYTES, disk=HastyDisk())
        try:
            promises.check(content_of(journal))
        finally:
            journal._destroy()

    return check_every_moment(
        run.disk, run.folder, work, lambda _, *what: promises.take(*what), check
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_journal_keeps_what_it_promised_whenever_the_power_goes(
    tmp_path: Path, seed: int
) -> None:
    run = JournalRun(tmp_path / "run", seed, frozenset())
    run.run(200)
    opened = check_journals(run, tmp_path / "work")
    made = {call.name for call in run.disk.calls}
    assert made >= {"create", "open", "write_at", "sync_data", "allocate", "rename", "remove"}
    assert min(run.kills, run.power_losses, run.truncations, run.trims) > 0
    assert opened > 1000, "the run is too tame to prove anything"


def test_a_name_that_was_not_synced_when_the_process_was_killed_is_synced_by_the_next_one(
    tmp_path: Path,
) -> None:
    """(1) A segment gets its name, and the process is killed before the directory is synced; (2)
    the next one finds the segment, writes to it, syncs it, and promises; (3) the power goes, and
    the name with it."""
    run = JournalRun(tmp_path / "run", 0, frozenset())
    run.journal.add(b"never promised", 1, 1)
    run.disk.kill_in = 5
    with pytest.raises(Killed):
        run.journal.flush_sync()
    assert run.disk.calls[-1].name == "rename"
    run._start_again(power_loss=False)
    run.journal.add(b"promised", 1, 1)
    run.journal.flush_sync()
    run.journal._destroy()
    check_journals(run, tmp_path / "work")


@pytest.mark.parametrize(
    "left_out",
    [
        ("append", "sync_data"),
        ("_begin_segment", "sync_data"),
        ("_begin_segment", "sync_directory"),
        ("remove_below", "sync_directory"),
        ("resume", "sync_data"),
        ("resume", "write_at"),
    ],
    ids="-".join,
)
def test_a_call_that_is_left_out_is_noticed(tmp_path: Path, left_out: tuple[str, str]) -> None:
    for seed in range(1, 20):
        folder = tmp_path / str(seed)
        run = JournalRun(folder / "run", seed, frozenset([left_out]))
        with contextlib.suppress(JournalError):  # the run itself may not survive it
            run.run(200)
        assert run.disk.left_out_calls
        try:
            check_journals(run, folder / "work")
        except Broken:
            return
    pytest.fail(f"nobody notices that {left_out} is missing")
