"""The few calls that are made to a disk, behind a seam that a simulation can replace.

What journal, snapshots and day files rely on, and a simulated disk must honour:

* after `sync_data` returns, every earlier `write_at` to that file survives a power loss;
* after `sync_directory` returns, every earlier create, rename and remove in it survives;
* before that, each written sector may be there or not, in any order, whole or torn;
* bytes that were synced stay as they are when a later write to the same sector is torn;
* a failed sync is final: what was written since the last good one may be lost for ever, even if a
  later sync succeeds. So nobody calls sync again after it failed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Protocol


class DiskFile(Protocol):
    """An open file. Every method may raise OSError."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""

    def sync_data(self) -> None:
        """Return when everything written so far would survive a power loss (fdatasync)."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on, fewer only at the end of the file."""

    def truncate(self, size: int) -> None:
        """Cut the file off behind its first `size` bytes."""

    def allocate(self, size: int) -> None:
        """Make the file `size` bytes long, zero where nothing was written, with its space reserved
        as far as the file system can."""

    def close(self) -> None:
        """Give the file back. Does not sync."""


class DirectoryLock(Protocol):
    """A lock that is held until it is released, or until the process is gone."""

    def release(self) -> None:
        """Let others have the directory."""


class Disk(Protocol):
    """A file system. Every method may raise OSError."""

    def make_directory(self, path: Path) -> None:
        """Make the directory and its parents, durably; it may exist already."""

    def list_directory(self, path: Path) -> list[str]:
        """Names in the directory, sorted."""

    def read(self, path: Path) -> bytes:
        """The whole file."""

    def file_size(self, path: Path) -> int:
        """Length of a file in bytes."""

    def create(self, path: Path) -> DiskFile:
        """A new empty file, or an old one emptied, for writing."""

    def open(self, path: Path) -> DiskFile:
        """An existing file for writing."""

    def rename(self, source: Path, target: Path) -> None:
        """Give the file another name, atomically."""

    def remove(self, path: Path) -> None:
        """Remove the file."""

    def sync_directory(self, path: Path) -> None:
        """Return when every create, rename and remove so far would survive a power loss."""

    def lock(self, path: Path) -> DirectoryLock:
        """Lock the directory against other journals. Raises BlockingIOError if it is taken."""


class RealDiskFile:
    """A file of the operating system."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write_at(self, offset: int, data: bytes) -> None:
        """One pwrite, and more only where the system takes less than it was given."""
        written = os.pwrite(self._descriptor, data, offset)
        while written < len(data):
            rest = memoryview(data)[written:]
            written += os.pwrite(self._descriptor, rest, offset + written)

    def read_at(self, offset: int, size: int) -> bytes:
        """pread, again where the system gives less than is there."""
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def truncate(self, size: int) -> None:
        """ftruncate."""
        os.ftruncate(self._descriptor, size)

    def sync_data(self) -> None:
        """fdatasync; on macOS, where that only reaches the drive's cache, F_FULLFSYNC."""
        if sys.platform == "darwin":
            fcntl.fcntl(self._descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._descriptor)

    def allocate(self, size: int) -> None:
        """posix_fallocate where the file system has it; else a sparse file of that size."""
        if sys.platform != "darwin":
            try:
                os.posix_fallocate(self._descriptor, 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


class RealDirectoryLock:
    """flock on the directory itself: leaves no file behind, and goes with the process.

    A forked child shares the lock until it ends or calls `release` (which frees it for the parent
    too), so a child that outlives the node keeps the directory locked.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Unlock and close."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


class RealDisk:
    """The disk of this machine."""

    __slots__ = ()

    def make_directory(self, path: Path) -> None:
        """mkdir -p, with an fsync of each parent that got a new name."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        path.mkdir(exist_ok=True)
        self.sync_directory(path.parent)

    def list_directory(self, path: Path) -> list[str]:
        """Sorted names."""
        return sorted(os.listdir(path))

    def read(self, path: Path) -> bytes:
        """All bytes of the file."""
        return path.read_bytes()

    def file_size(self, path: Path) -> int:
        """st_size."""
        return path.stat().st_size

    def create(self, path: Path) -> RealDiskFile:
        """O_CREAT | O_TRUNC; only the owner may read orders."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        return RealDiskFile(os.open(path, flags, 0o600))

    def open(self, path: Path) -> RealDiskFile:
        """O_RDWR."""
        return RealDiskFile(os.open(path, os.O_RDWR))

    def rename(self, source: Path, target: Path) -> None:
        """rename(2)."""
        os.rename(source, target)

    def remove(self, path: Path) -> None:
        """unlink(2)."""
        os.unlink(path)

    def sync_directory(self, path: Path) -> None:
        """fsync of the directory."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> RealDirectoryLock:
        """flock without waiting."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return RealDirectoryLock(descriptor)
