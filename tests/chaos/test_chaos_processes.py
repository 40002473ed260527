"""Processes killed and stopped under load."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from story import RunStory, followers, name

from exchange.drill import Drill
from exchange.local import new_local_exchange

pytestmark = pytest.mark.chaos

HANGS_S = (0.02, 0.05, 0.15, 0.4, 1.5)
"""Shorter and longer than the silence after which a leader is suspected (100 ms), and than the one
after which its connections are given up."""


def test_leaders_killed_one_after_the_other(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for _ in range(5):
            leader = name(await exchange.leader())
            await drill.strike(lambda killed=leader: exchange.signal(killed, signal.SIGKILL))
            await exchange.gone(leader)
            await exchange.restart(leader)
            await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)


def test_followers_killed_singly_and_both_at_once(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for follower in await followers(exchange):
            await drill.strike(lambda node=follower: exchange.signal(name(node), signal.SIGKILL))
            await exchange.restart(name(follower))
            await exchange.wait_until_whole()
        both = await followers(exchange)
        fault_ns = drill.fault(lambda: [exchange.signal(name(n), signal.SIGKILL) for n in both])
        await exchange.restart(name(both[0]))
        await drill.gap_after(fault_ns)
        await exchange.restart(name(both[1]))
        await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)


def test_all_nodes_killed_at_once(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        nodes = [name(node_id) for node_id in exchange.config.node_ids]
        for _ in range(3):
            fault_ns = drill.fault(lambda: [exchange.signal(n, signal.SIGKILL) for n in nodes])
            for node in nodes:
                await exchange.restart(node)
            await drill.gap_after(fault_ns)
            await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)


def test_the_leader_and_the_gateway_killed_together(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for _ in range(3):
            both = [name(await exchange.leader()), "gateway-fix"]
            fault_ns = drill.fault(lambda b=both: [exchange.signal(n, signal.SIGKILL) for n in b])
            for process in reversed(both):
                await exchange.restart(process)
            await drill.gap_after(fault_ns)
            await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)


def test_a_leader_that_hangs_for_a_while(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for hang_s in HANGS_S:
            leader = name(await exchange.leader())
            fault_ns = drill.fault(lambda hung=leader: exchange.signal(hung, signal.SIGSTOP))
            await asyncio.sleep(hang_s)
            exchange.signal(leader, signal.SIGCONT)
            await drill.gap_after(fault_ns)
            await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)


def test_followers_that_hang_for_a_while(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for hang_s in HANGS_S:
            hung = [name(node_id) for node_id in await followers(exchange)]
            # One of them: the majority goes on. Both: nothing is acknowledged meanwhile.
            for some in (hung[:1], hung):
                fault_ns = drill.fault(
                    lambda h=some: [exchange.signal(n, signal.SIGSTOP) for n in h]
                )
                await asyncio.sleep(hang_s)
                for node in some:
                    exchange.signal(node, signal.SIGCONT)
                await drill.gap_after(fault_ns)
                await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)


def test_every_node_restarted_in_turn_again_and_again(run_story: RunStory, tmp_path: Path) -> None:
    async def story(drill: Drill) -> None:
        exchange = drill.exchange
        for _ in range(4):
            for node_id in exchange.config.node_ids:
                await drill.strike(lambda n=node_id: exchange.signal(name(n), signal.SIGTERM))
                await exchange.gone(name(node_id))
                await exchange.restart(name(node_id))
                await exchange.wait_until_whole()

    run_story(new_local_exchange(tmp_path), story)
