"""`exchange bench throughput`: how many requests per second several sessions get answered, or how
long answers take at a rate."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exchange.bench.audit import Audit, all_problems
from exchange.bench.driver import NS_PER_S, Driver
from exchange.bench.figures import NS_PER_US, host_facts, over_time, percentiles
from exchange.bench.flow import MIX, Flow
from exchange.bench.frames import OUCH_REQUESTS_MAX
from exchange.bench.market import Market, make_market
from exchange.bench.session import LoadError, LoadSession, make_session
from exchange.bench.stages import read_clocks, stages_us
from exchange.bench.state import feed_facts, hashes_equal
from exchange.local import LocalExchange, local_exchange
from exchange.processes import all_processes, cpu_seconds

SEED = 1
ANSWER_TIMEOUT_S = 30.0
FIX_PER_S_PLANNED = 40_000
"""What is made for FIX sessions in a closed loop: more than any of them has got answered so far."""


class Load(NamedTuple):
    """What to put on the exchange. `rate` requests per second of all clients together, or None: a
    closed loop, in which each client keeps `window` requests unanswered."""

    clients: int
    symbols: int
    window: int
    seconds: float
    warm_up_s: float
    durability: str
    tls: bool = False
    entry: str = "fix"
    rate: int | None = None
    gateways: int = 1
    kill_leader: bool = False
    """SIGKILL to the leader in the middle of the measurement."""


class _Clock(NamedTuple):
    """What of the load is measured, by time.perf_counter_ns."""

    begun_ns: int
    ended_ns: int


async def run_throughput(load: Load, say: Callable[[str], None]) -> dict[str, Any]:
    """Start an exchange, load it, reconcile; returns the JSON of contract.md section 5. Raises
    LocalExchangeError."""
    market = make_market(
        load.entry,
        load.clients,
        load.symbols,
        gateways=load.gateways,
        durability=load.durability,
    )
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as name:
        folder = Path(name)
        async with local_exchange(
            folder / "exchange", market.changes, tls=load.tls, more=market.more
        ) as exchange:
            say(f"ready: node {exchange.ready['leader']} leads; preparing the requests")
            sessions = prepare_sessions(market, _requests_planned(load), folder)
            try:
                return await _measure(exchange, market, sessions, load, say)
            finally:
                for session in sessions:
                    session.close()


def _requests_planned(load: Load) -> int:
    """Requests of one client."""
    if load.entry == "ouch":
        return OUCH_REQUESTS_MAX
    per_s = FIX_PER_S_PLANNED if load.rate is None else load.rate
    return int(per_s * (load.seconds + load.warm_up_s) / load.clients) + load.window


def prepare_sessions(market: Market, count: int, folder: Path) -> list[LoadSession]:
    """The clients of a market, each with `count` requests or more; files are made in `folder`."""
    return [
        make_session(market.entry, name, Flow(f"{SEED}/{name}", market.symbols), folder, count)
        for name in market.clients
    ]


async def _measure(
    exchange: LocalExchange,
    market: Market,
    sessions: Sequence[LoadSession],
    load: Load,
    say: Callable[[str], None],
) -> dict[str, Any]:
    for number, session in enumerate(sessions):
        await asyncio.to_thread(session.connect, market.address(exchange, number))
    how = f"window {load.window}" if load.rate is None else f"{load.rate} requests/s"
    say(f"{load.clients} sessions, {how}: {load.seconds:g} s after a warm-up")
    clocks = await read_clocks(exchange, market)
    begun_ns = time.perf_counter_ns() + int(load.warm_up_s * NS_PER_S)
    clock = _Clock(begun_ns, begun_ns + int(load.seconds * NS_PER_S))
    driver = Driver(sessions)
    driving = asyncio.create_task(asyncio.to_thread(_drive, driver, load, clock))
    before, after, killed_ns = await _watch(exchange, load, clock)
    problems = []
    try:
        if not await driving:
            problems.append("not everything was answered in time")
    except LoadError as error:
        problems.append(str(error))
    if load.kill_leader:
        await exchange.wait_until_whole()
    exhausted = [session.name for session in sessions if not session.left]
    if exhausted:
        problems.append(f"{', '.join(exhausted)} ran out of requests")
    say("reconciling")
    audit = Audit(clock.begun_ns, clock.ended_ns)
    await asyncio.to_thread(audit.read, sessions, load.entry)
    facts = _figures(load, audit, driver)
    facts |= _cpu_figures(before, after, audit.answered)
    facts["stages_us"] = await stages_us(exchange, market, clocks)
    facts["feed"] = await feed_facts(exchange)
    facts["hash_equal"] = await hashes_equal(exchange)
    facts["killed_after_s"] = killed_ns and round((killed_ns - clock.begun_ns) / NS_PER_S, 3)
    facts["problems"] = [*problems, *all_problems(audit), *facts["feed"].pop("problems")]
    return facts


def _drive(driver: Driver, load: Load, clock: _Clock) -> bool:
    """The load, from its start to the last answer; False when that did not come in time."""
    if load.rate is None:
        driver.closed(load.window, lambda: time.perf_counter_ns() >= clock.ended_ns)
    else:
        driver.opened(load.rate, clock.ended_ns)
    return driver.settle(ANSWER_TIMEOUT_S)


async def _watch(
    exchange: LocalExchange, load: Load, clock: _Clock
) -> tuple[dict[str, float], dict[str, float], int | None]:
    """CPU seconds of all processes at the begin and at the end of the measurement, and when the
    leader was killed."""
    leader = await exchange.leader()
    await _sleep_until(clock.begun_ns)
    before = _cpu_seconds(exchange)
    killed_ns = None
    if load.kill_leader:
        await _sleep_until((clock.begun_ns + clock.ended_ns) // 2)
        exchange.signal(f"node-{leader}", signal.SIGKILL)
        killed_ns = time.perf_counter_ns()
        before[f"node-{leader}"] = 0.0  # its successor begins at nothing
        await exchange.gone(f"node-{leader}")
        await exchange.restart(f"node-{leader}")
    await _sleep_until(clock.ended_ns)
    return before, _cpu_seconds(exchange), killed_ns


async def _sleep_until(time_ns: int) -> None:
    await asyncio.sleep(max(0, time_ns - time.perf_counter_ns()) / NS_PER_S)


def _figures(load: Load, audit: Audit, driver: Driver) -> dict[str, Any]:
    sent = audit.mix.total()
    return {
        "orders_per_s": round(audit.answered / load.seconds),
        "acked": audit.all_answered,
        "lost": audit.lost,
        "duplicated": audit.duplicated,
        "executions": audit.executions,
        "ack_us": percentiles(audit.latencies_ns, NS_PER_US),
        "over_time": over_time(audit.sent_offsets_ns, audit.latencies_ns, load.seconds),
        "entry": load.entry,
        "loop": "closed" if load.rate is None else "open",
        "rate": load.rate,
        "window": load.window if load.rate is None else None,
        "send_lag_us": percentiles(driver.lags_ns, NS_PER_US) if load.rate else None,
        "nodes": 3,
        "gateways": load.gateways,
        "durability": load.durability,
        "tls": load.tls,
        "clients": load.clients,
        "symbols": load.symbols,
        "mix": {kind: round(audit.mix[kind] / max(1, sent), 3) for kind in MIX},
        "seconds": load.seconds,
        "warm_up_s": load.warm_up_s,
        "host": host_facts(),
    }


def _cpu_figures(before: dict[str, float], after: dict[str, float], orders: int) -> dict[str, Any]:
    cpu_s = {name: round(after[name] - before[name], 2) for name in after}
    per_order = {name: round(1e6 * used / max(1, orders), 2) for name, used in cpu_s.items()}
    per_order["total"] = round(1e6 * sum(cpu_s.values()) / max(1, orders), 2)
    return {"cpu_s": cpu_s, "cpu_us_per_order": per_order}


def _cpu_seconds(exchange: LocalExchange) -> dict[str, float]:
    """CPU time so far of every process, and of this one, which plays the clients."""
    found = {}
    for process in all_processes(exchange.config):
        pid = exchange.pid(process.name)
        found[process.name] = cpu_seconds(pid) if pid is not None else 0.0
    return {**found, "clients": cpu_seconds(os.getpid())}
