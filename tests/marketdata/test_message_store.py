"""MessageStore: bounded memory, everything readable, damage found, restarts."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.day_files import BLOCK_BYTES, DayFileError
from marketdata.message_store import MESSAGE_FILES, MessageStore, scan
from protocols.binaryfile import unframe

EVERYTHING = 1 << 30


def messages_of(count: int, seed: int = 0) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(chance.randrange(12, 51)) for _ in range(count)]


def filled_store(
    path: Path, messages: list[bytes], memory_bytes: int, **settings: Any
) -> MessageStore:
    store = MessageStore(path, "EXCH000001", memory_bytes, **settings)
    for start in range(0, len(messages), 97):
        store.append(messages[start : start + 97])
    return store


@pytest.mark.parametrize("memory_bytes", [0, 3 * BLOCK_BYTES, EVERYTHING])
def test_any_range_is_read_back_from_memory_or_file(tmp_path: Path, memory_bytes: int) -> None:
    messages = messages_of(30_000)
    store = filled_store(tmp_path / "day", messages, memory_bytes)
    assert store.next_sequence_number == 30_001
    chance = random.Random(1)
    for _ in range(300):
        first, count = chance.randrange(1, 30_001), chance.randrange(1, 5_000)
        assert store.read(first, count, EVERYTHING) == messages[first - 1 : first - 1 + count]
    assert store.read(1, 100_000, EVERYTHING) == messages
    store.close()


def test_only_recent_blocks_stay_in_memory(tmp_path: Path) -> None:
    store = filled_store(tmp_path / "day", messages_of(30_000), 2 * BLOCK_BYTES)
    in_memory = sum(block.end - block.first for block in (*store._recent, store._open))
    assert in_memory < 30_000 / 2
    assert len(store._recent) == 2
    store.close()


def test_a_long_batch_takes_no_more_memory_and_is_no_dearer_to_read_than_short_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gap that is filled at once, or one mass cancel: who asks for a message of it, and may ask
    a thousand times a second, must not have all of it split."""
    messages = messages_of(30_000)
    store = MessageStore(tmp_path / "day", "DAY1", 2 * BLOCK_BYTES)
    store.append(messages)
    kept = [len(block.payload) for block in (*store._recent, store._open)]
    assert len(kept) == 3
    assert max(kept) < 1.5 * BLOCK_BYTES
    split: list[int] = []

    def counted(data: bytes, offset: int = 0) -> list[bytes]:
        split.append(len(data))
        return unframe(data, offset)

    monkeypatch.setattr("marketdata.message_store.unframe", counted)
    for number in (30_000, 29_000, 28_000):
        assert store.read(number, 1, EVERYTHING) == [messages[number - 1]]
    assert max(split) < BLOCK_BYTES / 4
    store.close()


def test_the_answer_is_bounded_in_bytes_but_never_empty(tmp_path: Path) -> None:
    store = MessageStore(tmp_path / "day", "DAY1")
    store.append([bytes(40)] * 10)
    assert len(store.read(1, 10, 100)) == 2
    assert len(store.read(1, 10, 120)) == 3
    assert len(store.read(1, 10, 1)) == 1
    store.close()


@pytest.mark.parametrize(
    ("first", "count"), [(0, 5), (-3, 5), (11, 1), (2**70, 1), (3, 0), (3, -1)]
)
def test_numbers_that_are_not_there_give_nothing(tmp_path: Path, first: int, count: int) -> None:
    store = MessageStore(tmp_path / "day", "DAY1")
    store.append([b"x"] * 10)
    assert store.read(first, count, EVERYTHING) == []
    store.close()


def test_a_new_store_begins_from_scratch(tmp_path: Path) -> None:
    filled_store(tmp_path / "day", messages_of(5_000), 0).close()
    store = MessageStore(tmp_path / "day", "DAY2")
    assert store.next_sequence_number == 1
    assert store.read(1, 10, EVERYTHING) == []
    store.append([b"only"])
    store.close()
    assert list(scan(tmp_path / "day")) == [(1, b"only")]


