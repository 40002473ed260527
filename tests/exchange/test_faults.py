"""Processes restarted and killed under load, and what hostile bytes do to everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from exchange.capture import capture_of
from exchange.config_sections import Addresses
from exchange.local import LocalExchange, local_exchange, wait_for
from exchange.report import check_running, check_stopped, settle
from exchange.traders import Trader

SYMBOLS = ("AAPL", "MSFT", "NVDA")
CLIENTS = 4


def traders_of(exchange: LocalExchange, rate_per_s: float = 50.0) -> list[Trader]:
    return [
        Trader(f"CLIENT{n}", exchange.config.addresses.fix, 11, SYMBOLS, rate_per_s=rate_per_s)
        for n in range(1, CLIENTS + 1)
    ]


def answered(traders: Sequence[Trader]) -> int:
    return sum(len(trader.ledger.reports) for trader in traders)


async def more_answers(traders: Sequence[Trader], count: int, timeout_s: float = 10.0) -> None:
    """Wait until `count` further reports have come: the exchange is at work."""
    target = answered(traders) + count
    await wait_for(lambda: answered(traders) >= target, f"{count} more reports", timeout_s)


async def under_load(tmp_path: Path, fault: object, least_requests: int) -> None:
    """Trade, let `fault(exchange, traders)` happen meanwhile, then reconcile everything."""
    async with local_exchange(tmp_path) as exchange:
        capture = capture_of(exchange.config)
        await capture.start()
        traders = traders_of(exchange)
        ledgers = [trader.ledger for trader in traders]
        try:
            for trader in traders:
                await trader.start()
            await more_answers(traders, 50)
            await fault(exchange, traders)  # type: ignore[operator]
            await more_answers(traders, 50)
            for trader in traders:
                await trader.stop_trading()
            await settle(ledgers)
            problems = await check_running(exchange, ledgers, capture)
        finally:
            await capture.close()
            for trader in traders:
                await trader.stop()
    problems |= check_stopped(exchange, ledgers)
    assert {name: found for name, found in problems.items() if found} == {}
    assert sum(len(ledger.requests) for ledger in ledgers) >= least_requests


async def restart_each_node(exchange: LocalExchange, traders: list[Trader]) -> None:
    for node_id in exchange.config.node_ids:
        await exchange.terminate(f"node-{node_id}")
        await more_answers(traders, 20)
        await exchange.restart(f"node-{node_id}")
        await exchange.wait_until_caught_up(node_id)
        await more_answers(traders, 20)


def test_every_node_restarted_in_turn_under_load_loses_nothing(tmp_path: Path) -> None:
    asyncio.run(under_load(tmp_path, restart_each_node, least_requests=200))


@pytest.mark.soak
def test_ten_rolling_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    async def ten_times(exchange: LocalExchange, traders: list[Trader]) -> None:
        for _ in range(10):
            await restart_each_node(exchange, traders)

    asyncio.run(under_load(tmp_path, ten_times, least_requests=2_000))


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_random_faults_under_load_lose_nothing(tmp_path: Path, seed: int) -> None:
    chooser = random.Random(seed)

    async def chaos(exchange: LocalExchange, traders: list[Trader]) -> None:
        for _ in range(30):
            kind = chooser.choice(("leader", "any node", "hang", "gateway-fix", "marketdata"))
            leader = await exchange.leader()
            name = {
                "leader": f"node-{leader}",
                "any node": f"node-{chooser.choice(exchange.config.node_ids)}",
                "hang": f"node-{leader}",
            }.get(kind, kind)
            if kind == "hang":
                exchange.signal(name, signal.SIGSTOP)
                await asyncio.sleep(chooser.random())  # the length of the hang, not a guess
                exchange.signal(name, signal.SIGCONT)
            else:
                await exchange.kill(name)
                await asyncio.sleep(chooser.random() / 2)
                await exchange.restart(name)
            for node_id in exchange.config.node_ids:
                await exchange.wait_until_caught_up(node_id)
            await more_answers(traders, 50)

    asyncio.run(under_load(tmp_path, chaos, least_requests=2_000))


def test_a_gateway_killed_in_the_middle_of_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def kill_the_gateway(exchange: LocalExchange, traders: list[Trader]) -> None:
        for _ in range(2):
            disconnects = [trader.client.disconnects for trader in traders]
            await exchange.kill("gateway-fix")
            # Orders go on being made while nobody is connected: they are sent on the return.
            await exchange.restart("gateway-fix")
            for trader, before in zip(traders, disconnects, strict=True):
                await wait_for(
                    lambda t=trader, b=before: t.client.disconnects > b and t.client.is_logged_on,
                    f"{trader.comp_id} is back",
                    15,
                )
            await more_answers(traders, 100)

    asyncio.run(under_load(tmp_path, kill_the_gateway, least_requests=200))


def test_the_market_data_process_killed_in_the_middle_has_every_book_again(tmp_path: Path) -> None:
    async def kill_market_data(exchange: LocalExchange, traders: list[Trader]) -> None:
        await exchange.kill("marketdata")
        await more_answers(traders, 30)
        await exchange.restart("marketdata")
        await more_answers(traders, 30)

    asyncio.run(under_load(tmp_path, kill_market_data, least_requests=100))


def addresses_of(exchange: LocalExchange) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Every TCP and every UDP address of the configuration."""
    addresses: Addresses = exchange.config.addresses
    tcp = [
        *addresses.node_raft, *addresses.node_client, *addresses.node_http,
        addresses.fix, addresses.fix_http, addresses.marketdata_http,
    ]  # fmt: skip
    udp = [addresses.line_a, addresses.line_b, addresses.rerequest]
    return [tuple(address) for address in tcp], [tuple(address) for address in udp]


async def throw_random_bytes(exchange: LocalExchange, traders: list[Trader]) -> None:
    chooser = random.Random(5)
    tcp, udp = addresses_of(exchange)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    interface = socket.inet_aton(exchange.config.addresses.multicast_interface)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
    pids = {name: exchange.pid(name) for name in exchange.ready["pids"]}
    with sender:
        for size in (1, 4, 19, 20, 21, 300, 1_400):
            for address in udp:
                sender.sendto(chooser.randbytes(size), address)
            for address in tcp:
                await throw_at(address, chooser.randbytes(size))
    await throw_at(tcp[-3], b"8=FIX.4.4\x019=" + b"9" * 40 + b"\x01")
    await throw_at(tcp[3], b"\xff\xff\xff\xff" + os.urandom(64))  # a frame of four gigabytes
    await more_answers(traders, 100)
    assert {name: exchange.pid(name) for name in pids} == pids
    assert exchange.exited == []
    assert all(trader.client.disconnects == 0 for trader in traders)


async def throw_at(address: tuple[str, int], data: bytes) -> None:
    """Connect, send, hang up without waiting for anything."""
    reader, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(0.02):
            await reader.read(1_000)
    writer.transport.abort()


def test_random_bytes_on_every_port_disturb_nobody_else(tmp_path: Path) -> None:
    asyncio.run(under_load(tmp_path, throw_random_bytes, least_requests=100))
