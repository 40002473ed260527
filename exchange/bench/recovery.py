"""`exchange bench recovery`: how long a node with many open orders takes to come back, and whether
matching pauses while a snapshot of them is taken."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

from cluster.admin import take_snapshot
from cluster.client import ClusterClient, EventBatch
from cluster.disk import RealDisk
from cluster.replica import Replica
from cluster.snapshot import SnapshotStore
from exchange.bench.figures import NS_PER_MS, NS_PER_US, host_facts, percentiles
from exchange.bench.flow import MIDDLE_PRICE, QUANTITY, TICK
from exchange.bench.history import History, write_history
from exchange.local import LocalExchange, new_local_exchange, wait_for
from exchange.processes import has_started, resident_bytes
from exchange.settings import client_tls, node_addresses
from oms.commands import CancelOrder, Command, CommandKind, EnterOrder
from oms.events import EventKind

CLIENT: Final = "bench"
START_TIMEOUT_S: Final = 300.0
ANSWER_TIMEOUT_S: Final = 10.0


class Loaded(NamedTuple):
    """What it takes to load a snapshot. `memory_bytes` is what stays in RAM."""

    read_s: float
    restore_s: float
    memory_bytes: int


async def run_recovery(
    open_orders: int, commands: int, seconds: float, durability: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Make folders with a snapshot and a journal, start nodes on them; returns the JSON of
    contract.md. `seconds`: for so long they trade without taking a snapshot."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        changes = {"cluster.durability": f'"{durability}"'}
        exchange = new_local_exchange(Path(folder), changes)
        say(f"writing a snapshot of {open_orders} open orders and {commands} commands after it")
        assert exchange.config.source is not None
        history: History = await _in_new_process(
            write_history, exchange.config.source, open_orders, commands
        )
        say("loading the snapshot")
        snapshots = exchange.config.data_dir / "node-1" / "snapshots"
        loaded: Loaded = await _in_new_process(measure_load, snapshots)
        facts = {
            "open_orders": open_orders,
            "commands": commands,
            "snapshot_bytes": history.snapshot_bytes,
            "load_s": round(loaded.read_s + loaded.restore_s, 3),
            "load_detail_s": {
                "read": round(loaded.read_s, 3),
                "restore": round(loaded.restore_s, 3),
            },
            "bytes_per_open_order": round(loaded.memory_bytes / open_orders),
        }
        try:
            facts |= await _measure_restart(exchange, say)
            facts |= await _measure_pause(exchange, seconds, say)
        finally:
            await exchange.stop()
        facts |= {"nodes": 3, "durability": durability, "host": host_facts()}
        return facts


async def _in_new_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Memory and garbage of such work must not be those of who measures."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def measure_load(snapshots: Path) -> Loaded:
    """Load the newest snapshot of a folder, as a node does."""
    gc.collect()
    memory_before = resident_bytes(os.getpid())
    begun_s = time.perf_counter()
    snapshot = SnapshotStore(RealDisk(), snapshots).newest()
    read_s = time.perf_counter()
    assert snapshot is not None, f"no snapshot in {snapshots}"
    replica = Replica.restore(snapshot.parts)
    restored_s = time.perf_counter()
    del snapshot
    memory_bytes = resident_bytes(os.getpid()) - memory_before
    assert replica.next_event_seq > 1, "an empty replica came out of a snapshot"
    return Loaded(read_s - begun_s, restored_s - read_s, memory_bytes)


async def _measure_restart(exchange: LocalExchange, say: Callable[[str], None]) -> dict[str, Any]:
    """Start node 1 alone: it loads, and replays what it knows to be committed, before it meets
    anybody."""
    say("starting a node on it")
    begun_s = time.perf_counter()
    child = await exchange.spawn("node-1")
    await wait_for(
        lambda: has_started(exchange.config, "node-1", child.pid),
        "node 1 has started",
        START_TIMEOUT_S,
        poll_s=0.005,
    )
    restart_s = time.perf_counter() - begun_s
    memory_peak_bytes = _peak_bytes(child.pid)
    status = (await exchange.statuses())[1]
    return {
        "restart_s": round(restart_s, 3),
        "restart_detail_s": {"load": status["load_s"], "replay": status["replay_s"]},
        "replay_commands_per_s": round(status["replayed_commands"] / status["replay_s"]),
        "memory_peak_bytes": memory_peak_bytes,
    }


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise KeyError(f"no VmHWM of process {pid}")


# --- the pause ------------------------------------------------------------------------------------


class OneByOne:
    """A client of the leader with one command in flight: an order, its cancel, the next order."""

    def __init__(self, exchange: LocalExchange) -> None:
        config = exchange.config
        self._session = config.fix_sessions[-1].comp_id
        self._symbol = config.instruments[0].symbol
        self._client = ClusterClient(
            CLIENT,
            node_addresses(config),
            on_batch=self._on_batch,
            owners=[self._session],
            from_event_seq=0,
            tls=client_tls(config),
        )
        self._answer: asyncio.Future[None] | None = None
        self._expected = 0
        self.sent = 0
        self.events: list[tuple[int, str]] = []

    async def start(self) -> None:
        """Find the leader."""
        await asyncio.wait_for(self._client.start(), START_TIMEOUT_S)

    async def close(self) -> None:
        """Leave."""
        await self._client.close()

    async def run(self, until: Callable[[], bool]) -> list[int]:
        """Times in ns from each command to its answer."""
        times_ns: list[int] = []
        while not until():
            self.sent += 1
            command = self._command(self.sent)
            self._answer = asyncio.get_running_loop().create_future()
            begun_ns = time.perf_counter_ns()
            self._expected = self._client.submit(command)
            await asyncio.wait_for(self._answer, ANSWER_TIMEOUT_S)
            times_ns.append(time.perf_counter_ns() - begun_ns)
        return times_ns

    def _command(self, number: int) -> Command:
        name, order = f"P{number}", f"P{number - 1}"
        if number % 2:
            price = MIDDLE_PRICE - 950 * TICK
            return EnterOrder(
                CommandKind.ENTER_ORDER,
                self._session,
                number,
                "",
                name,
                self._symbol,
                1,
                2,
                0,
                QUANTITY,
                price,
            )
        return CancelOrder(
            CommandKind.CANCEL_ORDER, self._session, number, name, order, self._symbol, 1
        )

    def _on_batch(self, batch: EventBatch) -> None:
        self.events += [(event[0], event[2]) for _, event in batch.events]
        answer = self._answer
        if answer is not None and not answer.done() and batch.answered >= self._expected:
            answer.set_result(None)

    def problems(self) -> list[str]:
        """What is missing or doubled among the answers."""
        expected = [
            (int(EventKind.ORDER_ACCEPTED if n % 2 else EventKind.ORDER_CANCELED), f"P{n}")
            for n in range(1, self.sent + 1)
        ]
        if self.events == expected:
            return []
        return [f"{len(self.events)} answers to {self.sent} commands, or others than expected"]


async def _pauses(exchange: LocalExchange, leader: int) -> dict[str, int]:
    """How many pauses of the leader's event loop were longer than so many ms, so far."""
    found: dict[str, int] = (await exchange.statuses())[leader]["pauses_longer_than_ms"]
    return {f"over_{limit_ms}_ms": count for limit_ms, count in found.items()}


