"""A chaos test is a story: traders at work, faults one after the other, and nothing may be lost."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from exchange.bench.figures import NS_PER_MS
from exchange.drill import Drill, Story, run_drill
from exchange.local import LocalExchange

RunStory = Callable[[LocalExchange, Story], None]


def run_story(exchange: LocalExchange, story: Story) -> str:
    """Run it; the reconciliation must find no contradiction. Returns the line of statistics."""
    drill = Drill(exchange)
    begun_s = time.monotonic()
    asyncio.run(run_drill(drill, story))
    assert drill.problems == []
    assert drill.faults > 0
    return line_of(drill, time.monotonic() - begun_s)


def line_of(drill: Drill, seconds: float) -> str:
    """Faults, elections, requests answered, gaps of one drill."""
    answered = drill.requests - sum(len(ledger.unanswered) for ledger in drill.ledgers)
    gaps_ms = [gap_ns / NS_PER_MS for gap_ns in drill.gaps_ns] or [0.0]
    return (
        f"{drill.faults} faults, {drill.elections} elections, {answered} requests answered, "
        f"gaps: median {statistics.median(gaps_ms):.0f} ms, longest {max(gaps_ms):.0f} ms; "
        f"{seconds:.0f} s"
    )


def name(node_id: int) -> str:
    """Name of a node's process."""
    return f"node-{node_id}"


async def followers(exchange: LocalExchange) -> list[int]:
    """Every node but the leader."""
    leader = await exchange.leader()
    return [node_id for node_id in exchange.config.node_ids if node_id != leader]
