"""A whole exchange that speaks TLS: from `exchange init --tls` to the death of its leader."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from exchange.config import load
from exchange.fix_client import FixClient
from exchange.ledger import Ledger
from exchange.local import LocalExchange, free_base_port
from exchange.processes import all_processes
from exchange.reconcile import check_sessions
from exchange.report import check_running, check_stopped, settle


def exchange_command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def shout(host: str, port: int) -> bytes:
    """What a port says to plain bytes that claim to be a query for the status."""
    with socket.create_connection((host, port), 5) as connection:
        connection.sendall(b"\0\0\0\x0f\x94\x03\x01\xa4node\x91\xa6status")
        try:
            return connection.recv(1 << 16)
        except ConnectionResetError:
            return b""


def enter(ledger: Ledger, name: str, side: str, quantity: int) -> None:
    ledger.enter(name, "AAPL", side, quantity, "100.00")


async def trade_through_a_failover(exchange: LocalExchange, stranger: Path) -> Ledger:
    ledger = Ledger("CLIENT1")
    client = FixClient(exchange.config.addresses.fix[0], "CLIENT1", ledger.receive)
    ledger.attach(client)
    await client.start()
    enter(ledger, "one", "1", 100)
    await settle([ledger], 5)

    addresses = exchange.config.addresses
    for address in (*addresses.node_raft, *addresses.node_client):
        assert await asyncio.to_thread(shout, *address) == b""
    mine = ("--config", str(exchange.config.source))
    refused = await asyncio.to_thread(exchange_command, "hash", "--config", str(stranger))
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr
    status = await asyncio.to_thread(exchange_command, "status", "--json", *mine)
    assert json.loads(status.stdout)["quorum"] is True

    leader = await exchange.leader()
    await exchange.kill(f"node-{leader}")
    enter(ledger, "two", "2", 60)
    await settle([ledger], 10)
    answers = [report.exec_type for report in ledger.reports if report.cl_ord_id == "two"]
    assert answers == ["0", "F"]
    await exchange.restart(f"node-{leader}")
    await exchange.wait_until_caught_up(leader)
    assert await check_running(exchange, [ledger], None) == {
        "sessions": [],
        "trades": [],
        "state hash": [],
    }
    await client.stop()
    return ledger


def test_an_exchange_with_tls_from_init_to_the_death_of_its_leader(tmp_path: Path) -> None:
    folder, base_port = tmp_path / "x", str(free_base_port())
    made = exchange_command("init", str(folder), "--tls", "--base-port", base_port, "--json")
    assert json.loads(made.stdout)["tls"] is True
    exchange = LocalExchange(load(folder / "exchange.toml"))
    # The same exchange in the eyes of somebody who has an authority of his own.
    stranger = tmp_path / "stranger"
    exchange_command("init", str(stranger), "--tls")
    shutil.copy(folder / "exchange.toml", stranger)

    async def run() -> Ledger:
        try:
            await exchange.start()
            return await trade_through_a_failover(exchange, stranger / "exchange.toml")
        finally:
            assert await exchange.stop() == 0

    ledger = asyncio.run(run())
    assert check_sessions([ledger]) == []
    assert check_stopped(exchange, [ledger]) == {"journals": []}
    logs = [path.read_text() for path in (folder / "data" / "log").glob("*.log")]
    assert len(logs) == len(all_processes(exchange.config))
    assert not any("Traceback" in log or "ERROR" in log for log in logs)
    assert sum("gets nothing" in log for log in logs) == 3
