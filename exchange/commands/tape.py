"""tape: the feed, decoded, checked, or captured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import click

from exchange.commands.options import (
    EXIT_OK,
    EXIT_PROBLEM,
    ExitWith,
    config_option,
    json_option,
    print_table,
    verb,
)
from exchange.config import Config
from exchange.http_client import node_statuses
from exchange.settings import line_settings
from marketdata.findings import Finding
from marketdata.tape import CaptureWriter, Tape, format_line, live, read_capture
from marketdata.validator import StreamValidator

Show = Callable[[int, bytes], None]

PROGRESS_EVERY_S = 5.0


def register(cli: click.Group) -> None:
    """Add the verb of this file."""

    @verb(cli, "tape", "exchange tape --from-start --json")
    @click.argument(
        "source", metavar="[FILE]", required=False, type=click.Path(exists=True, path_type=Path)
    )
    @click.option("--from-start", is_flag=True, help="Begin with the first message of the day.")
    @click.option("--validate", is_flag=True, help="Print what is wrong with the stream instead.")
    @click.option(
        "--capture",
        metavar="NEW",
        type=click.Path(path_type=Path),
        help="Write the messages of the day to this new BinaryFILE instead.",
    )
    @click.option("--count", type=click.IntRange(1), help="End after so many messages.")
    @config_option
    @json_option
    def tape(
        config: Config,
        source: Path | None,
        from_start: bool,
        validate: bool,
        capture: Path | None,
        count: int | None,
        as_json: bool,
    ) -> int:
        """Print decoded ITCH messages, one per line.

        Live from both multicast lines, until Ctrl-C; or those of FILE, which is a BinaryFILE, a
        folder with *.messages files of a stopped exchange, or one such file.

        --validate rebuilds the books from the messages alone, from the first of the day, and prints
        each contradiction (sequence numbers, order references, shares, crossed books, priority,
        match numbers, time, states, ...) and counts at the end. Exit 1 when there are any.
        --capture writes all messages of the day, and may be combined with it.
        """
        from_start = from_start or validate or capture is not None
        validation = _Validation(as_json) if validate else None
        show = _printer(as_json)
        if validation is not None:
            show = validation.receive
        elif capture is not None:
            show = _nothing
        try:
            with _captured(capture, show) as shown:
                if source is not None:
                    for sequence, message in islice(read_capture(source), count):
                        shown(sequence, message)
                else:
                    with contextlib.suppress(KeyboardInterrupt):
                        asyncio.run(_show_live(config, from_start, count, shown))
        except BrokenPipeError:  # as in `exchange tape | head`
            raise
        except (OSError, ValueError) as error:  # ItchError, BinaryFileError, DayFileError
            if validation is not None:
                validation.end()
            raise ExitWith(EXIT_PROBLEM, f"tape: {error}") from error
        return EXIT_OK if validation is None else validation.end()


def _nothing(sequence: int, message: bytes) -> None:
    """What is captured need not be shown."""


@contextlib.contextmanager
def _captured(path: Path | None, show: Show) -> Iterator[Show]:
    """Show what comes, and write it to a file that does not exist yet, if there is to be one."""
    if path is None:
        yield show
        return
    if path.exists():
        raise click.UsageError(f"{path} is there already; a capture begins a new file")
    written = 0
    said_s = time.monotonic()
    with CaptureWriter(path) as writer:

        def write(sequence: int, message: bytes) -> None:
            nonlocal written, said_s
            writer.write((message,))
            written += 1
            show(sequence, message)
            now_s = time.monotonic()
            if now_s - said_s >= PROGRESS_EVERY_S:
                said_s = now_s
                writer.flush()
                click.echo(f"{written} messages in {path}", err=True)

        yield write
    click.echo(f"{written} messages in {path}", err=True)


class _Validation:
    """Prints findings as they come, and counts at the end."""

    def __init__(self, as_json: bool) -> None:
        self._validator = StreamValidator()
        self._as_json = as_json

    def receive(self, sequence: int, message: bytes) -> None:
        """Check the next message."""
        self._print(self._validator.receive(sequence, message))

    def end(self) -> int:
        """Check what the end decides, print the counts, return the exit code."""
        self._print(self._validator.finish())
        summary = self._validator.summary()
        if self._as_json:
            click.echo(json.dumps({"summary": summary}))
        else:
            rows = [[name.replace("_", " "), count] for name, count in summary.items()]
            print_table("valid" if not summary["findings"] else "NOT VALID", ["what", "n"], rows)
        return EXIT_PROBLEM if summary["findings"] else EXIT_OK

    def _print(self, findings: list[Finding]) -> None:
        for sequence, check, text in findings:
            if self._as_json:
                found = {"sequence": sequence, "check": check.value, "text": text}
                click.echo(json.dumps(found))
            else:
                click.echo(f"{sequence} {check.value}: {text}")


def _printer(as_json: bool) -> Show:
    tape = Tape()

    def show(sequence: int, message: bytes) -> None:
        described = tape.describe(sequence, message)
        click.echo(json.dumps(described) if as_json else format_line(described))

    return show


async def _show_live(config: Config, from_start: bool, count: int | None, show: Show) -> None:
    messages = live(
        line_settings(config),
        rerequest=config.addresses.rerequest,
        start_at=1 if from_start else None,
    )
    if not await node_statuses(dict(enumerate(config.addresses.node_http, 1))):
        where = f"{config.addresses.line_a} and {config.addresses.line_b}"
        click.echo(f"no node answers; waiting for messages on {where}", err=True)
    shown = 0
    async with contextlib.aclosing(messages):  # type: ignore[type-var]
        async for sequence, message in messages:
            show(sequence, message)
            shown += 1
            if shown == count:
                return
