"""MessageStore: bounded memory, everything readable, damage found."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from marketdata.message_store import BLOCK_BYTES, MessageStore, scan
from protocols.message_file import HEADER_LENGTH, MessageFileError

EVERYTHING = 1 << 30


def messages_of(count: int, seed: int = 0) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(chance.randrange(12, 51)) for _ in range(count)]


def filled_store(path: Path, messages: list[bytes], memory_bytes: int) -> MessageStore:
    store = MessageStore(path, "EXCH000001", memory_bytes)
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
    in_memory = sum(len(block) for block in store._recent) + len(store._open)
    assert in_memory < 30_000 / 2
    assert len(store._recent) == 2
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


def test_the_file_of_a_closed_store_has_every_message(tmp_path: Path) -> None:
    messages = messages_of(10_000)
    filled_store(tmp_path / "day", messages, 0).close()
    assert list(scan(tmp_path / "day")) == list(enumerate(messages, 1))


def test_damage_in_the_file_is_found_by_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "day"
    filled_store(path, messages_of(10_000), 0).close()
    good = path.read_bytes()
    for position in (3, HEADER_LENGTH + 5, HEADER_LENGTH + 17, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(MessageFileError):
            list(scan(path))
    path.write_bytes(good[:-7])
    with pytest.raises(MessageFileError):
        list(scan(path))


def test_a_damaged_block_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "day"
    messages = messages_of(10_000)
    store = filled_store(path, messages, 0)
    with path.open("r+b") as file:
        file.seek(HEADER_LENGTH + 500)
        file.write(b"\xff\xff\xff")
    assert store.read(1, 10, EVERYTHING) == []
    assert store.read(5_000, 10, EVERYTHING) == messages[4_999:5_009]
    store.close()


def test_a_disk_that_fails_does_not_stop_the_store(tmp_path: Path) -> None:
    messages = messages_of(30_000)
    store = MessageStore(tmp_path / "day", "DAY1", 2 * BLOCK_BYTES)
    store.append(messages[:10_000])
    read_only = os.open(tmp_path / "day", os.O_RDONLY)
    os.dup2(read_only, store._file.fileno())  # every further write fails with EBADF
    os.close(read_only)
    for start in range(10_000, 30_000, 100):
        store.append(messages[start : start + 100])
    assert store.failed is not None
    assert "Bad file descriptor" in store.failed
    assert store.read(29_990, 11, EVERYTHING) == messages[29_989:]
    assert store.read(15_000, 1, EVERYTHING) == []
    assert store.read(1, 5, EVERYTHING) == messages[:5]
    store.close()
