"""Sessions that cost little themselves: frames made beforehand, answers counted by a scan.

A gateway answers the requests of a FIX session, and the new orders of an OUCH session, in the order
in which they were sent, so the n-th answer belongs to the n-th request and needs no lookup while
the clock runs. Afterwards every byte that came is read by the real decoder and reconciled like any
other client's.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from cluster.settings import Address
from exchange.bench.window import WindowSession
from exchange.fix_client import (
    BEGIN_STRING,
    new_order_single,
    order_cancel_replace_request,
    order_cancel_request,
)
from exchange.ledger import Ledger, Request
from oms.price import format_price
from protocols.fix import FixDecoder, FixEncoder, encode_body, format_utc_timestamp

MIDDLE_PRICE = 1_000_000
TICK = 100
QUANTITY = 100
LOGON_HEARTBEAT_S = 60
MIX = {"new": 0.8, "cancel": 0.1, "replace": 0.1}
LATEST_KEPT = 50

# New, rejected, canceled, replaced, cancel rejected: no time in force of this load ends an order by
# itself, so each of them answers a request.
_ANSWER = re.compile(rb"\x01(?:150=[0845]|35=9)\x01")
_QUESTION = "IS-THAT-ALL"
_END = re.compile(rb"\x0110=[0-9]{3}\x01")


class PlannedRequest(NamedTuple):
    """A request and the bytes that ask for it."""

    request: Request
    frame: bytes


class PlannedSession(Protocol):
    """A session that works off a plan."""

    @property
    def name(self) -> str:
        """Of the trading session."""

    sent_ns: array[int]
    answered_ns: array[int]
    """When the n-th of those requests was sent and answered that are always answered, in order."""

    @property
    def others_ns(self) -> Sequence[int]:
        """When other requests were answered."""

    @property
    def has_more(self) -> bool:
        """True while the plan is not used up."""

    async def connect(self, address: Address) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    async def settle(self) -> None: ...
    def close(self) -> None: ...

    @property
    def all_answered(self) -> asyncio.Event:
        """Set when nothing is sent any more and everything was answered."""

    def mix(self) -> Counter[str]:
        """How many requests of each FIX MsgType were sent."""

    def ledger(self) -> Ledger:
        """What was sent and received, for reconciliation."""


def random_requests(
    session: str, seed: int, symbols: Sequence[str], name: Callable[[int], str]
) -> Iterator[Request]:
    """Requests without end; the n-th (from 0) has the name `name(n)`.

    New orders on both sides close to the middle, so that about half of them trade; cancels and
    replaces name one of the session's latest orders, which may have been filled: then FIX answers
    with an OrderCancelReject, and OUCH with nothing.
    """
    chooser = random.Random(f"{seed}/{session}")
    latest: list[Request] = []
    for number in itertools.count():
        kind = chooser.random()
        side = chooser.choice("12")
        distance = chooser.randrange(-4, 12) * TICK
        price = MIDDLE_PRICE - distance if side == "1" else MIDDLE_PRICE + distance
        if kind >= MIX["new"] and latest:
            order = latest.pop(chooser.randrange(len(latest)))
            msg_type = "G" if kind >= MIX["new"] + MIX["cancel"] else "F"
            yield order._replace(
                msg_type=msg_type,
                cl_ord_id=name(number),
                orig_cl_ord_id=order.cl_ord_id,
                quantity=2 * QUANTITY if msg_type == "G" else QUANTITY,
            )
            continue
        request = Request(
            "D", name(number), "", chooser.choice(symbols), side, QUANTITY, price, sent_ns=0
        )
        latest.append(request)
        if len(latest) > LATEST_KEPT:
            latest.pop(0)
        yield request


def plan(comp_id: str, seed: int, count: int, symbols: Sequence[str]) -> list[PlannedRequest]:
    """Make `count` requests of a FIX session, numbered from MsgSeqNum 2 (1 is the Logon)."""
    encoder = FixEncoder(BEGIN_STRING, comp_id, "EXCH")
    now = format_utc_timestamp(time.time_ns())
    requests = random_requests(comp_id, seed, symbols, lambda n: f"{comp_id}-{n}")
    return [
        PlannedRequest(
            request, encoder.encode(request.msg_type, encode_body(_fields(request)), number, now)
        )
        for number, request in enumerate(itertools.islice(requests, count), 2)
    ]


def _fields(request: Request) -> list[tuple[int, object]]:
    _, name, original, symbol, side, quantity, price, _ = request
    if request.msg_type == "F":
        return order_cancel_request(name, original, symbol, side)
    assert price is not None
    if request.msg_type == "G":
        return order_cancel_replace_request(
            name, original, symbol, side, quantity, format_price(price)
        )
    return new_order_single(name, symbol, side, quantity, format_price(price))


class FixWindowSession(WindowSession):
    """A FIX session; what becomes of the bytes and the answers is for others to say."""

    def __init__(self, comp_id: str, window: int) -> None:
        super().__init__(comp_id, window)
        self._rest = b""

    def received(self, data: bytes) -> None:
        """Whatever came, as it came, the answer to the Logon included."""

    def answers(self, messages: bytes, count: int) -> None:
        """Whole messages, `count` answers among them, the next ones in the order of requests."""

    def login(self) -> bytes:
        """A Logon."""
        body = f"98=0\x01108={LOGON_HEARTBEAT_S}\x01"
        now = format_utc_timestamp(time.time_ns())
        return FixEncoder(BEGIN_STRING, self.name, "EXCH").encode("A", body, 1, now)

    def question(self) -> bytes:
        """A TestRequest."""
        now = format_utc_timestamp(time.time_ns())
        body = f"112={_QUESTION}\x01"
        number = self.sent + self.questions + 2
        return FixEncoder(BEGIN_STRING, self.name, "EXCH").encode("1", body, number, now)

    def scan(self, data: bytes) -> int:
        """Count answers in whole messages."""
        self.received(data)
        if not self.logged_on.is_set():
            self.logged_on.set()
            return 0
        data = self._rest + data
        last = data.rfind(b"\x0110=")
        ending = _END.match(data, last) if last >= 0 else None
        if ending is None:  # cut inside the last trailer: leave that message for the next turn
            last = data.rfind(b"\x0110=", 0, max(0, last))
            ending = _END.match(data, last) if last >= 0 else None
        if ending is None:
            self._rest = data
            return 0
        end = ending.end()
        self._rest = data[end:]
        if data.find(_QUESTION.encode(), 0, end) >= 0:
            self.settled.set()
        count = len(_ANSWER.findall(data, 0, end))
        if count:
            self.answers(data[:end], count)
        return count


class LoadSession(FixWindowSession):
    """Works off a plan, and keeps everything for a reconciliation afterwards."""

    def __init__(self, comp_id: str, planned: list[PlannedRequest], window: int) -> None:
        super().__init__(comp_id, window)
        self.sent_ns = array("q")
        self.answered_ns = array("q")
        self._planned = planned
        self._received: list[bytes] = []

    def next_frames(self, count: int) -> tuple[list[bytes], int]:
        """The next of the plan."""
        frames = [planned.frame for planned in self._planned[self.sent : self.sent + count]]
        self.sent_ns.extend([time.perf_counter_ns()] * len(frames))
        return frames, len(frames)

    def received(self, data: bytes) -> None:
        """Keep it; whether the first message was a Logon is for ledger() to see."""
        self._received.append(data)

    def answers(self, messages: bytes, count: int) -> None:
        """Note when they came."""
        self.answered_ns.extend([time.perf_counter_ns()] * count)

    @property
    def others_ns(self) -> Sequence[int]:
        """FIX answers every request."""
        return ()

    @property
    def has_more(self) -> bool:
        """True while the plan is not used up."""
        return self.sent < len(self._planned)

    def mix(self) -> Counter[str]:
        """How many requests of each MsgType were sent."""
        return Counter(p.request.msg_type for p in self._planned[: self.sent])

    def ledger(self) -> Ledger:
        """What was sent and received, for reconciliation."""
        ledger = Ledger(self.name)
        for planned, sent_ns in zip(self._planned, self.sent_ns, strict=False):
            request = planned.request._replace(sent_ns=sent_ns)
            ledger.requests[request.cl_ord_id] = request
            ledger.unanswered[request.cl_ord_id] = request
        decoder = FixDecoder()
        for data in self._received:
            for message in decoder.feed(data):
                if message.msg_type in "89j3":
                    ledger.receive(message, 0)
        assert decoder.garbled == 0, f"{self.name}: {decoder.garbled} garbled messages"
        return ledger
