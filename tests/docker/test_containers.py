"""Real containers: a live FIX client on the host while the leader's container is broken."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import NODES, Containers, CutOff, Killed, Paused, engine_is_there, run

from cluster.settings import Address
from exchange.http_client import get_json, leader_of, node_statuses
from exchange.journals import read_journals
from exchange.ledger import first_answer_after
from exchange.local import LocalExchangeError, wait_for
from exchange.reconcile import check_log, check_sessions, check_trades, lost_and_duplicated
from exchange.report import settle
from exchange.traders import Trader

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not engine_is_there(), reason="no Docker engine answers"),
]

FIX = Address("127.0.0.1", 9001)
BOOKS = Address("127.0.0.1", 8081)
NODE_HTTP = {number: Address("127.0.0.1", 7200 + number) for number in (1, 2, 3)}
LONGEST_GAP_S = 2.0
SERVICES = (*NODES, "gateway-fix", "gateway-ouch", "marketdata")
CLIENTS = 4
FAULTS = {"killed": Killed, "paused": Paused, "cut off from the network": CutOff}


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    running = Containers(f"exchange-test-{os.getpid()}")
    try:
        running.up()
        yield running
    finally:
        running.down()


async def wait_for_leader(timeout_s: float = 20.0) -> int:
    """The node that leads and is in touch with a majority."""

    async def find() -> int | None:
        statuses = await node_statuses(NODE_HTTP, timeout_s=0.5)
        leader = leader_of(statuses)
        return leader if leader is not None and statuses[leader]["ready"] else None

    found: int = await wait_for(find, "a node leads", timeout_s, poll_s=0.1)
    return found


async def wait_until_whole(timeout_s: float = 30.0) -> dict[int, dict[str, Any]]:
    """Every node answers, sees both others, and is not behind."""

    async def whole() -> dict[int, dict[str, Any]] | None:
        statuses = await node_statuses(NODE_HTTP, timeout_s=0.5)
        if len(statuses) < len(NODES) or leader_of(statuses) is None:
            return None
        connected = all(len(status["peers_connected"]) == 2 for status in statuses.values())
        commit_index = max(status["commit_index"] for status in statuses.values())
        behind = max(commit_index - status["applied_index"] for status in statuses.values())
        return statuses if connected and behind <= 50 else None

    found: dict[int, dict[str, Any]] = await wait_for(
        whole, "all three nodes are connected and level", timeout_s, poll_s=0.2
    )
    return found


async def gap_after(traders: list[Trader], fault_ns: int) -> float:
    """Seconds from the fault to the first answer to a request that was sent after it."""
    ledgers = [trader.ledger for trader in traders]
    answered_ns = await wait_for(
        lambda: first_answer_after(ledgers, fault_ns), "a new order is acknowledged", 15.0
    )
    return float(answered_ns - fault_ns) / 1e9


async def break_leaders(containers: Containers) -> tuple[list[Trader], dict[str, float]]:
    """Trade from the host; each fault in turn hits whoever leads. Returns the gaps in seconds."""
    await wait_for_leader()
    traders = [
        Trader(f"CLIENT{number}", FIX, 7, ("AAPL", "MSFT", "NVDA"), rate_per_s=50.0)
        for number in range(1, CLIENTS + 1)
    ]
    for trader in traders:
        await trader.start()
    gaps_s = {}
    for name, fault in FAULTS.items():
        service = f"node{await wait_for_leader()}"
        loop = asyncio.get_running_loop()
        # The fault takes effect somewhere within the command: its start is the safe side.
        fault_ns = time.perf_counter_ns()
        await loop.run_in_executor(None, fault.break_it, containers, service)
        broken_ns = time.perf_counter_ns()
        gaps_s[name] = await gap_after(traders, broken_ns) + (broken_ns - fault_ns) / 1e9
        await loop.run_in_executor(None, fault.repair, containers, service)
        await wait_until_whole()
    for trader in traders:
        await trader.stop_trading()
    await settle([trader.ledger for trader in traders])
    return traders, gaps_s


async def run_story(containers: Containers) -> tuple[list[Trader], dict[str, float], Any]:
    try:
        traders, gaps_s = await break_leaders(containers)
        status = await get_json(BOOKS, "/status")
        for trader in traders:
            await trader.stop()
    except LocalExchangeError as error:
        raise AssertionError(f"{error}\n{containers.logs()}") from error
    return traders, gaps_s, status


def test_no_process_runs_as_root_and_every_container_becomes_healthy(
    containers: Containers,
) -> None:
    for service in SERVICES:
        assert containers.user(service) != "0"

    def all_healthy() -> bool:
        return {containers.health(service) for service in SERVICES} == {"healthy"}

    asyncio.run(wait_for(all_healthy, "every container is healthy", 60.0, poll_s=0.5))


def test_trading_goes_on_while_the_leader_is_killed_paused_and_cut_off(
    containers: Containers, tmp_path: Path
) -> None:
    traders, gaps_s, market_data = asyncio.run(run_story(containers))
    ledgers = [trader.ledger for trader in traders]

    assert gaps_s.keys() == FAULTS.keys()
    assert max(gaps_s.values()) <= LONGEST_GAP_S, gaps_s
    assert check_sessions(ledgers) == []
    assert check_trades(ledgers) == []
    assert lost_and_duplicated(ledgers) == (0, 0)
    assert sum(len(ledger.requests) for ledger in ledgers) > 500
    assert market_data["lost"] == 0

    assert containers.exchange("node1", "hash")["equal"] is True
    containers.stop("gateway-fix", "marketdata")
    containers.stop(*NODES)
    folders = []
    for service in NODES:
        containers.copy_data(service, tmp_path / service)
        folders.append(tmp_path / service / f"node-{service[-1]}")
    journals = read_journals(folders)
    assert journals.problems == []
    assert len({replayed.state_hash for replayed in journals.replayed.values()}) == 1
    for replayed in journals.replayed.values():
        assert check_log(ledgers, replayed.accepted) == []


def test_the_image_shows_its_help() -> None:
    assert "Exit codes" in run("docker", "run", "--rm", "replicated-exchange", "--help")
