"""One node: the journal, Raft, the replicated exchange, the event store, sinks and the client port.

The way of a command through this file: ClientPort -> submit -> Sequencer -> Raft.propose -> (log,
majority on disk) -> _apply on every node -> sinks, event store, clients. One batch of ours is in
flight at a time; what arrives meanwhile becomes the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from cluster.client_port import ClientPort
from cluster.codec import ClientFrame, pack_commands
from cluster.event_store import EventStore
from cluster.http import NodeHttp
from cluster.interface import EventSink, NodeRole
from cluster.journal import Journal
from cluster.raft import Raft
from cluster.replica import ClientRecord, Replica
from cluster.runtime import LiveRuntime
from cluster.sequencer import Sequencer
from cluster.settings import NodeSettings
from oms.commands import Command, CommandKind, GatewayLost, LoadReferenceData, SetTradingState

_RECENT_TIMINGS: Final = 4096

logger = logging.getLogger(__name__)


class NodeFailed(Exception):
    """The node had to stop. The text names the log index and where the journal is."""


class Timings:
    """Sums for the metrics of the hot path, and the latest values for percentiles. Seconds."""

    __slots__ = ("count", "recent", "total_s")

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self.recent: deque[float] = deque(maxlen=_RECENT_TIMINGS)

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total_s += seconds
        self.recent.append(seconds)

    def summary(self) -> dict[str, float]:
        """count, mean, p50 and p99 in microseconds."""
        ordered = sorted(self.recent) or [0.0]
        return {
            "count": self.count,
            "mean_us": round(1e6 * self.total_s / max(1, self.count), 1),
            "p50_us": round(1e6 * ordered[len(ordered) // 2], 1),
            "p99_us": round(1e6 * ordered[len(ordered) * 99 // 100], 1),
        }


class Node:
    """One member of the cluster, with everything that lives on its events.

    `sinks` get every batch, and answer queries under their names ("itch" ...).
    """

    def __init__(self, settings: NodeSettings, sinks: dict[str, EventSink]) -> None:
        self.settings = settings
        self.node_id = settings.node_id
        self.replica = Replica()
        self.events: EventStore
        self.raft: Raft
        self.role = NodeRole.FOLLOWER
        self.timings = {"replicate": Timings(), "apply": Timings(), "batch_wait": Timings()}
        self._sinks = sinks
        self._sequencer = Sequencer(settings.max_batch_bytes, settings.max_pending_bytes)
        self._in_flight = False
        self._proposed_s = 0.0
        self._first_waiting_s = 0.0
        self._propose_scheduled = False
        self._was_ready = False
        self._started_s = time.monotonic()
        self._grace: dict[str, asyncio.TimerHandle] = {}
        self._stopped: asyncio.Future[None]

    # --- life ---

    async def start(self) -> None:
        """Open the journal, replay, listen. Raises JournalError, OSError (port taken)."""
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        data_dir = self.settings.data_dir
        for name in ("wal", "events"):
            (data_dir / name).mkdir(parents=True, exist_ok=True)
        journal = Journal(data_dir / "wal", segment_bytes=self.settings.segment_bytes)
        self.events = EventStore(data_dir / "events")
        self.raft = Raft(
            self.settings,
            journal,
            apply=self._apply,
            on_change=self._role_changed,
            on_fatal=self._fatal,
            runtime=LiveRuntime(),
        )
        self._port = ClientPort(self, self.settings.client_bind)
        self._http = NodeHttp(self, self.settings.http_bind)
        for sink in self._sinks.values():
            await sink.start()
        await self._http.start()
        await self.raft.start()
        await self._port.start()
        logger.info("node %d is up, journal in %s", self.node_id, data_dir / "wal")

    async def run(self) -> None:
        """Serve until stop() is called. Raises NodeFailed when the node must not go on."""
        await asyncio.shield(self._stopped)

    def stop(self) -> None:
        """End run()."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def close(self) -> None:
        """Close everything that start() opened."""
        for timer in self._grace.values():
            timer.cancel()
        await self._port.close()
        await self.raft.close()
        for sink in self._sinks.values():
            await sink.close()
        await self._http.close()
        self.events.close()

    def _fatal(self, error: BaseException) -> None:
        index = self.raft.applied_index
        wal = Path(self.settings.data_dir) / "wal"
        text = (
            f"node {self.node_id} stops at log index {index}: {type(error).__name__}: {error}. "
            f"The journal is kept in {wal}; check it with: exchange verify {wal.parent}"
        )
        logger.critical(text, exc_info=error)
        if not self._stopped.done():
            failure = NodeFailed(text)
            failure.__cause__ = error
            self._stopped.set_exception(failure)

    # --- commands in ---

    @property
    def is_ready(self) -> bool:
        """Whether this node leads and takes orders."""
        return self.raft.is_ready

    @property
    def leader_id(self) -> int | None:
        return self.raft.leader_id

    @property
    def term(self) -> int:
        return self.raft.term

    @property
    def can_take_more(self) -> bool:
        """False while clients must wait."""
        return not self._sequencer.is_full

    def client_record(self, client_id: str) -> ClientRecord | None:
        return self.replica.clients.get(client_id)

    def submit(self, client_frame: ClientFrame) -> None:
        """Queue commands for the log; all that arrives in this turn of the loop goes together."""
        if not self._sequencer.pending_bytes:
            self._first_waiting_s = time.perf_counter()
        self._sequencer.add(client_frame)
        if not self._propose_scheduled:
            self._propose_scheduled = True
            self._loop.call_soon(self._propose_turn)

    def _submit_own(self, *commands: Command) -> None:
        """Commands of the exchange itself: they have no numbers and are not sent again."""
        self.submit(ClientFrame("", 0, 0, pack_commands(list(commands))))

    def _propose_turn(self) -> None:
        self._propose_scheduled = False
        self._propose_next()

    def _propose_next(self) -> None:
        if self._in_flight or not self.raft.is_ready:
            return
        payload = self._sequencer.take_batch(time.time_ns())
        if payload is None:
            return
        self._in_flight = True
        self._proposed_s = time.perf_counter()
        self.timings["batch_wait"].add(self._proposed_s - self._first_waiting_s)
        self._first_waiting_s = self._proposed_s
        self.raft.propose(payload)
        if self._sequencer.has_room_again:
            self._port.resume_reading()

    # --- the log ---

    def _apply(self, index: int, term: int, payload: bytes) -> None:
        """A committed batch, on every node, in log order."""
        begun_s = time.perf_counter()
        batch = self.replica.apply(index, term, payload)
        self.events.append(batch)
        for sink in self._sinks.values():
            sink.on_batch(batch)
        if not self.raft.is_ready:
            return
        self._port.publish(batch, self.replica.last_client_ids)
        now_s = time.perf_counter()
        self.timings["apply"].add(now_s - begun_s)
        if self._in_flight:
            self._in_flight = False
            self.timings["replicate"].add(begun_s - self._proposed_s)
            self._propose_next()

    # --- roles ---

    def _role_changed(self) -> None:
        """After a tick in which role, term, leader or standby changed."""
        if self.raft.is_leader:
            role = NodeRole.LEADER
        elif self.raft.standby_id == self.node_id:
            role = NodeRole.STANDBY
        else:
            role = NodeRole.FOLLOWER
        if role is not self.role:
            logger.info("role: %s -> %s (term %d)", self.role, role, self.raft.term)
            self.role = role
            for sink in self._sinks.values():
                sink.on_role(role)
        ready = self.raft.is_ready
        if self._was_ready and not ready:
            self._lost_leadership()
        elif ready and not self._was_ready:
            self._became_ready()
        self._was_ready = ready

    def _became_ready(self) -> None:
        logger.info("taking orders as leader of term %d", self.raft.term)
        self._in_flight = False
        state = self.replica.state_machine.state
        if not state.is_loaded:
            instruments, accounts, sessions = self.settings.reference_data
            self._submit_own(
                LoadReferenceData(CommandKind.LOAD_REFERENCE_DATA, instruments, accounts, sessions),
                SetTradingState(CommandKind.SET_TRADING_STATE, "", self.settings.opening_state, ""),
            )
        for session in state.sessions.values():
            if session.is_open:
                self.client_left(session.gateway_id)
        self._port.became_ready()

    def _lost_leadership(self) -> None:
        self._in_flight = False
        self._sequencer.clear()
        for timer in self._grace.values():
            timer.cancel()
        self._grace.clear()
        self._port.lost_leadership()

    # --- gateways that go away ---

    def client_left(self, client_id: str) -> None:
        """A client's connection ended; if it was a gateway, it has the grace time to come back."""
        if self.raft.is_ready and client_id not in self._grace:
            self._grace[client_id] = self._loop.call_later(
                self.settings.gateway_grace_ms / 1000, self._grace_over, client_id
            )

    def _grace_over(self, client_id: str) -> None:
        self._grace.pop(client_id, None)
        if not self.raft.is_ready or client_id in self._port.clients:
            return
        sessions = self.replica.state_machine.state.sessions.values()
        if any(session.is_open and session.gateway_id == client_id for session in sessions):
            logger.warning("gateway %s did not come back: its sessions are closed", client_id)
            self._submit_own(GatewayLost(CommandKind.GATEWAY_LOST, client_id))

    # --- reads ---

    def answer(self, sink: str, request: Any) -> Any:
        """Answer a query. Raises ValueError with a sentence on nonsense."""
        if sink != "node":
            if sink not in self._sinks:
                raise ValueError(f"no sink {sink!r}; this node has {sorted(self._sinks)}")
            return self._sinks[sink].query(request)
        if not (type(request) is tuple and request and type(request[0]) is str):
            raise ValueError('a node query is an array: ("ping",), ("status",) or ("mark", id)')
        if request == ("ping",):
            return "pong"
        if request == ("status",):
            return self.status()
        if request[0] == "mark" and len(request) == 2 and type(request[1]) is str:
            mark = self.replica.marks.get(request[1])
            return None if mark is None else (mark.event_seq, mark.log_index, mark.state_hash)
        raise ValueError(f"unknown node query {request!r}")

    def status(self) -> dict[str, Any]:
        """Facts for `exchange status`, /status and the metrics."""
        journal = self.raft.journal
        mark = next(reversed(self.replica.marks.values()), None)
        return {
            "node_id": self.node_id,
            "role": str(self.role),
            "ready": self.raft.is_ready,
            "term": self.raft.term,
            "leader_id": self.raft.leader_id,
            "commit_index": self.raft.commit_index,
            "applied_index": self.raft.applied_index,
            "last_log_index": journal.last_index,
            "durable_index": journal.durable_index,
            "journal_bytes": journal.bytes_on_disk,
            "fsyncs": journal.fsync_count,
            "event_seq": self.replica.next_event_seq - 1,
            "applied_commands": self.replica.applied_commands,
            "duplicate_commands": self.replica.duplicate_commands,
            "fenced_frames": self.replica.fenced_frames,
            "state_hash": None if mark is None else mark.state_hash,
            "state_hash_event_seq": None if mark is None else mark.event_seq,
            "durability": str(self.settings.durability),
            "elections": self.raft.elections,
            "peers_connected": self.raft.connected_peers,
            "clients": self._port.clients,
            "batches": self._sequencer.batches,
            "stages_us": {name: timings.summary() for name, timings in self.timings.items()},
            "uptime_s": round(time.monotonic() - self._started_s, 3),
        }
