"""`exchange rescue`: what is copied, how the copy votes, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner
from snapshot_lab import Story

from cluster.disk import RealDisk
from cluster.journal import Journal
from cluster.rescue import TERM_STEP, RescueError, check_target, inspect, make_member, stopped
from cluster.snapshot import SnapshotHeader, SnapshotStore
from cluster.snapshot_install import MARKER
from cluster.storage import NodeFolders, NodeStorage
from cluster.verify import verify
from cluster.voting import FILE_NAME, read_marker, write_marker
from exchange.cli import cli
from exchange.commands.options import ExitWith
from gateway.fix.store import ProgressFile, SessionStore

ENTRIES = 60
COMMITTED = 50
TERM = 3
DISK = RealDisk()
STORY = Story(seed=1, count=ENTRIES)


def node_folder(folder: Path, node_id: int, *, snapshot_after: int = 0) -> Path:
    """The folder of a stopped voter that has seen term 3: a log of 60 entries, 50 of them known to
    be committed, a snapshot if asked for, and an event file that the log knows nothing of."""
    folders = NodeFolders(folder, {})
    journal = Journal(folders.wal, segment_bytes=1 << 14)
    journal.setCurrentTerm(TERM, "3")
    STORY.write(journal, 1, ENTRIES)
    journal.setRaftCommitIndex(COMMITTED)
    journal._destroy()
    write_marker(DISK, folders.wal, node_id)
    folders.events.mkdir()
    (folders.events / "notes").write_text("whatever else a sink keeps")
    folders.snapshots.mkdir()
    if snapshot_after:
        write_snapshot(folders, node_id, snapshot_after)
    return folder


def write_snapshot(folders: NodeFolders, node_id: int, index: int) -> None:
    storage = NodeStorage(DISK, folders, node_id=node_id, segment_bytes=1 << 14)
    for command, at, term in STORY.entries[2 : index + 1]:
        storage.replica.apply(at, term, command[1:])
    command, _, term = STORY.entries[index]
    header = SnapshotHeader(
        index, term, command, STORY.next_event_seqs[index], 0, STORY.hashes[index], {}
    )
    SnapshotStore(DISK, folders.snapshots).write(header, storage.replica.snapshot_parts())
    storage.close()


@pytest.fixture
def survivor(tmp_path: Path) -> Path:
    return node_folder(tmp_path / "data" / "node-1", 1, snapshot_after=30)


def rescue(folder: Path, node_id: int, target: Path) -> int:
    with stopped(folder):
        return make_member(inspect(folder), node_id, target)


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_copy_is_another_voter_with_the_same_log_and_state(survivor: Path) -> None:
    before = contents_of(survivor)
    target = survivor.with_name("node-2")
    rescue(survivor, 2, target)
    assert contents_of(survivor) == before
    assert read_marker(DISK, target / "wal", 2)
    storage = NodeStorage(DISK, NodeFolders(target, {}), node_id=2, segment_bytes=1 << 14)
    assert storage.journal[:] == STORY.entries[1 : ENTRIES + 1]
    assert storage.base_index == 30
    storage.close()
    assert inspect(target).state_hash == STORY.hashes[ENTRIES]
    assert (target / "events" / "notes").exists()
    assert not target.with_name("node-2.partial").exists()
    assert verify([survivor, target]).ok


def test_the_copy_has_no_vote_left_in_any_term_of_the_destroyed(survivor: Path) -> None:
    terms = set()
    for node_id in (2, 3):
        target = survivor.with_name(f"node-{node_id}")
        term = rescue(survivor, node_id, target)
        journal = Journal(target / "wal")
        assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (term, str(node_id))
        journal._destroy()
        assert TERM + TERM_STEP <= term < TERM + 2 * TERM_STEP
        terms.add(term)
    assert len(terms) == 2, "two rescues never write two histories in one term"


def test_it_says_what_the_survivor_holds_and_how_much_of_it_is_certain(survivor: Path) -> None:
    found = inspect(survivor)
    assert (found.last_index, found.last_term, found.term) == (ENTRIES, 1, TERM)
    assert found.event_seq == STORY.next_event_seqs[ENTRIES] - 1
    assert found.state_hash == STORY.hashes[ENTRIES]
    assert found.committed_index == COMMITTED
    assert found.committed_event_seq == STORY.next_event_seqs[COMMITTED] - 1
    assert found.may_vote
    (survivor / "wal" / FILE_NAME).unlink()
    assert inspect(survivor) == dataclasses.replace(found, may_vote=False)


def damage_segment(folder: Path) -> str:
    path = min(folder.glob("wal/*.seg"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    return "Take another survivor"


def damage_snapshot(folder: Path) -> str:
    (path,) = folder.glob("snapshots/*.snapshot")
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)
    return "sha256"


def wait_to_be_installed(folder: Path) -> str:
    (folder / "incoming" / MARKER).write_bytes(b"")
    return "start this node alone, stop it again"


def lose_the_journal(folder: Path) -> str:
    for path in folder.glob("wal/*.seg"):
        path.unlink()
    return "there is no journal here"


@pytest.mark.parametrize(
    "spoil", [damage_segment, damage_snapshot, wait_to_be_installed, lose_the_journal]
)
def test_a_folder_that_is_not_sound_is_not_copied(survivor: Path, spoil) -> None:
    sentence = spoil(survivor)
    target = survivor.with_name("node-2")
    with pytest.raises(RescueError, match=sentence):
        rescue(survivor, 2, target)
    assert not target.exists()


def test_a_folder_in_use_and_one_that_is_none_are_refused(survivor: Path) -> None:
    with stopped(survivor), pytest.raises(RescueError, match="is running; stop it first"):
        rescue(survivor, 2, survivor.with_name("node-2"))
    with pytest.raises(RescueError, match="no folder of a node"):
        rescue(survivor / "wal", 2, survivor.with_name("node-2"))


@pytest.mark.parametrize("name", ["node-2", "node-2.partial"])
def test_nothing_is_ever_overwritten(survivor: Path, name: str) -> None:
    survivor.with_name(name).mkdir()
    with pytest.raises(RescueError, match=r"overwritten|interrupted"):
        check_target(survivor.with_name("node-2"))
    with pytest.raises(RescueError, match=r"overwritten|interrupted"):
        rescue(survivor, 2, survivor.with_name("node-2"))


def test_what_was_left_by_a_failure_does_not_look_like_a_node(
    survivor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.voting.write_marker", fail)
    with pytest.raises(RescueError, match=r"node-2 was not made: .*No space left"):
        rescue(survivor, 2, survivor.with_name("node-2"))
    assert [path.name for path in survivor.parent.iterdir()] == ["node-1"]


# --- the verb -------------------------------------------------------------------------------------


def gateway(data: Path, *, progress: int, reported: int) -> None:
    """The stores of a FIX gateway that has passed these events."""
    folder = data / "gateway-fix"
    folder.mkdir()
    file = ProgressFile(folder / "progress")
    file.write(progress)
    file.close()
    store = SessionStore(folder / "CLIENT1.store")
    store.append_sent(1, b"report", event_seq=reported, answered_seq=0, is_admin=False)
    store.close()


@pytest.mark.parametrize(
    ("passed", "sentence"),
    [
        (STORY.next_event_seqs[COMMITTED] - 1, "Keep its folder"),
        (STORY.next_event_seqs[ENTRIES] - 1, "not known to be the same: move the gateway's folder"),
        (STORY.next_event_seqs[ENTRIES] + 6, "7 events that clients may have been told are LOST"),
    ],
)
def test_the_verb_says_what_the_gateway_knows_and_asks(
    survivor: Path, monkeypatch: pytest.MonkeyPatch, passed: int, sentence: str
) -> None:
    monkeypatch.chdir(survivor.parents[1])
    gateway(survivor.parent, progress=passed - 1, reported=passed)
    declined = CliRunner().invoke(cli, ["rescue", "data/node-1", "--as", "2"], input="n\n")
    assert sentence in declined.output
    assert isinstance(declined.exception, ExitWith)
    assert str(declined.exception) == "nothing was made"
    assert not survivor.with_name("node-2").exists()
    made = CliRunner().invoke(cli, ["rescue", "data/node-1", "--as", "2"], input="y\n")
    assert made.exit_code == 0
    assert read_marker(DISK, survivor.with_name("node-2") / "wal", 2)


def test_the_verb_knows_which_nodes_there_are(survivor: Path) -> None:
    result = CliRunner().invoke(cli, ["rescue", str(survivor), "--as", "4"])
    assert result.exit_code == 2
    assert "the nodes are 1, 2, 3" in result.output
