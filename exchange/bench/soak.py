"""`exchange bench soak`: full load for long without any fault: no election may happen.

Unlike throughput it can go on for hours: requests are made as they are sent, answers are counted
and sampled, nothing is kept. Every order is canceled again, so that the books stay as they are and
what grows is what would grow for ever.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from cluster.admin import state_hash
from exchange.bench.figures import NS_PER_US, host_facts, percentiles
from exchange.bench.flow import MIDDLE_PRICE, QUANTITY, TICK
from exchange.bench.window import FixWindowSession
from exchange.fix_client import (
    BEGIN_STRING,
    new_order_single,
    order_cancel_replace_request,
    order_cancel_request,
)
from exchange.http_client import leader_of
from exchange.ledger import answered_request, read_report
from exchange.local import LocalExchange, local_exchange
from exchange.processes import all_processes, resident_bytes
from exchange.settings import client_tls, node_addresses
from oms.price import format_price
from protocols.fix import FixDecoder, FixEncoder, encode_body, format_utc_timestamp

SEED = 7
SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
OPEN_ORDERS = 100
"""Orders of a session that may be open before it cancels the oldest."""
REPLACES = 0.2
"""Part of the messages that are not cancels."""
SAMPLE_S = 10.0
LATENCIES_KEPT = 50_000
BLOCKS_UNREAD = 20
"""One block of answers in so many is decoded, and compared with what was asked."""
ANSWER_TIMEOUT_S = 30.0
HASH_TIMEOUT_S = 120.0
"""Of millions of names."""


class Load(NamedTuple):
    """What to put on the exchange, and for how long."""

    seconds: float
    clients: int
    window: int
    durability: str


def requests(comp_id: str, seed: int) -> Iterator[tuple[str, bytes]]:
    """(ClOrdID, frame) without end: orders around the middle, some of them replaced, each canceled
    when OPEN_ORDERS newer ones are there. About half have traded by then: that cancel is refused,
    which is an answer, too."""
    chooser = random.Random(f"{seed}/{comp_id}")
    encoder = FixEncoder(BEGIN_STRING, comp_id, "EXCH")
    orders: deque[tuple[str, str, str, str]] = deque()  # ClOrdID, symbol, side, price
    number = 0
    while True:
        number += 1
        name = f"{comp_id}-{number}"
        if len(orders) >= OPEN_ORDERS:
            oldest, symbol, side, _ = orders.popleft()
            msg_type, fields = "F", order_cancel_request(name, oldest, symbol, side)
        elif orders and chooser.random() < REPLACES:
            latest, symbol, side, price = orders.pop()
            msg_type = "G"
            fields = order_cancel_replace_request(name, latest, symbol, side, 2 * QUANTITY, price)
            orders.append((name, symbol, side, price))
        else:
            symbol, side = chooser.choice(SYMBOLS), chooser.choice("12")
            distance = chooser.randrange(-4, 12) * TICK
            middle = MIDDLE_PRICE - distance if side == "1" else MIDDLE_PRICE + distance
            price = format_price(middle)
            msg_type, fields = "D", new_order_single(name, symbol, side, QUANTITY, price)
            orders.append((name, symbol, side, price))
        now = format_utc_timestamp(time.time_ns())
        yield name, encoder.encode(msg_type, encode_body(fields), number + 1, now)


class SoakSession(FixWindowSession):
    """Never runs out of requests. `problems` are contradictions in the answers that were read."""

    def __init__(self, comp_id: str, window: int) -> None:
        super().__init__(comp_id, window)
        self.times_ns: list[int] = []
        self.answers_read = 0
        self.problems: list[str] = []
        self._requests = requests(comp_id, SEED)
        self._unanswered: deque[tuple[str, int]] = deque()
        self._random = random.Random(comp_id)

    def next_frames(self, count: int) -> list[bytes]:
        """Make them."""
        made = list(islice(self._requests, count))
        now_ns = time.perf_counter_ns()
        self._unanswered.extend((name, now_ns) for name, _ in made)
        return [frame for _, frame in made]

    def answers(self, messages: bytes, count: int) -> None:
        """Note how long one of them took; now and then read them all."""
        if count > len(self._unanswered):
            self.problems.append(f"{self.name}: more answers than requests")
            return
        answered = [self._unanswered.popleft() for _ in range(count)]
        self._sample(time.perf_counter_ns() - answered[0][1])
        if self._random.randrange(BLOCKS_UNREAD) == 0:
            self._read(messages, [name for name, _ in answered])

    def _sample(self, time_ns: int) -> None:
        """Keep an even sample of all times (Vitter, reservoir sampling, with the count of answers
        in place of the count of samples)."""
        if len(self.times_ns) < LATENCIES_KEPT:
            self.times_ns.append(time_ns)
        elif self._random.random() < LATENCIES_KEPT / self.answered:
            self.times_ns[self._random.randrange(LATENCIES_KEPT)] = time_ns

    def _read(self, messages: bytes, asked: Sequence[str]) -> None:
        reports = [
            read_report(message, 0)
            for message in FixDecoder().feed(messages)
            if message.msg_type in "89j3"
        ]
        told = [name for report in reports if (name := answered_request(report)) is not None]
        self.answers_read += len(told)
        if told != list(asked) and len(self.problems) < 10:
            self.problems.append(f"{self.name}: asked {asked}, answered {told}")


async def run_soak(load: Load, folder: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Start an exchange (in `folder`, or in a temporary one), load it, and look at it every ten
    seconds; returns figures for `--json`. Raises LocalExchangeError."""
    changes = {"cluster.durability": f'"{load.durability}"'}
    with tempfile.TemporaryDirectory(prefix="exchange-bench-", dir=folder) as made:
        async with local_exchange(Path(made), changes) as exchange:
            sessions = [
                SoakSession(f"CLIENT{number}", load.window) for number in range(1, load.clients + 1)
            ]
            for session in sessions:
                await session.connect(exchange.config.addresses.fix[0])
            try:
                return await _soak(exchange, sessions, load, say)
            finally:
                for session in sessions:
                    session.close()


