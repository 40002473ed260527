"""Stock pysyncobj: three processes, its own transport, its own journal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from array import array
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.peers.ports import free_ports
from bench.peers.replicator import READY_TIMEOUT_S

_LINE_LIMIT: Final = 1 << 28
"""A run's times come on one line."""


class Pysyncobj:
    """The package that our own Raft begins with, unmodified and without what we put around it."""

    name = "pysyncobj"
    version = version("pysyncobj")
    durability = "journal in a memory map that is never synced: weaker than ours"
    client = "method calls in the leader's own process"

    def __init__(self) -> None:
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._leader: asyncio.subprocess.Process

    async def start(self, folder: Path) -> None:
        """As Replicator.start."""
        addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
        for number, address in enumerate(addresses):
            partners = [other for other in addresses if other != address]
            self._processes[address] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.peers.pysyncobj_node", address, *partners,
                str(folder / f"pysyncobj-{number}"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
            )  # fmt: skip
        leaders = [await self._ready(process) for process in self._processes.values()]
        self._leader = self._processes[leaders[-1]]

    @staticmethod
    async def _ready(process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_TIMEOUT_S)
        return line.decode().split()[1]

    async def run(self, in_flight: int, seconds: float) -> array[int]:
        """As Replicator.run."""
        assert self._leader.stdin is not None
        assert self._leader.stdout is not None
        self._leader.stdin.write(f"{in_flight} {seconds}\n".encode())
        return array("q", json.loads(await self._leader.stdout.readline()))

    def pids(self) -> list[int]:
        """As Replicator.pids."""
        return [process.pid for process in self._processes.values()]

    async def stop(self) -> None:
        """As Replicator.stop."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
