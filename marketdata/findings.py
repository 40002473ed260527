"""What the validator of a stream can find."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Check(StrEnum):
    """What can be wrong."""

    FORMAT = "format"  # not an ITCH 5.0 message
    SEQUENCE = "sequence"  # a number is left out, or comes again
    TIME = "time"  # goes back, or beyond the end of a day
    SYSTEM_EVENT = "system-event"  # out of order
    AFTER_END = "after-end"  # a message after System Event C
    DIRECTORY = "directory"  # a stock that no R has named
    LOCATE = "locate"  # a locate that contradicts the stock, the order or the trade
    UNKNOWN_ORDER = "unknown-order"  # E C X D U
    DUPLICATE_REFERENCE = "duplicate-reference"  # A F U
    OVER_EXECUTION = "over-execution"  # E C
    OVER_CANCEL = "over-cancel"  # X
    CROSSED = "crossed"  # or locked, in state T
    PRIORITY = "priority"  # E of an order that is not the first
    TRADING_STATE = "trading-state"  # an execution outside of state T
    MATCH_NUMBER = "match-number"  # not above all before
    BROKEN_TRADE = "broken-trade"  # B of an unknown trade, or again
    SHAPE = "shape"  # values that a field cannot have


class Finding(NamedTuple):
    """Something that is wrong with the message of that number; `text` is a sentence."""

    sequence_number: int
    check: Check
    text: str
