"""The simulation finds nothing in the real code, finds what is taken out of it, and repeats."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import guard, replica
from cluster.codec import unpack_commands
from exchange.simulation.run import run_seed

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 41)


def first_violation(seeds: range) -> str | None:
    """What the first failing seed says."""
    return next((v for seed in seeds if (v := run_seed(seed).violation)), None)


def test_no_seed_breaks_a_promise_and_every_kind_of_fault_really_happened():
    totals: dict[str, int] = {}
    for seed in SEEDS:
        outcome = run_seed(seed)
        assert outcome.violation is None, "\n".join(
            [f"seed {seed}: {outcome.violation}", *outcome.trace[-60:]]
        )
        for what, number in outcome.statistics.items():
            totals[what] = totals.get(what, 0) + number
    for what in (
        "elections",
        "kills",
        "power losses",
        "torn writes",
        "disk failures",
        "gateway kills",
        "unruly messages",
        "fault: isolate",
        "fault: pause",
    ):
        assert totals.get(what, 0) > 10, f"hardly any {what} in {len(SEEDS)} seeds: {totals}"
    assert totals["batches committed"] > 5_000
    assert totals["answers"] > 10_000


def test_a_seed_gives_the_same_run_in_every_process():
    code = (
        "from exchange.simulation.run import run_seed\n"
        "o = run_seed(3)\n"
        "print(o.steps, o.virtual_s, sorted(o.statistics.items()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "7")
    }
    assert len(runs) == 1, runs


def test_a_stock_append_entries_without_rule_a1_is_found(monkeypatch: pytest.MonkeyPatch):
    real = guard.check_append_entries

    def without_a1(message, log, **facts):
        delivery = real(message, log, **facts)
        if delivery.message is None or delivery.reply is not None:
            return delivery
        return guard.Delivery(message)

    monkeypatch.setattr(guard, "check_append_entries", without_a1)
    assert first_violation(range(1, 200)) is not None


def test_a_leader_that_counts_itself_before_its_disk_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "cap_acknowledgement", lambda message, **_: (message, None))
    found = first_violation(range(1, 20))
    assert found is not None
    assert "counts, but only" in found


def test_promises_that_do_not_wait_for_the_disk_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard, "needs_durable_log", lambda message, **_: False)
    assert first_violation(range(1, 20)) is not None


def test_commands_that_are_not_suppressed_when_sent_again_are_found(
    monkeypatch: pytest.MonkeyPatch,
):
    real = replica.Replica._unseen_commands

    def everything(self, frame):
        if frame.client_id and frame.first_number:
            return unpack_commands(frame.commands)
        return real(self, frame)

    monkeypatch.setattr(replica.Replica, "_unseen_commands", everything)
    found = first_violation(range(1, 20))
    assert found is not None
    assert "was answered by event" in found
