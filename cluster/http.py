"""HTTP of a node, for people and machines that watch it: /healthz /readyz /status /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from cluster.settings import Address

_GAUGES: Final = {
    "term": "current Raft term",
    "commit_index": "last log index known to be committed",
    "applied_index": "last log index applied",
    "last_log_index": "last index in the journal",
    "durable_index": "last index covered by a finished fdatasync",
    "journal_bytes": "bytes of the journal on disk",
    "fsyncs": "fdatasync calls",
    "event_seq": "number of the last event",
    "applied_commands": "commands applied",
    "duplicate_commands": "commands dropped because they had been seen",
    "elections": "elections this node stood for",
    "batches": "batches proposed by this node",
    "snapshot_index": "log entry after which the newest snapshot is",
    "snapshots_taken": "snapshots taken since start",
    "snapshots_failed": "snapshots that came to nothing",
    "journal_bytes_since_snapshot": "growth of the journal since the newest snapshot",
    "longest_pause_ms": "how late the event loop was at most",
    "uptime_s": "seconds since start",
}


class Watched(Protocol):
    """What HTTP needs of a node."""

    def status(self) -> dict[str, Any]: ...


class _Collector:
    """Reads the node's status at each scrape."""

    def __init__(self, node: Watched) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Metrics as prometheus_client wants them."""
        status = self._node.status()
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"exchange_node_{name}", text, value=status[name])
        yield GaugeMetricFamily(
            "exchange_node_is_leader", "1 on the leader", value=int(status["role"] == "leader")
        )
        stages = GaugeMetricFamily(
            "exchange_node_stage_us", "microseconds per batch", labels=["stage", "statistic"]
        )
        for stage, summary in status["stages_us"].items():
            for statistic, value in summary.items():
                stages.add_metric([stage, statistic], value)
        yield stages
        pauses = GaugeMetricFamily(
            "exchange_node_pauses", "how often the event loop was late", labels=["longer_than_ms"]
        )
        for limit_ms, count in status["pauses_longer_than_ms"].items():
            pauses.add_metric([limit_ms], count)
        yield pauses


class NodeHttp:
    """The HTTP server of a node."""

    def __init__(self, node: Watched, bind: Address) -> None:
        self._node = node
        self._bind = bind
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(node))
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/status", self._status)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_route("*", "/{path:.*}", self._not_found)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._bind.host, self._bind.port).start()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _not_found(self, _: web.Request) -> web.Response:
        """All else. What aiohttp raises for it would keep connection and request in a ring, and a
        node does not look for garbage among what is older than a moment (cluster/garbage.py)."""
        return web.Response(status=404, text="there are /healthz /readyz /status /metrics\n")

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        """200 once there is a leader and this node has applied what it knows to be committed."""
        status = self._node.status()
        caught_up = status["applied_index"] >= status["commit_index"]
        if status["leader_id"] is not None and caught_up:
            return web.Response(text="ready\n")
        reason = "no leader" if status["leader_id"] is None else "catching up"
        return web.Response(status=503, text=f"not ready: {reason}\n")

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._node.status())

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")
