"""`exchange bench fanout`: from the commit of an order to the socket of somebody who listens to the
feed, on both lines, at a rate."""

from __future__ import annotations

import asyncio
import multiprocessing
import select
import socket
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

from cluster.admin import query
from exchange.bench.audit import Audit, all_problems
from exchange.bench.driver import NS_PER_S, Driver
from exchange.bench.figures import NS_PER_US, host_facts, percentiles
from exchange.bench.market import Market, make_market
from exchange.bench.readers import Pages, SlowReaders
from exchange.bench.session import LoadError, LoadSession
from exchange.bench.state import feed_facts, hashes_equal
from exchange.bench.throughput import prepare_sessions
from exchange.local import LocalExchange, local_exchange
from exchange.settings import client_tls, line_settings, node_addresses
from marketdata.lines import open_line
from marketdata.settings import LineSettings
from protocols import moldudp64

LINES: Final = ("A", "B")
_POLL_S: Final = 0.5
_ANSWER_TIMEOUT_S: Final = 30.0
_READY_TIMEOUT_S: Final = 20.0
_SO_TIMESTAMPNS: Final = 35
"""Of <asm-generic/socket.h>; Python's socket has no name for it."""
_DATAGRAM_BYTES: Final = 65_536
_ITCH_TIMESTAMP: Final = slice(5, 11)
_NS_PER_DAY: Final = 86_400 * NS_PER_S


class Fanout(NamedTuple):
    """What to measure, and under which load."""

    rate: int
    seconds: float
    warm_up_s: float
    clients: int
    symbols: int
    durability: str
    readers: int = 0
    """Of the market-data process's pages, meanwhile; see readers.py."""


class Heard(NamedTuple):
    """What a subscriber heard, one item per datagram. Times are of time.time_ns."""

    lines: bytes
    """Index in LINES."""
    stamps_ns: array[int]
    """Of the first message: ns since midnight, the time of its batch."""
    in_socket_ns: array[int]
    """When the kernel had it in the socket."""
    read_ns: array[int]
    """When the subscriber had read it."""


async def run_fanout(fanout: Fanout, say: Callable[[str], None]) -> dict[str, Any]:
    """Start an exchange and a subscriber, load it at a rate; returns the JSON of contract.md.
    Raises LocalExchangeError."""
    market = make_market("ouch", fanout.clients, fanout.symbols, durability=fanout.durability)
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as name:
        folder = Path(name)
        async with local_exchange(
            folder / "exchange", market.changes, more=market.more
        ) as exchange:
            sessions = prepare_sessions(market, _requests(fanout), folder)
            readers = f", {fanout.readers} slow readers of pages" if fanout.readers else ""
            say(f"ready: {fanout.rate} requests/s for {fanout.seconds:g} s, a subscriber{readers}")
            try:
                return await _measure(exchange, market, sessions, fanout)
            finally:
                for session in sessions:
                    session.close()


def _requests(fanout: Fanout) -> int:
    """Of one client, a few more than are due."""
    return int(fanout.rate * (fanout.seconds + fanout.warm_up_s + 1) / fanout.clients) + 1


async def _measure(
    exchange: LocalExchange, market: Market, sessions: list[LoadSession], fanout: Fanout
) -> dict[str, Any]:
    subscriber = await asyncio.to_thread(Subscriber, line_settings(exchange.config))
    readers: SlowReaders | None = None
    pages = Pages()
    try:
        if fanout.readers:
            http = exchange.config.addresses.marketdata_http
            readers = await asyncio.to_thread(SlowReaders, fanout.readers, http, market.symbols)
        for number, session in enumerate(sessions):
            await asyncio.to_thread(session.connect, market.address(exchange, number))
        begun_ns = time.perf_counter_ns() + int(fanout.warm_up_s * NS_PER_S)
        ended_ns = begun_ns + int(fanout.seconds * NS_PER_S)
        driver = Driver(sessions)
        driving = asyncio.create_task(asyncio.to_thread(_drive, driver, fanout.rate, ended_ns))
        commits = await _commits(exchange, driving)
        problems = [driving.result()] if driving.result() else []
        heard = await asyncio.to_thread(subscriber.end)
        if readers is not None:
            pages = await asyncio.to_thread(readers.end)
    finally:
        subscriber.kill()
        if readers is not None:
            readers.kill()
    if pages.failed:
        problems.append(f"{pages.failed} times a reader of pages had no answer")
    audit = Audit(begun_ns, ended_ns)
    await asyncio.to_thread(audit.read, sessions, market.entry)
    figures = delays(heard, commits, begun_ns, ended_ns)
    feed = await feed_facts(exchange)
    return {
        **figures,
        "rate": fanout.rate,
        "orders_per_s": round(audit.answered / fanout.seconds),
        "acked": audit.all_answered,
        "lost": audit.lost,
        "duplicated": audit.duplicated,
        "ack_us": percentiles(audit.latencies_ns, NS_PER_US),
        "feed": feed,
        "pages": asdict(pages),
        "hash_equal": await hashes_equal(exchange),
        "problems": [*problems, *all_problems(audit), *feed.pop("problems")],
        "entry": market.entry,
        "nodes": 3,
        "clients": fanout.clients,
        "symbols": fanout.symbols,
        "durability": fanout.durability,
        "seconds": fanout.seconds,
        "warm_up_s": fanout.warm_up_s,
        "readers": fanout.readers,
        "host": host_facts(),
    }


