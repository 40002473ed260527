"""What happened. An event is a tuple; its first field says which, its second whom it concerns.

Events are numbered (event_seq, from 1) by the order in which the state machine makes them, so the
number of an event is a pure function of the log and serves as ExecID. `owner` is the trading
session that must be told, "" for market events that concern everyone. All events of a batch
happened at the batch's time stamp, which travels once with the batch. Prices are Price(4).

Order events carry the whole state of the order after the event, in the same places (ORDER_FIELDS),
because gateways hold no order state. Where a NamedTuple has a `memo`, it is that of the request for
a numbered order (oms/commands.py); the plain tuples of other orders are shorter by this field.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, TypeAlias

Event: TypeAlias = tuple[Any, ...]
"""Any of the tuples below, or the plain tuple with the same fields that came off the wire."""


class EventKind(IntEnum):
    """First field of an event; the numbers are part of the wire format."""

    ORDER_ACCEPTED = 1
    ORDER_EXECUTED = 2
    ORDER_CANCELED = 3
    ORDER_REPLACED = 4
    ORDER_REJECTED = 5
    CANCEL_REJECTED = 6
    ORDER_STATUS_REPORTED = 7
    ORDER_REDUCED = 8
    ORDER_MODIFIED = 9
    SESSION_OPENED = 10
    SESSION_CLOSED = 11
    SESSION_REFUSED = 12
    NUMBER_REJECTED = 13
    MASS_CANCELED = 14
    ORDER_ENTRY_SET = 15
    NUMBERS_REPORTED = 16
    INSTRUMENT_ADDED = 20
    TRADING_ACTION = 21
    SYSTEM_EVENT = 22
    BOOK_ADDED = 30
    BOOK_REDUCED = 31
    BOOK_DELETED = 32
    BOOK_REPLACED = 33


class OrdStatus(IntEnum):
    """Order status; the wire characters (FIX 39) live in the codecs."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    REJECTED = 8


class Liquidity(IntEnum):
    """Whether an execution added or removed liquidity (FIX 851)."""

    ADDED = 1
    REMOVED = 2


class CancelReason(IntEnum):
    """Why an order, or what was left of it, was canceled."""

    USER = 1
    IMMEDIATE_OR_CANCEL = 2
    FILL_OR_KILL = 3
    NO_LIQUIDITY = 4  # a market order, or what is left of it, found nothing within the band
    SESSION_CLOSED = 5  # cancel on disconnect
    SYSTEM = 6
    REPLACE_INVALID = 7  # a numbered order was to be replaced by what may not be
    MASS_CANCEL = 8


class RejectReason(IntEnum):
    """Why the exchange refused. `found` and `limit` of the event carry the facts for the text."""

    UNKNOWN_SYMBOL = 1  # found: symbol
    UNKNOWN_ACCOUNT = 2  # found: account; limit: the session's own account
    DUPLICATE_CL_ORD_ID = 3  # found: cl_ord_id
    INVALID_SIDE = 4  # found: side
    INVALID_ORDER_TYPE = 5  # found: order_type
    INVALID_TIME_IN_FORCE = 6  # found: time_in_force
    INVALID_QUANTITY = 7  # found: quantity (zero or negative)
    QUANTITY_NOT_ROUND_LOT = 8  # found: quantity; limit: lot size
    QUANTITY_TOO_LARGE = 9  # found: quantity; limit: the most that is allowed
    INVALID_PRICE = 10  # found: price (zero, negative, above the highest price)
    PRICE_OFF_GRID = 11  # found: price; limit: tick size
    PRICE_OUT_OF_BAND = 12  # found: price; limit: "low-high" of the band as Price(4) integers
    ORDER_VALUE_TOO_LARGE = 13  # found: value; limit: the most that is allowed
    MARKET_CLOSED = 14  # found: trading state
    HALTED = 15  # found: trading state
    UNKNOWN_ORDER = 16  # found: orig_cl_ord_id
    TOO_LATE = 17  # found: ord_status of an order that is filled or canceled
    ORDER_MISMATCH = 18  # found: what the request says; limit: what the order says
    QUANTITY_ALREADY_EXECUTED = 19  # found: new quantity; limit: cum_qty
    UNKNOWN_SESSION = 20  # found: session
    INVALID_DISPLAY = 21  # found: display; from here to 28 only a gateway refuses
    INVALID_MAX_FLOOR = 22  # found: max floor
    INVALID_PEG = 23  # found: price type
    INTERMARKET_SWEEP_NOT_ALLOWED = 24  # found: intermarket sweep eligibility
    FIRM_NOT_AUTHORIZED = 25  # found: firm
    INVALID_MIN_QUANTITY = 26  # found: minimum quantity
    INVALID_CROSS_TYPE = 27  # found: cross type
    ROUTING_NOT_ALLOWED = 28  # found: route
    ORDER_ENTRY_DISABLED = 29  # found: session
    INVALID_INSTRUCTION = 30  # found: what is said, "group_id 70000"
    POST_ONLY_WOULD_TRADE = 31  # reserved


