"""Disks that are slow, hang, fill up, are damaged, or are lost, under load."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from chaos_exchange import HANGS, SMALL_SEGMENTS, exchange_with_disks, small_disk
from story import RunStory, followers, name

from exchange.drill import Drill
from exchange.local import LocalExchange, wait_for
from exchange.wiring import EXIT_BUG

pytestmark = pytest.mark.chaos


def log_of(exchange: LocalExchange, node_id: int) -> str:
    return (exchange.config.data_dir / "log" / f"{name(node_id)}.log").read_text()


async def killed(drill: Drill, node_id: int) -> None:
    """SIGKILL to a node; returns when it is gone and the others have answered."""
    exchange = drill.exchange
    await drill.strike(lambda: exchange.signal(name(node_id), signal.SIGKILL))
    await exchange.gone(name(node_id))


def test_slow_disks(run_story: RunStory, tmp_path: Path) -> None:
    exchange = exchange_with_disks(tmp_path)

    async def story(drill: Drill) -> None:
        leader, others = await exchange.leader(), await followers(exchange)
        for slow, sync_s in (([leader], 0.03), (others[:1], 0.2), (others, 0.03), ([1, 2, 3], 0.1)):
            await drill.strike(lambda s=slow, t=sync_s: [exchange.slow_disk(n, t) for n in s])
            await drill.more_reports(200)
            for node_id in slow:
                exchange.slow_disk(node_id, 0)
            await exchange.wait_until_whole()
        for node_id in exchange.config.node_ids:
            exchange.slow_disk(node_id, 0.1)
        leader = await exchange.leader()
        await killed(drill, leader)
        await exchange.restart(name(leader))
        await exchange.wait_until_whole()

    run_story(exchange, story)


def test_disks_that_hang(run_story: RunStory, tmp_path: Path) -> None:
    exchange = exchange_with_disks(tmp_path)

    async def story(drill: Drill) -> None:
        async def hang(nodes: Sequence[int]) -> int:
            return drill.fault(lambda: [exchange.slow_disk(n, HANGS) for n in nodes])

        async def work_again(nodes: Sequence[int]) -> None:
            for node_id in nodes:
                exchange.slow_disk(node_id, 0)
            await exchange.wait_until_whole()

        leader, others = await exchange.leader(), await followers(exchange)
        for nodes in ([leader], others[:1]):  # a majority works: nobody needs to wait for repair
            await drill.gap_after(await hang(nodes))
            await drill.more_reports(200)
            await work_again(nodes)
        fault_ns = await hang(await followers(exchange))
        await asyncio.sleep(1.5)
        await work_again(exchange.config.node_ids)
        await drill.gap_after(fault_ns)

    run_story(exchange, story)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_stops_only_its_node_which_comes_back_when_there_is_room(
    run_story: RunStory, tmp_path: Path
) -> None:
    exchange = exchange_with_disks(tmp_path, SMALL_SEGMENTS)

    async def story(drill: Drill) -> None:
        for victim in (await exchange.leader(), *await followers(exchange)):
            disk = disks[victim - 1]
            await drill.strike(disk.fill)
            assert await exchange.ended(name(victim)) == EXIT_BUG
            assert "No space left on device" in log_of(exchange, victim)
            assert f"node {victim} stops at log index" in log_of(exchange, victim)
            await drill.more_reports(100)
            disk.free()
            await exchange.restart(name(victim))
            await exchange.wait_until_whole()

    with (
        small_disk(exchange, 1, 24) as one,
        small_disk(exchange, 2, 24) as two,
        small_disk(exchange, 3, 24) as three,
    ):
        disks = (one, two, three)
        run_story(exchange, story)


def flip_a_bit(folder: Path) -> Path:
    """Change one bit of what is in use of the oldest segment of a journal; returns its path."""
    segment = min((folder / "wal").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    middle = len(data.rstrip(b"\0")) // 2
    data[middle] ^= 0x10
    segment.write_bytes(data)
    return segment


def test_a_damaged_journal_stops_its_node_and_the_advice_that_it_gives_is_good(
    run_story: RunStory, tmp_path: Path
) -> None:
    exchange = exchange_with_disks(tmp_path, SMALL_SEGMENTS)

    async def story(drill: Drill) -> None:
        for victim in (await exchange.leader(), *(await followers(exchange))[:1]):
            folder = exchange.config.data_dir / name(victim)
            segments = len(list((folder / "wal").glob("*.seg")))
            await wait_for(
                lambda f=folder, n=segments: len(list((f / "wal").glob("*.seg"))) > n,
                "the journal begins a new file",
                60.0,
            )
            await killed(drill, victim)
            segment = flip_a_bit(folder)
            await exchange.spawn(name(victim))
            assert await exchange.ended(name(victim)) == EXIT_BUG
            assert f"{segment} at byte " in log_of(exchange, victim)
            assert f"move {segment.parent} away" in log_of(exchange, victim)
            await drill.more_reports(100)
            shutil.move(folder, tmp_path / f"damaged-{victim}")
            await exchange.restart(name(victim))
            await exchange.wait_until_whole()

    run_story(exchange, story)


def test_a_lost_disk_comes_back_by_itself_and_votes_no_sooner_than_it_has_caught_up(
    run_story: RunStory, tmp_path: Path
) -> None:
    exchange = exchange_with_disks(tmp_path)

    async def story(drill: Drill) -> None:
        await drill.more_reports(1_000)
        for victim in (await exchange.leader(), *await followers(exchange)):
            await killed(drill, victim)
            shutil.rmtree(exchange.config.data_dir / name(victim))
            statuses = await exchange.statuses()
            promised = max(int(status["commit_index"]) for status in statuses.values())
            await exchange.restart(name(victim))

            async def votes(node_id: int = victim, least: int = promised) -> bool:
                status = (await exchange.statuses()).get(node_id)
                if status is None or not status["may_vote"]:
                    return False
                assert status["durable_index"] >= least
                return True

            await wait_for(votes, f"node {victim} may vote", 30.0, poll_s=0.002)
            await exchange.wait_until_whole()

    run_story(exchange, story)
