"""The whole bench as one run: its history, its summary, its page, and when it fails."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from exchange.bench.calibration import calibrate
from exchange.bench.figures import PIECES
from exchange.bench.html_report import make_page
from exchange.bench.stages import LEADER_STAGES
from exchange.bench.suite import (
    PARTS_OF_PEAK,
    SCHEMA,
    WINDOWS,
    append_to_history,
    figure,
    problems,
    read_history,
    summary,
)
from exchange.cli import main


def result(orders_per_s: int) -> dict[str, Any]:
    stages = ("gateway_in", "wire", *LEADER_STAGES, "gateway_out")
    return {
        "orders_per_s": orders_per_s,
        "ack_us": {"p50": 900.0, "p90": 1_000.0, "p99": 2_000.0, "p999": 3_000.0, "max": 4_000.0},
        "cpu_us_per_order": {"node-1": 20.0, "clients": 2.5, "total": 22.5},
        "stages_us": {name: {"mean_us": 100.0} for name in stages},
        "over_time": [
            {"at_s": n / PIECES, "per_s": 1, "p50_us": 1.0, "p99_us": 2.0, "max_us": 3.0}
            for n in range(PIECES)
        ],
        "killed_after_s": 0.5,
        "lost": 0,
        "duplicated": 0,
        "hash_equal": True,
        "problems": [],
    }


@pytest.fixture
def facts() -> dict[str, Any]:
    names = [f"ouch window {window}" for window in WINDOWS]
    names += [f"ouch at {round(100 * part)} %" for part in PARTS_OF_PEAK]
    return {
        "schema": SCHEMA,
        "at": "2026-01-01T00:00:00+00:00",
        "version": "0.1.0",
        "host": {"cpus": 2, "cpu": "a <fast> one"},
        "calibration": {"loopback_hop_us": 10.0, "fdatasync_us": 90.0, "python_loop_ms": 20.0},
        "results": {name: result(1_000) for name in [*names, "ouch, leader killed"]},
    }


def test_the_machine_is_calibrated(tmp_path: Path) -> None:
    found = calibrate(tmp_path)
    assert found.keys() == {"loopback_hop_us", "fdatasync_us", "python_loop_ms"}
    assert min(found.values()) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_history_grows_line_by_line(facts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "folder" / "history.jsonl"
    later = {**facts, "at": "2026-01-02T00:00:00+00:00"}
    append_to_history(path, facts)
    append_to_history(path, later)
    assert read_history(path) == [facts, later]


def test_a_line_of_another_schema_is_refused(facts: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_to_history(path, facts)
    append_to_history(path, {**facts, "schema": SCHEMA + 1})
    with pytest.raises(ValueError, match="line 2: not a line of schema 1"):
        read_history(path)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lost", 1, "ouch window 10: 1 lost"),
        ("duplicated", 2, "ouch window 10: 2 duplicated"),
        ("hash_equal", False, "ouch window 10: state hashes differ"),
        ("problems", ["odd"], "ouch window 10: odd"),
    ],
)
def test_only_correctness_fails_a_run(
    facts: dict[str, Any], key: str, value: Any, told: str
) -> None:
    assert problems(facts) == []
    wrong = copy.deepcopy(facts)
    wrong["results"]["ouch window 10"][key] = value
    assert problems(wrong) == [told]
    slow = copy.deepcopy(facts)
    slow["results"]["ouch window 10"]["orders_per_s"] = 1
    assert problems(slow) == []


def test_a_measurement_that_could_not_be_made_is_a_problem(facts: dict[str, Any]) -> None:
    facts["results"]["fanout"] = {"problems": ["not ready"], "took_s": 60.0}
    assert problems(facts) == ["fanout: not ready"]
    assert summary(facts)


def test_figures_stand_beside_the_machine_s_own(facts: dict[str, Any]) -> None:
    rows = {name: (value, ratio) for name, value, ratio in summary(facts)}
    assert rows["machine: fdatasync_us"] == ("90", "")
    assert rows["ouch window 10: p50 us"] == ("900.0", "90 hops")
    assert rows["ouch window 10: orders/s"] == ("1000", "20.0 /loop")
    assert figure(facts, "ouch window 10", "ack_us", "p99") == 2_000.0
    assert figure(facts, "no such run", "ack_us", "p99") is None


@pytest.fixture
def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[dict[str, Any]], str]:
    """What `exchange bench report` says of a history with this one line, with exit code 2."""

    def report(line: dict[str, Any]) -> str:
        path = tmp_path / "history.jsonl"
        append_to_history(path, line)
        words = ["exchange", "bench", "report", str(path), "--html", str(tmp_path / "x.html")]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return report


def test_a_page_needs_matplotlib_and_says_so(
    facts: dict[str, Any],
    refusal: Callable[[dict[str, Any]], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("exchange.bench.html_report.import_module", absent)
    assert "replicated-exchange[bench]" in refusal(facts)


def test_a_history_that_is_none_is_refused_with_a_sentence(
    refusal: Callable[[dict[str, Any]], str],
) -> None:
    assert "line 1: not a line of schema 1" in refusal({"schema": 0})


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_page_holds_everything_itself(facts: dict[str, Any]) -> None:
    page = make_page(facts)
    assert page.count("<svg ") == 5
    assert "a &lt;fast&gt; one" in page
    assert "<script" not in page
    without_names = page.replace("http://www.w3.org/", "").replace("http://purl.org/", "")
    without_names = without_names.replace("http://creativecommons.org/", "")
    assert "src=" not in page
    assert 'href="http' not in without_names.replace("https://matplotlib.org/", "")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_plot_without_its_measurement_is_left_out(facts: dict[str, Any]) -> None:
    facts["results"] = {"ouch window 100": result(1_000)}
    assert make_page(facts).count("<svg ") == 2
