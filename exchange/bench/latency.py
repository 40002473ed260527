"""`exchange bench latency`: one order in flight, and the machine's own floor for the same way."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exchange.bench.audit import Audit, all_problems
from exchange.bench.driver import NS_PER_S, Driver
from exchange.bench.figures import NS_PER_US, host_facts, percentiles
from exchange.bench.floor import measure_floor_ns
from exchange.bench.flow import Flow
from exchange.bench.market import Market, make_market
from exchange.bench.session import LoadError, LoadSession, make_session
from exchange.bench.stages import LEADER_STAGES, read_clocks, stages_us
from exchange.bench.state import hashes_equal
from exchange.local import LocalExchange, local_exchange

SEED = 2
WARM_UP_ORDERS = 300
TIMEOUT_S = 120.0


async def run_latency(
    orders: int,
    durability: str,
    say: Callable[[str], None],
    *,
    tls: bool = False,
    entry: str = "fix",
) -> dict[str, Any]:
    """Start an exchange and send `orders` one after the other; returns the JSON of contract.md.
    Raises LocalExchangeError."""
    market = make_market(entry, clients=1, symbols=1, durability=durability)
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as name:
        folder = Path(name)
        async with local_exchange(
            folder / "exchange", market.changes, tls=tls, more=market.more
        ) as exchange:
            say(f"ready: node {exchange.ready['leader']} leads; {orders} orders, one in flight")
            flow = Flow(f"{SEED}/{market.clients[0]}", market.symbols)
            count = WARM_UP_ORDERS + orders
            session = make_session(entry, market.clients[0], flow, folder, count)
            try:
                facts = await _measure(exchange, market, session, count)
            finally:
                session.close()
            say("measuring the machine's floor")
            floor_ns = await asyncio.to_thread(measure_floor_ns, exchange.config.data_dir)
    limit = percentiles(floor_ns, NS_PER_US)
    facts |= {"durability": durability, "tls": tls, "limit_us": limit["p50"]}
    facts["limit_detail_us"] = limit
    if facts["ack_us"]["p50"] and limit["p50"]:
        facts["ratio_to_limit"] = round(facts["ack_us"]["p50"] / limit["p50"], 2)
    return facts


async def _measure(
    exchange: LocalExchange, market: Market, session: LoadSession, count: int
) -> dict[str, Any]:
    await asyncio.to_thread(session.connect, market.address(exchange, 0))
    clocks = await read_clocks(exchange, market)
    problems = []
    try:
        if not await asyncio.to_thread(_drive, Driver([session]), count):
            problems.append("not everything was answered in time")
    except LoadError as error:
        problems.append(str(error))
    begun_ns = session.sent_ns[min(WARM_UP_ORDERS, len(session.sent_ns) - 1)]
    audit = Audit(begun_ns, time.perf_counter_ns())
    await asyncio.to_thread(audit.read, [session], market.entry)
    stages = await stages_us(exchange, market, clocks)
    return {
        "orders": len(audit.latencies_ns),
        "acked": audit.all_answered,
        "lost": audit.lost,
        "duplicated": audit.duplicated,
        "ack_us": percentiles(audit.latencies_ns, NS_PER_US),
        "entry": market.entry,
        "in_flight": 1,
        "nodes": 3,
        "stages_us": _way_us(stages, sum(audit.latencies_ns) / len(audit.latencies_ns)),
        "leader_stages_us": stages,
        "hash_equal": await hashes_equal(exchange),
        "problems": [*problems, *all_problems(audit)],
        "host": host_facts(),
    }


def _drive(driver: Driver, count: int) -> bool:
    """One request after the other; False when the last answer did not come in time."""
    (session,) = driver.sessions
    deadline_ns = time.perf_counter_ns() + int(TIMEOUT_S * NS_PER_S)
    driver.closed(1, lambda: session.answered >= count or time.perf_counter_ns() > deadline_ns)
    return driver.settle(TIMEOUT_S)


def _way_us(stages: dict[str, Any], client_mean_ns: float) -> dict[str, float]:
    """Means of the stages of one order; they add up to what the client sees. The clocks of gateway
    and leader know no warm-up, so the stages are those of all orders."""
    names = ("gateway_in", "wire", *LEADER_STAGES, "gateway_out")
    way = {name: stages[name]["mean_us"] for name in names}
    total = client_mean_ns / NS_PER_US
    way = {"client_to_gateway_and_back": total - sum(way.values()), **way, "total": total}
    return {name: round(value, 1) for name, value in way.items()}
