"""`exchange bench all`: every measurement once, and a line in the history of figures."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from exchange.bench.calibration import calibrate
from exchange.bench.engine import run_engine
from exchange.bench.failover import run_failover
from exchange.bench.fanout import Fanout, run_fanout
from exchange.bench.figures import host_facts
from exchange.bench.latency import run_latency
from exchange.bench.throughput import Load, run_throughput
from exchange.local import LocalExchangeError

SCHEMA: Final = 1
"""Of a line of the history: rises when a key changes its meaning."""
WINDOWS: Final = (10, 100, 400)
PARTS_OF_PEAK: Final = (0.2, 0.5, 0.8)
"""Rates of the open loops."""
CLIENTS, SYMBOLS = 8, 100
ENGINE_MESSAGES, ENGINE_OPEN_ORDERS = 200_000, 300_000

Say = Callable[[str], None]
Facts = dict[str, Any]


class Extent(NamedTuple):
    """How much is measured."""

    seconds: float
    warm_up_s: float
    orders: int
    trials: int
    durability: str


SMOKE: Final = Extent(1.0, 0.5, 100, 0, "majority-disk")


async def run_all(extent: Extent, say: Say) -> Facts:
    """Everything; about fifteen exchanges one after the other. Returns a line of the history."""
    facts = _begin()
    for window in WINDOWS:
        await _add(facts, f"ouch window {window}", _throughput(extent, say, "ouch", window), say)
    await _add(facts, "fix window 100", _throughput(extent, say, "fix", 100, gateways=2), say)
    peaks = [figure(facts, f"ouch window {window}", "orders_per_s") for window in WINDOWS]
    peak = max((per_s for per_s in peaks if per_s), default=1)
    for part in PARTS_OF_PEAK:
        rate = max(1, round(part * peak))
        name = f"ouch at {round(100 * part)} %"
        await _add(facts, name, _throughput(extent, say, "ouch", rate=rate), say)
    half = max(1, peak // 2)
    killed = _throughput(extent, say, "ouch", rate=half, kill_leader=True)
    await _add(facts, "ouch, leader killed", killed, say)
    for entry in ("ouch", "fix"):
        one = run_latency(extent.orders, extent.durability, say, entry=entry)
        await _add(facts, f"{entry}, one in flight", one, say)
    feed = Fanout(half, extent.seconds, extent.warm_up_s, CLIENTS, SYMBOLS, extent.durability)
    await _add(facts, "fanout", run_fanout(feed, say), say)
    if extent.trials:
        failover = run_failover(extent.trials, "kill", extent.durability, say)
        await _add(facts, "failover", failover, say)
    alone = asyncio.to_thread(run_engine, ENGINE_MESSAGES, ENGINE_OPEN_ORDERS, say, spread=False)
    await _add(facts, "engine", alone, say)
    return facts


async def run_smoke(say: Say) -> Facts:
    """A short run over either protocol: is anything lost, doubled or unequal? Its figures mean
    little."""
    facts = _begin()
    for entry in ("ouch", "fix"):
        await _add(facts, f"{entry} window 100", _throughput(SMOKE, say, entry), say)
    return facts


def _begin() -> Facts:
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        calibration = calibrate(Path(folder))
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("replicated-exchange"),
        "host": host_facts(),
        "calibration": calibration,
        "results": {},
    }


async def _throughput(
    extent: Extent,
    say: Say,
    entry: str,
    window: int = 100,
    rate: int | None = None,
    *,
    gateways: int = 1,
    kill_leader: bool = False,
) -> Facts:
    load = Load(
        clients=CLIENTS,
        symbols=SYMBOLS,
        window=window,
        seconds=extent.seconds,
        warm_up_s=extent.warm_up_s,
        durability=extent.durability,
        entry=entry,
        rate=rate,
        gateways=gateways,
        kill_leader=kill_leader,
    )
    return await run_throughput(load, say)


async def _add(facts: Facts, name: str, measurement: Awaitable[Facts], say: Say) -> None:
    """Measure, and keep what was found. An exchange that does not even start is a problem of this
    measurement; the others go on."""
    say(f"--- {name}")
    begun_s = time.monotonic()
    try:
        found = await measurement
    except LocalExchangeError as error:
        say(str(error))
        found = {"problems": [str(error)]}
    found["took_s"] = round(time.monotonic() - begun_s, 1)
    facts["results"][name] = found


def problems(facts: Facts) -> list[str]:
    """What is wrong in any of the measurements."""
    found = []
    for name, result in facts["results"].items():
        found += [f"{name}: {problem}" for problem in result.get("problems", [])]
        for what in ("lost", "duplicated"):
            if result.get(what):
                found.append(f"{name}: {result[what]} {what}")
        if not result.get("hash_equal", True):
            found.append(f"{name}: state hashes differ")
    return found


def append_to_history(path: Path, facts: Facts) -> None:
    """One line more. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(facts, separators=(",", ":")) + "\n")


def read_history(path: Path) -> list[Facts]:
    """All lines, oldest first. Raises OSError, and ValueError for what is no such line."""
    lines: list[Facts] = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        facts = json.loads(text)
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise ValueError(f"{path}, line {number}: not a line of schema {SCHEMA}")
        lines.append(facts)
    return lines


def figure(facts: Facts, name: str, *keys: str) -> Any:
    """A figure of one measurement; None when it is not there."""
    found: Any = facts["results"].get(name)
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def summary(facts: Facts) -> list[list[str]]:
    """Rows for people: measurement, figure, and its ratio to the machine's own."""
    calibration = facts["calibration"]
    rows = [[f"machine: {name}", f"{value:g}", ""] for name, value in calibration.items()]
    loop_us = 1e3 * calibration["python_loop_ms"]
    hop_us = calibration["loopback_hop_us"]
    for name, result in facts["results"].items():
        if "orders_per_s" in result:
            per_loop = result["orders_per_s"] * loop_us / 1e6
            rows.append([f"{name}: orders/s", f"{result['orders_per_s']}", f"{per_loop:.1f} /loop"])
        if "cpu_us_per_order" in result:
            cpu_us = result["cpu_us_per_order"]["total"]
            rows.append([f"{name}: CPU us/order", f"{cpu_us}", f"{cpu_us / loop_us:.5f} loops"])
        for quantile in ("p50", "p99"):
            value = figure(facts, name, "ack_us", quantile)
            if value is not None:
                rows.append([f"{name}: {quantile} us", f"{value}", f"{value / hop_us:.0f} hops"])
        for part, unit in (("matching", "messages/s"), ("state_machine", "orders/s")):
            value = figure(facts, name, part, unit.replace("/", "_per_"))
            if value is not None:
                rows.append([f"{part}: {unit}", f"{value}", f"{value * loop_us / 1e6:.1f} /loop"])
        value = figure(facts, name, "gap_ms", "p50")
        if value is not None:
            rows.append([f"{name}: gap p50 ms", f"{value}", ""])
        for line in ("A", "B"):
            value = figure(facts, name, "commit_to_socket_us", line, "p50")
            if value is not None:
                rows.append(
                    [f"{name}: line {line} p50 us", f"{value}", f"{value / hop_us:.0f} hops"]
                )
    return rows
