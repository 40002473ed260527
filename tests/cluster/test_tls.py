"""Mutual TLS on the ports of a node: who gets in, under which name, and what the others get."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from local_cluster import free_offset, until
from node_process import NODES, node_settings
from tls_lab import Certificates, answer

from cluster import admin, tls, transport
from cluster.client import ClientRefused, ClusterClient, ConnectionState
from cluster.codec import FrameReader, frame, unpack
from cluster.node import Node
from cluster.settings import Address, NodeSettings, TlsSettings
from cluster.tls import TlsError, client_context, server_context
from cluster.transport import PeerNetwork

MESSAGE = {"type": "higher_term", "term": 7}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def free_address() -> Address:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Address(*probe.getsockname())


def hello(from_node: int, to: int = 1) -> bytes:
    return frame({"type": "hello", "version": 1, "from": from_node, "to": to, "epoch": 5})


class Member:
    """The connections of one node, and what they brought."""

    def __init__(
        self, node_id: int, addresses: dict[int, Address], settings: TlsSettings | None
    ) -> None:
        self.messages: list[tuple[int, dict[str, Any]]] = []
        self.lost: list[int] = []
        self.network = PeerNetwork(
            node_id,
            addresses,
            addresses[node_id],
            on_message=lambda peer, epoch, message: self.messages.append((peer, message)),
            on_connected=lambda peer, epoch: None,
            on_disconnected=lambda peer, epoch: self.lost.append(peer),
            first_epoch=100 * node_id,
            tls=settings,
        )


@asynccontextmanager
async def two_members(certificates: Certificates) -> AsyncIterator[tuple[Member, Member, Address]]:
    """Nodes 1 and 2 of three, connected; and the Raft port of node 1."""
    addresses = {node: free_address() for node in (1, 2, 3)}
    one, two = (Member(node, addresses, certificates.of(f"node-{node}")) for node in (1, 2))
    try:
        await one.network.start()
        await two.network.start()
        await until(lambda: one.network.connected == [2], "the members meet")
        yield one, two, addresses[1]
    finally:
        await two.network.close()
        await one.network.close()


async def talk(one: Member, two: Member) -> None:
    """A message each way over the connection that they have."""
    before = len(one.messages), len(two.messages)
    one.network.send(2, MESSAGE)
    two.network.send(1, MESSAGE)
    arrived = (before[0] + 1, before[1] + 1)
    await until(lambda: (len(one.messages), len(two.messages)) == arrived, "both have a message")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """On the loop that nodes run on."""
    uvloop.run(asyncio.wait_for(coroutine, 20))


STRANGERS = {
    "plain TCP": None,
    "no certificate": (None, "good"),
    "a certificate of another authority": ("node-2", "other"),
    "an expired certificate": ("node-2", "expired"),
    "a client's certificate": ("client-fix-1", "good"),
    "the operator's certificate": ("client-operator", "good"),
    "the certificate of a node that is no member": ("node-9", "good"),
    "our own certificate": ("node-1", "good"),
}


@pytest.mark.parametrize("who", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_on_the_raft_port_gets_nothing_and_disturbs_nobody(
    certificates: Certificates, caplog: pytest.LogCaptureFixture, who: tuple[str, str] | None
) -> None:
    async def scenario() -> None:
        async with two_members(certificates) as (one, two, port):
            context = None if who is None else certificates.stranger(*who)
            for _ in range(5):
                assert await answer(port, context, hello(2)) == b""
            await talk(one, two)
            assert (one.lost, two.lost) == ([], [])

    caplog.set_level(logging.INFO)
    run(scenario())
    said = [record for record in caplog.records if "gets nothing" in record.message]
    assert len(said) == 1, "five strangers within a second are one line"
    assert not [r for r in caplog.records if r.exc_info or r.levelno > logging.WARNING]


def test_a_member_gets_an_answer_under_its_own_id_only(certificates: Certificates) -> None:
    async def first_answer(port: Address, claimed: int) -> dict[str, Any] | None:
        context = certificates.stranger("node-3")
        reader, writer = await asyncio.open_connection(*port, ssl=context)
        writer.write(hello(claimed))
        try:
            data = await asyncio.wait_for(reader.read(1024), 5)
        except ConnectionResetError:
            return None
        finally:
            writer.transport.abort()
        return next(map(unpack, FrameReader(1024).feed(data)), None)

    async def scenario() -> None:
        async with two_members(certificates) as (one, two, port):
            assert await first_answer(port, 2) is None
            assert await first_answer(port, 1) is None
            welcome = await first_answer(port, 3)
            assert welcome is not None
            assert (welcome["type"], welcome["to"]) == ("hello", 3)
            await talk(one, two)
            assert 2 not in one.lost

    run(scenario())


def test_whoever_dials_believes_only_the_node_that_was_dialled(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Node 3 listens where node 2 looks for node 1."""

    async def scenario() -> None:
        addresses = {node: free_address() for node in (1, 2, 3)}
        impostor = Member(1, addresses, certificates.of("node-3"))
        two = Member(2, addresses, certificates.of("node-2"))
        await impostor.network.start()
        await two.network.start()
        await until(lambda: "Hostname mismatch" in caplog.text, "node 2 says what is wrong")
        await asyncio.sleep(0.3)  # it dials again and again meanwhile
        assert (impostor.network.connected, two.network.connected) == ([], [])
        await two.network.close()
        await impostor.network.close()

    run(scenario())
    assert caplog.text.count("no connection to node 1") == 1


