"""Machines of their own for the nodes of an exchange, whose cables can be pulled.

A machine is a Linux network namespace. One of them, the edge, holds gateway, market data, clients
and this very process. All are plugged into a switch, a bridge in a namespace without addresses:

    machine 1 (node 1): eth0, 10.77.0.1 ===== port "m1" \\
    edge: eth0, 10.77.0.100 ================= port "m0" -- bridge "switch"

Nothing of the host's own network is touched, and nothing has to be cleaned up: the namespaces have
no names, and the kernel removes them with the last process in them, however it ended.

Two faults, and both look to a process like a silent network, without any error: a shut port of the
switch (`unplug`), and packets of one machine for another that go astray (`block`: the sender
believes that the other one has an Ethernet address which in truth nobody has).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.settings import Address
from exchange import config as configuration
from exchange.config_keys import toml_text
from exchange.config_sections import Addresses
from exchange.config_text import write_exchange_folder
from exchange.local import SeparateExchange, wait_for

EDGE = 0
"""The machine on which everything runs that is no node."""
NETWORK = "10.77.0"
EDGE_HOST_NUMBER = 100
SWITCH = -1
BRIDGE = "switch"
NOBODY = "02:00:00:00:00:ff"
"""An Ethernet address that no interface has."""
TOOLS = ("ip", "ss", "nsenter")
CLONE_NEWNET = 0x4000_0000


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
        """`namespaces`: a descriptor for each machine, EDGE and SWITCH. Raises NoMachines."""
        self._namespaces = namespaces
        self._blocked: set[tuple[int, int]] = set()
        self._unplugged: set[int] = set()
        self._waiting: set[tuple[int, str, str]] | None = None
        bridge = ("type", "bridge", "mcast_snooping", "0")
        self._run_on(SWITCH, "ip", "link", "add", BRIDGE, "up", *bridge)
        for machine in (*self.nodes, EDGE):
            self._run_on(
                SWITCH,
                *("ip", "link", "add", self.port(machine), "up", "master", BRIDGE, "type", "veth"),
                *("peer", "name", "eth0", "netns", self._path(machine)),
            )
            address = f"{self.host(machine)}/24"
            self._run_on(machine, "ip", "link", "set", "lo", "up")
            self._run_on(machine, "ip", "address", "add", address, "dev", "eth0")
            self._run_on(machine, "ip", "link", "set", "eth0", "up")
            # Multicast takes the interface of its route, as on a machine with a default route.
            self._run_on(machine, "ip", "route", "add", "224.0.0.0/4", "dev", "eth0")

    @property
    def nodes(self) -> list[int]:
        """Every machine but the edge."""
        return [machine for machine in self._namespaces if machine > EDGE]

    @staticmethod
    def port(machine: int) -> str:
        """Name of the port of the switch that a machine is plugged into."""
        return f"m{machine}"

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
        self._run_on(SWITCH, "ip", "link", "set", self.port(machine), "nomaster")
        self._unplugged.add(machine)

    def plug_in(self, machine: int) -> None:
        """The opposite of unplug()."""
        self._run_on(SWITCH, "ip", "link", "set", self.port(machine), "master", BRIDGE)
        self._unplugged.discard(machine)
        self._waiting = None

    def block(self, source: int, target: int) -> None:
        """What `source` sends to `target` (unicast) gets lost; the other direction stays."""
        self._run_on(
            source,
            *("ip", "neighbour", "replace", self.host(target), "lladdr", NOBODY),
            *("dev", "eth0", "nud", "permanent"),
        )
        self._blocked.add((source, target))

    def unblock(self, source: int, target: int) -> None:
        """The opposite of block(), however often that was called."""
        if (source, target) not in self._blocked:
            return
        self._run_on(source, "ip", "neighbour", "delete", self.host(target), "dev", "eth0")
        self._blocked.discard((source, target))
        self._waiting = None

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
        """True once every connection that stands has been seen without unacknowledged data since
        the latest repair. TCP sends again after pauses that double, so a healed network is as good
        as before only after a while."""
        waiting = set()
        for machine in (EDGE, *self.nodes):
            lines = self._run_on(machine, "ss", "-HtinO", "state", "established").splitlines()
            waiting |= {
                (machine, line.split()[2], line.split()[3])  # local and peer address
                for line in lines
                if " unacked:" in line
            }
        self._waiting = waiting if self._waiting is None else self._waiting & waiting
        return not self._waiting


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
        for machine in (SWITCH, *range(1, count + 1), EDGE):  # the edge last: there we stay
            _call("unshare", CLONE_NEWNET)
            namespaces[machine] = _namespace_of_this_thread()
            stack.callback(os.close, namespaces[machine])
        yield Machines(namespaces)


class SpreadExchange(SeparateExchange):
    """An exchange whose nodes are on machines of their own."""

    def __init__(self, config: configuration.Config, net: Machines) -> None:
        super().__init__(config)
        self.net = net

    def command_line(self, name: str) -> list[str]:
        """How a process is started: a node on its own machine, the others on the edge."""
        machine = int(name.removeprefix("node-")) if name.startswith("node-") else EDGE
        return self.net.line(machine, super().command_line(name))

    async def wait_until_whole(self, timeout_s: float = 30.0) -> None:
        """As for any exchange, and the network is as good as before."""
        await super().wait_until_whole(timeout_s)
        await wait_for(self.net.is_flowing, "what a cut has swallowed is sent again", timeout_s)


def write_spread_folder(folder: Path, net: Machines, changes: dict[str, str] | None = None) -> Path:
    """Write an exchange.toml for these machines into `folder`; returns its path. `changes` as
    new_local_exchange()."""
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
    return write_exchange_folder(folder, changes=spread | (changes or {}))
