"""A snapshot on its way to a follower: over bad connections, through power losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from crc32c import crc32c
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from snapshot_lab import NODE, SNAPSHOTS, MemoryDisk, header_of
from test_storage import expected, facts, open_storage, write_journal, write_snapshots

from cluster.codec import CodecError, decode_raft_message, pack
from cluster.segment import JournalError
from cluster.snapshot import SnapshotStore, snapshot_name
from cluster.snapshot_transfer import (
    MARKER,
    OfferedFile,
    SnapshotReceiver,
    SnapshotSender,
    _encode_marker,
    install_received,
)
from cluster.snapshot_transfer import (
    SNAPSHOTS as SNAPSHOT_FOLDER,
)
from exchange.simulation.disk import PowerLoss

CHUNK = 400
INCOMING = NODE / "incoming"
DAY = {"events": NODE / "events", "itch": NODE / "itch"}
FOLLOWER = 9
BEAT_S = 0.3
Content = dict[str, dict[str, bytes]]
"""Bytes of every file, by folder and name."""


class Leader:
    """A node with a snapshot and with day files of its own. `listed` is all that it ever listed:
    the log index, and the bytes of every file as they were then."""

    def __init__(self, node_id: int, index: int, send: Callable[[int, dict[str, Any]], None]):
        self.random = Random(node_id)
        self.node_id = node_id
        self.disk = MemoryDisk()
        self.snapshots = SnapshotStore(self.disk, Path("leader/snapshots"))
        self.day: dict[str, dict[str, bytearray]] = {
            "events": {
                f"events-{number:020d}.evt": bytearray(self.random.randbytes(length))
                for number, length in ((1, 705), (50, 430 + 10 * node_id))
            },
            "itch": {"itch-1.messages": bytearray(self.random.randbytes(130))},
        }
        self.listed: list[tuple[int, Content]] = []
        self.missed = 0
        self._deliver = send
        self.take_snapshot(index)
        self.begin_life(node_id)

    def begin_life(self, source: int) -> None:
        """The process starts again: what it writes to its last file of events from now on has the
        same name and may have the same length as before, but not the same bytes."""
        last = max(self.day["events"])
        self.day["events"][last][-300:] = self.random.randbytes(300)
        self._write_day_files()
        self.sender = SnapshotSender(
            self.disk,
            self.snapshots,
            self._day_files,
            self._send,
            chunk_bytes=CHUNK,
            source=source,
            first_index=lambda: self.first_index,
            on_missing=self._missing,
        )

    def take_snapshot(self, index: int) -> None:
        """A newer one; the older of two goes."""
        self.snapshots.write(header_of(index, term=3), [self.random.randbytes(500), index])
        self.grow()

    def grow(self) -> None:
        """The last file of events gets longer."""
        last = max(self.day["events"])
        self.day["events"][last] += self.random.randbytes(90)
        self._write_day_files()

    def _missing(self) -> None:
        self.missed += 1

    def _write_day_files(self) -> None:
        for folder, files in self.day.items():
            for name, content in files.items():
                self.disk.put(Path("leader") / folder / name, bytes(content))

    def _day_files(self) -> dict[str, tuple[Path, list[tuple[str, int]]]]:
        return {
            folder: (
                Path("leader") / folder,
                [(name, len(content)) for name, content in files.items()],
            )
            for folder, files in self.day.items()
        }

    def _send(self, peer_id: int, message: dict[str, Any]) -> None:
        assert peer_id == FOLLOWER
        read_back = decode_raft_message(pack(message))  # as it comes out of a connection
        if read_back["type"] == "snapshot_files":
            content: Content = {folder: {} for folder in (SNAPSHOT_FOLDER, *DAY)}
            for folder, name, size in read_back["files"]:
                content[folder][name] = self.disk.read(Path("leader") / folder / name)[:size]
            self.listed.append((read_back["index"], content))
        self._deliver(self.node_id, read_back)

    @property
    def first_index(self) -> int:
        """Where its journal begins; who is at this entry needs no snapshot."""
        return self.snapshots.indexes()[0]


class Lab:
    """A follower that has nothing, leaders that have everything, a wire between them."""

    def __init__(self, seed: int = 0, leaders: int = 1) -> None:
        self.now_s = 0.0
        self.disk = MemoryDisk(seed)
        self.snapshots = SnapshotStore(self.disk, SNAPSHOTS)
        self.wire: list[tuple[int, dict[str, Any]]] = []
        """(leader, message from or to it), in the order of sending."""
        self.jobs: list[tuple[Callable[[], None], Callable[[Any, BaseException | None], None]]] = []
        self.installed: list[int] = []
        self.restarts = 0
        self.starts_again = True
        """Whether the node starts again when a snapshot is ready."""
        self.bytes_sent = 0
        self.leaders = {
            number: Leader(number, 100 * number, self._from_leader)
            for number in range(1, leaders + 1)
        }
        self.leader = self.leaders[1]
        self.start()

    # --- the follower ---

    def start(self) -> None:
        """As a node does: put in place what has arrived, then listen."""
        self.jobs.clear()
        self.wire.clear()
        while True:
            try:
                installed = self.start_only()
            except PowerLoss:
                self.disk.lose_power()
                continue
            break
        if installed is not None:
            self.installed.append(installed)
            self.check_installed()
        self.receiver = SnapshotReceiver(
            self.disk, INCOMING, frozenset(DAY), self._from_follower, self._background, self._ready
        )

    def start_only(self) -> int | None:
        """The part of a start that is tested here."""
        return install_received(self.disk, INCOMING, self.snapshots, DAY)

    @property
    def position(self) -> int:
        """Entry after which the follower's state is."""
        return max(self.snapshots.indexes(), default=0)

    def _ready(self, index: int) -> None:
        assert index > self.position
        if self.starts_again:
            self.start()

    def _background(
        self, work: Callable[[], None], done: Callable[[None, BaseException | None], None]
    ) -> None:
        self.jobs.append((work, done))

    def run_job(self) -> None:
        """The disk is done with what was handed to it."""

        def run() -> None:
            work, done = self.jobs.pop(0)
            error: BaseException | None = None
            try:
                work()
            except Exception as raised:
                if isinstance(raised, PowerLoss):
                    raise
                error = raised
            done(None, error)

        self._survive(run)

    def crash(self) -> None:
        """Power loss."""
        self.restarts += 1
        self.disk.lose_power()
        self.start()

    def _survive(self, action: Callable[[], None]) -> None:
        try:
            action()
        except PowerLoss:
            self.crash()

    # --- the wire ---

    def _from_leader(self, leader_id: int, message: dict[str, Any]) -> None:
        self.wire.append((leader_id, message))
        self.bytes_sent += len(message.get("data", b""))

    def _from_follower(self, leader_id: int, message: dict[str, Any]) -> None:
        self.wire.append((leader_id, decode_raft_message(pack(message))))

    def beat(self) -> None:
        """A heartbeat of the leader, in whose place the offer goes."""
        self.now_s += BEAT_S
        if self.leader.first_index > self.position:
            self.leader.sender.offer(FOLLOWER, term=3)

    def deliver(self, place: int = 0) -> None:
        """One message arrives, as consensus passes it on."""
        leader_id, message = self.wire.pop(place)
        kind = message["type"]
        if kind == "snapshot_offer":
            if message["index"] > self.position:  # guard.check_snapshot_offer
                self._survive(lambda: self.receiver.offered(leader_id, message, self.now_s))
        elif leader_id != self.leader.node_id:
            return
        elif kind == "snapshot_files":
            self._survive(lambda: self.receiver.listed(leader_id, message, self.now_s))
        elif kind == "snapshot_chunk":
            self._survive(lambda: self.receiver.received(leader_id, message, self.now_s))
        elif kind == "snapshot_request":
            self.leader.sender.requested(FOLLOWER, message, self.now_s)
        else:
            assert kind == "snapshot_damaged"
            self.leader.snapshots.is_good(message["index"])

    def step(self) -> None:
        """What comes next when nothing goes wrong."""
        if self.wire:
            self.deliver()
        elif self.jobs:
            self.run_job()
        else:
            self.beat()

    def settle_until_listed(self) -> None:
        """The list of files is on its way or here, unless power was lost."""
        before, restarts = len(self.leader.listed), self.restarts
        while len(self.leader.listed) == before and self.restarts == restarts:
            self.step()

    def settle(self) -> None:
        """Everything on the way arrives, and the disk does its work."""
        for _ in range(500):
            if not self.wire and not self.jobs:
                return
            self.step()
        raise AssertionError("the talk never ends")

    def finish(self) -> None:
        """From now on nothing goes wrong."""
        for _ in range(100):
            if self.position >= self.leader.first_index:
                return
            self.beat()
            self.settle()
        raise AssertionError("the snapshot never arrives")

    # --- what must be ---

    def content(self) -> Content:
        """All that the follower has in place."""
        files = {folder: self.disk.files(path) for folder, path in DAY.items()}
        return {SNAPSHOT_FOLDER: self.disk.files(SNAPSHOTS)} | files

    def check_installed(self) -> None:
        """What is in place is what one leader listed at one moment, byte for byte."""
        listed = [item for leader in self.leaders.values() for item in leader.listed]
        content = self.content()
        newest = snapshot_name(self.position)
        content[SNAPSHOT_FOLDER] = {newest: content[SNAPSHOT_FOLDER][newest]}
        assert (self.position, content) in listed
        assert self.disk.list_directory(INCOMING) == []
        self.snapshots.load(self.position)


