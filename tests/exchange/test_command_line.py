"""The command `exchange`: help, exit codes, JSON."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from cluster.codec import ClientFrame, encode_batch, pack_commands
from cluster.disk import RealDisk
from cluster.journal import Journal
from cluster.snapshot_maker import make_snapshot
from exchange.cli import cli
from exchange.config import load
from exchange.config_text import write_exchange_folder
from exchange.local import LocalExchange, free_base_port, local_exchange
from exchange.settings import reference_data
from gateway.fix.passwords import PasswordHash
from oms.commands import (
    Command,
    CommandKind,
    EnterOrder,
    LoadReferenceData,
    OpenSession,
    SetTradingState,
)
from oms.events import TradingState


def verbs(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every verb, and every group of verbs, as the words that name it."""
    found = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += verbs(command, (*path, name))
    return found


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("words", verbs(cli), ids=" ".join)
def test_every_verb_has_help_with_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    assert f"Example: exchange {words[0]}" in result.output


def test_the_verbs_of_the_contract_are_there() -> None:
    assert {
        ("init",), ("check-config",), ("up",), ("node",), ("gateway", "fix"), ("marketdata",),
        ("demo",), ("status",), ("hash",), ("kill", "leader"), ("sessions",), ("tape",),
        ("verify",), ("market", "open"), ("market", "halt"), ("market", "resume"),
        ("market", "close"), ("bench", "throughput"), ("bench", "latency"), ("bench", "failover"),
        ("bench", "soak"),
        ("snapshot",), ("replay",),
    } <= set(verbs(cli))  # fmt: skip


