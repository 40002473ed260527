"""The exchange as a user has it: commands, processes, a FIX client, the leader killed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from exchange.config import Config, load
from exchange.config_text import write_exchange_folder
from exchange.fix_client import FixClient
from exchange.ledger import Ledger
from exchange.local import LocalExchange, free_base_port, local_exchange, wait_for
from exchange.processes import all_processes, running_pid
from exchange.reconcile import check_sessions
from exchange.report import settle


async def command(
    exchange: LocalExchange, *words: str, config: Config | None = None
) -> tuple[int, str]:
    """Run `exchange WORDS --config ...`; returns exit code and stdout."""
    source = (config or exchange.config).source
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exchange", *words, "--config", str(source),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(child.communicate(), 30)
    finally:
        if child.returncode is None:
            child.terminate()
    return child.returncode, output.decode()


async def facts(exchange: LocalExchange, *words: str) -> Any:
    """JSON of a verb that must succeed."""
    code, output = await command(exchange, *words, "--json")
    assert code == 0, output
    return json.loads(output)


async def client_of(exchange: LocalExchange, comp_id: str) -> tuple[Ledger, FixClient]:
    ledger = Ledger(comp_id)
    client = FixClient(exchange.config.addresses.fix[0], comp_id, ledger.receive)
    ledger.attach(client)
    await client.start()
    return ledger, client


async def all_roles(exchange: LocalExchange) -> bool:
    roles = {status["role"] for status in (await exchange.statuses()).values()}
    return roles == {"leader", "standby", "follower"}


async def check_the_verbs_that_look(exchange: LocalExchange) -> None:
    await wait_for(lambda: all_roles(exchange), "one follower publishes line B", 5)
    status = await facts(exchange, "status")
    assert status["leader"] == await exchange.leader()
    assert {node["role"] for node in status["nodes"]} == {"leader", "standby", "follower"}
    assert len({node["state_hash"] for node in status["nodes"]}) == 1
    assert all(node["durability"] == "majority-disk" for node in status["nodes"])
    hashes = await facts(exchange, "hash")
    assert hashes["equal"] is True
    assert len({(node["event_seq"], node["state_hash"]) for node in hashes["nodes"]}) == 1
    sessions = {session["comp_id"]: session for session in await facts(exchange, "sessions")}
    assert sessions["CLIENT1"]["next_in"] == 4
    assert sessions["CLIENT2"]["next_in"] == 1
    assert sessions["OUCH1"]["state"] == "disconnected"
    assert {session["protocol"] for session in sessions.values()} == {"fix", "ouch"}
    code, output = await command(exchange, "tape", "--from-start", "--count", "28", "--json")
    assert code == 0
    messages = [json.loads(line) for line in output.splitlines()]
    assert [message["sequence"] for message in messages] == list(range(1, 29))
    assert {"R", "H", "A"} <= {message["type"] for message in messages}


async def check_a_halt(exchange: LocalExchange, ledger: Ledger) -> None:
    assert (await facts(exchange, "market", "halt", "AAPL"))["changed"] == ["AAPL"]
    ledger.enter("while halted", "AAPL", "1", 100, "99.00")
    await settle([ledger], 5)
    refusal = ledger.reports[-1]
    assert refusal.exec_type == "8"
    assert "AAPL" in refusal.text
    assert (await facts(exchange, "market", "resume", "AAPL"))["changed"] == ["AAPL"]


async def tour(exchange: LocalExchange) -> list[Ledger]:
    ledger, client = await client_of(exchange, "CLIENT1")
    ledger.enter("one", "AAPL", "1", 100, "100.00")
    ledger.enter("two", "AAPL", "2", 40, "99.50")
    await settle([ledger], 5)
    await check_the_verbs_that_look(exchange)
    await check_a_halt(exchange, ledger)

    killed = (await facts(exchange, "kill", "leader"))["killed"]
    ledger.enter("after the kill", "AAPL", "2", 60, "100.00")
    await settle([ledger], 5)
    filled = [report for report in ledger.reports if report.cl_ord_id == "after the kill"]
    assert [report.exec_type for report in filled] == ["0", "F"]
    await wait_for(lambda: exchange.exited, "the line about the killed process", 5)
    assert [(e["process"], e["code"]) for e in exchange.exited] == [(killed, -signal.SIGKILL)]

    status = json.loads((await command(exchange, "status", "--json"))[1])
    assert status["quorum"] is True
    assert sum(node["reachable"] for node in status["nodes"]) == 2
    assert (await command(exchange, "hash"))[0] == 1  # one node does not answer

    await exchange.restart(killed)
    await exchange.wait_until_level()
    assert (await facts(exchange, "hash"))["equal"] is True
    await client.stop()
    return [ledger]


def test_a_whole_exchange_from_init_to_the_death_of_its_leader(tmp_path: Path) -> None:
    path = write_exchange_folder(tmp_path / "x", base_port=free_base_port())
    exchange = LocalExchange(load(path))

    async def run() -> list[Ledger]:
        try:
            ready = await exchange.start()
            assert ready["event"] == "ready"
            assert ready["fix"] == [str(exchange.config.addresses.fix[0])]
            ledgers = await tour(exchange)
        finally:
            code = await exchange.stop()
        assert code == 0
        folders = [str(tmp_path / "x" / "data" / f"node-{number}") for number in (1, 2, 3)]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exchange", "verify", *folders, "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await child.communicate()
        assert child.returncode == 0, output
        assert json.loads(output)["ok"] is True
        return ledgers

    assert check_sessions(asyncio.run(run())) == []
    for process in all_processes(exchange.config):
        assert running_pid(exchange.config, process.name) is None
    assert list((tmp_path / "x" / "data" / "run").iterdir()) == []


def test_a_second_exchange_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async def run() -> tuple[int, str]:
        async with local_exchange(tmp_path) as exchange:
            code, _ = await command(exchange, "node", "--id", "1")
            status = await facts(exchange, "status")
            assert status["quorum"] is True
            return code, ""

    assert asyncio.run(run())[0] == 2


def test_a_killed_up_leaves_no_process_behind(tmp_path: Path) -> None:
    async def run() -> None:
        async with local_exchange(tmp_path) as exchange:
            assert exchange.up_pid is not None
            names = [process.name for process in all_processes(exchange.config)]
            assert all(exchange.pid(name) is not None for name in names)
            exchange.kill_up()
            await wait_for(
                lambda: all(exchange.pid(name) is None for name in names),
                "every process has ended",
                15,
            )

    asyncio.run(run())


def test_an_ouch_gateway_started_by_hand_is_known_by_its_pid_file(tmp_path: Path) -> None:
    """As a container starts it; its health check and `exchange kill` look for it."""

    async def run() -> None:
        async with local_exchange(tmp_path) as exchange:
            await exchange.kill("gateway-ouch-1")
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "exchange", "gateway", "ouch",
                "--config", str(exchange.config.source),
            )  # fmt: skip
            await wait_for(lambda: exchange.pid("gateway-ouch-1") == child.pid, "it is known", 20)
            child.terminate()
            await child.wait()

    asyncio.run(run())


WHO_STARTS_ONE = """
import asyncio, sys
from pathlib import Path
from exchange.local import local_exchange