class CancelRejectedResponseTo(IntEnum):
    """What was refused (FIX 434)."""

    CANCEL = 1
    REPLACE = 2


class TradingState(IntEnum):
    """State of an instrument."""

    CLOSED = 0
    HALTED = 1
    TRADING = 2


class SystemEventCode(IntEnum):
    """Milestones of the day (ITCH System Event; the characters live in the codec)."""

    START_OF_MESSAGES = 1
    START_OF_SYSTEM_HOURS = 2
    START_OF_MARKET_HOURS = 3
    END_OF_MARKET_HOURS = 4
    END_OF_SYSTEM_HOURS = 5
    END_OF_MESSAGES = 6


class OrderAccepted(NamedTuple):
    """The order is live (it may have traded at once: then executions follow)."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int  # sum of last_qty * last_price: divided by cum_qty the average price
    ord_status: int
    order_reference_number: int
    memo: bytes = b""


ORDER_FIELDS = OrderAccepted._fields[:-1]
"""The fields that every order event begins with."""


class OrderExecuted(NamedTuple):
    """One side of a trade. Two of them share a match number, resting side first."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    last_qty: int
    last_price: int
    match_number: int
    liquidity: int


class OrderCanceled(NamedTuple):
    """The order is out. `orig_cl_ord_id` is "" when nobody asked for it; else `cl_ord_id` is the
    request's and `orig_cl_ord_id` the order's. `canceled_qty` is what was taken out."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    orig_cl_ord_id: str
    canceled_qty: int
    reason: int


class OrderReplaced(NamedTuple):
    """The order has the new price and quantity, and `cl_ord_id` as its name from now on."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    orig_cl_ord_id: str
    memo: bytes = b""


class OrderRejected(NamedTuple):
    """The order never lived. `order_reference_number` and `order_id` are 0."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    reason: int
    found: int | str
    limit: int | str
    memo: bytes = b""


class CancelRejected(NamedTuple):
    """A cancel or replace was refused; the order, if there is one, stays as `ord_status` says."""

    kind: int
    owner: str
    cl_ord_id: str
    orig_cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    ord_status: int
    response_to: int
    reason: int
    found: int | str
    limit: int | str


class OrderStatusReported(NamedTuple):
    """Answer to QueryOrder. order_id 0 and ord_status REJECTED for an unknown order."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int


class OrderReduced(NamedTuple):
    """`canceled_qty` shares were taken off an order that lives on in its place."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    canceled_qty: int


class OrderModified(NamedTuple):
    """The order, in its place, has the side and total that were asked for; `canceled_qty` shares
    (0: none) were taken off."""

    kind: int
    owner: str
    cl_ord_id: str
    order_id: int
    account: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    quantity: int
    price: int
    cum_qty: int
    leaves_qty: int
    cum_value: int
    ord_status: int
    order_reference_number: int
    canceled_qty: int


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


class InstrumentAdded(NamedTuple):
    """An instrument was loaded (ITCH Stock Directory)."""

    kind: int
    owner: str
    symbol: str
    stock_locate: int
    lot_size: int
    tick_size: int
    reference_price: int


class TradingAction(NamedTuple):
    """An instrument changed its trading state (ITCH Stock Trading Action)."""

    kind: int
    owner: str
    symbol: str
    stock_locate: int
    trading_state: int
    reason: str


class SystemEvent(NamedTuple):
    """A milestone of the day (ITCH System Event)."""

    kind: int
    owner: str
    code: int


class BookAdded(NamedTuple):
    """An order came to rest in the book with `quantity` shares (ITCH Add Order)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int
    side: int
    quantity: int
    price: int


class BookReduced(NamedTuple):
    """`canceled_qty` shares were taken off a resting order, which keeps its place (ITCH X)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int
    canceled_qty: int


class BookDeleted(NamedTuple):
    """A resting order left the book without trading (ITCH D)."""

    kind: int
    owner: str
    stock_locate: int
    order_reference_number: int


class BookReplaced(NamedTuple):
    """A resting order got a new reference number, price, quantity and the last place (ITCH U)."""

    kind: int
    owner: str
    stock_locate: int
    original_reference_number: int
    new_reference_number: int
    quantity: int
    price: int


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


class OrderEntrySet(NamedTuple):
    """Order entry of the session is enabled or disabled from now on."""

    kind: int
    owner: str
    channel: int
    number: int
    enabled: bool
    memo: bytes


class NumbersReported(NamedTuple):
    """Answer to QueryNumbers: the lowest number of the channel that is not used up."""

    kind: int
    owner: str
    channel: int
    next_number: int
