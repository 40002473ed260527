"""The exchange as one function: a command goes in, events come out, the same on every replica.

    machine.apply(command, now_ns) -> events

There is no clock, no I/O, no randomness and no float in it: time comes with the command, numbers
come from counters in the state. Whatever a client can say wrongly is answered with a rejected
event; a command that no gateway makes (unknown kind, wrong number of fields) is a bug and raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from oms import (
    bust_commands,
    market_commands,
    numbered_commands,
    order_commands,
    query_commands,
    replace_commands,
    safeguards,
    session_commands,
)
from oms.commands import Command, CommandKind
from oms.events import Event
from oms.restore import restore_parts
from oms.snapshot import Part, hash_state, snapshot_parts
from oms.state import ExchangeState

HANDLERS: Final[dict[int, Callable[[ExchangeState, Command], list[Event]]]] = {
    CommandKind.ENTER_ORDER: order_commands.enter_order,
    CommandKind.REPLACE_ORDER: replace_commands.replace_order,
    CommandKind.CANCEL_ORDER: order_commands.cancel_order,
    CommandKind.CANCEL_ORDERS: order_commands.cancel_orders,
    CommandKind.ENTER_NUMBERED_ORDER: numbered_commands.enter_numbered_order,
    CommandKind.REPLACE_NUMBERED_ORDER: numbered_commands.replace_numbered_order,
    CommandKind.REDUCE_NUMBERED_ORDER: numbered_commands.reduce_numbered_order,
    CommandKind.MODIFY_NUMBERED_ORDER: numbered_commands.modify_numbered_order,
    CommandKind.MASS_CANCEL: numbered_commands.mass_cancel,
    CommandKind.OPEN_SESSION: session_commands.open_session,
    CommandKind.CLOSE_SESSION: session_commands.close_session,
    CommandKind.GATEWAY_LOST: session_commands.gateway_lost,
    CommandKind.SET_ORDER_ENTRY: numbered_commands.set_order_entry,
    CommandKind.QUERY_NUMBERS: numbered_commands.query_numbers,
    CommandKind.QUERY_ORDER: query_commands.query_order,
    CommandKind.QUERY_ORDERS: query_commands.query_orders,
    CommandKind.QUERY_INSTRUMENTS: query_commands.query_instruments,
    CommandKind.QUERY_INSTRUMENT_STATUS: query_commands.query_instrument_status,
    CommandKind.QUERY_MARKET_STATUS: query_commands.query_market_status,
    CommandKind.QUERY_BOOK: query_commands.query_book,
    CommandKind.CLOCK_TICK: market_commands.clock_tick,
    CommandKind.LOAD_REFERENCE_DATA: market_commands.load_reference_data,
    CommandKind.SET_TRADING_STATE: market_commands.set_trading_state,
    CommandKind.END_DAY: market_commands.end_day,
    CommandKind.SCHEDULE_TRADING_DAY: market_commands.schedule_trading_day,
    CommandKind.RESUME_TRADING: market_commands.resume_trading,
    CommandKind.SET_PROTECTION: safeguards.set_protection,
    CommandKind.BUST_TRADE: bust_commands.bust_trade,
}
"""Who carries out a command: a function that changes the state and returns what happened."""

_HANDLER_OF: Final = {int(kind): handler for kind, handler in HANDLERS.items()}
"""The same by plain integers: to find a key that is a member of an enumeration takes four times as
long, and there is one for each command."""


class ExchangeStateMachine:
    """The rules of the exchange over an ExchangeState. One instance lives in each node."""

    __slots__ = ("state",)

    def __init__(self, state: ExchangeState | None = None) -> None:
        """Start with an empty exchange, or go on with `state`."""
        self.state = ExchangeState() if state is None else state

    @classmethod
    def restore(cls, parts: Iterable[Part]) -> ExchangeStateMachine:
        """Return a machine that goes on where `parts` were taken; lists pass for tuples.

        Takes its own parts of an iterator and no more. Raises ValueError when they have a version
        that this program does not read, or make no sense.
        """
        return cls(restore_parts(parts))

    def apply(self, command: Command, now_ns: int, first_event_seq: int = 1) -> list[Event]:
        """Carry out a command at the time `now_ns` (ns since the epoch); return what happened.

        Time never runs backwards: an earlier `now_ns` counts as the latest one seen. Raises
        ValueError for an unknown kind or a wrong number of fields, and AssertionError when the
        state turns out to be wrong: either is a bug, and the node must stop.
        """
        return self.apply_all((command,), now_ns, first_event_seq)

    def apply_all(
        self, commands: Iterable[Command], now_ns: int, first_event_seq: int = 1
    ) -> list[Event]:
        """Carry out commands one after the other, all at one time, as `apply` does. The first event
        has the number `first_event_seq`: whoever numbers events says it, because the bust of a
        trade names the events that told it."""
        state = self.state
        state.last_time_ns = max(state.last_time_ns, now_ns)
        handler_of = _HANDLER_OF.get
        events: list[Event] = []
        match_numbers = state.match_numbers
        traded = match_numbers.last
        for command in commands:
            handler = handler_of(command[0])
            if handler is None:
                raise ValueError(f"no command has the kind {command[0]}: {command!r}")
            made = handler(state, command)
            if match_numbers.last != traded:
                traded = match_numbers.last
                state.trades.remember(first_event_seq + len(events), made, traded)
            events += made
        return events

    @property
    def last_time_ns(self) -> int:
        """Time of the latest command, in ns since the epoch; 0 before the first."""
        return self.state.last_time_ns

    def snapshot_parts(self) -> Iterator[Part]:
        """Yield the whole state in pieces of plain values (oms/snapshot.py).

        No command may be applied until the last one was taken. Equal states have equal parts.
        """
        return snapshot_parts(self.state)

    def state_hash(self) -> str:
        """Return a SHA-256 of the whole state in hexadecimal. Costs the less, the fewer names were
        used since the last call."""
        return hash_state(self.state)

    def check_invariants(self) -> None:
        """Assert everything that must be true between two commands, in O(state)."""
        self.state.check_invariants()
