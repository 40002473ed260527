"""A whole exchange in a folder of its own, started and broken on purpose: demo, bench and tests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cluster.build import run_module
from cluster.settings import Address
from exchange import config as configuration
from exchange.config import Config
from exchange.config_sections import Addresses
from exchange.config_text import write_exchange_folder
from exchange.http_client import is_ready, leader_of, node_statuses
from exchange.processes import (
    all_processes,
    command_line,
    find_process,
    has_started,
    running_pid,
)

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.02
LOWEST_SHIFT, HIGHEST_SHIFT = 6_000, 23_500
"""Default ports shifted by these stay below 32768, where outgoing connections take theirs."""
CLOSE_BEHIND = 50
"""Log entries that a follower may be behind and still count as caught up."""


class LocalExchangeError(Exception):
    """The exchange did not do what it must; the text says where its log is."""


def free_base_port() -> int:
    """A shift at which every port of the default configuration is free at this moment."""
    chooser = random.SystemRandom()
    for _ in range(200):
        base_port = chooser.randrange(LOWEST_SHIFT, HIGHEST_SHIFT)
        if all(_is_free(port + base_port) for port in _default_ports()):
            return base_port
    raise LocalExchangeError("found no free ports on 127.0.0.1 in 200 tries")


def _default_ports() -> list[int]:
    ports: list[int] = []
    for item in dataclasses.fields(Addresses):
        value = item.default
        if isinstance(value, Address):
            ports.append(value.port)
        elif isinstance(value, tuple):
            ports += [address.port for address in value]
    return ports


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


async def wait_for(
    fact: Callable[[], Any], what: str, timeout_s: float, poll_s: float = POLL_S
) -> Any:
    """Return the first true result of `fact()` (which may be a coroutine function).

    Raises LocalExchangeError naming `what` when it has not come true by the deadline.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        found = fact()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if loop.time() > deadline:
            raise LocalExchangeError(f"after {timeout_s:g} s still not true: {what}")
        await asyncio.sleep(poll_s)