async def _measure_pause(
    exchange: LocalExchange, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Let all nodes trade, and take a snapshot on the leader meanwhile. The pause is the longest
    time to an answer that a client with one command in flight has seen; `leader_pauses` are those
    of the leader's event loop alone, however busy the machine makes all others."""
    for node_id in exchange.config.node_ids[1:]:
        await exchange.spawn(f"node-{node_id}")
    await exchange.wait_until_whole(START_TIMEOUT_S)
    client = OneByOne(exchange)
    await client.start()
    say(f"one command in flight: {seconds:g} s without a snapshot, then while one is taken")
    end_s = time.monotonic() + seconds
    leader = await exchange.leader()
    at_start = await _pauses(exchange, leader)
    without_ns = await client.run(lambda: time.monotonic() > end_s)
    between = await _pauses(exchange, leader)
    addresses, tls = node_addresses(exchange.config), client_tls(exchange.config)
    taking = asyncio.create_task(take_snapshot(addresses[leader], leader, tls=tls))
    during_ns = await client.run(taking.done)
    snapshot = await taking
    at_end = await _pauses(exchange, leader)
    await client.close()
    return {
        "snapshot_s": snapshot["snapshot_seconds"],
        "pause_ms": {
            "without": round(max(without_ns) / NS_PER_MS, 1),
            "during": round(max(during_ns) / NS_PER_MS, 1),
        },
        "leader_pauses": {
            "without": {limit: between[limit] - at_start[limit] for limit in between},
            "during": {limit: at_end[limit] - between[limit] for limit in between},
        },
        "ack_us": {
            "without": percentiles(without_ns, NS_PER_US),
            "during": percentiles(during_ns, NS_PER_US),
        },
        "lost": client.sent - len(set(client.events)),
        "duplicated": len(client.events) - len(set(client.events)),
        "problems": client.problems(),
    }
