"""Check the journals of stopped nodes: each by itself, then against each other. Changes nothing.

What must hold between two Raft logs, whatever happened ("In Search of an Understandable Consensus
Algorithm", Log Matching Property): entries with the same index and term are the same, and so is
everything before them. Above the last such entry the logs may differ: there at least one of them
has a tail that was never committed, which is cut off when that node hears from the leader. What
both nodes noted as committed must never differ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

from cluster.disk import Disk, RealDisk
from cluster.replay import LogReplay, ReplayError
from cluster.segment import (
    EMPTY,
    Record,
    RecordKind,
    SegmentError,
    SegmentScan,
    scan_segment,
    segment_number,
)
from cluster.snapshot import SnapshotError, decode_snapshot, restore, snapshot_index

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not be: in which file or folder, at which byte (0: all of it), what."""

    file: str
    offset: int
    what: str


@dataclass(slots=True)
class NodeReport:
    """One journal. `entries` counts what is in the log from `first_index` to `last_index`; with a
    problem in it the log ends in front of the first one. `torn_tail_bytes` were never promised to
    anyone and go when the node starts."""

    directory: str
    segments: int = 0
    bytes_used: int = 0
    entries: int = 0
    first_index: int = 0
    last_index: int = 0
    last_term: int = 0
    commit_index: int = 0
    term: int = 0
    voted_for: str | None = None
    torn_tail_bytes: int = 0
    snapshots: list[int] = field(default_factory=list)
    """Log entries after which there are snapshots."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class VerifyReport:
    """All journals. `agreed_index` is the highest index at which a majority of them hold the same
    entry (0: none). `problems` are those of the nodes, then those between journals; `notes` are
    worth knowing, and legal."""

    nodes: list[NodeReport]
    agreed_index: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """No problem anywhere."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ok": self.ok, **asdict(self)}

    def lines(self) -> list[str]:
        """For people: a line per journal, per problem and per note, and the verdict last."""
        lines = [
            f"{node.directory}: {_many(node.entries, 'entry', 'entries')}"
            f"{f' ({node.first_index} to {node.last_index})' if node.entries else ''}, "
            f"last term {node.last_term}, committed up to {node.commit_index}, term {node.term}, "
            f"voted for {node.voted_for or 'nobody'}, "
            f"{_many(node.segments, 'segment', 'segments')}, {node.bytes_used} bytes, "
            f"torn tail {node.torn_tail_bytes} bytes, "
            f"snapshots after {', '.join(map(str, node.snapshots)) or 'no entry'}"
            for node in self.nodes
        ]
        for problem in self.problems:
            at = f" at byte {problem.offset}" if problem.offset else ""
            lines.append(f"PROBLEM {problem.file}{at}: {problem.what}")
        lines += [f"note: {note}" for note in self.notes]
        found = _many(len(self.problems), "problem", "problems")
        verdict = "no problem found" if self.ok else f"{found} found"
        lines.append(f"{verdict}; a majority agrees up to entry {self.agreed_index}")
        return lines


