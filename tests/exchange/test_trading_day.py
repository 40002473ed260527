"""A whole trading day of a real exchange in half a minute: the schedule leads through it, and the
leader is killed between two phases."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cluster.admin import market, state_hash
from exchange.capture import FeedCapture, capture_of
from exchange.fix_client import FixClient, new_order_single
from exchange.ledger import Ledger, Report
from exchange.local import LocalExchange, new_local_exchange, wait_for
from exchange.reconcile import check_sessions, check_trades
from exchange.report import check_stopped
from exchange.settings import node_addresses
from protocols import itch50
from protocols.fix import format_utc_timestamp
from protocols.itch50_messages import CrossTrade, SystemEvent

AT_THE_OPEN, AT_THE_CLOSE = "2", "7"
OPENING_S, CONTINUOUS_S, CLOSING_S, CLOSE_S = 0, 6, 14, 20


def seconds_to_start() -> float:
    """How long to wait for everything to be up: longer where a program takes long to start."""
    begun_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "exchange", "--help"], capture_output=True, check=True)
    return 6 + 15 * (time.monotonic() - begun_s)


def schedule() -> dict[str, str]:
    """Changes to the configuration: a day around now, in a zone in which it is noon."""
    hours = 12 - datetime.now(ZoneInfo("UTC")).hour
    name = f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"
    opening = datetime.now(ZoneInfo(name)) + timedelta(seconds=seconds_to_start())

    def at(seconds: int) -> str:
        return f'"{opening + timedelta(seconds=seconds):%H:%M:%S}"'

    return {
        "trading_day.enabled": "true",
        "trading_day.time_zone": f'"{name}"',
        "trading_day.weekdays": '["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]',
        "trading_day.pre_open": '"00:00:01"',
        "trading_day.opening_auction": at(OPENING_S),
        "trading_day.continuous": at(CONTINUOUS_S),
        "trading_day.closing_auction": at(CLOSING_S),
        "trading_day.close": at(CLOSE_S),
    }


def market_status(exchange: LocalExchange) -> dict[str, Any]:
    """What `exchange market status --json` prints."""
    line = [sys.executable, "-m", "exchange", "market", "status", "--json", "--config"]
    printed = subprocess.run(
        [*line, str(exchange.config.source)], capture_output=True, check=True
    ).stdout
    facts: dict[str, Any] = json.loads(printed)
    return facts


class Day:
    """The exchange, two clients, and what the feed says."""

    def __init__(self, exchange: LocalExchange) -> None:
        self.exchange = exchange
        self.capture: FeedCapture = capture_of(exchange.config)
        self.ledgers = [Ledger("CLIENT1"), Ledger("CLIENT2")]
        self.clients: list[FixClient] = []

    async def open(self) -> None:
        await self.exchange.start()
        await self.capture.start()
        for ledger in self.ledgers:
            address = self.exchange.config.fix_address(ledger.comp_id)
            client = FixClient(address, ledger.comp_id, ledger.receive)
            ledger.attach(client)
            self.clients.append(client)
            await client.start()

    async def close(self) -> None:
        for client in self.clients:
            await client.stop()
        await self.capture.close()
        await self.exchange.stop()

    async def reached(self, phase: str) -> None:
        async def is_reached() -> bool:
            facts = await market(node_addresses(self.exchange.config))
            states = {one["trading_state"] for one in facts["instruments"]}
            return facts["phase"] == phase and states == {phase}

        await wait_for(is_reached, f"the phase {phase}", 60.0, poll_s=0.2)

    async def answered(self) -> None:
        await wait_for(lambda: not any(each.unanswered for each in self.ledgers), "answers", 20.0)

    def reports(self, cl_ord_id: str, exec_type: str) -> list[Report]:
        return [
            report
            for ledger in self.ledgers
            for report in ledger.reports
            if report.cl_ord_id == cl_ord_id and report.exec_type == exec_type
        ]

    def fills(self, cl_ord_id: str) -> list[tuple[int, int]]:
        return [(one.last_qty, one.last_price) for one in self.reports(cl_ord_id, "F")]

    def feed(self) -> tuple[list[str], list[tuple[str, int, int]]]:
        """The System Events, and (type, shares, price) of the auctions of AAPL."""
        messages = [itch50.decode(message) for message in self.capture.messages]
        events = [one.event_code for one in messages if isinstance(one, SystemEvent)]
        crosses = [
            (one.cross_type, one.shares, one.cross_price)
            for one in messages
            if isinstance(one, CrossTrade) and one.stock == "AAPL"
        ]
        return events, crosses


async def run(exchange: LocalExchange) -> None:
    day = Day(exchange)
    buyer, seller = day.ledgers
    try:
        await day.open()
        await day.reached("PRE_OPEN")
        buyer.enter("OPEN", "AAPL", "1", 30, None, AT_THE_OPEN)
        buyer.enter("DAY", "AAPL", "1", 50, "100.00")
        seller.enter("SELL", "AAPL", "2", 60, "99.50")
        seller.enter("CLOSE", "AAPL", "2", 10, None, AT_THE_CLOSE)
        await day.answered()
        assert not day.fills("OPEN")

        await day.reached("TRADING")
        await wait_for(lambda: day.fills("SELL"), "the trades of the opening auction", 20.0)
        assert day.fills("OPEN") == [(30, 100_0000)]
        assert day.fills("DAY") == [(30, 100_0000)]
        buyer.enter("MORE", "AAPL", "1", 7, "99.00")
        await day.answered()

        leader = await exchange.leader()
        await exchange.kill(f"node-{leader}")

        await day.reached("CLOSING_AUCTION")
        await wait_for(lambda: day.reports("MORE", "C"), "the end of the day", 60.0)
        assert day.fills("CLOSE") == [(10, 100_0000)]
        assert day.fills("DAY") == [(30, 100_0000), (10, 100_0000)]
        assert [report.cum_qty for report in day.reports("DAY", "C")] == [40]

        await exchange.restart(f"node-{leader}")
        await exchange.wait_until_caught_up(leader)
        facts = await asyncio.to_thread(market_status, exchange)
        tomorrow = datetime.now(exchange.config.trading_day.time_zone) + timedelta(days=1)
        assert facts["trading_day"] == f"{tomorrow:%Y-%m-%d}"
        assert facts["phase"] is None
        assert facts["next_phase"]["phase"] == "pre_open"
        assert {one["trading_state"] for one in facts["instruments"]} == {"closed"}

        assert check_sessions(day.ledgers) == []
        assert check_trades(day.ledgers) == []
        hashes = await state_hash(node_addresses(exchange.config))
        assert None not in hashes.values()
        assert len(set(hashes.values())) == 1
        await wait_for(lambda: day.feed()[0][-1:] == ["E"], "System Event E", 20.0)
        events, crosses = day.feed()
        assert events == ["O", "S", "Q", "M", "E"]
        assert crosses == [("O", 60, 100_0000), ("C", 10, 100_0000)]
        assert day.capture.findings() == []
        assert any(one[:1] == b"I" for one in day.capture.messages), "nothing was indicated"
    finally:
        await day.close()
    problems = check_stopped(exchange, day.ledgers)
    assert not any(problems.values()), problems


def test_a_trading_day_goes_on_when_its_leader_is_killed(tmp_path: Path) -> None:
    asyncio.run(run(new_local_exchange(tmp_path / "x", schedule())))


async def run_quietly(exchange: LocalExchange) -> None:
    day = Day(exchange)
    buyer = day.ledgers[0]
    try:
        await day.open()
        expires_ns = time.time_ns() + 6_000_000_000
        order = [
            *new_order_single("GTD", "AAPL", "1", 10, "99.00", time_in_force="6"),
            (126, format_utc_timestamp(expires_ns)),
        ]
        day.clients[0].send("D", order)
        await wait_for(lambda: day.reports("GTD", "0"), "the order is accepted", 20.0)
        await exchange.wait_until_level()
        before = await exchange.statuses()
        await asyncio.sleep(1.5)
        assert time.time_ns() < expires_ns, "this machine is too slow for six seconds"
        assert last_entries(await exchange.statuses()) == last_entries(before)
        await wait_for(lambda: day.reports("GTD", "C"), "the order expires", 20.0)
        assert time.time_ns() >= expires_ns
        assert buyer.reports[-1].ord_status == "C"
        await exchange.wait_until_level()
        entries = {
            last - first
            for last, first in zip(
                last_entries(await exchange.statuses()), last_entries(before), strict=True
            )
        }
        assert entries == {1}, "one ClockTick"
    finally:
        await day.close()


def last_entries(statuses: dict[int, dict[str, Any]]) -> list[int]:
    """Index of the last log entry of each node."""
    return [status["last_log_index"] for _, status in sorted(statuses.items())]


def test_an_order_expires_though_nobody_trades_and_a_quiet_exchange_writes_nothing(
    tmp_path: Path,
) -> None:
    asyncio.run(run_quietly(new_local_exchange(tmp_path / "x")))
