"""init, check-config, hash-password."""

from __future__ import annotations

import json
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from exchange.certificate_checks import certificates_of
from exchange.commands.options import (
    config_option,
    config_rows,
    json_option,
    print_json,
    print_table,
    program,
    say,
    verb,
)
from exchange.config import FILE_NAME, Config
from exchange.config_text import write_exchange_folder
from exchange.config_warnings import warnings
from exchange.settings import certificate_names, trading_days
from gateway.fix.passwords import hash_password
from oms.events import TradingState
from protocols.fix import NS_PER_SECOND


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""
    _register_init(cli)
    _register_check_config(cli)
    _register_hash_password(cli)


def _register_init(cli: click.Group) -> None:
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


def _register_check_config(cli: click.Group) -> None:
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
        What is allowed but unwise is said on stderr.
        """
        rows = [
            *config_rows(config),
            *_certificate_rows(config, processes),
            *_trading_day_rows(config),
        ]
        if as_json:
            print_json(dict(rows))
        else:
            title = str(config.source or f"no ./{FILE_NAME}: built-in defaults")
            print_table(title, ["key", "value"], [[key, json.dumps(value)] for key, value in rows])
        for sentence in warnings(config):
            say(f"warning: {sentence}")


def _register_hash_password(cli: click.Group) -> None:
    @verb(cli, "hash-password", "exchange hash-password")
    def hash_password_command() -> None:
        """Hash the password of a FIX client.

        What is printed is password_hash of [[fix_sessions]]. Asks for the password, twice and
        unseen; where stdin is no terminal, its first line is the password. The same password gives
        another hash each time: each has a salt of its own.
        """
        if sys.stdin.isatty():
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            password = sys.stdin.readline().rstrip("\r\n")
        try:
            click.echo(hash_password(password))
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def _trading_day_rows(config: Config) -> list[list[Any]]:
    """The day that is now or comes next, as the log would have it; none without a schedule."""
    days = trading_days(config)
    schedule = None if days is None else days.schedule_at(time.time_ns())
    if schedule is None:
        return []
    phases = {}
    for time_ns, trading_state in schedule.phases:
        begins = datetime.fromtimestamp(time_ns // NS_PER_SECOND, UTC)
        phases[f"{begins:%Y-%m-%d %H:%M:%S}"] = TradingState(trading_state).name.lower()
    return [[f"trading day {schedule.date} in UTC", phases]]


def _certificate_rows(config: Config, processes: tuple[str, ...]) -> list[list[Any]]:
    """(name, last day) of the certificates of each process. Raises ConfigError."""
    names = certificate_names(config)
    unknown = sorted(set(processes) - set(names))
    if unknown:
        raise click.UsageError(f"--process {unknown[0]}: the processes are {', '.join(names)}")
    rows: list[list[Any]] = []
    for process in processes or names:
        for found in certificates_of(config, process):
            row = [f"{found.path.name} is valid until", f"{found.not_after:%Y-%m-%d}"]
            if row not in rows:  # all FIX gateways show the same to their clients
                rows.append(row)
    return rows