def _many(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


@dataclass(frozen=True, slots=True)
class _Log:
    """A log with digests in place of commands."""

    name: str
    first_index: int
    commit_index: int
    entries: list[tuple[bytes, int, int]]

    @property
    def last_index(self) -> int:
        return self.first_index + len(self.entries) - 1

    def at(self, index: int) -> tuple[bytes, int, int] | None:
        position = index - self.first_index
        return self.entries[position] if 0 <= position < len(self.entries) else None


def verify(directories: list[Path], *, disk: Disk | None = None) -> VerifyReport:
    """Check the journals in these folders, DATA/node-N or DATA/node-N/wal.

    The nodes must be stopped: a journal that is being written looks torn, or worse. Takes memory
    for one segment and some hundred bytes per entry. A file that cannot be read is a problem in
    the report, not an exception."""
    disk = disk or RealDisk()
    nodes: list[NodeReport] = []
    logs: list[_Log] = []
    for directory in directories:
        report, log = _verify_node(disk, directory)
        nodes.append(report)
        logs.append(log)
    result = VerifyReport(nodes, problems=[p for node in nodes for p in node.problems])
    for one, other in combinations(logs, 2):
        _compare(one, other, result)
    result.agreed_index = _agreed_index(logs)
    for log in logs:
        if log.commit_index > result.agreed_index:
            result.notes.append(
                f"{log.name} knows entry {log.commit_index} to be committed, but a majority of "
                f"these journals agrees only up to {result.agreed_index}: right if journals of the "
                "cluster are missing here or were rebuilt"
            )
    return result


# --- one journal ----------------------------------------------------------------------------------


def _verify_node(disk: Disk, directory: Path) -> tuple[NodeReport, _Log]:
    """Read everything; after the first problem go on checking files, but not the log."""
    report = NodeReport(str(directory))
    if (directory / "wal").is_dir():
        directory = directory / "wal"
    replay: LogReplay | None = None
    names: list[str] = []
    try:
        names = [
            name for name in disk.list_directory(directory) if segment_number(name) is not None
        ]
    except OSError as error:
        report.problems.append(Problem(str(directory), 0, f"cannot be read: {error}"))
    if not names and not report.problems:
        report.problems.append(Problem(str(directory), 0, "there is no journal here"))
    report.segments = len(names)
    expected = segment_number(names[0]) if names else None
    for name in names:
        path, number = directory / name, segment_number(name)
        assert number is not None
        if number != expected:
            report.problems.append(Problem(str(path), 0, f"segment {expected} is missing"))
        expected = number + 1
        broken = bool(report.problems)
        scan = _scan(disk, path, report, is_last=name == names[-1])
        if scan is None or broken:
            continue
        replay = replay or LogReplay(scan.header.before)
        _replay(path, scan, replay, report)
    replay = replay or LogReplay(EMPTY)
    if replay.missing and not report.problems:
        what = f"entries {replay.missing[0]} to {replay.missing[-1]} are in none of the files"
        report.problems.append(Problem(str(directory), 0, what))
    if directory.name == "wal":
        _verify_snapshots(disk, directory.parent / "snapshots", replay, report)
    return report, _describe(report, replay)


def _verify_snapshots(disk: Disk, directory: Path, replay: LogReplay, report: NodeReport) -> None:
    """Read every snapshot to its end, and see whether the journal goes on from one."""
    try:
        names = disk.list_directory(directory)
    except OSError:
        names = []  # a node that never made the folder
    for name in names:
        index = snapshot_index(name)
        if index is None:
            continue
        report.snapshots.append(index)
        path = directory / name
        try:
            snapshot = decode_snapshot(disk.read(path), path)
            restore(snapshot)
            if snapshot.header.log_index != index:
                raise SnapshotError(f"{path}: it is of entry {snapshot.header.log_index}")
        except (SnapshotError, OSError) as error:
            report.problems.append(Problem(str(path), 0, str(error)))
    if not report.problems and replay.first_index > max([1, *report.snapshots]):
        what = f"the journal begins with entry {replay.first_index}, and no snapshot reaches it"
        report.problems.append(Problem(str(directory), 0, what))


def _scan(disk: Disk, path: Path, report: NodeReport, *, is_last: bool) -> SegmentScan | None:
    """Check one file; None if its header is bad."""
    number = segment_number(path.name)
    assert number is not None
    try:
        scan = scan_segment(disk.read(path), number)
    except SegmentError as error:
        report.problems.append(Problem(str(path), error.offset, error.what))
        return None
    except OSError as error:
        report.problems.append(Problem(str(path), 0, f"cannot be read: {error}"))
        return None
    report.bytes_used += scan.end
    if scan.damage is None:
        return scan
    if is_last and scan.mark_behind is None:
        report.torn_tail_bytes = scan.dirty_end - scan.end
    elif scan.mark_behind is not None:
        what = f"{scan.damage}, and synced data follows it (mark at byte {scan.mark_behind})"
        report.problems.append(Problem(str(path), scan.end, what))
    else:
        what = f"{scan.damage}, in a file that is not the last"
        report.problems.append(Problem(str(path), scan.end, what))
    return scan


def _replay(path: Path, scan: SegmentScan, replay: LogReplay, report: NodeReport) -> None:
    """Bring the log up to the end of the segment, and check what Raft says about terms and votes.

    Stops at the first problem."""
    offset = 0
    try:
        replay.check_header(scan.header.before)
        for record in scan.records:
            offset = record.offset
            _check_terms(record, replay)
            if record.kind == RecordKind.ENTRY:
                digest = blake2b(record.payload, digest_size=_DIGEST_BYTES).digest()
                replay.apply(record._replace(payload=digest))
            else:
                replay.apply(record)
    except ReplayError as error:
        report.problems.append(Problem(str(path), offset, str(error)))


def _check_terms(record: Record, replay: LogReplay) -> None:
    """Terms never go back, and a vote is given once in a term. Raises ReplayError."""
    if record.kind == RecordKind.ENTRY:
        if replay.entries and record.term < replay.entries[-1][2]:
            raise ReplayError(
                f"entry {record.log_index} has term {record.term}, the one before it has "
                f"{replay.entries[-1][2]}"
            )
    elif record.kind == RecordKind.VOTE:
        if record.term < replay.term:
            raise ReplayError(f"the term goes back from {replay.term} to {record.term}")
        voted_for = record.payload.decode() if record.log_index else None
        if record.term == replay.term and replay.voted_for not in {None, voted_for}:
            raise ReplayError(
                f"a second vote in term {record.term}: {replay.voted_for!r}, then {voted_for!r}"
            )


def _describe(report: NodeReport, replay: LogReplay) -> _Log:
    entries = replay.entries
    report.entries = len(entries)
    report.first_index = entries[0][1] if entries else replay.first_index
    report.last_index = report.first_index + len(entries) - 1
    report.last_term = entries[-1][2] if entries else 0
    report.commit_index = min(replay.commit_index, report.last_index)
    report.term = replay.term
    report.voted_for = replay.voted_for
    return _Log(report.directory, report.first_index, report.commit_index, entries)


# --- between journals -----------------------------------------------------------------------------


def _compare(one: _Log, other: _Log, result: VerifyReport) -> None:
    """Two logs against the Log Matching Property and what both know to be committed."""
    low = max(one.first_index, other.first_index)
    high = min(one.last_index, other.last_index)
    names = f"{one.name} and {other.name}"
    if low > high:
        result.notes.append(f"{names} have no entries in common")
        return
    ours = one.entries[low - one.first_index : high + 1 - one.first_index]
    theirs = other.entries[low - other.first_index : high + 1 - other.first_index]
    if ours == theirs:
        return
    matching = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a[2] == b[2]]
    must_agree = matching[-1] + 1 if matching else 0
    must_agree = max(must_agree, min(one.commit_index, other.commit_index) + 1 - low)
    differing = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    first = differing[0]
    where = f"entry {low + first}: {_entry_text(ours[first])} and {_entry_text(theirs[first])}"
    if first < must_agree:
        result.problems.append(
            Problem(
                names,
                0,
                f"{where}, although they must agree up to entry {low + must_agree - 1}, which they "
                "have in the same term or both know to be committed",
            )
        )
        return
    result.notes.append(
        f"{names}: diverging uncommitted tail from {where}; what is not in the leader's log is cut "
        "off when its node hears from the leader"
    )


def _entry_text(entry: tuple[bytes, int, int]) -> str:
    digest, _index, term = entry
    return f"term {term} digest {digest.hex()[:12]}"


def _agreed_index(logs: list[_Log]) -> int:
    """Highest index at which more than half of the logs hold the same entry; 0 if there is none."""
    majority = len(logs) // 2 + 1
    for index in range(max((log.last_index for log in logs), default=0), 0, -1):
        held = [entry for log in logs if (entry := log.at(index)) is not None]
        if any(held.count(entry) >= majority for entry in held):
            return index
    return 0
