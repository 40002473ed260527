"""The OUCH gateway on real sockets, with a cluster in one object, and clients of raw packets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from contextlib import asynccontextmanager

from ouch_cluster import OuchCluster, ouch_settings

from gateway.ouch.server import OuchGateway
from protocols import ouch50
from protocols.ouch50_messages import EnterOrder
from protocols.soupbintcp import (
    DEBUG,
    LOGIN_ACCEPTED,
    SEQUENCED_DATA,
    Direction,
    PacketReader,
    decode_debug,
    decode_login_accepted,
    encode_login_request,
    encode_unsequenced_data,
)

DEADLINE_S = 20.0


async def until(condition, what):
    """Wait for a fact, not for a time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)
    assert condition(), what


def new_cluster(users=4):
    return OuchCluster(
        [f"OUCH{n}" for n in range(1, users + 1)], clock_ns=time.time_ns, is_automatic=True
    )


@asynccontextmanager
async def running_gateway(data_dir, cluster, users=4, **changes):
    """A gateway that listens, closed at the end."""
    gateway = OuchGateway(ouch_settings(data_dir, users, **changes), cluster=cluster.client)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


def order(number, side="B", quantity=1, price=100_0000, **changes):
    """An EnterOrder that is accepted."""
    terms = EnterOrder(number, side, quantity, "AAPL", price, "0", "Y", "P", "N", "N", str(number))
    return terms._replace(**changes)


def packed(*messages):
    """Messages as a client sends them."""
    return b"".join(encode_unsequenced_data(ouch50.encode(message)) for message in messages)


class RawClient:
    """Sends bytes; keeps what it reads, which may be nothing at all."""

    def __init__(self, address, *, receive_buffer=None):
        self.messages = {}
        """Sequenced messages by number."""
        self.debugs = []
        self.other = b""
        """Types of all other packets."""
        self.next_number = None
        self.has_ended = False
        self._packets = PacketReader(Direction.SERVER_TO_CLIENT, 1_024)
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.setblocking(False)
        self._address = address
        self._task = None

    async def connect(self, *, reads=True):
        await asyncio.get_running_loop().sock_connect(self._socket, tuple(self._address))
        if reads:
            self.read_on()
        return self

    def read_on(self):
        """Begin to read."""
        self._task = asyncio.create_task(self._read())

    async def _read(self):
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            data = b""
            with contextlib.suppress(ConnectionError):
                data = await loop.sock_recv(self._socket, 1 << 16)
            for kind, payload in self._packets.feed(data):
                self._received(kind, payload)
        self.has_ended = True

    def _received(self, kind, payload):
        if kind == SEQUENCED_DATA:
            self.messages[self.next_number] = payload
            self.next_number += 1
        elif kind == DEBUG:
            self.debugs.append(decode_debug(payload))
        else:
            self.other += kind
            if kind == LOGIN_ACCEPTED:
                self.next_number = decode_login_accepted(payload).sequence_number

    @property
    def is_logged_in(self):
        return self.next_number is not None and not self.has_ended

    async def send(self, data):
        """Until the socket has taken it; a connection that is gone takes everything."""
        with contextlib.suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def log_in(self, user, first=1, password="password"):
        await self.send(encode_login_request(user, password, "", first))
        if self._task is not None:
            await until(lambda: self.next_number is not None or self.has_ended, "a login answer")

    async def ended(self):
        """Wait for the end of the connection, which the gateway made."""
        await until(lambda: self.has_ended, "the gateway ends the connection")
        self.close()

    def close(self):
        if self._task is not None:
            self._task.cancel()
        self._socket.close()


async def logged_in(address, user, first=1, **options):
    """A client that reads, logged in."""
    client = await RawClient(address, **options).connect()
    await client.log_in(user, first)
    assert client.is_logged_in, client.other
    return client
