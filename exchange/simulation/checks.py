"""What must hold at every step of a run, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster import raft
from cluster.interface import AppliedBatch
from cluster.journal import FlushJob
from cluster.storage import NodeStorage
from exchange.simulation.disk_log import DiskLog
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import Member, Watch
from exchange.simulation.reference_book import check_trades
from exchange.simulation.world import Violation, World
from oms.events import EventKind


class Checks(Watch):
    """Watches all members."""

    def __init__(self, world: World, members: tuple[int, ...]) -> None:
        self._world = world
        self._majority = len(members) // 2 + 1
        self._leaders: dict[int, int] = {0: 0}
        self._votes: dict[tuple[int, int], int] = {}
        self._disks = {member: DiskLog() for member in members}
        self._unfinished: dict[int, FlushJob] = {}
        self._lost: dict[int, tuple[DiskLog, dict[int, int]]] = {}
        self._committed: list[tuple[int, int]] = [(0, 0)]
        self._newest_leader: Member | None = None
        self._commit_positions: dict[int, int] = {}
        self._apply_positions: dict[int, int] = {}
        self._applied_now: dict[int, tuple[int, int]] = {}
        self._contents: dict[int, AppliedBatch] = {}
        self._sent_back: dict[tuple[int, int, int], tuple[dict[int, None], int]] = {}
        self.log: list[AppliedBatch] = []
        self.on_elected: Callable[[], None] = lambda: None

    @property
    def newest_committed(self) -> int:
        """Highest index that was committed anywhere."""
        return len(self._committed) - 1

    @property
    def leader_id(self) -> int:
        """Who leads in the highest term, 0 before the first election."""
        return self._leaders[self.leader_term]

    @property
    def leader_term(self) -> int:
        """The highest term in which an election was won."""
        return max(self._leaders)

    # --- disks ---

    def started(self, member: Member, storage: NodeStorage, *, interrupted: bool) -> None:
        """What was promised is there, and nothing that never was. `interrupted`: an earlier attempt
        to start was cut short, and may have begun the journal anew with the entry of a snapshot."""
        node = member.node_id
        self._commit_positions[node] = self._apply_positions[node] = storage.base_index
        found, before = DiskLog.of(storage.journal), self._disks[node]
        job = self._unfinished.pop(node, None)
        possible = list(before.on_the_way(job.data if job is not None else b""))
        self._disks[node] = found
        if found in possible:
            return
        base = storage.base
        votes = [(each.term, each.voted_for) for each in possible]
        if base is not None and (found.term, found.voted_for) in votes:
            fits = any(each.holds(base.log_index, base.term) for each in possible)
            if found[:2] == (base.log_index, (base.term,)) and not fits:
                return
            if interrupted and not found.terms and not fits:
                return
        raise Violation(f"node {node} had {before} on its disk and finds {found}")

    def flushed(self, member: Member, job: FlushJob) -> None:
        """A flush is on the disk."""
        node = member.node_id
        self._disks[node] = self._disks[node].after(job.data)

    def crashed(self, member: Member, unfinished: FlushJob | None) -> None:
        """Any part of a flush may be on the disk."""
        if unfinished is not None:
            self._unfinished[member.node_id] = unfinished

    def wiped(self, member: Member) -> None:
        """Nothing is durable there any more. An acknowledgement that is on its way was true when
        it left: where its connection still stands, it may count."""
        node = member.node_id
        self._lost[node] = self._disks[node], member.fabric.known_epochs(node)
        # A vote for itself that nobody answered may be forgotten: others have not seen its term.
        self._votes = {
            vote: choice
            for vote, choice in self._votes.items()
            if vote[0] != node or choice != node
        }
        self._disks[node] = DiskLog()
        self._unfinished.pop(node, None)

    # --- the log ---

    def committed(self, member: Member, index: int) -> None:
        """The commit index of a node; called with every append_entries too."""
        node = member.node_id
        if index < self._commit_positions[node]:
            raise Violation(
                f"the commit index of node {node} went back from "
                f"{self._commit_positions[node]} to {index}"
            )
        self._commit_positions[node] = index
        while self.newest_committed < index:
            self._commit_next(member)

    def _commit_next(self, member: Member) -> None:
        """An entry counts for the first time: a majority has it on disk, and so has every leader of
        a later term."""
        assert member.journal is not None
        index = len(self._committed)
        term = member.journal.term_at(index)
        assert term is not None, f"node {member.node_id} commits {index} and does not hold it"
        holders = [
            node
            for node, disk in self._disks.items()
            if disk.holds(index, term) or self._held_before_loss(member, node, index, term)
        ]
        if len(holders) < self._majority and index > 1:  # each node makes entry 1 itself
            raise Violation(f"entry {index} of term {term} counts, but only {holders} have it")
        assert member.core is not None
        self._committed.append((term, member.core.term))
        self._newest_leader_holds(index, term, member.core.term)

    def _newest_leader_holds(self, index: int, term: int, in_term: int) -> None:
        leader = self._newest_leader
        if leader is None or leader.core is None or not leader.core.raft.is_leader:
            return
        journal = leader.core.raft.journal
        if leader.core.term > in_term and journal.term_at(index) not in (term, None):
            raise Violation(
                f"entry {index} of term {term} is committed in term {in_term}; node "
                f"{leader.node_id} leads in term {leader.core.term} with another one"
            )

    def _held_before_loss(self, member: Member, node: int, index: int, term: int) -> bool:
        if node not in self._lost or member.runtime is None or member.runtime.end_of_wire is None:
            return False
        lost, epochs = self._lost[node]
        stands = member.runtime.end_of_wire.epochs.get(node) == epochs.get(member.node_id, 0)
        return stands and lost.holds(index, term)

    def applied(self, member: Member, batch: AppliedBatch) -> None:
        """The same entry at an index, on every node, once; in order; not too many at a time."""
        node, index = member.node_id, batch.log_index
        if index <= self._apply_positions[node]:
            raise Violation(f"node {node} applied entry {index} again")
        self._apply_positions[node] = index
        self._bound_apply(node, member)
        known = self._contents.get(index)
        if known is None:
            self._contents[index] = batch
            self.log.append(batch)
            self._world.count("batches committed")
        elif known != batch:
            raise Violation(f"entry {index} differs on node {node}")

    def _bound_apply(self, node: int, member: Member) -> None:
        """C7: one turn of the loop applies no more than it should, but for the replay at start."""
        if member.is_starting:
            return
        step, number = self._applied_now.get(node, (0, 0))
        number = number + 1 if step == self._world.steps else 1
        self._applied_now[node] = self._world.steps, number
        if number > raft._APPLY_ENTRIES:
            raise Violation(f"node {node} applied {number} entries in one turn of its loop")

    # --- messages ---

    def sent(self, member: Member, peer_id: int, message: dict[str, Any]) -> None:
        """One vote per node and term, whatever crashed in between; one leader per term."""
        node, kind = member.node_id, message["type"]
        if kind == "append_entries":
            leader = self._leaders.get(message["term"])
            if leader is None:
                self._elected(member, message["term"])
            elif leader != node:
                raise Violation(f"nodes {leader} and {node} both lead in term {message['term']}")
            self._bound_backlog(member, peer_id, message)
        elif kind in ("request_vote", "response_vote"):
            choice = node if kind == "request_vote" else peer_id
            vote = (node, message["term"])
            if vote not in self._votes and kind == "request_vote":
                self._world.count("campaigns")
            voted = self._votes.setdefault(vote, choice)
            if voted != choice:
                raise Violation(
                    f"node {node} votes for {voted} and for {choice} in term {message['term']}"
                )
        elif kind == "next_node_idx":
            self._bound_resets(member, message)

    def _elected(self, member: Member, term: int) -> None:
        """A leader has everything that leaders of earlier terms have committed."""
        self._leaders[term] = member.node_id
        if term == self.leader_term:
            self._newest_leader = member
        self._world.count("elections won")
        self._world.note("node %d leads in term %d", member.node_id, term)
        self.on_elected()
        journal = member.journal
        assert journal is not None
        for index in range(max(1, journal.first_index), len(self._committed)):
            entry_term, in_term = self._committed[index]
            if in_term < term and journal.term_at(index) != entry_term:
                raise Violation(
                    f"node {member.node_id} leads in term {term} with term "
                    f"{journal.term_at(index)} at entry {index}; in term {in_term} the one of term "
                    f"{entry_term} was committed there"
                )

    @staticmethod
    def _bound_backlog(member: Member, peer_id: int, message: dict[str, Any]) -> None:
        """C6: a peer that does not read gets no more entries."""
        waiting = member.fabric.held_bytes(member.node_id, peer_id)
        if message["entries"] and waiting > raft._BACKLOG_BYTES_MAX:
            raise Violation(f"{waiting} bytes wait for node {peer_id}, and more are sent")

    def _bound_resets(self, member: Member, message: dict[str, Any]) -> None:
        """C5: a leader finds where its log and a follower's part in one round trip for each term
        that the follower has beyond what is committed, and one for what it does not have at all."""
        journal, core = member.journal, member.core
        if journal is None or core is None:
            return
        key = (member.node_id, member.lives, message["term"])
        next_index = message["next_node_idx"]
        if message["success"]:
            self._sent_back.pop(key, None)  # they agree on something: from here it counts anew
        if not message["reset"] or next_index > journal.last_index:
            return
        if key not in self._sent_back:
            first = max(core.raft.commit_index, journal.first_index)
            doubted = {journal.term_at(index) for index in range(first, journal.last_index + 1)}
            self._sent_back[key] = {}, len(doubted)
        places, terms = self._sent_back[key]
        places[next_index] = None
        if len(places) > terms + 1:
            raise Violation(
                f"node {member.node_id} sent its leader back to each of {list(places)}, with only "
                f"{terms} terms in doubt"
            )

    # --- the end ---

    def at_the_end(self, members: list[Member], gateways: list[Gateway]) -> None:
        """All nodes in the same state, the state sound, each answered command in the log once."""
        states = set()
        for member in members:
            assert member.core is not None
            replica = member.core.replica
            replica.state_machine.check_invariants()
            states.add((replica.next_event_seq, replica.state_machine.state_hash()))
        if len(states) != 1:
            raise Violation(f"replicas differ: {states}")
        answered: dict[str, int] = {}
        for batch in self.log:
            for event_seq, event in enumerate(batch.events, batch.first_event_seq):
                if event[0] in (EventKind.ORDER_ACCEPTED, EventKind.ORDER_REJECTED):
                    if event[2] in answered:
                        raise Violation(f"order {event[2]} is in the log twice")
                    answered[event[2]] = event_seq
        for gateway in gateways:
            for cl_ord_id, event_seq in gateway.answers.items():
                if answered.get(cl_ord_id) != event_seq:
                    raise Violation(f"order {cl_ord_id} was acknowledged and is not in the log")
        problem = check_trades(event for batch in self.log for event in batch.events)
        if problem is not None:
            raise Violation(f"trades: {problem}")
