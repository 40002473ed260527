"""MarketDataServer: the market-data process.

Both lines in, one stream without a gap, every book; re-requests over UDP, snapshots over
SoupBinTCP and HTTP out. What is missing is asked for at the nodes: the leader first, then one node
after the other, because after a failover the new leader may not have applied yet what the old one
published. When no node knows the messages that a datagram spoke of, the leader's position counts.

A feed that contradicts itself is a bug: `run` raises FeedError, and the process should stop.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, Protocol

from aiohttp import web

from cluster.client import ClusterClient, EventBatch
from cluster.settings import Address
from marketdata.depth import FeedError, MarketDepth
from marketdata.glimpse import GlimpseCounters, GlimpseServer
from marketdata.message_store import MessageStore
from marketdata.publisher import SINK_NAME
from marketdata.receiver import FeedReceiver
from marketdata.rerequest import ReRequestCounters, ReRequestServer
from marketdata.settings import MarketDataSettings
from marketdata.web import make_app
from protocols.itch50 import ItchError

POSITION_INTERVAL_S = 1.0
QUERY_TIMEOUT_S = 1.0

log = logging.getLogger(__name__)


class NodeQueries(Protocol):
    """What is needed of cluster.client.ClusterClient."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def query(
        self, sink: str, request: Any, *, timeout_s: float = 2.0, node_id: int | None = None
    ) -> Any: ...


