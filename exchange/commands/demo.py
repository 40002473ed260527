"""demo: a new exchange, its leader killed, everything reconciled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from exchange.commands.options import (
    EXIT_OK,
    EXIT_PROBLEM,
    ExitWith,
    json_option,
    print_json,
    say,
    verb,
)


def register(cli: click.Group) -> None:
    """Add the verb of this file."""

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
        """Trade on a new exchange, kill its leader, reconcile.

        It listens on free ports, in a folder of its own, and takes about 15 s.
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
