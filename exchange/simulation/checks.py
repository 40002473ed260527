"""What must hold at every step of a run, and at its end."""

from __future__ import annotations

from typing import Any

from cluster.codec import pack
from cluster.interface import AppliedBatch
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import Member, Watch
from exchange.simulation.world import Violation, World

_RESET_S = 0.05
"""Longest time until a peer knows that a connection is gone (network.py)."""


class Checks(Watch):
    """Watches all members."""

    def __init__(self, world: World, members: tuple[int, ...]) -> None:
        self._world = world
        self._majority = len(members) // 2 + 1
        self._leaders: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._applied: dict[int, tuple[int, bytes]] = {}
        self._positions: dict[tuple[int, int], int] = {}
        self._durable: dict[int, dict[int, int]] = {member: {} for member in members}
        self._lost: dict[int, dict[int, int]] = {}
        self.log: list[AppliedBatch] = []

    @property
    def newest_committed(self) -> int:
        """Highest index that was applied anywhere."""
        return max(self._applied, default=0)

    # --- steps ---

    def applied(self, member: Member, batch: AppliedBatch) -> None:
        """The same entry at an index, on every node, once; in order; on a majority of disks."""
        life = (member.node_id, member.lives)
        index = batch.log_index
        if index <= self._positions.get(life, 0):
            raise Violation(f"node {member.node_id} applied entry {index} again")
        self._positions[life] = index
        content = (batch.term, pack(batch))
        known = self._applied.get(index)
        if known is None:
            self._on_a_majority(index, batch.term)
            self._applied[index] = content
            self.log.append(batch)
            self._world.count("batches committed")
        elif known != content:
            raise Violation(f"entry {index} differs on node {member.node_id}")

    def _on_a_majority(self, index: int, term: int) -> None:
        holders = [
            node
            for node, entries in self._durable.items()
            if term in (entries.get(index), self._lost.get(node, {}).get(index))
        ]
        if len(holders) < self._majority:
            raise Violation(f"entry {index} of term {term} counts, but only {holders} have it")

    def wiped(self, member: Member) -> None:
        """Nothing is durable there any more. An acknowledgement that is on its way was true when
        it left: for as long as its connection may still stand, it may count."""
        lost = self._lost[member.node_id] = self._durable[member.node_id]
        self._durable[member.node_id] = {}
        self._world.after(_RESET_S, lost.clear)

    def flushed(self, member: Member, durable_index: int) -> None:
        """Note what is durable on the member's disk now: going back from the newest entry until
        what was noted before is met."""
        journal = member.journal
        assert journal is not None
        entries = self._durable[member.node_id]
        for index in [index for index in entries if index > durable_index]:
            del entries[index]
        index = durable_index
        while index >= journal.first_index and entries.get(index) != journal.term_at(index):
            term = journal.term_at(index)
            assert term is not None
            entries[index] = term
            index -= 1

    def sent(self, member: Member, message: dict[str, Any]) -> None:
        """One vote per node and term, whatever crashed in between; one leader per term."""
        node, kind = member.node_id, message["type"]
        if kind == "append_entries":
            leader = self._leaders.setdefault(message["term"], node)
            if leader != node:
                raise Violation(f"nodes {leader} and {node} both lead in term {message['term']}")
        elif kind in ("request_vote", "response_vote"):
            choice = node if kind == "request_vote" else message["to"]
            voted = self._votes.setdefault((node, message["term"]), choice)
            if voted != choice:
                raise Violation(
                    f"node {node} votes for {voted} and for {choice} in term {message['term']}"
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
                if event[0] in (1, 5):
                    if event[2] in answered:
                        raise Violation(f"order {event[2]} is in the log twice")
                    answered[event[2]] = event_seq
        for gateway in gateways:
            for cl_ord_id, event_seq in gateway.answers.items():
                if answered.get(cl_ord_id) != event_seq:
                    raise Violation(f"order {cl_ord_id} was acknowledged and is not in the log")
