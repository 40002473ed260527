"""Numbered events: appended in order, read from any number, from memory or from the files."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from random import Random

import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.day_files import BLOCK_BYTES
from cluster.disk import RealDisk, RealDiskFile
from cluster.event_store import EVENT_FILES, EventStore, EventStoreError
from cluster.interface import AppliedBatch
from cluster.segment import JournalError
from oms.events import BookAdded, EventKind, OrderStatusReported


def events_of(count: int, seed: int = 0) -> list[tuple[object, ...]]:
    random = Random(seed)
    return [
        BookAdded(
            EventKind.BOOK_ADDED, "", random.randrange(9), random.getrandbits(63), 1, 100, 1_000_000
        )
        for _ in range(count)
    ]


def filled(store: EventStore, counts: list[int]) -> list[AppliedBatch]:
    """Append batches of these many events; returns those that have any."""
    batches = []
    for position, count in enumerate(counts):
        batch = AppliedBatch(
            position + 2, 3, 1_700_000_000 * 10**9, store.next_event_seq, events_of(count, position)
        )
        store.append(batch)
        if count:
            batches.append(batch)
    return batches


def expected(
    batches: list[AppliedBatch], event_seq: int, max_events: int | None
) -> list[AppliedBatch]:
    """By the words of the contract."""
    found: list[AppliedBatch] = []
    for batch in batches:
        if max_events is not None and sum(len(b.events) for b in found) >= max_events:
            break
        if batch.first_event_seq + len(batch.events) > event_seq:
            found.append(batch)
    return found


@given(
    counts=st.lists(st.integers(0, 5), max_size=60),
    recent_records=st.integers(1, 10),
    recent_events=st.integers(1, 20),
    block_bytes=st.sampled_from([1, 200, 1000, 1 << 20]),
    segment_bytes=st.sampled_from([1, 700, 3000, 1 << 20]),
    data=st.data(),
)
@settings(max_examples=120, deadline=None)
def test_every_batch_can_be_read_from_every_number_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    recent_records: int,
    recent_events: int,
    block_bytes: int,
    segment_bytes: int,
    data: st.DataObject,
) -> None:
    store = EventStore(
        tmp_path_factory.mktemp("events"),
        recent_records=recent_records,
        recent_events=recent_events,
        block_bytes=block_bytes,
        segment_bytes=segment_bytes,
    )
    batches = filled(store, counts)
    assert store.next_event_seq == 1 + sum(counts)
    assert list(store.read_from(1)) == batches
    for _ in range(5):
        event_seq = data.draw(st.integers(1, store.next_event_seq + 2))
        max_events = data.draw(st.none() | st.integers(0, 12))
        found = list(store.read_from(event_seq, max_events))
        assert found == expected(batches, event_seq, max_events)
    store.close()


@given(
    lives=st.lists(
        st.tuples(st.lists(st.integers(0, 4), max_size=30), st.floats(0, 1)), min_size=2, max_size=5
    ),
    block_bytes=st.sampled_from([1, 300, 2000]),
    segment_bytes=st.sampled_from([1, 700, 3000, 1 << 20]),
    is_killed=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_store_goes_on_where_a_snapshot_says(
    tmp_path_factory: pytest.TempPathFactory,
    lives: list[tuple[list[int], float]],
    block_bytes: int,
    segment_bytes: int,
    is_killed: bool,
) -> None:
    """Several lives, each cut back to some batch that was flushed, and other events after it."""
    folder = tmp_path_factory.mktemp("events")
    kept: list[AppliedBatch] = []
    next_event_seq = 1
    for counts, part in lives:
        store = EventStore(
            folder,
            resume_at=next_event_seq,
            block_bytes=block_bytes,
            segment_bytes=segment_bytes,
            recent_records=1,
        )
        assert store.next_event_seq == next_event_seq
        assert store.first_event_seq == 1
        assert list(store.read_from(1)) == kept
        kept += filled(store, counts)
        assert list(store.read_from(1)) == kept
        snapshot = round(part * len(kept))
        store.flush()
        filled(store, [1] * 3)  # what comes after the snapshot may reach the files or not
        if not is_killed:
            store.close()
        kept = kept[:snapshot]
        next_event_seq = kept[-1].first_event_seq + len(kept[-1].events) if kept else 1


def test_chunks_put_together_are_everything(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_records=10)
    batches = filled(store, [Random(1).randrange(50) for _ in range(400)])
    found: list[AppliedBatch] = []
    event_seq = 1
    while chunk := list(store.read_from(event_seq, 100)):
        assert sum(len(batch.events) for batch in chunk) < 100 + 50
        found += chunk
        event_seq = chunk[-1].first_event_seq + len(chunk[-1].events)
    assert found == batches
    assert event_seq == store.next_event_seq
    store.close()


def test_events_from_the_file_are_plain_tuples_with_the_same_values(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_records=1)
    event = OrderStatusReported(
        EventKind.ORDER_STATUS_REPORTED, "CLIENT1", "ä-1", 7, "ACC1", "AAPL",
        1, 2, 0, 100, 1_000_000, 0, 100, 2**63, 0, 9,
    )  # fmt: skip
    store.append(AppliedBatch(2, 1, 5, 1, [event]))
    for number in range(2, 10):
        store.append(AppliedBatch(1 + number, 1, 5, number, [event]))
    first = next(store.read_from(1))
    assert first == AppliedBatch(2, 1, 5, 1, [event])
    assert type(first.events[0]) is tuple
    assert type(first.events) is list
    store.close()


def test_a_read_ends_where_the_store_ended_when_it_began(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_records=2)
    batches = filled(store, [3] * 20)
    found = []
    for batch in store.read_from(1):
        found.append(batch)
        filled(store, [1, 1])  # meanwhile the store goes on, and forgets
    assert found == batches
    store.close()


def test_a_gap_in_the_numbers_is_a_bug(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    filled(store, [2, 0, 3])
    with pytest.raises(AssertionError, match="log entry 9 brings event 7, 6 comes next"):
        store.append(AppliedBatch(9, 1, 0, 7, events_of(1)))
    store.close()


def test_an_event_before_the_first_is_refused_and_one_to_come_gives_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EventStore(tmp_path, resume_at=100)
    assert "the oldest item here is 100 now" in caplog.text
    assert store.first_event_seq == 100
    batches = filled(store, [2])
    with pytest.raises(ValueError, match="event 99 is not here; the first one is 100"):
        store.read_from(99)
    assert list(store.read_from(101)) == batches
    assert list(store.read_from(102)) == []
    assert list(store.read_from(500)) == []
    store.close()


def test_without_a_snapshot_the_events_are_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EventStore(tmp_path, segment_bytes=300, block_bytes=1)
    filled(store, [5, 5, 5])
    store.close()
    assert len(list(tmp_path.iterdir())) == 3
    store = EventStore(tmp_path)
    assert store.next_event_seq == 1
    assert list(store.read_from(1)) == []
    assert not list(tmp_path.iterdir())
    assert not caplog.records
    store.close()


class CountingDisk(RealDisk):
    """Notes the length of each write."""

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.is_full = False

    def create(self, path: Path) -> RealDiskFile:
        disk, file = self, super().create(path)

        class File(RealDiskFile):
            def write_at(self, offset: int, data: bytes) -> None:
                if disk.is_full:
                    raise OSError(errno.ENOSPC, "No space left on device")
                disk.writes.append(len(data))
                super().write_at(offset, data)

        return File(file._descriptor)


def test_writes_are_gathered(tmp_path: Path) -> None:
    disk = CountingDisk()
    store = EventStore(tmp_path, disk=disk)
    filled(store, [10] * 1000)
    header, *blocks = disk.writes
    assert header < 100
    assert len(blocks) < 10
    assert min(blocks) >= BLOCK_BYTES
    disk.writes.clear()
    filled(store, [1])
    assert not disk.writes
    files = store.files()
    assert len(disk.writes) == 1, "what is told of the files is true of the files"
    assert files == [(path.name, path.stat().st_size) for path in sorted(tmp_path.iterdir())]
    store.close()


def test_the_oldest_file_goes_when_all_are_too_large(tmp_path: Path) -> None:
    store = EventStore(
        tmp_path, segment_bytes=4_000, max_bytes=20_000, block_bytes=500, recent_records=1
    )
    batches = filled(store, [3] * 50)
    reader = store.read_from(1)
    assert next(reader) == batches[0]
    batches += filled(store, [3] * 400)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == store.file_bytes
    assert 16_000 < store.file_bytes <= 24_000
    first = store.first_event_seq
    assert first > 1
    assert list(store.read_from(first)) == expected(batches, first, None)
    with pytest.raises(ValueError, match=f"the first one is {first}"):
        store.read_from(first - 1)
    with pytest.raises(ValueError, match=f"the first one is {first}"):
        list(reader)  # its file went while it was reading
    store.close()


def test_after_a_restart_the_first_event_is_that_of_the_oldest_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EventStore(tmp_path, segment_bytes=4_000, max_bytes=20_000, block_bytes=500)
    batches = filled(store, [3] * 400)
    first, end = store.first_event_seq, store.next_event_seq
    store.close()
    store = EventStore(tmp_path, resume_at=end)
    assert not caplog.records, "what was removed on purpose is not missing"
    assert (store.first_event_seq, store.next_event_seq) == (first, end)
    assert list(store.read_from(first)) == expected(batches, first, None)
    store.close()


def test_memory_is_bounded_by_records_and_by_events(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_records=10, recent_events=1000)
    filled(store, [1] * 1000)
    assert len(store._recent) == 10
    filled(store, [400] * 100)
    assert len(store._recent) == 2
    assert len(list(store.read_from(1))) == 1100
    store.close()


def test_memory_is_bounded_by_bytes(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_bytes=100_000)
    for position in range(100):
        event = OrderStatusReported(EventKind.ORDER_STATUS_REPORTED, "A", "x" * 30_000, *[0] * 13)
        store.append(AppliedBatch(position + 2, 3, 1, position + 1, [event]))
    assert len(store._recent) == 3
    filled(store, [4_000])
    assert len(store._recent) == 1, "the last one is always there"
    assert sum(len(batch.events) for batch in store.read_from(1)) == 4_100
    store.close()


def test_a_batch_larger_than_memory_allows_can_be_read(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_records=10, recent_events=10)
    batches = filled(store, [4000, 1, 4000])
    assert list(store.read_from(1)) == batches
    store.close()


@pytest.mark.parametrize("recent_records", [1, 100])
def test_a_batch_of_many_events_is_read_in_pieces(tmp_path: Path, recent_records: int) -> None:
    store = EventStore(tmp_path, recent_records=recent_records)
    _, batch, _ = filled(store, [10, 3 * 4_096 + 5, 10])
    end = batch.first_event_seq + len(batch.events)
    (piece,) = store.read_from(batch.first_event_seq + 5_000, 1)
    assert piece == batch._replace(
        first_event_seq=batch.first_event_seq + 4_096, events=batch.events[4_096:8_192]
    )
    pieces = list(store.read_from(batch.first_event_seq, len(batch.events)))
    assert [len(piece.events) for piece in pieces] == [4_096, 4_096, 4_096, 5]
    assert [event for piece in pieces for event in piece.events] == batch.events
    assert pieces[-1].first_event_seq == end - 5
    store.close()


def test_a_damaged_file_is_noticed_and_nothing_is_skipped(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_records=1, block_bytes=1)
    batches = filled(store, [3] * 12)
    path = tmp_path / store.files()[0][0]
    content = path.read_bytes()
    for offset in range(40, len(content) // 3):
        for bit in (0, 3, 7):
            damaged = bytearray(content)
            damaged[offset] ^= 1 << bit
            path.write_bytes(damaged)
            found: list[AppliedBatch] = []
            with pytest.raises(EventStoreError, match=rf"{path.name} at byte \d+: .*again"):
                found.extend(store.read_from(1))
            assert found == batches[: len(found)]
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(EventStoreError, match=r"cut short|checksum"):
        list(store.read_from(1))
    store.close()


def test_every_flipped_bit_is_found_when_the_files_are_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    store = EventStore(tmp_path, block_bytes=300, segment_bytes=400)
    batches = filled(store, [3] * 12)
    store.close()
    files = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    assert len(files) > 3
    numbers = [EVENT_FILES.first(path.name) for path in files]
    for at, (path, content) in enumerate(files.items()):
        first_after = [*numbers, store.next_event_seq][at + 1]
        for offset in range(0, len(content)):
            damaged = bytearray(content)
            damaged[offset] ^= 1 << offset % 8
            for other, its_content in files.items():
                other.write_bytes(damaged if other == path else its_content)
            caplog.clear()
            again = EventStore(tmp_path, resume_at=store.next_event_seq)
            assert path.name in caplog.text
            assert again.first_event_seq == first_after, "what comes behind the damage is kept"
            assert list(again.read_from(first_after)) == expected(batches, first_after, None)
            assert len(again.files()) == len(list(tmp_path.iterdir())), "the rest is removed"
            again.close()


def test_a_missing_file_is_told_and_what_comes_behind_it_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EventStore(tmp_path, block_bytes=1, segment_bytes=200)
    batches = filled(store, [3] * 10)
    store.close()
    names = [name for name, _ in store.files()]
    (tmp_path / names[4]).unlink()
    store = EventStore(tmp_path, resume_at=31)
    first = EVENT_FILES.first(names[5])
    assert store.first_event_seq == first
    assert f"{names[3]}: ends with item" in caplog.text
    assert list(store.read_from(first)) == expected(batches, first, None)
    assert [path.name for path in sorted(tmp_path.iterdir())] == names[5:]
    store.close()


def test_what_a_newer_program_wrote_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    store = EventStore(tmp_path, block_bytes=1, segment_bytes=200)
    filled(store, [3] * 10)
    store.close()
    newest = max(tmp_path.iterdir())
    header = bytearray(newest.read_bytes()[:40])
    header[8] += 1
    header[36:] = crc32c(header[:36]).to_bytes(4, "little")
    newest.write_bytes(header + newest.read_bytes()[40:])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(JournalError, match="written by a newer program"):
        EventStore(tmp_path, resume_at=31)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_the_files_lack_in_front_of_the_snapshot_makes_all_of_them_useless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EventStore(tmp_path, block_bytes=1, segment_bytes=200)
    filled(store, [3] * 10)
    store.close()
    store = EventStore(tmp_path, resume_at=32)
    assert "ends with item 30, not 31" in caplog.text
    assert store.first_event_seq == 32
    assert not list(tmp_path.iterdir())
    store.close()


def test_files_are_those_of_another_node_once_they_are_copied(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "1", block_bytes=500, segment_bytes=2000)
    batches = filled(store, [3] * 40)
    files = store.files()
    filled(store, [3] * 40)
    store.flush()
    (tmp_path / "2").mkdir()
    for name, size in files:
        (tmp_path / "2" / name).write_bytes((tmp_path / "1" / name).read_bytes()[:size])
    other = EventStore(tmp_path / "2", resume_at=61)
    assert list(other.read_from(1)) == expected(batches, 1, 60)
    more = filled(other, [5])
    assert list(other.read_from(61)) == more
    other.close()
    store.close()


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    disk = CountingDisk()
    store = EventStore(tmp_path, disk=disk)
    filled(store, [100] * 3)
    store.flush()
    disk.is_full = True
    with pytest.raises(EventStoreError, match=r"No space left.*Free space"):
        filled(store, [100] * 100)
    disk.is_full = False
    store.close()
