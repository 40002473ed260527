"""What Prometheus sees of an OUCH gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
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

_LATENCY_BUCKETS: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
)  # fmt: skip


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


class Metrics:
    """The registry of one gateway and its histogram."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._latency = Histogram(
            "exchange_ouch_answer_seconds",
            "From the bytes of a message to its answer: the slowest of a batch",
            registry=self.registry,
            buckets=_LATENCY_BUCKETS,
        )

    def observe_latency_ns(self, latency_ns: int) -> None:
        """Count one answer."""
        self._latency.observe(latency_ns / 1e9)

    def register(self, order_entry: OuchOrderEntry) -> None:
        """Show the counters of this gateway."""
        self.registry.register(GatewayCollector(order_entry))
