"""simulate: the cluster on a virtual clock, with every kind of fault, seed by seed."""

from __future__ import annotations

import os
from typing import Any

import click

from exchange.commands.options import (
    EXIT_OK,
    EXIT_PROBLEM,
    json_option,
    print_json,
    print_table,
    say,
    verb,
)


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""

    @verb(cli, "simulate", "exchange simulate --seed 1 --seeds 200")
    @click.option("--seed", type=click.IntRange(0), default=1, help="First seed.  [default: 1]")
    @click.option("--seeds", type=click.IntRange(1), default=100, help="How many.  [default: 100]")
    @click.option(
        "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes at a time."
    )
    @click.option("--mutations", is_flag=True, help="Take each safety rule out: is it noticed?")
    @click.option(
        "--seconds",
        type=click.FloatRange(1),
        help="With --mutations: at most so long for one rule.",
    )
    @json_option
    def simulate(
        seed: int, seeds: int, jobs: int, mutations: bool, seconds: float | None, as_json: bool
    ) -> int:
        """Look for lost orders under simulated faults.

        Runs the real consensus, journal, matching and client code against simulated disks,
        networks and clocks that fail in every way, and checks that nothing is lost.

        A seed repeats exactly. Exit 1 when a seed finds a violation (or, with --mutations, when a
        missing rule goes unnoticed).
        """
        from exchange.simulation.campaign import run_campaign, run_mutations

        if mutations:
            rows = run_mutations(range(seed, seed + seeds), jobs, seconds, say)
            return _show_mutations(rows, as_json)
        facts = run_campaign(range(seed, seed + seeds), jobs, say)
        if as_json:
            print_json(facts)
        else:
            _print_campaign(facts)
        return EXIT_PROBLEM if facts["violations"] else EXIT_OK


def _print_campaign(facts: dict[str, Any]) -> None:
    rows = [
        ["seeds", facts["seeds"]],
        ["steps", facts["steps"]],
        ["virtual / real time", f"{facts['virtual_s']} s / {facts['wall_s']} s"],
        ["slowest to heal", f"{facts['healing_s_max']} s"],
        ["seeds per second", facts["seeds_per_s"]],
        *([what, number] for what, number in facts["work"].items()),
        ["faults", ", ".join(f"{number} {what}" for what, number in facts["faults"].items())],
        ["violations", len(facts["violations"])],
    ]
    print_table("simulation", ["what", "number"], rows)


def _show_mutations(rows: list[dict[str, Any]], as_json: bool) -> int:
    if as_json:
        print_json(rows)
    else:
        columns = ["rule", "without it", "noticed at seed", "seeds tried", "violation"]
        table = [[row[column] for column in columns] for row in rows]
        for row, cells in zip(rows, table, strict=True):
            if row["noticed at seed"] is None and row["unneeded"]:
                cells[-1] = f"unneeded: {row['unneeded']}"
        print_table("rules taken out", columns, table)
    missed = [row for row in rows if row["noticed at seed"] is None and not row["unneeded"]]
    return EXIT_PROBLEM if missed else EXIT_OK
