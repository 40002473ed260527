"""kill leader, transfer, snapshot, rescue: what operators do to an exchange."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cluster.admin import take_snapshot, transfer
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
from exchange.settings import client_tls, fix_process_name, node_addresses

if TYPE_CHECKING:
    from cluster.rescue import Survivor

KILL_TIMEOUT_S = 2.0


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""
    _add_kill_verbs(cli)
    _add_transfer_verb(cli)
    _add_snapshot_verb(cli)
    _add_rescue_verb(cli)


def _add_kill_verbs(cli: click.Group) -> None:
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


def _add_transfer_verb(cli: click.Group) -> None:
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


def _add_snapshot_verb(cli: click.Group) -> None:
    @verb(cli, "snapshot", "exchange snapshot --node 2")
    @config_option
    @json_option
    @click.option("--node", "node_id", type=int, help="Only this node; default: all, in turn.")
    def snapshot(config: Config, as_json: bool, node_id: int | None) -> None:
        """Take a snapshot on all nodes or on one.

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


def _add_rescue_verb(cli: click.Group) -> None:
    @verb(cli, "rescue", "exchange rescue data/node-1 --as 2")
    @click.argument(
        "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
    )
    @click.option("--as", "node_id", type=int, required=True, help="Node that the copy is to be.")
    @click.option(
        "--to",
        "target",
        type=click.Path(path_type=Path),
        help="Folder to make.  [default: node-N in the data folder]",
    )
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @config_option
    @json_option
    def rescue(
        config: Config,
        as_json: bool,
        folder: Path,
        node_id: int,
        target: Path | None,
        yes: bool,
    ) -> None:
        """Make another node of a survivor's folder.

        For the day when a majority of the disks is destroyed. DIR is the folder of a surviving,
        stopped node. It is checked, and copied as the folder of another node; nothing in it is
        changed, and no folder is overwritten. What only destroyed disks had is lost. Read "Quorum
        lost for good" in cluster/RUNBOOKS.md first.
        """
        if node_id not in config.node_ids:
            raise click.UsageError(f"--as {node_id}: the nodes are {_listed(config.node_ids)}")
        _rescue(
            config, folder, node_id, target or config.data_dir / f"node-{node_id}", yes, as_json
        )


def _rescue(
    config: Config, folder: Path, node_id: int, target: Path, yes: bool, as_json: bool
) -> None:
    from cluster.rescue import RescueError, check_target, inspect, make_member, stopped

    try:
        with stopped(folder):
            check_target(target)
            survivor = inspect(folder)
            passed = _passed_by_gateways(config)
            facts = asdict(survivor) | {"gateway_event_seq": passed}
            for line in _what_may_be_lost(survivor, passed):
                click.echo(line, err=as_json)
            if not yes and not click.confirm(f"Make node {node_id} of it, in {target}?", err=True):
                raise ExitWith(EXIT_PROBLEM, "nothing was made")
            term = make_member(survivor, node_id, target)
    except RescueError as error:
        raise ExitWith(EXIT_PROBLEM, str(error)) from error
    if as_json:
        print_json(facts | {"made": str(target), "as": node_id, "made_term": term})
    else:
        click.echo(f"made {target}: node {node_id}, which begins in term {term}")


def _what_may_be_lost(survivor: Survivor, passed: int | None) -> list[str]:
    """Sentences for whoever has to decide. `passed` is the last event that the FIX gateway knows,
    None without one."""
    lines = [
        f"{survivor.folder} is sound: its log ends with entry {survivor.last_index} of term "
        f"{survivor.last_term}, event {survivor.event_seq}, state {survivor.state_hash}.",
        f"Known to be committed: up to entry {survivor.committed_index}, "
        f"event {survivor.committed_event_seq}.",
        "LOST, even if acknowledged: whatever is not in this folder.",
    ]
    if not survivor.may_vote:
        lines.append(
            "This node was still catching up: it lacks some of what it once had. Any other "
            "survivor is better. It has no vote, so a majority needs one copy more."
        )
    if passed is None:
        lines.append("There is no store of a FIX gateway here that would tell what clients know.")
    elif passed <= survivor.committed_event_seq:
        lines.append(
            f"The FIX gateway has passed event {passed}: all that it told its clients is in the "
            "log. Keep its folder."
        )
    elif passed <= survivor.event_seq:
        lines.append(
            f"The FIX gateway has passed event {passed}. The log has as many, but the last ones "
            "are not known to be the same: move the gateway's folder away."
        )
    else:
        lines.append(
            f"The FIX gateway has passed event {passed}: {passed - survivor.event_seq} events "
            "that clients may have been told are LOST. Move the gateway's folder away."
        )
    return lines


def _passed_by_gateways(config: Config) -> int | None:
    """The last event that any FIX gateway has put into its stores; None when none has a store."""
    folders = [config.data_dir / fix_process_name(number) for number in config.fix_gateway_ids]
    found = [passed for folder in folders if (passed := _passed_by_gateway(folder)) is not None]
    return max(found, default=None)


def _passed_by_gateway(folder: Path) -> int | None:
    """The last event that a FIX gateway has put into its stores; None when it has none. Looks at
    copies: opening a store cuts off what is torn."""
    from gateway.fix.store import ProgressFile, SessionStore

    if not (folder / "progress").exists():
        return None
    with tempfile.TemporaryDirectory() as scratch:
        try:
            progress = ProgressFile(Path(shutil.copy(folder / "progress", scratch)))
            progress.close()
            found = progress.event_seq
            for path in folder.glob("*.store"):
                store = SessionStore(Path(shutil.copy(path, scratch)))
                store.close()
                found = max(found, store.last_event_seq)
        except OSError as error:
            problem = f"{folder} cannot be read: {error}. Move it away and repeat"
            raise ExitWith(EXIT_PROBLEM, problem) from error
    return found


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
