"""As many random commands as one likes against the oracle.

    PYTHONPATH=. python tests/oms/long_run.py FIRST_SEED LAST_SEED COMMANDS [HOSTILE]

Each seed is an exchange of its own, with another share of special orders, and
every other one has more of the clock and of protection. After each command the
events of engine and oracle are compared and the invariants checked. Prints the first difference,
and how to see it again; exit code 1. The suite (test_random_runs.py) runs a share of this.
"""

from __future__ import annotations

import sys

from naive_exchange import NaiveExchange
from random_commands import commands

from oms import market_commands, price_protection, sessions
from oms.state_machine import ExchangeStateMachine

CLOSED_KEPT = 20
INTERVAL = 20
REFERENCE_HOLDS = 30
SPECIAL = (0.4, 0.8, 0.15)
PROTECTED = (1, 8)


def run(seed: int, count: int, hostile: float) -> str:
    """Run one exchange; return the first difference, or nothing."""
    machine, oracle = (
        ExchangeStateMachine(),
        NaiveExchange(CLOSED_KEPT, interval=INTERVAL, hold=REFERENCE_HOLDS),
    )
    special, protected = SPECIAL[seed % len(SPECIAL)], PROTECTED[seed % len(PROTECTED)]
    script = commands(seed, count, hostile, special, protected)
    for now_ns, command in enumerate(script):
        events, expected = machine.apply(command, now_ns), oracle.apply(command, now_ns)
        if events != expected:
            lines = [f"seed {seed}, command {now_ns}: {command}", "engine:"]
            lines += [f"  {event}" for event in events]
            lines += ["oracle:", *(f"  {event}" for event in expected)]
            return "\n".join(lines)
        machine.check_invariants()
    return ""


def main() -> None:
    first, last, count = map(int, sys.argv[1:4])
    hostile = float(sys.argv[4]) if len(sys.argv) > 4 else 0.01
    sessions.CLOSED_ORDERS_KEPT = CLOSED_KEPT  # forgotten early, so that runs get to see it
    market_commands.INDICATION_INTERVAL_NS = INTERVAL  # a command is a nanosecond after the last
    price_protection.REFERENCE_HOLDS_NS = REFERENCE_HOLDS
    for seed in range(first, last + 1):
        difference = run(seed, count, hostile)
        if difference:
            sys.exit(difference)
    print(f"{(last - first + 1) * count} commands, no difference")


if __name__ == "__main__":
    main()
