"""A snapshot on its way to a follower: what arrives, what it costs, what bad peers get."""

from __future__ import annotations

from pathlib import Path

import pytest
from crc32c import crc32c
from snapshot_lab import NODE, header_of
from transfer_lab import DAY, FOLLOWER, INCOMING, Lab, piece_under_way, total_bytes

from cluster.codec import CodecError
from cluster.snapshot import SnapshotStore, snapshot_name
from cluster.snapshot_install import MARKER

# --- the whole way --------------------------------------------------------------------------------


def test_every_file_arrives_byte_for_byte_and_is_put_in_place_once():
    lab = Lab()
    lab.finish()
    assert lab.installed == [100]
    ((index, content),) = lab.leader.listed
    assert index == 100
    assert lab.content() == content
    assert {folder: len(files) for folder, files in content.items()} == {
        "snapshots": 1, "events": 2, "itch": 1,
    }  # fmt: skip
    assert lab.bytes_sent == total_bytes(content), "nothing was sent twice"
    lab.crash()
    assert lab.installed == [100]


def test_old_day_files_give_way_to_those_that_arrived():
    lab = Lab()
    lab.disk.put(DAY["events"] / "events-00000000000000000001.evt", b"older")
    lab.disk.put(DAY["events"] / "events-00000000000000000007.evt", b"of another day")
    lab.disk.put(NODE / "wal" / "000000000001.seg", b"not touched")
    lab.finish()
    assert lab.content() == lab.leader.listed[0][1]
    assert lab.disk.read(NODE / "wal" / "000000000001.seg") == b"not touched"


def test_nothing_is_in_place_before_all_of_it_has_arrived():
    lab = Lab()
    steps = 0
    while lab.position == 0:
        assert lab.content() == {"snapshots": {}, "events": {}, "itch": {}}
        lab.step()
        steps += 1
    assert steps > 20
    assert lab.installed == [100]


def test_what_the_leader_writes_meanwhile_is_not_sent():
    lab = Lab()
    while lab.position == 0:
        lab.step()
        lab.leader.grow()
    assert len(lab.leader.listed) == 1
    assert lab.content() == lab.leader.listed[0][1]


def test_a_broken_connection_costs_the_piece_under_way():
    lab = Lab()
    lost = breaks = 0
    while lab.position == 0:
        if piece_under_way(lab) and breaks < 4:
            breaks += 1
            lost += len(piece_under_way(lab))
            lab.wire.clear()
        else:
            lab.step()
    assert breaks == 4
    assert lab.bytes_sent == total_bytes(lab.leader.listed[0][1]) + lost


def test_a_restart_costs_the_file_under_way():
    lab = Lab()
    while not piece_under_way(lab, "itch"):
        lab.step()
    lost = len(piece_under_way(lab))
    lab.start()
    lab.finish()
    assert lab.bytes_sent == total_bytes(lab.leader.listed[-1][1]) + lost


def test_power_loss_costs_the_file_under_way_too():
    for seed in range(20):
        lab = Lab(seed)
        while not piece_under_way(lab, "snapshots"):
            lab.step()
        lab.deliver()
        lab.crash()
        lab.finish()
        content = lab.leader.listed[-1][1]
        (snapshot,) = content["snapshots"].values()
        assert lab.bytes_sent - total_bytes(content) <= len(snapshot)


def test_a_piece_that_arrives_damaged_is_asked_for_again(caplog):
    lab = Lab()
    damaged = 0
    while lab.position == 0:
        data = piece_under_way(lab)
        if data and damaged < 3:
            damaged += 1
            lab.wire[0][1]["data"] = data[:-1] + bytes([data[-1] ^ 1])
        lab.step()
    assert damaged == 3
    assert caplog.text.count("a piece of the snapshot arrived damaged") == 3
    assert lab.installed == [100]


@pytest.mark.parametrize("length", [0, 10_000])
def test_a_piece_of_nothing_or_of_too_much_is_asked_for_again(length: int, caplog):
    lab = Lab()
    while not piece_under_way(lab):
        lab.step()
    message = lab.wire[0][1]
    message["data"] = bytes(length)
    message["crc"] = crc32c(message["data"])
    lab.finish()
    assert caplog.text.count("a piece of the snapshot arrived damaged") == 1
    assert lab.content() == lab.leader.listed[0][1]


def test_a_snapshot_with_a_wrong_hash_never_counts_and_it_alone_is_fetched_again(caplog):
    lab = Lab()
    refused = 0
    while lab.position == 0:
        data = piece_under_way(lab, "snapshots")
        if data and refused < 3:
            message = lab.wire[0][1]
            message["data"] = bytes(len(data))  # from a leader whose memory is bad
            message["crc"] = crc32c(message["data"])
        lab.step()
        refused = caplog.text.count("the snapshot that was fetched is not used")
        if refused < 3:
            assert MARKER not in lab.disk.list_directory(INCOMING)
    assert refused == 3
    content = lab.leader.listed[-1][1]
    (snapshot,) = content["snapshots"].values()
    assert lab.bytes_sent == total_bytes(content) + 3 * len(snapshot)
    assert lab.leader.snapshots.indexes() == [100], "what is good on its disk stays"


