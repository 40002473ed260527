"""TLS between clients and the FIX gateway, with the clients that a standard library is."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fake_cluster import FakeCluster
from test_fix_gateway import settings_for, until

from cluster.tls import TlsError
from exchange.certificates import Issued, issue, make_authority, save
from gateway.fix.server import FixGateway
from gateway.tls import ListenerTls
from protocols.fix import FixDecoder, FixEncoder, encode_body, format_utc_timestamp

NAME = "node-fix"  # `issue` lets certificates of nodes serve
ORDERS = 2_000
SLOW_ORDERS = 20_000


@dataclass
class Lab:
    """An authority that both sides know, and another one."""

    folder: Path
    authority: Issued

    @property
    def tls(self) -> ListenerTls:
        return ListenerTls(self.folder / f"{NAME}.pem", self.folder / f"{NAME}.key")

    @property
    def mutual(self) -> ListenerTls:
        return replace(self.tls, client_authority=self.folder / "ca.pem")

    def client(self, certificate: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if certificate is not None:
            pair = [self.folder / f"{certificate}.{ending}" for ending in ("pem", "key")]
            context.load_cert_chain(*pair)
        return context


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = make_authority(), make_authority()
    save(authority, folder, "ca")
    save(issue(authority, NAME), folder, NAME)
    save(issue(authority, "client-1"), folder, "client-1")
    save(issue(authority, "client-2"), folder, "client-2")
    save(issue(stranger, "client-1"), folder, "stranger")
    return Lab(folder, authority)


@asynccontextmanager
async def running(tmp_path: Path, tls: ListenerTls, **changes):
    cluster = FakeCluster(is_automatic=True, clock_ns=time.time_ns)
    settings = replace(settings_for(tmp_path, tls=tls), **changes)
    gateway = FixGateway(settings, cluster=cluster.client)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


class Client:
    """A FIX client over TLS that does what a test says."""

    def __init__(self, reader, writer, comp_id="CLIENT1"):
        self.reader, self.writer = reader, writer
        self._encoder = FixEncoder("FIX.4.4", comp_id, "EXCH")
        self._decoder = FixDecoder()
        self._seq = 0
        self.messages = []

    @classmethod
    async def connect(cls, address, context):
        return cls(*await asyncio.open_connection(*address, ssl=context, server_hostname=NAME))

    def send(self, msg_type, fields):
        self._seq += 1
        now = format_utc_timestamp(time.time_ns())
        self.writer.write(self._encoder.encode(msg_type, encode_body(fields), self._seq, now))

    async def receive(self, count):
        async with asyncio.timeout(20):
            while len(self.messages) < count:
                data = await self.reader.read(65_536)
                assert data, "the gateway has hung up"
                self.messages += self._decoder.feed(data)

    async def log_on(self):
        self.send("A", [(98, 0), (108, 30)])
        await self.receive(1)
        assert self.messages[0].msg_type == "A"


async def hears_nothing(address, context) -> bool:
    """Whether a Logon there is followed by the end of the connection."""
    try:
        client = await Client.connect(address, context)
        client.send("A", [(98, 0), (108, 30)])
        async with asyncio.timeout(10):
            return await client.reader.read() == b""
    except (ssl.SSLError, ConnectionError):
        return True


async def test_orders_travel_over_tls(tmp_path, lab) -> None:
    async with running(tmp_path, lab.tls) as gateway:
        client = await Client.connect(gateway.address, lab.client())
        await client.log_on()
        for number in range(ORDERS):
            order = [(11, f"order {number}"), (55, "AAPL"), (54, 1), (38, 1), (40, 2)]
            client.send("D", [*order, (44, "100.00"), (60, format_utc_timestamp(time.time_ns()))])
        await client.receive(1 + ORDERS)
        assert [message.get(11) for message in client.messages[1:]] == [
            f"order {number}" for number in range(ORDERS)
        ]
        client.send("5", [])
        await client.receive(2 + ORDERS)
        assert client.messages[-1].msg_type == "5"
        assert await client.reader.read() == b""


async def test_a_client_that_does_not_read_costs_no_memory_over_tls_either(tmp_path, lab) -> None:
    async with running(tmp_path, lab.tls, write_buffer_bytes=1 << 14) as gateway:
        client = await Client.connect(gateway.address, lab.client())
        await client.log_on()
        (connection,) = gateway._fix._lobby.connections
        connection._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14
        )
        # Else the kernel lets it grow until it holds everything.
        client.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14
        )
        client.writer.transport.pause_reading()
        for number in range(SLOW_ORDERS):
            order = [(11, f"order {number}"), (55, "AAPL"), (54, 1), (38, 1), (40, 2)]
            client.send("D", [*order, (44, "100.00"), (60, format_utc_timestamp(time.time_ns()))])
        store = gateway._fix.sessions["CLIENT1"].store
        await until(lambda: store.next_out == 2 + SLOW_ORDERS, "every order is answered")
        assert connection.backlog > SLOW_ORDERS // 2
        assert connection._transport.get_write_buffer_size() < 1 << 18
        client.writer.transport.resume_reading()
        await client.receive(1 + SLOW_ORDERS)
        numbers = [int(message.get(34)) for message in client.messages]
        assert numbers == list(range(1, 2 + SLOW_ORDERS))


async def test_an_engine_that_speaks_tls_1_2_gets_in(tmp_path, lab) -> None:
    async with running(tmp_path, lab.tls) as gateway:
        context = lab.client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        client = await Client.connect(gateway.address, context)
        assert client.writer.get_extra_info("ssl_object").version() == "TLSv1.2"
        await client.log_on()


async def test_a_certificate_is_good_for_its_own_session_only(tmp_path, lab, caplog) -> None:
    settings = settings_for(tmp_path)
    owned = replace(settings.sessions["CLIENT1"], certificate_name="client-1")
    sessions = settings.sessions | {"CLIENT1": owned}
    async with running(tmp_path, lab.mutual, sessions=sessions) as gateway:
        assert await hears_nothing(gateway.address, lab.client("client-2"))
        assert "its certificate is not that of CLIENT1, client-1" in caplog.text
        client = await Client.connect(gateway.address, lab.client("client-1"))
        await client.log_on()
        other = await Client.connect(gateway.address, lab.client("client-1"))
        other._encoder = FixEncoder("FIX.4.4", "CLIENT2", "EXCH")
        await other.log_on()  # a session without a name takes any


async def test_whoever_does_not_speak_tls_gets_nothing_and_harms_nobody(
    tmp_path, lab, caplog
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(tmp_path, lab.tls, logon_timeout_s=1) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.address)
        writer.write(b"8=FIX.4.4\x019=5\x0135=A\x0110=000\x01" * 20)
        assert await reader.read() == b""
        silent, _ = await asyncio.open_connection(*gateway.address)
        _, gone = await asyncio.open_connection(*gateway.address)
        gone.transport.abort()
        client = await Client.connect(gateway.address, lab.client())
        await client.log_on()
        async with asyncio.timeout(5):
            assert await silent.read() == b""  # the handshake has a time limit
        await until(lambda: gateway._listener.handshakes == 0, "all handshakes are over")
        assert gateway._listener.refused == 3
        assert not gateway._stopped.done()
    assert "FIX port: 127.0.0.1:" in caplog.text


async def test_clients_show_a_certificate_where_an_authority_is_named(tmp_path, lab) -> None:
    async with running(tmp_path, lab.mutual) as gateway:
        assert await hears_nothing(gateway.address, lab.client())
        assert await hears_nothing(gateway.address, lab.client("stranger"))
        client = await Client.connect(gateway.address, lab.client("client-1"))
        await client.log_on()


async def test_a_gateway_whose_key_others_may_read_does_not_start(tmp_path, lab) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(lab.tls.private_key.read_bytes())
    key.chmod(0o644)
    with pytest.raises(TlsError, match="mode 0644"):
        async with running(tmp_path / "data", replace(lab.tls, private_key=key)):
            pass
