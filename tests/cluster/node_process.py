"""A bare node in a process of its own:

python node_process.py NODE_ID PORT_OFFSET DATA_DIR [SNAPSHOT_AFTER_BYTES]

The file DATA_DIR/node-N.fault, while it exists, says what is wrong with this node: one of FAULTS.
"""

import asyncio
import errno
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from cluster.disk import RealDiskFile
from cluster.node import Node
from cluster.replica import Replica
from cluster.settings import Address, NodeSettings
from oms.reference_data import Account, Instrument, SessionDefinition

NODES = (1, 2, 3)
REFERENCE_DATA = (
    tuple(
        tuple(Instrument(symbol, locate, 100, 1, 1_000_000, 1000, 1_000_000))
        for locate, symbol in enumerate(("AAPL", "MSFT"), start=1)
    ),
    tuple(tuple(Account(f"ACC{i}", "FIRM1", 1_000_000, 10**15)) for i in range(1, 10)),
    tuple(tuple(SessionDefinition(f"CLIENT{i}", f"ACC{i}")) for i in range(1, 10)),
)


def address(port: int) -> Address:
    return Address("127.0.0.1", port)


def node_settings(
    node_id: int, offset: int, data_dir: Path, snapshot_after_bytes: int = 128 << 20
) -> NodeSettings:
    return NodeSettings(
        node_id=node_id,
        raft_addresses={n: address(7000 + n + offset) for n in NODES},
        client_addresses={n: address(7100 + n + offset) for n in NODES},
        raft_bind=address(7000 + node_id + offset),
        client_bind=address(7100 + node_id + offset),
        http_bind=address(7200 + node_id + offset),
        data_dir=data_dir / f"node-{node_id}",
        gateway_grace_ms=1_000,
        segment_bytes=min(64 << 20, snapshot_after_bytes),
        snapshot_after_bytes=snapshot_after_bytes,
        reference_data=REFERENCE_DATA,
    )


def fault_path(data_dir: Path, node_id: int) -> Path:
    return data_dir / f"node-{node_id}.fault"


FAULTS = ("full", "hang", "perturb")


def install_faults(path: Path) -> None:
    """`full`: the disk takes nothing more. `hang`: a sync does not return. `perturb`: a bit of
    memory flips, once: this node counts an order too many."""
    write_at, sync_data, apply = RealDiskFile.write_at, RealDiskFile.sync_data, Replica.apply

    def has(fault: str) -> bool:
        return path.exists() and path.read_text() == fault

    def faulty_write_at(self: RealDiskFile, offset: int, data: bytes) -> None:
        if has("full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_at(self, offset, data)

    def faulty_sync_data(self: RealDiskFile) -> None:
        while has("hang"):
            time.sleep(0.01)
        sync_data(self)

    def faulty_apply(self: Replica, *arguments: Any) -> Any:
        if has("perturb"):
            path.unlink()
            self.state_machine.state.last_order_reference_number += 1
        return apply(self, *arguments)

    RealDiskFile.write_at = faulty_write_at
    RealDiskFile.sync_data = faulty_sync_data
    Replica.apply = faulty_apply


async def serve(settings: NodeSettings) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    while not stopping.is_set():  # once more after a snapshot was received
        node = Node(settings, {})
        await node.start()
        ends = {asyncio.ensure_future(node.run()), asyncio.ensure_future(stopping.wait())}
        try:
            done, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for future in pending:
                future.cancel()
            for future in done:
                future.result()
        finally:
            await node.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    node_id, offset, data_dir, *snapshot_after_bytes = sys.argv[1:]
    settings = node_settings(
        int(node_id), int(offset), Path(data_dir), *map(int, snapshot_after_bytes)
    )
    install_faults(fault_path(Path(data_dir), int(node_id)))
    uvloop.run(serve(settings))
