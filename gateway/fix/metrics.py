"""What Prometheus sees of a FIX gateway."""

from __future__ import annotations

from typing import Final

from gateway.fix.acceptor import Acceptor
from gateway.fix.actions import SessionState
from gateway.metrics import GatewayMetrics, Gauge

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
    "over_limit": "Application messages refused because their session sent too many",
    "resent": "Messages sent again, gap fills included",
    "batches": "Event batches received from the cluster",
    "events": "Events received from the cluster",
    "pauses": "Times that a client was not read from because too many commands waited",
}


def new_metrics() -> GatewayMetrics:
    """The metrics of one gateway."""
    return GatewayMetrics("exchange_fix")


def show(metrics: GatewayMetrics, order_entry: Acceptor) -> None:
    """Show what this gateway counts."""
    sessions = order_entry.sessions.values()
    gauges = {
        "sessions_active": Gauge(
            "Sessions that are logged on",
            lambda: sum(session.fix.state is SessionState.ACTIVE for session in sessions),
        ),
        "commands_pending": Gauge(
            "Commands that the cluster has not answered",
            lambda: sum(len(session.unanswered) for session in sessions),
        ),
        "event_seq": Gauge(
            "Number of the last event that this gateway has passed",
            lambda: order_entry.last_event_seq,
        ),
    }
    metrics.register(order_entry.counters, _HELP, gauges)
