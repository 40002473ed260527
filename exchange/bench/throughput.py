"""`exchange bench throughput`: how many requests per second several sessions get answered."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cluster.admin import state_hash
from cluster.settings import Address
from exchange.bench.figures import NS_PER_US, host_facts, percentiles
from exchange.bench.load import LoadSession, PlannedSession, plan
from exchange.bench.ouch_load import OuchLoadSession, plan_ouch
from exchange.ledger import Ledger
from exchange.local import LocalExchange, local_exchange
from exchange.processes import all_processes, cpu_seconds
from exchange.reconcile import check_sessions, check_trades, lost_and_duplicated, shortened
from exchange.settings import client_tls, node_addresses

SEED = 1
ANSWER_TIMEOUT_S = 20.0
ORDERS_PER_S_PLANNED = 30_000
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "GOOG", "INTC", "ZVZZT")


class Load(NamedTuple):
    """What to put on the exchange."""

    clients: int
    symbols: int
    window: int
    seconds: float
    warm_up_s: float
    durability: str
    tls: bool = False
    entry: str = "fix"


def make_session(
    entry: str, number: int, seed: int, count: int, symbols: Sequence[str], window: int
) -> PlannedSession:
    """Client `number` with `count` requests, over "fix" or "ouch"."""
    if entry == "ouch":
        name = f"OUCH{number}"
        return OuchLoadSession(name, plan_ouch(name, seed, count, symbols), window)
    name = f"CLIENT{number}"
    return LoadSession(name, plan(name, seed, count, symbols), window)


def entry_address(exchange: LocalExchange, entry: str) -> Address:
    """Where sessions of this protocol connect."""
    addresses = exchange.config.addresses
    return addresses.ouch[0] if entry == "ouch" else addresses.fix[0]


async def run_throughput(load: Load, say: Callable[[str], None]) -> dict[str, Any]:
    """Start an exchange, load it, reconcile; returns the JSON of contract.md section 5."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        changes = {"cluster.durability": f'"{load.durability}"'}
        async with local_exchange(Path(folder), changes, tls=load.tls) as exchange:
            say(f"ready: node {exchange.ready['leader']} leads; preparing the requests")
            count = int(ORDERS_PER_S_PLANNED * (load.seconds + load.warm_up_s) / load.clients)
            sessions = [
                make_session(load.entry, number, SEED, count, SYMBOLS[: load.symbols], load.window)
                for number in range(1, load.clients + 1)
            ]
            return await _measure(exchange, sessions, load, say)


async def _measure(
    exchange: LocalExchange,
    sessions: Sequence[PlannedSession],
    load: Load,
    say: Callable[[str], None],
) -> dict[str, Any]:
    for session in sessions:
        await session.connect(entry_address(exchange, load.entry))
    say(f"{load.clients} sessions, window {load.window}: {load.seconds:g} s after a warm-up")
    for session in sessions:
        session.start()
    await asyncio.sleep(load.warm_up_s)
    begun_ns, cpu_before = time.perf_counter_ns(), _cpu_seconds(exchange)
    await asyncio.sleep(load.seconds)
    ended_ns, cpu_after = time.perf_counter_ns(), _cpu_seconds(exchange)
    exhausted = [session.name for session in sessions if not session.has_more]
    for session in sessions:
        session.stop()
    answered = asyncio.gather(*(session.all_answered.wait() for session in sessions))
    try:
        await asyncio.wait_for(answered, ANSWER_TIMEOUT_S)
        # Twice: a cancel or replace, which nobody waited for, may trade with another session.
        for _ in range(2):
            await asyncio.gather(*(session.settle() for session in sessions))
    except TimeoutError:
        say("not everything was answered in time")
    times_ns = array("q")
    for session in sessions:
        for sent_ns, answered_ns in zip(session.sent_ns, session.answered_ns, strict=False):
            if begun_ns <= answered_ns < ended_ns:
                times_ns.append(answered_ns - sent_ns)
    others = sum(
        begun_ns <= answered_ns < ended_ns
        for session in sessions
        for answered_ns in session.others_ns
    )
    say("reconciling")
    facts = _figures(sessions, load, times_ns, others, (ended_ns - begun_ns) / 1e9)
    facts["cpu_s"] = {name: round(cpu_after[name] - cpu_before[name], 2) for name in cpu_after}
    facts["stages_us"] = await stages_us(exchange)
    facts |= await _reconciled(exchange, [session.ledger() for session in sessions])
    if exhausted:
        facts["problems"].append(f"{', '.join(exhausted)} ran out of requests: the rate is too low")
    for session in sessions:
        session.close()
    return facts


def _figures(
    sessions: Sequence[PlannedSession],
    load: Load,
    times_ns: Sequence[int],
    others: int,
    seconds: float,
) -> dict[str, Any]:
    mix: Counter[str] = Counter()
    for session in sessions:
        mix += session.mix()
    return {
        "orders_per_s": round((len(times_ns) + others) / seconds),
        "acked": sum(len(s.answered_ns) + len(s.others_ns) for s in sessions),
        "ack_us": percentiles(times_ns, NS_PER_US),
        "entry": load.entry,
        "nodes": 3,
        "durability": load.durability,
        "tls": load.tls,
        "clients": load.clients,
        "window": load.window,
        "symbols": load.symbols,
        "mix": {"new": mix["D"], "cancel": mix["F"], "replace": mix["G"]},
        "seconds": round(seconds, 3),
        "host": host_facts(),
    }


async def _reconciled(exchange: LocalExchange, ledgers: Sequence[Ledger]) -> dict[str, Any]:
    lost, duplicated = lost_and_duplicated(ledgers)
    problems = [*check_sessions(ledgers), *check_trades(ledgers)]
    await exchange.wait_until_level()
    hashes = await state_hash(node_addresses(exchange.config), tls=client_tls(exchange.config))
    return {
        "lost": lost,
        "duplicated": duplicated,
        "hash_equal": len(set(hashes.values())) == 1 and None not in hashes.values(),
        "problems": shortened(problems),
    }


async def stages_us(exchange: LocalExchange) -> dict[str, Any]:
    """Where the time goes on the leader, per batch: waiting, replication, application."""
    leader = await exchange.leader()
    stages: dict[str, Any] = (await exchange.statuses())[leader]["stages_us"]
    return stages


def _cpu_seconds(exchange: LocalExchange) -> dict[str, float]:
    """CPU time so far of every process, and of this one, which plays the clients."""
    found = {}
    for process in all_processes(exchange.config):
        pid = exchange.pid(process.name)
        found[process.name] = cpu_seconds(pid) if pid is not None else 0.0
    return {**found, "clients": cpu_seconds(os.getpid())}
