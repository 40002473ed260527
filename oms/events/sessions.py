"""What a session is told that is not about one order (oms/events/__init__.py)."""

from __future__ import annotations

from typing import NamedTuple


class SessionOpened(NamedTuple):
    """`last_msg_seq_num` is the highest message number of this session that became a command."""

    kind: int
    owner: str
    gateway_id: str
    last_msg_seq_num: int


class SessionClosed(NamedTuple):
    """The session ended; `canceled` orders were taken out because of it."""

    kind: int
    owner: str
    gateway_id: str
    canceled: int


class SessionRefused(NamedTuple):
    """The session was not opened: the gateway refuses the logon. `reason` is a RejectReason."""

    kind: int
    owner: str
    gateway_id: str
    reason: int


class NumberRejected(NamedTuple):
    """A numbered request that is not an order was refused, and its number is used up (unless nobody
    defined the session). `number` is 0 for a request that has none. `reason` is a RejectReason."""

    kind: int
    owner: str
    channel: int
    number: int
    reason: int
    found: int | str
    memo: bytes


class MassCanceled(NamedTuple):
    """`canceled` orders are taken out because of a MassCancel: as many OrderCanceled follow."""

    kind: int
    owner: str
    channel: int
    number: int
    symbol: str
    canceled: int
    memo: bytes


class OrdersCanceled(NamedTuple):
    """Answer to CancelOrders. With `reason` 0, `canceled` orders are taken out: as many
    OrderCanceled follow. Else `reason` is the RejectReason for which none is, `found` and `limit`
    its facts."""

    kind: int
    owner: str
    cl_ord_id: str
    symbol: str
    side: int
    canceled: int
    reason: int
    found: int | str
    limit: int | str


class OrderEntrySet(NamedTuple):
    """Order entry of the session is enabled or disabled from now on."""

    kind: int
    owner: str
    channel: int
    number: int
    enabled: bool
    memo: bytes


class TradingDayStarted(NamedTuple):
    """Another trading day begins for the session (OUCH System Event S); not told of the first."""

    kind: int
    owner: str


class EmergencyClosed(NamedTuple):
    """The exchange closes an instrument, or all (symbol ""), in an emergency. Every session is
    told, also one without orders."""

    kind: int
    owner: str
    symbol: str
    reason: str


class TradingDayEnded(NamedTuple):
    """The trading day is over for the session (OUCH System Event E)."""

    kind: int
    owner: str
