"""Reconciliation: what clients sent, what they were told, the feed and the journals must agree.

Each check returns a list of sentences, one per contradiction; an empty list means agreement. They
know nothing of who made the trades, so the demo, the bench, the chaos tests and the container tests
use the same ones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from exchange.ledger import Ledger, Report, answered_request

WORKING = frozenset("01")  # OrdStatus(39): new, partially filled
LONGEST_LIST = 20


def check_sessions(ledgers: Sequence[Ledger]) -> list[str]:
    """Every request answered exactly once, no ExecID twice, quantities consistent."""
    problems: list[str] = []
    exec_ids: Counter[str] = Counter()
    for ledger in ledgers:
        problems += _check_answers(ledger)
        problems += _check_quantities(ledger)
        exec_ids.update(report.exec_id for report in ledger.reports if report.msg_type == "8")
    problems += [f"ExecID {exec_id} came {n} times" for exec_id, n in exec_ids.items() if n > 1]
    return problems


def _check_answers(ledger: Ledger) -> list[str]:
    answers: Counter[str] = Counter()
    problems = []
    for report in ledger.reports:
        answered = answered_request(report)
        if report.msg_type in "3j":
            problems.append(f"{ledger.comp_id}: refused as a message: {report.text}")
        if answered is not None:
            answers[answered] += 1
    for cl_ord_id, request in ledger.requests.items():
        if answers[cl_ord_id] != 1:
            what = "was never answered" if not answers[cl_ord_id] else "was answered twice"
            problems.append(f"{ledger.comp_id}: {request.msg_type} {cl_ord_id} {what}")
    unknown = [cl_ord_id for cl_ord_id in answers if cl_ord_id not in ledger.requests]
    problems += [f"{ledger.comp_id}: an answer to {name}, never sent" for name in unknown]
    return problems


def _check_quantities(ledger: Ledger) -> list[str]:
    """CumQty is the sum of LastQty; LeavesQty is the rest while the order works, else 0."""
    problems = []
    cum_qty: dict[str, int] = defaultdict(int)
    for report in ledger.reports:
        if report.msg_type != "8" or report.exec_type in ("8", "I"):
            continue
        name = f"{ledger.comp_id}: order {report.order_id} ({report.cl_ord_id})"
        if report.exec_type == "F":
            cum_qty[report.order_id] += report.last_qty
            if report.last_qty <= 0:
                problems.append(f"{name}: a fill of {report.last_qty} shares")
        if report.cum_qty != cum_qty[report.order_id]:
            filled = cum_qty[report.order_id]
            problems.append(f"{name}: CumQty {report.cum_qty}, but the fills add up to {filled}")
        if report.ord_status in WORKING:
            if report.quantity != report.cum_qty + report.leaves_qty:
                problems.append(
                    f"{name}: OrderQty {report.quantity} is not CumQty {report.cum_qty} + "
                    f"LeavesQty {report.leaves_qty}"
                )
        elif report.leaves_qty != 0:
            problems.append(f"{name}: LeavesQty {report.leaves_qty} in status {report.ord_status}")
    return problems


def fills(ledgers: Iterable[Ledger]) -> dict[int, list[Report]]:
    """Fills of all sessions by match number."""
    by_match: dict[int, list[Report]] = defaultdict(list)
    for ledger in ledgers:
        for report in ledger.reports:
            if report.msg_type == "8" and report.exec_type == "F":
                by_match[report.match_number].append(report)
    return by_match


def check_trades(ledgers: Sequence[Ledger]) -> list[str]:
    """Every match number has a buyer and a seller with equal symbol, price and quantity.

    All who traded must be among `ledgers`.
    """
    problems = []
    for match_number, sides in fills(ledgers).items():
        if match_number == 0:
            problems.append(f"{len(sides)} fills without a match number")
            continue
        if len(sides) != 2 or {side.side == "1" for side in sides} != {True, False}:
            who = ", ".join(f"{side.cl_ord_id} side {side.side}" for side in sides)
            problems.append(f"match {match_number} is not one buyer and one seller: {who}")
        elif len({(side.symbol, side.last_qty, side.last_price) for side in sides}) != 1:
            facts = " / ".join(f"{s.symbol} {s.last_qty}@{s.last_price}" for s in sides)
            problems.append(f"match {match_number}: the sides differ: {facts}")
    return problems


def check_executions_on_feed(
    ledgers: Sequence[Ledger], executions: Sequence[tuple[int, int, int, str]]
) -> list[str]:
    """The feed's executions (match number, quantity, price, symbol) are the fills, one to one."""
    problems = []
    published: dict[int, tuple[int, int, str]] = {}
    for match_number, quantity, price, symbol in executions:
        if match_number in published:
            problems.append(f"match {match_number} is on the feed twice")
        published[match_number] = (quantity, price, symbol)
    reported = {
        match_number: (sides[0].last_qty, sides[0].last_price, sides[0].symbol)
        for match_number, sides in fills(ledgers).items()
    }
    for match_number in sorted(published.keys() | reported.keys()):
        on_feed, in_reports = published.get(match_number), reported.get(match_number)
        if on_feed != in_reports:
            problems.append(f"match {match_number}: feed {on_feed}, reports {in_reports}")
    return problems


def check_log(ledgers: Sequence[Ledger], accepted: Counter[tuple[str, str]]) -> list[str]:
    """Every acknowledged order is in the log exactly once.

    `accepted`: (session, ClOrdID) -> OrderAccepted events that the journal yields when replayed.
    """
    problems = []
    told = {
        (ledger.comp_id, report.cl_ord_id)
        for ledger in ledgers
        for report in ledger.reports
        if report.msg_type == "8" and report.exec_type == "0"
    }
    for session, cl_ord_id in sorted(told):
        times = accepted[(session, cl_ord_id)]
        if times != 1:
            problems.append(f"{session}: {cl_ord_id} was acknowledged; it is in the log {times} x")
    ours = {ledger.comp_id for ledger in ledgers}
    for session, cl_ord_id in sorted(accepted.keys() - told):
        if session in ours:
            problems.append(f"{session}: {cl_ord_id} is live in the log, but nobody was told")
    return problems


def lost_and_duplicated(ledgers: Sequence[Ledger]) -> tuple[int, int]:
    """Requests without an answer, and answers or ExecIDs too many."""
    lost = duplicated = 0
    exec_ids: Counter[str] = Counter()
    for ledger in ledgers:
        answers = Counter(answered_request(report) for report in ledger.reports)
        lost += sum(answers[cl_ord_id] == 0 for cl_ord_id in ledger.requests)
        duplicated += sum(max(0, answers[cl_ord_id] - 1) for cl_ord_id in ledger.requests)
        exec_ids.update(report.exec_id for report in ledger.reports if report.msg_type == "8")
    return lost, duplicated + sum(n - 1 for n in exec_ids.values())


def shortened(problems: Sequence[str]) -> list[str]:
    """The first problems, and how many there are."""
    more = len(problems) - LONGEST_LIST
    return [*problems[:LONGEST_LIST], *([f"... and {more} more"] if more > 0 else [])]


def book_problems(symbol: str, expected: Any, served: Any) -> list[str]:
    """The book rebuilt from the capture and the one that the market-data process serves."""
    return [] if expected == served else [f"{symbol}: the feed gives {expected}, HTTP {served}"]
