"""Connections between nodes that are slow, stall, trickle, or exist for one end only."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest
from chaos_exchange import FaultyLinks, exchange_with_links
from story import RunStory, followers, name

from exchange.drill import Drill

pytestmark = pytest.mark.chaos


def test_delay_and_jitter_on_every_link_and_a_leader_killed(
    run_story: RunStory, tmp_path: Path
) -> None:
    exchange = exchange_with_links(tmp_path)

    async def story(drill: Drill) -> None:
        for delay_s, jitter_s in ((0.002, 0.01), (0.01, 0.03), (0.05, 0.05), (0.0, 0.1)):

            def slow(d: float = delay_s, j: float = jitter_s) -> None:
                for way in exchange.ways:
                    way.delay_s, way.jitter_s = d, j

            await drill.strike(slow)
            await drill.more_reports(200)
            leader = name(await exchange.leader())
            await drill.strike(lambda n=leader: exchange.signal(n, signal.SIGKILL))
            await exchange.gone(leader)
            await exchange.restart(leader)
            await exchange.wait_until_whole()

    run_story(exchange, story)


def test_one_direction_of_a_link_is_slow(run_story: RunStory, tmp_path: Path) -> None:
    exchange = exchange_with_links(tmp_path)

    async def story(drill: Drill) -> None:
        for from_leader in (True, False):
            leader = await exchange.leader()
            for node_id in await followers(exchange):
                ends = (leader, node_id) if from_leader else (node_id, leader)
                way = exchange.way(*ends)
                await drill.strike(lambda w=way: setattr(w, "delay_s", 0.25))
                await drill.more_reports(200)
            for way in exchange.ways:
                way.delay_s = 0.0
            await exchange.wait_until_whole()

    run_story(exchange, story)


def test_links_stall_in_both_directions_and_in_one(run_story: RunStory, tmp_path: Path) -> None:
    exchange = exchange_with_links(tmp_path)

    async def story(drill: Drill) -> None:
        for stalled_s in (0.05, 0.3, 1.5):
            leader = await exchange.leader()
            first, second = await followers(exchange)
            to_leader = [exchange.way(node_id, leader) for node_id in (first, second)]
            from_leader = [exchange.way(leader, node_id) for node_id in (first, second)]
            for ways in (from_leader[:1], to_leader[:1], from_leader, to_leader, exchange.ways):
                fault_ns = drill.fault(lambda some=ways: [way.stall() for way in some])
                await asyncio.sleep(stalled_s)
                for way in ways:
                    way.resume()
                await drill.gap_after(fault_ns)
                await exchange.wait_until_whole()

    run_story(exchange, story)


def test_connections_are_reset_or_left_half_open(run_story: RunStory, tmp_path: Path) -> None:
    exchange = exchange_with_links(tmp_path)
    chooser = random.Random(2)

    async def story(drill: Drill) -> None:
        for _ in range(4):
            for link in exchange.links.values():
                do = chooser.choice((link.reset, link.break_dialled_end, link.break_diallers_end))
                await drill.strike(do)
        await break_everything(exchange, drill)
        await exchange.wait_until_whole()

    run_story(exchange, story)
    assert all(link.dialled > 1 for link in exchange.links.values())


async def break_everything(exchange: FaultyLinks, drill: Drill) -> None:
    """Every connection between nodes at once, in each of the three ways."""
    links = exchange.links.values()
    await drill.strike(lambda: [link.reset() for link in links])
    await exchange.wait_until_whole()
    await drill.strike(lambda: [link.break_dialled_end() for link in links])
    await exchange.wait_until_whole()
    await drill.strike(lambda: [link.break_diallers_end() for link in links])


def test_a_follower_at_the_end_of_a_trickle_holds_up_nobody(
    run_story: RunStory, tmp_path: Path
) -> None:
    exchange = exchange_with_links(tmp_path)

    async def story(drill: Drill) -> None:
        leader = await exchange.leader()
        follower = (await followers(exchange))[0]
        way = exchange.way(leader, follower)
        await drill.strike(lambda: setattr(way, "bytes_per_s", 2_000))
        await drill.more_reports(1_000)
        way.bytes_per_s = None
        await exchange.wait_until_whole()

    run_story(exchange, story)
