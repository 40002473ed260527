"""sessions: who is connected, and what an operator may do to a session."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from exchange.commands.options import (
    EXIT_PROBLEM,
    EXIT_UNREACHABLE,
    ExitWith,
    config_option,
    json_option,
    print_json,
    print_table,
    verb,
)
from exchange.config import Config
from exchange.http_client import CONNECT_ERRORS, get_json, tell_gateway
from exchange.settings import DROP_COPY, fix_process_name, ouch_process_name


def register(cli: click.Group) -> None:
    """Add the verb of this file."""

    @verb(cli, "sessions", "exchange sessions --disconnect CLIENT1")
    @click.option("--disconnect", metavar="NAME", help="End the connection of this session.")
    @click.option(
        "--reset",
        metavar="NAME",
        help="Let the numbers of this FIX session begin again at 1, in both directions.",
    )
    @config_option
    @json_option
    def sessions(config: Config, as_json: bool, disconnect: str | None, reset: str | None) -> None:
        """Show the FIX and OUCH sessions: state, next numbers.

        An OUCH session that several gateways serve is shown as the one has it where it is open.
        --disconnect and --reset must run on the machine of the gateway, as the user that it runs
        as. A client that is disconnected may come back at once. --reset disconnects, too, and
        forgets the messages that the client could ask for: agree on it with the client.
        """
        if disconnect is not None and reset is not None:
            raise click.UsageError("--disconnect and --reset exclude each other")
        if disconnect is not None:
            _tell(config, "disconnect", disconnect, "is disconnected", as_json)
        elif reset is not None:
            _tell(config, "reset", reset, "begins again at 1, in both directions", as_json)
        else:
            _show(config, as_json)


def _show(config: Config, as_json: bool) -> None:
    found = asyncio.run(_sessions(config))
    if as_json:
        print_json(found)
    else:
        columns = list(found[0]) if found else ["session"]
        print_table("sessions", columns, [list(item.values()) for item in found])


def _tell(config: Config, order: str, name: str, result: str, as_json: bool) -> None:
    """Have an order carried out by the gateway that has the session."""
    refusals = []
    code = EXIT_UNREACHABLE
    for gateway in _gateways_of(config, name):
        try:
            refusal = asyncio.run(tell_gateway(config.data_dir / gateway, order, name))
        except CONNECT_ERRORS as error:
            refusals.append(f"{gateway} does not answer on this machine ({error})")
            continue
        if refusal is None:
            if as_json:
                print_json({"session": name, "gateway": gateway, "done": order})
            else:
                click.echo(f"{name} {result} ({gateway})")
            return
        refusals.append(f"{gateway}: {refusal}")
        code = EXIT_PROBLEM
    raise ExitWith(code, "; ".join(refusals))


def _gateways_of(config: Config, name: str) -> list[str]:
    """The processes that may have a session: one for FIX, all for OUCH."""
    for session in config.fix_sessions:
        if session.comp_id == name:
            return [fix_process_name(session.gateway)]
    if any(reader.comp_id == name for reader in config.drop_copy_sessions):
        return [DROP_COPY]
    if any(user.username == name for user in config.ouch_users):
        return [ouch_process_name(number) for number in config.ouch_gateway_ids]
    raise click.UsageError(f"{name!r} is none of the sessions of this configuration")


async def _sessions(config: Config) -> list[dict[str, Any]]:
    """Rows of the same keys; what a protocol does not have is None."""
    fix_http, ouch_http = config.addresses.fix_http, config.addresses.ouch_http
    if config.drop_copy_sessions:
        fix_http = (*fix_http, config.addresses.drop_copy_http)
    asked = await asyncio.gather(
        *(get_json(address, "/sessions") for address in (*fix_http, *ouch_http)),
        return_exceptions=True,
    )
    found: dict[str, dict[str, Any]] = {}
    silent = []
    for address, answer in zip((*fix_http, *ouch_http), asked, strict=True):
        if isinstance(answer, CONNECT_ERRORS):
            silent.append(str(address))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            for row in map(_fix_row if address in fix_http else _ouch_row, answer):
                known = found.get(row["comp_id"])
                if known is None or known["peer"] is None:
                    found[row["comp_id"]] = row
    if len(silent) == len(asked):
        sentence = f"no gateway answers at {', '.join(silent)}: is the exchange up?"
        raise ExitWith(EXIT_UNREACHABLE, sentence)
    for where in silent:
        click.echo(f"no gateway answers at {where}", err=True)
    return list(found.values())


def _fix_row(session: dict[str, Any]) -> dict[str, Any]:
    return {"comp_id": session["comp_id"], "protocol": "fix", **session}


def _ouch_row(session: dict[str, Any]) -> dict[str, Any]:
    """A user name stands where FIX has a CompID; UserRefNums are for the client to count."""
    return {
        "comp_id": session["username"],
        "protocol": "ouch",
        "account": session["account"],
        "state": session["state"],
        "next_in": None,
        "next_out": session["next_out"],
        "unanswered": None,
        "peer": session["peer"],
    }
