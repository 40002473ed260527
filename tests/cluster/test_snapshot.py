"""Snapshots on disk: the bytes, what damage does to them, and which of two is taken."""

from __future__ import annotations

import errno
import hashlib
from contextlib import suppress
from pathlib import Path

import pytest
from snapshot_lab import SNAPSHOTS, MemoryDisk, header_of

from cluster.disk import RealDisk
from cluster.snapshot import (
    KEPT,
    SnapshotError,
    SnapshotHeader,
    SnapshotStore,
    decode_snapshot,
    encode_snapshot,
    snapshot_index,
    snapshot_name,
)
from exchange.simulation.disk import PowerLoss

FILE = Path("node/snapshots/00000000000000000007.snapshot")
TINY = SnapshotHeader(
    log_index=7,
    term=2,
    entry=b"\0e",
    next_event_seq=300,
    time_ns=1,
    state_hash="ab",
    derived={"itch": None},
)
TINY_PARTS = [(1, "two"), b"\3"]
GOLDEN = """
45 58 43 48 53 4e 50 0a  magic: EXCHSNP and a line feed
01 00 00 00              format version
15 00 00 00              length of the header frame: 21 bytes
94 e1 8c 8b              crc32c of these
97                       an array of seven
07                       log index
02                       term
c4 02 00 65              the entry, two bytes
cd 01 2c                 next event: 300
01                       time in nanoseconds
a2 61 62                 state hash: ab
81 a4 69 74 63 68 c0     derived: itch, nothing
06 00 00 00              length of the first part
59 70 a8 bd              crc32c
92 01 a3 74 77 6f        an array of two: 1, two
03 00 00 00              length of the second part
79 9b 0a b2              crc32c
c4 01 03                 one byte
00 00 00 00              the end
9f 99 a4 0b 78 e8 97 c9  sha256 of everything before it
42 5d 80 ed 3b 73 22 b0
ef a2 84 22 29 0f eb bb
01 87 ea 1e 7a c1 b0 a1
"""
"""A change of a single byte of it is another format, with another number."""


def golden_bytes() -> bytes:
    return bytes.fromhex("".join(line.partition("  ")[0] for line in GOLDEN.splitlines()))


def store_with(disk: MemoryDisk, *indexes: int) -> SnapshotStore:
    store = SnapshotStore(disk, SNAPSHOTS)
    for index in indexes:
        store.write(header_of(index), parts_of(index))
    return store


def parts_of(index: int) -> list[tuple[int, bytes]]:
    """Some parts, more than one sector in all."""
    return [(index, bytes([number]) * 300) for number in range(4)]


