"""Order books in Python: ours beside two from PyPI, with the same orders, cancels and trades."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, NamedTuple, Protocol

from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, OrderType, TimeInForce

OPERATIONS: Final = 60_000
SEED: Final = 5
_OPEN_ORDERS: Final = 10_000
_TICKS: Final = 200
_SYMBOL: Final = "AAPL"


class Operation(NamedTuple):
    """A new order, or with a `side` of 0 the cancel of the one that had this number. `price` is in
    cents."""

    number: int
    side: int
    price: int
    quantity: int


class Book(Protocol):
    """The part of an order book that is measured."""

    def enter(self, operation: Operation) -> int:
        """Match a limit order and let the rest of it rest; returns the shares that traded."""

    def cancel(self, number: int) -> None:
        """Take out an order that rests."""


class _Ours:
    def __init__(self) -> None:
        self._book: OrderBook[BookOrder] = OrderBook(MatchNumbers())
        self._orders: dict[int, BookOrder] = {}

    def enter(self, operation: Operation) -> int:
        number, side, price, quantity = operation
        order = BookOrder(number, side, price * 100, quantity)
        self._orders[number] = order
        executions = self._book.enter(order, int(OrderType.LIMIT), int(TimeInForce.DAY))
        return sum(executed.quantity for executed in executions)

    def cancel(self, number: int) -> None:
        self._book.cancel(self._orders[number])

    def is_open(self, number: int) -> bool:
        return self._orders[number].is_resting


class _LightMatchingEngine:
    def __init__(self) -> None:
        self._engine: Any = import_module(
            "lightmatchingengine.lightmatchingengine"
        ).LightMatchingEngine()
        self._orders: dict[int, int] = {}

    def enter(self, operation: Operation) -> int:
        number, side, price, quantity = operation
        order, trades = self._engine.add_order(_SYMBOL, price, quantity, side)
        self._orders[number] = order.order_id
        return sum(trade.trade_qty for trade in trades if trade.order_id == order.order_id)

    def cancel(self, number: int) -> None:
        self._engine.cancel_order(self._orders[number], _SYMBOL)


class _PyOrderBook:
    def __init__(self) -> None:
        self._module: Any = import_module("pyorderbook")
        self._sides = {1: self._module.Side.BID, 2: self._module.Side.ASK}
        self._book: Any = self._module.Book()
        self._orders: dict[int, Any] = {}

    def enter(self, operation: Operation) -> int:
        number, side, price, quantity = operation
        order = self._module.Order(self._sides[side], _SYMBOL, price, quantity)
        self._orders[number] = order
        self._book.match(order)
        return int(quantity - order.quantity)

    def cancel(self, number: int) -> None:
        self._book.cancel(self._orders[number])


BOOKS: Final[Sequence[tuple[str, str, Callable[[], Book]]]] = (
    ("this exchange", "", _Ours),
    ("lightmatchingengine", "lightmatchingengine", _LightMatchingEngine),
    ("pyorderbook", "pyorderbook", _PyOrderBook),
)
"""Name, distribution on PyPI, maker."""


def make_operations(count: int = OPERATIONS, seed: int = SEED) -> list[Operation]:
    """Orders around a middle that walks at random, most of them canceled again, some of which trade
    at once: about _OPEN_ORDERS stay in the book. Only what rests is canceled."""
    chooser = random.Random(seed)
    book = _Ours()
    operations: list[Operation] = []
    living: list[int] = []
    middle = 10_000
    for number in range(1, count + 1):
        middle += chooser.choice((-1, 0, 1))
        if living and chooser.random() < len(living) / (2 * _OPEN_ORDERS):
            at = chooser.randrange(len(living))
            living[at], living[-1] = living[-1], living[at]
            canceled = living.pop()
            if book.is_open(canceled):
                book.cancel(canceled)
                operations.append(Operation(canceled, 0, 0, 0))
            continue
        side = chooser.choice((1, 2))
        distance = int(chooser.paretovariate(1.2)) - 2
        price = middle - min(distance, _TICKS) if side == 1 else middle + min(distance, _TICKS)
        operation = Operation(number, side, price, 100 * chooser.randrange(1, 6))
        book.enter(operation)
        operations.append(operation)
        living.append(number)
    return operations


def measure_books(operations: Sequence[Operation]) -> list[dict[str, Any]]:
    """[{"name", "version", "messages_per_s", "shares_traded"}], or {"name", "not_measured": why}.
    CPU time. Every book must trade the same: a book that does not is told so in `problem`."""
    figures: list[dict[str, Any]] = []
    for name, distribution, make in BOOKS:
        try:
            book = make()
        except ImportError:
            figures.append({"name": name, "not_measured": f"pip install {distribution}"})
            continue
        begun_s = time.process_time()
        traded = run(book, operations)
        took_s = time.process_time() - begun_s
        found = {
            "name": name,
            "version": version(distribution) if distribution else "",
            "messages_per_s": round(len(operations) / took_s),
            "shares_traded": traded,
        }
        if figures and traded != figures[0]["shares_traded"]:
            found["problem"] = f"traded {traded} shares, ours {figures[0]['shares_traded']}"
        figures.append(found)
    return figures


def run(book: Book, operations: Sequence[Operation]) -> int:
    """All operations; returns the shares that traded."""
    traded = 0
    for operation in operations:
        if operation.side:
            traded += book.enter(operation)
        else:
            book.cancel(operation.number)
    return traded
