"""Many seeds, on as many processes as asked for, with progress and totals."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from typing import Any

from exchange.simulation.mutations import MUTATIONS, notice
from exchange.simulation.run import Outcome, run_seed

_VIOLATIONS_SHOWN = 20
_SEEDS_AT_A_TIME = 8

Say = Callable[[str], None]


def outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """Outcomes of the seeds, in order."""
    if jobs <= 1:
        yield from map(run_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run_seed, seeds, chunksize=4)


def run_campaign(seeds: range, jobs: int, say: Say) -> dict[str, Any]:
    """Run the seeds; returns the JSON object of contract.md section 5.

    Progress goes to `say`, a line every ten seconds; of a failing seed its trace and the command
    that repeats it."""
    started_s = told_s = time.monotonic()
    totals: dict[str, int] = {}
    violations: list[dict[str, Any]] = []
    done = steps = 0
    virtual_s = healing_s_max = 0.0
    for outcome in outcomes(seeds, jobs):
        done += 1
        steps += outcome.steps
        virtual_s += outcome.virtual_s
        healing_s_max = max(healing_s_max, outcome.healing_s)
        for what, number in outcome.statistics.items():
            totals[what] = totals.get(what, 0) + number
        if outcome.violation is not None:
            violations.append({"seed": outcome.seed, "violation": outcome.violation})
            if len(violations) <= _VIOLATIONS_SHOWN:
                say(describe(outcome))
        now_s = time.monotonic()
        if now_s - told_s > 10:
            told_s = now_s
            rate = done / (now_s - started_s)
            say(f"{done} of {len(seeds)} seeds, {rate:.1f}/s, {len(violations)} violations")
    wall_s = time.monotonic() - started_s
    faults = {
        what.removeprefix("fault: "): number
        for what, number in sorted(totals.items())
        if what.startswith("fault: ")
    }
    work = {
        what: number for what, number in sorted(totals.items()) if not what.startswith("fault: ")
    }
    return {
        "seeds": done,
        "first_seed": seeds.start,
        "steps": steps,
        "virtual_s": round(virtual_s, 1),
        "healing_s_max": round(healing_s_max, 2),
        "wall_s": round(wall_s, 1),
        "seeds_per_s": round(done / wall_s, 2) if wall_s else 0.0,
        "faults": faults,
        "work": work,
        "violations": violations,
    }


def run_mutations(
    seeds: range, jobs: int, seconds_max: float | None, say: Say
) -> list[dict[str, Any]]:
    """For each rule the first of the seeds that notices when it is missing, at most `seconds_max`
    for one rule. One row of the table each."""
    rows: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for number, mutation in enumerate(MUTATIONS):
            started_s = time.monotonic()
            found: tuple[int, str] | None = None
            tried = 0
            while found is None and tried < len(seeds):
                if seconds_max is not None and time.monotonic() - started_s > seconds_max:
                    break
                wave = seeds[tried : tried + jobs * _SEEDS_AT_A_TIME]
                notices = pool.starmap(_notice, [(number, seed) for seed in wave], chunksize=1)
                noticed = [(seed, text) for seed, text in zip(wave, notices, strict=True) if text]
                found = noticed[0] if noticed else None
                tried += len(wave)
            seed, violation = found or (None, "")
            rows.append(
                {
                    "rule": mutation.rule,
                    "without it": mutation.story,
                    "noticed at seed": seed,
                    "seeds tried": tried if seed is None else seed - seeds.start + 1,
                    "violation": violation[:100],
                    "unneeded": mutation.unneeded,
                }
            )
            noticed_at = f"NOT noticed in {tried} seeds" if seed is None else f"seed {seed}"
            say(f"{mutation.rule}: {noticed_at} ({time.monotonic() - started_s:.0f} s)")
    return rows


def _notice(number: int, seed: int) -> str | None:
    """In a process of the pool: what a seed says without one rule."""
    return notice(MUTATIONS[number], seed)


def describe(outcome: Outcome) -> str:
    """What a failing seed showed, and how to see it again."""
    return "\n".join(
        [
            f"seed {outcome.seed}: {outcome.violation}",
            *(f"    {line}" for line in outcome.trace[-80:]),
            f"repeat it: exchange simulate --seed {outcome.seed} --seeds 1",
        ]
    )
