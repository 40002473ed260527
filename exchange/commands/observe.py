"""status, hash, verify, replay: looking at an exchange without touching it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import click

from cluster.admin import NoQuorum, state_hash
from exchange.commands.options import (
    EXIT_NO_QUORUM,
    EXIT_OK,
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
from exchange.http_client import leader_of, node_statuses
from exchange.settings import client_tls, node_addresses

SHORT_HASH = 16
STATUS_HASH = 10  # what fits into 80 columns


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""
    _register_live(cli)
    _register_files(cli)


def _register_live(cli: click.Group) -> None:
    """Verbs that ask running processes."""

    @verb(cli, "status", "exchange status --json")
    @config_option
    @json_option
    def status(config: Config, as_json: bool) -> int:
        """Show the leader, and the role, log and state of each node.

        The leader sends ITCH line A, the standby line B. commit, applied and lag count log
        entries, event_seq events. Exit 3 when no node answers, 4 when those that do are no quorum.
        """
        facts = asyncio.run(_status(config))
        if as_json:
            print_json(facts)
        else:
            _print_status(facts)
        if not any(node["reachable"] for node in facts["nodes"]):
            return EXIT_UNREACHABLE
        return EXIT_OK if facts["quorum"] else EXIT_NO_QUORUM

    @verb(cli, "hash", "exchange hash")
    @config_option
    @json_option
    def hash_command(config: Config, as_json: bool) -> int:
        """Compare the state of all nodes at one place of the log.

        The table has the first 16 digits of each hash, --json all 64. Exit 1 when a node differs
        or does not answer.
        """
        found = asyncio.run(state_hash(node_addresses(config), tls=client_tls(config)))
        silent = sorted(node for node, mark in found.items() if mark is None)
        differ = len({mark for mark in found.values() if mark is not None}) > 1
        equal = not silent and not differ
        nodes = [
            {"node": node, "event_seq": mark and mark[0], "state_hash": mark and mark[1]}
            for node, mark in sorted(found.items())
        ]
        if as_json:
            print_json({"equal": equal, "nodes": nodes, "no_answer": silent})
        else:
            verdict = "NOT EQUAL" if differ else "equal"
            if silent:
                verdict += f"; no answer from node {', '.join(map(str, silent))}"
            rows = [
                [node, *((mark[0], mark[1][:SHORT_HASH]) if mark else ("", ""))]
                for node, mark in sorted(found.items())
            ]
            print_table(verdict, ["node", "event_seq", "state hash"], rows)
        return EXIT_OK if equal else EXIT_PROBLEM


def _register_files(cli: click.Group) -> None:
    """Verbs that read what processes wrote, or what they send to everybody."""

    @verb(cli, "verify", "exchange verify data/node-1 data/node-2 data/node-3")
    @click.argument(
        "folders",
        nargs=-1,
        required=True,
        metavar="DIR...",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
    )
    @json_option
    def verify_command(folders: tuple[Path, ...], as_json: bool) -> int:
        """Check the journals and snapshots of nodes.

        Each must be sound, and all of them must agree: checksums, no entry missing, the same entry
        at the same index. DIR is the folder of a node, such as data/node-1. Exit 1 when something
        is wrong.
        """
        from cluster.verify import verify

        report = verify(list(folders))
        facts = report.as_dict()
        if as_json:
            print_json(facts)
        else:
            for line in report.lines():
                click.echo(line)
        return EXIT_OK if report.ok else EXIT_PROBLEM

    @verb(cli, "replay", "exchange replay data/node-1 --at 120000")
    @click.argument(
        "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
    )
    @click.option(
        "--at", "event_seq", type=click.IntRange(1), help="Up to this event; default: all."
    )
    @json_option
    def replay(folder: Path, event_seq: int | None, as_json: bool) -> int:
        """Rebuild a state from the folder of a node.

        From the newest snapshot that fits and the journal after it, as a restart would, up to the
        log entry that brings event EVENT_SEQ. Prints where that is, the state hash and the open
        orders. DIR is the folder of a node, such as data/node-1; nothing in it is changed.
        """
        return _replay(folder, event_seq, as_json)


def _replay(folder: Path, event_seq: int | None, as_json: bool) -> int:
    from cluster.disk import RealDisk
    from cluster.rebuild import describe, rebuild
    from cluster.segment import JournalError
    from cluster.snapshot import SnapshotStore

    disk = RealDisk()
    if not (folder / "wal").is_dir():
        raise click.UsageError(f"{folder}: no folder of a node: there is no wal/ in it")
    try:
        rebuilt = rebuild(
            disk,
            folder / "wal",
            SnapshotStore(disk, folder / "snapshots"),
            {},
            upto_event_seq=event_seq,
        )
    except JournalError as error:
        raise ExitWith(EXIT_PROBLEM, str(error)) from error
    facts = describe(rebuilt)
    if as_json:
        print_json(facts)
    else:
        books = facts.pop("books")
        print_table(str(folder), ["what", "value"], [list(item) for item in facts.items()])
        print_table("Books", ["symbol", "bids", "asks", "best bid", "best ask"], books)
    return EXIT_OK


async def _status(config: Config) -> dict[str, Any]:
    addresses = dict(enumerate(config.addresses.node_http, 1))
    statuses = await node_statuses(addresses)
    leader = leader_of(statuses)
    commit_index = max((int(s["commit_index"]) for s in statuses.values()), default=0)
    nodes: list[dict[str, Any]] = []
    for node_id, address in addresses.items():
        node = statuses.get(node_id)
        if node is None:
            nodes.append({"node_id": node_id, "reachable": False, "http": str(address)})
        else:
            lag = commit_index - int(node["applied_index"])
            nodes.append({"reachable": True, **node, "lag": lag, "http": str(address)})
    hashes: dict[int, tuple[int, str] | None] = {}
    if leader is not None:
        with contextlib.suppress(NoQuorum):
            hashes = await state_hash(node_addresses(config), timeout_s=2.0, tls=client_tls(config))
    for node_facts in nodes:
        mark = hashes.get(node_facts["node_id"])
        node_facts["event_seq_of_hash"], node_facts["state_hash"] = mark or (None, None)
    quorum = leader is not None and len(hashes) > 0
    return {"leader": leader, "quorum": quorum, "nodes": nodes}


def _print_status(facts: dict[str, Any]) -> None:
    rows = []
    for node in facts["nodes"]:
        if not node["reachable"]:
            rows.append([node["node_id"], "down", *[""] * 7])
            continue
        rows.append(
            [
                node["node_id"],
                node["role"],
                node["term"],
                node["commit_index"],
                node["applied_index"],
                node["event_seq"],
                (node["state_hash"] or "")[:STATUS_HASH],
                node["lag"],
                f"{node['uptime_s']:.0f} s",
            ]
        )
    durability = next((n["durability"] for n in facts["nodes"] if n["reachable"]), "unknown")
    leader = f"leader: node {facts['leader']}" if facts["quorum"] else "NO QUORUM"
    title = f"{leader}; durability: {durability}"
    if not any(node["reachable"] for node in facts["nodes"]):
        title = "no node answers: is the exchange up?"
    print_table(
        title,
        ["node", "role", "term", "commit", "applied", "event_seq", "state hash", "lag", "uptime"],
        rows,
    )
