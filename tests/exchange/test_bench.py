"""The bench: what its clients count, its percentiles, and the JSON that it promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from array import array
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from exchange.bench import soak
from exchange.bench.fanout import Heard, delays
from exchange.bench.figures import PIECES, over_time, percentiles
from exchange.bench.floor import ROUNDS, measure_floor_ns
from exchange.bench.soak import OPEN_ORDERS, SoakSession, requests
from exchange.machines import missing
from protocols.fix import FixDecoder, encode


class Wire:
    """Stands in for the transport of a session: keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        pass


def message(msg_type: str, seq: int, *fields: tuple[int, object]) -> bytes:
    return encode(
        msg_type, fields, begin_string="FIX.4.4", sender="EXCH", target="CLIENT1", seq=seq,
        sending_time="20260101-09:30:00.000",
    )  # fmt: skip


def test_percentiles_are_nearest_ranks_in_the_unit_asked_for() -> None:
    found = percentiles([n * 1_000 for n in range(1, 1_001)], 1_000)
    assert found == {
        "p50": 501.0, "p90": 901.0, "p99": 991.0, "p999": 1000.0, "p9999": 1000.0, "max": 1000.0,
    }  # fmt: skip
    assert percentiles([], 1_000)["p50"] is None


def test_a_measurement_over_time_is_cut_into_equal_pieces() -> None:
    offsets = [0, 19_999_999, 20_000_000, 999_999_999]
    rows = over_time(offsets, [1_000, 3_000, 5_000, 7_000], seconds=1.0)
    assert len(rows) == PIECES
    assert rows[0] == {"at_s": 0.0, "per_s": 100, "p50_us": 3.0, "p99_us": 3.0, "max_us": 3.0}
    assert (rows[1]["at_s"], rows[1]["max_us"]) == (0.02, 5.0)
    assert rows[2]["max_us"] is None
    assert rows[-1]["max_us"] == 7.0


def test_the_floor_of_the_machine_is_measured(tmp_path: Path) -> None:
    times_ns = measure_floor_ns(tmp_path)
    assert len(times_ns) == ROUNDS
    assert min(times_ns) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_soak_asks_without_end_and_cancels_what_it_enters() -> None:
    made = list(islice(requests("CLIENT1", 1), 5_000))
    messages = FixDecoder().feed(b"".join(frame for _, frame in made))
    assert [m.get(11) for m in messages] == [name for name, _ in made]
    assert [int(m.get(34) or 0) for m in messages] == list(range(2, 5_002))
    open_names: set[str | None] = set()
    for m in messages:
        if m.msg_type != "D":
            open_names.remove(m.get(41))
        if m.msg_type != "F":
            open_names.add(m.get(11))
        assert len(open_names) <= OPEN_ORDERS


def soaked(monkeypatch: pytest.MonkeyPatch) -> tuple[SoakSession, list[str]]:
    """A session that reads every answer, and the names of the three requests that it has sent."""
    monkeypatch.setattr(soak, "BLOCKS_UNREAD", 1)
    session = SoakSession("CLIENT1", window=3)
    wire = Wire()
    session.connection_made(wire)  # type: ignore[arg-type]
    session.data_received(message("A", 1, (98, 0), (108, 60)))
    wire.written = b""
    session.start()
    return session, [m.get(11) or "" for m in FixDecoder().feed(wire.written)]


def accepted(seq: int, name: str) -> bytes:
    return message("8", seq, (37, seq), (11, name), (17, seq), (150, "0"), (39, "0"), (55, "AAPL"))


def test_a_soak_finds_nothing_where_each_request_got_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, names = soaked(monkeypatch)
    session.data_received(b"".join(accepted(n, name) for n, name in enumerate(names, 2)))
    assert (session.answered, session.answers_read, session.problems) == (3, 3, [])
    assert session.sent == 6


def test_a_soak_notices_an_answer_that_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    session, names = soaked(monkeypatch)
    session.data_received(accepted(2, names[0]) + accepted(3, names[0]))
    assert len(session.problems) == 1


