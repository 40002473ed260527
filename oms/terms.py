"""What an order may want besides side, type, time in force, quantity and price.

A command has its terms as one tuple at its end, and only when they say something: plain orders
travel without. A shorter tuple means that the rest of it is as below. Prices and amounts are
Price(4), quantities are shares, times are ns since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Final, NamedTuple


class Instruction(IntFlag):
    """What is on or off; the numbers are part of the log format."""

    HIDDEN = 1  # not displayed
    POST_ONLY = 2  # refused when it would trade at once
    ALL_OR_NONE = 4  # trades in full or not at all, but waits; not displayed


class Terms(NamedTuple):
    """Everything that an order may say beyond the fields of EnterOrder. 0: it does not say it."""

    stop_price: int = 0  # a trade at this price, or beyond, triggers the order
    trail_amount: int = 0  # the stop price follows the trades at this distance
    display_qty: int = 0  # so many shares are displayed at a time
    display_range: int = 0  # and each time up to so many more or fewer, at random
    min_qty: int = 0  # the fewest shares that trade at once; not displayed
    instructions: int = 0  # of Instruction
    peg: int = 0  # a PegType
    peg_offset: int = 0  # what is added to the price that is followed
    self_trade_group: int = 0  # orders of one firm and group do not trade with each other
    self_trade_action: int = 0  # a SelfTradeAction
    expire_time_ns: int = 0  # of an order with GTD


NO_TERMS = Terms()

KEPT: Final = 16
"""In a change (change_terms) an Instruction, shifted by so many bits, stays as it is."""


def as_terms(fields: Sequence[int]) -> Terms:
    """Terms of the last field of a command, which may be cut short.

    Raises ValueError for what is no sequence, or longer than terms are: no gateway makes that.
    """
    if not isinstance(fields, tuple | list) or len(fields) > len(NO_TERMS):
        raise ValueError(f"terms are at most {len(NO_TERMS)} values to unpack: {fields!r}")
    return Terms(*map(int, fields))  # a member of an enumeration would print differently


def change_terms(terms: Terms, change: Sequence[int | None]) -> Terms:
    """Terms after the change that a numbered replace says: a field that is None, or not there,
    stays, and so does each instruction that is KEPT. Raises ValueError as as_terms does."""
    said = as_terms([0 if field is None else field for field in change])
    names = [name for name, field in zip(Terms._fields, change, strict=False) if field is not None]
    changed = terms._replace(**{name: getattr(said, name) for name in names})
    if "instructions" not in names:
        return changed
    kept = said.instructions >> KEPT
    new = said.instructions & ((1 << KEPT) - 1)
    return changed._replace(instructions=new | terms.instructions & kept)
