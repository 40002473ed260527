"""`exchange bench failover`: the leader is killed again and again while clients keep trading."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.admin import state_hash
from exchange.bench.figures import NS_PER_MS, host_facts, percentiles
from exchange.http_client import leader_of
from exchange.ledger import Ledger
from exchange.local import LocalExchange, local_exchange, wait_for
from exchange.reconcile import check_sessions, check_trades, lost_and_duplicated, shortened
from exchange.report import check_stopped, settle
from exchange.settings import client_tls, node_addresses
from exchange.traders import Trader

SEED = 3
CLIENTS = 4
RATE_PER_S = 60.0
TURN_S = 0.004
SYMBOLS = ("AAPL", "MSFT", "NVDA")
GAP_TIMEOUT_S = 10.0
REPORTS_BETWEEN_FAULTS = 200
FAULTS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


async def run_failover(
    trials: int, fault: str, durability: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Start an exchange and do `fault` to its leader `trials` times; returns the JSON of
    contract.md. The gap of a trial is from the fault to the first acknowledgement, at any client,
    of a request that was sent after the fault."""
    gaps_ns: list[int] = []
    problems: list[str] = []
    hash_equal = False
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        changes = {"cluster.durability": f'"{durability}"'}
        async with local_exchange(Path(folder), changes) as exchange:
            traders = [
                Trader(
                    f"CLIENT{number}",
                    exchange.config.addresses.fix,
                    SEED,
                    SYMBOLS,
                    rate_per_s=RATE_PER_S,
                    turn_s=TURN_S,
                )
                for number in range(1, CLIENTS + 1)
            ]
            ledgers = [trader.ledger for trader in traders]
            for trader in traders:
                await trader.start()
            for trial in range(1, trials + 1):
                await _more_reports(ledgers, REPORTS_BETWEEN_FAULTS)
                gap_ns = await _trial(exchange, ledgers, fault)
                gaps_ns.append(gap_ns)
                say(f"trial {trial}: {gap_ns / NS_PER_MS:.1f} ms")
            for trader in traders:
                await trader.stop_trading()
            await settle(ledgers)
            problems += check_sessions(ledgers) + check_trades(ledgers)
            await exchange.wait_until_level()
            hashes = await state_hash(
                node_addresses(exchange.config), tls=client_tls(exchange.config)
            )
            hash_equal = len(set(hashes.values())) == 1 and None not in hashes.values()
            for trader in traders:
                await trader.stop()
        for found in check_stopped(exchange, ledgers).values():
            problems += found
    lost, duplicated = lost_and_duplicated(ledgers)
    return {
        "trials": trials,
        "gap_ms": percentiles(gaps_ns, NS_PER_MS),
        "gaps_ms": [round(gap_ns / NS_PER_MS, 1) for gap_ns in gaps_ns],
        "lost": lost,
        "duplicated": duplicated,
        "requests": sum(len(ledger.requests) for ledger in ledgers),
        "fault": fault,
        "hash_equal": hash_equal,
        "entry": "fix",
        "nodes": 3,
        "durability": durability,
        "clients": CLIENTS,
        "problems": shortened(problems),
        "host": host_facts(),
    }


async def _trial(exchange: LocalExchange, ledgers: Sequence[Ledger], fault: str) -> int:
    """Break the leader, measure the gap, repair it, and wait until the cluster is whole."""
    leader = await exchange.leader()
    name = f"node-{leader}"
    fault_ns = time.perf_counter_ns()
    exchange.signal(name, FAULTS[fault])

    def first_answers() -> list[int]:
        times = (ledger.first_answer_after(fault_ns) for ledger in ledgers)
        return [answered_ns for answered_ns in times if answered_ns is not None]

    answers: list[int] = await wait_for(
        first_answers, "a new request is answered", GAP_TIMEOUT_S, poll_s=0.005
    )
    if fault == "stop":
        exchange.signal(name, signal.SIGCONT)
    else:
        await wait_for(lambda: exchange.pid(name) is None, f"{name} is gone", 5.0)
        await exchange.restart(name)
    await exchange.wait_until_caught_up(leader)
    await _until_whole(exchange)
    return min(answers) - fault_ns


async def _more_reports(ledgers: Sequence[Ledger], count: int) -> None:
    """Let trade go on for a while, so that each fault meets a market at work."""
    target = sum(len(ledger.reports) for ledger in ledgers) + count
    await wait_for(
        lambda: sum(len(ledger.reports) for ledger in ledgers) >= target, "trading goes on", 30.0
    )


async def _until_whole(exchange: LocalExchange) -> None:
    """Every node is connected to every other one, and one leads."""
    others = len(exchange.config.node_ids) - 1

    async def whole() -> bool:
        statuses = await exchange.statuses()
        connected = [len(status["peers_connected"]) for status in statuses.values()]
        return leader_of(statuses) is not None and connected == [others] * (others + 1)

    await wait_for(whole, "the cluster is whole again", 15.0)
