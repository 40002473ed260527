"""What the OUCH gateway counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What has happened since the start; gateway/ouch/metrics.py shows it."""

    connections: int = 0
    connections_refused: int = 0
    logins: int = 0
    logins_rejected: int = 0
    disconnects: int = 0
    messages_in: int = 0
    messages_out: int = 0
    malformed: int = 0
    batches: int = 0
    events: int = 0
    pauses: int = 0
