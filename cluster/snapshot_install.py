"""The files of a snapshot that came from another node, from arrival to their place.

They arrive in the folder `incoming`, each under a name that says where it belongs. A marker,
written when all of them are synced and checked, makes them count; when the node starts the next
time they are put in place. A crash at any moment leaves either the old files or all of the new
ones.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from crc32c import crc32c

from cluster.codec import CodecError, pack, unpack
from cluster.disk import Disk
from cluster.segment import JournalError
from cluster.snapshot import SnapshotError, SnapshotStore, decode_snapshot, snapshot_name

SNAPSHOTS: Final = "snapshots"
"""Name of the folder of snapshots among the folders that files may belong to."""
MARKER: Final = "complete"
PART: Final = ".part"
"""How the name of a file ends that is not whole, or not synced."""
_FILES_MAX: Final = 4096
_FILE_BYTES_MAX: Final = 1 << 40
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class OfferedFile(NamedTuple):
    """A file of an offer: the folder it belongs to, its name there, how many bytes of it."""

    folder: str
    name: str
    size: int

    @property
    def arrives_as(self) -> str:
        """Its name in the folder of what arrives."""
        return f"{self.folder}@{self.name}"


def check_received(data: bytes, path: Path, index: int) -> None:
    """A3: pysyncobj acknowledges a snapshot that fails to load. Story: (1) the leader's file is
    damaged; (2) the follower cannot load it, and answers all the same with its own last index; (3)
    the leader counts entries that it never had. Raises SnapshotError."""
    header = decode_snapshot(data, path).header
    if header.log_index != index:
        raise SnapshotError(f"{path}: it is of entry {header.log_index}, not {index}")


def check_list(index: int, files: list[OfferedFile], folders: frozenset[str]) -> None:
    """Files of peers go into our folders only, under harmless names. Raises CodecError."""
    if not 0 < len(files) <= _FILES_MAX:
        raise CodecError(f"a snapshot of {len(files)} files; 1 to {_FILES_MAX} are allowed")
    named = [file.name for file in files if file.folder == SNAPSHOTS]
    if named != [snapshot_name(index)] or files[-1].folder != SNAPSHOTS:
        raise CodecError(f"the list of snapshot {index} does not end with that snapshot")
    if len({file.arrives_as for file in files}) != len(files):
        raise CodecError("a file is listed twice")
    for file in files:
        harmless = file.folder in folders | {SNAPSHOTS} and _FILE_NAME.fullmatch(file.name)
        if not (harmless and 0 < file.size <= _FILE_BYTES_MAX) or file.name.endswith(PART):
            raise CodecError(f"a snapshot with {file}")


def checked(packed: bytes) -> bytes:
    """Bytes of a small file, with their checksum."""
    return crc32c(packed).to_bytes(4, "little") + packed


def encode_marker(index: int, files: list[OfferedFile]) -> bytes:
    """What says that all files of a snapshot are here."""
    return checked(pack((index, files)))


def _decode_marker(data: bytes, path: Path) -> tuple[int, list[OfferedFile]]:
    if len(data) < 4 or checked(data[4:]) != data:
        raise JournalError(
            f"{path}: damaged; remove the folder {path.parent} and start the node again: "
            "what was being fetched is fetched once more"
        )
    index, files = unpack(data[4:])
    return index, [OfferedFile(*file) for file in files]


def write_synced(disk: Disk, path: Path, data: bytes) -> None:
    """A small file that is there as a whole or not at all."""
    temporary = path.with_name(f"{path.name}{PART}")
    file = disk.create(temporary)
    try:
        file.write_at(0, data)
        file.sync_data()
    finally:
        file.close()
    disk.rename(temporary, path)
    disk.sync_directory(path.parent)


def install_received(
    disk: Disk, directory: Path, snapshots: SnapshotStore, folders: dict[str, Path]
) -> int | None:
    """When a node starts: put a complete snapshot in place, if one has arrived; returns its index.

    May be interrupted anywhere and is then done again. Raises OSError, JournalError."""
    disk.make_directory(directory)
    if MARKER not in disk.list_directory(directory):
        return None
    index, files = _decode_marker(disk.read(directory / MARKER), directory / MARKER)
    good = (known for known in reversed(snapshots.indexes()) if snapshots.is_good(known))
    if index > next(good, 0):
        _move_into_place(disk, directory, files, folders | {SNAPSHOTS: snapshots.directory})
    for folder in (*folders.values(), snapshots.directory):  # also what an earlier try renamed
        disk.make_directory(folder)
        disk.sync_directory(folder)
    for name in sorted(disk.list_directory(directory), key=lambda name: name == MARKER):
        disk.remove(directory / name)  # the marker last
    disk.sync_directory(directory)
    snapshots.prune()
    return index


def _move_into_place(
    disk: Disk, directory: Path, files: list[OfferedFile], folders: dict[str, Path]
) -> None:
    """Day files first, the snapshot last: as long as it is not there, this is done again."""
    for folder, path in folders.items():
        if folder == SNAPSHOTS:
            continue
        disk.make_directory(path)
        wanted = {file.name for file in files if file.folder == folder}
        for name in disk.list_directory(path):
            if name not in wanted:
                disk.remove(path / name)
    arrived = disk.list_directory(directory)
    *day_files, snapshot = files
    for file in day_files:
        if file.arrives_as in arrived:
            disk.rename(directory / file.arrives_as, folders[file.folder] / file.name)
    for path in folders.values():
        disk.sync_directory(path)
    if snapshot.arrives_as in arrived:
        disk.rename(directory / snapshot.arrives_as, folders[SNAPSHOTS] / snapshot.name)
