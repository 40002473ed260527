"""What this member vouches for, and how much the word of another one counts.

An acknowledgement is a promise about a disk. Ours leave when the disk has what they say, stamped
with term and connection; those of peers count in the same term, on the same connection, and as far
as our own disk is. The rules are pure and in guard.py, the waiting is in disk_gate.py.
"""

from __future__ import annotations

from typing import Any

from cluster import guard
from cluster.candidacy import Candidacy
from cluster.disk_gate import DiskGate
from cluster.journal import Journal
from cluster.raft import RaftCore
from cluster.runtime import Network
from cluster.settings import Durability

Message = dict[str, Any]


class Vouching:
    """The acknowledgements of one member, out and in. Belongs to the event loop.

    `delivery` is the append_entries that pysyncobj is just answering, None at all other times.
    """

    network: Network
    """Set before anything is heard or sent."""

    def __init__(
        self,
        durability: Durability,
        journal: Journal,
        core: RaftCore,
        gate: DiskGate,
        candidacy: Candidacy,
    ) -> None:
        self.delivery: guard.Delivery | None = None
        self._acknowledgements_wait = durability is Durability.MAJORITY_DISK
        self._leader_waits = durability is not Durability.MEMORY
        self._journal = journal
        self._core = core
        self._gate = gate
        self._candidacy = candidacy

    def send(self, peer_id: int, message: Message) -> None:
        """Send a vote or an acknowledgement, once what it promises is durable."""
        epoch: int | None = None
        if message["type"] == "next_node_idx":
            stamped = self._stamp(peer_id, message)
            if stamped is None:
                return
            epoch = stamped["epoch"]
            message = guard.vouch(stamped, may_vote=self._candidacy.may_vote)
        promises = guard.needs_durable_log(
            message, acknowledgements_wait=self._acknowledgements_wait
        )
        if not promises or self._gate.is_served(self._gate.ticket):
            self.network.send(peer_id, message)
        elif epoch is not None and self._answers_a_heartbeat:
            # A slow disk is no silence: vouch at once for what is durable already.
            capped = min(message["next_node_idx"], self._journal.durable_index + 1)
            self.network.send(peer_id, message | {"next_node_idx": capped})
        else:
            self._gate.hold(peer_id, epoch, message)

    def received(self, peer_id: int, epoch: int, message: Message) -> None:
        """A peer's answer; one of another term or connection counts for nothing (A4)."""
        if guard.acknowledgement_counts(message, current_term=self._core.term, epoch=epoch):
            self.count(peer_id, message)

    def count(self, peer_id: int, message: Message) -> None:
        """An answer of this term and connection; what is beyond our own disk waits (A5)."""
        if not self._core.is_leader:
            return
        journal = self._journal
        durable_index = journal.durable_index if self._leader_waits else journal.last_index
        counts, waits = guard.cap_acknowledgement(message, durable_index=durable_index)
        if waits is not None:
            self._gate.hold_acknowledgement(peer_id, waits)
        if counts is not None:
            self._core.acknowledged(peer_id, counts)

    @property
    def _answers_a_heartbeat(self) -> bool:
        delivery = self.delivery
        return (
            delivery is not None
            and delivery.message is not None
            and not delivery.message["entries"]
        )

    def _stamp(self, peer_id: int, message: Message) -> Message | None:
        """An acknowledgement as the guard wants it, with term and connection; None: nobody is
        connected."""
        epoch = self.network.epoch(peer_id)
        if epoch is None:
            return None
        delivery = self.delivery
        if delivery is not None and delivery.reply is not None:
            message = delivery.reply
        elif delivery is not None and delivery.next_index_cap is not None:
            capped = min(message["next_node_idx"], delivery.next_index_cap)
            message = message | {"next_node_idx": capped}
        return message | {"term": self._core.term, "epoch": epoch}
