"""What a FIX order wants besides side, quantity and limit -> its terms (oms/terms.py).

Which of these fields a version has is the dictionary's to say; here is what they mean. A field that
would change what the order does, and that this exchange does not know, is a Refusal, never left out
silently. Sources: FIX 4.2, 4.4 and 5.0 SP2, NewOrderSingle and the components DisplayInstruction,
PegInstructions and TriggeringInstruction.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

from gateway.fix.fields import parse_offset, parse_quantity
from gateway.fix.request import Sender
from matching.types import OrderType, PegType, SelfTradeAction
from oms.price import HIGHEST_PRICE, format_price, parse_price
from oms.terms import Instruction, Terms
from oms.terms_checks import HIGHEST_GROUP
from protocols.fix import NS_PER_SECOND, FixMessage, parse_utc_timestamp
from protocols.fix_dictionary import FIX50SP2
from protocols.fix_validation import printable

UNSUPPORTED_CHARACTERISTIC: Final = 11  # OrdRejReason(103)
INCORRECT_QUANTITY: Final = 13
OTHER: Final = 99

_STOP: Final = int(OrderType.STOP)
_PEGGED: Final = int(OrderType.PEGGED)
_LAST_NS: Final = 2**63 - 1
"""The latest moment that a command can carry."""


class Refusal(NamedTuple):
    """Why an order cannot become a command: OrdRejReason(103) and the sentence."""

    ord_rej_reason: int
    text: str


class Reading(NamedTuple):
    """What the fields say of the type, and the terms, None when they say nothing of them."""

    order_type: int
    terms: Terms | None


def _group(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(HIGHEST_GROUP))):
        return None
    return int(text) if 0 < int(text) <= HIGHEST_GROUP else None


def _moment(text: str) -> int | None:
    moment_ns = parse_utc_timestamp(text)
    return moment_ns if moment_ns is not None and moment_ns <= _LAST_NS else None


def _end_of_day(text: str, zone: tzinfo) -> int | None:
    """The midnight that ends a date, in ns since the epoch. The dictionary has found it a date."""
    try:
        next_day = date(int(text[:4]), int(text[4:6]), int(text[6:])) + timedelta(days=1)
        end_ns = int(datetime.combine(next_day, time(0), zone).timestamp()) * NS_PER_SECOND
    except (ValueError, OverflowError):  # the last day there is
        return None
    return end_ns if 0 < end_ns <= _LAST_NS else None


_A_PRICE: Final = f"a price: digits with at most 4 decimals, up to {format_price(HIGHEST_PRICE)}"
_AN_OFFSET: Final = "an offset: a price with a sign or without one"
_SHARES: Final = "a whole number of shares below 10^12"
_A_GROUP: Final = f"the number of a group, 1 to {HIGHEST_GROUP}"

_INSTRUCTIONS_OF_SELF_TRADES: Final = {
    "1": int(SelfTradeAction.CANCEL_NEWEST),
    "2": int(SelfTradeAction.CANCEL_OLDEST),
    "3": int(SelfTradeAction.CANCEL_BOTH),
}
_LETTERS_OF_SELF_TRADES: Final = {
    "N": int(SelfTradeAction.CANCEL_NEWEST),
    "O": int(SelfTradeAction.CANCEL_OLDEST),
    "B": int(SelfTradeAction.CANCEL_BOTH),
    "D": int(SelfTradeAction.DECREMENT),
}

_AMOUNTS: Final[dict[int, tuple[Callable[[str], int | None], str]]] = {
    99: (parse_price, _A_PRICE),
    1102: (parse_price, _A_PRICE),
    110: (parse_quantity, _SHARES),
    111: (parse_quantity, _SHARES),
    1138: (parse_quantity, _SHARES),
    1085: (parse_quantity, _SHARES),
    1086: (parse_quantity, _SHARES),
    1088: (parse_quantity, _SHARES),
    211: (parse_offset, _AN_OFFSET),
    126: (_moment, "a moment before the year 2262"),
    2362: (_group, _A_GROUP),
    7928: (_group, _A_GROUP),
    2964: (_INSTRUCTIONS_OF_SELF_TRADES.get, "1 (cancel the aggressor), 2 (the passive), 3 (both)"),
    8000: (
        _LETTERS_OF_SELF_TRADES.get,
        "N (cancel the newest), O (the oldest), B (both), D (decrement)",
    ),
}
"""Fields that say a number -> how it is read, and what it must be."""

_PEG_TYPES: Final = {
    "R": int(PegType.PRIMARY),
    "P": int(PegType.MARKET),
    "M": int(PegType.MIDPOINT),
}
"""Of ExecInst(18)."""
_PEG_PRICE_TYPES: Final = {"5": "R", "4": "P", "2": "M", "8": "a"}
"""PegPriceType(1094) in letters of ExecInst(18)."""
_INSTRUCTIONS: Final = {"6": Instruction.POST_ONLY, "G": Instruction.ALL_OR_NONE}
_TRAILING: Final = "a"
_EXEC_INST: Final = (
    "6 (participate, do not initiate), G (all or none), and for the price R (primary peg),"
    " P (market peg), M (midpoint peg), a (trailing stop peg)"
)
_RANDOM: Final = "3"
_UNDISCLOSED: Final = "4"
_FIXED: Final = {
    835: "0",  # PegMoveType: it floats
    836: "0",  # PegOffsetType: in money
    838: "2",  # PegRoundDirection: away from the other side
    840: "1",  # PegScope: this exchange
    1083: "2",  # DisplayWhen: when what is displayed has traded
    1100: "4",  # TriggerType: by a price
    1101: "1",  # TriggerAction: the order begins to trade
    1107: "2",  # TriggerPriceType: the last trade
}
"""What there is no choice of, and what may be said of it."""
_DISPLAY_METHODS: Final = ("1", _RANDOM, _UNDISCLOSED)
_SAID_TWICE: Final = ((99, 1102), (111, 1138), (126, 432), (2362, 7928), (2964, 8000))

TERM_TAGS: Final = frozenset((*_AMOUNTS, *_FIXED, 18, 432, 1084, 1094))
"""The fields that say what the terms of an order are."""


def read_terms(message: FixMessage, order_type: int, sender: Sender) -> Reading | Refusal:
    """The terms that a NewOrderSingle(D) or OrderCancelReplaceRequest(G) says. `order_type` is
    what its OrdType(40) says; a pegged order whose peg is that of a trailing stop is a stop order.
    """
    said = {tag: value for tag, value in message.fields if tag in TERM_TAGS}
    if not said:
        return Reading(order_type, None)
    amounts: dict[int, int] = {}
    for tag, text in said.items():
        refusal = _read_field(tag, text, amounts, sender)
        if refusal is not None:
            return refusal
    for one, other in _SAID_TWICE:
        if one in said and other in said:
            text = f"{_name(one)} and {_name(other)} say the same; leave one of them out"
            return Refusal(OTHER, text)
    words = [*said.get(18, "").split(" "), _PEG_PRICE_TYPES.get(said.get(1094, ""), "")]
    pegs = {_PEG_TYPES[word] for word in words if word in _PEG_TYPES}
    is_trailing = _TRAILING in words
    if len(pegs) + is_trailing > 1:
        text = f"{_name(18)} names more than one price to follow; use one of R, P, M, a"
        return Refusal(UNSUPPORTED_CHARACTERISTIC, text)
    if is_trailing and order_type == _PEGGED:
        order_type = _STOP
    if is_trailing and 211 not in amounts:
        text = f"{_name(211)} is missing; a trailing stop needs its distance"
        return Refusal(OTHER, text)
    display = _display(said, amounts)
    if isinstance(display, Refusal):
        return display
    display_qty, display_range, instructions = display
    for word in words:
        instructions |= _INSTRUCTIONS.get(word, 0)
    action = amounts.get(2964, amounts.get(8000, 0))
    group = amounts.get(2362, amounts.get(7928, 0))
    offset = amounts.get(211, 0)
    terms = Terms(
        stop_price=amounts.get(99, amounts.get(1102, 0)),
        trail_amount=abs(offset) if is_trailing else 0,
        display_qty=display_qty,
        display_range=display_range,
        min_qty=amounts.get(110, 0),
        instructions=instructions,
        peg=pegs.pop() if pegs else 0,
        peg_offset=0 if is_trailing else offset,
        self_trade_group=group,
        self_trade_action=action or (int(SelfTradeAction.CANCEL_NEWEST) if group else 0),
        expire_time_ns=amounts.get(126, amounts.get(432, 0)),
    )
    return Reading(order_type, terms)


def _read_field(tag: int, text: str, amounts: dict[int, int], sender: Sender) -> Refusal | None:
    """Read one field; a number that it says goes to `amounts`."""
    if tag in _AMOUNTS:
        parse, what = _AMOUNTS[tag]
        amount = parse(text)
        if amount is None:
            return Refusal(OTHER, f"{_name(tag)} {printable(text)} is not {what}")
        amounts[tag] = amount
    elif tag == 432:
        end_ns = _end_of_day(text, sender.zone)
        if end_ns is None:
            return Refusal(OTHER, f"{_name(tag)} {printable(text)} is not a day from 1970 to 2262")
        amounts[tag] = end_ns
    elif tag == 18:
        for word in text.split(" "):
            if word not in _INSTRUCTIONS and word not in _PEG_TYPES and word != _TRAILING:
                return _not_supported(tag, word, f"use {_EXEC_INST}")
    elif tag == 1094 and text not in _PEG_PRICE_TYPES:
        return _not_supported(tag, text, f"use {' '.join(_PEG_PRICE_TYPES)}")
    elif tag == 1084 and text not in _DISPLAY_METHODS:
        return _not_supported(tag, text, f"use {' '.join(_DISPLAY_METHODS)}")
    elif tag in _FIXED and text != _FIXED[tag]:
        return _not_supported(tag, text, f"use {_FIXED[tag]} or leave it out")
    return None


def _display(said: dict[int, str], amounts: dict[int, int]) -> tuple[int, int, int] | Refusal:
    """(display_qty, display_range, instructions) of an order; 0 shares on display hide it."""
    display_qty = amounts.get(1138, amounts.get(111))
    method = said.get(1084)
    if amounts.get(1088, display_qty) != display_qty:
        text = f"{_name(1088)} {said[1088]} must be {_name(1138)}, or be left out"
        return Refusal(OTHER, text)
    if method == _RANDOM:
        if 1085 not in amounts or 1086 not in amounts or amounts[1085] > amounts[1086]:
            text = f"{_name(1084)} 3 needs {_name(1085)} and, not below it, {_name(1086)}"
            return Refusal(OTHER, text)
        lowest, highest = amounts[1085], amounts[1086]
        middle = (lowest + highest) // 2
        if (lowest + highest) % 2 or display_qty not in (None, middle):
            text = (
                f"{_name(1138)} is the middle of {_name(1085)} and {_name(1086)}, in whole shares"
            )
            return Refusal(OTHER, text)
        return middle, highest - middle, 0
    if 1085 in amounts or 1086 in amounts:
        text = f"{_name(1085)} and {_name(1086)} need {_name(1084)} 3 (random)"
        return Refusal(OTHER, text)
    if display_qty == 0 or (method == _UNDISCLOSED and display_qty is None):
        return 0, 0, int(Instruction.HIDDEN)
    if method == _UNDISCLOSED:
        text = f"{_name(1084)} 4 (undisclosed) displays nothing; leave {_name(1138)} out"
        return Refusal(OTHER, text)
    return display_qty or 0, 0, 0


def _not_supported(tag: int, text: str, advice: str) -> Refusal:
    text = f"{_name(tag)} {printable(text)} is not supported; {advice}"
    return Refusal(UNSUPPORTED_CHARACTERISTIC, text)


def _name(tag: int) -> str:
    return FIX50SP2.field_name(tag)
