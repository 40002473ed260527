"""The simulation finds nothing in the real code, finds what is taken out of it, and repeats."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.simulation.mutations import MUTATIONS, Mutation, seeds_needed
from exchange.simulation.run import run_seed

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 41)
HARD_TO_NOTICE = ("A4", "A13", "A1 cap", "section 3, vote", "section 3, match")
"""Rules that take more seeds to miss than a suite has time for: `make mutation` tries 10,000."""


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
        "disks lost",
        "transfers",
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


@pytest.mark.parametrize(
    "mutation",
    [mutation for mutation in MUTATIONS if mutation.rule not in HARD_TO_NOTICE],
    ids=lambda mutation: mutation.rule,
)
def test_a_rule_that_is_taken_out_is_noticed(mutation: Mutation):
    seed, tried, _ = seeds_needed(mutation, 200, 60.0)
    assert seed is not None, f"{mutation.rule} taken out, {tried} seeds notice nothing"
    assert run_seed(seed).violation is None, "the rule is back, and with it the safety"
