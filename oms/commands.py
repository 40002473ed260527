"""What may be asked of the exchange. A command is a tuple; its first field says which.

A command travels through the log as a plain tuple (msgpack array) of these fields in this order,
so a handler unpacks it by position and a later version only ever appends fields. `session` is the
name of the trading session (a FIX CompID or an OUCH user name) that asks. `msg_seq_num` is the
number of the message on that session which asked for it (FIX MsgSeqNum); the state machine
remembers the highest one per session, so a gateway that comes back after a crash knows which
messages have become commands. Prices are Price(4) integers, 0 where the order has no limit.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

Command: TypeAlias = tuple[Any, ...]
"""Any of the tuples below, or the plain tuple with the same fields that came out of the log."""


class CommandKind(IntEnum):
    """First field of a command; the numbers are part of the log format."""

    ENTER_ORDER = 1
    REPLACE_ORDER = 2
    CANCEL_ORDER = 3
    QUERY_ORDER = 4
    OPEN_SESSION = 10
    CLOSE_SESSION = 11
    GATEWAY_LOST = 12
    CLOCK_TICK = 20
    LOAD_REFERENCE_DATA = 30
    SET_TRADING_STATE = 31


class EnterOrder(NamedTuple):
    """Enter an order. Answered by OrderAccepted (and what follows from it) or OrderRejected."""

    kind: int
    session: str
    msg_seq_num: int
    account: str
    cl_ord_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int


class ReplaceOrder(NamedTuple):
    """Change price or quantity of an open order. `quantity` is the new total, executed shares
    included. A pure quantity decrease keeps priority, anything else loses it.
    Answered by OrderReplaced (and what follows) or CancelRejected."""

    kind: int
    session: str
    msg_seq_num: int
    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int


class CancelOrder(NamedTuple):
    """Cancel what is left of an order. Answered by OrderCanceled or CancelRejected."""

    kind: int
    session: str
    msg_seq_num: int
    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: int


class QueryOrder(NamedTuple):
    """Ask for the state of an order. Goes through the log, so the answer is never stale.
    Answered by OrderStatusReported; an unknown order is answered with order_id 0."""

    kind: int
    session: str
    msg_seq_num: int
    cl_ord_id: str
    symbol: str
    side: int


class OpenSession(NamedTuple):
    """A client has logged on. `reset` starts message numbers again at 1 (FIX 141=Y)."""

    kind: int
    session: str
    gateway_id: str
    cancel_on_disconnect: bool
    reset: bool


class CloseSession(NamedTuple):
    """A client's connection ended. Ignored unless `gateway_id` is the one that opened it last.
    Cancels the session's open orders when it was opened with cancel_on_disconnect."""

    kind: int
    session: str
    gateway_id: str


class GatewayLost(NamedTuple):
    """A gateway has been away for longer than the grace time: all its sessions are closed."""

    kind: int
    gateway_id: str


class ClockTick(NamedTuple):
    """Time passes although nobody trades."""

    kind: int


class LoadReferenceData(NamedTuple):
    """Instruments, accounts and sessions of a new cluster: the first command in its log.

    The tuples are those of oms.reference_data. Ignored when reference data is already there, so
    a configuration file that differs from node to node cannot make replicas differ.
    """

    kind: int
    instruments: tuple[tuple[Any, ...], ...]
    accounts: tuple[tuple[Any, ...], ...]
    sessions: tuple[tuple[Any, ...], ...]


class SetTradingState(NamedTuple):
    """Operator command: put one instrument, or all (symbol ""), into a TradingState."""

    kind: int
    symbol: str
    trading_state: int
    reason: str
