"""What Prometheus sees of an OUCH gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.ouch.counters import Counters
from gateway.ouch.order_entry import OuchOrderEntry

_HELP: Final = {
    "connections": "TCP connections accepted",
    "connections_refused": "Connections closed at once because there were too many",
    "logins": "Logins accepted",
    "logins_rejected": "Logins rejected",
    "disconnects": "Connections of a session that ended, however",
    "messages_in": "OUCH messages received",
    "messages_out": "OUCH messages numbered, whether a client was there or not",
    "malformed": "Connections that ended because of a packet or message that cannot be read",
    "batches": "Event batches received from the cluster",
    "events": "Events received from the cluster",
    "pauses": "Times that a client was not read from because too many commands waited",
}


class GatewayCollector(Collector):
    """Reads the plain counters of the order entry when Prometheus asks: counting costs nothing."""

    def __init__(self, order_entry: OuchOrderEntry) -> None:
        self._order_entry = order_entry

    def collect(self) -> Iterator[Metric]:
        """The counters, and gauges of sessions and commands."""
        counters = self._order_entry.counters
        for counter in fields(Counters):
            yield CounterMetricFamily(
                f"exchange_ouch_{counter.name}",
                _HELP[counter.name],
                value=getattr(counters, counter.name),
            )
        yield GaugeMetricFamily(
            "exchange_ouch_sessions_active",
            "Users that are logged in",
            value=self._order_entry.active_sessions,
        )
        yield GaugeMetricFamily(
            "exchange_ouch_event_seq",
            "Number of the last event that this gateway has passed",
            value=self._order_entry.last_event_seq,
        )


def registry_of(order_entry: OuchOrderEntry) -> CollectorRegistry:
    """The registry of one gateway."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(order_entry))
    return registry
