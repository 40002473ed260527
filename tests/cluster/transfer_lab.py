"""A follower that has nothing, leaders that have everything, and a wire that a test may cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from snapshot_lab import NODE, SNAPSHOTS, MemoryDisk, header_of

from cluster.codec import decode_raft_message, pack
from cluster.snapshot import SnapshotStore, snapshot_name
from cluster.snapshot_install import install_received
from cluster.snapshot_receiver import SnapshotReceiver
from cluster.snapshot_transfer import SnapshotSender
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
        self.slow = False
        """Whether what it reads waits in `reads` until a test runs it."""
        self.reads: list[Callable[[], None]] = []
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
            background=self._background,
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

    def _background(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        def run() -> None:
            try:
                result = work()
            except OSError as error:
                done(None, error)
            else:
                done(result, None)

        if self.slow:
            self.reads.append(run)
        else:
            run()

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
            content: Content = {folder: {} for folder in ("snapshots", *DAY)}
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
        return {"snapshots": self.disk.files(SNAPSHOTS)} | files

    def check_installed(self) -> None:
        """What is in place is what one leader listed at one moment, byte for byte."""
        listed = [item for leader in self.leaders.values() for item in leader.listed]
        content = self.content()
        newest = snapshot_name(self.position)
        content["snapshots"] = {newest: content["snapshots"][newest]}
        assert (self.position, content) in listed
        assert self.disk.list_directory(INCOMING) == []
        self.snapshots.load(self.position)


def total_bytes(content: Content) -> int:
    return sum(len(data) for files in content.values() for data in files.values())


def piece_under_way(lab: Lab, folder: str = "") -> bytes:
    """Data of the piece that arrives next, if it is one of a file of this folder."""
    message = lab.wire[0][1] if lab.wire else {}
    if message.get("type") != "snapshot_chunk":
        return b""
    wanted = folder in ("", lab.receiver._files[message["file"]].folder)
    return message["data"] if wanted else b""
