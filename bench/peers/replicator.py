"""What is measured of anything that replicates commands, and how: the same loop for all."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from exchange.bench.figures import NS_PER_US, percentiles
from exchange.processes import cpu_seconds

COMMAND_BYTES: Final = 48
DRAIN_TIMEOUT_S: Final = 30.0
READY_TIMEOUT_S: Final = 60.0
WARM_UP_S: Final = 1.0


class NotInstalled(Exception):
    """A peer that is not on this machine; the text says what to install."""


class Replicator(Protocol):
    """Three nodes on this machine, and a client of them."""

    name: str
    version: str
    durability: str
    """What an answer promises, in words: peers differ, and figures mean nothing without it."""
    client: str
    """How commands get in."""

    async def start(self, folder: Path) -> None:
        """Start the nodes, files in `folder`; return when they take commands. Raises
        NotInstalled."""

    async def run(self, in_flight: int, seconds: float) -> array[int]:
        """Keep `in_flight` commands of COMMAND_BYTES without an answer; returns the time in ns to
        each answer."""

    def pids(self) -> list[int]:
        """Of the nodes."""

    async def stop(self) -> None:
        """End everything, however far start() came."""


class Load(NamedTuple):
    """How long, and how many at once."""

    seconds: float
    in_flight: int


async def measure(replicator: Replicator, folder: Path, load: Load) -> dict[str, Any]:
    """The figures of one replicator. Raises NotInstalled."""
    try:
        await replicator.start(folder)
        await replicator.run(load.in_flight, WARM_UP_S)
        one_ns = await replicator.run(1, load.seconds / 2)
        cpu_before, own_before = _cpu(replicator), time.process_time()
        begun_s = time.monotonic()
        times_ns = await replicator.run(load.in_flight, load.seconds)
        took_s = time.monotonic() - begun_s
        cpu_s, own_s = _cpu(replicator) - cpu_before, time.process_time() - own_before
    finally:
        await replicator.stop()
    commands = max(1, len(times_ns))
    return {
        "name": replicator.name,
        "version": replicator.version,
        "durability": replicator.durability,
        "client": replicator.client,
        "commands_per_s": round(len(times_ns) / took_s),
        "answer_us": percentiles(times_ns, NS_PER_US),
        "one_in_flight_us": percentiles(one_ns, NS_PER_US),
        "nodes_cpu_us_per_command": round(1e6 * cpu_s / commands, 1),
        "client_cpu_us_per_command": round(1e6 * own_s / commands, 1),
    }


def _cpu(replicator: Replicator) -> float:
    return sum(cpu_seconds(pid) for pid in replicator.pids())


class ClosedLoop:
    """Sends a command for each answer. `send(number)` is to send one; whoever hears of its answer
    calls `answered(number)`."""

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._sent_ns: dict[int, int] = {}
        self._times_ns = array("q")
        self._next = 0
        self._is_running = False
        self._drained = asyncio.Event()

    async def run(self, in_flight: int, seconds: float) -> array[int]:
        """As Replicator.run."""
        self._times_ns = array("q")
        self._drained.clear()
        self._is_running = True
        for _ in range(in_flight):
            self._send_next()
        await asyncio.sleep(seconds)
        self._is_running = False
        await asyncio.wait_for(self._drained.wait(), DRAIN_TIMEOUT_S)
        return self._times_ns

    def answered(self, number: int) -> None:
        """An answer has come."""
        self._times_ns.append(time.perf_counter_ns() - self._sent_ns.pop(number))
        if self._is_running:
            self._send_next()
        elif not self._sent_ns:
            self._drained.set()

    def _send_next(self) -> None:
        number = self._next
        self._next += 1
        self._sent_ns[number] = time.perf_counter_ns()
        self._send(number)


class Servers:
    """The processes of a peer."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def spawn(self, line: Sequence[str | Path], log: Path) -> None:
        """Start one; what it says goes to `log`."""
        with log.open("wb") as file:
            self._processes.append(
                subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
            )

    def pids(self) -> list[int]:
        """Of all of them."""
        return [process.pid for process in self._processes]

    def check(self) -> None:
        """Raises RuntimeError when one has ended."""
        for process in self._processes:
            if process.poll() is not None:
                line = " ".join(map(str, process.args))  # type: ignore[arg-type]
                raise RuntimeError(f"ended with code {process.returncode}: {line}")

    def stop(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()


async def eventually(what: str, fact: Callable[[], Awaitable[Any]], servers: Servers) -> Any:
    """The first true result of `fact()`; while it raises OSError, it is not true. Raises
    TimeoutError, RuntimeError when a server has ended."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline_s:
        servers.check()
        try:
            if found := await fact():
                return found
        except (OSError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.2)
    raise TimeoutError(f"after {READY_TIMEOUT_S:g} s still not true: {what}")


def find_program(name: str, package: str) -> str:
    """Path of a program. Raises NotInstalled with the name of the Debian package."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if path is None:
        raise NotInstalled(f"{name} is not installed; Debian: apt-get install {package}")
    return path


def told_by(program: str, option: str) -> str:
    """The first line that a program says of itself."""
    done = subprocess.run([program, option], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[0].strip()
