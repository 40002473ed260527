"""What every gateway process is: a cluster on one side, a listening port on the other, HTTP beside.

A protocol brings its order entry and its connections; this brings everything around them.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from cluster.client import ClusterClient, ConnectionState, EventBatch
from cluster.settings import Address
from cluster.timings import Timings
from cluster.tls import Listener
from gateway.control import FILE_NAME as CONTROL_SOCKET
from gateway.control import Control
from gateway.metrics import StageCollector
from oms.commands import Command

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_CLOSE_PATIENCE_S = 2.0


class CommandQueue(Protocol):
    """The part of ClusterClient that an order entry needs."""

    @property
    def pending(self) -> int:
        """Number of commands without an answer."""

    def submit(self, command: Command) -> int:
        """Send a command; returns its number. Raises QueueFull."""

    def submit_all(self, commands: Sequence[Command]) -> int:
        """Send commands in this order; returns the number of the last one. Raises QueueFull."""


class Cluster(CommandQueue, Protocol):
    """The part of ClusterClient that a gateway needs."""

    refusal: str
    round_trips: Timings
    """From a frame of commands to the batch that answers its last one."""

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


class OrderEntry(Protocol):
    """All sessions of one gateway, without sockets. Everything runs on the event loop."""

    @property
    def from_event_seq(self) -> int:
        """The first event that it has not seen."""

    @property
    def queue_capacity(self) -> int:
        """What the command queue must hold."""

    def attach(self, queue: CommandQueue) -> None:
        """Name the cluster; called once, before anything else."""

    def close_left_open(self) -> None:
        """The cluster is ready, clients come next: close what an earlier process left open."""

    def on_batch(self, batch: EventBatch) -> None:
        """Take events from the cluster."""

    def on_time(self) -> None:
        """Heartbeats and time limits; called about ten times a second."""

    def log_out_all(self, text: str) -> None:
        """Before the gateway stops: end every session."""

    def abandon(self) -> None:
        """Something went wrong: be like a killed process from now on."""

    def close(self) -> None:
        """Close whatever is open."""

    def disconnect(self, name: str) -> None:
        """The operator ends the connection of a session. Raises Refused."""

    def reset(self, name: str) -> None:
        """The operator lets the numbers of a session begin again. Raises Refused."""

    def session_facts(self) -> list[dict[str, Any]]:
        """What /sessions shows: an object per session, of strings and numbers."""


class ProcessSettings(Protocol):
    """What the settings of every gateway have."""

    @property
    def bind(self) -> Address:
        """Where clients connect."""

    @property
    def http_bind(self) -> Address:
        """Where HTTP is served."""

    @property
    def nodes(self) -> dict[int, Address]:
        """Client protocol addresses of all nodes."""

    @property
    def data_dir(self) -> Path:
        """The folder of this gateway."""

    @property
    def gateway_id(self) -> str:
        """Name towards the cluster."""


class GatewayProcess(ABC):
    """One gateway. start() returns when orders are accepted; run() when the gateway has stopped.

    Whatever goes wrong in a callback (a full disk, a bug) stops the gateway: run() raises it, and
    nothing is sent any more.
    """

    protocol: str
    """Its name for people."""

    def __init__(self, settings: ProcessSettings, cluster: ClusterFactory = ClusterClient) -> None:
        self._process_settings = settings
        self._make_cluster = cluster
        self._cluster: Cluster | None = None
        self._order_entry: OrderEntry | None = None
        self._listener: Listener | None = None
        self._http: web.AppRunner | None = None
        self._control: Control | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._is_closing = False
        self._all_answered = asyncio.Event()
        self._batch_timings = Timings()

    # ---- what a protocol brings ----

    @abstractmethod
    def _open_order_entry(self, loop: asyncio.AbstractEventLoop) -> OrderEntry:
        """Make the order entry; metrics are registered in `_registry` by then."""

    @property
    @abstractmethod
    def _owners(self) -> list[str]:
        """Sessions whose events are wanted."""

    @property
    @abstractmethod
    def _registry(self) -> CollectorRegistry:
        """What /metrics shows."""

    @abstractmethod
    def _connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""

    def _make_listener(self) -> Listener:
        """What clients connect to. Raises TlsError when its certificate cannot be used."""
        return Listener(f"{self.protocol} port", lambda names: self._connection(), None)

    # ---- life ----

    @property
    def address(self) -> Address:
        """Where clients connect (the real port when the settings say 0). After start()."""
        assert self._listener is not None, "start() comes first"
        return self._listener.address

    @property
    def http_address(self) -> Address:
        """Where HTTP is served. After start()."""
        assert self._http is not None, "start() comes first"
        host, port = self._http.addresses[0][:2]
        return Address(host, port)

    async def start(self) -> None:
        """Open what must be open, serve HTTP, wait for the cluster, then listen for clients.

        Raises OSError for a port that is taken or a certificate that cannot be used, and what the
        order entry raises for its files.
        """
        settings = self._process_settings
        _allow_open_files()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_exception)
        self._stopped = loop.create_future()
        listener = self._make_listener()
        self._order_entry = order_entry = self._open_order_entry(loop)
        await self._start_http()
        self._cluster = self._make_cluster(
            settings.gateway_id,
            settings.nodes,
            on_batch=self._on_batch,
            on_state=self._on_cluster_state,
            owners=self._owners,
            from_event_seq=order_entry.from_event_seq,
            max_pending=order_entry.queue_capacity,
        )
        self._registry.register(self._stages(self._cluster))
        order_entry.attach(self._cluster)
        await self._cluster.start()
        order_entry.close_left_open()
        await listener.start(settings.bind)
        self._listener = listener
        orders = {"disconnect": order_entry.disconnect, "reset": order_entry.reset}
        self._control = Control(settings.data_dir / CONTROL_SOCKET, orders)
        await self._control.start()
        self._tick()
        logger.info("%s gateway %s listens on %s", self.protocol, settings.gateway_id, self.address)

    async def run(self) -> None:
        """Wait until close() or until something went wrong, which is raised."""
        assert self._stopped is not None, "start() comes first"
        await self._stopped

    async def close(self) -> None:
        """Log every client out, tell the cluster, close the files. Can be called twice."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._control is not None:
            await self._control.close()
        if self._listener is not None:
            self._listener.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._order_entry is not None and self._cluster is not None:
            if self._listener is not None:
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
        begun_s = time.perf_counter()
        self._order_entry.on_batch(batch)
        self._batch_timings.add(time.perf_counter() - begun_s)
        if self._is_closing and self._cluster is not None and not self._cluster.pending:
            self._all_answered.set()

    def _stages(self, cluster: Cluster) -> StageCollector:
        return StageCollector(
            {
                "exchange_gateway_cluster_seconds": (
                    "From a frame of commands to the batch that answers its last one",
                    cluster.round_trips,
                ),
                "exchange_gateway_out_seconds": (
                    "From a batch of events to its messages on the sockets",
                    self._batch_timings,
                ),
            }
        )

    async def _wait_for_answers(self, cluster: Cluster) -> None:
        """Give the last commands a moment to be answered; unanswered ones stay unknown, and the
        clients will be asked for them again, or send them again."""
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
            gateway_id = self._process_settings.gateway_id
            self._fail(
                RuntimeError(
                    f"the cluster refuses gateway {gateway_id}: "
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
        bind = self._process_settings.http_bind
        await web.TCPSite(self._http, bind.host, bind.port).start()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        state = self._cluster.state if self._cluster is not None else ConnectionState.SEARCHING
        is_ready = state is ConnectionState.READY and self._listener is not None
        return web.Response(
            text="ready\n" if is_ready else f"cluster {state}\n", status=200 if is_ready else 503
        )

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _sessions(self, request: web.Request) -> web.Response:
        assert self._order_entry is not None, "start() comes first"
        return web.json_response(self._order_entry.session_facts())


def _allow_open_files() -> None:
    """Open as many files as the system lets us. The usual 1,024 are fewer than the connections that
    strangers may hold open, and a store that cannot be opened stops the gateway."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
