"""The language of tests/books/*.txt: commands for books in, what happened and the books out.

    enter ID SIDE PRICE QUANTITY [GTC|IOC|FOK]     a limit order, DAY unless it says otherwise
    enter ID SIDE market QUANTITY [FOK] [collar PRICE]
    cancel ID
    replace ID NEW_ID PRICE LEAVES
    find ID | best | orders SIDE | depth SIDE LEVELS
    restore                       rebuild the book from its own orders, as a snapshot does
    book NAME                     go on with another instrument, same match numbers

The player asks the book itself whether an order is live, as the caller of a book does, and says
"rejected ..." where the caller would refuse. It cancels what an order that does not rest has left,
and says why. The output ends with every level of every book, best first.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from matching import order_book
from matching.types import BookOrder, OrderType, Side, TimeInForce


def parse_price(text: str) -> int:
    """Price(4) of a decimal with at most four places."""
    whole, _, fraction = text.partition(".")
    assert whole.isdigit(), f"{text!r} is not a price; example: 10.00"
    assert len(fraction) <= 4, f"{text!r} is not a price; example: 10.00"
    return int(whole) * 10_000 + int(fraction.ljust(4, "0") or "0")


def format_price(price: int) -> str:
    """At least two decimal places, four where they are needed."""
    whole, fraction = divmod(price, 10_000)
    text = f"{whole}.{fraction:04d}"
    return text[:-2] if text.endswith("00") else text


class ScriptPlayer:
    """Plays a script on the books of `module`; `lines` is what happened so far."""

    def __init__(self, module: ModuleType = order_book) -> None:
        self._module = module
        self._match_numbers = module.MatchNumbers()
        self._books: dict[str, Any] = {}
        self._orders: dict[tuple[str, int], BookOrder] = {}
        self._name = ""
        self.lines: list[str] = []

    def play(self, commands: list[str]) -> list[str]:
        """All output lines of a script; every invariant holds after each command."""
        for command in commands:
            verb, *words = command.split()
            handler = getattr(self, f"_do_{verb}", None)
            assert handler is not None, f"unknown command: {command!r}"
            handler(*words)
            self._book.check_invariants()
        for name, book in self._books.items():
            if len(self._books) > 1:
                self.lines.append(f"book {name}")
            levels = [
                f"{side.name} {quantity}@{format_price(price)}"
                for side in (Side.SELL, Side.BUY)
                for price, quantity, _ in book.depth(side, len(book))
            ]
            self.lines.extend(levels or ["empty book"])
        return self.lines

    @property
    def _book(self) -> Any:
        if self._name not in self._books:
            self._books[self._name] = self._module.OrderBook(self._match_numbers)
        return self._books[self._name]

    def _do_book(self, name: str) -> None:
        self._name = name

    def _do_enter(self, number: str, side: str, price: str, quantity: str, *words: str) -> None:
        reference = int(number)
        if self._book.find(reference) is not None:
            self.lines.append(f"rejected enter {reference}: live order")
            return
        is_market = price == "market"
        rest = list(words)
        collar = None
        if "collar" in rest:
            at = rest.index("collar")
            collar = parse_price(rest[at + 1])
            del rest[at : at + 2]
        time_in_force = TimeInForce[rest.pop()] if rest else TimeInForce.DAY
        assert not rest, f"enter {number}: unknown words {rest}"
        order = BookOrder(
            reference, Side[side], 0 if is_market else parse_price(price), int(quantity)
        )
        self._orders[self._name, reference] = order
        order_type = OrderType.MARKET if is_market else OrderType.LIMIT
        executions = self._book.enter(order, order_type, time_in_force, collar)
        self._tell_executions(order, int(quantity), executions)
        why = "MARKET" if is_market and time_in_force is TimeInForce.DAY else time_in_force.name
        self._tell_rest(order, why)

    def _do_cancel(self, number: str) -> None:
        order = self._live("cancel", number)
        if order is not None:
            canceled = self._book.cancel(order)
            assert not order.is_resting, f"order {number} rests after its cancel"
            self.lines.append(f"canceled {number} {canceled}")

    def _do_replace(self, number: str, new_number: str, price: str, leaves: str) -> None:
        order = self._live("replace", number)
        if order is None:
            return
        executions = self._book.replace(order, int(new_number), parse_price(price), int(leaves))
        if executions is None:
            self.lines.append(f"reduced {order.order_reference_number} to {order.leaves_qty}")
            return
        self.lines.append(f"replaced {number} by {order.order_reference_number}")
        self._orders[self._name, int(new_number)] = order
        self._tell_executions(order, int(leaves), executions)
        self._tell_rest(order, "replaced")

    def _do_find(self, number: str) -> None:
        order = self._book.find(int(number))
        if order is None:
            self.lines.append(f"no order {number}")
        else:
            self.lines.append(f"order {self._describe(order)}")

    def _do_best(self) -> None:
        prices = (self._book.best_bid, self._book.best_ask)
        bid, ask = ("none" if price is None else format_price(price) for price in prices)
        self.lines.append(f"best bid {bid}, best ask {ask}")

    def _do_orders(self, side: str) -> None:
        for order in self._book.orders(Side[side]):
            self.lines.append(f"order {self._describe(order)}")

    def _do_depth(self, side: str, levels: str) -> None:
        for price, quantity, order_count in self._book.depth(Side[side], int(levels)):
            orders = "order" if order_count == 1 else "orders"
            self.lines.append(f"{side} {quantity}@{format_price(price)} in {order_count} {orders}")

    def _do_restore(self) -> None:
        old, new = self._book, self._module.OrderBook(self._match_numbers)
        copies = [
            BookOrder(order.order_reference_number, order.side, order.price, order.leaves_qty)
            for order in old
        ]
        new.add_resting(copies)
        for copy in copies:
            self._orders[self._name, copy.order_reference_number] = copy
        self._books[self._name] = new
        self.lines.append(f"restored {len(new)}")

    def _live(self, verb: str, number: str) -> BookOrder | None:
        reference = int(number)
        order: BookOrder | None = self._book.find(reference)
        if order is None:
            gone = self._orders.get((self._name, reference))
            if gone is None:
                reason = "unknown order"
            elif gone.order_reference_number != reference:
                reason = f"replaced by {gone.order_reference_number}"
            else:
                reason = "filled" if gone.leaves_qty == 0 else "canceled"
            self.lines.append(f"rejected {verb} {number}: {reason}")
        return order

    def _describe(self, order: BookOrder) -> str:
        side, price = Side(order.side).name, format_price(order.price)
        return f"{order.order_reference_number} {side} {price} {order.leaves_qty}"

    def _tell_executions(self, order: BookOrder, quantity: int, executions: list[Any]) -> None:
        for executed in executions:
            assert executed.incoming is order, "an execution of somebody else's order"
            quantity -= executed.quantity
            assert executed.incoming_leaves_qty == quantity, f"leaves differ: {executed}"
            self.lines.append(
                f"executed {executed.resting.order_reference_number}"
                f" with {order.order_reference_number}"
                f" at {format_price(executed.price)} for {executed.quantity},"
                f" leaves {executed.resting_leaves_qty}, match {executed.match_number}"
            )
        assert order.leaves_qty == quantity, f"leaves {order.leaves_qty}, executed to {quantity}"

    def _tell_rest(self, order: BookOrder, why: str) -> None:
        if order.is_resting:
            self.lines.append(f"added {self._describe(order)}")
        elif order.leaves_qty > 0:
            self.lines.append(
                f"canceled {order.order_reference_number} {order.leaves_qty}, {why} residual"
            )
