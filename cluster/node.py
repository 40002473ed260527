"""One node: the core, with a journal on disk, an event store, a client port and HTTP around it."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from pathlib import Path
from typing import Any

from cluster.build import is_compiled
from cluster.client_port import ClientPort
from cluster.core import NodeCore
from cluster.disk import RealDisk
from cluster.event_store import EventStore
from cluster.garbage import YoungEvents, no_collection
from cluster.http import NodeHttp
from cluster.interface import EventSink, NodeRole, Upkeep
from cluster.runtime import LiveRuntime
from cluster.settings import NodeSettings
from cluster.snapshot_maker import MakerProcess
from cluster.storage import NodeFolders, NodeStorage
from oms.market_status import market_status

logger = logging.getLogger(__name__)


class NodeFailed(Exception):
    """The node had to stop. The text names the log index and where the journal is."""


class Node:
    """One member of the cluster, with everything that lives on its events.

    `sinks` get every batch, and answer queries under their names ("itch" ...). `derivations` is
    MODULE:FUNCTION, which makes their derivations, by the same names, in the process that takes
    snapshots; "" when there are no sinks. `upkeep` is asked at each tick of the leader's clock.
    """

    def __init__(
        self,
        settings: NodeSettings,
        sinks: dict[str, EventSink],
        derivations: str = "",
        upkeep: Upkeep | None = None,
    ) -> None:
        assert bool(sinks) == bool(derivations), "sinks and their derivations come together"
        self.settings = settings
        self.node_id = settings.node_id
        self.core: NodeCore
        self.events: EventStore
        self._sinks = sinks
        self._derivations = derivations
        self._upkeep = upkeep
        self._started_s = time.monotonic()
        self._start_facts = {"load_s": 0.0, "replay_s": 0.0, "replayed_commands": 0}
        self._stopped: asyncio.Future[None]

    # --- life ---

    async def start(self) -> None:
        """Open the journal, replay, listen. Raises JournalError, OSError (port taken),
        TlsError."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_exception)
        self._stopped = loop.create_future()
        with no_collection():
            await self._open_and_replay()
        await self._port.start()
        logger.info("node %d is up, data in %s", self.node_id, self.settings.data_dir)

    async def _open_and_replay(self) -> None:
        begun_s = time.monotonic()
        folders = NodeFolders(
            self.settings.data_dir,
            {name: sink.day_files()[0] for name, sink in self._sinks.items()},
        )
        storage = NodeStorage(
            RealDisk(),
            folders,
            segment_bytes=self.settings.segment_bytes,
            day_files_bytes=self.settings.day_files_bytes,
            node_id=self.node_id,
        )
        self._start_facts["load_s"] = round(time.monotonic() - begun_s, 3)
        self.events = storage.events
        for name, sink in self._sinks.items():
            sink.restore(None if storage.base is None else storage.base.derived[name])
        self._maker = MakerProcess(folders, self._derivations)
        runtime = LiveRuntime()
        self.core = NodeCore(
            self.settings,
            self._sinks,
            storage,
            runtime,
            make_snapshot=self._maker.make,
            on_snapshot_received=self._snapshot_received,
            on_fatal=self._fatal,
            upkeep=self._upkeep,
            on_forgotten=YoungEvents().add,
        )
        self._port = ClientPort(
            self.core,
            self.events,
            self.answer,
            self.settings.client_bind,
            runtime,
            self.settings.tls,
        )
        self._http = NodeHttp(self, self.settings.http_bind)
        self.core.clients = self._port
        for sink in self._sinks.values():
            await sink.start()
        await self._http.start()
        begun_s, loaded_commands = time.monotonic(), storage.replica.applied_commands
        await self.core.start()
        self._start_facts["replay_s"] = round(time.monotonic() - begun_s, 3)
        replayed = storage.replica.applied_commands - loaded_commands
        self._start_facts["replayed_commands"] = replayed

    @property
    def role(self) -> NodeRole:
        """Leader, standby or follower."""
        return self.core.role

    async def run(self) -> None:
        """Serve until stop() is called, or until the node has to be closed, made anew and started
        on a snapshot that it received. Raises NodeFailed when it must not go on."""
        await asyncio.shield(self._stopped)

    def stop(self) -> None:
        """End run()."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    async def close(self) -> None:
        """Close everything that start() opened."""
        self._maker.stop()
        await self._port.close()
        await self.core.close()
        for sink in self._sinks.values():
            await sink.close()
        await self._http.close()
        self.events.close()

    def _snapshot_received(self, index: int) -> None:
        logger.info("the snapshot after entry %d is here: starting again on it", index)
        self.stop()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Whatever a callback raises is a bug or a broken disk, and stops the node: an event loop
        would only log it, and somebody would wait for ever. A lost connection is neither."""
        error = context.get("exception")
        if isinstance(error, ConnectionError | TimeoutError | ssl.SSLError):
            logger.info("%s: %s", context.get("message"), error)
        elif error is None:
            logger.error("%s", context.get("message"))
        else:
            self._fatal(error)

    def _fatal(self, error: BaseException) -> None:
        index = self.core.raft.applied_index if hasattr(self, "core") else 0
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

    # --- reads ---

    def answer(self, sink: str, request: Any) -> Any:
        """Answer a query. Raises ValueError with a sentence on nonsense."""
        if sink != "node":
            if sink not in self._sinks:
                raise ValueError(f"no sink {sink!r}; this node has {sorted(self._sinks)}")
            return self._sinks[sink].query(request)
        if not (type(request) is tuple and request and type(request[0]) is str):
            raise ValueError(
                'a node query is an array: ("ping",), ("status",), ("market",), ("commits",), '
                '("mark", id), ("transfer", to), ("snapshot",)'
            )
        if request == ("ping",):
            return "pong"
        if request == ("status",):
            return self.status()
        if request == ("market",):
            return market_status(self.core.replica.state_machine.state)
        if request == ("commits",):
            return list(self.core.recent_commits)
        if request == ("snapshot",):
            return self.core.snapshots.take()
        if request[0] == "mark" and len(request) == 2 and type(request[1]) is str:
            mark = self.core.replica.marks.get(request[1])
            return None if mark is None else (mark.event_seq, mark.log_index, mark.state_hash)
        if request[0] == "transfer" and len(request) == 2:
            if request[1] is not None and type(request[1]) is not int:
                raise ValueError("a transfer names a node by its number, or nobody")
            return self.core.transfer(request[1])
        raise ValueError(f"unknown node query {request!r}")

    def status(self) -> dict[str, Any]:
        """Facts for `exchange status`, /status and the metrics."""
        journal = self.core.raft.journal
        mark = next(reversed(self.core.replica.marks.values()), None)
        return {
            "node_id": self.node_id,
            "role": str(self.core.role),
            "ready": self.core.raft.is_ready,
            "may_vote": self.core.raft.may_vote,
            "term": self.core.raft.term,
            "leader_id": self.core.raft.leader_id,
            "commit_index": self.core.raft.commit_index,
            "applied_index": self.core.raft.applied_index,
            "last_log_index": journal.last_index,
            "durable_index": journal.durable_index,
            "journal_bytes": journal.bytes_on_disk,
            "first_log_index": journal.first_index,
            "fsyncs": journal.fsync_count,
            **self.core.snapshots.status(),
            "event_seq": self.core.replica.next_event_seq - 1,
            "applied_commands": self.core.replica.applied_commands,
            "duplicate_commands": self.core.replica.duplicate_commands,
            "fenced_frames": self.core.replica.fenced_frames,
            "state_hash": None if mark is None else mark.state_hash,
            "state_hash_event_seq": None if mark is None else mark.event_seq,
            "durability": str(self.settings.durability),
            "compiled": is_compiled(),
            "elections": self.core.raft.elections,
            "peers_connected": self.core.raft.connected_peers,
            "clients": self._port.clients,
            "batches": self.core.sequencer.batches,
            "stages_us": {name: timings.summary() for name, timings in self.core.timings.items()},
            "pauses_longer_than_ms": self.core.raft.pauses.longer_than(),
            "longest_pause_ms": round(1000 * self.core.raft.pauses.longest_s, 1),
            **self._start_facts,
            "uptime_s": round(time.monotonic() - self._started_s, 3),
        }
