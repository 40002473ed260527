"""Makes a snapshot from what is on disk, in a process of its own.

The node goes on meanwhile: it is not forked (copying the page tables of a large process takes
longer than matching may pause) and shares nothing but files. And since the snapshot comes out of a
replay, one that cannot be replayed to the state that the node has is found while the journal that
would show why is still there: the state hashes of all marks are compared.

    python -m cluster.snapshot_maker WAL SNAPSHOTS INDEX --derivations MODULE:FUNCTION --sync FOLDER

prints a SnapshotMade as JSON. FUNCTION returns the derivations by name; each FOLDER of day files is
synced before the snapshot counts, since nobody makes those files anew once the journal is trimmed.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cluster.build import run_module
from cluster.day_files import sync_files
from cluster.disk import Disk, RealDisk
from cluster.interface import Derivation
from cluster.rebuild import rebuild
from cluster.segment import JournalError
from cluster.snapshot import SnapshotError, SnapshotHeader, SnapshotStore
from cluster.storage import NodeFolders

_NICENESS: Final = 5


@dataclass(slots=True)
class SnapshotMade:
    """A snapshot that is durable. `marks` are (mark id, event_seq, log index, state hash) of the
    state that it was made of; `kept` are the log entries of the good snapshots that are there now,
    oldest first."""

    index: int
    size: int
    event_seq: int
    state_hash: str
    seconds: float
    marks: list[tuple[str, int, int, str]]
    kept: list[int]


def make_snapshot(
    disk: Disk,
    wal_dir: Path,
    snapshots_dir: Path,
    index: int,
    derivations: dict[str, Derivation],
    sync: Sequence[Path],
) -> SnapshotMade:
    """Rebuild the state after log entry `index` and write it. Raises JournalError, OSError."""
    started_s = time.monotonic()
    snapshots = SnapshotStore(disk, snapshots_dir)
    rebuilt = rebuild(disk, wal_dir, snapshots, derivations, upto_index=index)
    replica = rebuilt.replica
    command, _, term = rebuilt.entry
    for folder in sync:
        sync_files(disk, folder)
    header = SnapshotHeader(
        log_index=index,
        term=term,
        entry=command,
        next_event_seq=replica.next_event_seq,
        time_ns=replica.last_time_ns,
        state_hash=replica.state_machine.state_hash(),
        derived={name: derivation.snapshot() for name, derivation in derivations.items()},
    )
    size = snapshots.write(header, replica.snapshot_parts())
    marks = [
        (mark_id, mark.event_seq, mark.log_index, mark.state_hash)
        for mark_id, mark in replica.marks.items()
    ]
    return SnapshotMade(
        index,
        size,
        header.next_event_seq - 1,
        header.state_hash,
        round(time.monotonic() - started_s, 3),
        marks,
        snapshots.kept,
    )


class MakerProcess:
    """Runs the program of this file for one node. `make` blocks; stop() may come from another
    thread."""

    def __init__(self, folders: NodeFolders, derivations: str) -> None:
        """`derivations` is MODULE:FUNCTION, or "" for none."""
        self._command = run_module("cluster.snapshot_maker")
        self._arguments = [str(folders.wal), str(folders.snapshots)]
        self._options = ["--derivations", derivations] if derivations else []
        for folder in folders.day.values():
            self._options += ["--sync", str(folder)]
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def make(self, index: int) -> SnapshotMade:
        """Make a snapshot and return when it is durable. Raises SnapshotError."""
        command = [*self._command, *self._arguments, str(index), *self._options]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
            self._process = process
            if self._stopped:
                process.kill()
            lines = process.stdout.read().strip().splitlines() or ["it said nothing"]
        if process.returncode:
            raise SnapshotError(
                f"the snapshot after entry {index} was not made: {lines[-1]} "
                f"(exit code {process.returncode})"
            )
        facts = json.loads(lines[-1])
        facts["marks"] = [tuple(mark) for mark in facts["marks"]]
        return SnapshotMade(**facts)

    def stop(self) -> None:
        """End the process; a snapshot that is not durable yet is forgotten."""
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def _give_way() -> None:
    """Matching goes first, that of other nodes on this machine, too."""
    os.nice(_NICENESS)
    with contextlib.suppress(OSError):
        # Where Linux shares a processor out by session first, niceness counts within one session
        # only: this process gets its own, and that one is nice.
        os.setsid()
        Path("/proc/self/autogroup").write_text(str(_NICENESS))


def _end_with_parent() -> None:
    """The node holds the other end of our stdin: when it is gone, a snapshot is nobody's."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock the end of the interpreter wants
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cluster.snapshot_maker")
    parser.add_argument("wal", type=Path)
    parser.add_argument("snapshots", type=Path)
    parser.add_argument("index", type=int)
    parser.add_argument("--derivations", default="")
    parser.add_argument("--sync", type=Path, action="append", default=[])
    options = parser.parse_args(arguments)
    _give_way()
    gc.disable()  # what a replay makes is needed until the end; looking for garbage is a quarter
    with contextlib.suppress(OSError):  # out of memory: let it be this process, not the node
        Path("/proc/self/oom_score_adj").write_text("1000")
    _end_with_parent()
    derivations: dict[str, Derivation] = {}
    if options.derivations:
        module, _, function = options.derivations.partition(":")
        derivations = getattr(importlib.import_module(module), function)()
    try:
        made = make_snapshot(
            RealDisk(), options.wal, options.snapshots, options.index, derivations, options.sync
        )
    except (OSError, JournalError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(made)))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
