"""A drill: traders at work on an exchange, faults in the middle, a reconciliation at the end.

async with Drill(exchange) as drill:
    await drill.more_reports(100)
    fault_ns = time.perf_counter_ns()
    exchange.signal("node-1", signal.SIGKILL)
    await drill.gap_after(fault_ns)
    problems = await drill.reconcile()
... the exchange is stopped ...
problems |= check_stopped(exchange, drill.ledgers)
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from types import TracebackType

from exchange.capture import FeedCapture, capture_of
from exchange.ledger import Ledger, first_answer_after
from exchange.local import LocalExchange, wait_for
from exchange.report import check_running, check_stopped, settle
from exchange.traders import Trader

SYMBOLS = ("AAPL", "MSFT", "NVDA")
CLIENTS = 4
RATE_PER_S = 60.0
TURN_S = 0.004
"""Short, so that a gap is measured to a few milliseconds."""
GAP_TIMEOUT_S = 15.0
GAP_POLL_S = 0.005
REPORTS_TIMEOUT_S = 30.0
REPORTS_BEFORE = 100
"""Reports that come before the story begins: each fault meets a market at work."""


class Drill:
    """Seeded traders on an exchange, and what happens to them. `faults` are counted so far, and
    `gaps_ns` measured; `elections` are the terms that began during the story, `problems` what the
    reconciliation found.

    `capture`: a receiver of the feed, whose trades and books are reconciled as well.
    """

    def __init__(
        self,
        exchange: LocalExchange,
        *,
        seed: int = 3,
        rate_per_s: float = RATE_PER_S,
        with_feed: bool = True,
    ) -> None:
        self.exchange = exchange
        self.capture: FeedCapture | None = capture_of(exchange.config) if with_feed else None
        self.traders = [
            Trader(
                f"CLIENT{number}",
                exchange.config.fix_address(f"CLIENT{number}"),
                seed,
                SYMBOLS,
                rate_per_s=rate_per_s,
                turn_s=TURN_S,
            )
            for number in range(1, CLIENTS + 1)
        ]
        self.faults = 0
        self.gaps_ns: list[int] = []
        self.elections = 0
        self.hash_equal = False
        self.problems: list[str] = []

    async def __aenter__(self) -> Drill:
        """Log on and begin to trade."""
        if self.capture is not None:
            await self.capture.start()
        for trader in self.traders:
            await trader.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out."""
        if self.capture is not None:
            await self.capture.close()
        for trader in self.traders:
            await trader.stop()

    @property
    def ledgers(self) -> list[Ledger]:
        """What each trader sent and was told."""
        return [trader.ledger for trader in self.traders]

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return sum(len(ledger.requests) for ledger in self.ledgers)

    @property
    def reports(self) -> int:
        """Reports received so far."""
        return sum(len(ledger.reports) for ledger in self.ledgers)

    async def more_reports(self, count: int, *, since: int | None = None) -> None:
        """Let trade go on until `count` reports have come since there were `since` (None: now)."""
        target = (self.reports if since is None else since) + count
        await wait_for(lambda: self.reports >= target, "trading goes on", REPORTS_TIMEOUT_S)

    def fault(self, do: Callable[[], None]) -> int:
        """Do what breaks something; returns when, as time.perf_counter_ns()."""
        self.faults += 1
        fault_ns = time.perf_counter_ns()
        do()
        return fault_ns

    async def strike(self, do: Callable[[], None], timeout_s: float = GAP_TIMEOUT_S) -> int:
        """The fault, and the gap after it in ns: for faults that the exchange gets over alone."""
        return await self.gap_after(self.fault(do), timeout_s)

    async def gap_after(self, fault_ns: int, timeout_s: float = GAP_TIMEOUT_S) -> int:
        """Wait for the first answer, at any client, to a request that was sent after the fault;
        returns the time from the fault to it in ns."""
        answered_ns: int = await wait_for(
            lambda: first_answer_after(self.ledgers, fault_ns),
            "a new request is answered",
            timeout_s,
            poll_s=GAP_POLL_S,
        )
        self.gaps_ns.append(answered_ns - fault_ns)
        return answered_ns - fault_ns

    async def term(self) -> int:
        """The highest term of all nodes that answer."""
        statuses = await self.exchange.statuses()
        return max((int(status["term"]) for status in statuses.values()), default=0)

    async def reconcile(self) -> None:
        """Stop trading and compare everything that can be compared while the exchange runs."""
        for trader in self.traders:
            await trader.stop_trading()
        await settle(self.ledgers)
        found = await check_running(self.exchange, self.ledgers, self.capture)
        self.hash_equal = not found["state hash"]
        self._note(found)

    def reconcile_journals(self) -> None:
        """Compare what can only be read once the exchange has stopped."""
        self._note(check_stopped(self.exchange, self.ledgers))

    def _note(self, found: dict[str, list[str]]) -> None:
        self.problems += [f"{name}: {text}" for name, texts in found.items() for text in texts]


Story = Callable[[Drill], Awaitable[None]]


async def run_drill(drill: Drill, story: Story) -> None:
    """Start the exchange, trade, let the story happen meanwhile, reconcile everything; whatever
    happens, the exchange is stopped. Raises LocalExchangeError, and what the story raises."""
    try:
        await drill.exchange.start()
        async with drill:
            await drill.more_reports(REPORTS_BEFORE)
            first_term = await drill.term()
            await story(drill)
            drill.elections = await drill.term() - first_term
            await drill.reconcile()
    finally:
        await drill.exchange.stop()
    drill.reconcile_journals()
