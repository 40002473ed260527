"""What Prometheus sees of a FIX gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.fix.actions import SessionState
from gateway.fix.counters import Counters
from gateway.fix.order_entry import OrderEntry

_HELP: Final = {
    "connections": "TCP connections accepted",
    "connections_refused": "Connections closed before a session was found for them",
    "logons": "Sessions opened",
    "disconnects": "Connections of a session that ended, however",
    "messages_in": "FIX messages received, garbled ones left out",
    "messages_out": "FIX messages sent for the first time",
    "garbled": "Messages ignored because BodyLength, CheckSum or the first fields were wrong",
    "commands": "Messages that became commands",
    "answered_by_gateway": "Application messages answered without asking the cluster",
    "resent": "Messages sent again, gap fills included",
    "batches": "Event batches received from the cluster",
    "events": "Events received from the cluster",
    "pauses": "Times that a client was not read from because too many commands waited",
}
_LATENCY_BUCKETS: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
)  # fmt: skip


class GatewayCollector(Collector):
    """Reads the plain counters of the order entry when Prometheus asks: counting costs nothing."""

    def __init__(self, order_entry: OrderEntry) -> None:
        self._order_entry = order_entry

    def collect(self) -> Iterator[Metric]:
        """The counters, and gauges of sessions and commands."""
        counters = self._order_entry.counters
        for counter in fields(Counters):
            yield CounterMetricFamily(
                f"exchange_fix_{counter.name}",
                _HELP[counter.name],
                value=getattr(counters, counter.name),
            )
        sessions = self._order_entry.sessions.values()
        yield GaugeMetricFamily(
            "exchange_fix_sessions_active",
            "Sessions that are logged on",
            value=sum(session.fix.state is SessionState.ACTIVE for session in sessions),
        )
        yield GaugeMetricFamily(
            "exchange_fix_commands_pending",
            "Commands that the cluster has not answered",
            value=sum(len(session.unanswered) for session in sessions),
        )
        yield GaugeMetricFamily(
            "exchange_fix_event_seq",
            "Number of the last event that this gateway has passed",
            value=self._order_entry.last_event_seq,
        )


class Metrics:
    """The registry of one gateway and its histogram."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._latency = Histogram(
            "exchange_fix_answer_seconds",
            "From the bytes of a message to its answer: the slowest of a session and batch",
            registry=self.registry,
            buckets=_LATENCY_BUCKETS,
        )

    def observe_latency_ns(self, latency_ns: int) -> None:
        """Count one answer."""
        self._latency.observe(latency_ns / 1e9)

    def register(self, order_entry: OrderEntry) -> None:
        """Show the counters of this gateway."""
        self.registry.register(GatewayCollector(order_entry))
