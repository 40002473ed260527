"""A disk that notes what is done to it, and what a power loss at any moment would have left."""

from __future__ import annotations

import copy
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from cluster.disk import Disk, RealDisk, RealDiskFile
from cluster.journal import Entry, Journal, JournalError
from cluster.replay import recover
from exchange.simulation.disk import SimulatedDisk

Image = dict[str, bytes]
"""Content of every file below a folder, by its path from there."""


class Call(NamedTuple):
    """A change that was made to the disk, or to the file with a handle; or a note of a test."""

    name: str
    arguments: tuple[Any, ...]
    handle: int | None = None
    caller: str = ""

    def __str__(self) -> str:
        what = [str(argument) for argument in self.arguments if type(argument) is not bytes]
        return f"{self.name}({', '.join(what)}) in {self.caller}"


class Broken(AssertionError):
    """A power loss breaks a promise."""


class Killed(Exception):
    """The process is gone, in the middle of what it did to the disk."""


class RecordingDisk(RealDisk):
    """The disk of this machine; `calls` lists every change, in order, together with the notes of a
    test. `left_out` names calls that are not made: ("append", "sync_data") is every fdatasync in a
    function called append. `kill_in` counts down with every change; the one that finds 0 is not
    made any more."""

    def __init__(self, left_out: frozenset[tuple[str, str]] = frozenset()) -> None:
        self.calls: list[Call] = []
        self.left_out = left_out
        self.left_out_calls = 0
        self.kill_in: int | None = None
        self._lock = threading.RLock()
        self._handles = 0

    def note(self, *what: Any) -> None:
        """Remember something between two calls."""
        self.calls.append(Call("note", what))

    def do(self, action: Callable[..., Any], handle: int | None, *arguments: Any) -> Any:
        """Make a call and note it."""
        name, caller = action.__name__, sys._getframe(2).f_code.co_name
        if (caller, name) in self.left_out:
            self.left_out_calls += 1
            return None
        with self._lock:
            if self.kill_in is not None:
                self.kill_in -= 1
                if self.kill_in < 0:
                    raise Killed
            result = action(*arguments)
            self.calls.append(Call(name, arguments, handle, caller))
        return result

    def create(self, path: Path) -> RecordingFile:  # type: ignore[override]
        self._handles += 1
        handle = self._handles
        return RecordingFile(self, handle, self.do(super().create, handle, path))

    def open(self, path: Path) -> RecordingFile:  # type: ignore[override]
        self._handles += 1
        handle = self._handles
        return RecordingFile(self, handle, self.do(super().open, handle, path))

    def rename(self, source: Path, target: Path) -> None:
        self.do(super().rename, None, source, target)

    def remove(self, path: Path) -> None:
        self.do(super().remove, None, path)

    def sync_directory(self, path: Path) -> None:
        self.do(super().sync_directory, None, path)


class RecordingFile:
    """An open file of a RecordingDisk."""

    def __init__(self, disk: RecordingDisk, handle: int, file: RealDiskFile) -> None:
        self._disk = disk
        self._handle = handle
        self._file = file
        self.read_at = file.read_at
        self.close = file.close

    def write_at(self, offset: int, data: bytes) -> None:
        self._disk.do(self._file.write_at, self._handle, offset, data)

    def sync_data(self) -> None:
        self._disk.do(self._file.sync_data, self._handle)

    def truncate(self, size: int) -> None:
        self._disk.do(self._file.truncate, self._handle, size)

    def allocate(self, size: int) -> None:
        self._disk.do(self._file.allocate, self._handle, size)


class _Disk(SimulatedDisk):
    """A rename is there as a whole or not at all, as cluster/disk.py has it."""

    def __init__(self) -> None:
        super().__init__(Random(0))
        self._renamed: set[tuple[str, str]] = set()

    def rename(self, source: Path, target: Path) -> None:
        self._renamed.add((source.as_posix(), target.as_posix()))
        super().rename(source, target)

    def lose_power(self) -> None:
        is_kept, before = False, ""
        for name, file in self.unsynced_names:
            if file is not None or (name, before) not in self._renamed:
                is_kept = self.random.random() < 0.5
            if is_kept and file is not None:
                self.synced_names[name] = file
            elif is_kept:
                self.synced_names.pop(name, None)
            before = name
        self.unsynced_names.clear()
        super().lose_power()


