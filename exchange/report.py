"""The reconciliation of a whole local exchange: sessions, feed, books, nodes, journals."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cluster.admin import state_hash
from exchange.capture import FeedCapture, levels
from exchange.http_client import get_json
from exchange.journals import read_journals
from exchange.ledger import Ledger
from exchange.local import LocalExchange, LocalExchangeError, wait_for
from exchange.reconcile import (
    book_problems,
    check_executions_on_feed,
    check_log,
    check_sessions,
    check_trades,
    fills,
)
from exchange.settings import client_tls, node_addresses

BOOK_DEPTH = 1_000
SETTLE_TIMEOUT_S = 30.0


async def settle(ledgers: Sequence[Ledger], timeout_s: float = SETTLE_TIMEOUT_S) -> None:
    """Wait until every request has been answered; what stays open is for check_sessions to tell."""
    with contextlib.suppress(LocalExchangeError):
        await wait_for(
            lambda: not any(ledger.unanswered for ledger in ledgers), "all is answered", timeout_s
        )


async def check_running(
    exchange: LocalExchange, ledgers: Sequence[Ledger], capture: FeedCapture | None
) -> dict[str, list[str]]:
    """Everything that can be checked while the exchange is still up and nobody trades."""
    problems = {"sessions": check_sessions(ledgers), "trades": check_trades(ledgers)}
    await exchange.wait_until_level()
    hashes = await state_hash(node_addresses(exchange.config), tls=client_tls(exchange.config))
    differ = len(set(hashes.values())) != 1 or None in hashes.values()
    problems["state hash"] = [f"nodes differ: {hashes}"] if differ else []
    if capture is not None:
        served = await _wait_for_feed(exchange, capture)
        problems["feed"] = check_executions_on_feed(ledgers, capture.executions())
        problems["feed"] += capture.findings()
        if capture.receiver.counters.lost:
            problems["feed"].append(f"{capture.receiver.counters.lost} messages were lost")
        problems["books"] = await _check_books(exchange, capture, served)
    return problems


async def _wait_for_feed(exchange: LocalExchange, capture: FeedCapture) -> int:
    """Wait until the market-data process and the capture stand at the same message."""
    http = exchange.config.addresses.marketdata_http

    async def level() -> int:
        status = await get_json(http, "/status")
        same = status["sequence"] == len(capture.messages) and status["missing"] == 0
        return int(status["sequence"]) if same and capture.receiver.missing == 0 else 0

    found: int = await wait_for(level, "market data and the capture are level", 10.0, poll_s=0.1)
    return found


async def _check_books(
    exchange: LocalExchange, capture: FeedCapture, served_sequence: int
) -> list[str]:
    http = exchange.config.addresses.marketdata_http
    problems = []
    for symbol in capture.depth.symbols:
        book = capture.depth.book(symbol)
        assert book is not None
        served = await get_json(http, f"/book/{symbol}?depth={BOOK_DEPTH}")
        if served["sequence"] != served_sequence:
            problems.append(f"{symbol}: the feed moved on while the books were compared")
        found = {"bids": served["bids"], "asks": served["asks"]}
        problems += book_problems(symbol, levels(book), found)
    return problems


def check_stopped(exchange: LocalExchange, ledgers: Sequence[Ledger]) -> dict[str, list[str]]:
    """What can only be read after the nodes have stopped: their journals."""
    config = exchange.config
    folders = [config.data_dir / f"node-{node_id}" for node_id in config.node_ids]
    journals = read_journals(folders)
    problems = list(journals.problems)
    for replayed in journals.replayed.values():
        problems += check_log(ledgers, replayed.accepted)
    states = {(r.event_seq, r.state_hash) for r in journals.replayed.values()}
    if len(states) != 1:
        problems.append(f"replayed journals differ: {sorted(states)}")
    return {"journals": problems}


def totals(ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """Counts for the summary."""
    kinds = Counter(request.msg_type for ledger in ledgers for request in ledger.requests.values())
    answers = Counter(
        (report.msg_type, report.exec_type) for ledger in ledgers for report in ledger.reports
    )
    return {
        "sessions": len(ledgers),
        "requests": sum(kinds.values()),
        "orders": kinds["D"],
        "cancels": kinds["F"],
        "replaces": kinds["G"],
        "accepted": answers[("8", "0")],
        "rejected": answers[("8", "8")],
        "cancel_rejected": answers[("9", "")],
        "trades": len(fills(ledgers)),
    }
