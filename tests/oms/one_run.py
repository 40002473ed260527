"""A seeded run in one line, to compare processes by: `python tests/oms/one_run.py`."""

from __future__ import annotations

import hashlib

from random_commands import commands

from oms.state_machine import ExchangeStateMachine


def digests_of_a_run() -> str:
    """SHA-256 of all events and of the snapshot after them, to the last type of value, and the
    state hash."""
    machine = ExchangeStateMachine()
    events = hashlib.sha256()
    for now_ns, command in enumerate(commands(7, 1_500, 0.02, protected=4)):
        events.update(ascii(machine.apply(command, now_ns)).encode())
    parts = hashlib.sha256(ascii(list(machine.snapshot_parts())).encode())
    return f"{events.hexdigest()} {parts.hexdigest()} {machine.state_hash()}"


if __name__ == "__main__":
    print(digests_of_a_run())
