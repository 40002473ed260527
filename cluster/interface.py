"""What a node hands to those who live on its events: batches, roles, sinks."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from oms.events import Event


class NodeRole(StrEnum):
    """What a node is at the moment. One follower is the leader's STANDBY: it publishes line B."""

    LEADER = "leader"
    STANDBY = "standby"
    FOLLOWER = "follower"


class AppliedBatch(NamedTuple):
    """The events of one log entry. Event i has the number first_event_seq + i."""

    log_index: int
    term: int
    time_ns: int
    first_event_seq: int
    events: list[Event]


class EventSink(Protocol):
    """Lives inside a node and sees every batch once, in order, on every node.

    After a restart the node replays its journal: a sink then sees all batches again from the first,
    as a FOLLOWER. A sink must not raise; whatever it raises stops the node.
    """

    def on_batch(self, batch: AppliedBatch) -> None:
        """Take the events of one log entry. Called before the leader tells anybody else."""

    def on_role(self, role: NodeRole) -> None:
        """The node's role changed."""

    def query(self, request: Any) -> Any:
        """Answer a read of this sink (msgpack-able both ways). Raises ValueError on nonsense."""

    async def start(self) -> None:
        """Called once on the node's event loop before the first batch."""

    async def close(self) -> None:
        """Called once when the node stops."""
