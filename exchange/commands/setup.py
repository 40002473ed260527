"""init, check-config."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from cluster.tls import TlsError
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
from exchange.settings import certificate_names, tls_problem, tls_settings


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
    @click.option(
        "--tls",
        is_flag=True,
        help="Also make DIR/tls: a development authority, a certificate for each process.",
    )
    @json_option
    def init(folder: Path, base_port: int, tls: bool, as_json: bool) -> None:
        """Write exchange.toml, commented, and a data folder to DIR."""
        path = write_exchange_folder(folder, base_port, tls=tls)
        if as_json:
            print_json({"config": str(path), "base_port": base_port, "tls": tls})
            return
        click.echo(f"wrote {path}; start it with: {program()} up --dir {shlex.quote(str(folder))}")
        if tls:
            click.echo(
                f"{folder / 'tls'} holds a DEVELOPMENT authority: whoever reads its ca.key can be "
                "any node. README.txt in it says what an exchange in earnest does instead."
            )

    @verb(cli, "check-config", "exchange check-config --config my-exchange/exchange.toml")
    @click.option(
        "--process",
        "processes",
        multiple=True,
        metavar="NAME",
        help="With [tls]: check the certificates of these only, such as node-1, gateway-fix, "
        "marketdata, operator.  [default: all]",
    )
    @config_option
    @json_option
    def check_config(config: Config, processes: tuple[str, ...], as_json: bool) -> None:
        """Check a configuration and print what results from it.

        With [tls] each certificate must be there, fit its key and the authority, be valid today.

        Ports are shifted, defaults filled in, the data folder is absolute.
        Exit 2 when something is wrong: the message names the key, the value and an example.
        """
        rows = [*config_rows(config), *_certificate_rows(config, processes)]
        if as_json:
            print_json(dict(rows))
        else:
            title = str(config.source or f"no ./{FILE_NAME}: built-in defaults")
            print_table(title, ["key", "value"], [[key, json.dumps(value)] for key, value in rows])


def _certificate_rows(config: Config, processes: tuple[str, ...]) -> list[list[Any]]:
    """(name, last day) of the certificate of each process. Raises ConfigError."""
    names = certificate_names(config)
    unknown = sorted(set(processes) - set(names))
    if unknown:
        raise click.UsageError(f"--process {unknown[0]}: the processes are {', '.join(names)}")
    rows: list[list[Any]] = []
    for process in processes or names:
        settings = tls_settings(config, process)
        if settings is not None:
            from exchange.certificates import check

            try:
                found = check(settings, names[process])
            except TlsError as error:
                raise tls_problem(error) from error
            rows.append([f"{found.path.name} is valid until", f"{found.not_after:%Y-%m-%d}"])
    return rows
