"""up, node, gateway fix, gateway ouch, marketdata, healthcheck: the processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from exchange.commands.options import (
    EXIT_PROBLEM,
    EXIT_USAGE,
    ExitWith,
    config_option,
    supervised_option,
    verb,
)
from exchange.config import FILE_NAME, Config, load
from exchange.healthcheck import check
from exchange.processes import all_processes, end_with_parent, running_pid


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""
    _register_up(cli)
    _register_processes(cli)


def _register_up(cli: click.Group) -> None:
    @verb(cli, "up", "exchange up --dir my-exchange")
    @click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        help="Configuration file.  [default: ./exchange.toml, else built-in defaults]",
    )
    @click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder that `exchange init` made; the same as --config DIR/exchange.toml.",
    )
    @supervised_option
    def up(config_path: Path | None, folder: Path | None, supervised: int | None) -> int:
        """Run a whole exchange on this machine, in the foreground.

        Prints {"event":"ready",...} when orders are being accepted and {"event":"exited",...}
        when a process ends; none is restarted. SIGTERM or Ctrl-C stops all and waits.
        """
        from exchange.supervisor import Supervisor

        if supervised is not None:
            end_with_parent(supervised)
        if config_path is not None and folder is not None:
            raise click.UsageError("--config and --dir exclude each other")
        config = load(config_path if folder is None else folder / FILE_NAME)
        running = [
            f"{process.name} (pid {pid})"
            for process in all_processes(config)
            if (pid := running_pid(config, process.name)) is not None
        ]
        if running:
            problem = f"on {config.data_dir} there run already: {', '.join(running)}"
            remedy = "stop them, or: exchange init other-folder --base-port 10000"
            raise ExitWith(EXIT_USAGE, f"{problem}; {remedy}")
        return asyncio.run(Supervisor(config).run())


def _register_processes(cli: click.Group) -> None:
    """One process each: what compose runs."""

    @verb(cli, "node", "exchange node --id 1")
    @click.option("--id", "node_id", type=int, required=True, help="Number of the node, from 1.")
    @config_option
    @supervised_option
    def node(config: Config, node_id: int, supervised: int | None) -> int:
        """Run one node: log, matching engine, multicast line."""
        from exchange.wiring import run_node

        return run_node(config, node_id, supervised)

    @cli.group(epilog="Example: exchange gateway fix")
    def gateway() -> None:
        """Run a gateway."""

    @verb(gateway, "fix", "exchange gateway fix")
    @click.option(
        "--id", "number", type=int, default=1, show_default=True, help="Which of addresses.fix."
    )
    @config_option
    @supervised_option
    def gateway_fix(config: Config, number: int, supervised: int | None) -> int:
        """Run a FIX gateway: order entry over FIX 4.2, 4.4 and 5.0 SP2."""
        from exchange.wiring import run_fix_gateway

        return run_fix_gateway(config, number, supervised)

    @verb(gateway, "drop-copy", "exchange gateway drop-copy")
    @config_option
    @supervised_option
    def gateway_drop_copy(config: Config, supervised: int | None) -> int:
        """Run the drop copy gateway: FIX sessions that read the reports of others."""
        from exchange.wiring import run_drop_copy

        return run_drop_copy(config, supervised)

    @verb(gateway, "ouch", "exchange gateway ouch")
    @click.option(
        "--id", "number", type=int, default=1, show_default=True, help="Which of addresses.ouch."
    )
    @config_option
    @supervised_option
    def gateway_ouch(config: Config, number: int, supervised: int | None) -> int:
        """Run an OUCH gateway: order entry over OUCH 5.0 and SoupBinTCP."""
        from exchange.wiring import run_ouch_gateway

        return run_ouch_gateway(config, number, supervised)

    @verb(cli, "marketdata", "exchange marketdata")
    @config_option
    @supervised_option
    def marketdata(config: Config, supervised: int | None) -> int:
        """Run the market-data process: ITCH in, books over HTTP out."""
        from exchange.wiring import run_marketdata

        return run_marketdata(config, supervised)

    @verb(cli, "healthcheck", "exchange healthcheck http://127.0.0.1:7201/healthz")
    @click.argument("url")
    @click.option("--timeout", "timeout_s", type=float, default=2.0, show_default=True)
    def healthcheck(url: str, timeout_s: float) -> None:
        """Exit 0 when URL answers with status 200, else 1."""
        try:
            click.echo(check(url, timeout_s))
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        except OSError as error:
            raise ExitWith(EXIT_PROBLEM, f"{url}: {getattr(error, 'reason', error)}") from error
