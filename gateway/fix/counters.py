"""What the order entry counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What has happened since the start; gateway/fix/metrics.py shows it."""

    connections: int = 0
    connections_refused: int = 0
    logons: int = 0
    disconnects: int = 0
    messages_in: int = 0
    messages_out: int = 0
    garbled: int = 0
    commands: int = 0
    answered_by_gateway: int = 0
    over_limit: int = 0
    resent: int = 0
    batches: int = 0
    events: int = 0
    pauses: int = 0
