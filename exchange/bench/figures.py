"""Percentiles, and the facts of the machine without which a figure means nothing."""

from __future__ import annotations

import os
import platform
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.build import is_compiled

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
PIECES = 50
"""Into so many equal ones the time of a measurement is cut for over_time()."""


def percentiles(values_ns: Sequence[int], ns_per_unit: int) -> dict[str, float | None]:
    """p50, p90, p99, p99.9, p99.99 (nearest rank) and max of times in ns, in the unit asked for.

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


def over_time(
    offsets_ns: Sequence[int], values_ns: Sequence[int], seconds: float
) -> list[dict[str, float | None]]:
    """A measurement of so many seconds in PIECES: `at_s`, how many values there are a second, and
    their p50, p99 and max in us. `offsets_ns` are from its begin, one per value."""
    pieces: list[array[int]] = [array("q") for _ in range(PIECES)]
    piece_ns = seconds * 1e9 / PIECES
    for offset_ns, value_ns in zip(offsets_ns, values_ns, strict=True):
        pieces[min(PIECES - 1, int(offset_ns / piece_ns))].append(value_ns)
    rows = []
    for number, piece in enumerate(pieces):
        found = percentiles(piece, NS_PER_US)
        per_s = round(len(piece) * PIECES / seconds)
        row: dict[str, float | None] = {
            "at_s": round(number * seconds / PIECES, 3),
            "per_s": per_s,
        }
        rows.append(row | {f"{name}_us": found[name] for name in ("p50", "p99", "max")})
    return rows


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
        "compiled": is_compiled(),
        "kernel": platform.release(),
        "load_1m": round(os.getloadavg()[0], 2),
    }
