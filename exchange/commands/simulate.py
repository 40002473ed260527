"""simulate: the cluster on a virtual clock, with every kind of fault, seed by seed."""

from __future__ import annotations

import os
from typing import Any

import click

from exchange.commands.measure import say
from exchange.commands.options import (
    EXIT_OK,
    EXIT_PROBLEM,
    json_option,
    print_json,
    print_table,
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
    @json_option
    def simulate(seed: int, seeds: int, jobs: int, mutations: bool, as_json: bool) -> int:
        """Look for lost orders under simulated faults.

        Runs the real consensus, journal, matching and client code against simulated disks,
        networks and clocks that fail in every way, and checks that nothing is lost.

        A seed repeats exactly. Exit 1 when a seed finds a violation (or, with --mutations, when a
        missing rule goes unnoticed).
        """
        if mutations:
            return _mutations(seeds, as_json)
        from exchange.simulation.campaign import run_campaign

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
        ["seeds per second", facts["seeds_per_s"]],
        *([what, number] for what, number in facts["work"].items()),
        ["faults", ", ".join(f"{number} {what}" for what, number in facts["faults"].items())],
        ["violations", len(facts["violations"])],
    ]
    print_table("simulation", ["what", "number"], rows)


def _mutations(seeds: int, as_json: bool) -> int:
    from exchange.simulation.mutations import MUTATIONS, seeds_needed

    rows: list[dict[str, Any]] = []
    for mutation in MUTATIONS:
        seed, tried, violation = seeds_needed(mutation, seeds, 600.0)
        rows.append(
            {
                "rule": mutation.rule,
                "without it": mutation.what,
                "noticed at seed": seed,
                "seeds tried": tried,
                "violation": violation[:100],
            }
        )
        noticed = f"noticed at seed {seed}" if seed else f"NOT noticed in {tried} seeds"
        say(f"{mutation.rule}: {noticed}")
    if as_json:
        print_json(rows)
    else:
        columns = list(rows[0])
        print_table("rules taken out", columns, [list(row.values()) for row in rows])
    return EXIT_OK if all(row["noticed at seed"] for row in rows) else EXIT_PROBLEM
