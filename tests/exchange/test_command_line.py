"""The command `exchange`: help, exit codes, JSON."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from exchange.cli import cli
from exchange.config_text import write_exchange_folder
from exchange.local import free_base_port


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
    } <= set(verbs(cli))  # fmt: skip


def test_init_and_check_config_agree(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    made = run("init", str(folder), "--base-port", "500", "--json")
    assert made.returncode == 0
    path = json.loads(made.stdout)["config"]
    shown = run("check-config", "--config", path, "--json")
    assert shown.returncode == 0
    facts = json.loads(shown.stdout)
    assert facts["addresses.fix"] == "127.0.0.1:9501"
    assert facts["cluster.durability"] == "majority-disk"
    assert facts["instruments[1].symbol"] == "AAPL"


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


@pytest.mark.parametrize("words", [["status"], ["kill", "leader"], ["sessions"]], ids=" ".join)
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
