"""Closed sets that events carry as plain integers; the wire characters live in the codecs."""

from __future__ import annotations

from enum import IntEnum


class OrdStatus(IntEnum):
    """Order status (FIX 39; one that FIX says with a letter has its ASCII code)."""

    NEW = 0
    PARTIALLY_FILLED = 1
    FILLED = 2
    CANCELED = 4
    REJECTED = 8
    EXPIRED = ord("C")  # canceled by its own time in force


class Liquidity(IntEnum):
    """Whether an execution added or removed liquidity (FIX 851, as far as that goes)."""

    ADDED = 1
    REMOVED = 2
    AUCTION = 4  # neither: both sides of a trade in an auction that is none of the two below
    ADDED_HIDDEN = 5  # added by an order that is not displayed
    OPENING_AUCTION = 6
    CLOSING_AUCTION = 7


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
    SELF_TRADE = 20  # it would have traded with an order of its own group
    EXPIRED = 21
    AUCTION_OVER = 23  # an order for an auction, or without a limit, has traded what it could in it
    PRICE_OUT_OF_BAND = 22  # its limit lies outside of the band when it is triggered or that moves
    HALTED = 24  # what is left of it may not rest, and it would have moved the price too far
    EMERGENCY_CLOSED = 25


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
    INVALID_MAX_FLOOR = 22  # found: what is said, "max_floor 7"
    INVALID_PEG = 23  # found: price type
    INTERMARKET_SWEEP_NOT_ALLOWED = 24  # found: what is said, "intermarket sweep 'Y'"
    FIRM_NOT_AUTHORIZED = 25  # found: what is said, "firm NOPE"
    INVALID_MIN_QUANTITY = 26  # found: minimum quantity
    INVALID_CROSS_TYPE = 27  # found: what is said, "cross type 'H'"
    ROUTING_NOT_ALLOWED = 28  # found: what is said, "route SCAN"
    ORDER_ENTRY_DISABLED = 29  # found: session
    INVALID_INSTRUCTION = 30  # found: what is said, "group_id 70000"
    POST_ONLY_WOULD_TRADE = 31  # found: price
    INVALID_STOP_PRICE = 40  # found: stop price, or "trail_amount 5"; limit: tick size
    INVALID_EXPIRE_TIME = 41  # found: time of expiry; limit: the time now
    NOT_IN_THIS_STATE = 43  # found: what is said; limit: trading state
    INVALID_SELF_TRADE = 42  # found: what is said, "self_trade_action 9"
    EMERGENCY_CLOSED = 44  # found: trading state


class CancelRejectedResponseTo(IntEnum):
    """What was refused (FIX 434)."""

    CANCEL = 1
    REPLACE = 2


class BustRefusal(IntEnum):
    """Why a trade is not busted."""

    UNKNOWN_TRADE = 1  # there was none with this number, or it is too long ago
    BUSTED_ALREADY = 2


class TradingState(IntEnum):
    """State of an instrument."""

    CLOSED = 0
    HALTED = 1
    TRADING = 2
    PRE_OPEN = 3  # orders are collected
    OPENING_AUCTION = 4  # they are collected, and what they would trade is told
    CLOSING_AUCTION = 5
    AUCTION_CALL = 6  # after a halt, or at any time of the day
    EMERGENCY_CLOSED = 7  # nobody has an open order any more; only an operator opens it again


class SystemEventCode(IntEnum):
    """Milestones of the day (ITCH System Event; the characters live in the codec)."""

    START_OF_MESSAGES = 1
    START_OF_SYSTEM_HOURS = 2
    START_OF_MARKET_HOURS = 3
    END_OF_MARKET_HOURS = 4
    END_OF_SYSTEM_HOURS = 5
    END_OF_MESSAGES = 6
