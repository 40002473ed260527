"""The orders of a FIX session as its reports tell them, checked report by report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from fix_wire import WireMessage

FILLS = frozenset("F12")
"""ExecType(150) of an execution: F, and before FIX.4.3 1 (partial fill) and 2 (fill)."""
STATUS = "3"
"""ExecTransType(20) of an answer to a question, before FIX.4.3; since then ExecType I."""
WORKING = frozenset("01")
DONE = frozenset("2348C")


@dataclass(slots=True)
class Order:
    """One order, by its OrderID(37)."""

    order_id: str
    cum_qty: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    ord_status: str = ""
    trail: list[str] = field(default_factory=list)
    """ExecTypes in the order of their arrival."""


class Blotter:
    """Takes the reports that an engine hands to its application."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.problems: list[str] = []
        self.accepted: Counter[str] = Counter()
        """ClOrdID -> reports that a new order is in."""
        self.answered: Counter[str] = Counter()
        """ClOrdID -> answers to a request: accepted, canceled, replaced, refused."""
        self.fills: list[tuple[str, str, str]] = []
        """(symbol, quantity, price) of each execution."""
        self._exec_ids: set[str] = set()

    def take(self, message: WireMessage) -> None:
        """The next message, of whatever type."""
        if message.msg_type == "8":
            self._execution_report(message)
        elif message.msg_type == "9":
            self.answered[message.get(11) or ""] += 1

    def _execution_report(self, report: WireMessage) -> None:
        cl_ord_id, exec_id, exec_type = (report.get(tag) or "" for tag in (11, 17, 150))
        if exec_id in self._exec_ids:
            self.problems.append(f"ExecID {exec_id} was told twice: {report.fields}")
        self._exec_ids.add(exec_id)
        if exec_type == "0":
            self.accepted[cl_ord_id] += 1
        is_asked = exec_type in {"0", "5", "8"} or (exec_type == "4" and report.get(41))
        self.answered[cl_ord_id] += bool(is_asked)
        order_id = report.get(37) or ""
        if exec_type == "8" or order_id == "NONE":
            return
        order = self.orders.setdefault(order_id, Order(order_id))
        is_status = exec_type == "I" or report.get(20) == STATUS
        order.trail.append("I" if is_status else exec_type)
        if exec_type in FILLS and not is_status:
            quantity, price = report.get(32) or "0", report.get(31) or "0"
            order.cum_qty += Decimal(quantity)
            order.value += Decimal(quantity) * Decimal(price)
            self.fills.append((report.get(55) or "", quantity, price))
        self._check_quantities(order, report, is_status)
        order.ord_status = report.get(39) or ""

    def _check_quantities(self, order: Order, report: WireMessage, is_status: bool) -> None:
        ordered, leaves, cum = (Decimal(report.get(tag) or 0) for tag in (38, 151, 14))
        status = report.get(39) or ""
        if cum != order.cum_qty:
            self.problems.append(f"CumQty is not {order.cum_qty}: {report.fields}")
        average = order.value / cum if cum else Decimal(0)
        if abs(Decimal(report.get(6) or 0) - average) > Decimal("0.0000005"):
            self.problems.append(f"AvgPx is not {average}: {report.fields}")
        if status in WORKING and ordered != leaves + cum:
            self.problems.append(f"OrderQty is not LeavesQty + CumQty: {report.fields}")
        if status in DONE and leaves != 0:
            self.problems.append(f"something is left of what is done: {report.fields}")
        if order.ord_status in DONE and not is_status:
            self.problems.append(f"the order was done before: {report.fields}")
