"""Rules taken out one at a time: the simulation must notice, or the rule is not tested.

Each mutation replaces one function of the real code in this process and puts it back. Most of them
are edits of its source, so they say what is missing and nothing else.
"""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cluster import core, guard, segment, snapshot, snapshot_receiver, storage
from cluster.candidacy import Candidacy
from cluster.codec import ClientFrame, unpack_commands
from cluster.guard import Delivery, VoteCount
from cluster.journal import Journal
from cluster.raft import RaftCore
from cluster.replica import Replica
from cluster.segment_writer import SegmentWriter
from cluster.voting import VotingRight
from exchange.simulation.checks import Checks
from exchange.simulation.run import run_seed
from oms.commands import Command

Without = Callable[[Any], Any]


class Mutation(NamedTuple):
    """A rule, what goes wrong without it, where it lives, and what stands there then.

    `also` are more places to change: (owner, name, what stands there). `noticed_by` must be in the
    violation: for rules that only stop a node once another rule is broken. `unneeded`: why nothing
    has to notice."""

    rule: str
    story: str
    owner: Any
    name: str
    without: Without
    also: tuple[tuple[Any, str, Without], ...] = ()
    noticed_by: str = ""
    unneeded: str = ""


def edited(old: str, new: str = "pass") -> Without:
    """The function with every line that is `old` (or the one place that reads so) replaced."""

    def edit(function: Any) -> Any:
        source = textwrap.dedent(inspect.getsource(function))
        lines = source.splitlines()
        if any(line.strip() == old for line in lines):
            lines = [line.replace(old, new) if line.strip() == old else line for line in lines]
            source = "\n".join(lines)
        else:
            assert source.count(old) == 1, f"{function.__qualname__}: {source.count(old)} x {old}"
            source = source.replace(old, new)
        names: dict[str, Any] = {}
        exec(  # noqa: S102  our own source
            compile(source, f"<{function.__qualname__}, mutated>", "exec"),
            function.__globals__,
            names,
        )
        return names[function.__name__]

    return edit


def always(value: Any) -> Without:
    """A function that answers the same to everything."""
    return lambda _: lambda *_, **__: value


def _without_a1(real: Callable[..., Delivery]) -> Callable[..., Delivery]:
    def check(message: dict[str, Any], log: Any, **facts: Any) -> Delivery:
        delivery = real(message, log, **facts)
        if delivery.message is None or delivery.reply is not None:
            return delivery
        return Delivery(message)

    return check


def _without_next_index_cap(real: Callable[..., Delivery]) -> Callable[..., Delivery]:
    def check(message: dict[str, Any], log: Any, **facts: Any) -> Delivery:
        return real(message, log, **facts)._replace(next_index_cap=None)

    return check


def _without_suppression(
    real: Callable[[Replica, ClientFrame], tuple[Command, ...]],
) -> Callable[[Replica, ClientFrame], tuple[Command, ...]]:
    def unseen(replica: Replica, frame: ClientFrame) -> tuple[Command, ...]:
        if frame.client_id and frame.first_number:
            return unpack_commands(frame.commands)
        return real(replica, frame)

    return unseen


_VOTES_ARE_COUNTED = (VoteCount, "counts", always(True))
_BLIND_TO_TWO_LEADERS = (
    Checks,
    "sent",
    edited("raise Violation(f\"nodes {leader} and {node} both lead in term {message['term']}\")"),
)
_NO_PROMISE_WAITS = (guard, "needs_durable_log", always(False))
_BLIND_TO_LOST_ENTRIES = (
    (
        Checks,
        "_commit_next",
        edited("if len(holders) < self._majority and index > 1:", "if False:"),
    ),
    (Checks, "_elected", edited("if in_term < term and journal", "if False and journal")),
    (Checks, "_newest_leader_holds", always(None)),
    (Checks, "applied", edited("elif known != batch:", "elif False:")),
)

