"""NATS JetStream: three servers, a stream with three replicas in files, and its text protocol."""

from __future__ import annotations

import asyncio
import json
import re
from array import array
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

_STREAM: Final = "PEERS"
_SUBJECT: Final = "peers.put"
_INBOX: Final = "_INBOX.bench"
_CONNECT: Final = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
_MESSAGE: Final = re.compile(rb"MSG (\S+) +\S+ +(?:\S+ +)?(\d+)\r\n")
_TIMEOUT_S: Final = 1.0


class _Client(asyncio.Protocol):
    """Publishes with a reply subject per message; the stream's acknowledgement comes there."""

    def __init__(self) -> None:
        self.on_reply = self._keep
        self.replies: asyncio.Queue[tuple[bytes, dict[str, Any]]] = asyncio.Queue()
        self._data = b""
        self._transport: asyncio.Transport

    def _keep(self, subject: bytes, body: bytes) -> None:
        self.replies.put_nowait((subject, json.loads(body)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_CONNECT + f"SUB {_INBOX}.* 1\r\n".encode())

    def write(self, subject: str, reply: str, body: bytes) -> None:
        """PUB."""
        head = f"PUB {subject} {_INBOX}.{reply} {len(body)}\r\n".encode()
        self._transport.write(head + body + b"\r\n")

    async def ask(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        """One question, one answer."""
        self.write(subject, "ask", json.dumps(body).encode() if body else b"")
        _, answer = await asyncio.wait_for(self.replies.get(), _TIMEOUT_S)
        return answer

    def data_received(self, data: bytes) -> None:
        self._data += data
        at = 0
        while (end := self._data.find(b"\r\n", at)) >= 0:
            head = _MESSAGE.match(self._data, at)
            if head is None:
                if self._data.startswith(b"PING", at):
                    self._transport.write(b"PONG\r\n")
                else:
                    assert self._data.startswith((b"INFO", b"+OK"), at), self._data[at:end]
                at = end + 2
                continue
            after = head.end() + int(head[2])
            if len(self._data) < after + 2:
                break
            self.on_reply(head[1], self._data[head.end() : after])
            at = after + 2
        self._data = self._data[at:]

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()


class Nats:
    """A stream of JetStream, R3, file storage, each publish acknowledged."""

    name = "NATS JetStream"
    durability = "in the page cache of a majority, synced every two minutes: weaker than ours"
    client = "NATS protocol, one connection to the server that leads the stream"

    def __init__(self) -> None:
        self.version = ""
        self._servers = Servers()
        self._client: _Client | None = None
        self._loop = ClosedLoop(self._send)
        self._command = b"x" * COMMAND_BYTES

    async def start(self, folder: Path) -> None:
        """As Replicator.start."""
        program = find_program("nats-server", "nats-server")
        self.version = told_by(program, "--version").removeprefix("nats-server: v")
        ports = free_ports(6)
        clients, routes = ports[:3], ports[3:]
        listed = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
        for i, (client, route) in enumerate(zip(clients, routes, strict=True)):
            config = folder / f"nats-{i}.conf"
            config.write_text(
                f"server_name: n{i}\nlisten: 127.0.0.1:{client}\n"
                f'jetstream {{ store_dir: "{folder / f"nats-{i}"}" }}\n'
                f"cluster {{ name: peers, listen: 127.0.0.1:{route}, routes: [{listed}] }}\n"
            )
            self._servers.spawn([program, "-c", str(config)], folder / f"nats-{i}.log")
        leader = await eventually(
            "JetStream has a stream", lambda: _make_stream(clients[0]), self._servers
        )
        self._client = await _connect(clients[int(leader.removeprefix("n"))])
        await eventually("the stream takes a message", self._probe, self._servers)
        self._client.on_reply = self._acknowledged

    async def _probe(self) -> bool:
        """A server that has just taken over a stream may drop what is published to it."""
        assert self._client is not None
        return "seq" in await self._client.ask(_SUBJECT, {"probe": True})

    def _send(self, number: int) -> None:
        assert self._client is not None, "start() comes first"
        self._client.write(_SUBJECT, str(number), self._command)

    def _acknowledged(self, subject: bytes, body: bytes) -> None:
        assert b'"error"' not in body, body
        self._loop.answered(int(subject.rpartition(b".")[2]))

    async def run(self, in_flight: int, seconds: float) -> array[int]:
        """As Replicator.run."""
        return await self._loop.run(in_flight, seconds)

    def pids(self) -> list[int]:
        """As Replicator.pids."""
        return self._servers.pids()

    async def stop(self) -> None:
        """As Replicator.stop."""
        if self._client is not None:
            self._client.close()
        self._servers.stop()


async def _connect(port: int) -> _Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(_Client, "127.0.0.1", port)
    return client


async def _make_stream(port: int) -> str | None:
    """Name of the server that leads the stream, once there is one."""
    client = await _connect(port)
    try:
        wanted = {
            "name": _STREAM,
            "subjects": [_SUBJECT],
            "storage": "file",
            "num_replicas": 3,
            "retention": "limits",
        }
        answer = await client.ask(f"$JS.API.STREAM.CREATE.{_STREAM}", wanted)
        if "error" in answer:
            answer = await client.ask(f"$JS.API.STREAM.INFO.{_STREAM}", {})
        cluster = answer.get("cluster", {})
        replicas = cluster.get("replicas", [])
        if len(replicas) == 2 and all(replica["current"] for replica in replicas):
            return str(cluster["leader"])
        return None
    finally:
        client.close()
