"""Engines of all versions trade while lines are cut, leader and gateway die: each order once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fix_quickfix import QuickFix
from fix_requests import BUY, DAY, IOC, SELL, new_order
from fix_trial import Trial
from fix_venue import Venue

from exchange.journals import read_journals
from exchange.local import wait_for

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SYMBOL = "TSLA"
TRADERS = (("FIX.4.2", BUY), ("FIX.4.4", SELL), ("FIX.5.0SP2", BUY), ("FIX.4.4", SELL))
BURST, PAUSE_S = 5, 0.1
BETWEEN_FAULTS = 50
"""Orders that each is answered between one fault and the next."""
CUTS = (
    r".*Connection reset by peer.*",
    r".*Connection refused.*",
    r"Timed out waiting for (logon response|heartbeat)",
    r"Sent test request TEST",
)


class Trader:
    """An engine that enters orders in bursts; every tenth is immediate-or-cancel."""

    def __init__(self, engine: QuickFix, side: str) -> None:
        self.engine = engine
        self.sent = 0
        self.side = side
        self._enough = asyncio.Event()

    @property
    def answered(self) -> int:
        """Orders that are in or refused."""
        return len(self.engine.blotter.answered)

    async def trade(self) -> None:
        """Enter orders until stop(), also while the connection is down; then wait for answers."""
        while not self._enough.is_set():
            for _ in range(BURST):
                self.sent += 1
                time_in_force = IOC if self.sent % 10 == 0 else DAY
                fields = new_order(
                    str(self.sent),
                    SYMBOL,
                    self.side,
                    1 + self.sent % 5,
                    "100.00",
                    time_in_force=time_in_force,
                )
                self.engine.send("D", fields)
            await asyncio.sleep(PAUSE_S)
        await wait_for(lambda: self.answered == self.sent, "everything is answered", 60)

    def stop(self) -> None:
        """Enter no more orders."""
        self._enough.set()


async def fault_after_fault(trial: Trial, traders: list[Trader]) -> None:
    """What happens while both send."""
    exchange, wires = trial.exchange, [trial.wire(trader.engine) for trader in traders]

    async def go_on() -> None:
        goals = [trader.answered + BETWEEN_FAULTS for trader in traders]
        await wait_for(
            lambda: all(one.answered >= goal for one, goal in zip(traders, goals, strict=True)),
            "all trade on",
            60,
        )

    await go_on()
    wires[0].cut_after(1_000)  # in the middle of a report
    await go_on()
    leader = f"node-{await exchange.leader()}"
    await exchange.kill(leader)
    await go_on()
    for wire in wires[1:]:
        wire.cut()
    await exchange.restart(leader)
    await go_on()
    await exchange.kill("gateway-fix")
    await exchange.restart("gateway-fix")
    await go_on()
    await exchange.terminate("gateway-fix")
    await exchange.restart("gateway-fix")
    await go_on()
    for wire in wires:
        wire.cut_after(777)
    await go_on()
    for trader in traders:
        trader.stop()


async def all_is_told(traders: list[Trader]) -> None:
    """Return when buyers and sellers have heard of the same fills."""

    def fills(side: str) -> list[tuple[str, str, str]]:
        told = (trader.engine.blotter.fills for trader in traders if trader.side == side)
        return sorted(fill for fills in told for fill in fills)

    await wait_for(lambda: fills(BUY) == fills(SELL), "both sides heard of the same fills", 30)
    assert len(fills(BUY)) > 5 * BETWEEN_FAULTS


def test_nothing_is_lost_or_doubled_whatever_breaks(
    make_trial: Callable[[Venue], Trial], tmp_path: Path
) -> None:
    traders: list[Trader] = []
    with Venue(tmp_path / "venue") as venue:
        trial = make_trial(venue)

        async def test() -> None:
            for version, side in TRADERS:
                traders.append(Trader(await trial.log_on(version), side))
            await asyncio.gather(
                fault_after_fault(trial, traders), *(trader.trade() for trader in traders)
            )
            await all_is_told(traders)

        trial.run(test(), expected_events=CUTS)

    entered = {}
    for trader in traders:
        engine = trader.engine
        numbers = [str(number) for number in range(1, trader.sent + 1)]
        assert engine.blotter.accepted == Counter(numbers)
        assert engine.logons >= 4, "its connection was lost again and again"
        assert trial.wire(engine).heard_types()["8 again"] > 0, "it has missed something"
        entered |= {(engine.comp_id, number): 1 for number in numbers}
    config = venue.exchange.config
    journals = read_journals([config.data_dir / f"node-{node}" for node in config.node_ids])
    assert journals.problems == []
    assert all(replayed.accepted == entered for replayed in journals.replayed.values())
