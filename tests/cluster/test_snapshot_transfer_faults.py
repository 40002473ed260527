"""A snapshot on its way to a follower while power, connections, leaders and files come and go."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from snapshot_lab import SNAPSHOTS, MemoryDisk, header_of
from test_storage import expected, facts, open_storage, write_journal, write_snapshots
from transfer_lab import DAY, FOLLOWER, INCOMING, Lab, piece_under_way, total_bytes

from cluster.segment import JournalError
from cluster.snapshot import snapshot_name
from cluster.snapshot_install import MARKER, OfferedFile, encode_marker
from cluster.snapshot_transfer import LIST
from exchange.simulation.disk import PowerLoss


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


def test_a_piece_that_cannot_be_read_any_more_does_not_cost_the_list_of_a_newer_snapshot():
    lab = Lab()
    while not piece_under_way(lab, "snapshots"):
        lab.step()
    lab.deliver()
    lab.leader.slow = True
    lab.deliver()  # the request for the next piece: it is being read
    lab.leader.slow = False
    (late_read,) = lab.leader.reads
    for index in (150, 160):  # the one that is fetched goes
        lab.leader.take_snapshot(index)
    lab.settle_until_listed()
    late_read()
    lab.finish()
    assert lab.installed == [160]


def test_who_asks_by_a_list_that_is_gone_gets_it_again():
    lab = Lab()
    lab.beat()
    lab.settle_until_listed()
    lab.leader.sender._lists.clear()
    lab.finish()
    assert lab.installed == [100]
    assert len(lab.leader.listed) == 2


def test_a_list_that_was_sent_stays_though_files_grow_and_requests_come_late():
    lab = Lab()
    lab.beat()
    lab.settle_until_listed()
    asked = {"type": "snapshot_request", "source": lab.leader.sender._source, "file": LIST}
    late = asked | {"term": 3, "index": 100, "offset": 0}
    lab.leader.take_snapshot(150)
    for index in (100, 150, 100):
        lab.leader.grow()
        lab.leader.sender.requested(FOLLOWER, late | {"index": index}, lab.now_s)
    lists = [content for index, content in lab.leader.listed if index == 100]
    assert len(lists) == 3
    assert lists[0] == lists[1] == lists[2]
    lab.finish()
    assert lab.installed in ([100], [150])


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
    snapshot = OfferedFile("snapshots", snapshot_name(20), 1)
    events = OfferedFile("events", "events-00000000000000000001.evt", 1)
    made.put(INCOMING / snapshot.arrives_as, other.read(SNAPSHOTS / snapshot.name))
    made.put(INCOMING / events.arrives_as, b"which nobody can read: it is removed")
    made.put(INCOMING / MARKER, encode_marker(20, [events, snapshot]))
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
        self.lives = 0

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

    @rule()
    def leader_restarts(self) -> None:
        # A live sender draws 63 random bits: no two lives have the same number.
        self.lives += 1
        self.lab.leader.begin_life(10 + self.lives)

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
