"""etcd: three members, and puts over its HTTP interface to the one that leads."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from array import array
from collections import deque
from pathlib import Path
from typing import Any, Final, cast

from bench.peers.ports import free_ports
from bench.peers.replicator import (
    COMMAND_BYTES,
    ClosedLoop,
    Servers,
    eventually,
    find_program,
    told_by,
)

_KEYS: Final = 1_000
_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def _request(port: int, path: str, body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


async def _ask(port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_request(port, path, body))
        head = await reader.readuntil(_END)
        length = _LENGTH.search(head)
        assert length is not None, f"an answer without a length: {head!r}"
        found: dict[str, Any] = json.loads(await reader.readexactly(int(length[1])))
        return found
    finally:
        writer.close()


class _Connection(asyncio.Protocol):
    """One request at a time, made beforehand; the answer is read as far as its length."""

    def __init__(self, client: Etcd) -> None:
        self._client = client
        self._number = 0
        self._data = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, number: int, request: bytes) -> None:
        """Ask; `answered` of the client follows."""
        self._number = number
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(_END)
        length = _LENGTH.search(self._data, 0, end + 2) if end >= 0 else None
        if length is None or len(self._data) < end + len(_END) + int(length[1]):
            return
        assert self._data.startswith(b"HTTP/1.1 200"), self._data
        self._data = b""
        self._client.answered(self, self._number)

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()


class Etcd:
    """etcdserverpb.KV/Put through the JSON interface that every member serves."""

    name = "etcd"
    durability = "fdatasync on a majority before the answer: equal"
    client = "HTTP/1.1 with JSON (etcd's own gateway to gRPC), a connection per command in flight"

    def __init__(self) -> None:
        self.version = ""
        self._servers = Servers()
        self._idle: deque[_Connection] = deque()
        self._connections: list[_Connection] = []
        self._loop = ClosedLoop(self._send)
        self._port = 0
        self._requests: list[bytes] = []

    async def start(self, folder: Path) -> None:
        """As Replicator.start."""
        program = find_program("etcd", "etcd-server")
        self.version = told_by(program, "--version").removeprefix("etcd Version: ")
        ports = free_ports(6)
        clients, peers = ports[:3], ports[3:]
        cluster = ",".join(f"n{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        for i, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            line = [
                program, "--name", f"n{i}", "--data-dir", str(folder / f"etcd-{i}"),
                "--listen-client-urls", f"http://127.0.0.1:{client}",
                "--advertise-client-urls", f"http://127.0.0.1:{client}",
                "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                "--initial-cluster", cluster, "--initial-cluster-state", "new",
                "--log-level", "error",
            ]  # fmt: skip
            self._servers.spawn(line, folder / f"etcd-{i}.log")

        async def leading() -> int | None:
            for port in clients:
                status = await _ask(port, "/v3/maintenance/status", {})
                if status.get("leader", "0") == status["header"]["member_id"]:
                    return port
            return None

        self._port = await eventually("a member of etcd leads", leading, self._servers)
        value = base64.b64encode(b"x" * COMMAND_BYTES).decode()
        for key in range(_KEYS):
            name = base64.b64encode(b"%04d" % key).decode()
            self._requests.append(_request(self._port, "/v3/kv/put", {"key": name, "value": value}))

    def _send(self, number: int) -> None:
        self._idle.popleft().send(number, self._requests[number % _KEYS])

    def answered(self, connection: _Connection, number: int) -> None:
        """A put is done."""
        self._idle.append(connection)
        self._loop.answered(number)

    async def run(self, in_flight: int, seconds: float) -> array[int]:
        """As Replicator.run."""
        loop = asyncio.get_running_loop()
        while len(self._connections) < in_flight:
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
            self._connections.append(connection)
            self._idle.append(connection)
        return await self._loop.run(in_flight, seconds)

    def pids(self) -> list[int]:
        """As Replicator.pids."""
        return self._servers.pids()

    async def stop(self) -> None:
        """As Replicator.stop."""
        for connection in self._connections:
            connection.close()
        self._servers.stop()
