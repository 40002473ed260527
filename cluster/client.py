"""ClusterClient: finds the leader, keeps what has no answer and sends it again, follows events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from cluster.settings import Address
from oms.commands import Command
from oms.events import Event


class ConnectionState(StrEnum):
    """Where a client stands."""

    SEARCHING = "searching"  # no leader known; commands wait
    READY = "ready"  # connected to the leader, which has answered


class EventBatch(NamedTuple):
    """Events of one log entry (or several, when catching up) that concern this client.

    `events` are (event_seq, event). `last_event_seq` is the number of the last event that the
    stream has passed, whether it concerned this client or not: resume from last_event_seq + 1.
    `answered` is the highest own command number whose events were all in this or earlier batches.
    """

    time_ns: int
    last_event_seq: int
    answered: int
    events: list[tuple[int, Event]]


class QueueFull(Exception):
    """Too many commands wait for an answer: stop reading from clients until some are answered."""


class ClusterClient:
    """A connection to the cluster for one gateway (or market-data process, or tool).

    All callbacks run on the event loop. Commands submitted in one turn of the loop travel in one
    frame. A command is numbered, kept until it is answered, and sent again under its number after
    a failover: the replicated state drops the copy. So a command is never reported as failed: it is
    waiting or answered. On start the client announces a new incarnation through the log; no command
    of an earlier incarnation of the same client_id can take effect after that.
    """

    def __init__(
        self,
        client_id: str,
        nodes: dict[int, Address],
        *,
        on_batch: Callable[[EventBatch], None],
        on_state: Callable[[ConnectionState], None] | None = None,
        owners: Sequence[str] | None = (),
        from_event_seq: int = 1,
        max_pending: int = 20_000,
    ) -> None:
        """`owners`: the sessions whose events are wanted; None means every event, market events
        included; () means none. `from_event_seq`: first event number that is wanted."""
        raise NotImplementedError

    async def start(self) -> None:
        """Connect in the background; returns when the first leader has answered."""

    async def close(self) -> None:
        """Disconnect. Commands without an answer stay unknown."""

    @property
    def state(self) -> ConnectionState:
        """Whether a leader is being talked to."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Number of commands without an answer."""
        raise NotImplementedError

    def submit(self, command: Command) -> int:
        """Send a command; returns its number, to be compared with EventBatch.answered.

        Raises QueueFull beyond max_pending."""
        raise NotImplementedError

    async def query(self, sink: str, request: Any, *, timeout_s: float = 2.0) -> Any:
        """Ask an event sink of the node that this client is connected to. Raises TimeoutError."""
        raise NotImplementedError
