"""`make demo`: a real exchange, its leader killed under load, and a proof that nothing was lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cluster.admin import state_hash
from exchange.capture import FeedCapture, capture_of
from exchange.commands.options import print_table, program
from exchange.ledger import first_answer_after
from exchange.local import LocalExchange, new_local_exchange, wait_for
from exchange.reconcile import shortened
from exchange.report import check_running, check_stopped, settle, totals
from exchange.settings import client_tls, node_addresses
from exchange.traders import OuchTrader, Trader

SEED = 20_260_101
SESSIONS = 6
OUCH_USERS = 2
RATE_PER_S = 60.0
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
ORDERS_WANTED = 2_400
BEFORE_FAULT = 1_000
LONGEST_TRADING_S = 40.0
GAP_TIMEOUT_S = 10.0

Say = Callable[[str], None]


class Demo:
    """One run. `facts` is what `--json` prints."""

    def __init__(self, folder: Path, seed: int, say: Say) -> None:
        self.exchange: LocalExchange = new_local_exchange(folder)
        self.facts: dict[str, Any] = {"seed": seed, "folder": str(folder)}
        self.problems: dict[str, list[str]] = {}
        self.traders = [
            Trader(
                f"CLIENT{number}",
                self.exchange.config.fix_address(f"CLIENT{number}"),
                seed,
                SYMBOLS,
                rate_per_s=RATE_PER_S,
            )
            for number in range(1, SESSIONS + 1)
        ]
        self.traders += [
            OuchTrader(
                f"OUCH{number}",
                self.exchange.config.addresses.ouch,
                seed,
                SYMBOLS,
                rate_per_s=RATE_PER_S,
            )
            for number in range(1, OUCH_USERS + 1)
        ]
        self.capture: FeedCapture = capture_of(self.exchange.config)
        self._say = say
        self._started_s = time.monotonic()

    def say(self, sentence: str) -> None:
        """A progress line with the seconds so far."""
        self._say(f"{time.monotonic() - self._started_s:6.2f} s  {sentence}")

    @property
    def ledgers(self) -> list[Any]:
        """The ledger of every trader."""
        return [trader.ledger for trader in self.traders]

    @property
    def orders(self) -> int:
        """New orders sent so far."""
        return sum(
            request.msg_type == "D"
            for ledger in self.ledgers
            for request in ledger.requests.values()
        )

    async def run(self, stack: AsyncExitStack) -> None:
        """Start, trade, kill, recover, reconcile what can be reconciled while it runs."""
        stack.push_async_callback(self.exchange.stop)
        self.say("starting 3 nodes, FIX and OUCH gateway and market data as processes of their own")
        ready = await self.exchange.start()
        self.say(
            f"ready after {ready['seconds']:.1f} s: node {ready['leader']} leads, FIX at "
            f"{ready['fix']}, durability {ready['durability']}"
        )
        stack.push_async_callback(self.capture.close)
        await self.capture.start()
        for trader in self.traders:
            stack.push_async_callback(trader.stop)
            await trader.start()
        self.say(
            f"{SESSIONS} FIX and {OUCH_USERS} OUCH sessions trade {', '.join(SYMBOLS)} "
            f"(seed {self.facts['seed']})"
        )
        await self._orders_reach(BEFORE_FAULT)
        killed = await self._kill_leader()
        await self._orders_reach((BEFORE_FAULT + ORDERS_WANTED) // 2)
        await self.exchange.restart(f"node-{killed}")
        await self.exchange.wait_until_caught_up(killed)
        self.say(f"node {killed} is back and has caught up")
        await self._orders_reach(ORDERS_WANTED)
        for trader in self.traders:
            await trader.stop_trading()
        await settle(self.ledgers)
        self.facts |= totals(self.ledgers)
        self.say(f"{self.facts['requests']} requests sent and answered; reconciling")
        self.problems |= await check_running(self.exchange, self.ledgers, self.capture)
        self.facts["feed_messages"] = len(self.capture.messages)
        others = [e["process"] for e in self.exchange.exited if e["process"] != f"node-{killed}"]
        self.problems["processes"] = [f"{name} ended by itself" for name in others]
        config = self.exchange.config
        hashes = await state_hash(node_addresses(config), tls=client_tls(config))
        self.facts["hashes"] = {f"node-{node}": mark for node, mark in hashes.items()}

    async def _orders_reach(self, count: int) -> None:
        await wait_for(lambda: self.orders >= count, f"{count} orders were sent", LONGEST_TRADING_S)

    async def _kill_leader(self) -> int:
        """SIGKILL under load; measures the gap until a new order is acknowledged."""
        leader = await self.exchange.leader()
        answered_before = sum(len(ledger.reports) for ledger in self.ledgers)
        pid = self.exchange.pid(f"node-{leader}")
        fault_ns = time.perf_counter_ns()
        self.exchange.signal(f"node-{leader}", signal.SIGKILL)
        self.say(f"SIGKILL to node {leader} (pid {pid}) after {self.orders} orders")
        answered_ns = await wait_for(
            lambda: first_answer_after(self.ledgers, fault_ns),
            "a new order is acknowledged",
            GAP_TIMEOUT_S,
            poll_s=0.005,
        )
        gap_ms = (answered_ns - fault_ns) / 1e6
        new_leader = await self.exchange.leader()
        self.say(
            f"new orders are acknowledged {gap_ms:.1f} ms after the kill; node {new_leader} leads"
        )
        self.facts |= {
            "killed": leader,
            "new_leader": new_leader,
            "gap_ms": round(gap_ms, 1),
            "reports_before_fault": answered_before,
        }
        return leader

    def finish(self) -> bool:
        """After everything has stopped: the journals. True when nothing contradicts."""
        self.problems |= check_stopped(self.exchange, self.ledgers)
        self.facts["seconds"] = round(time.monotonic() - self._started_s, 1)
        self.facts["problems"] = {
            name: shortened(found) for name, found in self.problems.items() if found
        }
        self.facts["ok"] = not self.facts["problems"]
        return bool(self.facts["ok"])


async def run_demo(folder: Path | None, seed: int, keep: bool, say: Say) -> dict[str, Any]:
    """Run the demo in `folder` (None: a temporary one); returns its facts, `ok` among them.

    `keep` leaves the exchange running after the checks until SIGINT or SIGTERM. Whatever happens,
    every process is stopped before this returns.
    """
    interrupted = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if keep and waiting:
            interrupted.set()
        else:
            task.cancel()

    waiting = False
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    with contextlib.ExitStack() as files:
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="exchange-demo-")
            folder = Path(files.enter_context(temporary))
        demo = Demo(folder, seed, say)
        async with AsyncExitStack() as stack:
            await demo.run(stack)
            if keep:
                wrong = {name: found for name, found in demo.problems.items() if found}
                say(f"contradictions so far: {wrong or 'none'}; journals are read at the end")
                _say_how_to_connect(demo, say)
                waiting = True
                await interrupted.wait()
        demo.say("everything has stopped; reading the journals")
        demo.finish()
        return demo.facts


def _say_how_to_connect(demo: Demo, say: Say) -> None:
    addresses = demo.exchange.config.addresses
    say(f"""
