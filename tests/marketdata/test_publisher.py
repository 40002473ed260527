"""ItchPublisher: which line, which numbers, what it answers. No network."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_flow import OrderFlow

from cluster.codec import pack, unpack
from cluster.interface import AppliedBatch, Derivation, EventSink, NodeRole
from cluster.settings import Address
from marketdata.feed import ItchFeed
from marketdata.lines import LineSender
from marketdata.message_store import scan
from marketdata.publisher import (
    MAX_QUERY_BYTES,
    MAX_QUERY_MESSAGES,
    ItchPublisher,
)
from marketdata.settings import DEFAULT_SESSION, LINE_A, LINE_B, FeedSettings
from protocols import moldudp64
from protocols.moldudp64 import DataPacket, EndOfSession, Heartbeat


class RecordingSender(LineSender):
    """Keeps datagrams instead of sending them."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        self.datagrams: list[tuple[Address, bytes]] = []

    def send(self, datagram: bytes, line: Address) -> None:
        self.datagrams.append((line, datagram))
        self.sent += 1

    def take(self) -> list[tuple[Address, Any]]:
        """Packets since the last call."""
        taken, self.datagrams = self.datagrams, []
        return [(line, moldudp64.decode_downstream(datagram)) for line, datagram in taken]


@asynccontextmanager
async def a_publisher(
    folder: Path, heartbeat_ms: int = 60_000, state: Any = None, **settings: Any
) -> AsyncIterator[tuple[ItchPublisher, RecordingSender]]:
    sender = RecordingSender()
    publisher = ItchPublisher(
        FeedSettings(store_dir=folder, heartbeat_ms=heartbeat_ms, **settings), sender
    )
    publisher.restore(state)
    await publisher.start()
    try:
        yield publisher, sender
    finally:
        await publisher.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


def test_it_is_an_event_sink(tmp_path: Path) -> None:
    sink: EventSink = ItchPublisher(FeedSettings(store_dir=tmp_path))
    assert sink.query(["position"]) == 1