def _drive(driver: Driver, rate: int, ended_ns: int) -> str:
    """The whole load; what went wrong, or ""."""
    try:
        driver.opened(rate, ended_ns)
        return "" if driver.settle(_ANSWER_TIMEOUT_S) else "not everything was answered in time"
    except LoadError as error:
        return str(error)


async def _commits(exchange: LocalExchange, until: asyncio.Task[str]) -> dict[int, int]:
    """Time stamp of each batch (ns since midnight) -> when the leader had it committed
    (time.perf_counter_ns). The leader keeps the latest ones, so it is asked again and again."""
    leader = await exchange.leader()
    address, tls = node_addresses(exchange.config)[leader], client_tls(exchange.config)
    found: dict[int, int] = {}
    done = False
    while not done:
        done = until.done()
        recent = await query(address, "node", ("commits",), node_id=leader, tls=tls)
        found |= {time_ns % _NS_PER_DAY: int(at_s * NS_PER_S) for time_ns, at_s in recent}
        if not done:
            await asyncio.wait({until}, timeout=_POLL_S)
    return found


def delays(heard: Heard, commits: dict[int, int], begun_ns: int, ended_ns: int) -> dict[str, Any]:
    """The figures: percentiles in us of each line, of what was committed in [begun_ns, ended_ns),
    by time.perf_counter_ns as the times of `commits` are."""
    wall_ns = time.time_ns() - time.perf_counter_ns()
    socket_ns = {line: array("q") for line in LINES}
    read_ns = {line: array("q") for line in LINES}
    for number, stamp_ns in enumerate(heard.stamps_ns):
        committed_ns = commits.get(stamp_ns)
        if committed_ns is None or not begun_ns <= committed_ns < ended_ns:
            continue
        line = LINES[heard.lines[number]]
        socket_ns[line].append(heard.in_socket_ns[number] - wall_ns - committed_ns)
        read_ns[line].append(heard.read_ns[number] - wall_ns - committed_ns)
    return {
        "datagrams": {line: len(values) for line, values in socket_ns.items()},
        "commit_to_socket_us": {
            line: percentiles(values, NS_PER_US) for line, values in socket_ns.items()
        },
        "commit_to_read_us": {
            line: percentiles(values, NS_PER_US) for line, values in read_ns.items()
        },
    }


class Subscriber:
    """A process of its own that listens to both lines, as a member's would."""

    def __init__(self, lines: LineSettings) -> None:
        """Returns when it listens. Raises OSError when it cannot."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_listen, args=(lines, other), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(_READY_TIMEOUT_S) or self._pipe.recv() != "ready":
            self.kill()
            raise OSError("the subscriber cannot listen to the lines")

    def end(self) -> Heard:
        """Stop listening; what was heard. Raises EOFError when it has died."""
        self._pipe.send("end")
        heard: Heard = self._pipe.recv()
        return heard

    def kill(self) -> None:
        """Make sure that it is gone."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _listen(lines: LineSettings, pipe: Connection) -> None:
    """The subscriber: wait for a datagram, note when it came."""
    sockets = [
        open_line(line, lines.interface, lines.receive_buffer_bytes)
        for line in (lines.line_a, lines.line_b)
    ]
    for line in sockets:
        line.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    heard = Heard(b"", array("q"), array("q"), array("q"))
    numbers = bytearray()
    inputs: list[Any] = [*sockets, pipe]
    pipe.send("ready")
    while True:
        readable, _, _ = select.select(inputs, (), ())
        for number, line in enumerate(sockets):
            if line in readable:
                data, ancillary, _, _ = line.recvmsg(_DATAGRAM_BYTES, 64)
                read_ns = time.time_ns()
                if len(data) > moldudp64.HEADER_LENGTH:  # no heartbeat
                    numbers.append(number)
                    heard.stamps_ns.append(_first_timestamp(data))
                    heard.in_socket_ns.append(_kernel_time_ns(ancillary))
                    heard.read_ns.append(read_ns)
        if pipe in readable:
            break
    pipe.send(heard._replace(lines=bytes(numbers)))


def _first_timestamp(datagram: bytes) -> int:
    """Time stamp of the first ITCH message of a datagram, ns since midnight."""
    message = datagram[moldudp64.HEADER_LENGTH + 2 :]
    return int.from_bytes(message[_ITCH_TIMESTAMP], "big")


def _kernel_time_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's receive time of a datagram, as time.time_ns has it; a timespec."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            half = len(data) // 2
            seconds = int.from_bytes(data[:half], sys.byteorder)
            return seconds * NS_PER_S + int.from_bytes(data[half:], sys.byteorder)
    raise OSError("the kernel does not say when datagrams came: SO_TIMESTAMPNS")
