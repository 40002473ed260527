"""How long things take in a node, for its status and its metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final

_RECENT_TIMINGS: Final = 4096
_PAUSES_MS: Final = (5, 10, 20, 50, 100, 200, 500)


class Timings:
    """Sums for the metrics of the hot path, and the latest values for percentiles. Seconds."""

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


class Pauses:
    """How late the event loop came to a timer: for so long nothing was matched, sent or heard."""

    __slots__ = ("_counts", "longest_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(_PAUSES_MS) + 1)
        self.longest_s = 0.0

    def add(self, late_s: float) -> None:
        """Count one."""
        self._counts[bisect_left(_PAUSES_MS, late_s * 1000)] += 1
        self.longest_s = max(self.longest_s, late_s)

    def longer_than(self) -> dict[str, int]:
        """How many were longer than so many ms, by "5", "10" ..."""
        return {
            str(limit_ms): sum(self._counts[place:])
            for place, limit_ms in enumerate(_PAUSES_MS, start=1)
        }
