"""`exchange bench latency`: one order in flight, and the machine's own floor for the same way."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exchange.bench.figures import NS_PER_US, host_facts, percentiles
from exchange.bench.floor import measure_floor_ns
from exchange.bench.throughput import SYMBOLS, entry_address, make_session, stages_us
from exchange.http_client import get_text
from exchange.local import LocalExchange, local_exchange
from exchange.reconcile import check_sessions, lost_and_duplicated, shortened

SEED = 2
WARM_UP_ORDERS = 300
TIMEOUT_S = 120.0
LEADER_STAGES = ("batch_wait", "replicate", "apply")
"""Waiting for the batch before; journal, followers, fdatasync and commit; state machine, multicast
and encoding of the events."""


async def run_latency(
    orders: int,
    durability: str,
    say: Callable[[str], None],
    *,
    tls: bool = False,
    entry: str = "fix",
) -> dict[str, Any]:
    """Start an exchange and send `orders` one after the other; returns the JSON of contract.md."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        changes = {"cluster.durability": f'"{durability}"'}
        async with local_exchange(Path(folder), changes, tls=tls) as exchange:
            say(f"ready: node {exchange.ready['leader']} leads; {orders} orders, one in flight")
            facts = await _measure(exchange, orders, durability, entry)
            facts["tls"] = tls
            say("measuring the machine's floor")
            floor_ns = await asyncio.to_thread(measure_floor_ns, exchange.config.data_dir)
            limit = percentiles(floor_ns, NS_PER_US)
            facts["limit_us"] = limit["p50"]
            facts["limit_detail_us"] = limit
            if facts["ack_us"]["p50"] and limit["p50"]:
                facts["ratio_to_limit"] = round(facts["ack_us"]["p50"] / limit["p50"], 2)
            return facts


async def _measure(
    exchange: LocalExchange, orders: int, durability: str, entry: str
) -> dict[str, Any]:
    session = make_session(entry, 1, SEED, WARM_UP_ORDERS + orders, SYMBOLS[:1], window=1)
    await session.connect(entry_address(exchange, entry))
    session.start()
    await asyncio.wait_for(session.all_answered.wait(), TIMEOUT_S)
    await session.settle()
    all_times_ns = [
        answered_ns - sent_ns
        for sent_ns, answered_ns in zip(session.sent_ns, session.answered_ns, strict=True)
    ]
    times_ns = all_times_ns[WARM_UP_ORDERS:]
    ledger = session.ledger()
    lost, duplicated = lost_and_duplicated([ledger])
    # The clocks of gateway and leader have no warm-up: the stages are those of all orders.
    mean_us = sum(all_times_ns) / len(all_times_ns) / NS_PER_US
    facts = {
        "orders": len(times_ns),
        "acked": len(session.answered_ns) + len(session.others_ns),
        "lost": lost,
        "duplicated": duplicated,
        "ack_us": percentiles(times_ns, NS_PER_US),
        "entry": entry,
        "in_flight": 1,
        "nodes": 3,
        "durability": durability,
        "stages_us": await _way_us(exchange, mean_us, entry),
        "leader_stages_us": await stages_us(exchange),
        "problems": shortened(check_sessions([ledger])),
        "host": host_facts(),
    }
    session.close()
    return facts


async def _way_us(exchange: LocalExchange, client_mean_us: float, entry: str) -> dict[str, float]:
    """Means of the stages of one order; they add up to what the client sees.

    Each is the difference of two clocks that run around the same order: client, gateway, leader.
    """
    leader = await stages_us(exchange)
    in_leader_us = {name: leader[name]["mean_us"] for name in LEADER_STAGES}
    addresses = exchange.config.addresses
    http = addresses.ouch_http[0] if entry == "ouch" else addresses.fix_http[0]
    text = await get_text(http, "/metrics")
    metric = f"exchange_{entry}_answer_seconds"
    seconds = _sample(text, f"{metric}_sum")
    gateway_us = 1e6 * seconds / max(1.0, _sample(text, f"{metric}_count"))
    way = {
        "client_to_gateway_and_back": client_mean_us - gateway_us,
        "gateway_to_leader_and_back": gateway_us - sum(in_leader_us.values()),
        **in_leader_us,
        "total": client_mean_us,
    }
    return {name: round(value, 1) for name, value in way.items()}


def _sample(text: str, name: str) -> float:
    """The value of an unlabelled sample in Prometheus text."""
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise KeyError(f"{name} is not among the metrics of the gateway")