def bench(*words: str, may_end_with: tuple[int, ...] = (0,)) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "bench", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in may_end_with, done.stdout + done.stderr
    return json.loads(done.stdout)


PROMISED = {
    "orders_per_s", "acked", "lost", "duplicated", "hash_equal", "ack_us", "entry", "nodes",
    "durability", "clients", "symbols", "mix", "seconds", "cpu_s", "stages_us", "host",
}  # fmt: skip
"""Of every throughput run, by contract.md."""


@pytest.mark.parametrize("entry", ["fix", "ouch"])
def test_throughput_prints_what_the_contract_says(entry: str) -> None:
    facts = bench(
        "throughput", "--seconds", "1", "--warm-up", "0.3", "--clients", "2", "--entry", entry
    )
    assert facts.keys() >= PROMISED
    assert facts["ack_us"].keys() == {"p50", "p90", "p99", "p999", "p9999", "max"}
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    assert facts["orders_per_s"] > 0
    assert facts["feed"]["complete"]
    assert (facts["entry"], facts["loop"]) == (entry, "closed")
    processes = {
        "node-1", "node-2", "node-3", "gateway-fix", "gateway-ouch-1", "marketdata", "clients",
    }  # fmt: skip
    assert facts["cpu_s"].keys() == processes
    assert facts["cpu_us_per_order"].keys() == {*processes, "total"}
    assert {"gateway_in", "wire", "replicate", "fsync", "egress"} <= facts["stages_us"].keys()
    assert facts["problems"] == []


def test_throughput_at_a_rate_counts_from_when_a_request_was_due() -> None:
    facts = bench(
        "throughput", "--rate", "300", "--seconds", "1", "--warm-up", "0.5", "--entry", "fix",
        "--clients", "3", "--symbols", "20", "--gateways", "2",
    )  # fmt: skip
    assert facts.keys() >= PROMISED
    assert (facts["loop"], facts["rate"], facts["symbols"]) == ("open", 300, 20)
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    assert sum(piece["per_s"] for piece in facts["over_time"]) == pytest.approx(300 * 50, rel=0.1)
    assert facts["send_lag_us"]["max"] > 0
    assert "gateway-fix-2" in facts["cpu_s"]
    assert facts["problems"] == []


def test_throughput_loses_nothing_when_the_leader_is_killed_in_the_middle() -> None:
    facts = bench(
        "throughput", "--rate", "200", "--seconds", "4", "--warm-up", "0.5", "--entry", "ouch",
        "--kill-leader",
    )  # fmt: skip
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    assert facts["killed_after_s"] == pytest.approx(2.0, abs=0.5)
    assert facts["feed"]["complete"]
    assert facts["problems"] == []


@pytest.mark.parametrize("entry", ["fix", "ouch"])
def test_latency_prints_the_limit_of_the_machine(entry: str) -> None:
    facts = bench("latency", "--orders", "100", "--entry", entry)
    assert (facts["orders"], facts["entry"]) == (100, entry)
    assert facts["limit_us"] > 0
    assert facts["ratio_to_limit"] == round(facts["ack_us"]["p50"] / facts["limit_us"], 2)
    stages = dict(facts["stages_us"])
    total = stages.pop("total")
    assert sum(stages.values()) == pytest.approx(total, abs=1.0)
    assert (facts["lost"], facts["duplicated"], facts["problems"]) == (0, 0, [])
    assert facts["hash_equal"]


def test_fanout_measures_both_lines_from_the_commit() -> None:
    facts = bench("fanout", "--rate=300", "--seconds=1", "--warm-up=0.5", "--readers=5")
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    for line in "AB":
        assert facts["datagrams"][line] > 0
        in_socket, read = (facts[f"commit_to_{what}_us"][line] for what in ("socket", "read"))
        assert 0 < in_socket["p50"] <= read["p50"]
    assert facts["readers"] == 5
    assert facts["pages"]["answered"] > 0
    assert (facts["pages"]["refused"], facts["pages"]["failed"]) == (0, 0)
    assert facts["problems"] == []


