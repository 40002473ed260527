"""FIX sessions that cost little themselves: frames made beforehand, answers counted by a scan.

The exchange answers the requests of a session in the order in which they were sent, so the n-th
answer belongs to the n-th request and needs no lookup while the clock runs. Afterwards every byte
that came is read by the real decoder and reconciled like any other client's.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, cast

from cluster.settings import Address
from exchange.fix_client import (
    BEGIN_STRING,
    new_order_single,
    order_cancel_replace_request,
    order_cancel_request,
)
from exchange.ledger import Ledger, Request
from oms.price import format_price, parse_price
from protocols.fix import FixDecoder, FixEncoder, encode_body, format_utc_timestamp

MIDDLE_PRICE = 1_000_000
TICK = 100
QUANTITY = 100
LOGON_HEARTBEAT_S = 60
MIX = {"new": 0.8, "cancel": 0.1, "replace": 0.1}

# New, rejected, canceled, replaced, cancel rejected: no time in force of this load ends an order by
# itself, so each of them answers a request.
_ANSWER = re.compile(rb"\x01(?:150=[0845]|35=9)\x01")
_END = re.compile(rb"\x0110=[0-9]{3}\x01")


class PlannedRequest(NamedTuple):
    """A request and the bytes that ask for it."""

    request: Request
    frame: bytes


def plan(comp_id: str, seed: int, count: int, symbols: Sequence[str]) -> list[PlannedRequest]:
    """Make `count` requests of a session, numbered from MsgSeqNum 2 (1 is the Logon).

    New orders on both sides close to the middle, so that about half of them trade; cancels and
    replaces name one of the session's latest orders, which may have been filled: then they are
    answered by an OrderCancelReject.
    """
    chooser = random.Random(f"{seed}/{comp_id}")
    encoder = FixEncoder(BEGIN_STRING, comp_id, "EXCH")
    sending_time = format_utc_timestamp(time.time_ns())
    latest: list[Request] = []
    planned = []
    for number in range(count):
        request, fields = _next_request(f"{comp_id}-{number}", chooser, latest, symbols)
        frame = encoder.encode(request.msg_type, encode_body(fields), number + 2, sending_time)
        planned.append(PlannedRequest(request, frame))
    return planned


def _next_request(
    name: str, chooser: random.Random, latest: list[Request], symbols: Sequence[str]
) -> tuple[Request, list[tuple[int, object]]]:
    kind = chooser.random()
    side = chooser.choice("12")
    distance = chooser.randrange(-4, 12) * TICK
    price = MIDDLE_PRICE - distance if side == "1" else MIDDLE_PRICE + distance
    price_text = format_price(price)
    if kind >= MIX["new"] and latest:
        order = latest.pop(chooser.randrange(len(latest)))
        if kind >= MIX["new"] + MIX["cancel"]:
            request = order._replace(
                msg_type="G", cl_ord_id=name, orig_cl_ord_id=order.cl_ord_id, price=order.price
            )
            assert order.price is not None
            fields = order_cancel_replace_request(
                name,
                order.cl_ord_id,
                order.symbol,
                order.side,
                2 * QUANTITY,
                format_price(order.price),
            )
            return request, fields
        request = order._replace(msg_type="F", cl_ord_id=name, orig_cl_ord_id=order.cl_ord_id)
        return request, order_cancel_request(name, order.cl_ord_id, order.symbol, order.side)
    symbol = chooser.choice(symbols)
    request = Request("D", name, "", symbol, side, QUANTITY, parse_price(price_text), 0)
    latest.append(request)
    if len(latest) > 50:
        latest.pop(0)
    return request, new_order_single(name, symbol, side, QUANTITY, price_text)


class WindowSession(asyncio.Protocol):
    """A FIX session that keeps `window` requests unanswered. Where the requests come from, and what
    becomes of the answers, is for those to say who derive from it."""

    def __init__(self, comp_id: str, window: int) -> None:
        self.comp_id = comp_id
        self.logged_on = asyncio.Event()
        self.all_answered = asyncio.Event()
        self.sent = 0
        self.answered = 0
        self.lost_connection = False
        self._window = window
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._running = False

    def next_frames(self, count: int) -> list[bytes]:
        """The next requests, fewer than `count` only at the end; they are sent now."""
        raise NotImplementedError

    def received(self, data: bytes) -> None:
        """Whatever came, as it came, the answer to the Logon included."""

    def answers(self, messages: bytes, count: int) -> None:
        """Whole messages, `count` answers among them, the next ones in the order of requests."""

    async def connect(self, address: Address) -> None:
        """Connect and log on."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, address.host, address.port)
        await asyncio.wait_for(self.logged_on.wait(), 10.0)

    def start(self) -> None:
        """Send the first window."""
        self._running = True
        self._send(self._window)

    def stop(self) -> None:
        """Send nothing more; answers still come in."""
        self._running = False
        if self.answered >= self.sent:
            self.all_answered.set()

    def close(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        body = f"98=0\x01108={LOGON_HEARTBEAT_S}\x01"
        now = format_utc_timestamp(time.time_ns())
        encoder = FixEncoder(BEGIN_STRING, self.comp_id, "EXCH")
        self._transport.write(encoder.encode("A", body, 1, now))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_connection = self._running
        self._running = False
        self.all_answered.set()

    def data_received(self, data: bytes) -> None:
        self.received(data)
        if not self.logged_on.is_set():
            self.logged_on.set()
            return
        data = self._rest + data
        last = data.rfind(b"\x0110=")
        ending = _END.match(data, last) if last >= 0 else None
        if ending is None:  # cut inside the last trailer: leave that message for the next turn
            last = data.rfind(b"\x0110=", 0, max(0, last))
            ending = _END.match(data, last) if last >= 0 else None
        if ending is None:
            self._rest = data
            return
        end = ending.end()
        self._rest = data[end:]
        count = len(_ANSWER.findall(data, 0, end))
        if count:
            self.answered += count
            self.answers(data[:end], count)
            if self._running:
                self._send(count)
            elif self.answered >= self.sent:
                self.all_answered.set()

    def _send(self, count: int) -> None:
        frames = self.next_frames(count)
        if not frames:
            self.stop()
            return
        assert self._transport is not None
        self._transport.write(b"".join(frames))
        self.sent += len(frames)


class LoadSession(WindowSession):
    """Works off a plan, and keeps everything for a reconciliation afterwards."""

    def __init__(self, comp_id: str, planned: list[PlannedRequest], window: int) -> None:
        super().__init__(comp_id, window)
        self.sent_ns = array("q")
        self.answered_ns = array("q")
        self._planned = planned
        self._received: list[bytes] = []

    def next_frames(self, count: int) -> list[bytes]:
        """The next of the plan."""
        frames = [planned.frame for planned in self._planned[self.sent : self.sent + count]]
        self.sent_ns.extend([time.perf_counter_ns()] * len(frames))
        return frames

    def received(self, data: bytes) -> None:
        """Keep it; whether the first message was a Logon is for ledger() to see."""
        self._received.append(data)

    def answers(self, messages: bytes, count: int) -> None:
        """Note when they came."""
        self.answered_ns.extend([time.perf_counter_ns()] * count)

    @property
    def has_more(self) -> bool:
        """True while the plan is not used up."""
        return self.sent < len(self._planned)

    def mix(self) -> Counter[str]:
        """How many requests of each MsgType were sent."""
        return Counter(p.request.msg_type for p in self._planned[: self.sent])

    def ledger(self) -> Ledger:
        """What was sent and received, for reconciliation."""
        ledger = Ledger(self.comp_id)
        for planned, sent_ns in zip(self._planned, self.sent_ns, strict=False):
            request = planned.request._replace(sent_ns=sent_ns)
            ledger.requests[request.cl_ord_id] = request
            ledger.unanswered[request.cl_ord_id] = request
        decoder = FixDecoder()
        for data in self._received:
            for message in decoder.feed(data):
                if message.msg_type in "89j3":
                    ledger.receive(message, 0)
        assert decoder.garbled == 0, f"{self.comp_id}: {decoder.garbled} garbled messages"
        return ledger
