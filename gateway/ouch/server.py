"""The OUCH gateway process: its order entry and connections in what every gateway process is."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry

from cluster.client import ClusterClient
from gateway.ouch.connection import Connection
from gateway.ouch.metrics import new_metrics, show
from gateway.ouch.order_entry import OuchOrderEntry
from gateway.ouch.settings import OuchGatewaySettings
from gateway.process import ClusterFactory, GatewayProcess


class OuchGateway(GatewayProcess):
    """One OUCH gateway. start() also raises OSError for a folder that cannot be used."""

    protocol = "OUCH"

    def __init__(
        self, settings: OuchGatewaySettings, *, cluster: ClusterFactory = ClusterClient
    ) -> None:
        super().__init__(settings, cluster)
        self.settings = settings
        self._ouch: OuchOrderEntry
        self._metrics = new_metrics()

    @property
    def _owners(self) -> list[str]:
        return list(self.settings.users)

    @property
    def _registry(self) -> CollectorRegistry:
        return self._metrics.registry

    def _open_order_entry(self, loop: asyncio.AbstractEventLoop) -> OuchOrderEntry:
        self._ouch = OuchOrderEntry(
            self.settings,
            clock_ns=time.monotonic_ns,  # messages bear the time of their events
            utc_ns=time.time_ns,
            call_soon=loop.call_soon,
            observe_latency_ns=self._metrics.observe_latency_ns,
        )
        show(self._metrics, self._ouch)
        return self._ouch

    def _connection(self) -> asyncio.Protocol:
        return Connection(self._ouch)
