"""What a node hands to those who live on its events: batches, roles, sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from oms.commands import Command
from oms.events import Event
from oms.state import ExchangeState

Upkeep: TypeAlias = Callable[[ExchangeState, int], Sequence[Command]]
"""What an exchange does by itself as time passes: upkeep(state, now_ns), asked of the leader at
each tick of its clock, returns commands for the log. The state is that of the last applied entry:
what was returned before may be still on its way, or be lost with a leader, so the commands must
bear to come twice."""


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


class Derivation(Protocol):
    """What a sink derives from the log, without the sink: a pure function of the batches.

    It runs where a snapshot is made out of the journal, in another process than the sink; what it
    yields there is what the sink goes on from after a restart.
    """

    def on_batch(self, batch: AppliedBatch) -> None:
        """Take the events of one log entry."""

    def snapshot(self) -> Any:
        """Everything that the next batches depend on, as plain values that msgpack has."""

    def restore(self, state: Any) -> None:
        """Go on from what `snapshot` returned; None is the state before the first batch."""


class EventSink(Protocol):
    """Lives inside a node and sees every batch once, in order, on every node.

    After a restart the node restores a snapshot, if there is one, and replays its journal from
    there: a sink gets what its Derivation told the snapshot, then all later batches, as a FOLLOWER.
    A sink must not raise; whatever it raises stops the node.
    """

    def restore(self, state: Any) -> None:
        """Called once, before start(): begin where `Derivation.snapshot` returned `state`; None is
        the beginning of the log."""

    async def start(self) -> None:
        """Called once on the node's event loop before the first batch."""

    def on_batch(self, batch: AppliedBatch) -> None:
        """Take the events of one log entry. Called before the leader tells anybody else."""

    def on_role(self, role: NodeRole) -> None:
        """The node's role changed."""

    def query(self, request: Any) -> Any:
        """Answer a read of this sink (msgpack-able both ways). Raises ValueError on nonsense."""

    def day_files(self) -> tuple[Path, list[tuple[str, int]]]:
        """The folder of the sink's files, and name and length of each as it is now, handed to the
        operating system. They go along when a snapshot is sent to another node, which can read them
        as they are. No files: an empty list."""

    async def close(self) -> None:
        """Called once when the node stops."""
