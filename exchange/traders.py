"""Seeded traders: each one drives a session and reacts to its reports, as a client would."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from cluster.settings import Address
from exchange.fix_client import FixClient
from exchange.ledger import Ledger, Report
from exchange.ouch_client import OuchClient
from exchange.ouch_ledger import OuchLedger
from oms.price import format_price

TURN_S = 0.01
MIDDLE_PRICE = 1_000_000
TICK = 100
WORKING = frozenset("01")


class Client(Protocol):
    """A session that is kept up."""

    async def start(self) -> None:
        """Log on."""

    async def stop(self) -> None:
        """Log out."""


class Trader:
    """One FIX client of the exchange with a mind of its own (a seeded random one).

    Of its messages about 60 % are new limit orders on both sides of a slowly moving middle, 10 %
    immediate-or-cancel or market orders, 15 % cancels and 15 % replaces of its open orders.
    `rate_per_s` is what it sends while fewer than `max_unanswered` messages wait for an answer.
    """

    def __init__(
        self,
        comp_id: str,
        address: Address,
        seed: int,
        symbols: Sequence[str],
        *,
        rate_per_s: float = 100.0,
        max_unanswered: int = 500,
        heartbeat_s: int = 10,
        turn_s: float = TURN_S,
    ) -> None:
        self.comp_id = comp_id
        self.ledger: Ledger
        self.client: Client
        self._connect([address], heartbeat_s)
        self._random = random.Random(f"{seed}/{comp_id}")
        self._symbols = symbols
        self._rate_per_s = rate_per_s
        self._max_unanswered = max_unanswered
        self._turn_s = turn_s
        self._prefix = f"{comp_id}-{seed}-"
        self._count = 0
        self._open: dict[str, Report] = {}  # by ClOrdID
        self._task: asyncio.Task[None] | None = None

    def _connect(self, addresses: Sequence[Address], heartbeat_s: int) -> None:
        ledger = self.ledger = Ledger(self.comp_id, self._on_report)
        client = FixClient(addresses[0], self.comp_id, ledger.receive, heartbeat_s=heartbeat_s)
        ledger.attach(client)
        self.client = client

    async def start(self) -> None:
        """Log on and begin to trade."""
        await self.client.start()
        self._task = asyncio.create_task(self._trade(), name=f"trader-{self.comp_id}")

    async def stop_trading(self) -> None:
        """Send nothing more; the session stays. Raises what went wrong while trading."""
        if self._task is not None:
            self._task.cancel()
            result = (await asyncio.gather(self._task, return_exceptions=True))[0]
            self._task = None
            if isinstance(result, Exception):
                raise result

    async def stop(self) -> None:
        """Log out."""
        await self.stop_trading()
        await self.client.stop()

    async def _trade(self) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        last_s = loop.time()
        while True:
            await asyncio.sleep(self._turn_s)
            now_s = loop.time()
            # Time spent waiting for answers is not made up for by a burst.
            due = min(due + (now_s - last_s) * self._rate_per_s, 0.1 * self._rate_per_s + 1)
            last_s = now_s
            while due >= 1 and len(self.ledger.unanswered) < self._max_unanswered:
                self._send_something()
                due -= 1

    def _next_name(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    def _send_something(self) -> None:
        choice = self._random.random()
        if choice >= 0.70 and self._open:
            cl_ord_id = self._random.choice(list(self._open))
            order = self._open.pop(cl_ord_id)
            if choice >= 0.85:
                self.ledger.cancel(self._next_name(), cl_ord_id, order.symbol, order.side)
            else:
                self._replace(order)
            return
        symbol = self._random.choice(self._symbols)
        side = self._random.choice("12")
        quantity = self._random.randrange(1, 11) * 100
        name = self._next_name()
        if choice < 0.05:
            self.ledger.enter(name, symbol, side, quantity, None, "0")
        elif choice < 0.10:
            self.ledger.enter(name, symbol, side, quantity, self._price(side), "3")
        else:
            self.ledger.enter(name, symbol, side, quantity, self._price(side), "0")

    def _replace(self, order: Report) -> None:
        quantity = max(order.cum_qty + 1, order.quantity + self._random.choice((-100, 0, 100)))
        price = self._price(order.side)
        self.ledger.replace(
            self._next_name(), order.cl_ord_id, order.symbol, order.side, quantity, price
        )

    def _price(self, side: str) -> str:
        """Mostly a little behind the middle, sometimes beyond it, so that orders meet."""
        distance = self._random.randrange(-12, 30) * TICK
        return format_price(MIDDLE_PRICE - distance if side == "1" else MIDDLE_PRICE + distance)

    def _on_report(self, report: Report) -> None:
        if report.msg_type == "9":
            return
        if report.ord_status in WORKING:
            if report.cl_ord_id not in self._open:
                self._open.pop(report.orig_cl_ord_id, None)
            if self._is_latest_name(report):
                self._open[report.cl_ord_id] = report
        else:
            self._open.pop(report.cl_ord_id, None)
            self._open.pop(report.orig_cl_ord_id, None)

    def _is_latest_name(self, report: Report) -> bool:
        """False while a cancel or replace of the order is on its way."""
        return report.exec_type in "05" or report.cl_ord_id in self._open


class OuchTrader(Trader):
    """The same over OUCH, at any of several gateways."""

    def __init__(
        self,
        username: str,
        addresses: Sequence[Address],
        seed: int,
        symbols: Sequence[str],
        *,
        rate_per_s: float = 100.0,
        turn_s: float = TURN_S,
    ) -> None:
        self._addresses = addresses
        super().__init__(
            username, addresses[0], seed, symbols, rate_per_s=rate_per_s, turn_s=turn_s
        )

    def _connect(self, addresses: Sequence[Address], heartbeat_s: int) -> None:
        ledger = OuchLedger(self.comp_id, self._on_report)
        self.ledger = self._ouch_ledger = ledger
        client = OuchClient(self._addresses, self.comp_id, ledger.receive_ouch)
        ledger.use(client)
        self.client = client

    def _next_name(self) -> str:
        self._count += 1
        return str(self._count)

    async def stop_trading(self) -> None:
        """Send nothing more but a question that is answered last."""
        was_trading = self._task is not None
        await super().stop_trading()
        if was_trading:
            self._ouch_ledger.ask_for_the_end()
