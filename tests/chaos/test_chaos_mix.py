"""Everything at random, for CHAOS_SECONDS (90) with CHAOS_SEED: one or two faults at a time.

The seed repeats the sequence of faults; how the processes get on with it is up to the machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos_exchange import HANGS, FaultyDisks, exchange_on_machines, exchange_with_disks
from story import RunStory, name

from exchange.bench.failover import Fault, Kill, Partition, Stop
from exchange.bench.figures import NS_PER_MS
from exchange.drill import Drill
from exchange.local import LocalExchange
from exchange.machines import EDGE, Machines, missing

pytestmark = pytest.mark.chaos

SECONDS = float(os.environ.get("CHAOS_SECONDS", "90"))
SEED = int(os.environ.get("CHAOS_SEED", str(time.time_ns() % 1_000_000)))
LONGEST_HOLD_S = 2.0
GAP_TIMEOUT_S = 30.0


class LostDisk(Kill):
    """SIGKILL, and the data folder is gone."""

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """Start with an empty folder."""
        await exchange.gone(name(node_id))
        shutil.rmtree(exchange.config.data_dir / name(node_id))
        await exchange.restart(name(node_id))


class SlowDisk:
    """Each fdatasync takes that long."""

    def __init__(self, exchange: FaultyDisks, sync_s: float) -> None:
        self._exchange = exchange
        self._sync_s = sync_s

    def strike(self, exchange: LocalExchange, node_id: int) -> None:
        """From now on."""
        self._exchange.slow_disk(node_id, self._sync_s)

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """As fast as before."""
        self._exchange.slow_disk(node_id, 0)


class OneWay:
    """A node that is heard by nobody (`mute`), or hears nobody."""

    def __init__(self, net: Machines, *, mute: bool) -> None:
        self._net = net
        self._mute = mute

    def _ways(self, node_id: int) -> list[tuple[int, int]]:
        others = [machine for machine in (EDGE, *self._net.nodes) if machine != node_id]
        return [(node_id, other) if self._mute else (other, node_id) for other in others]

    def strike(self, exchange: LocalExchange, node_id: int) -> None:
        """Cut every way."""
        for way in self._ways(node_id):
            self._net.block(*way)

    async def repair(self, exchange: LocalExchange, node_id: int) -> None:
        """Open them again."""
        for way in self._ways(node_id):
            self._net.unblock(*way)


def faults(exchange: FaultyDisks, net: Machines | None) -> dict[str, Fault]:
    found: dict[str, Fault] = {
        "kill": Kill(),
        "stop": Stop(),
        "lost disk": LostDisk(),
        "slow disk": SlowDisk(exchange, 0.05),
        "hung disk": SlowDisk(exchange, HANGS),
    }
    if net is not None:
        found |= {
            "unplugged": Partition(net),
            "mute": OneWay(net, mute=True),
            "deaf": OneWay(net, mute=False),
        }
    return found


class Mix:
    """Rounds of one or two faults on different nodes, with the gateway killed now and then."""

    def __init__(self, drill: Drill, kinds: dict[str, Fault], chooser: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self._drill = drill
        self._kinds = kinds
        self._chooser = chooser
        self._struck: set[str] = set()

    async def run(self) -> None:
        """Until the time is over."""
        deadline_s = time.monotonic() + SECONDS
        while time.monotonic() < deadline_s:
            await self._round()
            # Sometimes the next faults meet nodes that are still catching up from the last ones;
            # but a second disk may only be lost when the first one is back.
            if "lost disk" in self._struck or self._chooser.random() < 0.6:
                await self._drill.exchange.wait_until_whole()
        await self._drill.exchange.wait_until_whole()

    async def _round(self) -> None:
        drill, exchange, chooser = self._drill, self._drill.exchange, self._chooser
        nodes = list(exchange.config.node_ids)
        chooser.shuffle(nodes)
        if chooser.random() < 0.6:
            leader = await exchange.leader(GAP_TIMEOUT_S)
            nodes.sort(key=lambda node_id: node_id != leader)
        plan = [
            (chooser.choice(list(self._kinds)), node_id)
            for node_id in nodes[: chooser.choice((1, 1, 2))]
        ]
        kinds = [kind for kind, _ in plan]
        self._struck = set(kinds)
        if "lost disk" in kinds:
            await exchange.wait_until_whole()
            plan = plan[:1] if kinds[0] == "lost disk" else plan[1:]
        for kind, node_id in plan:
            self.counts[kind] += 1
            fault_ns = drill.fault(lambda k=kind, n=node_id: self._kinds[k].strike(exchange, n))
        with_gateway = chooser.random() < 0.1
        if with_gateway:
            self.counts["gateway killed"] += 1
            drill.fault(lambda: exchange.signal("gateway-fix", signal.SIGKILL))
            await exchange.gone("gateway-fix")
            await exchange.restart("gateway-fix")
        hold_s = LONGEST_HOLD_S * chooser.random() ** 2
        await asyncio.sleep(hold_s)
        chooser.shuffle(plan)
        for kind, node_id in plan:
            await self._kinds[kind].repair(exchange, node_id)
        gap_ns = await drill.gap_after(fault_ns, GAP_TIMEOUT_S)
        what = f"{plan}{' and the gateway' if with_gateway else ''} for {hold_s:.2f} s"
        # Seen when the test fails.
        print(f"{datetime.now(UTC).time()} {what}: gap {gap_ns / NS_PER_MS:.0f} ms")


def test_everything_at_random(
    run_story: RunStory,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    net: Machines | None = request.getfixturevalue("net") if missing() is None else None
    exchange = exchange_with_disks(tmp_path) if net is None else exchange_on_machines(tmp_path, net)
    with capsys.disabled():
        print(f"\n    CHAOS_SEED={SEED}", end=" ", flush=True)

    async def story(drill: Drill) -> None:
        mix = Mix(drill, faults(exchange, net), random.Random(SEED))
        await mix.run()
        with capsys.disabled():
            print(f"\n    {dict(mix.counts)}", end=" ", flush=True)

    run_story(exchange, story)
