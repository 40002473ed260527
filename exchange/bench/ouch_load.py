"""The load of load.py over OUCH.

The window is one of new orders. Cancels and replaces travel with them: OUCH answers those of orders
that are filled by then with nothing, so only answers tell how many of them counted.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Final

from exchange.bench.load import PlannedRequest, random_requests
from exchange.bench.window import WindowSession
from exchange.ledger import Ledger, Request
from exchange.ouch_ledger import OuchReader
from protocols import ouch50
from protocols import ouch50_messages as ouch
from protocols.soupbintcp import (
    FIRST_MESSAGE,
    LOGIN_ACCEPTED,
    SEQUENCED_DATA,
    Direction,
    Packet,
    PacketReader,
    encode_login_request,
    encode_unsequenced_data,
)

PASSWORD = "password"
_ANSWERS_OF_NEW_ORDERS: Final = b"AJ"
_SIDES: Final = {"1": "B", "2": "S"}
_REASON: Final = 17
"""Where the reason of an Order Canceled is."""


def plan_ouch(username: str, seed: int, count: int, symbols: Sequence[str]) -> list[PlannedRequest]:
    """Make requests of an OUCH session with UserRefNums from 1, `count` new orders among them; the
    last one is one of those."""
    planned: list[PlannedRequest] = []
    new_orders = 0
    for request in random_requests(username, seed, symbols, lambda n: str(n + 1)):
        message = encode_unsequenced_data(ouch50.encode(_message(request)))
        planned.append(PlannedRequest(request, message))
        new_orders += request.msg_type == "D"
        if new_orders == count:
            break
    return planned


def _message(request: Request) -> ouch.InboundMessage:
    kind, name, original, symbol, side, quantity, price, _ = request
    if kind == "F":
        return ouch.CancelOrder(int(original), 0)
    assert price is not None
    if kind == "G":
        return ouch.ReplaceOrder(int(original), int(name), quantity, price, "0", "Y", "N", name)
    return ouch.EnterOrder(
        int(name), _SIDES[side], quantity, symbol, price, "0", "Y", "A", "N", "N", name
    )


class OuchLoadSession(WindowSession):
    """Works off a plan, and keeps everything for a reconciliation afterwards."""

    def __init__(self, username: str, planned: list[PlannedRequest], window: int) -> None:
        super().__init__(username, window)
        self.sent_ns = array("q")
        self.answered_ns = array("q")
        self.others_ns = array("q")
        self._planned = planned
        self._next = 0
        self._reader = PacketReader(Direction.SERVER_TO_CLIENT)
        self._received: list[list[Packet]] = []

    def login(self) -> bytes:
        """A Login Request from the first message on."""
        return encode_login_request(self.name, PASSWORD, "", FIRST_MESSAGE)

    def question(self) -> bytes:
        """An Account Query: it goes through the log, behind every cancel of ours."""
        return encode_unsequenced_data(ouch50.encode(ouch.AccountQuery()))

    def scan(self, data: bytes) -> int:
        """Count Accepted and Rejected; note the answers to replaces and cancels."""
        packets = self._reader.feed(data)
        now_ns = time.perf_counter_ns()
        self._received.append(packets)
        count = others = 0
        for kind, payload in packets:
            if kind == SEQUENCED_DATA:
                code = payload[0]
                if code in _ANSWERS_OF_NEW_ORDERS:
                    count += 1
                elif code == ord("U") or (code == ord("C") and payload[_REASON] in b"UZ"):
                    others += 1
                elif code == ord("Q"):
                    self.settled.set()
            elif kind == LOGIN_ACCEPTED:
                self.logged_on.set()
        self.answered_ns.extend([now_ns] * count)
        self.others_ns.extend([now_ns] * others)
        return count

    def next_frames(self, count: int) -> tuple[list[bytes], int]:
        """The next of the plan, up to and with the `count`-th new order."""
        first, asked = self._next, 0
        while asked < count and self._next < len(self._planned):
            asked += self._planned[self._next].request.msg_type == "D"
            self._next += 1
        self.sent_ns.extend([time.perf_counter_ns()] * asked)
        return [planned.frame for planned in self._planned[first : self._next]], asked

    @property
    def has_more(self) -> bool:
        """True while the plan is not used up."""
        return self._next < len(self._planned)

    def mix(self) -> Counter[str]:
        """How many requests of each kind were sent, called as FIX calls them."""
        return Counter(p.request.msg_type for p in self._planned[: self._next])

    def ledger(self) -> Ledger:
        """What was sent and received, for reconciliation."""
        ledger = Ledger(self.name)
        sent = [planned.request for planned in self._planned[: self._next]]
        new_orders = [request for request in sent if request.msg_type == "D"]
        for request, sent_ns in zip(new_orders, self.sent_ns, strict=True):
            ledger.requests[request.cl_ord_id] = request._replace(sent_ns=sent_ns)
        ledger.unanswered.update(ledger.requests)
        replaces = {request.cl_ord_id: request for request in sent if request.msg_type == "G"}
        reader, number = OuchReader(), 0
        for packets in self._received:
            for kind, payload in packets:
                if kind != SEQUENCED_DATA:
                    continue
                number += 1
                report = reader.report(number, ouch50.decode_outbound(payload), 0)
                if report is None:
                    continue
                if report.exec_type == "5":
                    ledger.requests[report.cl_ord_id] = replaces[report.cl_ord_id]
                ledger.record(report._replace(exec_id=f"{self.name}-{number}"))
        return ledger