def damage(disk: MemoryDisk, store: SnapshotStore, index: int) -> None:
    """Flip a bit in the middle of a file."""
    name = store.path(index).as_posix()
    content = bytearray(disk.content(name))
    content[len(content) // 2] ^= 1
    disk.set_content(name, bytes(content))


# --- bytes ----------------------------------------------------------------------------------------


def test_the_bytes_of_a_file_are_these():
    assert b"".join(encode_snapshot(TINY, TINY_PARTS)) == golden_bytes()


def test_a_file_of_these_bytes_is_read():
    snapshot = decode_snapshot(golden_bytes(), FILE)
    assert snapshot.header == TINY
    assert list(snapshot.parts) == TINY_PARTS
    assert (snapshot.path, snapshot.size) == (FILE, len(golden_bytes()))


def test_a_large_state_comes_in_pieces_that_make_one_file():
    parts = [(number, bytes(400_000)) for number in range(9)]
    pieces = list(encode_snapshot(TINY, parts))
    assert len(pieces) == 4
    assert max(map(len, pieces)) < 2_000_000
    assert list(decode_snapshot(b"".join(pieces), FILE).parts) == parts


def test_every_flipped_bit_is_noticed_and_the_file_is_named():
    good = golden_bytes()
    for offset in range(len(good)):
        for bit in range(8):
            damaged = bytearray(good)
            damaged[offset] ^= 1 << bit
            with pytest.raises(SnapshotError, match=str(FILE)):
                decode_snapshot(bytes(damaged), FILE)


def test_every_shortened_or_lengthened_file_is_refused_and_named():
    good = golden_bytes()
    for damaged in [*(good[:length] for length in range(len(good))), good + b"\0", good + good]:
        with pytest.raises(SnapshotError, match=str(FILE)):
            decode_snapshot(damaged, FILE)


@pytest.mark.parametrize("version", [0, 2, 0xFFFFFFFF])
def test_another_version_is_refused_with_what_to_do(version):
    body = golden_bytes()[:8] + version.to_bytes(4, "little") + golden_bytes()[12:-32]
    with pytest.raises(SnapshotError) as caught:
        decode_snapshot(body + hashlib.sha256(body).digest(), FILE)
    assert str(caught.value) == (
        f"{FILE}: format version {version}, this program reads 1: start the program that wrote "
        "it, or a newer one, on this folder"
    )


def test_a_frame_that_does_not_fit_its_checksum_is_refused_even_under_a_right_hash():
    body = bytearray(golden_bytes()[:-32])
    body[49] ^= 1  # in the first part
    snapshot = decode_snapshot(bytes(body) + hashlib.sha256(body).digest(), FILE)
    with pytest.raises(SnapshotError, match=f"{FILE}: damaged: checksum error at byte 41"):
        list(snapshot.parts)


# --- names ----------------------------------------------------------------------------------------


def test_a_name_and_its_index_are_each_others():
    for index in (0, 7, 10**19, 10**20 - 1):
        assert snapshot_index(snapshot_name(index)) == index


@pytest.mark.parametrize(
    "name",
    [
        "7.snapshot",
        "00000000000000000007",
        "00000000000000000007.tmp",
        "00000000000000000007.snapshot.tmp",
        "0000000000000000000x.snapshot",
        "-0000000000000000007.snapshot",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 20 + ".snapshot",
        "000000000000000000007.snapshot",
        ".snapshot",
        "",
    ],
)
def test_other_names_are_no_snapshots(name):
    assert snapshot_index(name) is None


# --- the folder -----------------------------------------------------------------------------------


def test_an_empty_or_missing_folder_holds_no_snapshot(tmp_path):
    assert SnapshotStore(MemoryDisk(), SNAPSHOTS).newest() is None
    missing = SnapshotStore(RealDisk(), tmp_path / "never-made")
    assert missing.indexes() == []
    assert missing.newest() is None


def test_the_newest_two_are_kept():
    disk = MemoryDisk()
    store = store_with(disk, 3, 5, 9, 20)
    assert store.indexes() == [9, 20]
    assert KEPT == 2
    assert sorted(disk.files(SNAPSHOTS)) == [snapshot_name(9), snapshot_name(20)]


def test_a_file_comes_back_with_its_size():
    disk = MemoryDisk()
    store = SnapshotStore(disk, SNAPSHOTS)
    size = store.write(header_of(9), parts_of(9))
    snapshot = store.load(9)
    assert snapshot.size == size == disk.file_size(store.path(9))
    assert snapshot.header == store.header(9) == header_of(9)
    assert list(snapshot.parts) == parts_of(9)


def test_one_under_the_name_of_another_entry_is_refused():
    disk = MemoryDisk()
    store = store_with(disk, 9)
    disk.rename(store.path(9), store.path(10))
    with pytest.raises(SnapshotError, match=r"00010\.snapshot: damaged: it is of log entry 9"):
        store.load(10)


def test_a_damaged_header_is_noticed_by_who_reads_the_header_alone():
    for offset in range(12, 41):  # its length, its checksum, its fields
        disk = MemoryDisk()
        disk.put(FILE, golden_bytes())
        store = SnapshotStore(disk, FILE.parent)
        assert store.header(7) == TINY
        damaged = bytearray(golden_bytes())
        damaged[offset] ^= 1
        disk.set_content(FILE.as_posix(), bytes(damaged))
        with pytest.raises(SnapshotError, match=str(FILE)):
            store.header(7)


def test_a_file_that_is_cut_off_within_its_header_is_noticed_too():
    for length in range(41):
        disk = MemoryDisk()
        disk.put(FILE, golden_bytes()[:length])
        with pytest.raises(SnapshotError, match=str(FILE)):
            SnapshotStore(disk, FILE.parent).header(7)


def test_a_damaged_one_is_passed_over_for_the_one_before_it(caplog):
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)
    damage(disk, store, 9)
    newest = store.newest()
    assert newest is not None
    assert newest.header == header_of(5)
    assert list(newest.parts) == parts_of(5)
    assert "00009.snapshot: damaged: sha256" in caplog.text
    assert "the one before it is taken" in caplog.text


def test_when_all_are_damaged_none_is_taken():
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)
    damage(disk, store, 5)
    damage(disk, store, 9)
    with pytest.raises(SnapshotError, match=r"00005\.snapshot: damaged"):
        store.newest()


def test_two_good_ones_are_kept_and_a_damaged_one_is_put_aside():
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)
    damage(disk, store, 9)
    damaged = disk.read(store.path(9))
    store.write(header_of(12), parts_of(12))
    assert store.indexes() == [5, 12]
    assert disk.read(SNAPSHOTS / "00000000000000000009.damaged") == damaged
    damage(disk, store, 12)
    store.write(header_of(15), parts_of(15))
    assert sorted(disk.files(SNAPSHOTS)) == [
        snapshot_name(5),
        "00000000000000000012.damaged",
        snapshot_name(15),
    ], "one of the damaged ones is enough for an inquiry"


def test_one_of_a_newer_program_is_neither_good_nor_put_aside_nor_passed_over():
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)
    newer = disk.read(store.path(9))[:8] + b"\2\0\0\0" + disk.read(store.path(9))[12:-32]
    newer += hashlib.sha256(newer).digest()
    disk.set_content(store.path(9).as_posix(), newer)
    assert not store.is_good(9)
    store.prune()
    assert store.indexes() == [5, 9]
    with pytest.raises(SnapshotError, match="start the program that wrote it, or a newer one"):
        store.newest()


