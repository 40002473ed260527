"""What a node, and whoever connects to one, must be told. Made by exchange/config.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple


class Address(NamedTuple):
    """A TCP or UDP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Durability(StrEnum):
    """What an acknowledgement promises (cluster/README.md says what each one survives)."""

    MAJORITY_DISK = "majority-disk"
    LEADER_DISK = "leader-disk"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a process proves who it is, and whom it believes. PEM files.

    The certificate names its owner in a subjectAltName: DNS `node-N` for a node, `client-NAME` for
    whoever connects under the client_id NAME (cluster/tls.py). The authority signs all of them and
    nothing else: it is the only one that is believed.
    """

    certificate: Path
    private_key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node. `raft_addresses` and `client_addresses` name all members, this one included, as
    the others reach them; the bind addresses are where this node listens."""

    node_id: int
    raft_addresses: dict[int, Address]
    client_addresses: dict[int, Address]
    raft_bind: Address
    client_bind: Address
    http_bind: Address
    data_dir: Path
    """DATA/node-N: wal/, events/ and snapshots/ are made below it."""
    durability: Durability = Durability.MAJORITY_DISK
    heartbeat_ms: int = 10
    suspect_after_ms: int = 100
    gateway_grace_ms: int = 5_000
    """How long a gateway may be away before its sessions count as closed."""
    max_batch_bytes: int = 1 << 20
    max_pending_bytes: int = 64 << 20
    """Commands waiting for the log on the leader; beyond it the node stops reading."""
    segment_bytes: int = 64 << 20
    snapshot_after_bytes: int = 128 << 20
    """A snapshot is taken when the journal has grown by so much since the last one."""
    day_files_bytes: int = 16 << 30
    """Events that are kept on disk, at most; the oldest go first."""
    snapshot_chunk_bytes: int = 256 << 10
    """Size of the pieces in which a snapshot goes to another node."""
    reference_data: tuple[tuple[tuple[object, ...], ...], ...] = field(default=((), (), ()))
    """(instruments, accounts, sessions) of a new cluster: see oms.commands.LoadReferenceData."""
    protection: tuple[tuple[Any, ...], ...] = ()
    """(rules, instruments) of a new cluster: see oms.commands.SetProtection; () for none."""
    opening_state: int | None = 2
    """TradingState that every instrument of a new cluster is put into; None: it stays CLOSED."""
    clock_tick_ms: int = 0
    """How often the leader looks whether something is due by time; 0: never."""
    tls: TlsSettings | None = None
    """None: Raft and client protocol are plain TCP."""
