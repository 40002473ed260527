"""`exchange bench failover`: the leader is broken again and again while clients keep trading."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from exchange import config as configuration
from exchange.bench.figures import NS_PER_MS, host_facts, percentiles
from exchange.drill import CLIENTS, Drill, run_drill
from exchange.local import LocalExchange, new_local_exchange
from exchange.machines import Machines, SpreadExchange, machines, write_spread_folder
from exchange.reconcile import lost_and_duplicated, shortened

REPORTS_BETWEEN_FAULTS = 100
GAP_TIMEOUT_S = 10.0


class Fault(Protocol):
    """What is done to the leader, and undone after each trial."""

    def strike(self, exchange: LocalExchange, node_id: int) -> None:
        """Do it, at once."""

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """Undo it."""


class Kill:
    """SIGKILL: its connections break."""

    def strike(self, exchange: LocalExchange, node_id: int) -> None:
        """Kill it."""
        exchange.signal(f"node-{node_id}", signal.SIGKILL)

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """Start it again."""
        await exchange.gone(f"node-{node_id}")
        await exchange.restart(f"node-{node_id}")


class Stop:
    """SIGSTOP: the process is there, its connections stand, nothing moves."""

    def strike(self, exchange: LocalExchange, node_id: int) -> None:
        """Stop it."""
        exchange.signal(f"node-{node_id}", signal.SIGSTOP)

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """Let it go on."""
        exchange.signal(f"node-{node_id}", signal.SIGCONT)


class Partition:
    """A pulled cable: the node runs, and takes itself for the leader, but no packet gets to it or
    away from it, be it from its peers or from the gateway."""

    def __init__(self, net: Machines) -> None:
        self._net = net

    def strike(self, exchange: LocalExchange, node_id: int) -> None:
        """Pull it."""
        self._net.unplug(node_id)

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """Plug it in."""
        self._net.plug_in(node_id)


FAULTS = ("kill", "stop", "partition")


@contextmanager
def broken_by(
    fault: str, folder: Path, changes: dict[str, str]
) -> Iterator[tuple[Fault, LocalExchange]]:
    """A fault, and an exchange (not started yet) that it can be done to. For a partition the
    exchange is on machines of its own: raises NoMachines where they cannot be made."""
    if fault == "partition":
        with machines() as net:
            config = configuration.load(write_spread_folder(folder, net, changes))
            yield Partition(net), SpreadExchange(config, net)
    else:
        yield Kill() if fault == "kill" else Stop(), new_local_exchange(folder, changes)


async def run_failover(
    trials: int, fault: str, durability: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Start an exchange and do `fault` to its leader `trials` times; returns the JSON of
    contract.md. The gap of a trial is from the fault to the first acknowledgement, at any client,
    of a request that was sent after the fault. Raises NoMachines, LocalExchangeError."""
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        changes = {"cluster.durability": f'"{durability}"'}
        with broken_by(fault, Path(folder), changes) as (done, exchange):
            facts = await _trials(exchange, done, trials, say)
    return facts | {
        "fault": fault,
        "durability": durability,
        "seconds": round(time.monotonic() - begun_s, 1),
        "host": host_facts(),
    }


async def _trials(
    exchange: LocalExchange, fault: Fault, trials: int, say: Callable[[str], None]
) -> dict[str, Any]:
    seconds = 0.0

    async def story(drill: Drill) -> None:
        nonlocal seconds
        begun_s = time.monotonic()
        for trial in range(1, trials + 1):
            gap_ns = await _trial(drill, fault)
            say(f"trial {trial}: {gap_ns / NS_PER_MS:.1f} ms")
        seconds = time.monotonic() - begun_s

    drill = Drill(exchange, with_feed=False)
    await run_drill(drill, story)
    lost, duplicated = lost_and_duplicated(drill.ledgers)
    return {
        "trials": trials,
        "gap_ms": percentiles(drill.gaps_ns, NS_PER_MS),
        "gaps_ms": [round(gap_ns / NS_PER_MS, 1) for gap_ns in drill.gaps_ns],
        "lost": lost,
        "duplicated": duplicated,
        "requests": drill.requests,
        "elections": drill.elections,
        "hash_equal": drill.hash_equal,
        "entry": "fix",
        "nodes": len(exchange.config.node_ids),
        "clients": CLIENTS,
        "seconds_per_trial": round(seconds / trials, 2),
        "problems": shortened(drill.problems),
    }


async def _trial(drill: Drill, fault: Fault) -> int:
    """Break the leader, measure the gap, repair it, and wait until the cluster is whole."""
    exchange = drill.exchange
    leader = await exchange.leader()
    reports_before = drill.reports
    gap_ns = await drill.strike(lambda: fault.strike(exchange, leader), GAP_TIMEOUT_S)
    await fault.repair(exchange, leader)
    await exchange.wait_until_whole()
    # The next fault meets a market at work, too.
    await drill.more_reports(REPORTS_BETWEEN_FAULTS, since=reports_before)
    return gap_ns
