"""What the machine itself can do, so that figures of two machines can be compared as ratios."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Final

MESSAGE: Final = b"x" * 180
"""About what an order and its report have on the wire."""
ROUNDS: Final = 400
_WARM_UP_ROUNDS: Final = 50
_LOOP: Final = 100_000
_LOOPS: Final = 5


def calibrate(folder: Path) -> dict[str, float]:
    """`loopback_hop_us`: a message of 180 bytes from one process to another over TCP on loopback,
    half of a round trip, median. `fdatasync_us`: write and fdatasync of as much in a file with
    reserved space in `folder`, median. `python_loop_ms`: CPU time of a fixed loop of this Python,
    the best of five. About a second."""
    return {
        "loopback_hop_us": round(median(_round_trips_s()) / 2 * 1e6, 2),
        "fdatasync_us": round(median(_syncs_s(folder)) * 1e6, 1),
        "python_loop_ms": round(min(_loop_s() for _ in range(_LOOPS)) * 1e3, 3),
    }


def _echo(told: Connection) -> None:
    """The other process: sends back what comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        told.send(server.getsockname()[1])
        client, _ = server.accept()
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while message := client.recv(len(MESSAGE), socket.MSG_WAITALL):
            client.sendall(message)


def _round_trips_s() -> list[float]:
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    process = context.Process(target=_echo, args=(tell,), daemon=True)
    process.start()
    try:
        with socket.create_connection(("127.0.0.1", told.recv())) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            times_s = []
            for _ in range(_WARM_UP_ROUNDS + ROUNDS):
                begun_s = time.perf_counter()
                peer.sendall(MESSAGE)
                peer.recv(len(MESSAGE), socket.MSG_WAITALL)
                times_s.append(time.perf_counter() - begun_s)
            return times_s[_WARM_UP_ROUNDS:]
    finally:
        process.kill()
        process.join()


def _syncs_s(folder: Path) -> list[float]:
    path = folder / "calibration"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, len(MESSAGE) * ROUNDS)
        os.fsync(descriptor)
        times_s = []
        for _ in range(ROUNDS):
            begun_s = time.perf_counter()
            os.write(descriptor, MESSAGE)
            os.fdatasync(descriptor)
            times_s.append(time.perf_counter() - begun_s)
        return times_s
    finally:
        os.close(descriptor)
        path.unlink()


def _loop_s() -> float:
    """Integers, a dictionary, a list, calls: what this program is made of."""
    begun_s = time.process_time()
    counts: dict[int, int] = {}
    latest: list[tuple[int, int]] = []
    for number in range(_LOOP):
        key = (number * 7_919) % 1_000
        counts[key] = counts.get(key, 0) + 1
        latest.append((number, key))
        if len(latest) > 100:
            latest.clear()
    return time.process_time() - begun_s