def test_init_and_check_config_agree(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    made = run("init", str(folder), "--base-port", "500", "--json")
    assert made.returncode == 0
    path = json.loads(made.stdout)["config"]
    shown = run("check-config", "--config", path, "--json")
    assert shown.returncode == 0
    facts = json.loads(shown.stdout)
    assert facts["addresses.fix"] == ["127.0.0.1:9501"]
    assert facts["cluster.durability"] == "majority-disk"
    assert facts["instruments[1].symbol"] == "AAPL"


def test_hash_password_takes_the_first_line_of_stdin() -> None:
    made = CliRunner().invoke(cli, ["hash-password"], input="secret\n")
    assert made.exit_code == 0
    assert PasswordHash.parse(made.output.strip()).fits("secret")
    assert CliRunner().invoke(cli, ["hash-password"], input="\n").exit_code == 2


def test_a_wrong_config_ends_with_2_and_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "exchange.toml"
    path.write_text("[cluster]\ndurability = 'never'\n")
    for verb in (["check-config"], ["status"], ["up"], ["node", "--id", "1"]):
        result = run(*verb, "--config", str(path))
        assert result.returncode == 2
        assert "cluster.durability: 'never' is not one of" in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-verb"],
        ["node"],
        ["node", "--id", "one"],
        ["up", "--config", "a", "--dir", "b"],
        ["verify"],
        ["market", "halt", "NOSUCH"],
        ["snapshot", "--node", "4"],
        ["replay"],
        ["replay", "no-such-folder"],
        ["replay", ".", "--at", "0"],
        ["bench", "failover", "--trials", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


@pytest.fixture
def nobody(tmp_path: Path) -> str:
    """A configuration whose exchange is not running."""
    return str(write_exchange_folder(tmp_path / "down", base_port=free_base_port()))


@pytest.mark.parametrize(
    "words", [["status"], ["kill", "leader"], ["sessions"], ["snapshot"]], ids=" ".join
)
def test_an_exchange_that_is_down_ends_with_3(nobody: str, words: list[str]) -> None:
    result = run(*words, "--config", nobody)
    assert result.returncode == 3
    assert "Traceback" not in result.stderr


def test_status_as_json_names_the_nodes_that_are_down(nobody: str) -> None:
    facts = json.loads(run("status", "--json", "--config", nobody).stdout)
    assert facts["quorum"] is False
    assert [node["reachable"] for node in facts["nodes"]] == [False, False, False]


def test_a_node_whose_port_is_taken_says_so_and_ends_with_2(tmp_path: Path) -> None:
    base_port = free_base_port()
    path = write_exchange_folder(tmp_path / "x", base_port=base_port)

    async def taken() -> subprocess.CompletedProcess[str]:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 7001 + base_port)
        async with server:
            return await asyncio.to_thread(run, "node", "--id", "1", "--config", str(path))

    result = asyncio.run(taken())
    assert result.returncode == 2
    assert str(7001 + base_port) in result.stderr
    assert "Traceback" not in result.stderr


def test_verify_of_a_folder_without_a_journal_ends_with_1(tmp_path: Path) -> None:
    assert run("verify", str(tmp_path)).returncode == 1


def test_healthcheck_of_nobody_ends_with_1(nobody: str) -> None:
    assert run("healthcheck", "http://127.0.0.1:1/healthz").returncode == 1
    assert run("healthcheck", "ftp://127.0.0.1").returncode == 2


def test_the_check_of_a_container_without_a_process_fails(tmp_path: Path) -> None:
    write_exchange_folder(tmp_path / "x")
    done = subprocess.run(
        [sys.executable, "-m", "exchange.healthcheck"],
        cwd=tmp_path / "x",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "no process runs here" in done.stderr


@pytest.mark.parametrize("words", [(), ("bench",), ("kill",), ("market",)], ids=" ".join)
def test_no_verb_is_described_by_half_a_sentence(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"], terminal_width=80)
    verbs_part = result.output.partition("Commands:")[2]
    assert verbs_part
    assert "..." not in verbs_part


# --- snapshots ------------------------------------------------------------------------------------


EVENTS_OF_AN_ORDER = 2


def node_folder(tmp_path: Path, *, trimmed: bool = False) -> Path:
    """The folder of a stopped node. Log entries: 1 is empty, 2 loads the instruments, 3 opens
    trading and a session, 4 to 6 enter an order each. There is a snapshot after 4."""
    folder = tmp_path / "node-1"
    config = load(write_exchange_folder(tmp_path / "x"))
    instruments, accounts, sessions = reference_data(config)
    orders = [
        EnterOrder(
            CommandKind.ENTER_ORDER, "CLIENT1", 2, "", str(n), "AAPL", 1, 2, 0, 100, 990_000 + n
        )
        for n in (100, 200, 300)
    ]
    entries: list[list[Command]] = [
        [LoadReferenceData(CommandKind.LOAD_REFERENCE_DATA, instruments, accounts, sessions)],
        [
            SetTradingState(CommandKind.SET_TRADING_STATE, "", TradingState.TRADING, ""),
            OpenSession(CommandKind.OPEN_SESSION, "CLIENT1", "fix-1", False, False),
        ],
        *([order] for order in orders),
    ]
    journal = Journal(folder / "wal", segment_bytes=1 << 16)
    journal.add(b"\1", 1, 1)
    for index, commands in enumerate(entries, start=2):
        frame = ClientFrame("", 0, 0, pack_commands(commands))
        journal.add(b"\0" + encode_batch(index, [frame]), index, 1)
    journal.flush_sync()
    (folder / "snapshots").mkdir()
    make_snapshot(RealDisk(), folder / "wal", folder / "snapshots", 4, {}, [])
    if trimmed:
        while journal.trim(4):
            pass
    journal.setRaftCommitIndex(6)
    journal._destroy()
    return folder


def shown(*words: str) -> Any:
    """JSON of a verb that must succeed, in this process."""
    result = CliRunner().invoke(cli, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_replay_shows_the_last_state_and_changes_nothing(tmp_path: Path) -> None:
    folder = node_folder(tmp_path)
    before = content(folder)
    facts = shown("replay", str(folder))
    assert (facts["log_index"], facts["term"], facts["time_ns"]) == (6, 1, 6)
    assert (facts["snapshot_index"], facts["replayed_entries"]) == (4, 2)
    assert facts["open_orders"] == 3
    assert ["AAPL", 3, 0, 990_300, None] in facts["books"]
    assert content(folder) == before
    table = run("replay", str(folder))
    assert table.returncode == 0
    assert facts["state_hash"][:16] in table.stdout
    assert "best bid" in table.stdout


def test_replay_at_an_event_goes_as_far_as_that(tmp_path: Path) -> None:
    folder = node_folder(tmp_path)
    last_event = shown("replay", str(folder))["event_seq"]
    for event, orders, snapshot_index in (
        (last_event - EVENTS_OF_AN_ORDER, 2, 4),
        (last_event - 2 * EVENTS_OF_AN_ORDER, 1, 0),  # entries after it may be in the snapshot
        (1, 0, 0),
    ):
        facts = shown("replay", str(folder), "--at", str(event))
        assert facts["event_seq"] >= event
        assert (facts["open_orders"], facts["snapshot_index"]) == (orders, snapshot_index)
    beyond = run("replay", str(folder), "--at", str(last_event + 1))
    assert beyond.returncode == 1
    assert f"committed is {last_event}, {last_event + 1} was asked for" in beyond.stderr


def test_replay_of_what_is_not_there_any_more_ends_with_1_and_what_to_do(tmp_path: Path) -> None:
    folder = node_folder(tmp_path, trimmed=True)
    assert shown("replay", str(folder))["log_index"] == 6
    result = run("replay", str(folder), "--at", "1")
    assert result.returncode == 1
    assert "begins with entry 4, and no snapshot reaches that far" in result.stderr
    (path,) = (folder / "snapshots").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    damaged = run("replay", str(folder))
    assert damaged.returncode == 1
    assert f"{path}: damaged" in damaged.stderr
    assert "Traceback" not in result.stderr + damaged.stderr


def test_replay_of_a_folder_that_is_no_nodes_ends_with_2(tmp_path: Path) -> None:
    result = run("replay", str(tmp_path))
    assert result.returncode == 2
    assert "there is no wal/ in it" in result.stderr


def test_snapshots_of_a_running_exchange(tmp_path: Path) -> None:
    async def verb(exchange: LocalExchange, *words: str) -> Any:
        done = await asyncio.to_thread(
            run, *words, "--json", "--config", str(exchange.config.source)
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async def tour() -> tuple[int, str]:
        async with local_exchange(tmp_path) as exchange:
            await exchange.wait_until_level()
            every = await verb(exchange, "snapshot")
            assert [facts["node"] for facts in every] == [1, 2, 3]
            for facts in every:
                name = f"{facts['snapshot_index']:020d}.snapshot"
                path = exchange.config.data_dir / f"node-{facts['node']}" / "snapshots" / name
                assert path.stat().st_size == facts["snapshot_bytes"] > 0
            await verb(exchange, "market", "halt")
            await exchange.wait_until_level()
            (again,) = await verb(exchange, "snapshot", "--node", "2")
            assert again["node"] == 2
            assert again["snapshot_index"] > every[1]["snapshot_index"]
            running = shown("replay", str(exchange.config.data_dir / "node-2"))
            assert running["snapshot_index"] == again["snapshot_index"]
            hashes = await verb(exchange, "hash")
            return hashes["nodes"][0]["event_seq"], hashes["nodes"][0]["state_hash"]

    event_seq, state_hash = asyncio.run(tour())
    folders = [str(tmp_path / "data" / f"node-{node}") for node in (1, 2, 3)]
    for folder in folders:
        facts = shown("replay", folder, "--at", str(event_seq))
        assert (facts["event_seq"], facts["state_hash"]) == (event_seq, state_hash)
    assert shown("verify", *folders)["ok"] is True