def test_the_leader_publishes_on_line_a_the_standby_on_line_b_a_follower_nowhere(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with a_publisher(tmp_path) as (publisher, sender):
            flow = OrderFlow(1)
            publisher.on_batch(flow.opening())
            assert sender.take() == []
            after_opening = publisher.feed.next_sequence_number
            publisher.on_role(NodeRole.STANDBY)
            assert sender.take() == [(LINE_B, Heartbeat(DEFAULT_SESSION, after_opening))]
            publisher.on_batch(flow.batch(20))
            packets = sender.take()
            assert {line for line, _ in packets} == {LINE_B}
            assert packets[0][1].sequence_number == after_opening
            taken_over_at = publisher.feed.next_sequence_number
            publisher.on_role(NodeRole.LEADER)
            assert sender.take() == [(LINE_A, Heartbeat(DEFAULT_SESSION, taken_over_at))]
            publisher.on_batch(flow.batch(20))
            packets = sender.take()
            assert {line for line, _ in packets} == {LINE_A}
            assert packets[0][1].sequence_number == taken_over_at
            publisher.on_role(NodeRole.FOLLOWER)
            publisher.on_batch(flow.batch(20))
            assert sender.take() == []

    run(test)


def test_all_nodes_publish_identical_datagrams(tmp_path: Path) -> None:
    async def test() -> None:
        flow = OrderFlow(7)
        batches = [flow.opening(), *(flow.batch(30) for _ in range(5))]
        async with (
            a_publisher(tmp_path / "1") as (leader, line_a),
            a_publisher(tmp_path / "2") as (standby, line_b),
        ):
            leader.on_role(NodeRole.LEADER)
            standby.on_role(NodeRole.STANDBY)
            for batch in batches:
                leader.on_batch(batch)
                standby.on_batch(batch)
            sent_a = [datagram for _, datagram in line_a.datagrams]
            assert sent_a == [datagram for _, datagram in line_b.datagrams]
            assert len(sent_a) > len(batches)

    run(test)


def test_datagrams_are_never_larger_than_the_limit(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_publisher(tmp_path, max_payload=200) as (publisher, sender):
            flow = OrderFlow(2)
            publisher.on_role(NodeRole.LEADER)
            publisher.on_batch(flow.opening())
            publisher.on_batch(flow.batch(200))
            assert max(len(datagram) for _, datagram in sender.datagrams) <= 200
            packets = [packet for _, packet in sender.take() if isinstance(packet, DataPacket)]
            numbers = [
                packet.sequence_number + index
                for packet in packets
                for index in range(len(packet.messages))
            ]
            assert numbers == [*range(1, publisher.feed.next_sequence_number)]

    run(test)


async def next_packets(sender: RecordingSender, count: int) -> list[tuple[Address, Any]]:
    """Wait for so many packets."""
    deadline_s = asyncio.get_running_loop().time() + 5
    while len(sender.datagrams) < count:
        assert asyncio.get_running_loop().time() < deadline_s, "no heartbeat within 5 s"
        await asyncio.sleep(0.005)
    return sender.take()


def test_an_idle_line_gets_heartbeats_with_the_next_number(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_publisher(tmp_path, heartbeat_ms=20) as (publisher, sender):
            publisher.on_batch(OrderFlow(1).opening())
            publisher.on_role(NodeRole.LEADER)
            position = publisher.query(["position"])
            for line, packet in await next_packets(sender, 4):
                assert (line, packet) == (LINE_A, Heartbeat(DEFAULT_SESSION, position))

    run(test)


def test_after_the_last_message_of_the_day_heartbeats_say_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_publisher(tmp_path, heartbeat_ms=20) as (publisher, sender):
            publisher.on_role(NodeRole.LEADER)
            opening = OrderFlow(1).opening()
            publisher.on_batch(opening._replace(events=[(22, "", 6)]))
            sender.take()
            assert await next_packets(sender, 2) == [
                (LINE_A, EndOfSession(DEFAULT_SESSION, 2)),
                (LINE_A, EndOfSession(DEFAULT_SESSION, 2)),
            ]

    run(test)


def test_queries_answer_messages_in_bounded_portions(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_publisher(tmp_path) as (publisher, _):
            flow, feed = OrderFlow(3), ItchFeed()
            batches = [flow.opening(), *(flow.batch(500) for _ in range(11))]
            expected = []
            for batch in batches:
                publisher.on_batch(batch)
                expected += feed.messages(batch)
            assert len(expected) > 2 * MAX_QUERY_MESSAGES
            assert publisher.query(["position"]) == len(expected) + 1
            found: list[bytes] = []
            while len(found) < len(expected):
                part = publisher.query(("messages", DEFAULT_SESSION, len(found) + 1, 10**9))
                assert 0 < len(part) <= MAX_QUERY_MESSAGES
                assert sum(map(len, part)) <= MAX_QUERY_BYTES
                found += part
            assert found == expected
            assert publisher.query(["messages", DEFAULT_SESSION, len(found) + 1, 5]) == []
            assert publisher.query(["messages", DEFAULT_SESSION, 3, 2]) == expected[2:4]
            assert publisher.query(["status"])["position"] == len(expected) + 1

    run(test)


@pytest.mark.parametrize(
    "request_",
    [
        None, 7, "position", [], ["nonsense"], ["messages"], ["position", 1],
        ["messages", "OTHER", 1, 1], ["messages", DEFAULT_SESSION, 0, 1],
        ["messages", DEFAULT_SESSION, 1, 0], ["messages", DEFAULT_SESSION, "1", 1],
    ],
)  # fmt: skip
def test_a_query_of_nonsense_is_refused_with_a_sentence(tmp_path: Path, request_: Any) -> None:
    async def test() -> None:
        async with a_publisher(tmp_path) as (publisher, _):
            with pytest.raises(ValueError, match=r".+"):
                publisher.query(request_)

    run(test)


def snapshot_of(batches: list[AppliedBatch]) -> Any:
    """What a snapshot holds for the publisher, as the process that makes snapshots finds it."""
    derivation: Derivation = ItchFeed()
    derivation.restore(None)
    for batch in batches:
        derivation.on_batch(batch)
    return unpack(pack(derivation.snapshot()))


@given(
    seed=st.integers(0, 1_000),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=25),
    data=st.data(),
    is_other_node=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_restored_publisher_goes_on_with_the_same_numbers_and_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    sizes: list[int],
    data: st.DataObject,
    is_other_node: bool,
) -> None:
    flow = OrderFlow(seed)
    batches = [flow.opening(), *(flow.batch(size) for size in sizes)]
    at_the_end = snapshot_of(batches)
    taken_at = data.draw(st.integers(0, len(batches)), "batches in the snapshot")
    flushed_at = data.draw(st.integers(taken_at, len(batches)), "when the files were flushed")
    killed_at = data.draw(st.integers(flushed_at, len(batches)), "when the process was killed")
    folder = tmp_path_factory.mktemp("itch")

    async def before() -> None:
        """The life before, and what it leaves to this node, or sends to another one."""
        async with a_publisher(folder / "before") as (publisher, _):
            for batch in batches[:flushed_at]:
                publisher.on_batch(batch)
            store_dir, files = publisher.day_files()
            for batch in batches[flushed_at:killed_at]:
                publisher.on_batch(batch)
            shutil.copytree(store_dir, folder / "after")
            if is_other_node:
                for path in (folder / "after").iterdir():
                    path.unlink()
                for name, size in files:
                    content = (store_dir / name).read_bytes()[:size]
                    (folder / "after" / name).write_bytes(content)

    async def test() -> None:
        await before()
        state = snapshot_of(batches[:taken_at]) if taken_at else None
        async with (
            a_publisher(folder / "whole") as (whole, whole_line),
            a_publisher(folder / "after", state=state) as (restored, restored_line),
        ):
            for batch in batches[:taken_at]:
                whole.on_batch(batch)
            for publisher in (whole, restored):
                publisher.on_role(NodeRole.LEADER)
                for batch in batches[taken_at:]:
                    publisher.on_batch(batch)
                assert unpack(pack(publisher.feed.snapshot())) == at_the_end
            assert restored_line.datagrams == whole_line.datagrams
            for first in range(1, restored.query(["position"]), 100):
                request = ["messages", DEFAULT_SESSION, first, 100]
                assert restored.query(request) == whole.query(request)
        assert list(scan(folder / "after")) == list(scan(folder / "whole"))

    run(test)


class RefusingSocket:
    """A socket whose kernel takes nothing."""

    def __init__(self, error: OSError) -> None:
        self._error = error

    def sendto(self, *_: Any) -> int:
        raise self._error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BlockingIOError(11, "try again"), "EAGAIN"),
        (OSError(105, "no buffer space"), "ENOBUFS"),
        (OSError(101, "network is unreachable"), "ENETUNREACH"),
    ],
)
def test_a_datagram_that_the_kernel_refuses_is_counted_and_dropped(
    tmp_path: Path, error: OSError, reason: str
) -> None:
    async def test() -> None:
        publisher = ItchPublisher(FeedSettings(store_dir=tmp_path))
        await publisher.start()
        assert publisher._sender is not None
        publisher._sender._socket.close()
        publisher._sender._socket = RefusingSocket(error)  # type: ignore[assignment]
        publisher.on_role(NodeRole.LEADER)
        publisher.on_batch(OrderFlow(1).opening())
        status = publisher.query(["status"])
        assert status["datagrams"] == 0
        assert status["dropped"] == {reason: 2}
        assert status["position"] > 1
        await publisher.close()

    run(test)


@pytest.mark.parametrize("wrong", [{"session": "TOO LONG A NAME"}, {"max_payload": 71}])
def test_settings_that_cannot_work_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="example"):
        FeedSettings(store_dir=tmp_path, **wrong)
