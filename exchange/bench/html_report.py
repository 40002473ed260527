"""One line of the history as one HTML page with plots: nothing is loaded from anywhere.

matplotlib draws the plots as SVG, which goes into the page as it is. It is asked for only here:
pip install 'replicated-exchange[bench]'.
"""

from __future__ import annotations

import html
import io
from importlib import import_module
from typing import Any, Final

from exchange.bench.stages import LEADER_STAGES
from exchange.bench.suite import PARTS_OF_PEAK, WINDOWS, Facts, figure, summary

_QUANTILES: Final = ("p50", "p99", "p999")
_STAGES: Final = ("gateway_in", "wire", *LEADER_STAGES, "gateway_out")
_WIDTH_INCHES, _HEIGHT_INCHES = 8.0, 3.6
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; }
td, th { border-bottom: 1px solid #ddd; padding: .15em 1em .15em 0; text-align: left; }
td:nth-child(n+2) { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; }
"""


class ReportError(Exception):
    """The page cannot be made; the text says what to do."""


def make_page(facts: Facts) -> str:
    """The page of one run. A plot whose measurement is not there is left out. Raises
    ReportError."""
    plots = [
        ("Latency by load", "Open loop; from when a request was due.", _by_load(facts)),
        (
            "Latency over time, the leader killed",
            "SIGKILL at the dashed line. A gap is a time at which nothing was due.",
            _across_failover(facts),
        ),
        ("Throughput by window", "Closed loop, 8 OUCH clients.", _by_window(facts)),
        ("CPU per order", "Microseconds in each process.", _cpu(facts)),
        ("Stages", "Mean microseconds of a batch, open loops.", _stages(facts)),
    ]
    parts = [f"<h1>Bench of {html.escape(facts['at'])}</h1>", _conditions(facts)]
    for title, text, plot in plots:
        if plot:
            parts.append(f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{plot}")
    parts.append("<h2>All figures</h2>" + _table(["figure", "", "of the machine"], summary(facts)))
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Bench</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _conditions(facts: Facts) -> str:
    known = {"version": facts["version"], **facts["host"], **facts["calibration"]}
    return _table(["condition", ""], [[name, str(value)] for name, value in known.items()])


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = [
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows
    ]
    return f"<table><tr>{cells}</tr>{''.join(lines)}</table>"


# ---- plots ----


def _new_figure() -> tuple[Any, Any]:
    """A figure of matplotlib and its axes."""
    try:
        module = import_module("matplotlib.figure")
    except ImportError as error:
        raise ReportError(
            "plots need matplotlib: pip install 'replicated-exchange[bench]'"
        ) from error
    drawn = module.Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), layout="constrained")
    return drawn, drawn.subplots()


def _svg(drawn: Any) -> str:
    """The figure as an element of a page."""
    text = io.StringIO()
    drawn.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def _open_loops(facts: Facts) -> list[str]:
    names = [f"ouch at {round(100 * part)} %" for part in PARTS_OF_PEAK]
    return [name for name in names if name in facts["results"]]


def _by_load(facts: Facts) -> str:
    names = _open_loops(facts)
    if not names:
        return ""
    drawn, axes = _new_figure()
    rates = [figure(facts, name, "orders_per_s") for name in names]
    for quantile in _QUANTILES:
        values = [figure(facts, name, "ack_us", quantile) for name in names]
        axes.plot(rates, values, marker="o", label=quantile)
    axes.set(xlabel="orders/s", ylabel="us to the acknowledgement", yscale="log")
    axes.legend()
    return _svg(drawn)


def _across_failover(facts: Facts) -> str:
    rows = figure(facts, "ouch, leader killed", "over_time")
    if not rows:
        return ""
    drawn, axes = _new_figure()
    for quantile in ("p50_us", "max_us"):
        axes.plot(
            [row["at_s"] for row in rows],
            [row[quantile] or float("nan") for row in rows],
            label=quantile.removesuffix("_us"),
        )
    killed_s = figure(facts, "ouch, leader killed", "killed_after_s")
    if killed_s is not None:
        axes.axvline(killed_s, linestyle="--", color="gray")
    axes.set(xlabel="s", ylabel="us to the acknowledgement", yscale="log")
    axes.legend()
    return _svg(drawn)


def _by_window(facts: Facts) -> str:
    windows = [w for w in WINDOWS if f"ouch window {w}" in facts["results"]]
    if not windows:
        return ""
    drawn, axes = _new_figure()
    names = [f"ouch window {window}" for window in windows]
    axes.plot(windows, [figure(facts, name, "orders_per_s") for name in names], marker="o")
    axes.set(xlabel="requests of a client without an answer", ylabel="orders/s", xscale="log")
    axes.set_xticks(windows, [str(window) for window in windows])
    axes.set_ylim(bottom=0)
    return _svg(drawn)


def _cpu(facts: Facts) -> str:
    costs = {
        name: {k: v for k, v in result["cpu_us_per_order"].items() if k != "total"}
        for name, result in facts["results"].items()
        if "cpu_us_per_order" in result
    }
    return _stacked(costs, "us of CPU per order") if costs else ""


def _stages(facts: Facts) -> str:
    costs = {
        name: {stage: figure(facts, name, "stages_us", stage, "mean_us") for stage in _STAGES}
        for name in _open_loops(facts)
    }
    return _stacked(costs, "us") if costs else ""


def _stacked(costs: dict[str, dict[str, float]], label: str) -> str:
    """A bar for each measurement, a piece for each part."""
    drawn, axes = _new_figure()
    names = list(costs)
    parts = dict.fromkeys(part for cost in costs.values() for part in cost)
    left = [0.0] * len(names)
    for part in parts:
        # A stage that is the difference of two clocks may be a little below nothing.
        values = [max(0.0, costs[name].get(part, 0.0)) for name in names]
        axes.barh(names, values, left=left, label=part)
        left = [before + value for before, value in zip(left, values, strict=True)]
    axes.set(xlabel=label)
    axes.invert_yaxis()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    return _svg(drawn)
