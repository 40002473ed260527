"""The messages of many order books as commands of several sessions, as they come out of the log."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from exchange.bench.book_flow import MIDDLE_TICKS, TICK, BookFlow, Message, MessageKind
from matching.types import OrderType
from oms.commands import Command, CommandKind
from oms.events import TradingState

SEED: Final = 7
SESSIONS: Final = 8
_BAND_BPS: Final = 5_000
_LIMIT: Final = int(OrderType.LIMIT)
_ENTER: Final = int(MessageKind.ENTER)
_CANCEL: Final = int(MessageKind.CANCEL)


class CommandFlow:
    """Commands without end, every one a plain order, its cancel or its replace; the same numbers
    make the same ones."""

    def __init__(self, instruments: int, open_orders: int) -> None:
        """`open_orders`: about so many rest at any time once `filling` was used up."""
        self._chooser = random.Random(SEED)
        self._symbols = [f"S{number}" for number in range(1, instruments + 1)]
        self._flows = [BookFlow(self._chooser, open_orders // instruments) for _ in self._symbols]
        self._open_orders = open_orders
        # Current name of an open order, by (place of its instrument, order_id).
        self._names: dict[tuple[int, int], str] = {}
        self._last_number = 0

    def opening(self) -> list[Command]:
        """The reference data, and continuous trading in every instrument."""
        instruments = tuple(
            (symbol, place, TICK, 1, MIDDLE_TICKS * TICK, _BAND_BPS, 1_000_000)
            for place, symbol in enumerate(self._symbols, start=1)
        )
        accounts = (("A", "FIRM", 1_000_000, 2**62),)
        sessions = tuple((f"C{number}", "A") for number in range(SESSIONS))
        return [
            (int(CommandKind.LOAD_REFERENCE_DATA), instruments, accounts, sessions),
            (int(CommandKind.SET_TRADING_STATE), "", int(TradingState.TRADING), ""),
        ]

    def filling(self) -> Iterator[Command]:
        """The orders that rest to begin with, all instruments in turns."""
        for messages in zip(*(flow.filling() for flow in self._flows), strict=True):
            for place, message in enumerate(messages):
                yield self._command(place, message)

    def resting(self) -> Iterator[Command]:
        """As many orders that rest, of which nothing is remembered here."""
        count = len(self._flows)
        for number in range(self._open_orders):
            place = number % count
            message = self._flows[place].passive()
            yield self._enter(place, message, f"N{self._next_number()}")

    def trading(self, count: int) -> list[Command]:
        """The next `count` commands, or one or two more."""
        commands: list[Command] = []
        while len(commands) < count:
            place = self._chooser.randrange(len(self._flows))
            commands += [self._command(place, each) for each in self._flows[place].trading(1)]
        return commands

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _enter(self, place: int, message: Message, name: str) -> Command:
        _, order_id, _, _, side, time_in_force, price, quantity = message
        session, symbol = f"C{order_id % SESSIONS}", self._symbols[place]
        head = (int(CommandKind.ENTER_ORDER), session, self._last_number, "", name, symbol)
        return (*head, side, _LIMIT, time_in_force, quantity, price)

    def _command(self, place: int, message: Message) -> Command:
        kind, order_id, _, _, side, time_in_force, price, quantity = message
        number, key = self._next_number(), (place, order_id)
        name = f"N{number}"
        if kind == _ENTER:
            self._names[key] = name
            return self._enter(place, message, name)
        old_name = self._names.pop(key)
        session, symbol = f"C{order_id % SESSIONS}", self._symbols[place]
        head = (session, number, name, old_name, symbol, side)
        if kind == _CANCEL:
            return (int(CommandKind.CANCEL_ORDER), *head)
        self._names[key] = name
        return (int(CommandKind.REPLACE_ORDER), *head, _LIMIT, time_in_force, quantity, price)
