"""One member's consensus: propose(payload) here, apply(index, term, payload) everywhere.

pysyncobj (cluster/raft.py) decides; this file ticks it, carries its messages through the rules of
cluster/guard.py, and has cluster/disk_gate.py hold back what must wait for a disk.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

from cluster import guard
from cluster.candidacy import Candidacy
from cluster.disk_gate import DiskGate
from cluster.journal import Journal
from cluster.raft import RaftCore
from cluster.runtime import Runtime
from cluster.settings import NodeSettings
from cluster.snapshot_link import SnapshotLink
from cluster.stalls import Stalls
from cluster.vouching import Vouching

_REPLAY_ENTRIES_PER_TURN: Final = 500
_HEARTBEATS: Final = ("append_entries", "next_node_idx")
"""Messages, with entries or without, of which there are many when nothing happens."""

logger = logging.getLogger(__name__)


class Consensus:
    """One member of the cluster. All methods and callbacks belong to the event loop.

    `apply(index, term, payload)` is called once per committed batch, in order. `on_commit()` is
    called on the leader when more is committed, before it is applied: the time to propose what
    comes next. `on_change()` is called after a tick in which role, term, leader or standby changed.
    `on_fatal(error)` is called at most once, for what must stop the process: a broken disk, a
    violated safety rule, a bug.
    """

    def __init__(
        self,
        settings: NodeSettings,
        journal: Journal,
        *,
        apply: Callable[[int, int, bytes], None],
        on_commit: Callable[[], None],
        on_change: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
        runtime: Runtime,
        base_index: int,
        may_vote: bool,
        grant_vote: Callable[[], None],
        rng: random.Random | None = None,
    ) -> None:
        """`base_index`: the state is already the one after this entry of the journal (0: a new
        state). `may_vote`: the folder has the marker of a voter; `grant_vote()` writes it durably
        (see cluster/voting.py)."""
        self.journal = journal
        self.standby_id: int | None = None
        self._settings = settings
        self._members = _members(settings)
        self._on_commit = on_commit
        self._on_change = on_change
        self._on_fatal = on_fatal
        self._failed = False
        self._runtime = runtime
        self._time = runtime.time
        self._last_view: tuple[Any, ...] = ()
        self._was_leader = False
        self._tick_scheduled = False
        self._ticking = False
        self._closed = False
        self._gate = DiskGate(journal, runtime, on_durable=self._durable, on_error=self._fail)
        others = tuple(member for member in self._members if member != settings.node_id)
        self._core = RaftCore(
            settings.node_id,
            list(others),
            journal,
            heartbeat_s=settings.heartbeat_ms / 1000,
            fallback_s=2 * settings.suspect_after_ms / 1000,
            base_index=base_index,
            apply=apply,
            on_commit=self._committed,
            send=self._send,
            offer_snapshot=self._offer_snapshot,
            backlog=self._backlog,
        )
        self._bridge = self._core.bridge
        self._candidacy = Candidacy(
            settings,
            journal,
            self._core,
            self._gate,
            runtime,
            may_vote=may_vote,
            grant_vote=grant_vote,
            schedule_tick=self.schedule_tick,
            rng=rng or random.Random(),
        )
        self._stalls = Stalls(self._time, self._candidacy, self._core, self._gate)
        self.pauses = self._stalls.pauses
        self._vouching = Vouching(
            settings.durability, journal, self._core, self._gate, self._candidacy
        )
        self.snapshots = SnapshotLink(
            journal,
            self._core,
            self._candidacy,
            runtime,
            heartbeat_s=settings.heartbeat_ms / 1000,
        )
        """How snapshots go to peers and come from them; its parts are set before start()."""

    # --- life ---

    async def start(self) -> None:
        """Replay what is known to be committed, then meet the peers."""
        self._gate.start()
        self._core.doTick(0)  # pysyncobj expects no message before its first tick
        await self._replay()
        self._network = self._runtime.network(
            self._settings,
            on_message=self._received,
            on_connected=self._connected,
            on_disconnected=self._disconnected,
        )
        for part in (self._gate, self._candidacy, self._vouching, self.snapshots):
            part.network = self._network
        await self._network.start()
        self._stalls.begin()
        self._beat()

    async def _replay(self) -> None:
        known = min(self.journal.recovered_commit_index, self.journal.last_index)
        started_s, reported_s, begun_at = self._time(), self._time(), self.applied_index
        while self.applied_index < known:
            self._core.apply_recovered(min(self.applied_index + _REPLAY_ENTRIES_PER_TURN, known))
            if self._time() - reported_s > 1:
                reported_s = self._time()
                logger.info("replay: log entry %d of %d", self.applied_index, known)
            await asyncio.sleep(0)
        replayed = max(0, self.applied_index - begun_at)
        logger.info("replayed %d log entries in %.2f s", replayed, self._time() - started_s)

    async def close(self) -> None:
        """Leave the cluster; the others elect a new leader if this was it."""
        self._closed = True
        if hasattr(self, "_network"):
            await self._network.close()
        self.snapshots.receiver.close()
        self._gate.close(flush=not self._failed)
        self._core.destroy()

    # --- what the node asks ---

    @property
    def is_leader(self) -> bool:
        """Leader of the current term; it may take orders once `is_ready`."""
        return self._core.is_leader

    @property
    def is_ready(self) -> bool:
        """Leader, and everything that earlier leaders committed is applied here."""
        noop = self._core.noop_index
        return self.is_leader and noop is not None and self._core.applied_index >= noop

    @property
    def leader_id(self) -> int | None:
        """The leader as far as this node knows."""
        return self._settings.node_id if self.is_leader else self._candidacy.leader_id

    @property
    def term(self) -> int:
        return self._core.term

    @property
    def commit_index(self) -> int:
        return self._core.commit_index

    @property
    def applied_index(self) -> int:
        return self._core.applied_index

    @property
    def may_vote(self) -> bool:
        """False on a node that has not yet caught up after a first start or a lost disk."""
        return self._candidacy.may_vote

    @property
    def elections(self) -> int:
        """How often this node stood for election."""
        return self._candidacy.elections

    @property
    def connected_peers(self) -> list[int]:
        """Ids of the peers that this node is connected to."""
        return self._network.connected

    def propose(self, payload: bytes) -> None:
        """Put one batch into the log. Only the leader may; it may be lost if leadership is."""
        assert self.is_leader, "only the leader proposes"
        self._core.apply_batch(payload)
        if not self._ticking:  # a tick takes proposals at its end
            self._tick()

    def most_caught_up(self) -> int | None:
        """On the leader: the connected peer with the longest log, None if none is connected."""
        peers = self.connected_peers
        return max(peers, key=self._core.match_index, default=None)

    def hand_over(self, peer_id: int) -> bool:
        """Planned transfer: ask a peer to stand for election at once, without a pre-vote. Only when
        it has our whole log, or it could not win; returns whether it was asked. (Raft "TimeoutNow",
        Ongaro 3.10.)"""
        if not self.is_leader or self._core.match_index(peer_id) < self.journal.last_index:
            return False
        self._network.send(peer_id, {"type": "campaign_now", "term": self.term})
        return True

    # --- ticks ---

    def schedule_tick(self) -> None:
        """Tick on the next turn of the loop; many calls in one turn make one tick."""
        if not self._tick_scheduled and not self._closed:
            self._tick_scheduled = True
            self._runtime.call_soon(self._tick)

    def _tick(self) -> None:
        self._tick_scheduled = False
        if self._failed or self._closed:
            return
        assert not self._ticking, "a tick inside a tick"
        self._ticking = True
        try:
            self._stalls.excuse_lateness()
            self._gate.flush()  # the disk works while we apply
            begun_s = self._time()
            self._core.doTick(0)
            self._stalls.excuse_apply(self._time() - begun_s)
            if not self._core.is_leader:
                self._core.drop_proposals()
                self._gate.forget_acknowledgements()
            self._gate.flush()
            self._candidacy.seek_vote()
            if self.applied_index < self.commit_index:
                self.schedule_tick()  # a backlog is applied a piece per tick
        except Exception as error:
            self._fail(error)
        finally:
            self._ticking = False
        if not self._failed:
            self._note_changes()

    def _beat(self) -> None:
        """Heartbeats and time-outs."""
        if self._closed or self._failed:
            return
        self._stalls.excuse_lateness()
        period_s = self._settings.heartbeat_ms / 1000
        self._stalls.expect_beat(period_s)
        self._runtime.call_later(period_s, self._beat)
        if self.is_leader and self._gate.hangs:
            logger.error("a write to the journal hangs: no longer leading")
            self._core.step_down()
        if self.is_leader:
            self._candidacy.leads()
        else:
            self._stand_if_due()
        self._candidacy.ask_for_positions()
        if self.is_leader or self._has_work:
            self._tick()
        else:
            self._note_changes()

    @property
    def _has_work(self) -> bool:
        """Whether a tick may have something to do, now that a heartbeat or the answer to one was
        taken in. An idle cluster costs little if it ticks no more than it must; and what this does
        not see, a leader's next heartbeat does."""
        return (
            self.applied_index < self.journal.last_index
            or self.journal.needs_sync()
            or not self.may_vote
        )

    def _committed(self) -> None:
        """Called by pysyncobj inside a tick of the leader, before it applies: what is proposed now
        goes to the disks meanwhile."""
        self._on_commit()
        self._core.take_proposals()
        self._gate.flush()

    def _stand_if_due(self) -> None:
        try:
            self._candidacy.stand_if_due()
        except Exception as error:
            self._fail(error)

    def _note_changes(self) -> None:
        if self.is_leader:
            connected = self._network.connected
            self.standby_id = connected[0] if connected else None
        view = (self._core.state, self._core.term, self.leader_id, self.standby_id, self.is_ready)
        if view == self._last_view:
            return
        was_leader = self._was_leader
        if was_leader and not self.is_leader:
            self._candidacy.stepped_down()
            logger.warning(
                "no longer the leader (term %d); the others were last heard %s ms ago",
                self.term,
                self._core.silences_ms,
            )
        if self.is_leader and not was_leader:
            self._candidacy.leads()
            logger.info("leader of term %d", self.term)
        self._last_view = view
        self._was_leader = self.is_leader
        try:
            self._on_change()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed:
            self._failed = True
            self._on_fatal(error)

    # --- disk ---

    def _durable(self, acknowledgements: dict[int, dict[str, Any]]) -> None:
        """A flush has returned."""
        if self._failed or self._closed:
            return
        for peer_id, message in acknowledgements.items():
            self._vouching.count(peer_id, message)
        self._gate.flush()
        if self.is_leader:
            self._tick()

    # --- messages out ---

    def _backlog(self, peer_id: int) -> int:
        return self._network.backlog(peer_id)

    def _send(self, peer_id: int, message: dict[str, Any]) -> None:
        """Called by pysyncobj, inside a tick or inside a delivery."""
        kind = message["type"]
        if kind in ("next_node_idx", "request_vote", "response_vote"):
            self._vouching.send(peer_id, message)
        elif kind == "append_entries" and "prevLogIdx" in message and "transmission" not in message:
            if self.standby_id is not None:
                message = message | {"standby": str(self.standby_id)}
            self._network.send(peer_id, message)
        # All else is never used: pysyncobj's own snapshots and cut entries, and apply_command, by
        # which it would forward proposals to the leader. Clients do that.

    def _offer_snapshot(self, peer_id: int) -> None:
        """Called by pysyncobj in the place of entries that the journal no longer has."""
        self.snapshots.offer(peer_id)

    # --- messages in ---

    def _received(self, peer_id: int, epoch: int, message: dict[str, Any]) -> None:
        if self._failed or self._closed:
            return
        try:
            self._handle(peer_id, epoch, message)
        except Exception as error:
            self._fail(error)
            return
        if self._has_work or message["type"] not in _HEARTBEATS:
            self.schedule_tick()

    def _handle(self, peer_id: int, epoch: int, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "append_entries":
            self._append_entries(peer_id, message)
        elif kind == "next_node_idx":
            self._vouching.received(peer_id, epoch, message)
        elif kind.startswith("snapshot_"):
            self.snapshots.handle(peer_id, message)
        elif kind == "higher_term":
            outdating = guard.outdate_leader(
                message, current_term=self.term, is_leader=self.is_leader
            )
            if outdating is not None:
                self._bridge.deliver(peer_id, outdating)
        else:
            self._candidacy.handle(peer_id, message, is_leader=self.is_leader)

    def _append_entries(self, peer_id: int, message: dict[str, Any]) -> None:
        delivery = guard.check_append_entries(
            message,
            self.journal,
            current_term=self.term,
            commit_index=self.commit_index,
            applied_index=self.applied_index,
            is_leader=self.is_leader,
        )
        if delivery.message is None:
            if delivery.reply is not None:
                self._network.send(peer_id, delivery.reply)
            return
        self._vouching.delivery = delivery
        try:
            self._bridge.deliver(peer_id, delivery.message)
        finally:
            self._vouching.delivery = None
        self._candidacy.heard_leader(peer_id)
        standby = message.get("standby", "")
        self.standby_id = int(standby) if standby.isdigit() else None

    # --- connections ---

    def _connected(self, peer_id: int, epoch: int) -> None:
        logger.info("node %d connected", peer_id)
        self._bridge.connected(peer_id)
        self.schedule_tick()

    def _disconnected(self, peer_id: int, epoch: int) -> None:
        logger.info("node %d disconnected", peer_id)
        self._gate.forget_acknowledgements(peer_id)
        self._core.forget_match(peer_id)
        self._core.end_patience(peer_id)
        self._bridge.disconnected(peer_id)
        if not self.is_leader and not self._closed:
            try:
                self._candidacy.lost_connection(peer_id)
            except Exception as error:
                self._fail(error)
        self.schedule_tick()


def _members(settings: NodeSettings) -> tuple[int, ...]:
    """Ids of all members. Raises ValueError."""
    members = tuple(sorted(settings.raft_addresses))
    if len(members) < 3 or settings.node_id not in members:
        raise ValueError(
            f"nodes: {list(members)}; a cluster has at least 3 members, "
            f"this one (node {settings.node_id}) among them"
        )
    return members