def total_bytes(content: Content) -> int:
    return sum(len(data) for files in content.values() for data in files.values())


# --- the whole way --------------------------------------------------------------------------------


def piece_under_way(lab: Lab, folder: str = "") -> bytes:
    """Data of the piece that arrives next, if it is one of a file of this folder."""
    message = lab.wire[0][1] if lab.wire else {}
    if message.get("type") != "snapshot_chunk":
        return b""
    wanted = folder in ("", lab.receiver._files[message["file"]].folder)
    return message["data"] if wanted else b""


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
    lab.leader.sender.requested(FOLLOWER + 1, request, 1.0)
    assert lab.wire == [], "nothing was listed for this one"
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


# --- things that go wrong -------------------------------------------------------------------------


def disk_calls_of_a_transfer() -> int:
    lab = Lab()
    lab.finish()
    return len(lab.disk.calls)


@pytest.mark.parametrize("call", range(disk_calls_of_a_transfer()))
def test_power_loss_at_any_moment_only_delays_it(call):
    for seed in range(6):
        lab = Lab(seed)
        lab.disk.put(DAY["events"] / "events-00000000000000000001.evt", b"older")
        lab.disk.fail_in = call
        lab.finish()
        assert lab.position == 100
        assert lab.content() == lab.leader.listed[-1][1]


