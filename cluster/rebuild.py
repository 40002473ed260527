"""From a node's folder to the state at one place of its log, without the node: what makes snapshots
and what `exchange replay` shows. Changes nothing; the node may be running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cluster.codec import batch_payload
from cluster.disk import Disk
from cluster.interface import Derivation
from cluster.replay import Entry, recover
from cluster.replica import Replica
from cluster.segment import JournalError
from cluster.snapshot import Snapshot, SnapshotStore, restore
from matching.order_book import OrderBook
from matching.types import Side
from oms.order_state import Order

_READ_ATTEMPTS: Final = 5


@dataclass(slots=True)
class Rebuilt:
    """The state after log entry `entry`, and from where it was rebuilt: the snapshot after
    `base_index` (0: none), and `replayed` entries."""

    replica: Replica
    entry: Entry
    base_index: int
    replayed: int


def rebuild(
    disk: Disk,
    wal_dir: Path,
    snapshots: SnapshotStore,
    derivations: dict[str, Derivation],
    *,
    upto_index: int | None = None,
    upto_event_seq: int | None = None,
) -> Rebuilt:
    """Restore the newest snapshot that fits and replay the journal from there.

    Up to log entry `upto_index`, or to the entry that brings event `upto_event_seq`, or else as far
    as the journal knows entries to be committed. `derivations` are carried along and end up at the
    same place. Raises JournalError when snapshots and journal do not reach that far."""
    entries, committed = _read_journal(disk, wal_dir)
    wanted = committed if upto_index is None else upto_index
    # Entries without events may follow the one that is wanted: not a snapshot of those.
    snapshot = snapshots.newest(None if upto_event_seq is None else upto_event_seq - 1)
    replica, base = _restore(snapshot, derivations)
    rebuilt = Rebuilt(replica, base, base[1], 0)
    if entries and entries[0][1] > base[1] + 1:
        raise JournalError(
            f"{wal_dir}: begins with entry {entries[0][1]}, and no snapshot reaches that far. "
            "Ask for a later event, or take the folder of another node"
        )
    for entry in entries[max(0, base[1] + 1 - entries[0][1]) if entries else 0 :]:
        if entry[1] > wanted or _has_event(replica, upto_event_seq):
            break
        _apply(replica, derivations, entry)
        rebuilt.entry = entry
        rebuilt.replayed += 1
    if upto_index is not None and rebuilt.entry[1] != upto_index:
        raise JournalError(
            f"{wal_dir}: ends with entry {rebuilt.entry[1]}, {upto_index} was asked for"
        )
    if upto_event_seq is not None and not _has_event(replica, upto_event_seq):
        raise JournalError(
            f"{wal_dir}: the last event that is known to be committed is "
            f"{replica.next_event_seq - 1}, {upto_event_seq} was asked for"
        )
    return rebuilt


def _read_journal(disk: Disk, wal_dir: Path) -> tuple[list[Entry], int]:
    """(entries, commit index). A node that is writing meanwhile may show us the end of a flush
    without its beginning, or a file that is gone when it is opened: then look again."""
    for attempt in range(1, _READ_ATTEMPTS + 1):
        try:
            replay = recover(disk, wal_dir).replay
        except (JournalError, FileNotFoundError):
            if attempt == _READ_ATTEMPTS:
                raise
        else:
            return replay.entries, replay.commit_index
    raise AssertionError("unreachable")


def _restore(
    snapshot: Snapshot | None, derivations: dict[str, Derivation]
) -> tuple[Replica, Entry]:
    if snapshot is None:
        return Replica(), (b"", 0, 0)
    header = snapshot.header
    for name, derivation in derivations.items():
        if name not in header.derived:
            raise JournalError(f"{snapshot.path}: holds nothing for {name!r}: made without it")
        derivation.restore(header.derived[name])
    return restore(snapshot), (header.entry, header.log_index, header.term)


def _apply(replica: Replica, derivations: dict[str, Derivation], entry: Entry) -> None:
    command, index, term = entry
    payload = batch_payload(command)
    if payload is None:
        return
    batch = replica.apply(index, term, payload)
    for derivation in derivations.values():
        derivation.on_batch(batch)


def _has_event(replica: Replica, event_seq: int | None) -> bool:
    return event_seq is not None and replica.next_event_seq > event_seq


def describe(rebuilt: Rebuilt) -> dict[str, Any]:
    """What `exchange replay` shows: plain values, for JSON and for a table. Prices are in
    ten-thousandths; a book is [symbol, bids, asks, best bid, best ask], orders counted."""
    state = rebuilt.replica.state_machine.state
    return {
        "event_seq": rebuilt.replica.next_event_seq - 1,
        "log_index": rebuilt.entry[1],
        "term": rebuilt.entry[2],
        "time_ns": rebuilt.replica.last_time_ns,
        "state_hash": rebuilt.replica.state_machine.state_hash(),
        "snapshot_index": rebuilt.base_index,
        "replayed_entries": rebuilt.replayed,
        "applied_commands": rebuilt.replica.applied_commands,
        "sessions": len(state.sessions),
        "open_orders": sum(len(session.open_orders) for session in state.sessions.values()),
        "books": [_book(symbol, listing.book) for symbol, listing in state.listings.items()],
    }


def _book(symbol: str, book: OrderBook[Order]) -> list[Any]:
    bids, asks = list(book.orders(Side.BUY)), list(book.orders(Side.SELL))
    return [
        symbol,
        len(bids),
        len(asks),
        bids[0].price if bids else None,
        asks[0].price if asks else None,
    ]
