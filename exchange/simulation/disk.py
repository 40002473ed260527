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

    def __init__(self) -> None:
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
        self.synced = bytearray(self.seen)
        self.unsynced.clear()

    def lose_power(self, random: Random) -> None:
        """Each sector of each unsynced write is there, is not, or is there in part."""
        found = bytearray(self.synced)
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
        self.seen = found
        self.sync()


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data


class _Handle:
    def __init__(self, disk: SimulatedDisk, file: _File) -> None:
        self._disk = disk
        self._file = file
        self._open = True

    def write_at(self, offset: int, data: bytes) -> None:
        assert self._open
        self._disk.step("write", lambda: self._file.write(offset, data))

    def sync_data(self) -> None:
        assert self._open
        self._disk.step("sync", self._file.sync)

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


class SimulatedDisk:
    """Implements cluster.disk.Disk. Files have their whole path as name; one lock for all.

    `calls` lists what was done. `fail_in` counts down with every call that changes something; the
    one that finds 0 raises `failure` instead of doing it (or, for PowerLoss, after or before it).
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names: dict[str, _File] = {}
        self.synced_names: dict[str, _File] = {}
        self.unsynced_names: list[tuple[str, _File | None]] = []
        self.locked = False
        self.calls: list[str] = []
        self.fail_in: int | None = None
        self.failure: Exception = PowerLoss()

    # --- the outside ------------------------------------------------------------------------------

    def lose_power(self) -> None:
        """What is left on the disk afterwards becomes all there is."""
        for name, file in self.unsynced_names:
            if self.random.random() < 0.5:
                _set(self.synced_names, name, file)
        self.unsynced_names.clear()
        for file in self.synced_names.values():
            file.lose_power(self.random)
        self.names = dict(self.synced_names)
        self.locked = False
        self.fail_in = None

    def content(self, name: str) -> bytes:
        """Bytes of a file."""
        return bytes(self.names[name].seen)

    def set_content(self, name: str, content: bytes) -> None:
        """Damage a file."""
        file = self.names[name]
        file.seen = bytearray(content)
        file.sync()

    def copy(self) -> SimulatedDisk:
        """The same bytes, all synced, unlocked."""
        other = SimulatedDisk(Random(0))
        for name, file in self.names.items():
            other.names[name] = _File()
            other.set_content(name, bytes(file.seen))
        other.synced_names = dict(other.names)
        return other

    def step(self, call: str, action: Callable[[], None]) -> None:
        """Do something, unless it is time to fail."""
        self.calls.append(call)
        if self.fail_in is None:
            action()
            return
        self.fail_in -= 1
        if self.fail_in >= 0:
            action()
            return
        if isinstance(self.failure, PowerLoss):
            # a sync that was cut short has not synced, a write may still be lost: both may be done
            if call != "sync":
                action()
            raise self.failure
        self.fail_in = 0
        raise self.failure

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