def test_a_newer_snapshot_costs_the_older_one_and_no_day_file():
    lab = Lab()
    while not piece_under_way(lab, "snapshots"):
        lab.step()
    lab.leader.take_snapshot(150)
    lab.beat()
    lab.finish()
    assert lab.installed == [150]
    (old,) = lab.leader.listed[0][1]["snapshots"].values()
    assert lab.bytes_sent <= total_bytes(lab.leader.listed[-1][1]) + len(old)


def test_who_has_reached_the_journal_of_the_leader_is_offered_nothing():
    lab = Lab()
    lab.finish()
    lab.leader.take_snapshot(150)
    lab.beat()
    assert lab.wire == [], "its journal goes on from 100, the older of the two"


def test_a_leader_whose_snapshot_goes_while_it_is_fetched_offers_the_newest():
    lab = Lab()
    for index in (150, 160, 170):
        while not piece_under_way(lab, "snapshots"):
            lab.step()
        lab.leader.take_snapshot(index)
    lab.finish()
    assert lab.installed in ([150], [160], [170])
    assert lab.position >= lab.leader.first_index


def test_a_leader_whose_day_file_goes_while_it_is_fetched_lists_what_it_has():
    lab = Lab()
    while not piece_under_way(lab, "events"):
        lab.step()
    oldest = min(lab.leader.day["events"])
    del lab.leader.day["events"][oldest]
    lab.leader.disk.remove(Path("leader/events") / oldest)
    lab.finish()
    assert len(lab.leader.listed) == 2
    assert oldest not in lab.content()["events"]
    assert lab.installed == [100]


