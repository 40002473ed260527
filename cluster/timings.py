"""How long the stages of the hot path take: sums for metrics, the latest values for percentiles."""

from __future__ import annotations

from collections import deque
from typing import Final

_RECENT_TIMINGS: Final = 4096


class Timings:
    """Of one stage, in seconds."""

    __slots__ = ("count", "recent", "total_s")

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self.recent: deque[float] = deque(maxlen=_RECENT_TIMINGS)

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total_s += seconds
        self.recent.append(seconds)

    def summary(self) -> dict[str, float]:
        """count, mean, p50 and p99 in microseconds."""
        ordered = sorted(self.recent) or [0.0]
        return {
            "count": self.count,
            "mean_us": round(1e6 * self.total_s / max(1, self.count), 1),
            "p50_us": round(1e6 * ordered[len(ordered) // 2], 1),
            "p99_us": round(1e6 * ordered[len(ordered) * 99 // 100], 1),
        }
