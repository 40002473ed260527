"""What Prometheus sees of a gateway, whatever its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from cluster.timings import Timings

_LATENCY_BUCKETS: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
)  # fmt: skip


class Gauge(NamedTuple):
    """A value that is looked at when Prometheus asks."""

    help: str
    value: Callable[[], int]


class _Collector(Collector):
    """Reads plain counters when Prometheus asks: counting costs nothing."""

    def __init__(
        self, prefix: str, counters: Any, helps: Mapping[str, str], gauges: Mapping[str, Gauge]
    ) -> None:
        self._prefix = prefix
        self._counters = counters
        self._helps = helps
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Every counter and gauge."""
        for counter in fields(self._counters):
            yield CounterMetricFamily(
                f"{self._prefix}_{counter.name}",
                self._helps[counter.name],
                value=getattr(self._counters, counter.name),
            )
        for name, gauge in self._gauges.items():
            yield GaugeMetricFamily(f"{self._prefix}_{name}", gauge.help, value=gauge.value())


class StageCollector(Collector):
    """Sums and counts of stages: the way of an order as far as a gateway sees it."""

    def __init__(self, stages: Mapping[str, tuple[str, Timings]]) -> None:
        """Name of a metric -> its help, its timings."""
        self._stages = stages

    def collect(self) -> Iterator[Metric]:
        """Every stage."""
        for name, (text, timings) in self._stages.items():
            yield SummaryMetricFamily(
                name, text, count_value=timings.count, sum_value=timings.total_s
            )


class GatewayMetrics:
    """The registry of one gateway and its histogram of answers. `prefix` begins every name, as in
    exchange_fix."""

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = prefix
        self._latency = Histogram(
            f"{prefix}_answer_seconds",
            "From the bytes of a message to its answer: the slowest of a session and batch",
            registry=self.registry,
            buckets=_LATENCY_BUCKETS,
        )

    def observe_latency_ns(self, latency_ns: int) -> None:
        """Count one answer."""
        self._latency.observe(latency_ns / 1e9)

    def register(
        self, counters: Any, helps: Mapping[str, str], gauges: Mapping[str, Gauge]
    ) -> None:
        """Show these. `counters` is a dataclass of integers, `helps` has a sentence for each."""
        self.registry.register(_Collector(self._prefix, counters, helps, gauges))