def test_silent_connections_keep_no_member_out(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKES_MAX", 8)

    async def scenario() -> None:
        addresses = {node: free_address() for node in (1, 2, 3)}
        one, two = (Member(node, addresses, certificates.of(f"node-{node}")) for node in (1, 2))
        await one.network.start()
        silent = [await asyncio.open_connection(*addresses[1]) for _ in range(30)]
        await until(lambda: one.network.listener.refused == 22, "the oldest gave way")
        assert one.network.listener.handshakes == 8
        assert await asyncio.wait_for(silent[0][0].read(), 2) == b""
        await two.network.start()
        await until(lambda: one.network.connected == [2], "the member got in", 1.5)
        for _, writer in silent:
            writer.transport.abort()
        await two.network.close()
        await one.network.close()

    run(scenario())


def test_a_handshake_that_does_not_end_is_broken_off(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT_S", 0.1)

    async def scenario() -> None:
        async with two_members(certificates) as (one, two, port):
            assert await answer(port, None, b"\x16\x03\x01\x02\x00") == b""
            await until(lambda: one.network.listener.handshakes == 0, "it is forgotten")
            await talk(one, two)

    run(scenario())


def test_a_peer_that_does_not_read_is_cut_off_with_tls_too(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_SEND_QUEUE_BYTES_MAX", 4 << 20)

    async def scenario() -> None:
        async with two_members(certificates) as (one, _, port):
            reader, writer = await asyncio.open_connection(
                *port, ssl=certificates.stranger("node-3"), limit=1024
            )
            writer.write(hello(3))
            await until(lambda: 3 in one.network.connected, "the third member is known")
            assert reader
            large = {"type": "append_entries", "entries": [b"x" * (1 << 20)]}
            for _ in range(40):
                one.network.send(3, large)
                await asyncio.sleep(0)
            await until(lambda: one.lost == [3], "the connection is cut")
            assert one.network.connected == [2]
            writer.transport.abort()

    run(scenario())


# --- client port ----------------------------------------------------------------------------------


@asynccontextmanager
async def three_nodes(certificates: Certificates, folder: Path) -> AsyncIterator[NodeSettings]:
    """A whole cluster; the settings are those of node 1."""
    offset = free_offset()
    nodes = [
        Node(replace(node_settings(n, offset, folder), tls=certificates.of(f"node-{n}")), {})
        for n in NODES
    ]
    for node in nodes:
        await node.start()
    try:
        yield nodes[0].settings
    finally:
        for node in nodes:
            await node.close()


async def introduced(node: NodeSettings, settings: TlsSettings, client_id: str) -> ConnectionState:
    """Where a client stands after it has told its name. Raises ClientRefused."""
    client = ClusterClient(
        client_id,
        node.client_addresses,
        on_batch=lambda batch: None,
        tls=client_context(settings),
    )
    try:
        async with asyncio.timeout(5):
            await client.start()
        return client.state
    finally:
        await client.close()


def test_a_client_has_the_name_in_its_certificate_and_no_other(
    certificates: Certificates, tmp_path: Path
) -> None:
    gateway, operator = certificates.of("client-fix-1"), certificates.of("client-operator")

    async def scenario() -> None:
        async with three_nodes(certificates, tmp_path) as node:
            for settings, client_id in (
                (gateway, "fix-1"),
                (operator, "admin-1234"),
                (operator, "operator"),
            ):
                assert await introduced(node, settings, client_id) is ConnectionState.READY
            for settings, client_id in (
                (gateway, "fix-2"),
                (gateway, "admin-1234"),
                (operator, "fix-1"),
                (certificates.of("node-1"), "fix-1"),
            ):
                with pytest.raises(ClientRefused, match=f"not that of client '{client_id}'"):
                    await introduced(node, settings, client_id)

    run(scenario())


def test_tools_work_with_the_certificate_of_the_operator(
    certificates: Certificates, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with three_nodes(certificates, tmp_path) as node:
            addresses = node.client_addresses
            context = client_context(certificates.of("client-operator"))
            hashes = await admin.state_hash(addresses, tls=context)
            assert len(set(hashes.values())) == 1
            assert hashes[1] is not None
            facts = await admin.status(addresses[1], node_id=1, tls=context)
            assert facts["node_id"] == 1
            old, new, _ = await admin.transfer(addresses, None, tls=context)
            assert old != new
            with pytest.raises(admin.Unreachable, match="Hostname mismatch"):
                await admin.status(addresses[1], node_id=2, tls=context)
            with pytest.raises(admin.Unreachable):
                await admin.status(addresses[1])

    run(scenario())


@pytest.mark.parametrize(
    "who",
    [
        None,
        (None, "good"),
        ("client-fix-1", "other"),
        ("client-fix-1", "expired"),
        ("node-9", "good"),
    ],
    ids=["plain TCP", "no certificate", "another authority", "expired", "no member"],
)
def test_a_stranger_on_the_client_port_gets_nothing(
    certificates: Certificates, tmp_path: Path, who: tuple[str, str] | None
) -> None:
    query = frame((3, 1, "node", ("ping",)))

    async def scenario() -> None:
        async with three_nodes(certificates, tmp_path) as node:
            port = node.client_bind
            context = None if who is None else certificates.stranger(*who)
            assert await answer(port, context, query) == b""
            good = client_context(certificates.of("client-fix-1"))
            assert await admin.query(port, "node", ("ping",), node_id=1, tls=good) == "pong"

    run(scenario())


# --- files ----------------------------------------------------------------------------------------


def test_a_key_that_others_may_read_is_refused(certificates: Certificates) -> None:
    settings = certificates.of("client-fix-2")
    key = settings.private_key
    for mode in (0o644, 0o604, 0o660):
        key.chmod(mode)
        with pytest.raises(TlsError, match=f"mode {mode:04o} lets others use the key"):
            server_context(settings)
    key.chmod(0o600)
    server_context(settings)


def test_tls_1_3_and_a_certificate_are_demanded_from_the_first_byte(
    certificates: Certificates,
) -> None:
    for make in (server_context, client_context):
        context = make(certificates.of("node-1"))
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname is (make is client_context)


def test_files_that_cannot_be_used_are_named(certificates: Certificates, tmp_path: Path) -> None:
    good, other = certificates.of("node-1"), certificates.of("node-2")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("not a certificate")
    for settings, words in (
        (replace(good, private_key=tmp_path / "none.key"), ["none.key", "No such file"]),
        (replace(good, certificate=tmp_path / "none.pem"), ["none.pem", "No such file"]),
        (replace(good, authority=tmp_path / "none.pem"), ["none.pem", "No such file"]),
        (replace(good, authority=nonsense), ["nonsense.pem"]),
        (replace(good, private_key=other.private_key), ["node-1.pem", "node-2.key", "mismatch"]),
    ):
        for make in (server_context, client_context):
            with pytest.raises(TlsError) as caught:
                make(settings)
            assert all(word in str(caught.value) for word in words), caught.value