@pytest.mark.parametrize("what", ["damaged", "of another entry"])
def test_a_leader_learns_that_its_snapshot_is_bad_and_takes_another(what: str, caplog):
    lab = Lab()
    path = lab.leader.snapshots.path(100)
    if what == "damaged":
        bad = bytearray(lab.leader.disk.read(path))
        bad[-50] ^= 1
    else:
        other = SnapshotStore(lab.leader.disk, Path("other"))
        other.write(header_of(99), [])
        bad = bytearray(lab.leader.disk.read(other.path(99)))
    lab.leader.disk.set_content(path.as_posix(), bytes(bad))
    while lab.leader.snapshots.indexes():
        lab.step()
    assert "the snapshot that was fetched is not used" in caplog.text
    assert MARKER not in lab.disk.list_directory(INCOMING)
    lab.wire.clear()
    lab.leader.sender.offer(FOLLOWER, 3)
    assert (lab.wire, lab.leader.missed) == ([], 1)
    lab.leader.take_snapshot(120)
    lab.finish()
    assert lab.installed == [120]


# --- bad peers ------------------------------------------------------------------------------------

GOOD = ("snapshots", snapshot_name(50), 700)


@pytest.mark.parametrize(
    "files",
    [
        *(
            [("events", name, 10), GOOD]
            for name in (
                "../wal/000000000001.seg",
                "..",
                ".",
                "",
                "/etc/passwd",
                "a/b",
                "a\\b/",
                ".hidden",
                "a\0b",
                "a\n",
                "a b",
                "ünï",
                "x" * 129,
                "whole.part",
                "events@x",
            )
        ),
        *([(folder, "e", 10), GOOD] for folder in ("wal", "incoming", "", "../wal", "Events", "/")),
        *([("events", "e", size), GOOD] for size in (0, -1, (1 << 40) + 1, 1 << 62)),
        [("snapshots", snapshot_name(50), 0)],
        [("snapshots", snapshot_name(51), 700)],
        [("snapshots", "50.snapshot", 700)],
        [GOOD, ("events", "e", 10)],
        [GOOD, GOOD],
        [("snapshots", snapshot_name(40), 10), GOOD],
        [("events", "e", 10), ("events", "e", 11), GOOD],
        [("events", "e", 10)],
        [],
        [*(("events", f"e{number}", 1) for number in range(5000)), GOOD],
    ],
    ids=lambda files: str(files[:1])[:60] if isinstance(files, list) else None,
)
def test_a_list_that_no_member_makes_is_refused_and_touches_nothing(files):
    lab = Lab()
    lab.disk.put(NODE / "wal" / "000000000001.seg", b"not touched")
    offer = {"type": "snapshot_offer", "term": 3, "source": 77, "index": 50, "snapshot_term": 3}
    lab.receiver.offered(1, offer, 1.0)
    lab.run_job()
    lab.wire.clear()
    before = {name: lab.disk.content(name) for name in lab.disk.names}
    listed = {"type": "snapshot_files", "source": 77, "index": 50, "files": tuple(files)}
    with pytest.raises(CodecError):
        lab.receiver.listed(1, listed, 1.0)
    assert lab.wire == []
    assert lab.jobs == []
    assert {name: lab.disk.content(name) for name in lab.disk.names} == before
    lab.finish()
    assert lab.installed == [100]


@pytest.mark.parametrize(
    "change",
    [
        {"source": 5},
        {"index": 99},
        {"index": -1},
        {"file": 4},
        {"file": -2},
        {"file": 1 << 62},
        {"offset": -1},
        {"offset": 705},
        {"offset": 1 << 62},
    ],
    ids=str,
)
def test_a_request_for_what_was_not_listed_gets_nothing(change):
    lab = Lab()
    lab.beat()
    lab.settle_until_listed()
    lab.wire.clear()
    request = {"type": "snapshot_request", "source": 1, "index": 100, "file": 0, "offset": 0}
    lab.leader.sender.requested(FOLLOWER, request | change, 1.0)
    assert lab.wire == []
    lab.leader.sender.requested(FOLLOWER, request, 1.0)
    assert len(lab.wire) == 1


def test_a_leader_is_busy_as_long_as_somebody_asks():
    lab = Lab()
    sender = lab.leader.sender
    assert not sender.is_busy(0.0)
    lab.beat()
    assert not sender.is_busy(lab.now_s), "an offer is no interest"
    lab.settle_until_listed()
    assert sender.is_busy(lab.now_s + 4.9)
    assert not sender.is_busy(lab.now_s + 5.1)
