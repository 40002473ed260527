"""Percentiles, and the facts of the machine without which a figure means nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "p999": 0.999}


def percentiles(values_ns: Sequence[int], ns_per_unit: int) -> dict[str, float | None]:
    """p50, p90, p99, p999 (nearest rank) and max of times in ns, in the unit asked for.

    All None when there is nothing to tell.
    """
    ordered = sorted(values_ns)
    if not ordered:
        return dict.fromkeys((*QUANTILES, "max"))
    found: dict[str, float | None] = {}
    for name, quantile in QUANTILES.items():
        rank = min(len(ordered) - 1, int(quantile * len(ordered)))
        found[name] = round(ordered[rank] / ns_per_unit, 1)
    found["max"] = round(ordered[-1] / ns_per_unit, 1)
    return found


def host_facts() -> dict[str, Any]:
    """What the figures were measured on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpus": os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)),
        "cpu": model,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_1m": round(os.getloadavg()[0], 2),
    }
