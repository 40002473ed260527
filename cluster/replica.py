"""What every node does with a log entry: drop what was seen, apply the rest, number the events.

The replicated state is the exchange's state machine plus one record per client: its current
incarnation and the number of its last command. With these a command that a client sends again
after a failover takes effect once, and a command of a process that was replaced takes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Final

from cluster.codec import (
    MARK_STATE,
    TOOL_PREFIX,
    ClientFrame,
    decode_batch,
    opening_number,
    unpack_commands,
)
from cluster.interface import AppliedBatch
from oms.commands import Command
from oms.events import Event
from oms.snapshot import Part
from oms.state_machine import ExchangeStateMachine

CLIENTS_MAX: Final = 1024
"""Records kept; tools go first, then the client that was quiet for longest."""
MARKS_MAX: Final = 64
SNAPSHOT_VERSION: Final = 1

_COUNTERS: Final = (
    "next_event_seq",
    "last_time_ns",
    "applied_commands",
    "duplicate_commands",
    "fenced_frames",
)


@dataclass(slots=True)
class ClientRecord:
    """What the replicated state remembers of a client."""

    incarnation: int
    last_number: int


@dataclass(slots=True)
class StateMark:
    """The state hash at one place of the log: equal on every node, or replicas differ."""

    event_seq: int
    log_index: int
    state_hash: str


class Replica:
    """The deterministic part of a node. Same payloads, same events, on every node."""

    def __init__(self) -> None:
        self.state_machine = ExchangeStateMachine()
        self.clients: dict[str, ClientRecord] = {}
        self.marks: dict[str, StateMark] = {}
        self.next_event_seq = 1
        self.last_time_ns = 0
        self.applied_commands = 0
        self.duplicate_commands = 0
        self.fenced_frames = 0
        self.last_client_ids: list[str] = []
        """Clients that had a frame in the last applied entry."""
        self.last_gaps: list[str] = []
        """Clients of whose commands some are missing before those in the last applied entry."""

    def apply(self, log_index: int, term: int, payload: bytes) -> AppliedBatch:
        """Apply one log entry and return its events (there may be none).

        Time never goes back: a new leader's clock may be behind the old one's."""
        batch = decode_batch(payload)
        now_ns = max(self.last_time_ns, batch.time_ns)
        self.last_time_ns = now_ns
        events: list[Event] = []
        self.last_client_ids = [frame.client_id for frame in batch.frames]
        self.last_gaps.clear()
        for frame in batch.frames:
            commands = self._unseen_commands(frame)
            self.applied_commands += len(commands)
            # A mark is alone in its frame (submission.check_commands).
            if len(commands) == 1 and commands[0][0] == MARK_STATE:
                mark_id = str(commands[0][1])
                self._mark(mark_id, log_index, self.next_event_seq + len(events))
            elif commands:
                first_event_seq = self.next_event_seq + len(events)
                events += self.state_machine.apply_all(commands, now_ns, first_event_seq)
        first_event_seq = self.next_event_seq
        self.next_event_seq += len(events)
        return AppliedBatch(log_index, term, now_ns, first_event_seq, events)

    def snapshot_parts(self) -> Iterator[Part]:
        """Yield all that is replicated, in pieces of plain values: one with the records of clients
        and the counters, then those of the state machine. Nothing may be applied until the last
        one was taken. Equal replicas have equal parts."""
        yield (
            SNAPSHOT_VERSION,
            tuple((client_id, *astuple(record)) for client_id, record in self.clients.items()),
            tuple((mark_id, *astuple(mark)) for mark_id, mark in self.marks.items()),
            tuple(getattr(self, name) for name in _COUNTERS),
        )
        yield from self.state_machine.snapshot_parts()

    @classmethod
    def restore(cls, parts: Iterable[Part]) -> Replica:
        """Return a replica that goes on where `parts` were taken; lists pass for tuples.

        Raises ValueError with a sentence for another version and for what makes no sense."""
        parts = iter(parts)
        replica = cls()
        try:
            version, clients, marks, counters = next(parts, ())
            if version != SNAPSHOT_VERSION:
                raise ValueError(f"it has version {version}; this program reads {SNAPSHOT_VERSION}")
            for client_id, incarnation, last_number in clients:
                replica.clients[client_id] = ClientRecord(incarnation, last_number)
            for mark_id, *fields in marks:
                replica.marks[mark_id] = StateMark(*fields)
            for name, value in zip(_COUNTERS, counters, strict=True):
                setattr(replica, name, value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the replica cannot be restored: {error}") from error
        replica.state_machine = ExchangeStateMachine.restore(parts)
        return replica

    def _unseen_commands(self, frame: ClientFrame) -> tuple[Command, ...]:
        if not frame.client_id:
            return unpack_commands(frame.commands)
        if frame.first_number == 0:
            self._open(frame.client_id, frame.incarnation, opening_number(frame))
            return ()
        record = self.clients.get(frame.client_id)
        if record is None or record.incarnation != frame.incarnation:
            self.fenced_frames += 1
            return ()
        commands = unpack_commands(frame.commands)
        seen = record.last_number + 1 - frame.first_number
        if seen < 0:
            # A frame before this one was lost on its way to the leader: the client sends both
            # again. To apply this one now would change the order of its commands.
            self.fenced_frames += 1
            self.last_gaps.append(frame.client_id)
            return ()
        if seen > 0:
            self.duplicate_commands += min(seen, len(commands))
            commands = commands[seen:]
        if commands:
            record.last_number += len(commands)
            self.clients[frame.client_id] = self.clients.pop(frame.client_id)
        return commands

    def _open(self, client_id: str, incarnation: int, first_number: int) -> None:
        record = self.clients.pop(client_id, None)
        if record is None or record.incarnation != incarnation:
            record = ClientRecord(incarnation, first_number - 1)
        self.clients[client_id] = record
        if len(self.clients) > CLIENTS_MAX:
            del self.clients[self._dispensable(client_id)]

    def _dispensable(self, newest: str) -> str:
        """The quietest tool, or else the quietest client: a tool asks once and is gone."""
        others = [client_id for client_id in self.clients if client_id != newest]
        tools = (client_id for client_id in others if client_id.startswith(TOOL_PREFIX))
        return next(tools, others[0])

    def _mark(self, mark_id: str, log_index: int, next_event_seq: int) -> None:
        self.marks[mark_id] = StateMark(
            next_event_seq - 1, log_index, self.state_machine.state_hash()
        )
        while len(self.marks) > MARKS_MAX:
            del self.marks[next(iter(self.marks))]