@pytest.mark.parametrize(
    "failure", [OSError(errno.EIO, "no"), FileNotFoundError("pruned by the maker meanwhile")]
)
def test_one_that_cannot_be_read_just_now_is_not_put_aside(failure, monkeypatch):
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)

    def read(path: Path) -> bytes:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(disk, "read", read)
        assert not store.is_good(9)
    assert store.indexes() == [5, 9]
    assert store.is_good(9)


@pytest.mark.parametrize(
    ("upto_event", "found"), [(3, None), (4, None), (5, 5), (8, 5), (9, 9), (1000, 9), (None, 9)]
)
def test_the_newest_is_the_last_that_holds_no_later_event(upto_event, found):
    newest = store_with(MemoryDisk(), 5, 9).newest(upto_event)
    assert (newest and newest.header.log_index) == found


def test_up_to_an_event_a_damaged_one_is_passed_over_too():
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)
    damage(disk, store, 9)
    newest = store.newest(9)
    assert newest is not None
    assert newest.header.log_index == 5
    assert store.newest(4) is None, "the good one is too late; the journal may reach further back"


def test_a_half_written_one_never_counts_and_goes_with_the_next():
    disk = MemoryDisk()
    store = store_with(disk, 5)
    disk.put(SNAPSHOTS / "00000000000000000008.tmp", golden_bytes())
    assert store.indexes() == [5]
    newest = store.newest()
    assert newest is not None
    assert newest.header.log_index == 5
    store.write(header_of(9), parts_of(9))
    assert sorted(disk.files(SNAPSHOTS)) == [snapshot_name(5), snapshot_name(9)]


# --- crashes --------------------------------------------------------------------------------------


def newest_whole(disk: MemoryDisk) -> int:
    """Index of the newest snapshot after a crash; whatever counts must be whole."""
    store = SnapshotStore(disk, SNAPSHOTS)
    for index in store.indexes():
        assert list(store.load(index).parts) == parts_of(index)
    newest = store.newest()
    assert newest is not None
    return newest.header.log_index


def calls_of_a_write() -> int:
    disk = MemoryDisk()
    store = store_with(disk, 2, 5)
    disk.calls.clear()
    store.write(header_of(9), parts_of(9))
    return len(disk.calls)


@pytest.mark.parametrize("call", range(calls_of_a_write()))
def test_power_loss_while_one_is_written_leaves_the_old_one_or_the_new_one(call):
    for seed in range(60):
        disk = MemoryDisk(seed)
        store = store_with(disk, 2, 5)
        disk.sync_directory(SNAPSHOTS)
        disk.fail_in = call
        with pytest.raises(PowerLoss):
            store.write(header_of(9), parts_of(9))
        disk.lose_power()
        assert newest_whole(disk) in {5, 9}
        store.write(header_of(12), parts_of(12))
        assert newest_whole(disk) == 12
        assert len(disk.files(SNAPSHOTS)) == 2, "nothing half-written is left"


def test_one_that_was_written_survives_every_power_loss():
    for seed in range(300):
        disk = MemoryDisk(seed)
        store_with(disk, 2, 5, 9)
        disk.lose_power()
        assert newest_whole(disk) == 9


def test_power_losses_do_tear_what_was_not_synced():
    """The tests above prove nothing on a disk that loses nothing."""
    ends = set()
    for seed in range(60):
        disk = MemoryDisk(seed)
        store = store_with(disk, 5)
        disk.fail_in = 2  # the sync of the data
        with suppress(PowerLoss):
            store.write(header_of(9), parts_of(9))
        disk.lose_power()
        ends.add(disk.files(SNAPSHOTS).get("00000000000000000009.tmp"))
    assert None in ends
    assert len(ends) > 10


@pytest.mark.parametrize("call", range(calls_of_a_write()))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_leaves_the_old_one_or_the_new_one(code, call):
    disk = MemoryDisk()
    store = store_with(disk, 2, 5)
    disk.failure = OSError(code, "no")
    disk.fail_in = call
    with pytest.raises(OSError, match="no"):
        store.write(header_of(9), parts_of(9))
    assert newest_whole(disk) in {5, 9}
    disk.fail_in = None
    store.write(header_of(12), parts_of(12))
    assert newest_whole(disk) == 12
    assert len(disk.files(SNAPSHOTS)) == 2


@pytest.mark.parametrize("offset", [8, 9, 10, 11])
def test_a_flipped_bit_in_the_version_is_damage_and_no_newer_program(offset: int):
    disk = MemoryDisk()
    store = store_with(disk, 5, 9)
    content = bytearray(disk.read(store.path(9)))
    content[offset] ^= 4
    disk.set_content(store.path(9).as_posix(), bytes(content))
    newest = store.newest()
    assert newest is not None
    assert newest.header.log_index == 5
