"""The command `exchange`: its verbs live in exchange/commands, its exit codes here."""

from __future__ import annotations

import asyncio
import sys
import traceback

import click

from cluster.admin import NoQuorum, Unreachable
from cluster.build import is_compiled
from exchange.commands import (
    bench,
    demo,
    market,
    observe,
    operate,
    protect,
    run,
    sessions,
    setup,
    simulate,
    tape,
)
from exchange.commands.options import (
    EXIT_BUG,
    EXIT_NO_QUORUM,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    ExitWith,
)
from exchange.config_keys import ConfigError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: exchange init here && exchange up --dir here",
)
@click.version_option(
    package_name="replicated-exchange",
    message=f"%(prog)s, version %(version)s{', compiled' if is_compiled() else ''}",
)
def cli() -> None:
    """A stock exchange as a cluster: FIX and OUCH in, a Raft-replicated matching engine, ITCH out.

    Exit codes: 0 ok; 1 a check found a problem; 2 wrong usage or configuration; 3 cannot reach
    the cluster; 4 no quorum; 70 a bug.
    """


for part in (setup, run, observe, sessions, tape, market, protect, operate, demo, bench, simulate):
    part.register(cli)


def main() -> None:
    """Run the command line and exit with the code that the verb means."""
    try:
        code = cli.main(prog_name="exchange", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except ConfigError as error:
        code = _say(f"configuration: {error}", EXIT_USAGE)
    except Unreachable as error:
        code = _say(str(error), EXIT_UNREACHABLE)
    except NoQuorum as error:
        code = _say(str(error), EXIT_NO_QUORUM)
    except ExitWith as error:
        code = _say(str(error), error.code)
    except (click.Abort, KeyboardInterrupt, asyncio.CancelledError):
        code = _say("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except Exception as error:  # the other place that stops a process (see wiring.py)
        traceback.print_exc()
        code = _say(f"this is a bug in `exchange`: {error!r}", EXIT_BUG)
    sys.exit(code if isinstance(code, int) else 0)


def _say(sentence: str, code: int) -> int:
    print(f"exchange: {sentence}", file=sys.stderr)
    return code