async def run():
    async with local_exchange(Path(sys.argv[1])):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(run())
"""


def test_whoever_starts_an_exchange_and_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    """As the bench does, and the demo."""

    async def run() -> None:
        starter = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WHO_STARTS_ONE, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert starter.stdout is not None
        assert await asyncio.wait_for(starter.stdout.readline(), 60) == b"ready\n"
        config = load(tmp_path / "exchange.toml")
        names = [process.name for process in all_processes(config)]
        assert all(running_pid(config, name) is not None for name in names)
        starter.kill()
        await starter.wait()
        await wait_for(
            lambda: all(running_pid(config, name) is None for name in names),
            "every process has ended",
            15,
        )

    asyncio.run(run())


def test_up_ends_when_a_process_cannot_start(tmp_path: Path) -> None:
    """A second `up` on the ports of the first: the first one's answers must not count."""

    async def run() -> tuple[int, str]:
        async with local_exchange(tmp_path / "first") as exchange:
            write_exchange_folder(tmp_path / "second", exchange.config.base_port)
            second = load(tmp_path / "second" / "exchange.toml")
            return await asyncio.wait_for(command(exchange, "up", config=second), 20)

    code, output = asyncio.run(run())
    assert code == 2
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert "ready" not in events
    assert "exited" in events


def test_a_second_up_on_a_folder_starts_nothing(tmp_path: Path) -> None:
    async def run() -> tuple[int, str]:
        async with local_exchange(tmp_path) as exchange:
            await exchange.kill("node-1")
            answer = await asyncio.wait_for(command(exchange, "up"), 20)
            assert exchange.pid("node-1") is None
            return answer

    assert asyncio.run(run()) == (2, "")
