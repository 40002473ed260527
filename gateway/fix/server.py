"""The FIX gateway process: sockets, timers, HTTP around the order entry."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cluster.client import ClusterClient, ConnectionState, EventBatch
from cluster.settings import Address
from gateway.fix.connection import Connection
from gateway.fix.counters import CommandQueue
from gateway.fix.metrics import Metrics
from gateway.fix.order_entry import OrderEntry
from gateway.fix.settings import FixGatewaySettings

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_CLOSE_PATIENCE_S = 2.0


class Cluster(CommandQueue, Protocol):
    """The part of ClusterClient that the gateway needs."""

    refusal: str

    async def start(self) -> None:
        """Connect; returns when the first leader has answered."""

    async def close(self) -> None:
        """Disconnect."""

    @property
    def state(self) -> ConnectionState:
        """Whether a leader is being talked to."""


class ClusterFactory(Protocol):
    """Makes a Cluster; ClusterClient itself is one."""

    def __call__(
        self,
        client_id: str,
        nodes: dict[int, Address],
        *,
        on_batch: Callable[[EventBatch], None],
        on_state: Callable[[ConnectionState], None] | None,
        owners: Sequence[str] | None,
        from_event_seq: int,
        max_pending: int,
    ) -> Cluster: ...


class FixGateway:
    """One gateway. start() returns when orders are accepted; run() when the gateway has stopped.

    Whatever goes wrong in a callback (a full disk, a bug) stops the gateway: run() raises it, and
    nothing is sent any more that the stores do not hold.
    """

    def __init__(
        self, settings: FixGatewaySettings, *, cluster: ClusterFactory = ClusterClient
    ) -> None:
        self.settings = settings
        self._make_cluster = cluster
        self._cluster: Cluster | None = None
        self._metrics = Metrics()
        self._order_entry: OrderEntry | None = None
        self._server: asyncio.Server | None = None
        self._http: web.AppRunner | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._is_closing = False
        self._all_answered = asyncio.Event()

    @property
    def address(self) -> Address:
        """Where FIX clients connect (the real port when the settings say 0). After start()."""
        assert self._server is not None, "start() comes first"
        host, port = self._server.sockets[0].getsockname()[:2]
        return Address(host, port)

    @property
    def http_address(self) -> Address:
        """Where HTTP is served. After start()."""
        assert self._http is not None, "start() comes first"
        host, port = self._http.addresses[0][:2]
        return Address(host, port)

    async def start(self) -> None:
        """Open the stores, serve HTTP, wait for the cluster, then listen for clients.

        Raises StoreError for a store that cannot be used, OSError for a port that is taken.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_exception)
        self._stopped = loop.create_future()
        order_entry = OrderEntry(
            self.settings,
            clock_ns=time.time_ns,
            call_soon=loop.call_soon,
            observe_latency_ns=self._metrics.observe_latency_ns,
        )
        self._order_entry = order_entry
        self._metrics.register(order_entry)
        await self._start_http()
        self._cluster = self._make_cluster(
            self.settings.gateway_id,
            self.settings.nodes,
            on_batch=self._on_batch,
            on_state=self._on_cluster_state,
            owners=list(self.settings.sessions),
            from_event_seq=order_entry.from_event_seq,
            max_pending=order_entry.queue_capacity,
        )
        order_entry.attach(self._cluster)
        await self._cluster.start()
        order_entry.close_left_open()
        self._server = await loop.create_server(
            lambda: Connection(order_entry), self.settings.bind.host, self.settings.bind.port
        )
        self._tick()
        logger.info("FIX gateway %s listens on %s", self.settings.gateway_id, self.address)

    async def run(self) -> None:
        """Wait until close() or until something went wrong, which is raised."""
        assert self._stopped is not None, "start() comes first"
        await self._stopped

    async def close(self) -> None:
        """Log every client out, tell the cluster, close the stores. Can be called twice."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._order_entry is not None and self._cluster is not None:
            if self._server is not None:
                self._order_entry.log_out_all("The gateway is shutting down")
            await self._wait_for_answers(self._cluster)
            await self._cluster.close()
        if self._order_entry is not None:
            self._order_entry.close()
        if self._http is not None:
            await self._http.cleanup()
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    def _on_batch(self, batch: EventBatch) -> None:
        assert self._order_entry is not None, "start() comes first"
        self._order_entry.on_batch(batch)
        if self._is_closing and self._cluster is not None and not self._cluster.pending:
            self._all_answered.set()

    async def _wait_for_answers(self, cluster: Cluster) -> None:
        """Give the last commands a moment to be answered; unanswered ones stay unknown, and the
        clients will be asked for them again."""
        if cluster.pending:
            try:
                await asyncio.wait_for(self._all_answered.wait(), _CLOSE_PATIENCE_S)
            except TimeoutError:
                logger.warning("%d commands are left without an answer", cluster.pending)

    def _tick(self) -> None:
        assert self._order_entry is not None, "start() comes first"
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        self._order_entry.on_time()

    def _on_cluster_state(self, state: ConnectionState) -> None:
        logger.info("cluster: %s", state)
        if state is ConnectionState.REFUSED:
            assert self._cluster is not None, "start() comes first"
            self._fail(
                RuntimeError(
                    f"the cluster refuses gateway {self.settings.gateway_id}: "
                    f"{self._cluster.refusal}. This process stops; each gateway needs its own id"
                )
            )

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception left a callback: the gateway must not go on as if nothing had been."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
            return
        logger.critical("%s", context.get("message"), exc_info=error)
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._order_entry is not None:
            self._order_entry.abandon()
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_exception(error)

    # ---- HTTP ----

    async def _start_http(self) -> None:
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._serve_metrics)
        application.router.add_get("/sessions", self._sessions)
        self._http = web.AppRunner(application, access_log=None)
        await self._http.setup()
        bind = self.settings.http_bind
        await web.TCPSite(self._http, bind.host, bind.port).start()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        state = self._cluster.state if self._cluster is not None else ConnectionState.SEARCHING
        is_ready = state is ConnectionState.READY and self._server is not None
        return web.Response(
            text="ready\n" if is_ready else f"cluster {state}\n", status=200 if is_ready else 503
        )

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _sessions(self, request: web.Request) -> web.Response:
        """[{"comp_id", "account", "state", "next_in", "next_out", "unanswered", "peer"}]"""
        assert self._order_entry is not None, "start() comes first"
        return web.json_response(
            [
                {
                    "comp_id": comp_id,
                    "account": session.settings.account,
                    "state": str(session.fix.state),
                    "next_in": session.fix.next_in,
                    "next_out": session.fix.next_out,
                    "unanswered": len(session.unanswered),
                    "peer": session.connection.peer if session.connection else None,
                }
                for comp_id, session in self._order_entry.sessions.items()
            ]
        )
