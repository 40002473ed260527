"""python -m bench.peers: our cluster, codec and book beside others', as a table of ratios."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bench.peers.books import make_operations, measure_books
from bench.peers.codecs import measure_codecs
from bench.peers.etcd_peer import Etcd
from bench.peers.nats_peer import Nats
from bench.peers.ours import Ours
from bench.peers.pysyncobj_peer import Pysyncobj
from bench.peers.replicator import Load, NotInstalled, Replicator, measure
from exchange.bench.figures import host_facts

REPLICATORS: Final[dict[str, Callable[[], Replicator]]] = {
    "this exchange": Ours,
    "pysyncobj": Pysyncobj,
    "etcd": Etcd,
    "NATS JetStream": Nats,
}


async def measure_replicators(load: Load) -> list[dict[str, Any]]:
    """One after the other, each with three nodes on this machine; what is not installed is named
    with "not_measured"."""
    figures = []
    for name, make in REPLICATORS.items():
        say(f"{name}: three nodes, {load.in_flight} commands in flight, {load.seconds:g} s")
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            try:
                figures.append(await measure(make(), Path(folder), load))
            except NotInstalled as missing:
                figures.append({"name": name, "not_measured": str(missing)})
    return figures


def with_ratios(figures: list[dict[str, Any]], key: str, *, less_is_better: bool) -> None:
    """Add `ratio` of `key` to each peer: above 1 where ours is better. The first is ours."""
    for peer in figures[1:]:
        if key in peer and peer[key] and figures[0][key]:
            ratio = figures[0][key] / peer[key]
            peer[f"{key} ratio"] = round(1 / ratio if less_is_better else ratio, 2)


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def _table(title: str, columns: list[str], figures: list[dict[str, Any]]) -> str:
    rows = [[title, *columns]]
    for item in figures:
        name = f"{item['name']} {item.get('version', '')}".strip()
        if "not_measured" in item:
            rows.append([name, f"not measured: {item['not_measured']}"])
        else:
            rows.append([name, *(str(item.get(column, "")) for column in columns)])
    widths = [
        max(len(row[place]) for row in rows if len(row) == len(rows[0]))
        for place in range(len(rows[0]))
    ]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


@click.command()
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=5.0, show_default=True)
@click.option("--clients", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--window", type=click.IntRange(1, 1_000), default=64, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def main(seconds: float, clients: int, window: int, as_json: bool) -> None:
    """Replicated commands per second, FIX codecs and order books, ours and others'.

    Each replicator has CLIENTS times WINDOW commands of 48 bytes in flight.
    """
    load = Load(seconds, clients * window)
    replicated = asyncio.run(measure_replicators(load))
    say("FIX codecs")
    codecs = measure_codecs()
    say("order books")
    books = measure_books(make_operations())
    with_ratios(replicated, "commands_per_s", less_is_better=False)
    with_ratios(codecs, "decode_us", less_is_better=True)
    with_ratios(codecs, "encode_us", less_is_better=True)
    with_ratios(books, "messages_per_s", less_is_better=False)
    facts = {
        "seconds": seconds,
        "in_flight": load.in_flight,
        "replicated": replicated,
        "codecs": codecs,
        "books": books,
        "host": host_facts(),
    }
    if as_json:
        print(json.dumps(facts))
        return
    for item in replicated:
        for key in ("one_in_flight_us", "answer_us"):
            if key in item:
                item[f"{key} p50"] = item[key]["p50"]
    columns = ["commands_per_s", "one_in_flight_us p50", "answer_us p50"]
    columns += ["nodes_cpu_us_per_command", "commands_per_s ratio", "durability"]
    print(_table("replicated", columns, replicated), end="\n\n")
    print(
        _table("FIX", ["decode_us", "decode_us ratio", "encode_us", "encode_us ratio"], codecs),
        end="\n\n",
    )
    print(_table("books", ["messages_per_s", "messages_per_s ratio", "problem"], books))


if __name__ == "__main__":
    main()
