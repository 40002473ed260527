"""A disk in memory that keeps what was synced and may lose, reorder or tear everything else."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

SECTOR_BYTES = 512


class PowerLoss(Exception):
    """The power went: no code of the node runs any more."""


class _File:
    """Bytes as the running system sees them, bytes that are synced, and the writes in between."""

    __slots__ = ("ends", "seen", "synced", "unsynced")

    def __init__(self) -> None:
        self.ends = (0, 0)
        """How far it had been filled by the sync before the last one that added something, and by
        that one."""
        self.seen = bytearray()
        self.synced = bytearray()
        self.unsynced: list[tuple[int, bytes]] = []

    def write(self, offset: int, data: bytes) -> None:
        _put(self.seen, offset, data)
        self.unsynced.append((offset, data))

    def resize(self, size: int) -> None:
        _resize(self.seen, size)
        self.unsynced.append((size, b""))

    def sync(self) -> None:
        end = self.ends[1]
        for offset, data in self.unsynced:
            if data:
                _put(self.synced, offset, data)
                if any(data):
                    end = max(end, offset + len(data))
            else:
                _resize(self.synced, offset)
        if end > self.ends[1]:
            self.ends = self.ends[1], end
        self.unsynced.clear()

    def replace(self, content: bytes | bytearray) -> None:
        """All of it is other bytes now, synced."""
        self.seen, self.synced = bytearray(content), bytearray(content)
        self.unsynced.clear()

    def lose_power(self, random: Random) -> None:
        """Each sector of each unsynced write is there, is not, or is there in part."""
        if not self.unsynced:
            return
        found = self.synced
        for offset, data in self.unsynced:
            if not data:
                if random.random() < 0.5:
                    _resize(found, offset)
                continue
            at = 0
            fate = random.choice(("all", "none", "sectors", "sectors"))
            while at < len(data):
                length = min(len(data) - at, SECTOR_BYTES - (offset + at) % SECTOR_BYTES)
                part = data[at : at + length]
                if fate == "all" or (fate == "sectors" and random.random() < 0.5):
                    _put(found, offset + at, part)
                elif fate == "sectors" and random.random() < 0.5:
                    _put(found, offset + at, part[: random.randrange(length)])
                at += length
        self.replace(found)


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _put(content: bytearray, offset: int, data: bytes) -> None:
    end = offset + len(data)
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[offset:end] = data


class _Handle:
    def __init__(self, disk: SimulatedDisk, file: _File) -> None:
        self._disk = disk
        self._file = file
        self._open = True

    def write_at(self, offset: int, data: bytes) -> None:
        assert self._open
        failure = self._disk.begin("write")
        if failure is None or isinstance(failure, PowerLoss):
            self._file.write(offset, data)
        if failure is not None:
            raise failure

    def sync_data(self) -> None:
        assert self._open
        failure = self._disk.begin("sync")
        if failure is not None:
            raise failure
        self._file.sync()

    def allocate(self, size: int) -> None:
        assert self._open
        self._disk.step("allocate", lambda: self._file.resize(size))

    def read_at(self, offset: int, size: int) -> bytes:
        assert self._open
        return bytes(self._file.seen[offset : offset + size])

    def truncate(self, size: int) -> None:
        assert self._open
        kept = min(size, len(self._file.seen))
        self._disk.step("truncate", lambda: self._file.resize(kept))

    def close(self) -> None:
        self._open = False


class _Lock:
    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk

    def release(self) -> None:
        self._disk.locked = False


_Change = tuple[str, "_File | None"]
"""A name, and what it is the name of from now on."""


class SimulatedDisk:
    """Implements cluster.disk.Disk. Files have their whole path as name; one lock for all.

    `calls` lists what was done. `fail_in` counts down with every call that changes something (with
    every one named `failing_call`, if that is set); the one that finds 0 raises `failure` instead
    of doing it (or, for PowerLoss, after or before it).
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names: dict[str, _File] = {}
        self.synced_names: dict[str, _File] = {}
        self.unsynced_names: list[_Change] = []
        self._rename_pairs: list[tuple[_Change, _Change]] = []
        self.locked = False
        self.calls: list[str] = []
        self.fail_in: int | None = None
        self.failing_call: str | None = None
        self.failure: Exception = PowerLoss()

    # --- the outside ------------------------------------------------------------------------------

    def lose_power(self) -> None:
        """What is left on the disk afterwards becomes all there is."""
        fates = {id(change): self.random.random() < 0.5 for change in self.unsynced_names}
        for new, old in self._rename_pairs:  # as a whole, or not at all if neither is synced
            fates[id(new)] = fates[id(old)] = id(old) not in fates or fates.get(id(new), True)
        for change in self.unsynced_names:
            if fates[id(change)]:
                _set(self.synced_names, *change)
        self.unsynced_names.clear()
        self._rename_pairs.clear()
        for file in self.synced_names.values():
            file.lose_power(self.random)
        self.names = dict(self.synced_names)
        self.locked = False
        self.heal()

    def content(self, name: str) -> bytes:
        """Bytes of a file."""
        return bytes(self.names[name].seen)

    def set_content(self, name: str, content: bytes | bytearray) -> None:
        """Damage a file."""
        self.names[name].replace(content)

    def copy(self) -> SimulatedDisk:
        """The same bytes, all synced, unlocked."""
        other = SimulatedDisk(Random(0))
        for name, file in self.names.items():
            other.names[name] = _File()
            other.set_content(name, bytes(file.seen))
        other.synced_names = dict(other.names)
        return other

    def filled_before(self, name: str) -> int:
        """How far a file had been filled before the last sync that added something."""
        return self.names[name].ends[0]

    def flip_bit(self, name: str, below: int) -> None:
        """Flip one of the first `below` bytes' bits."""
        content = bytearray(self.names[name].seen)
        content[self.random.randrange(below)] ^= 1 << self.random.randrange(8)
        self.set_content(name, content)

    def heal(self) -> None:
        """Nothing fails any more."""
        self.fail_in = self.failing_call = None

    def begin(self, call: str) -> Exception | None:
        """Note a call that is about to change something; with what it has to fail, if it has to."""
        self.calls.append(call)
        if self.fail_in is None or self.failing_call not in (None, call):
            return None
        self.fail_in -= 1
        if self.fail_in >= 0:
            return None
        self.fail_in = 0
        return self.failure

    def step(self, call: str, action: Callable[[], None]) -> None:
        """Do something, unless it is time to fail."""
        failure = self.begin(call)
        # a sync that was cut short has not synced, a write may still be lost: both may be done
        if failure is None or (isinstance(failure, PowerLoss) and call != "sync"):
            action()
        if failure is not None:
            raise failure

    # --- cluster.disk.Disk ------------------------------------------------------------------------

    def make_directory(self, path: Path) -> None:
        pass

    def list_directory(self, path: Path) -> list[str]:
        return sorted(name.rpartition("/")[2] for name in self.names if _is_in(name, path))

    def read(self, path: Path) -> bytes:
        return bytes(self._file(path).seen)

    def file_size(self, path: Path) -> int:
        return len(self._file(path).seen)

    def create(self, path: Path) -> _Handle:
        file = _File()
        self.step("create", lambda: self._name(path.as_posix(), file))
        return _Handle(self, file)

    def open(self, path: Path) -> _Handle:
        return _Handle(self, self._file(path))

    def rename(self, source: Path, target: Path) -> None:
        def rename() -> None:
            self._name(target.as_posix(), self.names[source.as_posix()])
            self._name(source.as_posix(), None)
            self._rename_pairs.append((self.unsynced_names[-2], self.unsynced_names[-1]))

        self.step("rename", rename)

    def remove(self, path: Path) -> None:
        self.step("remove", lambda: self._name(path.as_posix(), None))

    def sync_directory(self, path: Path) -> None:
        def sync() -> None:
            for name in [name for name in self.synced_names if name not in self.names]:
                if _is_in(name, path):
                    del self.synced_names[name]
            for name, file in self.names.items():
                if _is_in(name, path):
                    self.synced_names[name] = file
            self.unsynced_names = [
                (name, file) for name, file in self.unsynced_names if not _is_in(name, path)
            ]

        self.step("sync", sync)

    def lock(self, path: Path) -> _Lock:
        if self.locked:
            raise BlockingIOError(errno.EWOULDBLOCK, "locked")
        self.locked = True
        return _Lock(self)

    def _file(self, path: Path) -> _File:
        file = self.names.get(path.as_posix())
        if file is None:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return file

    def _name(self, name: str, file: _File | None) -> None:
        _set(self.names, name, file)
        self.unsynced_names.append((name, file))


def _is_in(name: str, directory: Path) -> bool:
    folder = directory.as_posix()
    return name.rpartition("/")[0] == ("" if folder == "." else folder)


def _set(names: dict[str, _File], name: str, file: _File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file
