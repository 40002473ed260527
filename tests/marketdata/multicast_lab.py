"""Publishers and a market-data process on real multicast over loopback, with a cluster in between
that is made of method calls."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from order_flow import OrderFlow

from cluster.interface import NodeRole
from cluster.settings import Address
from marketdata.lines import LineSender
from marketdata.publisher import SINK_NAME, ItchPublisher
from marketdata.server import MarketDataServer
from marketdata.settings import (
    FeedSettings,
    GlimpseSettings,
    LineSettings,
    MarketDataSettings,
)

LOOPBACK = "127.0.0.1"
DEADLINE_S = 15.0


def run(test: Callable[[], Coroutine[Any, Any, None]], loop: Any = uvloop.new_event_loop) -> None:
    """Run a test on an event loop of the product's kind, with a deadline."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(test(), 2 * DEADLINE_S))


async def until(fact: Callable[[], bool], what: str) -> None:
    """Wait for a fact, with a deadline."""
    deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
    while not fact():
        assert asyncio.get_running_loop().time() < deadline_s, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.002)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def free_lines(session: str = "TEST000001") -> LineSettings:
    """Two groups that no other test run on this machine uses."""
    pid = os.getpid()
    group = f"239.{128 + (pid >> 16) % 64}.{(pid >> 8) & 255}.{pid & 255}"
    return LineSettings(session, Address(group, free_udp_port()), Address(group, free_udp_port()))


class LossySender(LineSender):
    """A line that loses datagrams: `lose` says which."""

    def __init__(self, lose: Callable[[bytes], bool]) -> None:
        super().__init__(LOOPBACK, 1)
        self.lose = lose
        self.lost = 0

    def send(self, datagram: bytes, line: Address) -> None:
        if self.lose(datagram):
            self.lost += 1
        else:
            super().send(datagram, line)


def losing(share: float, seed: int) -> Callable[[bytes], bool]:
    chance = random.Random(seed)
    return lambda _: chance.random() < share


def nothing(_: bytes) -> bool:
    return False


class Lab:
    """Nodes 1 and 2 with an ItchPublisher each, fed by one order flow; 1 leads, 2 stands by."""

    def __init__(self, folder: Path, seed: int = 1, heartbeat_ms: int = 50) -> None:
        self.folder = folder
        self.flow = OrderFlow(seed)
        self.lines = free_lines()
        self.senders = {node_id: LossySender(nothing) for node_id in (1, 2)}
        self.publishers = {
            node_id: ItchPublisher(
                FeedSettings(
                    store_dir=folder / f"node-{node_id}",
                    session=self.lines.session,
                    line_a=self.lines.line_a,
                    line_b=self.lines.line_b,
                    heartbeat_ms=heartbeat_ms,
                ),
                self.senders[node_id],
            )
            for node_id in (1, 2)
        }
        self.cluster = FakeCluster(self)
        self.leader_id = 1
        self.alive = {1, 2}

    async def start(self) -> None:
        for publisher in self.publishers.values():
            await publisher.start()
        self.publishers[1].on_role(NodeRole.LEADER)
        self.publishers[2].on_role(NodeRole.STANDBY)

    async def close(self) -> None:
        for node_id in list(self.alive):
            await self.kill(node_id)

    async def kill(self, node_id: int) -> None:
        """The node is gone: it sends nothing more and answers nothing more."""
        self.alive.discard(node_id)
        await self.publishers[node_id].close()

    def publish(self, commands: int) -> None:
        """A batch of so many commands; 0 is the opening. Every node that lives applies it."""
        batch = self.flow.batch(commands) if commands else self.flow.opening()
        for node_id in sorted(self.alive):
            self.publishers[node_id].on_batch(batch)

    async def publish_many(self, batches: int, commands: int = 10) -> None:
        for _ in range(batches):
            self.publish(commands)
            await asyncio.sleep(0)  # let receivers read

    @property
    def position(self) -> int:
        return self.publishers[self.leader_id].feed.next_sequence_number

    def all_messages(self) -> list[bytes]:
        """Every message so far, from the leader's own store."""
        store = self.publishers[self.leader_id]._store
        assert store is not None
        return store.read(1, self.position, 1 << 40)


class FakeCluster:
    """What the market-data process needs of ClusterClient: answers come as they do off the wire."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.asked: list[tuple[int | None, list[Any]]] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.wrong_answer: Any = None
        self.closed = False

    async def start(self) -> None:
        await self.reachable.wait()

    async def close(self) -> None:
        self.closed = True

    async def query(
        self, sink: str, request: Any, *, timeout_s: float = 2.0, node_id: int | None = None
    ) -> Any:
        assert sink == SINK_NAME
        self.asked.append((node_id, request))
        await asyncio.sleep(0)
        if self.before_answer is not None:
            await self.before_answer()
        if self.wrong_answer is not None:
            return self.wrong_answer
        asked = node_id or self._lab.leader_id
        if asked not in self._lab.alive:
            raise TimeoutError("no node can be reached")
        answer = self._lab.publishers[asked].query(tuple(request))
        return tuple(answer) if isinstance(answer, list) else answer


@asynccontextmanager
async def a_lab(folder: Path, seed: int = 1, heartbeat_ms: int = 50) -> AsyncIterator[Lab]:
    lab = Lab(folder, seed, heartbeat_ms)
    await lab.start()
    try:
        yield lab
    finally:
        await lab.close()


@asynccontextmanager
async def a_server(
    lab: Lab, glimpse: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[MarketDataServer]:
    server = MarketDataServer(
        MarketDataSettings(
            nodes={1: Address(LOOPBACK, 1), 2: Address(LOOPBACK, 2)},
            store_dir=lab.folder / "marketdata",
            lines=lab.lines,
            rerequest_bind=Address(LOOPBACK, 0),
            http_bind=Address(LOOPBACK, 0),
            glimpse=GlimpseSettings(bind=Address(LOOPBACK, 0), **(glimpse or {})),
            **settings,
        ),
        lab.cluster,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()
