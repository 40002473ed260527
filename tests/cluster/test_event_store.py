"""Numbered events: appended in order, read from any number, from memory or from the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import event_store
from cluster.event_store import FILE_NAME, EventStore, EventStoreError
from cluster.interface import AppliedBatch
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
    recent_batches=st.integers(1, 10),
    recent_events=st.integers(1, 20),
    write_bytes=st.sampled_from([1, 200, 1000, 1 << 20]),
    data=st.data(),
)
@settings(max_examples=120, deadline=None)
def test_every_batch_can_be_read_from_every_number_in_chunks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    recent_batches: int,
    recent_events: int,
    write_bytes: int,
    data: st.DataObject,
) -> None:
    before, event_store.WRITE_BYTES = event_store.WRITE_BYTES, write_bytes  # type: ignore[misc]
    try:
        store = EventStore(
            tmp_path_factory.mktemp("events"),
            recent_batches=recent_batches,
            recent_events=recent_events,
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
    finally:
        event_store.WRITE_BYTES = before  # type: ignore[misc]


def test_chunks_put_together_are_everything(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_batches=10)
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
    store = EventStore(tmp_path, recent_batches=1)
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
    store = EventStore(tmp_path, recent_batches=2)
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


def test_an_event_before_the_first_is_refused_and_one_to_come_gives_nothing(tmp_path: Path) -> None:
    store = EventStore(tmp_path, first_event_seq=100)
    batches = filled(store, [2])
    with pytest.raises(ValueError, match="event 99 is not here; the first one is 100"):
        store.read_from(99)
    assert list(store.read_from(101)) == batches
    assert list(store.read_from(102)) == []
    assert list(store.read_from(500)) == []
    store.close()


def test_the_file_of_an_earlier_run_is_not_read(tmp_path: Path) -> None:
    store = EventStore(tmp_path)
    filled(store, [5, 5])
    store.close()
    size = (tmp_path / FILE_NAME).stat().st_size
    store = EventStore(tmp_path)
    assert store.next_event_seq == 1
    assert list(store.read_from(1)) == []
    assert (tmp_path / FILE_NAME).stat().st_size < size
    store.close()


def test_writes_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    pwrite = os.pwrite

    def counted(descriptor: int, data: bytes, offset: int) -> int:
        writes.append(len(data))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", counted)
    now = [0.0]
    monkeypatch.setattr(event_store.time, "monotonic", lambda: now[0])
    store = EventStore(tmp_path)
    filled(store, [10] * 1000)
    assert len(writes) < 10
    assert min(writes) >= event_store.WRITE_BYTES
    writes.clear()
    now[0] += 1.5
    filled(store, [1])
    assert len(writes) == 1, "a second later it is written, however little it is"
    store.close()


def test_memory_is_bounded_by_batches_and_by_events(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_batches=10, recent_events=1000)
    filled(store, [1] * 1000)
    assert len(store._recent) <= 20
    filled(store, [400] * 100)
    assert sum(len(batch.events) for batch in store._recent) <= 2000
    assert len(list(store.read_from(1))) == 1100
    store.close()


def test_a_batch_larger_than_memory_allows_can_be_read(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_batches=10, recent_events=10)
    batches = filled(store, [5000, 1, 5000])
    assert list(store.read_from(1)) == batches
    store.close()


def test_a_damaged_file_is_noticed_and_nothing_is_skipped(tmp_path: Path) -> None:
    store = EventStore(tmp_path, recent_batches=1)
    batches = filled(store, [3] * 20)
    store._write()
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    for offset in range(12, len(content) // 3):
        for bit in (0, 3, 7):
            damaged = bytearray(content)
            damaged[offset] ^= 1 << bit
            path.write_bytes(damaged)
            found: list[AppliedBatch] = []
            with pytest.raises(EventStoreError, match=rf"{FILE_NAME} at byte \d+: .*again"):
                found.extend(store.read_from(1))
            assert found == batches[: len(found)]
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(EventStoreError, match=r"too short|checksum"):
        list(store.read_from(1))
    store.close()


def test_a_full_disk_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(tmp_path)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(EventStoreError, match=r"No space left.*Free space"):
        filled(store, [100] * 100)
    monkeypatch.undo()
    store.close()
