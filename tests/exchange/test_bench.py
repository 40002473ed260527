"""The bench: what its clients count, its percentiles, and the JSON that it promises."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from exchange.bench import soak
from exchange.bench.figures import percentiles
from exchange.bench.floor import ROUNDS, measure_floor_ns
from exchange.bench.load import LoadSession, plan
from exchange.bench.ouch_load import OuchLoadSession, plan_ouch
from exchange.bench.soak import OPEN_ORDERS, SoakSession, requests
from exchange.machines import missing
from exchange.reconcile import check_sessions
from protocols import ouch50, ouch50_messages, soupbintcp
from protocols.fix import FixDecoder, encode

SYMBOLS = ("AAPL", "MSFT")


class Wire:
    """Stands in for the transport of a LoadSession: keeps what is written."""

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


def answers_to(session: LoadSession, count: int) -> bytes:
    """What an exchange that accepts everything and fills nothing would say."""
    exec_types = {"D": "0", "F": "4", "G": "5"}
    stream = b""
    for number, planned in enumerate(session._planned[:count]):
        request = planned.request
        stream += message(
            "8", number + 2, (37, number), (11, request.cl_ord_id), (41, request.orig_cl_ord_id),
            (17, number + 1), (150, exec_types[request.msg_type]), (39, "4"), (55, "AAPL"),
        )  # fmt: skip
    return stream


def test_a_plan_is_numbered_and_readable() -> None:
    planned = plan("CLIENT1", 1, 500, SYMBOLS)
    messages = FixDecoder().feed(b"".join(request.frame for request in planned))
    assert [int(m.get(34) or 0) for m in messages] == list(range(2, 502))
    assert {m.msg_type for m in messages} == {"D", "F", "G"}
    assert [m.get(11) for m in messages] == [p.request.cl_ord_id for p in planned]
    assert len({m.get(11) for m in messages}) == 500


def test_the_same_seed_makes_the_same_plan() -> None:
    first, second = (plan("CLIENT1", 1, 100, SYMBOLS) for _ in range(2))
    assert [p.request for p in first] == [p.request for p in second]
    assert [p.request for p in plan("CLIENT1", 2, 100, SYMBOLS)] != [p.request for p in first]


def ouch_answers_to(session: OuchLoadSession, count: int) -> bytes:
    """What an exchange that accepts everything and fills nothing would say."""
    stream = soupbintcp.encode_login_accepted("EXCH000001", 1)
    for reference, planned in enumerate(session._planned[:count], 1):
        kind, name, original, symbol, side, quantity, price, _ = planned.request
        terms = ("B" if side == "1" else "S", quantity, symbol, price, "0", "Y", reference)
        answer: ouch50_messages.OutboundMessage
        if kind == "D":
            answer = ouch50_messages.OrderAccepted(1, int(name), *terms, "A", "N", "N", "L", name)
        elif kind == "G":
            answer = ouch50_messages.OrderReplaced(
                1, int(original), int(name), *terms, "A", "N", "N", "L", name
            )
        else:
            answer = ouch50_messages.OrderCanceled(1, int(original), 100, "U")
        stream += soupbintcp.encode_sequenced_data(ouch50.encode(answer))
    return stream


@pytest.mark.parametrize("seed", range(10))
def test_answers_over_ouch_are_counted_however_the_stream_is_cut(seed: int) -> None:
    session = OuchLoadSession("OUCH1", plan_ouch("OUCH1", 1, 50, SYMBOLS), window=60)
    session.connection_made(Wire())  # type: ignore[arg-type]
    session.start()
    stream = ouch_answers_to(session, len(session._planned))
    chooser = random.Random(seed)
    while stream:
        size = chooser.choice((1, 3, 150, 700))
        session.data_received(stream[:size])
        stream = stream[size:]
    kinds = session.mix()
    assert len(session.sent_ns) == len(session.answered_ns) == kinds["D"]
    assert len(session.others_ns) == kinds["F"] + kinds["G"] > 0
    assert session.all_answered.is_set()
    assert check_sessions([session.ledger()]) == []


@pytest.mark.parametrize("seed", range(20))
def test_answers_are_counted_however_the_stream_is_cut(seed: int) -> None:
    session = LoadSession("CLIENT1", plan("CLIENT1", 1, 60, SYMBOLS), window=7)
    wire = Wire()
    session.connection_made(wire)  # type: ignore[arg-type]
    session.data_received(message("A", 1, (98, 0), (108, 60)))
    session.start()
    stream = answers_to(session, 60)
    chooser = random.Random(seed)
    while stream:
        size = chooser.choice((1, 3, 150, 700))
        session.data_received(stream[:size])
        stream = stream[size:]
        assert len(session.sent_ns) - len(session.answered_ns) <= 7
    assert len(session.answered_ns) == len(session.sent_ns) == 60
    assert session.all_answered.is_set()
    sent = FixDecoder().feed(wire.written)
    assert len(sent) == 61
    ledger = session.ledger()
    assert len(ledger.requests) == 60
    assert ledger.unanswered == {}


def test_an_answer_that_never_came_is_missed() -> None:
    session = LoadSession("CLIENT1", plan("CLIENT1", 1, 10, SYMBOLS), window=10)
    session.connection_made(Wire())  # type: ignore[arg-type]
    session.data_received(message("A", 1, (98, 0), (108, 60)))
    session.start()
    session.data_received(answers_to(session, 9))
    assert len(session.answered_ns) == 9
    assert not session.all_answered.is_set()
    assert len(check_sessions([session.ledger()])) == 1


def test_percentiles_are_nearest_ranks_in_the_unit_asked_for() -> None:
    found = percentiles([n * 1_000 for n in range(1, 1_001)], 1_000)
    assert found == {"p50": 501.0, "p90": 901.0, "p99": 991.0, "p999": 1000.0, "max": 1000.0}
    assert percentiles([], 1_000)["p50"] is None


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


@pytest.mark.parametrize("entry", ["fix", "ouch"])
def test_throughput_prints_what_the_contract_says(entry: str) -> None:
    facts = bench(
        "throughput", "--seconds", "1", "--warm-up", "0.3", "--clients", "2", "--entry", entry
    )
    assert {
        "orders_per_s", "acked", "lost", "duplicated", "hash_equal", "ack_us", "entry", "nodes",
        "durability", "clients", "symbols", "mix", "seconds", "cpu_s", "stages_us", "host",
    } <= facts.keys()  # fmt: skip
    assert facts["ack_us"].keys() == {"p50", "p90", "p99", "p999", "max"}
    assert (facts["lost"], facts["duplicated"], facts["hash_equal"]) == (0, 0, True)
    assert facts["orders_per_s"] > 0
    sent = facts["mix"]
    if entry == "fix":
        assert facts["acked"] == sum(sent.values())
    else:  # cancels and replaces of orders that were filled by then are not answered
        assert sent["new"] < facts["acked"] <= sum(sent.values())
    assert facts["entry"] == entry
    assert {"node-1", "gateway-fix", "gateway-ouch-1", "clients"} <= facts["cpu_s"].keys()
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
