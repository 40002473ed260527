"""The machine's own floor for one order: the same hops over loopback, the same one fdatasync.

An order goes client -> gateway -> leader -> follower and its acknowledgement all the way back: six
messages over loopback TCP between four processes, and the follower (in parallel with the leader)
syncs its journal before it answers. Here four processes do nothing but that.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path

MESSAGE = b"x" * 180  # about what an order and its report have on the wire
ROUNDS = 500
WARM_UP_ROUNDS = 50
HOPS = ("gateway", "leader", "follower")


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _relay(next_port: int | None, journal: Path, told: Connection) -> None:
    """Pass each message on and its answer back; the last relay syncs a file and answers."""
    server = socket.create_server(("127.0.0.1", 0))
    told.send(server.getsockname()[1])
    onward = _connect(next_port) if next_port is not None else None
    incoming, _ = server.accept()
    incoming.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT, 0o600)
    # Space is reserved first, as the journal does: the sync then writes data and no metadata.
    os.posix_fallocate(descriptor, 0, len(MESSAGE) * (ROUNDS + WARM_UP_ROUNDS))
    os.fsync(descriptor)
    while message := incoming.recv(len(MESSAGE), socket.MSG_WAITALL):
        if onward is not None:
            onward.sendall(message)
            message = onward.recv(len(MESSAGE), socket.MSG_WAITALL)
        else:
            os.write(descriptor, message)
            os.fdatasync(descriptor)
        incoming.sendall(message)


def measure_floor_ns(folder: Path) -> list[int]:
    """Round-trip times in ns of ROUNDS messages; `folder` is on the disk that journals are on."""
    context = multiprocessing.get_context("spawn")
    processes = []
    port: int | None = None
    try:
        for name in reversed(HOPS):
            told, tell = context.Pipe(duplex=False)
            process = context.Process(
                target=_relay, args=(port, folder / f"floor-{name}", tell), daemon=True
            )
            process.start()
            processes.append(process)
            port = told.recv()
        assert port is not None
        with _connect(port) as client:
            times = [_round_trip(client) for _ in range(WARM_UP_ROUNDS + ROUNDS)]
    finally:
        for process in processes:
            process.kill()
            process.join()
        for name in HOPS:
            (folder / f"floor-{name}").unlink(missing_ok=True)
    return times[WARM_UP_ROUNDS:]


def _round_trip(client: socket.socket) -> int:
    begun_ns = time.perf_counter_ns()
    client.sendall(MESSAGE)
    client.recv(len(MESSAGE), socket.MSG_WAITALL)
    return time.perf_counter_ns() - begun_ns