async def _soak(
    exchange: LocalExchange,
    sessions: Sequence[SoakSession],
    load: Load,
    say: Callable[[str], None],
) -> dict[str, Any]:
    begin = await _look(exchange)
    begun_s = time.monotonic()
    for session in sessions:
        session.start()
    rates = await _rates(exchange, sessions, begun_s + load.seconds, say)
    seconds = time.monotonic() - begun_s
    answered = sum(session.answered for session in sessions)
    for session in sessions:
        session.stop()
    waits = [asyncio.create_task(session.all_answered.wait()) for session in sessions]
    await asyncio.wait(waits, timeout=ANSWER_TIMEOUT_S)
    await exchange.wait_until_level()
    end = await _look(exchange)
    hashes = await state_hash(
        node_addresses(exchange.config), timeout_s=HASH_TIMEOUT_S, tls=client_tls(exchange.config)
    )
    problems = [problem for session in sessions for problem in session.problems]
    problems += [f"{s.name} lost its connection" for s in sessions if s.lost_connection]
    problems += [f"{event['process']} ended by itself" for event in exchange.exited]
    elections = end["term"] - begin["term"]
    if elections:
        problems.append(f"{elections} elections without any fault")
    return {
        "seconds": round(seconds, 1),
        "orders_per_s": round(answered / seconds),
        "orders_per_s_least": min(rates, default=None),
        "acked": sum(session.answered for session in sessions),
        "answers_read": sum(session.answers_read for session in sessions),
        "lost": sum(max(0, session.sent - session.answered) for session in sessions),
        "duplicated": sum(max(0, session.answered - session.sent) for session in sessions),
        "elections": elections,
        "leader": [begin["leader"], end["leader"]],
        "hash_equal": len(set(hashes.values())) == 1 and None not in hashes.values(),
        "ack_us": percentiles([t for s in sessions for t in s.times_ns], NS_PER_US),
        "memory_bytes": _begin_and_end(begin, end, "memory_bytes"),
        "journal_bytes": _begin_and_end(begin, end, "journal_bytes"),
        "disk_bytes": _begin_and_end(begin, end, "disk_bytes"),
        "entry": "fix",
        "nodes": len(exchange.config.node_ids),
        "durability": load.durability,
        "clients": load.clients,
        "window": load.window,
        "problems": problems,
        "host": host_facts(),
    }


async def _rates(
    exchange: LocalExchange,
    sessions: Sequence[SoakSession],
    deadline_s: float,
    say: Callable[[str], None],
) -> list[int]:
    """Wait until the deadline; returns requests answered per second in each SAMPLE_S."""
    rates: list[int] = []
    last_s, last_answered = time.monotonic(), 0
    while (left_s := deadline_s - time.monotonic()) > 0 and not any(
        session.lost_connection for session in sessions
    ):
        await asyncio.sleep(min(SAMPLE_S, left_s))
        now_s, answered = time.monotonic(), sum(session.answered for session in sessions)
        if left_s >= SAMPLE_S or not rates:
            rates.append(round((answered - last_answered) / (now_s - last_s)))
        last_s, last_answered = now_s, answered
        seen = await _look(exchange)
        memory_mb = round(sum(seen["memory_bytes"].values()) / 1e6)
        say(f"{answered} answered, {rates[-1]}/s, term {seen['term']}, {memory_mb} MB in memory")
    return rates


async def _look(exchange: LocalExchange) -> dict[str, Any]:
    """What may grow, and whether anybody stood for election."""
    statuses = await exchange.statuses()
    pids = {p.name: exchange.pid(p.name) for p in all_processes(exchange.config)}
    return {
        "leader": leader_of(statuses),
        "term": max((int(status["term"]) for status in statuses.values()), default=0),
        "memory_bytes": {
            name: resident_bytes(pid) for name, pid in pids.items() if pid is not None
        },
        "journal_bytes": {
            f"node-{node_id}": int(status["journal_bytes"]) for node_id, status in statuses.items()
        },
        "disk_bytes": {name: _disk_bytes(exchange.config.data_dir / name) for name in pids},
    }


def _disk_bytes(folder: Path) -> int:
    """Space that the files below a folder take; files come and go meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += 512 * path.stat().st_blocks
        except FileNotFoundError:
            continue
    return total


def _begin_and_end(begin: dict[str, Any], end: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: {"begin": begin[key].get(name), "end": found} for name, found in end[key].items()}
