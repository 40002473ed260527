"""Processes restarted and killed under load, and what hostile bytes do to everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from pathlib import Path

from exchange.config_sections import Addresses
from exchange.drill import Drill, Story, run_drill
from exchange.local import LocalExchange, new_local_exchange, wait_for


def under_load(tmp_path: Path, story: Story, least_requests: int) -> None:
    """Trade, let the story happen meanwhile, then reconcile everything."""
    drill = Drill(new_local_exchange(tmp_path))
    asyncio.run(run_drill(drill, story))
    assert drill.problems == []
    assert drill.requests >= least_requests


def test_every_node_restarted_in_turn_under_load_loses_nothing(tmp_path: Path) -> None:
    async def restart_each_node(drill: Drill) -> None:
        exchange = drill.exchange
        for node_id in exchange.config.node_ids:
            await exchange.terminate(f"node-{node_id}")
            await drill.more_reports(20)
            await exchange.restart(f"node-{node_id}")
            await exchange.wait_until_whole()
            await drill.more_reports(20)

    under_load(tmp_path, restart_each_node, least_requests=200)


def test_a_gateway_killed_in_the_middle_of_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def kill_the_gateway(drill: Drill) -> None:
        for _ in range(2):
            disconnects = [trader.client.disconnects for trader in drill.traders]
            await drill.exchange.kill("gateway-fix")
            # Orders go on being made while nobody is connected: they are sent on the return.
            await drill.exchange.restart("gateway-fix")
            for trader, before in zip(drill.traders, disconnects, strict=True):
                await wait_for(
                    lambda t=trader, b=before: t.client.disconnects > b and t.client.is_logged_on,
                    f"{trader.comp_id} is back",
                    15,
                )
            await drill.more_reports(100)

    under_load(tmp_path, kill_the_gateway, least_requests=200)


def test_the_market_data_process_killed_in_the_middle_has_every_book_again(tmp_path: Path) -> None:
    async def kill_market_data(drill: Drill) -> None:
        await drill.exchange.kill("marketdata")
        await drill.more_reports(30)
        await drill.exchange.restart("marketdata")
        await drill.more_reports(30)

    under_load(tmp_path, kill_market_data, least_requests=100)


def addresses_of(exchange: LocalExchange) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Every TCP and every UDP address of the configuration."""
    addresses: Addresses = exchange.config.addresses
    tcp = [
        *addresses.node_raft, *addresses.node_client, *addresses.node_http,
        *addresses.fix, *addresses.fix_http, *addresses.ouch, *addresses.ouch_http,
        addresses.glimpse, addresses.marketdata_http,
    ]  # fmt: skip
    udp = [addresses.line_a, addresses.line_b, addresses.rerequest]
    return [tuple(address) for address in tcp], [tuple(address) for address in udp]


async def throw_random_bytes(drill: Drill) -> None:
    exchange = drill.exchange
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
    await drill.more_reports(100)
    assert {name: exchange.pid(name) for name in pids} == pids
    assert exchange.exited == []
    assert all(trader.client.disconnects == 0 for trader in drill.traders)


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
    under_load(tmp_path, throw_random_bytes, least_requests=100)
