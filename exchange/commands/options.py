"""Options and output that the verbs share, and the exit codes that they promise."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich import box
from rich.console import Console
from rich.table import Table

from exchange.config import FILE_NAME, Config, load

EXIT_OK = 0
EXIT_PROBLEM = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NO_QUORUM = 4
EXIT_BUG = 70

Function = TypeVar("Function", bound=Callable[..., Any])


class ExitWith(Exception):
    """End with this exit code after this sentence on stderr."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def verb(group: click.Group, name: str, example: str) -> Callable[[Function], click.Command]:
    """Make a verb of `group` out of a function; `example` ends its --help."""

    def decorate(function: Function) -> click.Command:
        command: click.Command = group.command(name, epilog=f"Example: {example}")(function)
        return command

    return decorate


def config_option(function: Function) -> Function:
    """--config FILE, given to the function as `config: Config`."""

    @click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=None,
        help="Configuration file.  [default: ./exchange.toml, else built-in defaults]",
    )
    @functools.wraps(function)
    def with_config(*args: Any, config_path: Path | None, **kwargs: Any) -> Any:
        return function(*args, config=load(config_path), **kwargs)

    return with_config  # type: ignore[return-value]


def json_option(function: Function) -> Function:
    """--json, given to the function as `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")(function)


def supervised_option(function: Function) -> Function:
    """--supervised PID: what `exchange up` tells its children."""
    return click.option("--supervised", type=int, default=None, hidden=True)(function)


def print_json(facts: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(facts, default=str))


def say(sentence: str) -> None:
    """Progress goes to stderr; stdout is for the result."""
    print(sentence, file=sys.stderr, flush=True)


def program() -> str:
    """How this command was called, for a sentence that ends in a command to be copied."""
    called = sys.argv[0]
    if Path(called).name != "exchange" or shutil.which("exchange") == called:
        return "exchange"
    return shlex.quote(called)


def config_words(config: Config) -> str:
    """` --config FILE` for a command to be copied; empty when it would find the same by itself."""
    if config.source is None or config.source == Path(FILE_NAME).resolve():
        return ""
    path = config.source
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f" --config {shlex.quote(str(path))}"


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A table on stdout. Long cells go on in the next line; nothing is cut off."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    click.echo(title)
    Console(highlight=False).print(table)


def config_rows(config: Config) -> list[list[Any]]:
    """(dotted key, value as in TOML) of a resolved configuration."""
    rows: list[list[Any]] = []

    def walk(prefix: str, section: Any) -> None:
        for item in dataclasses.fields(section):
            value = getattr(section, item.name)
            name = f"{prefix}{item.name}"
            kind = item.metadata.get("kind")
            if kind is not None:
                rows.append([name, tomllib.loads(f"value = {kind.write(value)}")["value"]])
            elif dataclasses.is_dataclass(value):
                walk(f"{name}.", value)
            elif isinstance(value, tuple):
                for position, member in enumerate(value, 1):
                    walk(f"{name}[{position}].", member)

    walk("", config)
    return rows
