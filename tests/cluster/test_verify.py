"""Checking journals of stopped nodes, each by itself and against each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from snapshot_lab import Story

from cluster.disk import RealDisk
from cluster.journal import Journal, JournalError
from cluster.segment import MARK_BYTES
from cluster.snapshot import snapshot_name
from cluster.snapshot_maker import make_snapshot
from cluster.verify import VerifyReport, verify

SEGMENT_BYTES = 1024


def write(node: Path, *runs: tuple[int, range, str], committed: int = 0) -> Path:
    """Make DATA/node-N with entries; a run is (term, indexes, what the commands begin with)."""
    journal = Journal(node / "wal", segment_bytes=SEGMENT_BYTES)
    for term, indexes, text in runs:
        journal.setCurrentTerm(term, "1")
        for index in indexes:
            journal.add(f"{text} {index}".encode(), index, term)
            journal.flush_sync()
    journal.setRaftCommitIndex(committed)
    journal._destroy()
    return node


def damage(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def all_texts(report: VerifyReport) -> str:
    return "\n".join(problem.what for problem in report.problems)


def test_equal_journals_have_no_problem(tmp_path: Path) -> None:
    nodes = [
        write(tmp_path / f"node-{n}", (1, range(1, 61), "a"), (3, range(61, 80), "b"), committed=78)
        for n in (1, 2, 3)
    ]
    report = verify(nodes)
    assert report.ok
    assert report.notes == []
    assert report.agreed_index == 79
    for node in report.nodes:
        assert (node.entries, node.first_index, node.last_index) == (79, 1, 79)
        assert (node.last_term, node.term, node.voted_for) == (3, 3, "1")
        assert (node.commit_index, node.torn_tail_bytes) == (78, 0)
        assert node.segments > 3
    assert json.loads(json.dumps(report.as_dict()))["ok"] is True
    assert report.lines()[-1] == "no problem found; a majority agrees up to entry 79"


def test_the_wal_folder_itself_may_be_given_and_locked_journals_are_read_too(
    tmp_path: Path,
) -> None:
    write(tmp_path / "node-1", (1, range(1, 10), "a"))
    journal = Journal(tmp_path / "node-1" / "wal")
    report = verify([tmp_path / "node-1" / "wal"])
    assert report.ok
    assert report.nodes[0].entries == 9
    journal._destroy()


def test_verify_changes_nothing(tmp_path: Path) -> None:
    node = write(tmp_path / "node-1", (1, range(1, 40), "a"))
    last = max((node / "wal").iterdir())
    end = len(last.read_bytes().rstrip(b"\0"))
    damage(last, lambda content: content.__setitem__(slice(end, end + 9), b"torn tail"))
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in node.rglob("*.seg")}
    report = verify([node])
    assert report.ok
    assert report.nodes[0].torn_tail_bytes == 9
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in node.rglob("*.seg")
    }


def test_a_node_that_lags_behind_is_no_problem(tmp_path: Path) -> None:
    long = write(tmp_path / "node-1", (1, range(1, 50), "a"))
    short = write(tmp_path / "node-2", (1, range(1, 30), "a"))
    report = verify([long, short])
    assert report.ok
    assert report.notes == []
    assert report.agreed_index == 29


def test_a_tail_that_was_never_committed_is_a_note(tmp_path: Path) -> None:
    old_leader = write(tmp_path / "node-1", (1, range(1, 33), "a"), committed=29)
    others = [
        write(tmp_path / f"node-{n}", (1, range(1, 31), "a"), (2, range(31, 50), "b"), committed=48)
        for n in (2, 3)
    ]
    report = verify([old_leader, *others])
    assert report.ok
    assert len(report.notes) == 2
    assert "diverging uncommitted tail from entry 31: term 1" in report.notes[0]
    assert report.agreed_index == 49


def test_two_histories_below_an_entry_that_both_hold_are_a_problem(tmp_path: Path) -> None:
    one = write(tmp_path / "node-1", (1, range(1, 21), "a"), (3, range(21, 30), "c"))
    other = write(
        tmp_path / "node-2",
        (1, range(1, 11), "a"),
        (2, range(11, 21), "b"),
        (3, range(21, 30), "c"),
    )
    report = verify([one, other])
    assert not report.ok
    (problem,) = report.problems
    assert problem.file == f"{one} and {other}"
    assert "entry 11: term 1 " in problem.what
    assert "must agree up to entry 29" in problem.what


def test_other_bytes_in_the_same_term_are_a_problem(tmp_path: Path) -> None:
    one = write(tmp_path / "node-1", (1, range(1, 20), "a"))
    other = write(tmp_path / "node-2", (1, range(1, 19), "a"), (1, range(19, 20), "z"))
    report = verify([one, other])
    assert "entry 19: term 1 " in all_texts(report)


def test_different_entries_that_both_know_to_be_committed_are_a_problem(tmp_path: Path) -> None:
    one = write(tmp_path / "node-1", (1, range(1, 20), "a"), (2, range(20, 30), "b"), committed=25)
    other = write(
        tmp_path / "node-2", (1, range(1, 20), "a"), (3, range(20, 30), "c"), committed=21
    )
    report = verify([one, other])
    assert "entry 20: term 2 " in all_texts(report)
    assert "must agree up to entry 21" in all_texts(report)


def test_a_committed_entry_that_no_majority_holds_is_a_note(tmp_path: Path) -> None:
    nodes = [write(tmp_path / "node-1", (1, range(1, 20), "a"), committed=15)]
    nodes += [write(tmp_path / f"node-{n}", (1, range(1, 11), "a")) for n in (2, 3)]
    report = verify(nodes)
    assert report.ok
    assert "knows entry 15 to be committed" in report.notes[0]
    assert "agrees only up to 10" in report.notes[0]


def test_damage_is_found_in_every_segment_that_has_it(tmp_path: Path) -> None:
    node = write(tmp_path / "node-1", (1, range(1, 100), "a"))
    segments = sorted((node / "wal").iterdir())
    assert len(segments) > 5
    for position in (1, 3):
        damage(segments[position], lambda content: content.__setitem__(500, content[500] ^ 4))
    report = verify([node])
    assert [problem.file for problem in report.problems] == [str(segments[1]), str(segments[3])]
    assert all(0 < problem.offset <= 500 for problem in report.problems)
    assert 0 < report.nodes[0].last_index < 30, "the log ends in front of the first problem"
    with pytest.raises(JournalError):
        Journal(node / "wal", segment_bytes=SEGMENT_BYTES)


def test_what_verify_calls_sound_the_journal_opens_and_the_other_way_round(tmp_path: Path) -> None:
    node = write(tmp_path / "node-1", (1, range(1, 30), "a"))
    segments = sorted((node / "wal").iterdir())
    contents = [path.read_bytes() for path in segments]
    for path, content in zip(segments, contents, strict=True):
        for offset in range(0, len(content), 11):
            damage(path, lambda found, at=offset: found.__setitem__(at, found[at] ^ 16))
            sound = verify([node]).ok
            try:
                Journal(node / "wal", segment_bytes=SEGMENT_BYTES)._destroy()
                opened = True
            except JournalError:
                opened = False
            assert sound == opened, f"{path} byte {offset}"
            for restored, was in zip(segments, contents, strict=True):
                restored.write_bytes(was)


def test_a_missing_segment_and_missing_entries_are_problems(tmp_path: Path) -> None:
    node = write(tmp_path / "node-1", (1, range(1, 60), "a"))
    segments = sorted((node / "wal").iterdir())
    segments[2].unlink()
    report = verify([node])
    assert all_texts(report) == "segment 3 is missing"
    node = write(tmp_path / "node-2", (1, range(1, 60), "a"))
    min((node / "wal").iterdir()).unlink()
    assert "are in none of the files" in all_texts(verify([node]))


def test_a_folder_without_a_journal_is_a_problem(tmp_path: Path) -> None:
    assert all_texts(verify([tmp_path])) == "there is no journal here"
    assert "cannot be read" in all_texts(verify([tmp_path / "nowhere"]))


def test_a_shortened_segment_is_a_problem_with_its_length(tmp_path: Path) -> None:
    node = write(tmp_path / "node-1", (1, range(1, 5), "a"))
    (segment,) = (node / "wal").iterdir()
    segment.write_bytes(segment.read_bytes()[:700])
    (problem,) = verify([node]).problems
    assert problem.offset == 700
    assert "1024 bytes long and was shortened" in problem.what


def test_a_second_vote_in_one_term_is_a_problem(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "wal")
    journal.setCurrentTerm(4, "1")
    journal.setCurrentTerm(4, "2")
    journal._destroy()
    assert "a second vote in term 4: '1', then '2'" in all_texts(verify([tmp_path]))


def test_a_term_that_goes_back_is_a_problem(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "node-1" / "wal")
    journal.setCurrentTerm(4, None)
    journal.setCurrentTerm(3, None)
    journal._destroy()
    assert "the term goes back from 4 to 3" in all_texts(verify([tmp_path / "node-1"]))
    node = write(tmp_path / "node-2", (2, range(1, 3), "a"))
    journal = Journal(node / "wal", segment_bytes=SEGMENT_BYTES)
    journal.add(b"", 3, 1)
    journal._destroy()
    assert "entry 3 has term 1, the one before it has 2" in all_texts(verify([node]))


def test_a_lost_last_mark_is_a_torn_tail_of_nothing(tmp_path: Path) -> None:
    node = write(tmp_path / "node-1", (1, range(1, 5), "a"))
    (segment,) = (node / "wal").iterdir()
    end = len(segment.read_bytes().rstrip(b"\0"))
    damage(segment, lambda content: content.__setitem__(slice(end - MARK_BYTES, None), b""))
    damage(segment, lambda content: content.extend(bytes(SEGMENT_BYTES - len(content))))
    report = verify([node])
    assert report.ok
    assert (report.nodes[0].entries, report.nodes[0].torn_tail_bytes) == (4, 0)


def test_a_snapshot_under_the_name_of_another_entry_is_found(tmp_path: Path):
    story = Story(1, 20)
    journal = Journal(tmp_path / "wal")
    story.write(journal, 1, 20)
    journal._destroy()
    snapshots = tmp_path / "snapshots"
    snapshots.mkdir()
    make_snapshot(RealDisk(), tmp_path / "wal", snapshots, 15, {}, [])
    assert verify([tmp_path]).ok
    (snapshots / snapshot_name(15)).rename(snapshots / snapshot_name(16))
    assert "it is of entry 15" in verify([tmp_path]).problems[0].what
