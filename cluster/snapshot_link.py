"""Where messages about snapshots meet consensus: who may offer, who is answered, what is wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from cluster import guard
from cluster.candidacy import Candidacy
from cluster.codec import CodecError
from cluster.journal import Journal
from cluster.raft import RaftCore
from cluster.runtime import Network, Runtime
from cluster.snapshot_receiver import SnapshotReceiver
from cluster.snapshot_transfer import SnapshotSender

Message = dict[str, Any]

logger = logging.getLogger(__name__)


class SnapshotLink:
    """The snapshot messages of one member; `sender`, `receiver` and `on_damaged` are set before the
    member starts. `on_damaged(index)`: a peer found a snapshot of ours damaged, though each piece
    arrived as it was sent."""

    sender: SnapshotSender
    receiver: SnapshotReceiver
    on_damaged: Callable[[int], None]
    network: Network

    def __init__(
        self,
        journal: Journal,
        core: RaftCore,
        candidacy: Candidacy,
        runtime: Runtime,
        *,
        heartbeat_s: float,
    ) -> None:
        self._journal = journal
        self._core = core
        self._candidacy = candidacy
        self._time = runtime.time
        self._heartbeat_s = heartbeat_s
        self._offered_s: dict[int, float] = {}

    def send(self, peer_id: int, message: Message) -> None:
        """Where sender and receiver put their messages."""
        self.network.send(peer_id, message)

    def is_needed(self, index: int) -> bool:
        """Whether a snapshot that was fetched is still of use."""
        return not self._core.is_leader and index > self._core.commit_index

    def offer(self, peer_id: int) -> None:
        """In the place of entries that the journal no longer has. Called after every commit: an
        offer goes out in the place of heartbeats only."""
        now_s = self._time()
        due_s = self._offered_s.get(peer_id, float("-inf")) + self._heartbeat_s
        if now_s >= due_s and not self.network.backlog(peer_id):
            self._offered_s[peer_id] = now_s
            self.sender.offer(peer_id, self._core.term)

    def handle(self, peer_id: int, message: Message) -> None:
        """A message about snapshots. Raises SafetyViolation, OSError."""
        match message["type"]:
            case "snapshot_offer":
                self._offered(peer_id, message)
            case "snapshot_request":
                if self._core.is_leader and message["term"] == self._core.term:
                    self.sender.requested(peer_id, message, self._time())
            case "snapshot_damaged":
                self.on_damaged(message["index"])
            case "snapshot_files" | "snapshot_chunk":
                if peer_id == self._candidacy.leader_id and not self._core.is_leader:
                    self._candidacy.heard_leader(peer_id)
                    self._take(peer_id, message)

    def _take(self, peer_id: int, message: Message) -> None:
        try:
            if message["type"] == "snapshot_files":
                self.receiver.listed(peer_id, message, self._time())
            else:
                self.receiver.received(peer_id, message, self._time())
        except CodecError as error:
            logger.error("node %d: not taken: %s", peer_id, error)

    def _offered(self, peer_id: int, message: Message) -> None:
        offer = guard.check_snapshot_offer(
            message,
            self._journal,
            current_term=self._core.term,
            commit_index=self._core.commit_index,
            is_leader=self._core.is_leader,
        )
        if message["term"] > self._core.term:
            self._candidacy.adopt_term(peer_id, message["term"])
        if message["term"] == self._core.term:
            self._candidacy.heard_leader(peer_id)
        reply = offer.reply
        if reply["type"] == "next_node_idx":
            reply = reply | {"term": self._core.term, "epoch": self.network.epoch(peer_id)}
        self.network.send(peer_id, reply)
        if offer.wanted:
            self.receiver.offered(peer_id, message, self._time())