GUARD = (
    Mutation(
        "A1",
        "entries that match are cut off and come again; a crash in between loses them",
        guard,
        "check_append_entries",
        _without_a1,
    ),
    Mutation(
        "A1 cap",
        "an answer vouches for all that the follower has, an old leader's entries included",
        guard,
        "check_append_entries",
        _without_next_index_cap,
    ),
    Mutation(
        "A4",
        "an answer to an earlier leadership counts for the entries of this one",
        guard,
        "acknowledgement_counts",
        always(True),
    ),
    Mutation(
        "A5",
        "the leader counts itself before its disk, and loses the entry with its power",
        guard,
        "cap_acknowledgement",
        lambda _: lambda message, **__: (message, None),
    ),
    Mutation(
        "A3",
        "a snapshot that cannot be read counts as received",
        snapshot_receiver,
        "check_received",
        always(None),
    ),
    Mutation(
        "A9 - A11, begin anew",
        "a log that does not go on from the snapshot is kept beside it",
        storage,
        "log_fits_snapshot",
        always(True),
    ),
    Mutation(
        "A9 - A11, keep",
        "a log that goes on from the snapshot is thrown away with what was acknowledged",
        storage,
        "log_fits_snapshot",
        always(False),
    ),
    Mutation(
        "A12",
        "an older snapshot replaces what has been applied since",
        guard,
        "check_snapshot_offer",
        edited('index > commit_index and log.term_at(index) != message["snapshot_term"]', "True"),
    ),
    Mutation(
        "A13",
        "a vote that comes twice counts twice: two leaders in a term",
        *_VOTES_ARE_COUNTED,
    ),
    Mutation(
        "A18, with A13 out",
        "two leaders in a term meet; nobody watches but they themselves",
        *_VOTES_ARE_COUNTED,
        also=(_BLIND_TO_TWO_LEADERS,),
        noticed_by="A18",
    ),
    Mutation(
        "A19, with section 3 out",
        "an entry that was committed is replaced; nobody watches but the node that has it",
        *_NO_PROMISE_WAITS,
        also=_BLIND_TO_LOST_ENTRIES,
        noticed_by="A19",
    ),
    Mutation(
        "C2",
        "a node that has reached a higher term alone follows nobody any more",
        guard,
        "check_append_entries",
        edited(
            'return Delivery(None, reply={"type": "higher_term", "term": current_term})',
            "return Delivery(None)",
        ),
    ),
    Mutation(
        "C5",
        "one entry is taken back per round trip",
        guard,
        "_refuse_previous",
        edited("next_index -= 1", "break"),
        unneeded="one batch is in flight at a time, so a log that is in doubt has one entry a term",
    ),
    Mutation(
        "C6",
        "a peer that does not read is sent more and more",
        RaftCore,
        "_SyncObj__sendAppendEntries",
        edited("if self._backlog(int(peer.id)) <= _BACKLOG_BYTES_MAX:", "if True:"),
    ),
    Mutation(
        "C7",
        "a backlog is applied in one turn of the loop",
        RaftCore,
        "_apply_some",
        edited("min(committed, first + _APPLY_ENTRIES - 1)", "committed"),
    ),
)

PROMISES = (
    Mutation(
        "section 3",
        "votes and acknowledgements leave before the disk has what they promise",
        *_NO_PROMISE_WAITS,
    ),
    Mutation(
        "section 3, vote",
        "a node with an empty disk votes at once, and has forgotten what it vouched for",
        core,
        "read_marker",
        always(True),
    ),
    Mutation(
        "section 3, hear all",
        "who lost a disk votes after hearing one member, which may know as little as itself",
        VotingRight,
        "is_due",
        edited("if self.granted or self.missing:", "if self.granted or not self._heard:"),
    ),
    Mutation(
        "section 3, abstain",
        "who lost a disk votes again in a term in which it may have voted",
        Candidacy,
        "seek_vote",
        edited("self._core.abstain(self._voting.highest_term)"),
        unneeded="a leader with its vote has an entry of that term, and it votes once it has that",
    ),
    Mutation(
        "A20",
        "who lost a disk acknowledges to an old leader what it has promised another one to refuse",
        guard,
        "vouch",
        edited('if may_vote or not message["success"]:', "if True:"),
    ),
    Mutation(
        "section 3, match",
        "what was acknowledged before a disk was lost still counts",
        RaftCore,
        "forget_match",
        always(None),
    ),
    Mutation(
        "duplicates",
        "commands that are sent again take effect again",
        Replica,
        "_unseen_commands",
        _without_suppression,
    ),
)

