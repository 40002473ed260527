"""A drop copy gateway in a real exchange: it misses nothing through kill -9 and failover."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from exchange.config import load
from exchange.config_text import write_exchange_folder
from exchange.fix_client import FixClient
from exchange.http_client import get_json
from exchange.local import LocalExchange, free_base_port, wait_for
from exchange.settings import DROP_COPY
from protocols.fix import FixMessage, format_utc_timestamp

READER = '\n[[drop_copy_sessions]]\ncomp_id = "RISK1"\nsessions = ["CLIENT1", "CLIENT2"]\n'
ORDERS = 40


class Reader:
    """A client of the drop copy session."""

    def __init__(self, exchange: LocalExchange) -> None:
        self.copies: list[FixMessage] = []
        self.client = FixClient(exchange.config.addresses.drop_copy, "RISK1", self._told)

    def _told(self, message: FixMessage, received_ns: int) -> None:
        self.copies.append(message)

    def told(self, comp_id: str) -> list[tuple[str | None, ...]]:
        return [_facts(copy) for copy in self.copies if copy.get(115) == comp_id]


def _facts(report: FixMessage) -> tuple[str | None, ...]:
    return tuple(report.get(tag) for tag in (17, 11, 150, 39, 32, 31, 14, 151))


def order(cl_ord_id: str, side: int) -> list[tuple[int, object]]:
    now = format_utc_timestamp(time.time_ns())
    terms = [(55, "AAPL"), (54, side), (38, 1), (40, 2), (44, "100.00"), (60, now)]
    return [(11, cl_ord_id), *terms]


async def run(exchange: LocalExchange) -> None:
    await exchange.start()
    reader = Reader(exchange)
    reports: dict[str, list[FixMessage]] = {"CLIENT1": [], "CLIENT2": []}
    clients = {}
    for comp_id, told in reports.items():
        client = FixClient(
            exchange.config.fix_address(comp_id),
            comp_id,
            lambda message, received_ns, told=told: told.append(message),
        )
        clients[comp_id] = client
        await client.start()
    await reader.client.start()
    for number in range(ORDERS):
        if number == ORDERS // 4:
            await exchange.kill(DROP_COPY)
        if number == ORDERS // 2:
            await exchange.kill(f"node-{await exchange.leader()}")
        for comp_id, side in (("CLIENT1", 1), ("CLIENT2", 2)):
            clients[comp_id].send("D", order(f"{comp_id}-{number}", side))
        await asyncio.sleep(0.01)
    await exchange.restart(DROP_COPY)
    for told in reports.values():
        await wait_for(lambda told=told: len(told) >= 2 * ORDERS, "accepted and filled", 20.0)
    await reader.client.wait_logged_on(20.0)
    for comp_id, told in reports.items():
        expected = [_facts(report) for report in told]
        await wait_for(
            lambda comp_id=comp_id, expected=expected: reader.told(comp_id) == expected,
            f"a copy of every report of {comp_id}, in order and once",
            20.0,
        )
    rows = await get_json(exchange.config.addresses.drop_copy_http, "/sessions")
    assert [(row["comp_id"], row["state"]) for row in rows] == [("RISK1", "active")]
    for client in (*clients.values(), reader.client):
        await client.stop()


def test_every_report_is_copied_once_whoever_is_killed(tmp_path: Path) -> None:
    path = write_exchange_folder(tmp_path / "exchange", free_base_port())
    path.write_text(path.read_text() + READER)
    exchange = LocalExchange(load(path))

    async def play() -> None:
        try:
            await run(exchange)
        finally:
            await exchange.stop()

    asyncio.run(play())
