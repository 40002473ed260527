"""What a client may put into the log: the commands, and the types of their fields.

A node checks this before a command is proposed: what is in the log is applied on every node, and
the state machine is total over what passes here, and over nothing else.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final, get_args, get_origin, get_type_hints

from cluster.codec import MARK_STATE, CodecError, told, unpack
from oms import commands as oms_commands
from oms.commands import CommandKind
from oms.terms import Terms


def _field_types(command_class: Any) -> tuple[tuple[type, ...], ...]:
    """The types that the fields of a command may have together: one tuple for each choice."""
    hints = get_type_hints(command_class)
    return tuple(product(*(_types_of(hints[name]) for name in command_class._fields)))


def _types_of(hint: Any) -> tuple[type, ...]:
    if get_origin(hint) is tuple:
        return (tuple,)
    return (hint,) if isinstance(hint, type) else get_args(hint)


_COMMAND_CLASSES: Final[dict[int, Any]] = {
    CommandKind.ENTER_ORDER: oms_commands.EnterOrder,
    CommandKind.REPLACE_ORDER: oms_commands.ReplaceOrder,
    CommandKind.CANCEL_ORDER: oms_commands.CancelOrder,
    CommandKind.CANCEL_ORDERS: oms_commands.CancelOrders,
    CommandKind.QUERY_ORDER: oms_commands.QueryOrder,
    CommandKind.QUERY_ORDERS: oms_commands.QueryOrders,
    CommandKind.QUERY_INSTRUMENTS: oms_commands.QueryInstruments,
    CommandKind.QUERY_INSTRUMENT_STATUS: oms_commands.QueryInstrumentStatus,
    CommandKind.QUERY_MARKET_STATUS: oms_commands.QueryMarketStatus,
    CommandKind.QUERY_BOOK: oms_commands.QueryBook,
    CommandKind.ENTER_NUMBERED_ORDER: oms_commands.EnterNumberedOrder,
    CommandKind.REPLACE_NUMBERED_ORDER: oms_commands.ReplaceNumberedOrder,
    CommandKind.REDUCE_NUMBERED_ORDER: oms_commands.ReduceNumberedOrder,
    CommandKind.MODIFY_NUMBERED_ORDER: oms_commands.ModifyNumberedOrder,
    CommandKind.MASS_CANCEL: oms_commands.MassCancel,
    CommandKind.OPEN_SESSION: oms_commands.OpenSession,
    CommandKind.CLOSE_SESSION: oms_commands.CloseSession,
    CommandKind.SET_ORDER_ENTRY: oms_commands.SetOrderEntry,
    CommandKind.QUERY_NUMBERS: oms_commands.QueryNumbers,
    CommandKind.CLOCK_TICK: oms_commands.ClockTick,
    CommandKind.SET_TRADING_STATE: oms_commands.SetTradingState,
    CommandKind.END_DAY: oms_commands.EndDay,
    CommandKind.RESUME_TRADING: oms_commands.ResumeTrading,
    CommandKind.SET_PROTECTION: oms_commands.SetProtection,
    CommandKind.BUST_TRADE: oms_commands.BustTrade,
}
"""Commands that a client may submit. LoadReferenceData, GatewayLost and ScheduleTradingDay are the
leader's own."""

_MAY_HAVE_TERMS: Final = (
    CommandKind.ENTER_ORDER,
    CommandKind.REPLACE_ORDER,
    CommandKind.ENTER_NUMBERED_ORDER,
    CommandKind.REPLACE_NUMBERED_ORDER,
)
"""Commands that may end with one field more, the terms of an order: integers (oms/terms.py)."""
_TYPES_OF_TERMS: Final = {kind: frozenset((int,)) for kind in map(int, _MAY_HAVE_TERMS)} | {
    int(CommandKind.REPLACE_NUMBERED_ORDER): frozenset((int, type(None)))
}
"""A numbered replace says what changes: None is what stays as it is."""


def _with_terms(field_types: tuple[tuple[type, ...], ...]) -> tuple[tuple[type, ...], ...]:
    return (*field_types, *((*types, tuple) for types in field_types))


_SUBMITTABLE: Final[dict[int, tuple[tuple[type, ...], ...]]] = {
    int(kind): _field_types(command_class) for kind, command_class in _COMMAND_CLASSES.items()
} | {MARK_STATE: ((int, str),)}
for _kind in _MAY_HAVE_TERMS:
    _SUBMITTABLE[_kind] = _with_terms(_SUBMITTABLE[_kind])


def check_commands(blob: Any, *, may_mark: bool = False) -> int:
    """Number of commands in a client's blob. Raises CodecError unless each has exactly the field
    types of its kind: the state machine is total over these, and over nothing else. `may_mark`
    allows one MARK_STATE, alone: it costs a hash of the whole state on every node."""
    if type(blob) is not bytes:
        raise CodecError("the commands of a submission must be bytes")
    commands = unpack(blob)
    if type(commands) is not tuple or not commands:
        raise CodecError("a submission must be a non-empty array of commands")
    for command in commands:
        if type(command) is not tuple or not command:
            raise CodecError(f"a command must be an array, not {type(command).__name__}")
        kind = command[0]
        expected = _SUBMITTABLE.get(kind) if type(kind) is int else None
        if expected is None:
            raise CodecError(f"command kind {told(kind)} cannot be submitted")
        if kind == MARK_STATE and not (may_mark and len(commands) == 1):
            raise CodecError("a mark is put into the log by tools, one at a time")
        if tuple(map(type, command)) not in expected:
            found = ", ".join(type(field).__name__ for field in command)
            raise CodecError(f"command kind {kind} has fields ({found})")
        terms = command[-1]
        if (
            kind in _TYPES_OF_TERMS
            and type(terms) is tuple
            and not (
                len(terms) <= len(Terms._fields)
                and _TYPES_OF_TERMS[kind].issuperset(map(type, terms))
            )
        ):
            raise CodecError(f"terms are at most {len(Terms._fields)} integers")
    return len(commands)
