"""Cuts of the network, each node on a machine of its own: pulled cables, one-way cuts, bridges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from chaos_exchange import exchange_on_machines
from story import RunStory, followers

from exchange.drill import Drill
from exchange.machines import EDGE, Machines

pytestmark = pytest.mark.chaos

CUTS_S = (0.05, 0.3, 1.5)
"""Shorter than the silence after which a leader is suspected, longer, and longer than the one after
which connections are given up."""

Cut = Callable[[Machines, int, Sequence[int]], None]
"""Done to (net, leader, followers)."""


def block_all(net: Machines, sources: Sequence[int], targets: Sequence[int]) -> None:
    for source in sources:
        for target in targets:
            net.block(source, target)


CUTS: dict[str, Cut] = {
    "the leader is unplugged": lambda net, leader, others: net.unplug(leader),
    "a follower is unplugged": lambda net, leader, others: net.unplug(others[0]),
    "both followers are unplugged": lambda net, leader, others: [net.unplug(n) for n in others],
    "all are unplugged": lambda net, leader, others: [net.unplug(n) for n in (leader, *others)],
    "no follower hears the leader": lambda net, leader, others: block_all(net, [leader], others),
    "the leader hears no follower": lambda net, leader, others: block_all(net, others, [leader]),
    "one follower is deaf": lambda net, leader, others: net.block(leader, others[0]),
    "one follower is mute": lambda net, leader, others: net.block(others[1], leader),
    "followers do not see each other": lambda net, leader, others: net.separate(*others),
    "one follower is the bridge": lambda net, leader, others: net.separate(leader, others[0]),
    "the gateway does not hear the leader": lambda net, leader, others: net.block(leader, EDGE),
    "the leader does not hear the gateway": lambda net, leader, others: net.block(EDGE, leader),
    "the gateway and the leader are cut off": lambda net, leader, others: net.separate(
        EDGE, leader
    ),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=[cut.replace(" ", "-") for cut in CUTS])
def test_the_network_is_cut(run_story: RunStory, tmp_path: Path, net: Machines, cut: Cut) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for cut_s in CUTS_S:
            leader, others = await exchange.leader(), await followers(exchange)
            fault_ns = drill.fault(lambda le=leader, o=others: cut(net, le, o))
            await asyncio.sleep(cut_s)
            net.heal()
            await drill.gap_after(fault_ns)
            await exchange.wait_until_whole()

    run_story(exchange_on_machines(tmp_path, net), story)


def test_the_cable_of_the_leader_has_a_loose_contact(
    run_story: RunStory, tmp_path: Path, net: Machines
) -> None:
    chooser = random.Random(1)

    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for _ in range(3):
            leader = await exchange.leader()
            for _ in range(8):
                fault_ns = drill.fault(lambda n=leader: net.unplug(n))
                await asyncio.sleep(0.2 * chooser.random())
                net.plug_in(leader)
                await asyncio.sleep(0.2 * chooser.random())
            await drill.gap_after(fault_ns)
            await exchange.wait_until_whole()

    run_story(exchange_on_machines(tmp_path, net), story)
