"""What one OUCH client sent and what it was told, in the words of the FIX one.

So all reconciliations serve both. OUCH answers a new order always, a cancel or replace of an order
that is dead by then never: of those only what was answered counts as a request. Names are
UserRefNums. An ExecID is the number of the message in its session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from exchange.ledger import Ledger, Report, Request
from exchange.ouch_client import OuchClient
from oms.price import parse_price
from protocols import ouch50
from protocols import ouch50_messages as ouch
from protocols.ouch50_codes import MARKET_PRICE

_FIX_SIDES: Final = {"B": "1", "S": "2", "T": "5", "E": "6"}
_OUCH_SIDES: Final = {fix: code for code, fix in _FIX_SIDES.items()}
_TIMES_IN_FORCE: Final = {"0": "0", "3": "3"}
_BARRIER: Final = "query"


class _Order:
    """What the messages have told of an order. `quantity` is its total, with executed shares."""

    __slots__ = ("cum_qty", "order_id", "quantity", "side", "symbol")

    def __init__(self, message: ouch.OrderAccepted) -> None:
        self.order_id = message.order_reference_number
        self.symbol = message.symbol
        self.side = _FIX_SIDES[message.side]
        self.quantity = message.quantity
        self.cum_qty = 0


class OuchReader:
    """Messages of one session -> reports, in the order of their numbers. `orders` are those that
    were accepted, by UserRefNum."""

    def __init__(self) -> None:
        self.orders: dict[int, _Order] = {}

    def report(self, number: int, message: ouch.OutboundMessage, received_ns: int) -> Report | None:
        """The report that a message makes; None for one that is not about an order."""
        match message:
            case ouch.OrderAccepted():
                self.orders[message.user_ref_num] = order = _Order(message)
                return self._of(order, number, message.user_ref_num, "0", received_ns)
            case ouch.OrderReplaced():
                order = self.orders[message.orig_user_ref_num]
                self.orders[message.user_ref_num] = order
                order.quantity = order.cum_qty + message.quantity
                report = self._of(order, number, message.user_ref_num, "5", received_ns)
                return report._replace(orig_cl_ord_id=str(message.orig_user_ref_num))
            case ouch.OrderCanceled():
                order = self.orders[message.user_ref_num]
                order.quantity -= message.quantity
                kind = "4" if order.quantity == order.cum_qty else "D"
                return self._of(order, number, message.user_ref_num, kind, received_ns)
            case ouch.OrderModified():
                order = self.orders[message.user_ref_num]
                order.side = _FIX_SIDES[message.side]
                order.quantity = order.cum_qty + message.quantity
                return self._of(order, number, message.user_ref_num, "D", received_ns)
            case ouch.OrderExecuted():
                order = self.orders[message.user_ref_num]
                order.cum_qty += message.quantity
                report = self._of(order, number, message.user_ref_num, "F", received_ns)
                return report._replace(
                    last_qty=message.quantity,
                    last_price=message.price,
                    match_number=message.match_number,
                )
            case ouch.Rejected():
                return _rejected(number, message, received_ns)
        return None

    @staticmethod
    def _of(
        order: _Order, number: int, user_ref_num: int, exec_type: str, received_ns: int
    ) -> Report:
        leaves_qty = order.quantity - order.cum_qty
        status = "1" if order.cum_qty else "0"
        if leaves_qty == 0:
            status = "4" if exec_type == "4" else "2"
        return Report(
            msg_type="8",
            exec_id=str(number),
            exec_type=exec_type,
            ord_status=status,
            cl_ord_id=str(user_ref_num),
            orig_cl_ord_id="",
            order_id=str(order.order_id),
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            last_qty=0,
            last_price=0,
            cum_qty=order.cum_qty,
            leaves_qty=leaves_qty,
            match_number=0,
            text="",
            received_ns=received_ns,
        )


def _rejected(number: int, message: ouch.Rejected, received_ns: int) -> Report:
    return Report(
        msg_type="8",
        exec_id=str(number),
        exec_type="8",
        ord_status="8",
        cl_ord_id=str(message.user_ref_num),
        orig_cl_ord_id="",
        order_id="0",
        symbol="",
        side="",
        quantity=0,
        last_qty=0,
        last_price=0,
        cum_qty=0,
        leaves_qty=0,
        match_number=0,
        text=f"reason {message.reason:#06x}",
        received_ns=received_ns,
    )


class OuchLedger(Ledger):
    """Sends through an OuchClient and writes down both directions."""

    def __init__(self, username: str, on_report: Callable[[Report], None] | None = None) -> None:
        super().__init__(username, on_report)
        self._reader = OuchReader()
        self._ouch: OuchClient | None = None
        self._replaces: dict[str, Request] = {}

    def use(self, client: OuchClient) -> None:
        """Use this client to send."""
        self._ouch = client

    def receive_ouch(self, number: int, message: bytes) -> None:
        """The `on_message` of the OuchClient."""
        assert self._ouch is not None, "use() a client first"
        decoded = ouch50.decode_outbound(message)
        if isinstance(decoded, ouch.AccountQueryResponse):
            self.unanswered.pop(_BARRIER, None)
            self._ouch.answered(_BARRIER)
            return
        report = self._reader.report(number, decoded, time.perf_counter_ns())
        if report is None:
            return
        # ExecIDs are unique over all sessions; numbers are in one.
        report = report._replace(exec_id=f"{self.comp_id}-{report.exec_id}")
        self._ouch.answered(report.cl_ord_id)
        replace = self._replaces.pop(report.cl_ord_id, None)
        if replace is not None:
            self.requests[report.cl_ord_id] = replace
        self.record(report)

    def enter(
        self,
        cl_ord_id: str,
        symbol: str,
        side: str,
        quantity: int,
        price: str | None,
        time_in_force: str = "0",
    ) -> None:
        """Send an Enter Order; `cl_ord_id` is its UserRefNum in digits."""
        self._note("D", cl_ord_id, "", symbol, side, quantity, price)
        message = ouch.EnterOrder(
            int(cl_ord_id),
            _OUCH_SIDES[side],
            quantity,
            symbol,
            _price(price),
            _TIMES_IN_FORCE[time_in_force],
            "Y",
            "A",
            "N",
            "N",
            f"{self.comp_id}-{cl_ord_id}"[:14],
        )
        self._send_ouch(message, until=cl_ord_id)

    def cancel(self, cl_ord_id: str, orig_cl_ord_id: str, symbol: str, side: str) -> None:
        """Send a Cancel Order for all shares; it has no number of its own."""
        self._send_ouch(ouch.CancelOrder(int(orig_cl_ord_id), 0))

    def replace(
        self,
        cl_ord_id: str,
        orig_cl_ord_id: str,
        symbol: str,
        side: str,
        quantity: int,
        price: str,
    ) -> None:
        """Send a Replace Order."""
        self._replaces[cl_ord_id] = self._request(
            "G", cl_ord_id, orig_cl_ord_id, symbol, side, quantity, price
        )
        message = ouch.ReplaceOrder(
            int(orig_cl_ord_id), int(cl_ord_id), quantity, _price(price), "0", "Y", "N", ""
        )
        self._send_ouch(message)

    def ask_for_the_end(self) -> None:
        """Something that is answered once everything before it was worked off."""
        self.unanswered[_BARRIER] = self._request("Q", _BARRIER, "", "", "", 0, None)
        self._send_ouch(ouch.AccountQuery(), until=_BARRIER)

    def _send_ouch(self, message: ouch.InboundMessage, until: str | None = None) -> None:
        assert self._ouch is not None, "use() a client first"
        self._ouch.send(message, until=until)


def _price(text: str | None) -> int:
    price = MARKET_PRICE if text is None else parse_price(text)
    assert price is not None, f"{text!r} is not a price"
    return price
