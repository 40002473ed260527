"""What one FIX client sent and what it was told: the basis of every reconciliation."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

from exchange.fix_client import (
    FixClient,
    new_order_single,
    order_cancel_replace_request,
    order_cancel_request,
)
from oms.price import parse_price
from protocols.fix import FixMessage

NEWS: Final = "B"


class Request(NamedTuple):
    """A message that must be answered exactly once. Price in 1/10,000, None for market orders."""

    msg_type: str
    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: str
    quantity: int
    price: int | None
    sent_ns: int


class Report(NamedTuple):
    """The fields of an ExecutionReport(8), OrderCancelReject(9) or reject (j, 3) that are checked.

    Numbers that the message does not carry are 0, texts are "".
    """

    msg_type: str
    exec_id: str
    exec_type: str
    ord_status: str
    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: str
    symbol: str
    side: str
    quantity: int
    last_qty: int
    last_price: int
    cum_qty: int
    leaves_qty: int
    match_number: int
    text: str
    received_ns: int


REQUEST_ANSWERS = {
    ("8", "0"): "D",
    ("8", "8"): "D",
    ("8", "4"): "F",
    ("8", "5"): "G",
}
"""(MsgType, ExecType) -> the kind of request that it answers."""


def read_report(message: FixMessage, received_ns: int) -> Report:
    """Take what is checked out of a message."""
    get = message.get

    def number(tag: int) -> int:
        return int(get(tag) or 0)

    # j and 3 name what they refuse in BusinessRejectRefID(379) and RefSeqNum(45).
    cl_ord_id = get(11) or get(379) or ""
    last_price = parse_price(get(31) or "0")
    assert last_price is not None, f"LastPx(31) {get(31)!r} is not a price: {message!r}"
    return Report(
        msg_type=message.msg_type,
        exec_id=get(17) or "",
        exec_type=get(150) or "",
        ord_status=get(39) or "",
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=get(41) or "",
        order_id=get(37) or "",
        symbol=get(55) or "",
        side=get(54) or "",
        quantity=number(38),
        last_qty=number(32),
        last_price=last_price,
        cum_qty=number(14),
        leaves_qty=number(151),
        match_number=number(527) or number(880),
        text=get(58) or "",
        received_ns=received_ns,
    )


def answered_request(report: Report) -> str | None:
    """ClOrdID of the request that a report answers; None for a fill or an unsolicited cancel."""
    if report.msg_type != "8":
        return report.cl_ord_id
    kind = REQUEST_ANSWERS.get((report.msg_type, report.exec_type))
    if kind is None or (kind == "F" and not report.orig_cl_ord_id):
        return None
    return report.cl_ord_id


class Ledger:
    """Sends through a FixClient and writes down both directions.

    `on_report`, when given, is called with every report after it was written down.
    """

    def __init__(self, comp_id: str, on_report: Callable[[Report], None] | None = None) -> None:
        self.comp_id = comp_id
        self.requests: dict[str, Request] = {}
        self.reports: list[Report] = []
        self.unanswered: dict[str, Request] = {}
        self.last_answer_ns = 0
        self._on_report = on_report
        self._client: FixClient | None = None

    def attach(self, client: FixClient) -> None:
        """Use this client to send."""
        self._client = client

    def receive(self, message: FixMessage, received_ns: int) -> None:
        """The `on_message` of the FixClient. News answers nothing."""
        if message.msg_type != NEWS:
            self.record(read_report(message, received_ns))

    def record(self, report: Report) -> None:
        """Write down what came."""
        self.reports.append(report)
        answered = answered_request(report)
        if answered is not None and self.unanswered.pop(answered, None) is not None:
            self.last_answer_ns = report.received_ns
        if self._on_report is not None:
            self._on_report(report)

    def enter(
        self,
        cl_ord_id: str,
        symbol: str,
        side: str,
        quantity: int,
        price: str | None,
        time_in_force: str = "0",
    ) -> None:
        """Send a NewOrderSingle(D)."""
        self._note("D", cl_ord_id, "", symbol, side, quantity, price)
        fields = new_order_single(
            cl_ord_id, symbol, side, quantity, price, time_in_force=time_in_force
        )
        self._send("D", fields)

    def cancel(self, cl_ord_id: str, orig_cl_ord_id: str, symbol: str, side: str) -> None:
        """Send an OrderCancelRequest(F)."""
        self._note("F", cl_ord_id, orig_cl_ord_id, symbol, side, 0, None)
        self._send("F", order_cancel_request(cl_ord_id, orig_cl_ord_id, symbol, side))

    def replace(
        self,
        cl_ord_id: str,
        orig_cl_ord_id: str,
        symbol: str,
        side: str,
        quantity: int,
        price: str,
    ) -> None:
        """Send an OrderCancelReplaceRequest(G)."""
        self._note("G", cl_ord_id, orig_cl_ord_id, symbol, side, quantity, price)
        fields = order_cancel_replace_request(
            cl_ord_id, orig_cl_ord_id, symbol, side, quantity, price
        )
        self._send("G", fields)

    def first_answer_after(self, fault_ns: int) -> int | None:
        """When the first request that was sent after `fault_ns` was answered; None: not yet."""
        first = bisect_right(self.reports, fault_ns, key=lambda report: report.received_ns)
        for report in islice(self.reports, first, None):
            request = self.requests.get(answered_request(report) or "")
            if request is not None and request.sent_ns > fault_ns:
                return report.received_ns
        return None

    def _note(
        self,
        msg_type: str,
        cl_ord_id: str,
        orig_cl_ord_id: str,
        symbol: str,
        side: str,
        quantity: int,
        price: str | None,
    ) -> None:
        assert cl_ord_id not in self.requests, f"ClOrdID {cl_ord_id} used twice by this client"
        request = self._request(msg_type, cl_ord_id, orig_cl_ord_id, symbol, side, quantity, price)
        self.requests[cl_ord_id] = self.unanswered[cl_ord_id] = request

    @staticmethod
    def _request(
        msg_type: str,
        cl_ord_id: str,
        orig_cl_ord_id: str,
        symbol: str,
        side: str,
        quantity: int,
        price: str | None,
    ) -> Request:
        return Request(
            msg_type,
            cl_ord_id,
            orig_cl_ord_id,
            symbol,
            side,
            quantity,
            None if price is None else parse_price(price),
            time.perf_counter_ns(),
        )

    def _send(self, msg_type: str, fields: list[tuple[int, object]]) -> None:
        assert self._client is not None, "attach() a client first"
        self._client.send(msg_type, fields)


def first_answer_after(ledgers: Iterable[Ledger], fault_ns: int) -> int | None:
    """When anybody first got an answer to a request that was sent after `fault_ns`; None: not yet.

    What was on its way when the fault struck does not count: it may have been decided before."""
    times = (ledger.first_answer_after(fault_ns) for ledger in ledgers)
    return min((answered_ns for answered_ns in times if answered_ns is not None), default=None)