@given(
    lives=st.lists(st.tuples(st.integers(0, 4_000), st.floats(0, 1)), min_size=2, max_size=4),
    segment_bytes=st.sampled_from([1, 100_000, 1 << 20]),
    is_killed=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_a_store_goes_on_where_a_snapshot_says(
    tmp_path_factory: pytest.TempPathFactory,
    lives: list[tuple[int, float]],
    segment_bytes: int,
    is_killed: bool,
) -> None:
    """Several lives, each cut back to some message that was flushed, and other ones after it."""
    folder = tmp_path_factory.mktemp("itch")
    kept: list[bytes] = []
    for life, (count, part) in enumerate(lives):
        store = MessageStore(
            folder, "DAY1", 0, resume_at=len(kept) + 1, segment_bytes=segment_bytes
        )
        assert store.next_sequence_number == len(kept) + 1
        assert store.read(1, EVERYTHING, EVERYTHING) == kept
        more = messages_of(count, life)
        for start in range(0, count, 97):
            store.append(more[start : start + 97])
        kept += more
        assert store.read(1, EVERYTHING, EVERYTHING) == kept
        assert store.files() == [(p.name, p.stat().st_size) for p in sorted(folder.iterdir())]
        if count:  # else the last block may still have what was cut off
            assert list(scan(folder)) == list(enumerate(kept, 1))
        store.append([b"behind the snapshot"] * 3)
        if not is_killed:
            store.close()
        del kept[round(part * len(kept)) :]


def test_the_oldest_messages_go_when_the_files_are_too_large(tmp_path: Path) -> None:
    messages = messages_of(30_000)
    bounds = {"segment_bytes": 150_000, "max_bytes": 400_000}
    store = filled_store(tmp_path / "day", messages, 0, **bounds)
    files = store.files()
    assert 250_000 < sum(size for _, size in files) <= 550_000
    first = MESSAGE_FILES.first(files[0][0])
    assert first is not None
    assert store.read(first - 1, 10, EVERYTHING) == []
    assert store.read(first, EVERYTHING, EVERYTHING) == messages[first - 1 :]
    store.close()
    store = MessageStore(tmp_path / "day", "EXCH000001", 0, resume_at=30_001, **bounds)
    assert store.read(first - 1, 10, EVERYTHING) == []
    assert store.read(first, EVERYTHING, EVERYTHING) == messages[first - 1 :]
    store.close()


def test_the_files_of_another_session_do_not_belong_to_this_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled_store(tmp_path / "day", messages_of(5_000), 0).close()
    store = MessageStore(tmp_path / "day", "DAY2", 0, resume_at=5_001)
    assert "belongs to b'EXCH000001', not to b'DAY2" in caplog.text
    assert store.next_sequence_number == 5_001
    assert store.read(1, 10, EVERYTHING) == []
    assert store.files() == []
    store.close()


def test_the_files_of_a_closed_store_have_every_message(tmp_path: Path) -> None:
    messages = messages_of(10_000)
    store = filled_store(tmp_path / "day", messages, 0, segment_bytes=150_000)
    store.close()
    paths = sorted((tmp_path / "day").iterdir())
    assert len(paths) > 2
    assert list(scan(tmp_path / "day")) == list(enumerate(messages, 1))
    assert [pair for path in paths for pair in scan(path)] == list(enumerate(messages, 1))
    paths[1].unlink()
    with pytest.raises(DayFileError, match=f"{paths[0].name}: ends with item .* the next file has"):
        list(scan(tmp_path / "day"))


def test_a_folder_without_a_message_is_told(tmp_path: Path) -> None:
    with pytest.raises(DayFileError, match="no message store has a file"):
        list(scan(tmp_path))


def test_damage_in_the_file_is_found_by_a_scan(tmp_path: Path) -> None:
    filled_store(tmp_path, messages_of(10_000), 0).close()
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    for position in (3, 30, 41, 45, 55, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(DayFileError):
            list(scan(path))
    path.write_bytes(good[:-7])
    with pytest.raises(DayFileError, match="cut short"):
        list(scan(path))


def test_a_damaged_block_is_not_served(tmp_path: Path) -> None:
    messages = messages_of(10_000)
    store = filled_store(tmp_path, messages, 0)
    with (tmp_path / store.files()[0][0]).open("r+b") as file:
        file.seek(500)
        file.write(b"\xff\xff\xff")
    assert store.read(1, 10, EVERYTHING) == []
    assert store.read(5_000, 10, EVERYTHING) == messages[4_999:5_009]
    store.close()


def test_a_disk_that_fails_does_not_stop_the_store(tmp_path: Path) -> None:
    messages = messages_of(30_000)
    store = MessageStore(tmp_path, "DAY1", 2 * BLOCK_BYTES)
    store.append(messages[:10_000])
    files = store.files()
    read_only = os.open(tmp_path / files[0][0], os.O_RDONLY)
    os.dup2(read_only, store._files._writing._descriptor)  # type: ignore[union-attr]
    os.close(read_only)  # every further write fails with EBADF
    for start in range(10_000, 30_000, 100):
        store.append(messages[start : start + 100])
    assert store.failed is not None
    assert "Bad file descriptor" in store.failed
    assert store.read(29_990, 11, EVERYTHING) == messages[29_989:]
    assert store.read(15_000, 1, EVERYTHING) == []
    assert store.read(1, 5, EVERYTHING) == messages[:5]
    assert store.files() == files
    store.close()
