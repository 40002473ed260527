"""bench: measurements of an exchange that is started for them. Their modules load when they run."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import uvloop

from cluster.settings import Durability
from exchange.commands.options import (
    EXIT_OK,
    EXIT_PROBLEM,
    EXIT_USAGE,
    ExitWith,
    json_option,
    print_json,
    print_table,
    say,
    verb,
)

durability_option = click.option(
    "--durability",
    type=click.Choice([str(member) for member in Durability]),
    default=str(Durability.MAJORITY_DISK),
    show_default=True,
)
tls_option = click.option("--tls", is_flag=True, help="Nodes and gateway speak mutual TLS.")
entry_option = click.option(
    "--entry", type=click.Choice(["fix", "ouch"]), default="fix", show_default=True
)
window_option = click.option(
    "--window",
    type=click.IntRange(1, 5_000),
    default=100,
    show_default=True,
    help="Requests that each client has unanswered.",
)


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""

    @cli.group(epilog="Example: exchange bench throughput --json")
    def bench() -> None:
        """Measure an exchange that is started for it."""

    _register_engine(bench)
    _register_throughput(bench)
    _register_latency(bench)
    _register_fanout(bench)
    _register_faults(bench)
    _register_soak(bench)
    _register_suite(bench)


def _register_engine(bench: click.Group) -> None:
    @verb(bench, "engine", "exchange bench engine --spread --json")
    @click.option(
        "--messages", type=click.IntRange(1_000, 10_000_000), default=200_000, show_default=True
    )
    @click.option(
        "--orders",
        type=click.IntRange(1_000, 5_000_000),
        default=300_000,
        show_default=True,
        help="Open orders.",
    )
    @click.option(
        "--spread", is_flag=True, help="Also by open orders and by instruments: takes minutes."
    )
    @json_option
    def engine(messages: int, orders: int, spread: bool, as_json: bool) -> int:
        """Matching and the state machine alone.

        CPU time of one process, on a day with a moving middle and a depth that follows
        a power law; 15 % of the orders are IOC, 20 % are modified, nearly all of them
        are canceled in the end.
        """
        from exchange.bench.engine import run_engine

        _print(run_engine(messages, orders, say, spread=spread), "engine", as_json)
        return EXIT_OK


def _register_throughput(bench: click.Group) -> None:
    @verb(bench, "throughput", "exchange bench throughput --entry ouch --rate 20000 --json")
    @click.option("--clients", type=click.IntRange(1, 64), default=4, show_default=True)
    @click.option("--symbols", type=click.IntRange(1, 100), default=8, show_default=True)
    @window_option
    @click.option(
        "--rate",
        type=click.IntRange(1, 1_000_000),
        help="Requests per second of all clients together, whatever is answered: an open loop.",
    )
    @click.option("--seconds", type=click.FloatRange(0.1, 3_600), default=8.0, show_default=True)
    @click.option("--warm-up", type=click.FloatRange(0, 60), default=2.0, show_default=True)
    @click.option("--gateways", type=click.IntRange(1, 4), default=1, show_default=True)
    @click.option("--kill-leader", is_flag=True, help="SIGKILL to the leader in the middle of it.")
    @entry_option
    @durability_option
    @tls_option
    @json_option
    def throughput(
        clients: int,
        symbols: int,
        window: int,
        rate: int | None,
        seconds: float,
        warm_up: float,
        gateways: int,
        kill_leader: bool,
        entry: str,
        durability: str,
        tls: bool,
        as_json: bool,
    ) -> int:
        """Requests answered per second, or how fast at a rate.

        Each session keeps a window of unanswered requests full, unless there is a --rate: then
        requests go out when they are due, and times count from there.
        50 % new orders, 35 % cancels, 10 % replaces, 5 % orders that cross the market.
        """
        from exchange.bench.throughput import Load, run_throughput

        load = Load(
            clients=clients,
            symbols=symbols,
            window=window,
            seconds=seconds,
            warm_up_s=warm_up,
            durability=durability,
            tls=tls,
            entry=entry,
            rate=rate,
            gateways=gateways,
            kill_leader=kill_leader,
        )
        return _finish(run_throughput(load, say), "throughput", as_json)


def _register_latency(bench: click.Group) -> None:
    @verb(bench, "latency", "exchange bench latency --orders 2000 --json")
    @click.option("--orders", type=click.IntRange(10, 100_000), default=2_000, show_default=True)
    @entry_option
    @durability_option
    @tls_option
    @json_option
    def latency(orders: int, entry: str, durability: str, tls: bool, as_json: bool) -> int:
        """Time to the acknowledgement, one request in flight.

        The machine's own floor is measured in the same run.
        """
        from exchange.bench.latency import run_latency

        run = run_latency(orders, durability, say, tls=tls, entry=entry)
        return _finish(run, "latency", as_json)


def _register_fanout(bench: click.Group) -> None:
    @verb(bench, "fanout", "exchange bench fanout --rate 5000 --json")
    @click.option("--rate", type=click.IntRange(1, 1_000_000), default=2_000, show_default=True)
    @click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True)
    @click.option("--warm-up", type=click.FloatRange(0, 60), default=1.0, show_default=True)
    @click.option("--clients", type=click.IntRange(1, 64), default=4, show_default=True)
    @click.option("--symbols", type=click.IntRange(1, 100), default=8, show_default=True)
    @click.option("--readers", type=click.IntRange(0, 150), default=0, show_default=True)
    @durability_option
    @json_option
    def fanout(
        rate: int,
        seconds: float,
        warm_up: float,
        clients: int,
        symbols: int,
        readers: int,
        durability: str,
        as_json: bool,
    ) -> int:
        """From an order's commit to a subscriber's socket.

        On both multicast lines of the feed, while OUCH clients send --rate requests a second, and
        --readers ask the market-data process for whole books and read them slowly.
        """
        from exchange.bench.fanout import Fanout, run_fanout

        extent = Fanout(rate, seconds, warm_up, clients, symbols, durability, readers)
        run = run_fanout(extent, say)
        return _finish(run, "fanout", as_json)


def _register_faults(bench: click.Group) -> None:
    @verb(bench, "failover", "exchange bench failover --trials 20 --json")
    @click.option("--trials", type=click.IntRange(1, 1_000), default=20, show_default=True)
    @click.option(
        "--fault",
        type=click.Choice(["kill", "stop", "partition"]),
        default="kill",
        show_default=True,
    )
    @durability_option
    @json_option
    def failover(trials: int, fault: str, durability: str, as_json: bool) -> int:
        """From the leader's failure to the next acknowledged order.

        kill is SIGKILL; stop is SIGSTOP: the process is there but silent; partition
        pulls its cable: it runs, but no packet gets to it or away from it. For that
        each node gets a network namespace of its own, which takes root and iproute2.
        """
        from exchange.bench.failover import run_failover

        return _finish(run_failover(trials, fault, durability, say), "failover", as_json)

    @verb(bench, "recovery", "exchange bench recovery --orders 1000000 --commands 1000000 --json")
    @click.option("--orders", type=click.IntRange(1), default=100_000, show_default=True)
    @click.option("--commands", type=click.IntRange(1), default=100_000, show_default=True)
    @click.option(
        "--seconds",
        type=click.FloatRange(0.1, 600),
        default=5.0,
        show_default=True,
        help="Of trading without a snapshot, to compare with.",
    )
    @durability_option
    @json_option
    def recovery(orders: int, commands: int, seconds: float, durability: str, as_json: bool) -> int:
        """How a node comes back with many open orders.

        Loads a snapshot of --orders open orders, replays --commands of the journal after
        it, and watches whether matching pauses while the next snapshot is taken.
        """
        from exchange.bench.recovery import run_recovery

        run = run_recovery(orders, commands, seconds, durability, say)
        return _finish(run, "recovery", as_json)


def _register_soak(bench: click.Group) -> None:
    @verb(bench, "soak", "exchange bench soak --seconds 1800 --json")
    @click.option("--seconds", type=click.FloatRange(1, 86_400), default=60.0, show_default=True)
    @click.option("--clients", type=click.IntRange(1, 9), default=4, show_default=True)
    @window_option
    @click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Where to make the data folder.  [default: the system's temporary folder]",
    )
    @durability_option
    @json_option
    def soak(
        seconds: float,
        clients: int,
        window: int,
        folder: Path | None,
        durability: str,
        as_json: bool,
    ) -> int:
        """Full load without any fault: no election may happen.

        Tells the memory of each process and the size of its files at the begin and at
        the end; each order is canceled again, so the books do not grow.
        Exit 1 after an election, or when anything was lost, doubled or unequal.
        """
        from exchange.bench.soak import Load, run_soak

        load = Load(seconds, clients, window, durability)
        return _finish(run_soak(load, folder, say), "soak", as_json)


def _register_suite(bench: click.Group) -> None:
    @verb(bench, "all", "exchange bench all --history bench/history.jsonl --json")
    @click.option("--smoke", is_flag=True, help="Only a second over each protocol.")
    @click.option("--seconds", type=click.FloatRange(0.1, 3_600), default=8.0, show_default=True)
    @click.option("--warm-up", type=click.FloatRange(0, 60), default=2.0, show_default=True)
    @click.option("--orders", type=click.IntRange(10, 100_000), default=2_000, show_default=True)
    @click.option("--trials", type=click.IntRange(0, 1_000), default=20, show_default=True)
    @click.option(
        "--history",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A file of JSON lines that this run becomes the last one of.",
    )
    @durability_option
    @json_option
    def everything(
        smoke: bool,
        seconds: float,
        warm_up: float,
        orders: int,
        trials: int,
        history: Path | None,
        durability: str,
        as_json: bool,
    ) -> int:
        """Every measurement once, and a line of history.

        Throughput at several windows and rates and across a kill of the leader, latency,
        fanout, failover; the machine's own speed beside them. Exit 1 when anything was
        lost, doubled or unequal.
        """
        from exchange.bench import suite

        extent = suite.Extent(seconds, warm_up, orders, trials, durability)
        facts = _run(suite.run_smoke(say) if smoke else suite.run_all(extent, say), "all")
        if history is not None:
            suite.append_to_history(history, facts)
        if as_json:
            print_json(facts)
        else:
            print_table("bench", ["figure", "", "of the machine"], suite.summary(facts))
        problems = suite.problems(facts)
        for problem in problems:
            say(problem)
        return EXIT_PROBLEM if problems else EXIT_OK

    @verb(bench, "report", "exchange bench report bench/history.jsonl --html bench.html")
    @click.argument("history", type=click.Path(path_type=Path, dir_okay=False, exists=True))
    @click.option(
        "--html",
        "page",
        type=click.Path(path_type=Path, dir_okay=False),
        required=True,
        help="The page to write.",
    )
    def report(history: Path, page: Path) -> int:
        """The last run of a history as a page with plots."""
        from exchange.bench.html_report import ReportError, make_page
        from exchange.bench.suite import read_history

        try:
            lines = read_history(history)
            if not lines:
                raise ReportError(f"{history} is empty")
            page.write_text(make_page(lines[-1]))
        except (ReportError, ValueError, OSError) as error:
            raise ExitWith(EXIT_USAGE, f"bench report: {error}") from error
        say(f"{page}: the run of {lines[-1]['at']}")
        return EXIT_OK


def _run(run: Coroutine[Any, Any, dict[str, Any]], title: str) -> dict[str, Any]:
    """Run a measurement to its end."""
    from exchange.local import LocalExchangeError
    from exchange.machines import NoMachines

    try:
        return uvloop.run(run)
    except LocalExchangeError as error:
        raise ExitWith(EXIT_PROBLEM, f"bench {title}: {error}") from error
    except NoMachines as error:
        raise ExitWith(EXIT_USAGE, f"bench {title}: no machines to part: {error}") from error


def _finish(run: Coroutine[Any, Any, dict[str, Any]], title: str, as_json: bool) -> int:
    """Run a measurement and print it; exit code 1 when something was lost, doubled or unequal."""
    facts = _run(run, title)
    _print(facts, title, as_json)
    sound = not facts["problems"] and facts["lost"] == facts["duplicated"] == 0
    return EXIT_OK if sound and facts.get("hash_equal", True) else EXIT_PROBLEM


def _print(facts: dict[str, Any], title: str, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        rows = [[key, json.dumps(value)] for key, value in facts.items() if key != "over_time"]
        print_table(title, ["figure", "value"], rows)
