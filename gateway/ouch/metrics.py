"""What Prometheus sees of an OUCH gateway."""

from __future__ import annotations

from typing import Final

from gateway.metrics import GatewayMetrics, Gauge
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


def new_metrics() -> GatewayMetrics:
    """The metrics of one gateway."""
    return GatewayMetrics("exchange_ouch")


def show(metrics: GatewayMetrics, order_entry: OuchOrderEntry) -> None:
    """Show what this gateway counts."""
    gauges = {
        "sessions_active": Gauge("Users that are logged in", lambda: order_entry.active_sessions),
        "event_seq": Gauge(
            "Number of the last event that this gateway has passed",
            lambda: order_entry.last_event_seq,
        ),
    }
    metrics.register(order_entry.counters, _HELP, gauges)
