"""Same commands, same events and state, whatever process, hash seed and build plays them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from random_commands import commands

from oms.state_machine import ExchangeStateMachine

ROOT = Path(__file__).resolve().parents[2]


def digests_of_a_run() -> str:
    """SHA-256 of all events and of the snapshot after them, down to the types of their values, and
    the state hash."""
    machine = ExchangeStateMachine()
    events = hashlib.sha256()
    for now_ns, command in enumerate(commands(7, 1_500, 0.02, protected=4)):
        events.update(ascii(machine.apply(command, now_ns)).encode())
    parts = hashlib.sha256(ascii(list(machine.snapshot_parts())).encode())
    return f"{events.hexdigest()} {parts.hexdigest()} {machine.state_hash()}"


@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_every_process_says_the_same(hash_seed):
    """The other process runs the source that lies here. Where a compiled build is tested
    (setup.py), this one does not: a cluster may have nodes of both."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent))),
    }
    said = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == digests_of_a_run().split()


if __name__ == "__main__":
    print(digests_of_a_run())
