"""What simulated nodes are set to, and what is traded on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.settings import Address, NodeSettings
from cluster.storage import NodeFolders
from oms.reference_data import Account, Instrument, SessionDefinition

SESSIONS = ("CLIENT1", "CLIENT2", "CLIENT3")
REFERENCE_DATA = (
    tuple(
        tuple(Instrument(symbol, locate, 100, 1, 1_000_000, 1000, 1_000_000))
        for locate, symbol in enumerate(("AAPL", "MSFT"), start=1)
    ),
    tuple(tuple(Account(f"ACC{i}", "FIRM", 1_000_000, 10**15)) for i in (1, 2, 3)),
    tuple(tuple(SessionDefinition(name, f"ACC{i}")) for i, name in enumerate(SESSIONS, start=1)),
)
DIRECTORY = Path("node")
FOLDERS = NodeFolders(DIRECTORY, {})
NOWHERE = Address("simulated", 0)


@dataclass(frozen=True, slots=True)
class MemberOptions:
    """What the nodes of a run are set to; drawn per seed."""

    heartbeat_ms: int = 10
    suspect_after_ms: int = 60
    segment_bytes: int = 32 << 10
    snapshot_after_bytes: int = 1 << 30
    snapshot_chunk_bytes: int = 4 << 10


def settings_of(node_id: int, members: tuple[int, ...], options: MemberOptions) -> NodeSettings:
    """Settings as a live node has them; the addresses are never used."""
    addresses = dict.fromkeys(members, NOWHERE)
    return NodeSettings(
        node_id=node_id,
        raft_addresses=addresses,
        client_addresses=addresses,
        raft_bind=NOWHERE,
        client_bind=NOWHERE,
        http_bind=NOWHERE,
        data_dir=DIRECTORY,
        heartbeat_ms=options.heartbeat_ms,
        suspect_after_ms=options.suspect_after_ms,
        segment_bytes=options.segment_bytes,
        snapshot_after_bytes=options.snapshot_after_bytes,
        snapshot_chunk_bytes=options.snapshot_chunk_bytes,
        gateway_grace_ms=2_000,
        reference_data=REFERENCE_DATA,
    )
