"""A day of one instrument as an order book sees it: messages of many traders, made beforehand.

The middle of the market walks at random. New orders come to both sides of it at a distance that
follows a power law: many close by, some very far away. Of all orders 15 % are IOC, 5 % more come
with a price that crosses, and 20 % are modified once. The others are canceled in the end, most of
them young, unless somebody trades with them first, which happens to one in twenty. Source of the
shape: Bouchaud, Mezard, Potters, "Statistical properties of stock order books".
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from matching.types import Side, TimeInForce

TICK: Final = 100
MIDDLE_TICKS: Final = 10_000
FARTHEST_TICKS: Final = 2_000
_NEAR_TICKS: Final = 20
_EXPONENT: Final = 0.6
_IOC_SHARE: Final = 0.15
_CROSSING_SHARE: Final = 0.05
_MODIFIED_SHARE: Final = 0.2
_YOUNG_SHARE: Final = 0.8
_YOUNG: Final = 1_000
_ORDERS_PER_STEP: Final = 1_000
"""The middle moves by a tick at most in so many orders."""


class MessageKind(IntEnum):
    """What is asked of the book."""

    ENTER = 1
    CANCEL = 2
    REPLACE = 3


class Message(NamedTuple):
    """`order_id` is the number with which the order was entered, `old_number` the one that it has,
    `number` the one that a replace gives it unless it keeps its place; all count from 1 in one row.
    Whether it still rests is for the reader to find out. `price` is in 1/10,000."""

    kind: int
    order_id: int
    number: int
    old_number: int
    side: int
    time_in_force: int
    price: int
    quantity: int


class BookFlow:
    """Messages without end; equal choosers and counts make equal ones."""

    def __init__(self, chooser: random.Random, open_orders: int) -> None:
        """`open_orders`: about so many rest at any time once `filling` was used up."""
        self._chooser = chooser
        self._wanted = open_orders
        self._open: list[Message] = []
        self._middle = MIDDLE_TICKS
        self._last_number = 0
        self._orders = 0

    def passive(self) -> Message:
        """A new order that rests; no later message speaks of it."""
        return self._new(self._distance(), TimeInForce.DAY)

    def filling(self) -> Iterator[Message]:
        """Yield the orders that rest to begin with."""
        for _ in range(self._wanted):
            self._open.append(self.passive())
            yield self._open[-1]

    def trading(self, count: int) -> list[Message]:
        """The next `count` messages, or one or two more."""
        messages: list[Message] = []
        while len(messages) < count:
            messages += self._next_order()
        return messages

    def _next_order(self) -> Iterator[Message]:
        """An order, and what else traders ask for in the same time."""
        self._orders += 1
        if self._orders % _ORDERS_PER_STEP == 0:
            self._middle += self._chooser.choice((-1, 0, 1))
        draw = self._chooser.random()
        if draw < _IOC_SHARE:
            yield self._new(-self._chooser.randrange(3), TimeInForce.IOC)
        else:
            is_crossing = draw < _IOC_SHARE + _CROSSING_SHARE
            distance = -self._chooser.randrange(3) if is_crossing else self._distance()
            self._open.append(self._new(distance, TimeInForce.DAY))
            yield self._open[-1]
        if self._open and self._chooser.random() < _MODIFIED_SHARE:
            yield self._modify()
        if len(self._open) > self._wanted:
            yield self._cancel()

    def _new(self, distance: int, time_in_force: TimeInForce) -> Message:
        """An order so many ticks from the middle, a small one when it is there to trade."""
        number = self._last_number = self._last_number + 1
        side = int(self._chooser.choice((Side.BUY, Side.SELL)))
        quantity = 100 * self._chooser.randrange(1, 10) if distance > 0 else 100
        price = self._price(side, distance)
        kind, tif = int(MessageKind.ENTER), int(time_in_force)
        return Message(kind, number, number, number, side, tif, price, quantity)

    def _distance(self) -> int:
        """In ticks, 1 to FARTHEST_TICKS."""
        share = 1 - self._chooser.random()
        far = _NEAR_TICKS * (min(share ** (-1 / _EXPONENT), 1e6) - 1)
        return 1 + int(far) % FARTHEST_TICKS

    def _price(self, side: int, distance: int) -> int:
        return TICK * (self._middle + (-distance if side == Side.BUY else distance))

    def _modify(self) -> Message:
        """Fewer shares, or another price."""
        place = self._place()
        order = self._open[place]
        price, quantity = order.price, order.quantity
        if quantity > 100 and self._chooser.random() < 0.5:
            quantity -= 100
        else:
            price = self._price(order.side, self._distance())
        self._last_number += 1
        message = Message(
            int(MessageKind.REPLACE),
            order.order_id,
            self._last_number,
            order.number,
            order.side,
            order.time_in_force,
            price,
            quantity,
        )
        keeps_place = price == order.price and quantity < order.quantity
        self._open[place] = message._replace(number=order.number) if keeps_place else message
        return message

    def _cancel(self) -> Message:
        place = self._place()
        order, self._open[place] = self._open[place], self._open[-1]
        self._open.pop()
        return order._replace(kind=int(MessageKind.CANCEL), old_number=order.number)

    def _place(self) -> int:
        """Of an open order, most likely a young one."""
        count = len(self._open)
        oldest = count - _YOUNG if self._chooser.random() < _YOUNG_SHARE else 0
        return self._chooser.randrange(max(0, oldest), count)
