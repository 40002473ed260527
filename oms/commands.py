"""What may be asked of the exchange. A command is a tuple; its first field says which.

A command travels through the log as a plain tuple (msgpack array) of these fields in this order,
so a handler unpacks it by position and a later version only ever appends fields. `session` is the
name of the trading session (a FIX CompID or an OUCH user name) that asks. `msg_seq_num` is the
number of the message on that session which asked for it (FIX MsgSeqNum); the state machine
remembers the highest one per session, so a gateway that comes back after a crash knows which
messages have become commands. Prices are Price(4) integers, 0 where the order has no limit.

A protocol without message numbers of its own (OUCH) counts its requests instead: `number` (OUCH
UserRefNum) must rise within (session, `channel`) (OUCH UserRefIdx, 0 to 255) with everything that
creates something; a number that is not above the last one used is a request sent again and is
ignored without an event (oms/numbered_commands.py). `refusal` is 0, or the RejectReason with which
the gateway wants a request refused that it cannot express, and `found` the fact that goes with it.
`memo` is anything that the gateway wants back in the answer.

A command to enter or replace an order, numbered or not, may have one field more than its tuple
here: its terms (oms.terms), themselves a tuple. Plain orders have none, and travel without.

A query goes through the log, so its answer is never stale. `request_id` is the gateway's name for
it, which the answer repeats; it is not a ClOrdID and uses up none. A session that nobody defined
gets no answer to a query other than QueryOrder.
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
    ENTER_NUMBERED_ORDER = 5
    REPLACE_NUMBERED_ORDER = 6
    REDUCE_NUMBERED_ORDER = 7
    MODIFY_NUMBERED_ORDER = 8
    MASS_CANCEL = 9
    OPEN_SESSION = 10
    CLOSE_SESSION = 11
    GATEWAY_LOST = 12
    SET_ORDER_ENTRY = 13
    QUERY_NUMBERS = 14
    CANCEL_ORDERS = 15
    QUERY_ORDERS = 16
    QUERY_INSTRUMENTS = 17
    QUERY_INSTRUMENT_STATUS = 18
    QUERY_MARKET_STATUS = 19
    CLOCK_TICK = 20
    QUERY_BOOK = 21
    LOAD_REFERENCE_DATA = 30
    SET_TRADING_STATE = 31
    END_DAY = 32
    SCHEDULE_TRADING_DAY = 33
    RESUME_TRADING = 34
    SET_PROTECTION = 40
    BUST_TRADE = 41


class EnterOrder(NamedTuple):
    """Enter an order. Answered by OrderAccepted (and what follows from it) or OrderRejected.
    May end with terms."""

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
    included. A pure quantity decrease keeps priority, anything else loses it. May end with
    terms, which take the place of those that the order has; without them a pegged order keeps its
    limit, too, when `price` is 0.
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


class CancelOrders(NamedTuple):
    """Cancel the open orders of the session that fit all that is said (FIX OrderMassCancelRequest).
    Uses up `cl_ord_id`. Answered by OrdersCanceled, and an OrderCanceled for each under its own
    name, in the order of entry."""

    kind: int
    session: str
    msg_seq_num: int
    cl_ord_id: str
    symbol: str  # "": all
    side: int  # 0: all; SELL: every kind of sale


class QueryOrder(NamedTuple):
    """Ask for the state of an order.
    Answered by OrderStatusReported; an unknown order is answered with order_id 0."""

    kind: int
    session: str
    msg_seq_num: int
    cl_ord_id: str
    symbol: str
    side: int


class QueryOrders(NamedTuple):
    """Ask for a page of the open orders of the session that fit all that is said, in the order of
    order_id (FIX OrderMassStatusRequest). Answered by an OrderListed for each order of the page, at
    most oms.query_commands.ORDERS_PER_PAGE; who wants more asks again from the last one on."""

    kind: int
    session: str
    msg_seq_num: int
    request_id: str
    symbol: str  # "": all
    side: int  # 0: all; SELL: every kind of sale
    after_order_id: int  # the page begins behind this one; 0: with the first


class QueryInstruments(NamedTuple):
    """Ask for the instruments of the exchange (FIX SecurityListRequest). Answered by as many
    InstrumentsListed as it takes."""

    kind: int
    session: str
    msg_seq_num: int
    request_id: str
    symbol: str  # "": all


class QueryInstrumentStatus(NamedTuple):
    """Ask how an instrument trades (FIX SecurityStatusRequest). Answered by
    InstrumentStatusReported."""

    kind: int
    session: str
    msg_seq_num: int
    request_id: str
    symbol: str


class QueryMarketStatus(NamedTuple):
    """Ask how the market trades (FIX TradingSessionStatusRequest). Answered by
    MarketStatusReported."""

    kind: int
    session: str
    msg_seq_num: int
    request_id: str


class QueryBook(NamedTuple):
    """Ask for the price levels of an instrument (FIX MarketDataRequest, snapshot). Answered by
    BookReported with the best `depth` levels of each side, at most
    oms.query_commands.BOOK_LEVELS_MAX; 0 or less: as many as that."""

    kind: int
    session: str
    msg_seq_num: int
    request_id: str
    symbol: str
    depth: int


class EnterNumberedOrder(NamedTuple):
    """Enter an order on the account of the session; its name is that of its number. Answered by
    OrderAccepted (and what follows from it) or OrderRejected, and either way the number is used."""

    kind: int
    session: str
    channel: int
    number: int
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    group_id: int  # 0 to 65,535; what MassCancel can choose by, 0: no group
    refusal: int
    found: int | str
    memo: bytes


class ReplaceNumberedOrder(NamedTuple):
    """Change price or quantity (the new total, executed shares included) of the live order whose
    number is `orig_number`, and number it `number`.

    Answered by OrderReplaced (and what follows). What may not be asked cancels the order instead
    (OrderCanceled, REPLACE_INVALID), and leaves the new number unused; a total that is executed
    already cancels the rest of it (USER). NumberRejected while order entry is disabled. Ignored
    when no live order has the old number, or when the new one was used.

    Its terms are what changes (oms.terms.change_terms). Without any the order is displayed, and
    else as it was. A pegged order, or one for an auction, stays one: `order_type` and
    `time_in_force` may then be those of a plain order."""

    kind: int
    session: str
    channel: int
    orig_number: int
    number: int
    time_in_force: int
    quantity: int
    price: int
    order_type: int
    refusal: int
    found: int | str
    memo: bytes


class ReduceNumberedOrder(NamedTuple):
    """Take shares off a live order, which keeps its place: `quantity` is the new total, executed
    shares included. Answered by OrderReduced, or by OrderCanceled when nothing is left (0: all);
    ignored when no live order has the number or it has no more shares than that."""

    kind: int
    session: str
    channel: int
    number: int
    quantity: int


class ModifyNumberedOrder(NamedTuple):
    """Mark a sale as another kind of sale, or take shares off as ReduceNumberedOrder does, or both.
    Answered by OrderModified, also when nothing changes, or by OrderCanceled when nothing is left;
    ignored for another side, for more shares, and when no live order has the number."""

    kind: int
    session: str
    channel: int
    number: int
    side: int
    quantity: int


class MassCancel(NamedTuple):
    """Cancel the open orders of the session that fit all that is said. Uses up a number. Answered
    by MassCanceled and an OrderCanceled for each, in the order of entry, or by NumberRejected."""

    kind: int
    session: str
    channel: int
    number: int
    symbol: str  # "": all
    side: int  # 0: all; SELL: every kind of sale
    group_id: int  # 0: all
    only_channel: int  # -1: all
    refusal: int
    found: int | str
    memo: bytes


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


class SetOrderEntry(NamedTuple):
    """Disable or enable order entry of a session: while it is disabled no order is entered and none
    replaced, whatever the protocol. Uses up a number. Answered by OrderEntrySet or NumberRejected.
    Stays so until said otherwise, whoever opens the session."""

    kind: int
    session: str
    channel: int
    number: int
    enabled: bool
    refusal: int
    found: int | str
    memo: bytes


class QueryNumbers(NamedTuple):
    """Ask which number comes next. Answered by NumbersReported."""

    kind: int
    session: str
    channel: int


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
    """Operator command: put one instrument, or all (symbol ""), into a TradingState. What is halted
    by it stays so, whatever the schedule says, until an operator puts it into another state; what
    is closed, for the rest of the day."""

    kind: int
    symbol: str
    trading_state: int
    reason: str


class SetProtection(NamedTuple):
    """Operator command: the rules that protect against prices which run away, from now on, in place
    of those before. `rules` is a ProtectionRules, `instruments` has an InstrumentProtection for
    each instrument that has any (oms.protection_rules)."""

    kind: int
    rules: tuple[int, ...]
    instruments: tuple[tuple[Any, ...], ...]


class BustTrade(NamedTuple):
    """Operator command: declare a trade void. Answered by TradeBusted and an ExecutionBusted for
    each side, or by BustRefused. `reason` is any text, for the record."""

    kind: int
    match_number: int
    reason: str


class EndDay(NamedTuple):
    """Operator command: close every instrument, and cancel what lives for the day."""

    kind: int


class ScheduleTradingDay(NamedTuple):
    """The leader's command: when the phases of a day begin; ClockTick then begins them, and the
    last one does what EndDay does. The terms are those of oms.trading_day.

    A schedule that has not begun gives way to another; while a day is running, and for a day that
    has been, the command is ignored. So a leader may say it again, and a configuration that differs
    from node to node cannot make replicas differ."""

    kind: int
    date: int  # YYYYMMDD
    phases: tuple[tuple[int, int], ...]  # (ns since the epoch, TradingState)


class ResumeTrading(NamedTuple):
    """Operator command: put one instrument, or all (symbol ""), into the state that the trading day
    is in now; without a schedule into TRADING."""

    kind: int
    symbol: str
    reason: str
