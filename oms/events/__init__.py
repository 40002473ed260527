"""What happened. An event is a tuple; its first field says which, its second whom it concerns.

Events are numbered (event_seq, from 1) by the order in which the state machine makes them, so the
number of an event is a pure function of the log and serves as ExecID. `owner` is the trading
session that must be told, "" for market events that concern everyone. All events of a batch
happened at the batch's time stamp, which travels once with the batch. Prices are Price(4).

Order events carry the whole state of the order after the event, in the same places (ORDER_FIELDS),
because gateways hold no order state. Where a NamedTuple has a `memo`, it is that of the request for
a numbered order (oms/commands.py); the plain tuples of other orders are shorter by this field.
Where one has `terms`, they are oms.terms.Terms of an order that has any, the stop price as it is
now; plain orders are shorter by this field, too.

    events/orders.py    one order of the session, whatever happened to it
    events/sessions.py  the session: opened, closed, its mass cancels, its order entry
    events/answers.py   what the session asked
    events/market.py    everyone: instruments, trading states, the book
    events/codes.py     the closed sets of values in them
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeAlias

from oms.events.answers import (
    BookReported,
    InstrumentsListed,
    InstrumentStatusReported,
    MarketStatusReported,
    NumbersReported,
    OrderListed,
    OrderStatusReported,
)
from oms.events.codes import (
    BustRefusal,
    CancelReason,
    CancelRejectedResponseTo,
    Liquidity,
    OrdStatus,
    RejectReason,
    SystemEventCode,
    TradingState,
)
from oms.events.market import (
    AuctionExecuted,
    AuctionIndicated,
    BookAdded,
    BookDeleted,
    BookExecuted,
    BookReduced,
    BookReplaced,
    BustRefused,
    CircuitBreakersSet,
    CircuitBreakerTripped,
    InstrumentAdded,
    InstrumentDayEnded,
    PriceBandSet,
    SystemEvent,
    TradeBusted,
    TradingAction,
)
from oms.events.orders import (
    ORDER_FIELDS,
    CancelRejected,
    ExecutionBusted,
    OrderAccepted,
    OrderCanceled,
    OrderExecuted,
    OrderModified,
    OrderReduced,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderTriggered,
)
from oms.events.sessions import (
    EmergencyClosed,
    MassCanceled,
    NumberRejected,
    OrderEntrySet,
    OrdersCanceled,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    TradingDayEnded,
    TradingDayStarted,
)

__all__ = [
    "ORDER_FIELDS",
    "AuctionExecuted",
    "AuctionIndicated",
    "BookAdded",
    "BookDeleted",
    "BookExecuted",
    "BookReduced",
    "BookReplaced",
    "BookReported",
    "BustRefusal",
    "BustRefused",
    "CancelReason",
    "CancelRejected",
    "CancelRejectedResponseTo",
    "CircuitBreakerTripped",
    "CircuitBreakersSet",
    "EmergencyClosed",
    "Event",
    "EventKind",
    "ExecutionBusted",
    "InstrumentAdded",
    "InstrumentDayEnded",
    "InstrumentStatusReported",
    "InstrumentsListed",
    "Liquidity",
    "MarketStatusReported",
    "MassCanceled",
    "NumberRejected",
    "NumbersReported",
    "OrdStatus",
    "OrderAccepted",
    "OrderCanceled",
    "OrderEntrySet",
    "OrderExecuted",
    "OrderListed",
    "OrderModified",
    "OrderReduced",
    "OrderRejected",
    "OrderReplaced",
    "OrderRestated",
    "OrderStatusReported",
    "OrderTriggered",
    "OrdersCanceled",
    "PriceBandSet",
    "RejectReason",
    "SessionClosed",
    "SessionOpened",
    "SessionRefused",
    "SystemEvent",
    "SystemEventCode",
    "TradeBusted",
    "TradingAction",
    "TradingDayEnded",
    "TradingDayStarted",
    "TradingState",
]

Event: TypeAlias = tuple[Any, ...]
"""Any of the tuples of these files, or the plain tuple with the same fields off the wire."""


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
    ORDERS_CANCELED = 17
    ORDER_LISTED = 18
    INSTRUMENTS_LISTED = 19
    INSTRUMENT_ADDED = 20
    TRADING_ACTION = 21
    SYSTEM_EVENT = 22
    INSTRUMENT_STATUS_REPORTED = 24
    MARKET_STATUS_REPORTED = 25
    BOOK_REPORTED = 26
    BOOK_ADDED = 30
    BOOK_REDUCED = 31
    BOOK_DELETED = 32
    BOOK_REPLACED = 33
    BOOK_EXECUTED = 34
    AUCTION_EXECUTED = 35
    AUCTION_INDICATED = 36
    INSTRUMENT_DAY_ENDED = 37
    ORDER_TRIGGERED = 40
    ORDER_RESTATED = 41
    TRADING_DAY_STARTED = 50
    TRADING_DAY_ENDED = 51
    PRICE_BAND_SET = 60
    CIRCUIT_BREAKERS_SET = 61
    CIRCUIT_BREAKER_TRIPPED = 62
    TRADE_BUSTED = 63
    EXECUTION_BUSTED = 64
    BUST_REFUSED = 65
    EMERGENCY_CLOSED = 66
