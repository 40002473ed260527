"""Real nodes that take snapshots all the time: restarts, nodes left far behind, lost disks."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_cluster import ROOT, Load, LocalCluster, until

from cluster import admin
from cluster.client import ClusterClient, EventBatch
from cluster.snapshot import snapshot_index
from cluster.verify import verify

AFTER_BYTES = 64 << 10


@pytest.fixture
def cluster(tmp_path: Path):
    local = LocalCluster(tmp_path, AFTER_BYTES)
    yield local
    codes = local.close()
    assert set(codes.values()) <= {0, -signal.SIGKILL}, codes
    report = verify([tmp_path / f"node-{node}" for node in local.processes])
    assert not report.problems, report


async def trimmed(cluster: LocalCluster, node: int, beyond: int = 1) -> int:
    """Wait until a node's journal begins behind `beyond`; where it begins."""
    deadline_s = time.monotonic() + 60
    while (first := (await cluster.answers(node))["first_log_index"]) <= beyond:
        assert time.monotonic() < deadline_s, f"node {node} has not trimmed its journal"
        await asyncio.sleep(0.05)
    return int(first)


def snapshots_of(cluster: LocalCluster, node: int) -> list[int]:
    names = (path.name for path in (cluster.data_dir / f"node-{node}" / "snapshots").iterdir())
    return sorted(index for name in names if (index := snapshot_index(name)) is not None)


async def all_events(cluster: LocalCluster, node: int) -> list[tuple[int, tuple]]:
    """Every event of the day, from a leader."""
    events: list[tuple[int, tuple]] = []

    def on_batch(batch: EventBatch) -> None:
        events.extend(batch.events)

    last = (await cluster.answers(node))["event_seq"]
    client = ClusterClient(
        "admin-reader", cluster.addresses, on_batch=on_batch, owners=None, from_event_seq=1
    )
    await client.start()
    await until(lambda: bool(events) and events[-1][0] >= last, "all events are read")
    await client.close()
    return events


def test_nodes_restart_on_their_snapshots_and_stay_equal(cluster):
    async def run() -> None:
        load = Load(cluster)
        await load.start()
        for node in cluster.processes:
            await trimmed(cluster, node)
        for node in (1, 2, 3, 1):
            cluster.send_signal(node, signal.SIGKILL)
            await load.new_order_is_answered()
            cluster.start(node)
            await cluster.caught_up(node)
            assert (await cluster.answers(node))["first_log_index"] > 1
        await load.finish()
        assert len(await cluster.state_hashes()) == 1
        assert all(len(snapshots_of(cluster, node)) <= 2 for node in cluster.processes)

    asyncio.run(run())


def test_a_node_that_was_away_for_too_long_gets_a_snapshot_and_the_day_files(cluster):
    async def run() -> None:
        load = Load(cluster)
        await load.start()
        await load.new_order_is_answered()
        away = next(node for node in cluster.processes if node != load.client.leader_id)
        cluster.send_signal(away, signal.SIGKILL)
        others = [node for node in cluster.processes if node != away]
        behind = max([(await cluster.answers(node))["last_log_index"] for node in others])
        for node in others:
            await trimmed(cluster, node, behind)
        cluster.start(away)
        await cluster.caught_up(away)
        await load.finish()
        assert len(await cluster.state_hashes()) == 1
        assert (await cluster.answers(away))["first_log_index"] > behind
        await admin.transfer(cluster.addresses, away)
        events = await all_events(cluster, away)
        assert [event_seq for event_seq, _ in events] == list(range(1, len(events) + 1))

    asyncio.run(run())


def test_a_node_that_lost_its_disk_gets_everything_back_and_votes_only_then(cluster):
    async def run() -> None:
        load = Load(cluster)
        await load.start()
        for node in cluster.processes:
            await trimmed(cluster, node)
        lost = load.client.leader_id
        cluster.send_signal(lost, signal.SIGKILL)
        shutil.rmtree(cluster.data_dir / f"node-{lost}")
        cluster.start(lost)
        first = await cluster.answers(lost)
        assert not first["may_vote"] or first["applied_index"] > 1
        await cluster.votes(lost)
        await cluster.caught_up(lost)
        await load.finish()
        assert len(await cluster.state_hashes()) == 1
        await admin.transfer(cluster.addresses, lost)
        events = await all_events(cluster, lost)
        assert events[0][0] == 1

    asyncio.run(run())


def test_a_damaged_snapshot_is_passed_over_for_the_one_before_it(cluster):
    async def run() -> None:
        load = Load(cluster)
        await load.start()
        await trimmed(cluster, 2)
        cluster.send_signal(2, signal.SIGKILL)
        newest = snapshots_of(cluster, 2)[-1]
        path = cluster.data_dir / "node-2" / "snapshots" / f"{newest:020d}.snapshot"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        cluster.start(2)
        await cluster.caught_up(2)
        await load.finish()
        assert len(await cluster.state_hashes()) == 1
        assert "sha256" in (cluster.data_dir / "node-2.log").read_text()
        path.unlink(missing_ok=True)  # verify would find it, as it should

    asyncio.run(run())


def test_replay_shows_the_state_at_an_event(cluster):
    async def run() -> tuple[int, str]:
        load = Load(cluster)
        await load.start()
        for node in cluster.processes:
            await trimmed(cluster, node)
        ((event_seq, state_hash),) = await cluster.state_hashes()
        await load.new_order_is_answered()
        await load.finish()
        return event_seq, state_hash

    event_seq, state_hash = asyncio.run(run())
    cluster.close()
    for node in cluster.processes:
        command = [sys.executable, "-m", "exchange", "replay", f"node-{node}", "--json"]
        out = subprocess.run(
            [*command, "--at", str(event_seq)],
            cwd=cluster.data_dir,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        facts = json.loads(out)
        assert facts["event_seq"] >= event_seq
        if facts["event_seq"] == event_seq:
            assert facts["state_hash"] == state_hash
