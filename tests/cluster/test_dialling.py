"""Connections that come about at the very moment at which they are given up.

The kernel repeats a lost SYN after a second, and a second is what dialling may take: after a cut of
the network the two meet. uvloop then closes the connection, and does not tell its protocol.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from node_process import address

from cluster import client, transport
from cluster.client import ClusterClient
from cluster.client_link import NodeLink
from cluster.transport import PeerNetwork


def given_up_when_made(monkeypatch: pytest.MonkeyPatch, protocol: type[Any]) -> Callable[[], bool]:
    """The time-out of the first connection that a `protocol` has dialled strikes just as it is
    made. Returns whether that has happened."""
    timeouts: list[Any] = []
    make_timeout, connection_made = asyncio.timeout, protocol.connection_made
    struck: list[bool] = []

    def timeout(delay_s: float) -> asyncio.Timeout:
        timeouts.append(make_timeout(delay_s))
        return timeouts[-1]

    def made(self: Any, connection: asyncio.BaseTransport) -> None:
        connection_made(self, connection)
        if not struck and getattr(self, "dials", 1) is not None:
            struck.append(True)
            timeouts[-1]._on_timeout()

    monkeypatch.setattr(asyncio, "timeout", timeout)
    monkeypatch.setattr(protocol, "connection_made", made)
    return lambda: bool(struck)


async def until(fact: Callable[[], bool]) -> None:
    for _ in range(500):
        if fact():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never dialled again")


def test_a_client_dials_again(monkeypatch: pytest.MonkeyPatch) -> None:
    struck = given_up_when_made(monkeypatch, NodeLink)
    connections: list[asyncio.StreamWriter] = []

    async def run() -> None:
        server = await asyncio.start_server(lambda _, w: connections.append(w), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        one = ClusterClient("fix-1", {1: address(port)}, on_batch=lambda batch: None)
        starting = asyncio.ensure_future(one.start())
        await until(lambda: len(connections) > 1)
        starting.cancel()
        await one.close()
        server.close()

    uvloop.run(run())
    assert struck()


def test_a_node_dials_its_peer_again(monkeypatch: pytest.MonkeyPatch) -> None:
    struck = given_up_when_made(monkeypatch, transport._Link)

    async def run() -> None:
        async def free_port() -> int:
            server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
            async with server:
                return int(server.sockets[0].getsockname()[1])

        addresses = {node_id: address(await free_port()) for node_id in (1, 2)}
        nodes = [
            PeerNetwork(
                node_id,
                addresses,
                addresses[node_id],
                on_message=lambda peer_id, epoch, message: None,
                on_connected=lambda peer_id, epoch: None,
                on_disconnected=lambda peer_id, epoch: None,
                first_epoch=1,
            )
            for node_id in (1, 2)
        ]
        for node in nodes:
            await node.start()
        await until(lambda: [node.connected for node in nodes] == [[2], [1]])
        for node in nodes:
            await node.close()

    uvloop.run(run())
    assert struck()


def test_a_lost_leader_ends_every_pause_before_the_next_attempt() -> None:
    """Else a node that was down for a while, and leads as soon as it is back, waits for its
    gateways for as long as such a pause lasts."""

    async def run() -> None:
        one = ClusterClient("fix-1", {}, on_batch=lambda batch: None)
        one._loop = asyncio.get_running_loop()
        resting = asyncio.create_task(one._rest(1_000.0))
        one._tasks.append(resting)
        await asyncio.sleep(0)
        one._lose_leader()
        async with asyncio.timeout(10.0):
            assert await resting == client._LONGEST_PAUSE_S
            assert await one._rest(1_000.0) == 1.5 * client._FIRST_PAUSE_S

    uvloop.run(run())
