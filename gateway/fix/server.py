"""The FIX gateway process: its order entry and connections in what every gateway process is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import CollectorRegistry

from cluster.client import ClusterClient
from cluster.tls import Listener
from gateway.fix.acceptor import Acceptor
from gateway.fix.connection import Connection
from gateway.fix.drop_copy import DropCopy
from gateway.fix.metrics import new_metrics, show
from gateway.fix.order_entry import OrderEntry
from gateway.fix.settings import FixGatewaySettings
from gateway.process import ClusterFactory, GatewayProcess
from gateway.tls import HANDSHAKES_MAX, listener_context

_THREADS = 2


class FixGateway(GatewayProcess):
    """One FIX gateway. start() also raises StoreError for a store that cannot be used."""

    protocol = "FIX"
    _order_entry_class: type[Acceptor] = OrderEntry

    def __init__(
        self, settings: FixGatewaySettings, *, cluster: ClusterFactory = ClusterClient
    ) -> None:
        super().__init__(settings, cluster)
        self.settings = settings
        self._metrics = new_metrics()
        self._fix: Acceptor
        # scrypt keeps a core busy: never all those of the machine.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")

    @property
    def _owners(self) -> list[str]:
        return list(self.settings.sessions)

    @property
    def _registry(self) -> CollectorRegistry:
        return self._metrics.registry

    def _open_order_entry(self, loop: asyncio.AbstractEventLoop) -> Acceptor:
        self._fix = self._order_entry_class(
            self.settings,
            clock_ns=time.time_ns,
            call_soon=loop.call_soon,
            run_aside=self._run_aside,
            observe_latency_ns=self._metrics.observe_latency_ns,
        )
        show(self._metrics, self._fix)
        return self._fix

    def _make_listener(self) -> Listener:
        settings = self.settings
        return Listener(
            "FIX port",
            lambda names: self._connection(),
            None if settings.tls is None else listener_context(settings.tls),
            handshakes_max=HANDSHAKES_MAX,
            handshake_timeout_s=settings.logon_timeout_s,
        )

    def _run_aside(self, work: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """In a thread; what is not done when the gateway closes is never done."""

        def tell(finished: asyncio.Future[bool]) -> None:
            if not finished.cancelled():
                done(finished.result())

        asyncio.get_running_loop().run_in_executor(self._threads, work).add_done_callback(tell)

    async def close(self) -> None:
        """Also ends the threads."""
        await super().close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _connection(self) -> asyncio.Protocol:
        return Connection(self._fix)


class DropCopyGateway(FixGateway):
    """A FIX gateway for those who only read what others are told."""

    protocol = "FIX drop copy"
    _order_entry_class = DropCopy

    @property
    def _owners(self) -> list[str]:
        readers = self.settings.sessions.values()
        return list(dict.fromkeys(name for reader in readers for name in reader.copies_of))