class LocalExchange:
    """An `exchange up` as a child, and the faults that can be done to it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ready: dict[str, Any] = {}
        """The line {"event": "ready", ...}."""
        self.exited: list[dict[str, Any]] = []
        """Lines {"event": "exited", ...} so far."""
        self._up: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._children: dict[str, asyncio.subprocess.Process] = {}
        """Processes that were started one by one, the latest of each name."""

    @property
    def node_http(self) -> dict[int, Address]:
        """HTTP address of each node."""
        return dict(enumerate(self.config.addresses.node_http, 1))

    async def start(self) -> dict[str, Any]:
        """Start every process; returns the ready line. Raises LocalExchangeError."""
        assert self.config.source is not None, "a local exchange needs its own exchange.toml"
        line = [*run_module("exchange"), "up", "--config", str(self.config.source)]
        line += ["--supervised", str(os.getpid())]  # whoever kills us leaves nothing behind
        self._up = await asyncio.create_subprocess_exec(
            *line,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read_events())
        await asyncio.wait(
            {self._reader, asyncio.create_task(self._is_ready.wait())},
            timeout=READY_TIMEOUT_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not self.ready:
            raise LocalExchangeError(f"not ready; exited: {self.exited}; {self.log_tails()}")
        return self.ready

    async def _read_events(self) -> None:
        assert self._up is not None
        assert self._up.stdout is not None
        async for line in self._up.stdout:
            event = json.loads(line)
            if event["event"] == "ready":
                self.ready = event
                self._is_ready.set()
            elif event["event"] == "exited":
                self.exited.append(event)

    def log_tails(self, lines: int = 5) -> str:
        """The last lines of every log, for an error message."""
        tails = []
        for path in sorted((self.config.data_dir / "log").glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            tails.append(f"--- {path}\n" + "\n".join(tail))
        return "\n".join(tails)

    def pid(self, name: str) -> int | None:
        """Pid of a process by its name (node-1, gateway-fix, marketdata); None when it is down."""
        return running_pid(self.config, name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process. Raises LocalExchangeError when it is not running."""
        pid = self.pid(name)
        if pid is None:
            raise LocalExchangeError(f"{name} is not running")
        os.kill(pid, number)

    @property
    def up_pid(self) -> int | None:
        """Pid of `exchange up` itself."""
        return None if self._up is None else self._up.pid

    def kill_up(self) -> None:
        """SIGKILL to `exchange up` itself."""
        assert self._up is not None, "start() first"
        self._up.kill()

    async def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(name, signal.SIGKILL)
        await self.gone(name)

    async def terminate(self, name: str) -> None:
        """SIGTERM, and wait until it is gone."""
        self.signal(name, signal.SIGTERM)
        await self.gone(name)

    async def gone(self, name: str) -> None:
        """Wait until a process that was told to end has done so."""
        await wait_for(lambda: self.pid(name) is None, f"{name} is gone", 10.0, poll_s=0.002)

    def command_line(self, name: str) -> list[str]:
        """How a process is started one by one."""
        return command_line(self.config, find_process(self.config, name), supervised=True)

    async def spawn(self, name: str) -> asyncio.subprocess.Process:
        """Start a process, as an operator would by hand, whether it lives or not."""
        child = await asyncio.create_subprocess_exec(
            *self.command_line(name), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        self._children[name] = child
        return child

    async def ended(self, name: str, timeout_s: float = 15.0) -> int:
        """Wait until a process that was started one by one has ended; its exit code."""
        return await asyncio.wait_for(self._children[name].wait(), timeout_s)

    async def restart(self, name: str) -> None:
        """Start a process again, and wait until it runs."""
        child = await self.spawn(name)

        def runs() -> bool:
            if child.returncode is not None:
                raise LocalExchangeError(f"{name} ended with code {child.returncode}")
            return self.pid(name) == child.pid

        await wait_for(runs, f"{name} runs again", 15.0)

    async def statuses(self) -> dict[int, dict[str, Any]]:
        """/status of the nodes that answer."""
        return await node_statuses(self.node_http)

    async def leader(self, timeout_s: float = 5.0) -> int:
        """The node that leads, waiting for one."""

        async def find() -> int | None:
            return leader_of(await self.statuses())

        found: int = await wait_for(find, "a node leads", timeout_s)
        return found

    async def wait_until_level(self, timeout_s: float = 30.0) -> dict[int, dict[str, Any]]:
        """Return the statuses once every node has applied all that any node has in its log.

        Needs traffic to have stopped."""

        async def level() -> dict[int, dict[str, Any]] | None:
            statuses = await self.statuses()
            if len(statuses) < len(self.config.node_ids) or leader_of(statuses) is None:
                return None
            applied = {int(status["applied_index"]) for status in statuses.values()}
            last = max(int(status["last_log_index"]) for status in statuses.values())
            return statuses if applied == {last} else None

        found: dict[int, dict[str, Any]] = await wait_for(
            level, "all nodes have applied the whole log", timeout_s, poll_s=0.05
        )
        return found

    async def wait_until_caught_up(self, node_id: int, timeout_s: float = 30.0) -> None:
        """Return once a restarted node follows closely (traffic may go on)."""

        async def close_behind() -> bool:
            statuses = await self.statuses()
            if node_id not in statuses or leader_of(statuses) is None:
                return False
            commit_index = max(int(status["commit_index"]) for status in statuses.values())
            return commit_index - int(statuses[node_id]["applied_index"]) <= CLOSE_BEHIND

        await wait_for(close_behind, f"node {node_id} has caught up", timeout_s)

    async def wait_until_whole(self, timeout_s: float = 30.0) -> None:
        """Return once one node leads and every node is connected to every other one, may vote, and
        follows closely (traffic may go on)."""
        others = len(self.config.node_ids) - 1

        async def whole() -> bool:
            statuses = await self.statuses()
            if len(statuses) <= others or leader_of(statuses) is None:
                return False
            commit_index = max(int(status["commit_index"]) for status in statuses.values())
            return all(
                len(status["peers_connected"]) == others
                and status["may_vote"]
                and commit_index - int(status["applied_index"]) <= CLOSE_BEHIND
                for status in statuses.values()
            )

        await wait_for(whole, "the cluster is whole again", timeout_s)

    async def stop(self) -> int:
        """Stop everything; returns the exit code of `exchange up`."""
        for process in all_processes(self.config):
            pid = self.pid(process.name)
            if pid is not None:  # one that a fault has stopped would not hear of its end
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        nodes = [name for name in self._children if name.startswith("node-")]
        await self._stop_children([name for name in self._children if name not in nodes])
        stopping_nodes = asyncio.create_task(self._stop_children(nodes))
        code = await self._stop_up()
        await stopping_nodes
        return code

    async def _stop_children(self, names: Sequence[str]) -> None:
        for name in names:
            if self._children[name].returncode is None:
                self._children[name].terminate()
        for name in names:
            await _wait_or_kill(self._children[name])

    async def _stop_up(self) -> int:
        if self._up is None:
            return 0
        if self._up.returncode is None:
            self._up.terminate()
        code = await _wait_or_kill(self._up)
        if self._reader is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        return code


async def _wait_or_kill(child: asyncio.subprocess.Process) -> int:
    try:
        return await asyncio.wait_for(child.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        child.kill()
        return await child.wait()


class SeparateExchange(LocalExchange):
    """The same without `exchange up`: each process is started by itself, as on machines of their
    own. Whoever derives from it says how in command_line()."""

    async def start(self) -> dict[str, Any]:
        """Start every process; returns what `exchange up` would say of it. Raises
        LocalExchangeError."""
        processes = all_processes(self.config)
        children = {process.name: await self.spawn(process.name) for process in processes}

        async def all_ready() -> bool:
            for name, child in children.items():
                if child.returncode is not None:
                    raise LocalExchangeError(f"{name} ended with code {child.returncode}")
            if not all(has_started(self.config, name, c.pid) for name, c in children.items()):
                return False
            return all(await asyncio.gather(*(is_ready(process.http) for process in processes)))

        await wait_for(all_ready, "every process is ready", READY_TIMEOUT_S, poll_s=0.05)
        pids = {name: child.pid for name, child in children.items()}
        self.ready = {"event": "ready", "leader": await self.leader(), "pids": pids}
        return self.ready


def new_local_exchange(
    folder: Path, changes: dict[str, str] | None = None, *, tls: bool = False, more: str = ""
) -> LocalExchange:
    """Write an exchange.toml on free ports into `folder` (which may exist, but not hold one).

    `changes`: key -> TOML text, with dotted keys such as {"cluster.durability": '"memory"'}.
    `tls`: with certificates of a development authority. `more`: TOML of further members.
    """
    path = write_exchange_folder(
        folder, base_port=free_base_port(), changes=changes, tls=tls, more=more
    )
    return LocalExchange(configuration.load(path))


@asynccontextmanager
async def local_exchange(
    folder: Path, changes: dict[str, str] | None = None, *, tls: bool = False, more: str = ""
) -> AsyncIterator[LocalExchange]:
    """A running exchange in `folder`, stopped at the end whatever happens."""
    exchange = new_local_exchange(folder, changes, tls=tls, more=more)
    try:
        await exchange.start()
        yield exchange
    finally:
        await exchange.stop()