class MarketDataServer:
    """`start`, then `run` until `close` or a failure."""

    def __init__(
        self,
        settings: MarketDataSettings,
        cluster: NodeQueries | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`cluster` replaces the ClusterClient that would be made from the settings; with `tls`,
        see cluster.tls.client_context."""
        self.depth = MarketDepth(settings.trades_kept)
        self.receiver = FeedReceiver(
            settings.lines, on_messages=self._on_messages, request=self._on_missing
        )
        self.query_failures = 0
        self._settings = settings
        self._cluster = cluster or ClusterClient(
            settings.client_id, settings.nodes, on_batch=_ignore, owners=(), tls=tls
        )
        self._node_ids = sorted(settings.nodes)
        self._connected = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling = False
        self._store: MessageStore | None = None
        self._rerequests: ReRequestServer | None = None
        self._glimpse = GlimpseServer(
            settings.glimpse, settings.lines.session, self._complete_books
        )
        self._http: web.AppRunner | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open everything; the nodes may come later. Raises OSError when an address is taken."""
        settings = self._settings
        session = settings.lines.session
        loop = asyncio.get_running_loop()
        self._stopped = loop.create_future()
        try:
            self._store = store = MessageStore(settings.store_dir, session, settings.memory_bytes)
            self._rerequests = rerequests = ReRequestServer(
                session,
                store,
                max_payload=settings.max_payload,
                requests_per_s=settings.rerequests_per_s,
            )
            rerequests.start(settings.rerequest_bind)
            await self._glimpse.start()
            self._http = web.AppRunner(make_app(self), access_log=None)
            await self._http.setup()
            await web.TCPSite(self._http, *settings.http_bind).start()
            await self.receiver.start()
        except OSError:
            await self.close()
            raise
        self._spawn(self._follow_position())

    async def run(self) -> None:
        """Return after `close`. Raises FeedError when the feed contradicts itself."""
        assert self._stopped is not None, "run before start"
        await asyncio.shield(self._stopped)

    async def close(self) -> None:
        """Stop everything. May be called twice."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.receiver.close()
        if self._rerequests is not None:
            self._rerequests.close()
        await self._glimpse.close()
        if self._http is not None:
            await self._http.cleanup()
            self._http = None
        await self._cluster.close()
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    @property
    def http_address(self) -> Address:
        """Where HTTP listens; tells the port when the settings said 0."""
        assert self._http is not None, "http_address before start"
        return Address(*self._http.addresses[0][:2])

    @property
    def rerequest_address(self) -> Address:
        """Where re-requests are answered; tells the port when the settings said 0."""
        assert self._rerequests is not None, "rerequest_address before start"
        return self._rerequests.address

    @property
    def glimpse_address(self) -> Address:
        """Where snapshots are served; tells the port when the settings said 0."""
        return self._glimpse.address

    @property
    def glimpse_counters(self) -> GlimpseCounters:
        return self._glimpse.counters

    @property
    def rerequest_counters(self) -> ReRequestCounters:
        return self._rerequests.counters if self._rerequests is not None else ReRequestCounters()

    def not_ready(self) -> str | None:
        """Why the books are not to be relied on at the moment, None when they are."""
        silent_ns = self.receiver.silent_ns()
        if silent_ns is None:
            return "nothing was heard on either line yet"
        if silent_ns > self._settings.silent_after_ms * 1_000_000:
            return f"both lines have been silent for {silent_ns // 1_000_000} ms"
        if self.receiver.missing:
            first = self.receiver.next_sequence_number
            return f"{self.receiver.missing} messages are missing from {first} on"
        return None

    def _complete_books(self) -> MarketDepth | None:
        """The books with everything that has arrived; None while they are not to be relied on."""
        self.receiver.read_waiting()
        failed = self._stopped is None or self._stopped.done()
        return None if failed or self.not_ready() is not None else self.depth

    def _on_messages(self, first: int, messages: list[bytes]) -> None:
        """Take the next messages of the stream into books and store."""
        store = self._store
        assert store is not None, "messages before start"
        assert first == store.next_sequence_number, f"{first}, not {store.next_sequence_number}"
        try:
            self.depth.apply(messages)
        except (FeedError, ItchError) as error:
            self._fail(error)
            return
        store.append(messages)

    def _fail(self, error: FeedError | ItchError) -> None:
        number = self.depth.next_sequence_number
        log.critical("market data stops at message %d: %s", number, error)
        self.receiver.pause()
        if self._stopped is not None and not self._stopped.done():
            failure = error if isinstance(error, FeedError) else FeedError(str(error))
            self._stopped.set_exception(failure)

    def _on_missing(self, first: int, count: int, attempt: int) -> None:
        """Ask the nodes, one question at a time; the receiver asks again while it matters."""
        if self._connected and not self._filling:
            self._filling = True
            self._spawn(self._fill(first, count, attempt))

    async def _fill(self, first: int, count: int, attempt: int) -> None:
        request = ["messages", self._settings.lines.session, first, count]
        # The leader, each node, the leader, each node, ...
        turn = (attempt - 1) % (len(self._node_ids) + 1)
        node_id = self._node_ids[turn - 1] if turn else None
        try:
            messages = await self._ask(request, node_id)
            known_nowhere = messages == [] and attempt > len(self._node_ids)
            position = await self._ask(["position"]) if known_nowhere else None
        finally:
            self._filling = False
        if messages:
            self.receiver.fill(first, messages)
        elif position is not None:
            log.warning("message %d is missing and the leader is at %d", first, position)
            self.receiver.confirm_position(position)

    async def _follow_position(self) -> None:
        """Keep an eye on the nodes' position while the lines are silent.

        At start this begins to fill before the first heartbeat; on a network without multicast it
        keeps the books going, a second behind.
        """
        await self._cluster.start()
        self._connected = True
        while True:
            silent_ns = self.receiver.silent_ns()
            if silent_ns is None or silent_ns > 2 * POSITION_INTERVAL_S * 1e9:
                position = await self._ask(["position"])
                if position is not None:
                    self.receiver.announce(position)
            await asyncio.sleep(POSITION_INTERVAL_S)

    async def _ask(self, request: list[Any], node_id: int | None = None) -> Any:
        """What a node (None: the leader) answers; None when it does not, or answers nonsense."""
        try:
            answer = await self._cluster.query(
                SINK_NAME, request, timeout_s=QUERY_TIMEOUT_S, node_id=node_id
            )
        except (TimeoutError, OSError, ValueError) as error:
            self.query_failures += 1
            log.warning("query %s: %s: %s", request[0], type(error).__name__, error)
            return None
        if request[0] == "position" and isinstance(answer, int) and answer >= 1:
            return answer
        if request[0] == "messages" and isinstance(answer, list | tuple):
            messages = list(answer)  # arrays come off the wire as tuples
            if all(isinstance(message, bytes) for message in messages):
                return messages
        self.query_failures += 1
        log.warning("query %s: the answer is %.100r", request[0], answer)
        return None

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """A task that raises is a bug: it ends `run`."""
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        if self._stopped is not None and not self._stopped.done():
            error = task.exception()
            assert error is not None
            self._stopped.set_exception(error)


def _ignore(_: EventBatch) -> None:
    """owners=() means no events; batches still tell the position, which is not needed here."""