def test_delays_are_those_of_datagrams_whose_commit_is_known_and_was_measured() -> None:
    wall_ns = time.time_ns() - time.perf_counter_ns()
    commits = {10: 1_000_000, 20: 2_000_000, 30: 3_000_000}
    committed = [1_000_000, 2_000_000, 2_000_000, 3_000_000, 2_000_000]
    heard = Heard(
        lines=bytes([0, 0, 1, 0, 1]),
        stamps_ns=array("q", [10, 20, 20, 30, 99]),
        in_socket_ns=array("q", [wall_ns + time_ns + 50_000 for time_ns in committed]),
        read_ns=array("q", [wall_ns + time_ns + 80_000 for time_ns in committed]),
    )
    found = delays(heard, commits, begun_ns=2_000_000, ended_ns=3_000_000)
    assert found["datagrams"] == {"A": 1, "B": 1}
    # The two clocks are compared again in delays(): not to the last microsecond.
    assert found["commit_to_socket_us"]["A"]["p50"] == pytest.approx(50, abs=20)
    assert found["commit_to_read_us"]["B"]["p50"] == pytest.approx(80, abs=20)


@pytest.mark.parametrize("fault", ["kill", "stop", "partition"])
def test_failover_measures_a_gap_and_loses_nothing(fault: str) -> None:
    if fault == "partition" and (problem := missing()) is not None:
        pytest.skip(problem)
    facts = bench("failover", "--trials", "2", "--fault", fault)
    assert facts["trials"] == len(facts["gaps_ms"]) == 2
    assert 0 < facts["gap_ms"]["p50"] <= facts["gap_ms"]["max"]
    assert facts["elections"] >= 2, "the fault did nothing to the leader"
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    assert (facts["fault"], facts["problems"]) == (fault, [])


def test_a_partition_without_the_means_ends_with_2_and_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exchange", "bench", "failover", "--fault", "partition"],
        env={**os.environ, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "only root may" in done.stderr or "ip and ss and nsenter cannot be found" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_soak_tells_what_has_grown() -> None:
    # A machine with little time for us may see an election: that is for the bench to report.
    facts = bench("soak", "--seconds", "2", "--clients", "2", may_end_with=(0, 1))
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    assert len(facts["problems"]) == (1 if facts["elections"] else 0)
    assert facts["orders_per_s"] > 0
    assert facts["answers_read"] <= facts["acked"]
    for growth in ("memory_bytes", "journal_bytes", "disk_bytes"):
        kept = {name: found["end"] for name, found in facts[growth].items()}
        if growth == "disk_bytes":
            del kept["gateway-ouch-1"]  # its files have no names
        assert all(kept.values())
        assert {"node-1", "node-2", "node-3"} <= facts[growth].keys()


def test_recovery_measures_load_replay_and_pause() -> None:
    facts = bench("recovery", "--orders", "400", "--commands", "600", "--seconds", "1")
    assert (facts["open_orders"], facts["commands"]) == (400, 600)
    assert min(facts["snapshot_bytes"], facts["bytes_per_open_order"], facts["load_s"]) > 0
    assert facts["restart_s"] > facts["restart_detail_s"]["load"] > 0
    assert facts["replay_commands_per_s"] > 0
    assert facts["memory_peak_bytes"] > facts["snapshot_bytes"]
    assert facts["pause_ms"].keys() == facts["ack_us"].keys() == {"without", "during"}
    assert facts["ack_us"]["during"]["max"] >= facts["ack_us"]["during"]["p50"] > 0
    for pauses in facts["leader_pauses"].values():
        assert pauses["over_5_ms"] >= pauses["over_500_ms"] >= 0
    assert (facts["lost"], facts["duplicated"], facts["problems"]) == (0, 0, [])