JOURNAL = (
    Mutation(
        "group commit",
        "a flush counts as done before it is synced",
        SegmentWriter,
        "append",
        edited("self._file.sync_data()"),
    ),
    Mutation(
        "torn tail",
        "a torn record is taken for a whole one",
        segment,
        "_records",
        edited("!= crc:", "!= crc and False:"),
    ),
    Mutation(
        "dirty end",
        "what is left behind a torn record is taken for a later one",
        SegmentWriter,
        "resume",
        edited("if dirty_end > last.used_bytes:", "if False:"),
    ),
    Mutation(
        "sync marks",
        "damage to what was synced is taken for a torn tail",
        SegmentWriter,
        "_write_mark",
        always(None),
    ),
    Mutation(
        "resume syncs",
        "what a start found, and builds on, was only in the memory of the kernel",
        SegmentWriter,
        "resume",
        edited("self._file.sync_data()"),
    ),
    Mutation(
        "sync before a new segment",
        "the last mark of a segment that is full may be torn",
        SegmentWriter,
        "_begin_segment",
        edited("self._file.sync_data()"),
    ),
    Mutation(
        "sync before rename",
        "a segment has its name and not its header",
        SegmentWriter,
        "_begin_segment",
        edited("file.sync_data()"),
    ),
    Mutation(
        "sync of the folder",
        "a segment is synced and has no name",
        SegmentWriter,
        "_begin_segment",
        edited("self._disk.sync_directory(self._directory)"),
    ),
    Mutation(
        "removed in order",
        "an old segment comes back and its successor does not",
        SegmentWriter,
        "remove_below",
        edited("self._disk.sync_directory(self._directory)"),
    ),
    Mutation(
        "TRUNCATE record",
        "entries that were replaced come back",
        Journal,
        "deleteEntriesFrom",
        edited("self._note(RecordKind.TRUNCATE, index, 0)"),
    ),
    Mutation(
        "VOTE record",
        "a vote is forgotten, and given again",
        Journal,
        "setCurrentTerm",
        edited("self._note(RecordKind.VOTE, 0 if votedForNodeId is None else 1, term, voted_for)"),
    ),
    Mutation(
        "durable_index goes back",
        "new entries count as durable because others of their indexes were",
        Journal,
        "_note_truncation",
        always(None),
    ),
    Mutation(
        "voter's marker is synced",
        "the marker has its name and not its content",
        core,
        "write_marker",
        edited("file.sync_data()"),
    ),
)

SNAPSHOTS = (
    Mutation(
        "snapshot is synced",
        "a snapshot has its name and not its content, and the log before it is gone",
        snapshot.SnapshotStore,
        "write",
        edited("file.sync_data()"),
    ),
    Mutation(
        "snapshot's folder is synced",
        "a snapshot has no name, and the log before it is gone",
        snapshot.SnapshotStore,
        "write",
        edited("self._disk.sync_directory(self.directory)"),
    ),
)

MUTATIONS = (*GUARD, *PROMISES, *JOURNAL, *SNAPSHOTS)


@contextlib.contextmanager
def without(mutation: Mutation) -> Iterator[None]:
    """The real code without one rule."""
    with contextlib.ExitStack() as undo:
        places = ((mutation.owner, mutation.name, mutation.without), *mutation.also)
        for owner, name, replacement in places:
            real = getattr(owner, name)
            undo.callback(setattr, owner, name, real)
            setattr(owner, name, replacement(real))
        yield


def notice(mutation: Mutation, seed: int) -> str | None:
    """What this seed says when the rule is missing; None if it does not notice."""
    with without(mutation):
        violation = run_seed(seed).violation
    return violation if violation is not None and mutation.noticed_by in violation else None
