"""Exchanges that faults can be done to: slow and full disks, slow and half-open connections."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tcp_links import Link, Way

from cluster.settings import Address
from exchange import config as configuration
from exchange.config_keys import toml_text
from exchange.config_text import write_exchange_folder
from exchange.local import LocalExchange, SeparateExchange, free_base_port
from exchange.machines import Machines, SpreadExchange, write_spread_folder

FAULTY_DISK_NODE = Path(__file__).with_name("faulty_disk_node.py")
SMALL_SEGMENTS = {"cluster.segment_bytes": "65536"}
"""The journal begins a new file every few seconds, as it would every few minutes."""
HANGS = float("inf")


class FaultyDisks(SeparateExchange):
    """Nodes on disks whose syncs can be made slow."""

    def _disk_file(self, node_id: int) -> Path:
        return self.config.data_dir / f"disk-{node_id}"

    def command_line(self, name: str) -> list[str]:
        """Nodes run in faulty_disk_node.py."""
        line = super().command_line(name)
        if not name.startswith("node-"):
            return line
        module = line.index("-m")
        file = self._disk_file(int(name.removeprefix("node-")))
        return [*line[:module], str(FAULTY_DISK_NODE), str(file), *line[module + 2 :]]

    def slow_disk(self, node_id: int, sync_s: float) -> None:
        """From now on each fdatasync of a node takes at least so long; 0: as long as it takes."""
        file = self._disk_file(node_id)
        if sync_s == 0:
            file.unlink(missing_ok=True)
            return
        new = file.with_suffix(".new")
        new.write_text(str(sync_s))
        new.replace(file)

    async def stop(self) -> int:
        """A disk that hangs would keep its node from stopping."""
        for node_id in self.config.node_ids:
            self.slow_disk(node_id, 0)
        return await super().stop()


class FaultyMachines(FaultyDisks, SpreadExchange):
    """The same, with each node on a machine of its own."""


class FaultyLinks(FaultyDisks):
    """The same on one machine, the nodes connected through `links`: (dialler, dialled) -> Link."""

    def __init__(self, config: configuration.Config, links: dict[tuple[int, int], Link]) -> None:
        super().__init__(config)
        self.links = links

    def command_line(self, name: str) -> list[str]:
        """Each node has a configuration of its own, in which the others are elsewhere."""
        line = super().command_line(name)
        if not name.startswith("node-"):
            return line
        source = str(self.config.source)
        node_id = int(name.removeprefix("node-"))
        return [str(own_file(Path(word), node_id)) if word == source else word for word in line]

    def between(self, one: int, other: int) -> Link:
        """The link between two nodes; the one with the higher id dials."""
        return self.links[max(one, other), min(one, other)]

    def way(self, source: int, target: int) -> Way:
        """What the bytes from one node to another go through."""
        link = self.between(source, target)
        return link.forth if source > target else link.back

    @property
    def ways(self) -> list[Way]:
        """Every direction of every link."""
        return [way for link in self.links.values() for way in link.ways]

    async def start(self) -> dict[str, Any]:
        """The links first."""
        for link in self.links.values():
            await link.start()
        return await super().start()

    async def stop(self) -> int:
        """The links last."""
        code = await super().stop()
        for link in self.links.values():
            await link.close()
        return code


def own_file(source: Path, node_id: int) -> Path:
    """Configuration of one node that reaches the others through links."""
    return source.with_name(f"node-{node_id}.toml")


def exchange_with_disks(folder: Path, changes: dict[str, str] | None = None) -> FaultyDisks:
    """On free ports of this machine."""
    path = write_exchange_folder(folder, base_port=free_base_port(), changes=changes)
    return FaultyDisks(configuration.load(path))


def exchange_on_machines(folder: Path, net: Machines) -> FaultyMachines:
    """Each node on one of these machines."""
    return FaultyMachines(configuration.load(write_spread_folder(folder, net)), net)


def exchange_with_links(folder: Path) -> FaultyLinks:
    """On free ports of this machine, with a link for each pair of nodes."""
    base_port = free_base_port()
    config = configuration.load(write_exchange_folder(folder, base_port=base_port))
    assert config.source is not None
    text = config.source.read_text()
    addresses = config.addresses.node_raft
    links = {}
    for dialler in config.node_ids:
        seen = []
        for node_id, address in enumerate(addresses, 1):
            host = f"127.0.1.{dialler}" if node_id < dialler else address.host
            seen.append(str(Address(host, address.port - base_port)))
            if node_id < dialler:
                links[dialler, node_id] = Link(Address(host, address.port), address)
        written = [str(Address(a.host, a.port - base_port)) for a in addresses]
        own = text.replace(toml_text(written), toml_text(seen))
        own_file(config.source, dialler).write_text(own)
    return FaultyLinks(config, links)


class SmallDisk:
    """A node's data folder on a file system of its own that can be filled up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()


@contextmanager
def small_disk(exchange: LocalExchange, node_id: int, mebibytes: int) -> Iterator[SmallDisk]:
    """Mount a small tmpfs where a node keeps its data; needs root. The node must not run yet."""
    folder = exchange.config.data_dir / f"node-{node_id}"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "chaos", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
