"""demo and bench: verbs that start an exchange of their own. Their modules load when they run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from exchange.commands.options import (
    EXIT_OK,
    EXIT_PROBLEM,
    ExitWith,
    json_option,
    print_json,
    verb,
)


def say(sentence: str) -> None:
    """Progress goes to stderr; stdout is for the result."""
    print(sentence, file=sys.stderr, flush=True)


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""

    @verb(cli, "demo", "exchange demo --json")
    @click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder for configuration, data and logs.  [default: a temporary one]",
    )
    @click.option("--seed", type=int, default=None, help="Seed of the traders.")
    @click.option("--keep", is_flag=True, help="Leave the exchange running until Ctrl-C.")
    @json_option
    def demo(folder: Path | None, seed: int | None, keep: bool, as_json: bool) -> int:
        """Start an exchange, trade over FIX, SIGKILL the leader, reconcile everything.

        Exit 0 when no acknowledged order was lost or doubled and all nodes agree, else 1.
        """
        from exchange.demo import SEED, print_summary, run_demo
        from exchange.local import LocalExchangeError

        try:
            facts = asyncio.run(run_demo(folder, SEED if seed is None else seed, keep, say))
        except LocalExchangeError as error:
            raise ExitWith(EXIT_PROBLEM, f"demo: {error}") from error
        if as_json:
            print_json(facts)
        else:
            print_summary(facts)
        return EXIT_OK if facts["ok"] else EXIT_PROBLEM
