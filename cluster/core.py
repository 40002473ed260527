"""The heart of a node, without its sockets: queue, Raft, replicated exchange, and who hears of it.

The way of a command through this file: submit -> Sequencer -> Consensus.propose -> (log, majority
on disk) -> _apply on every node -> sinks, event store, clients. One batch of ours is in flight at a
time: what arrives meanwhile becomes the next one, which leaves when the one before it is committed,
and travels while that one is applied.

Time, network and disk come from a Runtime, so a simulation runs this very code.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from cluster.clock import LeaderClock
from cluster.codec import ClientFrame, pack_commands
from cluster.consensus import Consensus
from cluster.interface import AppliedBatch, EventSink, NodeRole, Upkeep
from cluster.replica import ClientRecord
from cluster.runtime import Runtime, Timer
from cluster.sequencer import Sequencer
from cluster.settings import NodeSettings
from cluster.snapshot_keeper import MakeSnapshot, SnapshotKeeper
from cluster.snapshot_receiver import SnapshotReceiver
from cluster.snapshot_transfer import SnapshotSender
from cluster.storage import EVENTS, NodeStorage
from cluster.timings import Timings
from cluster.voting import read_marker, write_marker
from oms.commands import (
    ClockTick,
    Command,
    CommandKind,
    GatewayLost,
    LoadReferenceData,
    SetProtection,
    SetTradingState,
)
from oms.market_commands import clock_is_due

_RECENT_COMMITS: Final = 4_096
_TRANSFER_STEP_S: Final = 0.002
_TRANSFER_TIMEOUT_S: Final = 1.0

logger = logging.getLogger(__name__)


class Clients(Protocol):
    """Those who are told what happened: the client port of a live node."""

    @property
    def clients(self) -> list[str]: ...
    def publish(self, batch: AppliedBatch, client_ids: list[str]) -> None: ...
    def cut(self, client_id: str) -> None: ...
    def became_ready(self) -> None: ...
    def lost_leadership(self) -> None: ...
    def resume_reading(self) -> None: ...


def opening_commands(settings: NodeSettings) -> list[Command]:
    """The first commands in the log of a new cluster."""
    instruments, accounts, sessions = settings.reference_data
    commands: list[Command] = [
        LoadReferenceData(CommandKind.LOAD_REFERENCE_DATA, instruments, accounts, sessions)
    ]
    if settings.protection:
        commands.append(SetProtection(CommandKind.SET_PROTECTION, *settings.protection))
    if settings.opening_state is not None:
        commands.append(
            SetTradingState(CommandKind.SET_TRADING_STATE, "", settings.opening_state, "")
        )
    return commands


class NodeCore:
    """One member of the cluster as a state machine over its runtime.

    `clients` is set before start(). `make_snapshot` blocks; it is called beside the loop.
    `on_snapshot_received(index)`: a snapshot from the leader is ready; the node is to close and to
    start again on it. `wall_clock_ns` stamps batches. `upkeep` says what is done as time passes.
    `on_forgotten(count)` follows a batch of so many events: they were told, and are gone. Raises
    JournalError if the folder is another node's.
    """

    clients: Clients

    def __init__(
        self,
        settings: NodeSettings,
        sinks: dict[str, EventSink],
        storage: NodeStorage,
        runtime: Runtime,
        *,
        make_snapshot: MakeSnapshot,
        on_snapshot_received: Callable[[int], None],
        on_fatal: Callable[[BaseException], None],
        wall_clock_ns: Callable[[], int] = time.time_ns,
        rng: random.Random | None = None,
        upkeep: Upkeep | None = None,
        on_forgotten: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.settings = settings
        self.node_id = settings.node_id
        self.replica = storage.replica
        self.events = storage.events
        self.role = NodeRole.FOLLOWER
        self.timings = {
            **{name: Timings() for name in ("batch_wait", "replicate", "apply", "egress")},
            "fsync": storage.journal.flush_timings,
        }
        self.recent_commits: deque[tuple[int, float]] = deque(maxlen=_RECENT_COMMITS)
        """Time stamp of a batch, and when it was committed here, by time.perf_counter."""
        self.sequencer = Sequencer(settings.max_batch_bytes, settings.max_pending_bytes)
        disk, wal_dir = storage.disk, storage.folders.wal
        self.raft = Consensus(
            settings,
            storage.journal,
            apply=self._apply,
            on_commit=self._committed,
            on_change=self._role_changed,
            on_fatal=on_fatal,
            runtime=runtime,
            base_index=storage.base_index,
            may_vote=read_marker(disk, wal_dir, settings.node_id),
            grant_vote=lambda: write_marker(disk, wal_dir, settings.node_id),
            rng=rng,
        )
        self._sender, self.snapshots = self._wire_snapshots(
            storage, runtime, make_snapshot, on_snapshot_received, on_fatal
        )
        self._storage = storage
        self._sinks = sinks
        self._runtime = runtime
        self._wall_clock_ns = wall_clock_ns
        self._upkeep = upkeep
        self._on_forgotten = on_forgotten
        self._clock = LeaderClock(
            runtime, wall_clock_ns, settings.clock_tick_ms, self._submit_clock_tick
        )
        self._in_flight = False
        self._proposed_s = 0.0
        self._first_waiting_s = 0.0
        self._propose_scheduled = False
        self._was_ready = False
        self._grace: dict[str, Timer] = {}
        self._transfer_to: int | None = None
        self._transfer_deadline_s = 0.0

    def _wire_snapshots(
        self,
        storage: NodeStorage,
        runtime: Runtime,
        make_snapshot: MakeSnapshot,
        on_received: Callable[[int], None],
        on_fatal: Callable[[BaseException], None],
    ) -> tuple[SnapshotSender, SnapshotKeeper]:
        """Those who take, send and receive snapshots, connected with each other and with Raft."""
        settings = self.settings
        sender = SnapshotSender(
            storage.disk,
            storage.snapshots,
            self._day_files,
            self.raft.snapshots.send,
            chunk_bytes=settings.snapshot_chunk_bytes,
            background=runtime.background,
            first_index=lambda: storage.journal.first_index,
            on_missing=self._snapshot_missing,
        )
        receiver = SnapshotReceiver(
            storage.disk,
            storage.folders.incoming,
            frozenset(storage.folders.day),
            self.raft.snapshots.send,
            runtime.background,
            on_received,
            is_needed=self.raft.snapshots.is_needed,
        )
        rank = sorted(settings.raft_addresses).index(settings.node_id)
        keeper = SnapshotKeeper(
            storage,
            self.replica,
            runtime,
            make_snapshot,
            after_bytes=settings.snapshot_after_bytes * (10 + rank) // 10,
            position=self._snapshot_position,
            flush_day_files=self._day_files,
            on_taken=lambda: receiver.abandon_if_idle(runtime.time()),
            is_fetched=lambda: sender.is_busy(runtime.time()),
            on_fatal=on_fatal,
        )
        link = self.raft.snapshots
        link.sender, link.receiver = sender, receiver
        link.on_damaged = keeper.check
        return sender, keeper

    async def start(self) -> None:
        """Replay the journal, then meet the peers."""
        await self.raft.start()
        self.snapshots.start()

    async def close(self) -> None:
        """Leave the cluster."""
        self.snapshots.close()
        self._clock.stop()
        for timer in self._grace.values():
            timer.cancel()
        await self.raft.close()

    # --- commands in ---

    @property
    def is_ready(self) -> bool:
        """Whether this node leads and takes orders."""
        return self.raft.is_ready

    @property
    def leader_id(self) -> int | None:
        """The leader as far as this node knows."""
        return self.raft.leader_id

    @property
    def term(self) -> int:
        """Current Raft term."""
        return self.raft.term

    @property
    def can_take_more(self) -> bool:
        """False while clients must wait."""
        return not self.sequencer.is_full

    def client_record(self, client_id: str) -> ClientRecord | None:
        """What the replicated state knows of a client."""
        return self.replica.clients.get(client_id)

    def submit(self, client_frame: ClientFrame) -> None:
        """Queue commands for the log; all that arrives in this turn of the loop goes together."""
        if not self.sequencer.pending_bytes:
            self._first_waiting_s = time.perf_counter()
        self.sequencer.add(client_frame)
        if not self._propose_scheduled:
            self._propose_scheduled = True
            self._runtime.call_soon(self._propose_turn)

    def _submit_own(self, *commands: Command) -> None:
        """Commands of the exchange itself: they have no numbers and are not sent again."""
        self.submit(ClientFrame("", 0, 0, pack_commands(list(commands))))

    def _submit_clock_tick(self) -> None:
        """Say in the log how late it is, if something is due by it or `upkeep` has something to do:
        what came before must be over by then, and what is due must not wait for the next tick."""
        state, now_ns = self.replica.state_machine.state, self._wall_clock_ns()
        tick = ClockTick(CommandKind.CLOCK_TICK)
        upkeep = self._upkeep(state, now_ns) if self._upkeep is not None else ()
        if self.can_take_more and (upkeep or clock_is_due(state, now_ns)):
            self._submit_own(*((tick, *upkeep, tick) if upkeep else (tick,)))

    def _propose_turn(self) -> None:
        self._propose_scheduled = False
        self._propose_next()

    def _propose_next(self) -> None:
        if self._in_flight or self._transfer_to is not None or not self.raft.is_ready:
            return
        payload = self.sequencer.take_batch(self._wall_clock_ns())
        if payload is None:
            return
        self._in_flight = True
        self._proposed_s = time.perf_counter()
        self.timings["batch_wait"].add(self._proposed_s - self._first_waiting_s)
        self._first_waiting_s = self._proposed_s
        self.raft.propose(payload)
        if self.sequencer.has_room_again:
            self.clients.resume_reading()

    # --- the log ---

    def _committed(self) -> None:
        """On the leader: the batch in flight counts. The next one leaves now, with the news of it,
        and is on its way to the disks while everybody applies this one."""
        if self._in_flight:
            committed, last = self.raft.commit_index, self.raft.journal.last_index
            assert committed == last, f"entry {last} is in flight, {committed} is committed"
            self._in_flight = False
            self.timings["replicate"].add(time.perf_counter() - self._proposed_s)
            self._propose_next()

    def _apply(self, index: int, term: int, payload: bytes) -> None:
        """A committed batch, on every node, in log order."""
        self._on_forgotten(self._apply_and_tell(index, term, payload))

    def _apply_and_tell(self, index: int, term: int, payload: bytes) -> int:
        """Returns the number of events; nobody has them any more."""
        begun_s = time.perf_counter()
        batch = self.replica.apply(index, term, payload)
        self.recent_commits.append((batch.time_ns, begun_s))
        self.events.append(batch)
        for sink in self._sinks.values():
            sink.on_batch(batch)
        if not self.raft.is_ready:
            return len(batch.events)
        applied_s = time.perf_counter()
        self.timings["apply"].add(applied_s - begun_s)
        self.clients.publish(batch, self.replica.last_client_ids)
        for client_id in self.replica.last_gaps:
            self.clients.cut(client_id)  # it says hello again, and sends again what is missing
        self.timings["egress"].add(time.perf_counter() - applied_s)
        return len(batch.events)

    # --- snapshots ---

    def _snapshot_position(self) -> int:
        """The state after this entry can be rebuilt from our disk."""
        return min(self.raft.applied_index, self.raft.journal.durable_index)

    def _snapshot_missing(self) -> None:
        self.snapshots.take_at_once()

    def _day_files(self) -> dict[str, tuple[Path, list[tuple[str, int]]]]:
        """Day files as they are now, by folder name."""
        folder = self._storage.folders.events
        files = {EVENTS: (folder, self._storage.events.files())}
        return files | {name: sink.day_files() for name, sink in self._sinks.items()}

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
            self._submit_own(*opening_commands(self.settings))
        self._clock.start()
        served = self.clients.clients
        for session in state.sessions.values():
            if session.is_open and session.gateway_id not in served:
                self.client_left(session.gateway_id)
        self.clients.became_ready()

    def _lost_leadership(self) -> None:
        self._clock.stop()
        self._in_flight = False
        self._transfer_to = None
        self.sequencer.clear()
        for timer in self._grace.values():
            timer.cancel()
        self._grace.clear()
        self.clients.lost_leadership()

    # --- planned transfer ---

    def transfer(self, to: int | None = None) -> int:
        """Hand leadership over, to the most caught-up peer unless one is named; returns to whom.

        New batches wait while the last one commits and the peer catches up; then it is asked to
        stand. If it does not lead within a second, this node goes on. Raises ValueError with a
        sentence when this cannot be."""
        if not self.raft.is_ready:
            raise ValueError(f"node {self.node_id} is not the leader; node {self.leader_id} is")
        if to == self.node_id:
            raise ValueError(f"node {to} leads already")
        target = self.raft.most_caught_up() if to is None else to
        if target is None or target not in self.raft.connected_peers:
            connected = self.raft.connected_peers
            raise ValueError(f"node {target} is not connected to the leader; {connected} are")
        if self._transfer_to is not None:
            raise ValueError(f"a transfer to node {self._transfer_to} is under way")
        logger.info("handing over to node %d", target)
        self._transfer_to = target
        self._transfer_deadline_s = self._runtime.time() + _TRANSFER_TIMEOUT_S
        self._transfer_step()
        return target

    def _transfer_step(self) -> None:
        """Ask once the log is level; give up at the deadline."""
        target = self._transfer_to
        if target is None:
            return
        if self._runtime.time() > self._transfer_deadline_s:
            logger.warning("node %d did not take over: going on as leader", target)
            self._end_transfer()
            return
        asked = not self._in_flight and self.raft.hand_over(target)
        wait_s = 0.1 if asked else _TRANSFER_STEP_S  # once asked, an election needs a moment
        self._runtime.call_later(wait_s, self._transfer_step)

    def _end_transfer(self) -> None:
        self._transfer_to = None
        self._propose_next()

    # --- gateways that go away ---

    def client_joined(self, client_id: str) -> None:
        """A client is served again: its next absence has the whole grace time."""
        timer = self._grace.pop(client_id, None)
        if timer is not None:
            timer.cancel()

    def client_left(self, client_id: str) -> None:
        """A client's connection ended; if it was a gateway, it has the grace time to come back."""
        if self.raft.is_ready and client_id not in self._grace:
            self._grace[client_id] = self._runtime.call_later(
                self.settings.gateway_grace_ms / 1000, lambda: self._grace_over(client_id)
            )

    def _grace_over(self, client_id: str) -> None:
        self._grace.pop(client_id, None)
        if not self.raft.is_ready or client_id in self.clients.clients:
            return
        sessions = self.replica.state_machine.state.sessions.values()
        if any(session.is_open and session.gateway_id == client_id for session in sessions):
            logger.warning("gateway %s did not come back: its sessions are closed", client_id)
            self._submit_own(GatewayLost(CommandKind.GATEWAY_LOST, client_id))