def test_what_is_not_wanted_any_more_is_removed_before_the_rest_is_fetched():
    lab = Lab()
    while not piece_under_way(lab, "itch"):
        lab.step()
    oldest = min(lab.leader.day["events"])
    assert f"events@{oldest}" in lab.disk.list_directory(INCOMING)
    del lab.leader.day["events"][oldest]
    lab.leader.take_snapshot(150)
    lab.wire.clear()
    lab.settle_until_listed()
    while not piece_under_way(lab, "snapshots"):
        lab.step()
    assert f"events@{oldest}" not in lab.disk.list_directory(INCOMING)
    lab.finish()
    assert lab.content() == lab.leader.listed[-1][1]


def test_a_day_file_and_then_the_snapshot_that_go_do_not_stop_the_leader(monkeypatch):
    lab = Lab()
    while not piece_under_way(lab, "events"):
        lab.step()
    lab.leader.disk.remove(Path("leader/events") / min(lab.leader.day["events"]))
    lab.wire.clear()

    def gone(path: Path) -> int:
        raise FileNotFoundError(path)  # pruned by the maker since its name was listed

    request = {"type": "snapshot_request", "source": 1, "index": 100, "file": 0, "offset": 0}
    with monkeypatch.context() as patch:
        patch.setattr(lab.leader.disk, "file_size", gone)
        lab.leader.sender.requested(FOLLOWER, request, lab.now_s)
    assert lab.wire == []


def test_a_leader_that_begins_a_new_life_is_another_source():
    for steps in range(5, 40):
        lab = Lab()
        for _ in range(steps):
            lab.step()
        lab.leader.begin_life(1000)
        lab.wire.clear()
        lab.finish()
        assert lab.installed == [100]
        assert lab.content() in [content for _, content in lab.leader.listed]


def test_another_leader_begins_anew_with_what_it_has():
    for steps in range(5, 40):
        lab = Lab(leaders=2)
        for _ in range(steps):
            lab.step()
        lab.leader = lab.leaders[2]
        lab.finish()
        assert lab.installed in ([200], [100, 200])
        assert lab.content()["events"] == lab.leaders[2].listed[-1][1]["events"]


@pytest.mark.parametrize("call", range(12))
def test_power_loss_while_a_source_replaces_another_mixes_nothing(call):
    crashes = 0
    for seed in range(25):
        for back in (1, 2):
            lab = Lab(seed, leaders=2)
            while not piece_under_way(lab, "itch"):
                lab.step()
            lab.leader = lab.leaders[2]
            lab.disk.fail_in = call
            lab.beat()
            lab.settle_until_listed()
            crashes += lab.restarts
            lab.disk.fail_in = None
            lab.leader = lab.leaders[back]
            lab.finish()
            assert lab.installed == [100 * back]
    assert crashes or call > 8


def test_an_older_snapshot_than_the_one_that_is_here_is_not_put_in_place():
    lab = Lab()
    lab.starts_again = False
    while MARKER not in lab.disk.list_directory(INCOMING):
        lab.step()
    lab.snapshots.write(header_of(130), [])
    day = {folder: lab.disk.files(path) for folder, path in DAY.items()}
    lab.start_only()
    assert lab.snapshots.indexes() == [130]
    assert {folder: lab.disk.files(path) for folder, path in DAY.items()} == day
    assert lab.disk.list_directory(INCOMING) == []


def test_a_damaged_marker_is_refused_with_what_to_do():
    lab = Lab()
    lab.disk.put(INCOMING / MARKER, b"....nonsense")
    with pytest.raises(JournalError) as caught:
        lab.start_only()
    assert str(caught.value) == (
        f"{INCOMING / MARKER}: damaged; remove the folder {INCOMING} and start the node again: "
        "what was being fetched is fetched once more"
    )


