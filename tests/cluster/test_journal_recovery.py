"""What the journal makes of a disk that lost, tore or flipped something."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cluster.journal import Entry, Journal, JournalError
from cluster.segment import MARK_BYTES
from exchange.simulation.disk import PowerLoss, SimulatedDisk

WAL = Path("wal")
SEGMENT_BYTES = 512


class Content(NamedTuple):
    """Everything that a journal says."""

    entries: tuple[Entry, ...]
    first_index: int
    term: int
    voted_for: str | None


def content_of(journal: Journal) -> Content:
    return Content(
        tuple(journal[:]),
        journal.first_index,
        journal.getCurrentTerm(),
        journal.getVotedForNodeId(),
    )


def reopen(disk: SimulatedDisk) -> Journal:
    return Journal(WAL, segment_bytes=SEGMENT_BYTES, disk=disk)


def small_journal() -> tuple[SimulatedDisk, Content]:
    """Three segments with every kind of record, all synced, the process killed."""
    disk = SimulatedDisk(Random(3))
    journal = reopen(disk)
    journal.add(b"\x01", 1, 0)
    journal.setCurrentTerm(1, "2")
    journal.flush_sync()
    for index in range(2, 12):
        journal.add(b"command %d" % index, index, 1)
        journal.flush_sync()
    journal.deleteEntriesFrom(9)
    journal.setCurrentTerm(2, None)
    journal.add(b"instead", 10, 2)
    journal.deleteEntriesTo(2)
    journal.flush_sync()
    journal.add(b"the last", 11, 2)
    journal.setRaftCommitIndex(10)
    journal.flush_sync()
    disk.locked = False
    assert len(disk.names) >= 3
    return disk, content_of(journal)


def with_byte(content: bytes, offset: int, value: int) -> bytes:
    return content[:offset] + bytes([value]) + content[offset + 1 :]


def test_a_single_flipped_bit_never_loses_a_synced_entry_or_vote() -> None:
    disk, promised = small_journal()
    refused = kept = 0
    for name in list(disk.names):
        content = disk.content(name)
        for offset in range(len(content)):
            for bit in range(8):
                damaged = disk.copy()
                damaged.set_content(name, with_byte(content, offset, content[offset] ^ 1 << bit))
                try:
                    found = content_of(reopen(damaged))
                except JournalError:
                    refused += 1
                else:
                    assert found == promised, f"{name} byte {offset} bit {bit}"
                    kept += 1
    assert refused > 3000, "flips in records are noticed"
    assert kept > 500, "flips in the unused end of a file do no harm"


def test_a_flip_in_a_flush_that_was_never_confirmed_loses_nothing_before_it() -> None:
    disk, promised = small_journal()
    journal = reopen(disk)
    for index in (12, 13, 14):
        journal.add(b"not confirmed", index, 2)
    disk.fail_in = 1  # the write is done, the sync is not
    with pytest.raises(PowerLoss):
        journal.flush_sync()
    disk.fail_in = None
    disk.locked = False
    disk, unconfirmed = disk.copy(), content_of(journal)
    name = max(disk.names)
    content = disk.content(name)
    assert content_of(reopen(disk.copy())) == unconfirmed, "all of it happened to reach the disk"
    begin = content.index(b"not confirmed") - 25
    lost = 0
    for offset in range(begin, begin + 3 * 38):
        for bit in range(8):
            damaged = disk.copy()
            damaged.set_content(name, with_byte(content, offset, content[offset] ^ 1 << bit))
            found = content_of(reopen(damaged))
            assert found.entries[: len(promised.entries)] == promised.entries
            assert unconfirmed.entries[: len(found.entries)] == found.entries
            lost += found != unconfirmed
    assert lost == 3 * 38 * 8


def test_a_shortened_file_is_refused_at_every_length() -> None:
    disk, _ = small_journal()
    for name in list(disk.names):
        content = disk.content(name)
        for length in range(len(content)):
            damaged = disk.copy()
            damaged.set_content(name, content[:length])
            with pytest.raises(JournalError, match=name):
                reopen(damaged)


def test_a_torn_last_mark_loses_nothing() -> None:
    disk, promised = small_journal()
    name = max(disk.names)
    content = disk.content(name)
    used = len(content.rstrip(b"\0"))
    for length in range(used - MARK_BYTES, used):
        damaged = disk.copy()
        damaged.set_content(name, content[:length] + bytes(len(content) - length))
        assert content_of(reopen(damaged)) == promised


def test_a_hole_of_zeros_in_front_of_the_last_mark_is_refused() -> None:
    disk, _ = small_journal()
    for name in list(disk.names):
        content = disk.content(name)
        used = len(content.rstrip(b"\0")) - MARK_BYTES
        for offset in range(0, used, 7):
            end = min(offset + 40, used)
            damaged = disk.copy()
            with_hole = content[:offset] + bytes(end - offset) + content[end:]
            if with_hole == content:
                continue
            damaged.set_content(name, with_hole)
            with pytest.raises(JournalError, match=name):
                reopen(damaged)


def test_a_missing_file_is_refused() -> None:
    disk, _ = small_journal()
    for name in sorted(disk.names)[:-1]:
        damaged = disk.copy()
        del damaged.names[name]
        with pytest.raises(JournalError, match=r"missing|in none of the files"):
            reopen(damaged)


def test_a_file_of_another_node_is_refused() -> None:
    disk, _ = small_journal()
    other = SimulatedDisk(Random(0))
    journal = reopen(other)
    for index in range(1, 40):
        journal.add(b"of another", index, 1)
        journal.flush_sync()
    name = sorted(disk.names)[1]
    disk.set_content(name, other.content(name))
    with pytest.raises(JournalError, match=f"{name}.*but the files before it end with"):
        reopen(disk)


def test_damage_in_a_file_that_is_not_the_last_is_refused_even_in_its_last_mark() -> None:
    disk, _ = small_journal()
    name = sorted(disk.names)[1]
    content = disk.content(name)
    disk.set_content(name, with_byte(content, len(content.rstrip(b"\0")) - 1, 0))
    with pytest.raises(JournalError, match=name):
        reopen(disk)


def test_the_message_about_damage_says_where_and_what_to_do() -> None:
    disk, _ = small_journal()
    name = min(disk.names)
    content = disk.content(name)
    offset = content.index(b"command 5")
    disk.set_content(name, with_byte(content, offset, 0))
    with pytest.raises(JournalError) as caught:
        reopen(disk)
    text = str(caught.value)
    assert f"{name} at byte {offset - 25}: record checksum is" in text
    assert "synced data follows it" in text
    assert "The other nodes hold the data" in text
    assert "start this node with an empty folder" in text


def test_a_torn_flush_with_a_hole_in_it_is_cut_at_the_hole() -> None:
    disk, promised = small_journal()
    journal = reopen(disk)
    for index in (12, 13, 14):
        journal.add(b"x" * 20, index, 2)
    disk.fail_in = 1
    with pytest.raises(PowerLoss):
        journal.flush_sync()
    disk = disk.copy()
    name = max(disk.names)
    content = disk.content(name)
    hole = content.index(b"x" * 20) + 45  # the second of the three
    disk.set_content(name, content[:hole] + bytes(10) + content[hole + 10 :])
    again = reopen(disk)
    assert content_of(again).entries == (*promised.entries, (b"x" * 20, 12, 2))
    assert again.durable_index == 12
    # the third was whole: it must not come back behind a record that fits into the hole
    again.add(b"y" * 20, 13, 3)
    again.flush_sync()
    assert reopen(disk.copy())[-1] == (b"y" * 20, 13, 3)


def test_a_torn_tail_is_wiped_durably_before_anything_is_written_over_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk, promised = small_journal()
    journal = reopen(disk)
    journal.add(b"x" * 20, 12, 2)
    journal.add(b"x" * 20, 13, 2)
    disk.fail_in = 1
    with pytest.raises(PowerLoss):
        journal.flush_sync()
    disk = disk.copy()
    name = max(disk.names)
    content = disk.content(name)
    disk.set_content(name, with_byte(content, content.index(b"x" * 20), 0))
    assert content_of(reopen(disk)) == promised
    disk.lose_power()
    assert b"x" not in disk.content(name)
    assert f"{name}: the last write before the crash was torn" in caplog.text


def test_what_opening_found_is_promised_from_then_on() -> None:
    disk, promised = small_journal()
    name = max(disk.names)
    content = disk.content(name)
    used = len(content.rstrip(b"\0"))
    disk.set_content(name, content[: used - MARK_BYTES] + bytes(len(content) - used + MARK_BYTES))
    assert content_of(reopen(disk)) == promised  # the last mark was lost with the power
    disk.lose_power()
    content = disk.content(name)
    disk.set_content(name, with_byte(content, content.index(b"the last"), 0))
    with pytest.raises(JournalError, match="synced data follows it"):
        reopen(disk)


def test_what_only_the_kernel_had_is_synced_when_the_journal_is_opened() -> None:
    disk = SimulatedDisk(Random(0))
    journal = reopen(disk)
    journal.add(b"one", 1, 1)
    journal.flush_sync()
    journal.add(b"two", 2, 1)
    disk.fail_in = 1
    with pytest.raises(PowerLoss):
        journal.flush_sync()  # the process is killed between write and sync; the kernel goes on
    disk.fail_in = None
    disk.locked = False
    journal = reopen(disk)
    assert journal.durable_index == 2
    for _ in range(20):
        disk.lose_power()
        journal = reopen(disk)
        assert journal.last_index == 2


class JournalOnABadDisk(RuleBasedStateMachine):
    """The journal against a list, with the power going at any call to the disk.

    `states` are all states since the last confirmed flush, that one first. After a power loss the
    journal must be in one of them: nothing confirmed is lost, nothing is there in another order.
    """

    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.disk = SimulatedDisk(Random(seed))
        self.journal = reopen(self.disk)
        self.now = Content((), 1, 0, None)
        self.states = [self.now]

    def _goes_on(self, now: Content) -> None:
        self.now = now
        self.states.append(now)
        assert content_of(self.journal) == now
        assert self.journal.last_index == now.first_index + len(now.entries) - 1
        assert self.journal.last_term == (now.entries[-1][2] if now.entries else 0)

    @rule(command=st.binary(max_size=300), count=st.integers(1, 3))
    def add(self, command: bytes, count: int) -> None:
        for _ in range(count):
            index = self.now.first_index + len(self.now.entries)
            self.journal.add(command, index, self.now.term)
            entries = (*self.now.entries, (command, index, self.now.term))
            self._goes_on(self.now._replace(entries=entries))

    @rule(voted_for=st.sampled_from([None, "1", "2"]), step=st.integers(0, 1))
    def vote(self, voted_for: str | None, step: int) -> None:
        self.journal.setCurrentTerm(self.now.term + step, voted_for)
        self._goes_on(self.now._replace(term=self.now.term + step, voted_for=voted_for))

    @rule(index=st.integers(0, 60))
    def commit(self, index: int) -> None:
        self.journal.setRaftCommitIndex(index)

    @rule(count=st.integers(1, 3))
    def truncate(self, count: int) -> None:
        kept = max(0, len(self.now.entries) - count)
        self.journal.deleteEntriesFrom(kept)
        self._goes_on(self.now._replace(entries=self.now.entries[:kept]))

    @rule(count=st.integers(1, 6))
    def drop(self, count: int) -> None:
        count = min(count, len(self.now.entries))
        self.journal.deleteEntriesTo(count)
        first_index = self.now.first_index + count
        self._goes_on(self.now._replace(entries=self.now.entries[count:], first_index=first_index))

    @rule(index=st.integers(1, 50))
    def rebase(self, index: int) -> None:
        self.journal.clear()
        self._goes_on(self.now._replace(entries=(), first_index=1))
        self.journal.add(b"base", index, self.now.term)
        entry = (b"base", index, self.now.term)
        self._goes_on(self.now._replace(entries=(entry,), first_index=index))

    @rule()
    def flush(self) -> None:
        self.journal.flush_sync()
        self._confirmed()

    def _confirmed(self) -> None:
        assert self.journal.durable_index == self.journal.last_index
        assert self.journal.durable_term_vote == (self.now.term, self.now.voted_for)
        self.states = [self.now]

    @rule(command=st.binary(max_size=300))
    def flush_while_an_entry_is_added(self, command: bytes) -> None:
        job = self.journal.flush_begin()
        submitted = len(self.states) - 1
        durable = self.journal.last_index
        self.add(command, 1)
        if job is not None:
            self.journal.flush_run(job)
            self.journal.flush_end(job)
            del self.states[:submitted]
            assert self.journal.durable_index == durable

    @rule()
    def restart(self) -> None:
        self.journal._destroy()
        self.journal = reopen(self.disk)
        self._confirmed()
        assert content_of(self.journal) == self.now

    @rule(calls=st.integers(0, 12))
    def lose_power_in_a_flush(self, calls: int) -> None:
        self.disk.fail_in = calls
        with suppress(PowerLoss):
            self.journal.flush_sync()
            self._confirmed()
        self._lose_power()

    @rule()
    def lose_power(self) -> None:
        del self.states[1:]  # nothing since the last flush was even submitted
        self._lose_power()

    @rule(calls=st.integers(0, 5))
    def lose_power_while_opening(self, calls: int) -> None:
        self.lose_power_in_a_flush(1)
        self.disk.locked = False
        self.disk.fail_in = calls
        with suppress(PowerLoss):
            reopen(self.disk)
        self._lose_power()

    def _lose_power(self) -> None:
        self.disk.lose_power()
        self.journal = reopen(self.disk)
        found = content_of(self.journal)
        assert found in self.states
        self.now = found
        self._confirmed()


JournalOnABadDisk.TestCase.settings = settings(
    max_examples=250,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestJournalOnABadDisk: Callable[..., object] = JournalOnABadDisk.TestCase
