"""FIX application messages to commands: who translates which.

`translate(message, ...)` returns commands, or an Answer when the gateway must answer by itself: a
value that no command can carry, or a message that this exchange does not take.
"""

from __future__ import annotations

from typing import Final

from gateway.fix.market_requests import (
    cancel_orders,
    query_books,
    query_instrument_status,
    query_instruments,
    query_market_status,
    query_orders,
)
from gateway.fix.notes import Notes
from gateway.fix.order_requests import cancel, enter, query, replace
from gateway.fix.request import (
    BUSINESS_MESSAGE_REJECT,
    THIRD_PARTY,
    UNSUPPORTED_MESSAGE,
    Handler,
    Outcome,
    Sender,
    business_reject,
    for_somebody_else,
    too_long,
)
from protocols.fix import FixMessage
from protocols.fix_dictionary import FIX44

_HANDLERS: Final[dict[str, Handler]] = {
    "D": enter,
    "F": cancel,
    "G": replace,
    "H": query,
    "q": cancel_orders,
    "AF": query_orders,
    "V": query_books,
    "x": query_instruments,
    "e": query_instrument_status,
    "g": query_market_status,
}


def translate(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """A message that the dictionary has found valid -> what becomes of it. `seq` is its number and
    `now` the TransactTime(60) of an answer.

    No command at all: a BusinessMessageReject, which is taken note of (two sides would reject each
    other's for ever)."""
    handler = _HANDLERS.get(message.msg_type)
    if handler is not None:
        refusal = too_long(message, seq)
        if refusal is None and message.has_any(THIRD_PARTY):
            refusal = for_somebody_else(message, seq)
        return refusal or handler(message, seq, now, sender, notes)
    if message.msg_type == BUSINESS_MESSAGE_REJECT:
        return ()
    text = (
        f"{FIX44.message_name(message.msg_type)} as MsgType(35) {message.msg_type} is not"
        f" supported; this session takes {' '.join(_HANDLERS)}"
    )
    return business_reject(message, seq, UNSUPPORTED_MESSAGE, text)
