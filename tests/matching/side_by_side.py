"""What plain orders cost here and in another checkout, measured in turns in one run.

    python tests/matching/side_by_side.py ../other/checkout [rounds]

Each round times the same commands in a fresh process of either tree, one right after the other, so
that whatever else the machine does hits both. Printed are the medians, in us per command, and
their ratio: of an order that comes to rest, of one that trades, of a cancel and of a replace, each
through the state machine, from the command to its events.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

ROUNDS = 15
HERE = Path(__file__).resolve().parents[2]

MEASURE = """
import gc, json, sys, time
sys.path.insert(0, sys.argv[1])
from oms.state_machine import ExchangeStateMachine

LOAD = (
    30,
    (("AAPL", 1, 100, 1, 100_0000, 1_000, 10_000),),
    (("ACC1", "FIRM", 10_000, 2**62), ("ACC2", "FIRM", 10_000, 2**62)),
    (("S1", "ACC1"), ("S2", "ACC2")),
)
COUNT = 4_000


def enter(session, name, side, price):
    return (1, session, 1, "", name, "AAPL", side, 2, 0, 100, price)


PHASES = {
    "rest": [enter("S1", f"A{n}", 1, 99_0000 + n % 40 * 100) for n in range(COUNT)],
    "replace": [
        (2, "S1", 1, f"R{n}", f"A{n}", "AAPL", 1, 2, 0, 100, 98_0000 + n % 40 * 100)
        for n in range(COUNT)
    ],
    "trade": [enter("S2", f"B{n}", 2, 98_0000) for n in range(COUNT // 2)],
    "cancel": [(3, "S1", 1, f"C{n}", f"R{n}", "AAPL", 1) for n in range(COUNT)],
}
best = {}
for _ in range(3):
    machine = ExchangeStateMachine()
    machine.apply_all((LOAD, (31, "", 2, "")), 1)
    gc.collect()
    gc.disable()
    for name, commands in PHASES.items():
        start = time.process_time_ns()
        machine.apply_all(commands, 2)
        cost = (time.process_time_ns() - start) / 1_000 / len(commands)
        best[name] = min(best.get(name, cost), cost)
    gc.enable()
print(json.dumps(best))
"""


def measure(tree: Path) -> dict[str, float]:
    """Cost of each kind of command in us, the best of three in one process."""
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tree)], capture_output=True, text=True, check=True
    )
    costs: dict[str, float] = json.loads(result.stdout)
    return costs


def main() -> None:
    other = Path(sys.argv[1]).resolve()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    here, there = [], []
    for _ in range(rounds):
        here.append(measure(HERE))
        there.append(measure(other))
    print(f"{'us per command':<16}{'here':>8}{'there':>8}{'ratio':>8}")
    for name in here[0]:
        mine, its = median(r[name] for r in here), median(r[name] for r in there)
        print(f"{name:<16}{mine:>8.2f}{its:>8.2f}{mine / its:>8.3f}")


if __name__ == "__main__":
    main()