The exchange keeps running until Ctrl-C.
  FIX 4.4          {addresses.fix[0]}, TargetCompID {demo.exchange.config.fix.comp_id}; \
CLIENT{SESSIONS + 1} .. CLIENT9 are free
  OUCH 5.0         {addresses.ouch[0]}, user OUCH{OUCH_USERS + 1} .. OUCH9, password "password"
  books, trades    http://{addresses.marketdata_http}/book/AAPL  /trades/AAPL
  status           {program()} status --config {demo.exchange.config.source}
  kill the leader  {program()} kill leader --config {demo.exchange.config.source}
""")


def print_summary(facts: dict[str, Any]) -> None:
    """The facts of a run for people, on stdout."""
    rows: list[list[Any]] = [
        ["sessions", f"{SESSIONS} FIX, {OUCH_USERS} OUCH"],
        [
            "orders / cancels / replaces",
            f"{facts['orders']} / {facts['cancels']} / {facts['replaces']}",
        ],
        [
            "accepted / rejected / cancel rejected",
            f"{facts['accepted']} / {facts['rejected']} / {facts['cancel_rejected']}",
        ],
        ["trades", facts["trades"]],
        ["ITCH messages captured from multicast", facts["feed_messages"]],
        ["leader killed, then leading", f"node {facts['killed']}, node {facts['new_leader']}"],
        ["gap: SIGKILL to first new acknowledgement", f"{facts['gap_ms']} ms"],
        *(
            [f"state of {node}", f"event_seq {mark[0]}, {mark[1][:16]}" if mark else "no answer"]
            for node, mark in facts["hashes"].items()
        ),
        *(
            [f"contradictions in {name}", "\n".join(found)]
            for name, found in facts["problems"].items()
        ),
        ["lost, doubled, unequal", "nothing" if facts["ok"] else "see above"],
        ["duration", f"{facts['seconds']} s"],
    ]
    print_table("demo: " + ("PASSED" if facts["ok"] else "FAILED"), ["what", "result"], rows)
