"""When this member stands for election, whom it votes for, and whether it may.

The deciding is pure and elsewhere: election.py (suspicion and pre-vote), voting.py (the right to
vote), guard.py (whose vote counts). Here it meets the wires, the journal and pysyncobj, which holds
the real elections.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from cluster import guard
from cluster.disk_gate import DiskGate
from cluster.election import Action, Election
from cluster.journal import Journal
from cluster.raft import RaftCore
from cluster.runtime import Network, Runtime
from cluster.settings import NodeSettings
from cluster.voting import VotingRight

Message = dict[str, Any]

logger = logging.getLogger(__name__)


class Candidacy:
    """The elections of one member. Belongs to the event loop. `handle` raises what must stop the
    node. `schedule_tick()` lets pysyncobj act soon."""

    def __init__(
        self,
        settings: NodeSettings,
        journal: Journal,
        core: RaftCore,
        gate: DiskGate,
        runtime: Runtime,
        *,
        may_vote: bool,
        grant_vote: Callable[[], None],
        schedule_tick: Callable[[], None],
        rng: random.Random,
    ) -> None:
        members = tuple(sorted(settings.raft_addresses))
        others = tuple(member for member in members if member != settings.node_id)
        self._journal = journal
        self._core = core
        self._gate = gate
        self._time = runtime.time
        self._grant_vote = grant_vote
        self._schedule_tick = schedule_tick
        self._votes = guard.VoteCount()
        self._voting = VotingRight(others, granted=may_vote)
        self._abstained_at: int | None = None
        self._election = Election(
            settings.node_id,
            members,
            suspect_after_s=settings.suspect_after_ms / 1000,
            now_s=self._time(),
            rng=rng,
        )
        self.network: Network
        """Set before anything is heard or sent."""
        self.elections = 0
        """How often this member stood."""

    @property
    def leader_id(self) -> int | None:
        """The leader that we hear; None while we hear none."""
        return self._election.leader_id

    @property
    def may_vote(self) -> bool:
        """False until a node that has lost its disk, or never had one, has caught up."""
        return self._voting.granted

    # --- what the member sees ---

    def heard_leader(self, leader_id: int) -> None:
        """A message of the leader of our term came in."""
        self._election.heard_leader(leader_id, self._time())

    def leads(self) -> None:
        """We are the leader ourselves."""
        self._election.leads(self._time())

    def stepped_down(self) -> None:
        """We were the leader and are not any more."""
        self._election.stepped_down(self._time())

    def stalled(self, late_s: float) -> None:
        """Our own loop was late by so much."""
        self._election.stalled(late_s)

    def be_patient(self, seconds: float) -> None:
        """The leader may be busy for so long yet with what kept us busy."""
        self._election.be_patient(self._time() + seconds)

    def lost_connection(self, peer_id: int) -> None:
        """A connection broke while we did not lead."""
        self._election.lost_connection(peer_id, self._time())
        self.stand_if_due()

    def stand_if_due(self) -> None:
        """Ask for pre-votes if the leader has been silent for too long. A disk that hangs could not
        even keep our own vote."""
        if self._voting.granted and not self._gate.hangs and not self._gate.holds_vote_request:
            self._act(self._election.on_time(self._time()))

    def handle(self, peer_id: int, message: Message, *, is_leader: bool) -> None:
        """A message about elections."""
        match message["type"]:
            case "request_vote":
                if self._voting.granted:
                    self._core.bridge.deliver(peer_id, message)
            case "response_vote":
                term = self._core.term
                if message["term"] == term and self._votes.counts(term, peer_id):
                    self._core.bridge.deliver(peer_id, message)
            case "pre_vote":
                self._answer_pre_vote(peer_id, message)
            case "response_pre_vote":
                if not message["granted"] and message["term"] > self._core.term and not is_leader:
                    self.adopt_term(peer_id, message["term"])
                self._act(self._election.answered(peer_id, message, self._time()))
            case "campaign_now":
                from_leader = message["term"] == self._core.term and peer_id == self.leader_id
                if from_leader and self._voting.granted:
                    self._act(Action.CAMPAIGN)
            case "position_request":
                self._tell_position(peer_id)
            case "position":
                last = (message["last_log_term"], message["last_log_index"])
                self._voting.heard(peer_id, message["term"], last)

    # --- the right to vote ---

    def ask_for_positions(self) -> None:
        """Without the right to vote: ask those who have not said yet where they are."""
        for peer_id in self._voting.missing:
            self.network.send(peer_id, {"type": "position_request"})

    def seek_vote(self) -> None:
        """A step towards the marker of a voter: have what the others had, give up votes that may
        have been given and forgotten, note it durably."""
        if self._voting.granted:
            return
        if self._abstained_at is not None:
            if self._gate.is_served(self._abstained_at):
                self._grant_vote()
                self._voting.granted = True
                logger.info("this node may vote")
            return
        durable_index = self._journal.durable_index
        durable_last = (self._journal.term_at(durable_index) or 0, durable_index)
        if self._voting.is_due(durable_last):
            self._core.abstain(self._voting.highest_term)
            self._abstained_at = self._gate.ticket
            self._gate.flush()

    def _tell_position(self, peer_id: int) -> None:
        self.network.send(
            peer_id,
            {
                "type": "position",
                "term": self._core.term,
                "last_log_index": self._journal.last_index,
                "last_log_term": self._journal.last_term,
            },
        )

    # --- elections ---

    def _act(self, action: Action | None) -> None:
        if action is Action.PRE_VOTE:
            question = {
                "type": "pre_vote",
                "term": self._core.term + 1,
                "last_log_index": self._journal.last_index,
                "last_log_term": self._journal.last_term,
                "round": self._election.round,
            }
            for peer_id in self.network.connected:
                self.network.send(peer_id, question)
        elif action is Action.CAMPAIGN:
            self.elections += 1
            logger.info(
                "standing for election in term %d: %s", self._core.term + 1, self._election.cause
            )
            self._core.campaign()
            self._schedule_tick()

    def _answer_pre_vote(self, peer_id: int, message: Message) -> None:
        able = self._voting.granted and not self._gate.hangs
        granted = able and self._election.grants(
            peer_id,
            message,
            now_s=self._time(),
            term=self._core.term,
            last=(self._journal.last_term, self._journal.last_index),
        )
        self.network.send(
            peer_id,
            {
                "type": "response_pre_vote",
                "term": self._core.term,
                "round": message["round"],
                "granted": granted,
            },
        )

    def adopt_term(self, peer_id: int, term: int) -> None:
        """A peer is terms ahead: catch up, or our pre-votes would be refused for ever."""
        self._core.bridge.deliver(
            peer_id,
            {"type": "request_vote", "term": term, "last_log_index": 0, "last_log_term": 0},
        )
