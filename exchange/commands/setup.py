"""init, check-config."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from exchange.commands.options import (
    config_option,
    config_rows,
    json_option,
    print_json,
    print_table,
    program,
    verb,
)
from exchange.config import FILE_NAME, Config
from exchange.config_text import write_exchange_folder


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""

    @verb(cli, "init", "exchange init my-exchange --base-port 10000")
    @click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
    @click.option(
        "--base-port",
        type=int,
        default=0,
        show_default=True,
        help="Added to every TCP and UDP port: with 10000, FIX is at 19001.",
    )
    @json_option
    def init(folder: Path, base_port: int, as_json: bool) -> None:
        """Write exchange.toml, commented, and a data folder to DIR."""
        path = write_exchange_folder(folder, base_port)
        if as_json:
            print_json({"config": str(path), "base_port": base_port})
        else:
            click.echo(
                f"wrote {path}; start it with: {program()} up --dir {shlex.quote(str(folder))}"
            )

    @verb(cli, "check-config", "exchange check-config --config my-exchange/exchange.toml")
    @config_option
    @json_option
    def check_config(config: Config, as_json: bool) -> None:
        """Check a configuration and print what results from it.

        Ports are shifted, defaults filled in, the data folder is absolute.
        Exit 2 when something is wrong: the message names the key, the value and an example.
        """
        rows = config_rows(config)
        if as_json:
            print_json(dict(rows))
        else:
            title = str(config.source or f"no ./{FILE_NAME}: built-in defaults")
            print_table(title, ["key", "value"], [[key, json.dumps(value)] for key, value in rows])
