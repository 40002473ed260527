"""The terms of an order in its ExecutionReports(8): the inverse of gateway/fix/order_terms.py.

Reports say terms in one way, whichever of several the client has chosen, and no more of them than
the stock dictionary of the version has. They are in reports that an order was accepted or replaced,
and in those of its status; the others say what happened to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.fix.dialects import Dialect
from matching.types import PegType, SelfTradeAction
from oms.price import format_price
from oms.terms import Instruction, Terms
from protocols.fix import format_utc_timestamp

_POST_ONLY: Final = "6"
_ALL_OR_NONE: Final = "G"
_TRAILING: Final = "a"
_TRAILING_STOP_PEG: Final = 8  # PegPriceType(1094)
_PEGS: Final = {
    int(PegType.PRIMARY): ("R", 5),
    int(PegType.MARKET): ("P", 4),
    int(PegType.MIDPOINT): ("M", 2),
}
"""PegType -> ExecInst(18) and PegPriceType(1094)."""
_SELF_TRADE_INSTRUCTIONS: Final = {
    int(SelfTradeAction.CANCEL_NEWEST): 1,
    int(SelfTradeAction.CANCEL_OLDEST): 2,
    int(SelfTradeAction.CANCEL_BOTH): 3,
}
"""SelfTradeAction -> SelfMatchPreventionInstruction(2964), which knows no decrement."""


def terms_text(values: Sequence[Any], dialect: Dialect) -> str:
    """The fields that tell terms, in the order in which they stand in oms.terms.Terms."""
    terms = Terms(*values)
    fields: list[tuple[int, object]] = []
    words = []
    if terms.instructions & Instruction.POST_ONLY:
        words.append(_POST_ONLY)
    if terms.instructions & Instruction.ALL_OR_NONE:
        words.append(_ALL_OR_NONE)
    if terms.stop_price:
        fields.append((99, format_price(max(terms.stop_price, 0))))
    if terms.trail_amount or terms.peg:
        word, peg_price_type = _PEGS.get(terms.peg, (_TRAILING, _TRAILING_STOP_PEG))
        if dialect.components:
            fields.append((1094, peg_price_type))
        elif terms.peg or dialect.working_indicator:
            words.append(word)
        offset = terms.trail_amount or terms.peg_offset
        if offset:
            fields.append((211, f"{'-' if offset < 0 else ''}{format_price(abs(offset))}"))
    fields += _display(terms, dialect)
    if terms.min_qty:
        fields.append((110, terms.min_qty))
    if words:
        fields.append((18, " ".join(words)))
    if terms.self_trade_group and dialect.components:
        fields.append((2362, terms.self_trade_group))
        instruction = _SELF_TRADE_INSTRUCTIONS.get(terms.self_trade_action)
        if instruction:
            fields.append((2964, instruction))
    if terms.expire_time_ns:
        fields.append((126, format_utc_timestamp(terms.expire_time_ns)))
    return "".join(f"{tag}={value}\x01" for tag, value in fields)


def _display(terms: Terms, dialect: Dialect) -> list[tuple[int, object]]:
    """What of the order is displayed; nothing is said of one that is displayed whole."""
    is_hidden = terms.instructions & Instruction.HIDDEN
    if not (is_hidden or terms.display_qty):
        return []
    if not dialect.components:
        return [(111, 0 if is_hidden else terms.display_qty)]
    if is_hidden:
        return [(1138, 0), (1084, 4)]
    if not terms.display_range:
        return [(1138, terms.display_qty), (1084, 1)]
    lowest, highest = (
        terms.display_qty - terms.display_range,
        terms.display_qty + terms.display_range,
    )
    return [(1138, terms.display_qty), (1084, 3), (1085, lowest), (1086, highest)]