class Replay:
    """The calls once more, one by one, on a disk in memory that knows what is synced."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._disk = _Disk()
        self._files: dict[int | None, Any] = {}

    def step(self, call: Call) -> None:
        """Make the next call; notes change nothing."""
        if call.name == "note":
            return
        if call.name == "lose_power":
            self._disk.random = Random(*call.arguments)
            self._disk.lose_power()
        elif call.name in ("create", "open"):
            self._files[call.handle] = getattr(self._disk, call.name)(*call.arguments)
        else:
            target = self._disk if call.handle is None else self._files[call.handle]
            getattr(target, call.name)(*call.arguments)
        self._disk.calls.clear()

    def images(self, seed: int) -> Iterator[tuple[str, Image]]:
        """What a power loss may leave now: everything, nothing but what is synced, or in between:
        any of the names, any of the sectors, whole or torn."""
        disk = self._disk
        yield "all", {self._name(name): bytes(file.seen) for name, file in disk.names.items()}
        yield (
            "none",
            {self._name(name): bytes(file.synced) for name, file in disk.synced_names.items()},
        )
        torn = copy.deepcopy(disk)
        torn.random = Random(seed)
        torn.lose_power()
        yield "torn", {self._name(name): bytes(file.seen) for name, file in torn.names.items()}

    def _name(self, name: str) -> str:
        return Path(name).relative_to(self._root).as_posix()


def put(image: Image, folder: Path) -> None:
    """Make the files below a folder exactly these. Folders stay: removing them takes milliseconds
    on some file systems."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for name, content in image.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class HastyDisk(RealDisk):
    """A disk whose syncs cost nothing, to look at what is on it."""

    def create(self, path: Path) -> RealDiskFile:
        return _HastyFile(super().create(path)._descriptor)

    def open(self, path: Path) -> RealDiskFile:
        return _HastyFile(super().open(path)._descriptor)

    def sync_directory(self, path: Path) -> None:
        pass


class _HastyFile(RealDiskFile):
    def sync_data(self) -> None:
        pass


def check_every_moment(
    disk: RecordingDisk,
    root: Path,
    work: Path,
    note: Callable[..., bool],
    check: Callable[[Path], None],
    left_out: tuple[str, str] | None = None,
) -> int:
    """For every prefix of a run and every kind of power loss: `check(folder)`. `note` takes the
    notes of the run on the way, and says whether more is promised since. `left_out` names a call
    that counts as not made, by caller and name. Returns how many folders were opened. Raises
    Broken."""
    replay = Replay(root)
    checked: dict[str, Image] = {}
    opened = 0
    for count, call in enumerate(disk.calls, 1):
        if call.name == "note":
            if not note(*call.arguments):
                continue
            checked.clear()
        if (call.caller, call.name) != left_out:
            replay.step(call)
        for loss, image in replay.images(seed=count):
            if checked.get(loss) == image:
                continue
            checked[loss] = image
            put(image, work)
            opened += 1
            try:
                check(work)
            except (Broken, JournalError) as broken:
                raise Broken(f"{loss} after call {count}, {call}: {broken}") from broken
    return opened


class Content(NamedTuple):
    """Everything that a journal says."""

    entries: tuple[Entry, ...]
    first_index: int
    term: int
    voted_for: str | None


def content_of(journal: Journal) -> Content:
    return Content(
        tuple(journal[:]),
        journal.first_index,
        journal.getCurrentTerm(),
        journal.getVotedForNodeId(),
    )


def content_on_disk(disk: Disk, wal_dir: Path) -> Content:
    """What a folder says before a node changes it. Raises JournalError."""
    replay = recover(disk, wal_dir).replay
    return Content(tuple(replay.entries), replay.first_index, replay.term, replay.voted_for)


@dataclass
class Promises:
    """What a journal said of itself up to one moment, from its notes."""

    states: list[Content] = field(default_factory=lambda: [Content((), 1, 0, None)])
    """Each that it was in, from the beginning of the last flush that has returned."""
    durable: tuple[Entry, ...] = ()
    term_vote: tuple[int, str | None] = (0, None)
    _begun: int = 0

    def take(self, kind: str, content: Content, durable_index: int, term_vote: Any) -> bool:
        """The next note; returns whether more is promised than before."""
        if kind == "opened":
            self.states = [content]
        elif kind == "changed":
            self.states.append(content)
        elif kind == "flush begun":
            self._begun = len(self.states) - 1
        elif kind == "flushed":
            del self.states[: self._begun]
        self.durable = tuple(entry for entry in content.entries if entry[1] <= durable_index)
        self.term_vote = term_vote
        return kind in ("opened", "flushed")

    def check(self, found: Content) -> None:
        """Raises Broken."""
        entries = {entry[1]: entry for entry in found.entries}
        for entry in self.durable:
            if entries.get(entry[1]) != entry:
                raise Broken(f"entry {entry[1]} was durable, now it is {entries.get(entry[1])}")
        term, voted_for = self.term_vote
        if found.term < term or (found.term == term and voted_for not in (None, found.voted_for)):
            raise Broken(f"{self.term_vote} was durable, now it is {found[2:]}")
        if found not in self.states:
            raise Broken(f"the log was never {found}")


CHANGES = ("add", "clear", "deleteEntriesFrom", "deleteEntriesTo", "setCurrentTerm")


def let_journals_take_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Journal on a RecordingDisk notes what it is and what it promises."""

    def watch(method: str, kind: str) -> None:
        original = getattr(Journal, method)

        @functools.wraps(original)
        def watched(journal: Journal, *arguments: Any, **options: Any) -> Any:
            result = original(journal, *arguments, **options)
            if isinstance(journal._disk, RecordingDisk) and (
                method != "flush_begin" or result is not None
            ):
                journal._disk.note(
                    "journal",
                    kind,
                    content_of(journal),
                    journal.durable_index,
                    journal.durable_term_vote,
                )
            return result

        monkeypatch.setattr(Journal, method, watched)

    watch("__init__", "opened")
    for method in CHANGES:
        watch(method, "changed")
    watch("flush_begin", "flush begun")
    watch("flush_end", "flushed")
