"""A busy, seeded day of a real exchange, and everything that went over its market-data lines.

Four FIX sessions and two OUCH users enter, replace, reduce and cancel limit, market and immediate
orders in all symbols but one; another is halted for a while. Both lines are recorded from before
the exchange starts.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from cluster.interface import AppliedBatch, NodeRole
from cluster.settings import Address
from exchange.capture import FeedCapture, capture_of
from exchange.http_client import get_json
from exchange.ledger import Report
from exchange.local import LocalExchange, new_local_exchange, wait_for
from exchange.ouch_client import OuchClient
from exchange.reconcile import check_sessions
from exchange.report import settle
from exchange.settings import line_settings
from exchange.traders import OuchTrader, Trader
from marketdata.lines import LineSender, open_line
from marketdata.publisher import ItchPublisher
from marketdata.settings import FeedSettings, LineSettings
from marketdata.tape import CaptureWriter
from oms.events import EventKind, SystemEvent, SystemEventCode
from protocols.moldudp64 import HEADER_LENGTH
from protocols.ouch50_messages import CancelOrder

SEED = 19_710_208
MESSAGES = 12_000
HALTED = "NVDA"
QUIET = "ZVZZT"
"""Nobody trades it, so a test that does meets nobody else."""
FIX_CLIENTS = ("CLIENT1", "CLIENT2", "CLIENT3", "CLIENT4")
OUCH_USERS = ("OUCH1", "OUCH2")
RATE_PER_S = 120.0
LONGEST_DAY_S = 180.0
END_PACKETS = 5
SILENCE_MS = 3_000
"""An OUCH client that says nothing for so long is cut off; short, because a test waits for it."""
Result = TypeVar("Result")


class Datagram(NamedTuple):
    """One packet of a line, and when it was read."""

    time_ns: int
    line: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class Day:
    """What a day left behind."""

    lines: LineSettings
    messages: list[bytes]
    """Of the whole day, from number 1, System Event C included."""
    datagrams: dict[str, list[Datagram]]
    """Line name -> packets in the order of their arrival, up to the End of Session."""
    ouch_messages: dict[str, list[bytes]]
    """OUCH user -> sequenced messages from number 1, as they came while trading."""
    capture: Path
    """`messages` as a BinaryFILE."""

    @property
    def counts(self) -> Counter[str]:
        """Messages by type."""
        return Counter(chr(message[0]) for message in self.messages)


class LineRecorder:
    """Joins both groups and keeps every datagram."""

    def __init__(self, lines: LineSettings) -> None:
        self.datagrams: dict[str, list[Datagram]] = {"A": [], "B": []}
        self._addresses = {"A": lines.line_a, "B": lines.line_b}
        self._sockets = {
            name: open_line(address, lines.interface, lines.receive_buffer_bytes)
            for name, address in self._addresses.items()
        }
        for name, line_socket in self._sockets.items():
            asyncio.get_running_loop().add_reader(line_socket, self._read, name, line_socket)

    def heartbeats(self, name: str) -> int:
        """Packets without a message on a line so far."""
        return sum(len(one.data) == HEADER_LENGTH for one in self.datagrams[name])

    def close(self) -> None:
        """Leave the groups."""
        for line_socket in self._sockets.values():
            asyncio.get_running_loop().remove_reader(line_socket)
            line_socket.close()

    def _read(self, name: str, line_socket: socket.socket) -> None:
        while True:
            try:
                data = line_socket.recv(65_535)
            except BlockingIOError:
                return
            self.datagrams[name].append(Datagram(time.time_ns(), self._addresses[name], data))


class ReducingTrader(OuchTrader):
    """An OUCH user who takes shares off some orders instead of replacing them: ITCH X."""

    def __init__(self, username: str, addresses: Sequence[Address], symbols: Sequence[str]) -> None:
        self.raw: list[bytes] = []
        """Every sequenced message as it came."""
        super().__init__(username, addresses, SEED, symbols, rate_per_s=RATE_PER_S)

    def _connect(self, addresses: Sequence[Address], heartbeat_s: int) -> None:
        super()._connect(addresses, heartbeat_s)
        receive = self._ouch_ledger.receive_ouch

        def keep(number: int, message: bytes) -> None:
            assert number == len(self.raw) + 1, f"message {number} after {len(self.raw)}"
            self.raw.append(message)
            receive(number, message)

        self.client = client = OuchClient(addresses, self.comp_id, keep)
        self._ouch_ledger.use(client)

    def _replace(self, order: Report) -> None:
        fewer = order.quantity - 100
        if fewer <= order.cum_qty or self._random.random() < 0.5:
            super()._replace(order)
            return
        assert isinstance(self.client, OuchClient)
        self._open[order.cl_ord_id] = order  # it goes on under the same UserRefNum
        self.client.send(CancelOrder(int(order.cl_ord_id), fewer))


class _RecordingSender(LineSender):
    """A line that goes nowhere and is kept."""

    def __init__(self, kept: list[Datagram]) -> None:
        super().__init__("127.0.0.1", 1)
        self._kept = kept

    def send(self, datagram: bytes, line: Address) -> None:
        self._kept.append(Datagram(time.time_ns(), line, datagram))


async def end_of_day(
    folder: Path, lines: LineSettings, next_number: int, time_ns: int, role: NodeRole
) -> tuple[list[bytes], list[Datagram]]:
    """System Event C at `time_ns` and the packets after it, as a node publishes them.

    Nothing in the exchange ends a day yet. So a publisher goes on where the day stopped, with an
    event of its own; on no network, or the exchange that still runs would hear it.
    """
    kept: list[Datagram] = []
    settings = FeedSettings(
        folder, lines.session, lines.line_a, lines.line_b, lines.interface, heartbeat_ms=10
    )
    publisher = ItchPublisher(settings, _RecordingSender(kept))
    publisher.restore({"next_sequence_number": next_number, "ended": False, "instruments": []})
    await publisher.start()
    try:
        publisher.on_role(role)
        code = int(SystemEventCode.END_OF_MESSAGES)
        event = SystemEvent(int(EventKind.SYSTEM_EVENT), "", code)
        publisher.on_batch(AppliedBatch(1, 1, time_ns, 1, [event]))
        await wait_for(lambda: len(kept) > END_PACKETS, "End of Session packets", 10.0)
        return publisher.query(["messages", lines.session, next_number, 1]), kept
    finally:
        await publisher.close()


class BusyDay:
    """The exchange and its day. A context manager; leaving it stops everything.

    Its event loop turns in `run` only, so that tests are plain functions.
    """

    def __init__(self, folder: Path) -> None:
        self.day: Day | None = None
        self._folder = folder
        self._runner = asyncio.Runner()
        changes = {"ouch.silence_ms": str(SILENCE_MS), "marketdata.heartbeat_ms": "200"}
        self.exchange: LocalExchange = new_local_exchange(folder / "exchange", changes)
        self.config = self.exchange.config
        self.lines = line_settings(self.config)
        self.symbols = [instrument.symbol for instrument in self.config.instruments]

    def __enter__(self) -> BusyDay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.run(self.exchange.stop())
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run until done, or fail after LONGEST_DAY_S."""
        return self._runner.run(asyncio.wait_for(work, LONGEST_DAY_S))

    async def trade(self) -> None:
        """Start the exchange, trade until the feed has MESSAGES, stop trading, write `day`."""
        async with AsyncExitStack() as stack:
            recorder = LineRecorder(self.lines)
            stack.callback(recorder.close)
            await self.exchange.start()
            feed = capture_of(self.config)
            await feed.start()
            stack.push_async_callback(feed.close)
            traders = self._traders()
            for trader in traders:
                await trader.start()
                stack.push_async_callback(trader.stop)
            await self._reach(feed, MESSAGES // 3)
            await self._market("halt", HALTED)
            await self._reach(feed, MESSAGES // 2)
            await self._market("resume", HALTED)
            await self._reach(feed, MESSAGES)
            for trader in traders:
                await trader.stop_trading()
            ledgers = [trader.ledger for trader in traders]
            await settle(ledgers)
            assert check_sessions(ledgers) == []
            await self.wait_until_level(feed)
            before = {line: recorder.heartbeats(line) for line in recorder.datagrams}
            await wait_for(
                lambda: all(recorder.heartbeats(line) > n + 2 for line, n in before.items()),
                "both lines are idle and say so",
                30.0,
            )
            ouch = {one.comp_id: one.raw for one in traders if isinstance(one, ReducingTrader)}
            self.day = await self._written(feed.messages, recorder.datagrams, ouch)

    async def wait_until_level(self, feed: FeedCapture) -> None:
        """Return when a capture has every message that the exchange has published."""
        await self.exchange.wait_until_level()

        async def level() -> bool:
            status = await get_json(self.config.addresses.marketdata_http, "/status")
            same = status["sequence"] == len(feed.messages)
            return bool(same and status["missing"] == feed.receiver.missing == 0)

        await wait_for(level, "the capture has the whole feed", 30.0, poll_s=0.1)

    def _traders(self) -> list[Trader]:
        addresses = self.config.addresses
        symbols = [symbol for symbol in self.symbols if symbol != QUIET]
        return [
            *(
                Trader(name, addresses.fix[0], SEED, symbols, rate_per_s=RATE_PER_S)
                for name in FIX_CLIENTS
            ),
            *(ReducingTrader(name, addresses.ouch, symbols) for name in OUCH_USERS),
        ]

    async def _reach(self, feed: FeedCapture, messages: int) -> None:
        await wait_for(
            lambda: len(feed.messages) >= messages, f"{messages} ITCH messages", LONGEST_DAY_S
        )

    async def _market(self, verb: str, symbol: str) -> None:
        line = [sys.executable, "-m", "exchange", "market", verb, symbol]
        child = await asyncio.create_subprocess_exec(
            *line, "--config", str(self.config.source), stdout=asyncio.subprocess.DEVNULL
        )
        assert await child.wait() == 0, f"exchange market {verb} {symbol}"

    async def _written(
        self,
        messages: list[bytes],
        recorded: dict[str, list[Datagram]],
        ouch_messages: dict[str, list[bytes]],
    ) -> Day:
        next_number, messages, end_ns = len(messages) + 1, list(messages), time.time_ns()
        datagrams = {line: list(packets) for line, packets in recorded.items()}
        for line, role in (("A", NodeRole.LEADER), ("B", NodeRole.STANDBY)):
            store = self._folder / f"end-of-{line}"
            last, packets = await end_of_day(store, self.lines, next_number, end_ns, role)
            datagrams[line] += packets
        capture = self._folder / "day.itch"
        with CaptureWriter(capture) as writer:
            writer.write(messages + last)
        return Day(self.lines, messages + last, datagrams, ouch_messages, capture)
