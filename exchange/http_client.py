"""The HTTP pages of our processes, read with a deadline, and what gateways can be told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from cluster.settings import Address
from gateway.control import FILE_NAME, short_name

CONNECT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


def _reachable(address: Address) -> Address:
    """0.0.0.0 is where a server listens; a client on the same machine asks loopback."""
    return Address("127.0.0.1", address.port) if address.host == "0.0.0.0" else address


async def get_json(address: Address, path: str, timeout_s: float = 2.0) -> Any:
    """The JSON at http://address/path. Raises one of CONNECT_ERRORS when nobody answers."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://{_reachable(address)}{path}") as response,
    ):
        return await response.json(content_type=None)


async def get_text(address: Address, path: str, timeout_s: float = 2.0) -> str:
    """The text at http://address/path. Raises as get_json."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://{_reachable(address)}{path}") as response,
    ):
        return await response.text()


async def tell_gateway(
    folder: Path, order: str, session: str, timeout_s: float = 10.0
) -> str | None:
    """Have a gateway, whose data folder this is, carry out an order of gateway/control.py. Returns
    None, or why it cannot be done. Raises one of CONNECT_ERRORS when nobody listens there."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    with short_name(folder / FILE_NAME) as name:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(name), timeout=timeout) as client,
            client.post(f"http://gateway/{order}", json={"session": session}) as response,
        ):
            return None if response.status == 200 else (await response.text()).strip()


async def is_ready(address: Address, timeout_s: float = 1.0) -> bool:
    """True when /readyz answers 200."""
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{_reachable(address)}/readyz") as response,
        ):
            return response.status == 200
    except CONNECT_ERRORS:
        return False


async def node_statuses(
    addresses: dict[int, Address], timeout_s: float = 1.0
) -> dict[int, dict[str, Any]]:
    """/status of every node that answers, by node id."""

    async def one(node_id: int, address: Address) -> tuple[int, dict[str, Any] | None]:
        try:
            found = await get_json(address, "/status", timeout_s)
        except (*CONNECT_ERRORS, ValueError):
            return node_id, None
        return node_id, found if isinstance(found, dict) else None

    answers = await asyncio.gather(*(one(*item) for item in addresses.items()))
    return {node_id: found for node_id, found in answers if found is not None}


def leader_of(statuses: dict[int, dict[str, Any]]) -> int | None:
    """The node that says it leads, in the highest term of those who say so; None without one."""
    leaders = [
        (int(status["term"]), node_id)
        for node_id, status in statuses.items()
        if status["role"] == "leader"
    ]
    return max(leaders)[1] if leaders else None
