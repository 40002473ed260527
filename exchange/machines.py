"""Machines of their own for the nodes of an exchange, whose cables can be pulled.

A machine is a Linux network namespace. One of them, the edge, holds gateway, market data, clients
and this very process; a bridge in it is the switch that all the others are plugged into:

    edge: 10.77.0.100, bridge "switch" -- port "node-1" === eth0, 10.77.0.1, the machine of node 1

Nothing of the host's own network is touched, and nothing has to be cleaned up: the namespaces have
no names, and the kernel removes them with the last process in them, however it ended.

Two faults, and both look to a process like a silent network, without any error: a shut port of the
switch (`unplug`), and packets of one machine for another that go astray (`block`: the sender
believes that the other one has an Ethernet address which in truth nobody has).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from cluster.settings import Address
from exchange import config as configuration
from exchange.config_keys import toml_text
from exchange.config_sections import Addresses
from exchange.config_text import write_exchange_folder
from exchange.http_client import is_ready, leader_of
from exchange.local import READY_TIMEOUT_S, LocalExchange, LocalExchangeError, wait_for
from exchange.processes import all_processes, has_started

EDGE = 0
"""The machine on which everything runs that is no node."""
NETWORK = "10.77.0"
EDGE_HOST_NUMBER = 100
SWITCH = "switch"
NOBODY = "02:00:00:00:00:ff"
"""An Ethernet address that no interface has."""
TOOLS = ("ip", "ss", "nsenter")
CLONE_NEWNET = 0x4000_0000
_LAST_ACKNOWLEDGED = re.compile(r" lastack:(\d+)")
"""In the output of ss: how many ms ago."""


class NoMachines(Exception):
    """Machines cannot be made here; the text says what is missing."""


def missing() -> str | None:
    """What it would take to make machines here; None if nothing is missing."""
    if sys.platform != "linux":
        return "network namespaces exist on Linux only"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{' and '.join(absent)} cannot be found (packages iproute2, util-linux)"
    return None


def _run(*line: str) -> str:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoMachines(f"{' '.join(line)}: {done.stderr.strip()}")
    return done.stdout


class Machines:
    """The edge and one machine per node; made by `machines()`. Node ids begin with 1."""

    def __init__(self, namespaces: dict[int, int]) -> None:
        """`namespaces`: a descriptor for each machine, EDGE among them. Raises NoMachines."""
        self._namespaces = namespaces
        self._blocked: set[tuple[int, int]] = set()
        self._healed_s = time.monotonic()
        self._unplugged: set[int] = set()
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", SWITCH, "type", "bridge", "mcast_snooping", "0")
        self._give_address(EDGE, SWITCH)
        for machine in self.nodes:
            _run(
                *("ip", "link", "add", self.port(machine), "type", "veth"),
                *("peer", "name", "eth0", "netns", self._path(machine)),
            )
            _run("ip", "link", "set", self.port(machine), "master", SWITCH, "up")
            self._run_on(machine, "ip", "link", "set", "lo", "up")
            self._give_address(machine, "eth0")

    def _give_address(self, machine: int, interface: str) -> None:
        self._run_on(machine, "ip", "address", "add", f"{self.host(machine)}/24", "dev", interface)
        self._run_on(machine, "ip", "link", "set", interface, "up")
        # Multicast takes the interface of its route, as on a machine with a default route.
        self._run_on(machine, "ip", "route", "add", "224.0.0.0/4", "dev", interface)

    @property
    def nodes(self) -> list[int]:
        """Every machine but the edge."""
        return [machine for machine in self._namespaces if machine != EDGE]

    @staticmethod
    def port(machine: int) -> str:
        """Name of the port of the switch that a machine is plugged into."""
        return f"node-{machine}"

    @staticmethod
    def host(machine: int) -> str:
        """IPv4 address of a machine."""
        return f"{NETWORK}.{EDGE_HOST_NUMBER if machine == EDGE else machine}"

    def _path(self, machine: int) -> str:
        return f"/proc/{os.getpid()}/fd/{self._namespaces[machine]}"

    def line(self, machine: int, line: Sequence[str]) -> list[str]:
        """The command line that runs `line` on a machine; the process keeps its pid."""
        if machine == EDGE:
            return list(line)
        return ["nsenter", f"--net={self._path(machine)}", *line]

    def _run_on(self, machine: int, *line: str) -> str:
        return _run(*self.line(machine, line))

    def unplug(self, machine: int) -> None:
        """Nothing gets to this machine or away from it any more; its interface stays up."""
        _run("ip", "link", "set", self.port(machine), "nomaster")
        self._unplugged.add(machine)

    def plug_in(self, machine: int) -> None:
        """The opposite of unplug()."""
        _run("ip", "link", "set", self.port(machine), "master", SWITCH)
        self._unplugged.discard(machine)
        self._healed_s = time.monotonic()

    def block(self, source: int, target: int) -> None:
        """What `source` sends to `target` (unicast) gets lost; the other direction stays."""
        device = SWITCH if source == EDGE else "eth0"
        self._run_on(
            source,
            *("ip", "neighbour", "replace", self.host(target), "lladdr", NOBODY),
            *("dev", device, "nud", "permanent"),
        )
        self._blocked.add((source, target))

    def unblock(self, source: int, target: int) -> None:
        """The opposite of block()."""
        device = SWITCH if source == EDGE else "eth0"
        self._run_on(source, "ip", "neighbour", "delete", self.host(target), "dev", device)
        self._blocked.discard((source, target))
        self._healed_s = time.monotonic()

    def separate(self, one: int, other: int) -> None:
        """The two hear nothing of each other any more; everybody else hears both."""
        self.block(one, other)
        self.block(other, one)

    def heal(self) -> None:
        """Every machine reaches every other one again."""
        for machine in sorted(self._unplugged):
            self.plug_in(machine)
        for source, target in sorted(self._blocked):
            self.unblock(source, target)

    def is_flowing(self) -> bool:
        """False while a connection anywhere waits to send again what a cut has swallowed: TCP tries
        after pauses that double, so a healed network is as good as before only after a while."""
        healed_ms = 1e3 * (time.monotonic() - self._healed_s)
        for machine in self._namespaces:
            connections = self._run_on(machine, "ss", "-HtinO", "state", "established")
            for connection in connections.splitlines():
                last_acknowledged = _LAST_ACKNOWLEDGED.search(connection)
                if " unacked:" not in connection or last_acknowledged is None:
                    continue
                if int(last_acknowledged[1]) >= healed_ms:
                    return False
        return True


_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise NoMachines(f"{name}: {os.strerror(number)}")


def _namespace_of_this_thread() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def machines(count: int = 3) -> Iterator[Machines]:
    """Make the edge and `count` machines; the calling thread is on the edge until the end.

    Whatever it starts meanwhile, threads and processes, is there, too. Raises NoMachines."""
    problem = missing()
    if problem is not None:
        raise NoMachines(problem)
    with contextlib.ExitStack() as stack:
        home = _namespace_of_this_thread()
        stack.callback(os.close, home)
        stack.callback(_call, "setns", home, CLONE_NEWNET)
        namespaces: dict[int, int] = {}
        for machine in (*range(1, count + 1), EDGE):  # the edge last: there we stay
            _call("unshare", CLONE_NEWNET)
            namespaces[machine] = _namespace_of_this_thread()
            stack.callback(os.close, namespaces[machine])
        yield Machines(namespaces)


class SpreadExchange(LocalExchange):
    """An exchange whose nodes are on machines of their own, each process started by itself."""

    def __init__(self, config: configuration.Config, net: Machines) -> None:
        super().__init__(config)
        self.net = net

    def command_line(self, name: str) -> list[str]:
        """How a process is started: a node on its own machine, the others on the edge."""
        machine = int(name.removeprefix("node-")) if name.startswith("node-") else EDGE
        return self.net.line(machine, super().command_line(name))

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
        leader = leader_of(await self.statuses())
        pids = {name: child.pid for name, child in children.items()}
        self.ready = {"event": "ready", "leader": leader, "pids": pids}
        return self.ready


def new_spread_exchange(
    folder: Path, net: Machines, changes: dict[str, str] | None = None
) -> SpreadExchange:
    """Write an exchange.toml for these machines into `folder`; `changes` as local_exchange()."""
    defaults = Addresses()
    spread = {
        f"addresses.{key}": toml_text(
            [
                str(Address(net.host(node), address.port))
                for node, address in zip(net.nodes, getattr(defaults, key), strict=True)
            ]
        )
        for key in ("node_raft", "node_client", "node_http")
    }
    spread["addresses.multicast_interface"] = toml_text("0.0.0.0")
    spread["allow_plaintext_on_network"] = toml_text(True)
    path = write_exchange_folder(folder, changes=spread | (changes or {}))
    return SpreadExchange(configuration.load(path), net)


@asynccontextmanager
async def spread_exchange(
    folder: Path, net: Machines, changes: dict[str, str] | None = None
) -> AsyncIterator[SpreadExchange]:
    """A running exchange on these machines, stopped at the end whatever happens."""
    exchange = new_spread_exchange(folder, net, changes)
    try:
        await exchange.start()
        yield exchange
    finally:
        net.heal()
        await exchange.stop()
