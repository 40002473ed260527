"""kill leader, market open|halt|resume|close: what operators do to a running exchange."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from typing import Any

import click

from cluster.admin import submit_operator_command, take_snapshot, transfer
from exchange.commands.options import (
    EXIT_NO_QUORUM,
    EXIT_PROBLEM,
    EXIT_UNREACHABLE,
    ExitWith,
    config_option,
    config_words,
    json_option,
    print_json,
    program,
    verb,
)
from exchange.config import Config
from exchange.http_client import leader_of, node_statuses
from exchange.processes import running_pid
from exchange.settings import client_tls, node_addresses
from oms.commands import CommandKind, SetTradingState
from oms.events import EventKind, TradingState

HALT_REASON = "T1"  # ITCH: halted, news pending
KILL_TIMEOUT_S = 2.0


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""

    @cli.group(epilog="Example: exchange kill leader")
    def kill() -> None:
        """Break something on purpose."""

    @verb(kill, "leader", "exchange kill leader --config my-exchange/exchange.toml")
    @config_option
    @json_option
    def kill_leader(config: Config, as_json: bool) -> None:
        """Send SIGKILL to the leader of a local `exchange up`."""
        leader = asyncio.run(_find_leader(config))
        name = f"node-{leader}"
        pid = running_pid(config, name)
        if pid is None:
            where = config.data_dir / "run"
            raise ExitWith(EXIT_UNREACHABLE, f"{name} leads, but no pid file of it is in {where}")
        os.kill(pid, signal.SIGKILL)
        if not _has_ended(config, name):
            hint = "; from inside a container its process cannot be killed" if pid == 1 else ""
            sentence = f"{name} (pid {pid}) is still there after SIGKILL{hint}"
            raise ExitWith(EXIT_PROBLEM, sentence)
        if as_json:
            print_json({"killed": name, "pid": pid})
        else:
            click.echo(f"killed {name} (pid {pid}); start it again with:")
            click.echo(f"{program()} node --id {leader}{config_words(config)}")

    @verb(cli, "transfer", "exchange transfer --to 2")
    @config_option
    @json_option
    @click.option("--to", type=int, help="Node that is to lead; default: the most caught-up one.")
    def transfer_leadership(config: Config, as_json: bool, to: int | None) -> None:
        """Hand leadership over without an outage.

        For maintenance of the leader: nothing is lost or refused.
        """
        addresses = node_addresses(config)
        if to is not None and to not in addresses:
            raise click.UsageError(f"--to {to}: the nodes are {_listed(addresses)}")
        try:
            old, new, seconds = asyncio.run(transfer(addresses, to, tls=client_tls(config)))
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if as_json:
            print_json({"from": old, "to": new, "ms": round(1000 * seconds, 1)})
        else:
            click.echo(f"node {new} leads, node {old} has handed over ({1000 * seconds:.0f} ms)")

    @verb(cli, "snapshot", "exchange snapshot --node 2")
    @config_option
    @json_option
    @click.option("--node", "node_id", type=int, help="Only this node; default: all, in turn.")
    def snapshot(config: Config, as_json: bool, node_id: int | None) -> None:
        """Take a snapshot now.

        Nodes take them by themselves as the journal grows (cluster.snapshot_after_bytes); one taken
        before a planned restart makes the restart quick. Trading goes on meanwhile.
        """
        addresses = node_addresses(config)
        if node_id is not None and node_id not in addresses:
            raise click.UsageError(f"--node {node_id}: the nodes are {_listed(addresses)}")
        nodes = list(addresses) if node_id is None else [node_id]
        found = asyncio.run(_take_snapshots(config, nodes))
        if as_json:
            print_json(found)
            return
        for facts in found:
            size, seconds = facts["snapshot_bytes"], facts["snapshot_seconds"]
            click.echo(
                f"node {facts['node']}: snapshot after log entry {facts['snapshot_index']}, "
                f"{size:,} bytes, {seconds:.1f} s"
            )

    @cli.group(epilog="Example: exchange market halt AAPL")
    def market() -> None:
        """Open, halt, resume or close trading.

        The command goes through the log like an order: every node does it at the same place.
        """

    for name, state, reason, help_text in (
        ("open", TradingState.TRADING, "", "Open trading."),
        ("halt", TradingState.HALTED, HALT_REASON, "Halt trading: orders stay, none is accepted."),
        ("resume", TradingState.TRADING, "", "Resume trading after a halt."),
        ("close", TradingState.CLOSED, "", "Close trading."),
    ):
        _add_market_verb(market, name, state, reason, help_text)


def _add_market_verb(
    market: click.Group, name: str, state: TradingState, reason: str, help_text: str
) -> None:
    def change(config: Config, symbol: str, as_json: bool) -> None:
        known = [instrument.symbol for instrument in config.instruments]
        if symbol and symbol not in known:
            raise click.UsageError(f"{symbol!r} is not one of {', '.join(known)}")
        changes = asyncio.run(_set_trading_state(config, symbol, state, reason))
        if as_json:
            print_json({"trading_state": state.name.lower(), "changed": changes})
        else:
            what = ", ".join(changes) if changes else "nothing changed"
            click.echo(f"{state.name.lower()}: {what}")

    change.__doc__ = f"{help_text} All instruments, or SYMBOL alone."
    decorated = config_option(json_option(change))
    decorated = click.argument("symbol", default="", metavar="[SYMBOL]")(decorated)
    verb(market, name, f"exchange market {name} AAPL")(decorated)


def _listed(nodes: Iterable[int]) -> str:
    return ", ".join(str(node) for node in sorted(nodes))


def _has_ended(config: Config, name: str) -> bool:
    deadline_s = time.monotonic() + KILL_TIMEOUT_S
    while running_pid(config, name) is not None:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True


async def _take_snapshots(config: Config, nodes: list[int]) -> list[dict[str, Any]]:
    """One node after the other, so that no two are busy with it at the same time."""
    found = []
    for node in nodes:
        address, tls = node_addresses(config)[node], client_tls(config)
        try:
            facts = await take_snapshot(address, node, tls=tls)
        except ValueError as error:
            raise ExitWith(EXIT_PROBLEM, f"node {node}: {error}") from error
        found.append({"node": node, **facts})
    return found


async def _find_leader(config: Config) -> int:
    addresses = dict(enumerate(config.addresses.node_http, 1))
    statuses = await node_statuses(addresses)
    if not statuses:
        raise ExitWith(EXIT_UNREACHABLE, "no node answers: is `exchange up` running?")
    leader = leader_of(statuses)
    if leader is None:
        raise ExitWith(EXIT_NO_QUORUM, f"no node leads; nodes that answer: {_listed(statuses)}")
    return leader


async def _set_trading_state(
    config: Config, symbol: str, state: TradingState, reason: str
) -> list[str]:
    """Returns the symbols that changed."""
    command = SetTradingState(CommandKind.SET_TRADING_STATE, symbol, int(state), reason)
    events: list[Any] = await submit_operator_command(
        node_addresses(config), command, tls=client_tls(config)
    )
    return [event[2] for event in events if event[0] == EventKind.TRADING_ACTION]