@pytest.mark.parametrize("last", [0, 12, 30])
def test_power_loss_at_any_call_of_a_start_on_what_arrived_changes_nothing(last: int):
    """The whole start of a node: files put in place, snapshot read, journal begun anew or kept."""
    made = MemoryDisk()
    write_journal(made, last, committed=last)
    other = MemoryDisk()
    write_snapshots(other, 20)
    snapshot = OfferedFile(SNAPSHOT_FOLDER, snapshot_name(20), 1)
    events = OfferedFile("events", "events-00000000000000000001.evt", 1)
    made.put(INCOMING / snapshot.arrives_as, other.read(SNAPSHOTS / snapshot.name))
    made.put(INCOMING / events.arrives_as, b"which nobody can read: it is removed")
    made.put(INCOMING / MARKER, _encode_marker(20, [events, snapshot]))
    what = expected(20, range(1, last + 1) if last > 20 else range(20, 21))
    call, ended = 0, False
    while not ended:
        for seed in range(8):
            disk = made.again(seed)
            disk.fail_in = call
            try:
                storage = open_storage(disk)
                ended = True
            except PowerLoss:
                disk.lose_power()
                storage = open_storage(disk)
            assert facts(storage) == what
            assert storage.snapshots.indexes() == [20]
            assert MARKER not in disk.list_directory(INCOMING)
        call += 1
    assert call > 10


class Transfer(RuleBasedStateMachine):
    """Whatever happens on the way: what is put in place is what one leader offered, and once
    everything works again it comes to its end. `Lab.start` checks what it puts in place."""

    def __init__(self) -> None:
        super().__init__()
        self.lab = Lab(leaders=2)

    @rule()
    def beat(self) -> None:
        self.lab.beat()

    @rule()
    def settle_a_little(self) -> None:
        for _ in range(8):
            self.lab.step()

    @precondition(lambda self: self.lab.wire)
    @rule(place=st.integers(0, 5))
    def deliver(self, place: int) -> None:
        self.lab.deliver(place % len(self.lab.wire))

    @precondition(lambda self: self.lab.wire)
    @rule(place=st.integers(0, 5))
    def double(self, place: int) -> None:
        self.lab.wire.append(self.lab.wire[place % len(self.lab.wire)])

    @precondition(lambda self: self.lab.wire)
    @rule(place=st.integers(0, 5))
    def drop(self, place: int) -> None:
        del self.lab.wire[place % len(self.lab.wire)]

    @rule()
    def connection_breaks(self) -> None:
        self.lab.wire.clear()

    @precondition(lambda self: self.lab.jobs)
    @rule()
    def run_job(self) -> None:
        self.lab.run_job()

    @rule(number=st.sampled_from([1, 2]))
    def other_leader(self, number: int) -> None:
        self.lab.leader = self.lab.leaders[number]

    @rule(after=st.integers(1, 30))
    def newer_snapshot(self, after: int) -> None:
        self.lab.leader.take_snapshot(self.lab.leader.snapshots.indexes()[-1] + after)

    @rule(source=st.integers(10, 1 << 40))
    def leader_restarts(self, source: int) -> None:
        self.lab.leader.begin_life(source)

    @rule()
    def leader_writes(self) -> None:
        self.lab.leader.grow()

    @rule(calls=st.integers(0, 12), seed=st.integers(0, 99))
    def power_fails_soon(self, calls: int, seed: int) -> None:
        self.lab.disk.random.seed(seed)
        self.lab.disk.fail_in = calls

    @rule()
    def power_fails(self) -> None:
        self.lab.crash()

    @invariant()
    def none_is_installed_twice(self) -> None:
        assert self.lab.installed == sorted(set(self.lab.installed))

    def teardown(self) -> None:
        self.lab.disk.fail_in = None
        self.lab.leader = max(self.lab.leaders.values(), key=lambda leader: leader.first_index)
        self.lab.finish()
        assert self.lab.position >= self.lab.leader.first_index


TestTransfer = Transfer.TestCase
TestTransfer.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
