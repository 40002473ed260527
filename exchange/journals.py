"""Journals of stopped nodes, replayed through the replicated state machine.

A second reading of what the nodes did live: the same log must yield the same events and state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.disk import RealDisk
from cluster.replay import recover
from cluster.replica import Replica
from cluster.verify import verify
from oms.events import EventKind

REGULAR_ENTRY = 0
"""First byte of a log entry that carries a batch; others are Raft's own (a leader's no-op)."""


@dataclass(slots=True)
class ReplayedJournal:
    """What one node's journal yields, up to the last entry that all of them have."""

    event_seq: int
    state_hash: str
    accepted: Counter[tuple[str, str]]
    """(session, ClOrdID) -> OrderAccepted events."""


@dataclass(slots=True)
class Journals:
    """All journals of a cluster; `replayed` by folder name."""

    problems: list[str]
    replayed: dict[str, ReplayedJournal] = field(default_factory=dict)


def read_journals(folders: Sequence[Path]) -> Journals:
    """Verify the journals against each other and replay each one."""
    report = verify(list(folders))
    if not report.ok:
        return Journals([*report.lines()])
    # As the nodes stop one after the other, the last ones may write an entry more.
    last_index = min(node.last_index for node in report.nodes)
    return Journals([], {folder.name: replay_journal(folder, last_index) for folder in folders})


def replay_journal(folder: Path, last_index: int) -> ReplayedJournal:
    """Apply the entries of DATA/node-N up to `last_index`, in order, to an empty state machine."""
    entries = recover(RealDisk(), folder / "wal").replay.entries
    replica = Replica()
    accepted: Counter[tuple[str, str]] = Counter()
    for entry, index, term in entries:
        if entry[0] != REGULAR_ENTRY or index > last_index:
            continue
        for event in replica.apply(index, term, entry[1:]).events:
            if event[0] == EventKind.ORDER_ACCEPTED:
                accepted[(event[1], event[2])] += 1
    return ReplayedJournal(
        event_seq=replica.next_event_seq - 1,
        state_hash=replica.state_machine.state_hash(),
        accepted=accepted,
    )
