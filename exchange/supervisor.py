"""`exchange up`: every process of the configuration as a child, none of them ever restarted."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any

from exchange.config import Config
from exchange.http_client import is_ready, leader_of, node_statuses
from exchange.processes import Process, all_processes, command_line, has_started

READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.05
STOP_TIMEOUT_S = 10.0
EXIT_UNREACHABLE = 3


class Supervisor:
    """Starts the processes, tells on stdout what happens to them, stops them in the right order."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._processes = all_processes(config)
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._ended_early: tuple[str, int] | None = None

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            for process in self._processes:
                await self._start(process)
            code = await self._until_stopped()
        finally:
            await self._stop_all()
        return code

    async def _start(self, process: Process) -> None:
        child = await asyncio.create_subprocess_exec(
            *command_line(self._config, process, supervised=True),
            stdin=asyncio.subprocess.DEVNULL,
            # Its own session: Ctrl-C reaches us alone, and we stop the children in order.
            start_new_session=True,
        )
        self._children[process.name] = child
        self._watchers.append(asyncio.create_task(self._watch(process.name, child)))

    async def _watch(self, name: str, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        if not self._stop.is_set():
            self._ended_early = self._ended_early or (name, code)
            emit({"event": "exited", "process": name, "pid": child.pid, "code": code})

    async def _until_stopped(self) -> int:
        started = time.monotonic()
        stopped = asyncio.create_task(self._stop.wait())
        announced = False
        while not stopped.done():
            if not announced:
                announced = await self._announce_when_ready(time.monotonic() - started)
                if not announced and self._ended_early is not None:
                    name, code = self._ended_early
                    print(f"{name} ended with code {code} before all was ready", file=sys.stderr)
                    stopped.cancel()
                    return code if code > 0 else EXIT_UNREACHABLE
                if not announced and time.monotonic() - started > READY_TIMEOUT_S:
                    where = self._config.data_dir / "log"
                    print(f"not ready after {READY_TIMEOUT_S:.0f} s; see {where}", file=sys.stderr)
                    stopped.cancel()
                    return EXIT_UNREACHABLE
            await asyncio.wait({stopped}, timeout=None if announced else READY_POLL_S)
        return 0

    async def _announce_when_ready(self, seconds: float) -> bool:
        # Whoever answers at our addresses might be another exchange: our children say so first.
        for name, child in self._children.items():
            if not has_started(self._config, name, child.pid):
                return False
        ready = await asyncio.gather(*(is_ready(process.http) for process in self._processes))
        if not all(ready):
            return False
        addresses = self._config.addresses
        statuses = await node_statuses(dict(enumerate(addresses.node_http, 1)))
        leader = leader_of(statuses)
        if leader is None:
            return False
        emit(
            {
                "event": "ready",
                "seconds": round(seconds, 3),
                "leader": leader,
                "fix": [str(address) for address in addresses.fix],
                "ouch": [str(address) for address in addresses.ouch],
                "marketdata": str(addresses.marketdata_http),
                "nodes": {f"node-{n}": str(a) for n, a in enumerate(addresses.node_http, 1)},
                "pids": {name: child.pid for name, child in self._children.items()},
                "data_dir": str(self._config.data_dir),
                "durability": str(self._config.cluster.durability),
            }
        )
        return True

    async def _stop_all(self) -> None:
        """Edges first, so that clients are logged out while the cluster still answers."""
        self._stop.set()
        nodes = [name for name in self._children if name.startswith("node-")]
        edges = [name for name in self._children if name not in nodes]
        for group in (edges, nodes):
            for name in group:
                child = self._children[name]
                if child.returncode is None:
                    child.terminate()
            waits = [asyncio.create_task(self._children[name].wait()) for name in group]
            if waits:
                await asyncio.wait(waits, timeout=STOP_TIMEOUT_S)
            for name in group:
                child = self._children[name]
                if child.returncode is None:
                    print(f"{name}: still there after SIGTERM, now SIGKILL", file=sys.stderr)
                    child.kill()
                    await child.wait()
        await asyncio.gather(*self._watchers, return_exceptions=True)


def emit(event: dict[str, Any]) -> None:
    """One JSON line on stdout."""
    print(json.dumps(event), flush=True)
