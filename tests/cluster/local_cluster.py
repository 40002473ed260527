"""Three real node processes, and a load that keeps account of every command and event."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node_process import FAULTS, NODES, fault_path, node_settings

from cluster import admin
from cluster.client import ClusterClient, EventBatch
from oms.commands import CommandKind, EnterOrder, OpenSession
from oms.events import EventKind

ROOT = Path(__file__).parents[2]


def free_offset() -> int:
    """A port offset at which all ports of three nodes are free."""
    for offset in range(20_000 + os.getpid() % 5_000, 50_000, 300):
        try:
            for base in (7000, 7100, 7200):
                for node in NODES:
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", base + node + offset))
        except OSError:
            continue
        return offset
    raise OSError("no free ports")


async def until(fact: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for a fact, with a deadline."""
    deadline_s = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {what}"
        await asyncio.sleep(0.01)


class LocalCluster:
    """Node processes on loopback, which can be killed, stopped and started again."""

    def __init__(self, data_dir: Path, snapshot_after_bytes: int = 128 << 20) -> None:
        self.data_dir = data_dir
        self.snapshot_after_bytes = snapshot_after_bytes
        self.offset = free_offset()
        self.addresses = node_settings(1, self.offset, data_dir).client_addresses
        self.raft_addresses = node_settings(1, self.offset, data_dir).raft_addresses
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        for node in NODES:
            self.start(node)

    def start(self, node: int) -> None:
        with (self.data_dir / f"node-{node}.log").open("ab") as log:
            self.processes[node] = subprocess.Popen(
                [
                    sys.executable,
                    str(Path(__file__).with_name("node_process.py")),
                    str(node),
                    str(self.offset),
                    str(self.data_dir),
                    str(self.snapshot_after_bytes),
                ],
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

    def send_signal(self, node: int, number: signal.Signals) -> None:
        self.processes[node].send_signal(number)
        if number is signal.SIGKILL:
            self.processes[node].wait()

    def fault(self, node: int, fault: str) -> None:
        """Let something be wrong with a node from now on, one of FAULTS; see heal()."""
        assert fault in FAULTS, f"{fault!r} is not one of {FAULTS}"
        path = fault_path(self.data_dir, node)
        path.with_suffix(".new").write_text(fault)
        path.with_suffix(".new").rename(path)  # the node never sees half a word

    def heal(self, node: int) -> None:
        """Nothing is wrong any more."""
        fault_path(self.data_dir, node).unlink(missing_ok=True)

    def log(self, node: int) -> str:
        """All that a node has said."""
        return (self.data_dir / f"node-{node}.log").read_text()

    async def ended(self, node: int, timeout_s: float = 20.0) -> int:
        """Wait until a node has ended; its exit code."""
        process = self.processes[node]
        await until(lambda: process.poll() is not None, f"node {node} ends", timeout_s)
        return process.returncode

    def close(self) -> dict[int, int]:
        """Stop everything; exit codes by node."""
        for node in self.processes:
            self.heal(node)
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        return {node: process.wait(10) for node, process in self.processes.items()}

    async def caught_up(self, node: int, timeout_s: float = 20.0) -> None:
        """Wait until a node has applied what the furthest node has committed now."""
        target = 0
        for address in self.addresses.values():
            try:
                target = max(target, (await admin.status(address, 1.0))["commit_index"])
            except admin.Unreachable:
                continue
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                if (await admin.status(self.addresses[node], 1.0))["applied_index"] >= target:
                    return
            except admin.Unreachable:
                pass
            assert time.monotonic() < deadline_s, f"node {node} has not reached {target}"
            await asyncio.sleep(0.02)

    async def answers(self, node: int, timeout_s: float = 20.0) -> dict[str, Any]:
        """Wait until a node answers at all; its status."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                return await admin.status(self.addresses[node], 1.0)
            except admin.Unreachable:
                assert time.monotonic() < deadline_s, f"node {node} does not answer"
            await asyncio.sleep(0.02)

    async def votes(self, node: int, timeout_s: float = 20.0) -> None:
        """Wait until a node has the right to vote."""
        deadline_s = time.monotonic() + timeout_s
        while not (await self.answers(node))["may_vote"]:
            assert time.monotonic() < deadline_s, f"node {node} may not vote yet"
            await asyncio.sleep(0.02)

    async def state_hashes(self) -> set[tuple[int, str] | None]:
        """(event_seq, hash) of all nodes at one place of the log; one element if all agree.
        Waits for nodes that are still starting or catching up."""
        for node in self.processes:
            await self.caught_up(node)
        return set((await admin.state_hash(self.addresses)).values())


class Load:
    """Enters orders without pause on one session; every order must be answered exactly once."""

    def __init__(
        self, cluster: LocalCluster, client_id: str = "fix-1", session: str = "CLIENT1"
    ) -> None:
        self.client_id = client_id
        self.session = session
        self.sent: dict[str, float] = {}
        self.answers: dict[str, int] = {}
        self.event_seqs: list[int] = []
        self.doubled: list[str] = []
        self.client = ClusterClient(
            client_id, cluster.addresses, on_batch=self._on_batch, owners=[session]
        )
        self._task: asyncio.Task[None] | None = None

    def _on_batch(self, batch: EventBatch) -> None:
        for event_seq, event in batch.events:
            self.event_seqs.append(event_seq)
            if event[0] in (EventKind.ORDER_ACCEPTED, EventKind.ORDER_REJECTED):
                if event[2] in self.answers:
                    self.doubled.append(event[2])
                self.answers[event[2]] = event_seq

    async def start(self) -> None:
        async with asyncio.timeout(20):
            await self.client.start()
        self.client.submit(
            OpenSession(CommandKind.OPEN_SESSION, self.session, self.client_id, False, False)
        )
        self._task = asyncio.create_task(self._run())

    def enter(self, count: int) -> None:
        for _ in range(count):
            number = len(self.sent) + 1
            cl_ord_id = f"o{number}"
            self.sent[cl_ord_id] = time.monotonic()
            self.client.submit(
                EnterOrder(
                    CommandKind.ENTER_ORDER,
                    self.session,
                    number,
                    "",
                    cl_ord_id,
                    ("AAPL", "MSFT")[number % 2],
                    1 + number // 2 % 2,
                    2,
                    0,
                    10,
                    1_000_000 + 100 * ((number * 7) % 11 - 5),
                )
            )

    async def _run(self) -> None:
        while True:
            if self.client.pending < 5_000:
                self.enter(5)
            await asyncio.sleep(0.005)

    async def new_order_is_answered(self, timeout_s: float = 10.0) -> None:
        """An order that is sent after now is answered."""
        wanted = len(self.sent) + 1
        await until(lambda: f"o{wanted}" in self.answers, "a new order is answered", timeout_s)

    def stop_sending(self) -> None:
        """Enter no more orders."""
        assert self._task is not None
        self._task.cancel()

    async def finish(self) -> None:
        """Stop sending; then nothing may be missing, doubled or out of order."""
        self.stop_sending()
        await until(lambda: len(self.answers) == len(self.sent), "every order is answered")
        await self.client.close()
        assert self.doubled == []
        assert self.event_seqs == sorted(set(self.event_seqs))
