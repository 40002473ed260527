"""The comparison with other people's programs: fair where it can be checked, and honest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.peers.__main__ import with_ratios
from bench.peers.books import make_operations, measure_books
from bench.peers.codecs import measure_codecs
from bench.peers.etcd_peer import Etcd
from bench.peers.nats_peer import Nats
from bench.peers.ours import Ours
from bench.peers.pysyncobj_peer import Pysyncobj
from bench.peers.replicator import (
    COMMAND_BYTES,
    ClosedLoop,
    Load,
    NotInstalled,
    Replicator,
    find_program,
    measure,
)
from cluster.codec import pack_commands


@pytest.mark.parametrize("number", [0, 1, 9_999_999])
def test_our_command_is_as_long_as_that_of_the_peers(number: int) -> None:
    ours = Ours()
    ours._session, ours._symbol = "CLIENT9", "AAPL"
    assert len(pack_commands([ours.command(number)])) == COMMAND_BYTES


def test_a_closed_loop_keeps_as_many_in_flight_as_it_was_told() -> None:
    async def run() -> None:
        sent: list[int] = []
        loop = ClosedLoop(sent.append)
        running = asyncio.create_task(loop.run(3, 0.05))
        await asyncio.sleep(0)
        assert sent == [0, 1, 2]
        loop.answered(1)
        assert sent == [0, 1, 2, 3]
        await asyncio.sleep(0.1)
        for number in (0, 2, 3):
            loop.answered(number)
        assert sent == [0, 1, 2, 3], "nothing is sent after its time"
        assert len(await running) == 4

    asyncio.run(run())


def test_a_program_that_is_not_there_is_named_with_its_package() -> None:
    with pytest.raises(NotInstalled, match="apt-get install no-such-package"):
        find_program("no-such-program", "no-such-package")


def measured(replicator: Replicator, folder: Path) -> dict[str, object]:
    return asyncio.run(measure(replicator, folder, Load(seconds=0.5, in_flight=4)))


def test_stock_pysyncobj_replicates(tmp_path: Path) -> None:
    facts = measured(Pysyncobj(), tmp_path)
    assert facts["commands_per_s"]
    assert facts["nodes_cpu_us_per_command"]


@pytest.mark.parametrize("make", [Etcd, Nats])
def test_a_server_of_others_replicates_where_it_is_installed(
    make: type[Replicator], tmp_path: Path
) -> None:
    try:
        facts = measured(make(), tmp_path)
    except NotInstalled as missing:
        pytest.skip(str(missing))
    assert facts["commands_per_s"]
    assert facts["version"]


def test_every_book_that_is_installed_trades_the_same() -> None:
    figures = measure_books(make_operations(3_000))
    assert figures[0]["shares_traded"] > 0
    for found in figures:
        assert "problem" not in found
        assert ("not_measured" in found) != ("messages_per_s" in found)


def test_codecs_that_are_installed_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.peers.codecs._ROUNDS", 50)
    ours, simplefix, quickfix = measure_codecs()
    for found in (ours, simplefix):
        assert min(found["decode_us"], found["encode_us"]) > 0
    assert ("not_measured" in quickfix) != ("decode_us" in quickfix)


def test_a_ratio_above_one_means_that_ours_is_better() -> None:
    speeds = [{"per_s": 100}, {"per_s": 50}, {"not_measured": "absent"}]
    with_ratios(speeds, "per_s", less_is_better=False)
    assert [item.get("per_s ratio") for item in speeds] == [None, 2.0, None]
    costs = [{"us": 1.0}, {"us": 4.0}]
    with_ratios(costs, "us", less_is_better=True)
    assert costs[1]["us ratio"] == 4.0
