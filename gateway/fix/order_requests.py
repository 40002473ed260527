"""Requests about single orders to commands: NewOrderSingle(D), OrderCancelRequest(F),
OrderCancelReplaceRequest(G), OrderStatusRequest(H).

A replace or cancel is never refused here: only the cluster knows the status of the order, which
OrderCancelReject(9) must tell. What cannot be carried becomes NOT_REPRESENTABLE, which the rules of
the exchange refuse, and a note keeps the sentence for Text(58) until that refusal comes back.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.fix.notes import Notes
from gateway.fix.reports import EXECUTION_REPORT, NO_ORDER_ID
from gateway.fix.request import OTHER, Answer, Outcome, Sender, business_reject
from oms.commands import (
    CancelOrder,
    CommandKind,
    EnterOrder,
    QueryOrder,
    ReplaceOrder,
)
from oms.price import HIGHEST_PRICE, format_price, parse_price
from protocols.fix import FixMessage, encode_body
from protocols.fix_dictionary import FIX44

NOT_REPRESENTABLE: Final = -1
"""Price or quantity of a command in the place of a value that no command can carry."""

_ENTER: Final = int(CommandKind.ENTER_ORDER)
_REPLACE: Final = int(CommandKind.REPLACE_ORDER)
_CANCEL: Final = int(CommandKind.CANCEL_ORDER)
_QUERY: Final = int(CommandKind.QUERY_ORDER)
_SIDES: Final = {"1": 1, "2": 2, "5": 5}
_ORDER_TYPES: Final = {"1": 1, "2": 2}
_TIMES_IN_FORCE: Final = {"0": 0, "1": 1, "3": 3, "4": 4}
_CLOSED_SETS: Final = ((54, _SIDES), (40, _ORDER_TYPES), (59, _TIMES_IN_FORCE))
_SUPPORTED: Final = {
    54: "1 (buy), 2 (sell), 5 (sell short)",
    40: "1 (market), 2 (limit)",
    59: "0 (day), 1 (good till cancel), 3 (immediate or cancel), 4 (fill or kill)",
}
_NOT_SUPPORTED: Final = frozenset((
    15, 18, 63, 64, 65, 99, 100, 110, 111, 126, 152, 168, 192, 193, 207, 210, 211, 386, 388, 389,
    423, 432, 516, 640, 847, 854, 1138, 2362, 2964, 7928, 8000,
))  # fmt: skip
"""Instructions that would change what an order does: refused, never silently left out."""
_AS_USUAL: Final = {15: "USD", 63: "0", 423: "2", 854: "0"}
"""Values of them that say what holds anyway: dollars, regular settlement, a price per share, a
quantity in shares."""
_VENUE: Final = (100, 207)
"""ExDestination and SecurityExchange may name this exchange, by its CompID, and no other."""
_QUANTITY: Final = re.compile(r"-?[0-9]{1,12}(?:\.0*)?")
_LIMIT: Final = "2"

_UNSUPPORTED_CHARACTERISTIC: Final = 11
_INCORRECT_QUANTITY: Final = 13
_OTHER: Final = 99


def parse_quantity(text: str) -> int | None:
    """OrderQty(38) as a whole number of shares, None when it is none (or has over 12 digits)."""
    if len(text) <= 12 and text.isascii() and text.isdigit():
        return int(text)
    return int(text.partition(".")[0]) if _QUANTITY.fullmatch(text) else None


class _Refusal(NamedTuple):
    """Why an order cannot become a command: OrdRejReason(103) and the sentence."""

    ord_rej_reason: int
    text: str


def enter(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """NewOrderSingle(D)."""
    get = message.get
    side, order_type = _SIDES.get(get(54) or ""), _ORDER_TYPES.get(get(40) or "")
    time_in_force = _TIMES_IN_FORCE.get(get(59) or "0")
    quantity, price, refusal = _quantity_and_price(message)
    if refusal is not None or side is None or order_type is None or time_in_force is None:
        assert refusal is not None, f"no reason to refuse {message!r}"
        return _rejected(message, seq, now, sender, refusal)
    command = EnterOrder(
        _ENTER,
        sender.session,
        seq,
        get(1) or sender.account,
        get(11) or "",
        get(55) or "",
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    )
    return (command,)


def _quantity_and_price(message: FixMessage) -> tuple[int, int, _Refusal | None]:
    """Quantity and price (0 without one) of D and G, or why they cannot be carried."""
    get = message.get
    none = NOT_REPRESENTABLE
    if message.has_any(_NOT_SUPPORTED):
        for tag, found in message.fields:
            usual = get(56) if tag in _VENUE else _AS_USUAL.get(tag)
            if tag in _NOT_SUPPORTED and found != usual:
                text = f"{FIX44.field_name(tag)} {found} is not supported; leave it out"
                return none, none, _Refusal(_UNSUPPORTED_CHARACTERISTIC, text)
    for tag, known in _CLOSED_SETS:
        value = get(tag)
        if value is not None and value not in known:
            text = f"{FIX44.field_name(tag)} {value} is not supported; use {_SUPPORTED[tag]}"
            return none, none, _Refusal(_UNSUPPORTED_CHARACTERISTIC, text)
    quantity_text = get(38)
    if quantity_text is None:
        return none, none, _Refusal(_INCORRECT_QUANTITY, "OrderQty(38) is missing")
    quantity = parse_quantity(quantity_text)
    if quantity is None:
        text = f"OrderQty(38) {quantity_text[:40]} is not a whole number of shares below 10^12"
        return none, none, _Refusal(_INCORRECT_QUANTITY, text)
    price_text = get(44)
    if price_text is None:
        if get(40) == _LIMIT:
            return none, none, _Refusal(_OTHER, "Price(44) is missing; OrdType(40) 2 needs one")
        return quantity, 0, None
    price = parse_price(price_text)
    if price is None:
        text = (
            f"Price(44) {price_text[:40]} is not a price: digits with at most 4 decimals,"
            f" up to {format_price(HIGHEST_PRICE)}"
        )
        return none, none, _Refusal(_OTHER, text)
    return quantity, price, None


def _rejected(message: FixMessage, seq: int, now: str, sender: Sender, refusal: _Refusal) -> Answer:
    """ExecutionReport of an order that did not become a command."""
    get = message.get
    echoed = [(tag, value) for tag in (38, 40, 44, 59) if (value := get(tag)) is not None]
    fields: list[tuple[int, object]] = [
        (37, NO_ORDER_ID),
        (11, get(11)),
        (17, f"{sender.exec_id_prefix}{seq}"),
        *([(20, "0")] if sender.dialect.exec_trans_type else []),
        (150, "8"),
        (39, "8"),
        (1, get(1) or sender.account),
        (55, get(55)),
        (54, get(54)),
        *echoed,
        (103, sender.dialect.gateway_ord_rej_reason(refusal.ord_rej_reason)),
        (58, refusal.text),
        (151, 0),
        (14, 0),
        (6, 0),
        (60, now),
    ]
    return Answer(EXECUTION_REPORT, encode_body(fields))


def replace(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderCancelReplaceRequest(G)."""
    get = message.get
    cl_ord_id = get(11) or ""
    quantity, price, refusal = _quantity_and_price(message)
    if refusal is not None:
        notes.add(f"9{cl_ord_id}", refusal.text)
    command = ReplaceOrder(
        _REPLACE,
        sender.session,
        seq,
        cl_ord_id,
        get(41) or "",
        get(55) or "",
        _SIDES.get(get(54) or "", 0),
        _ORDER_TYPES.get(get(40) or "", 0),
        _TIMES_IN_FORCE.get(get(59) or "0", NOT_REPRESENTABLE),
        quantity,
        price,
    )
    return (command,)


def cancel(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderCancelRequest(F)."""
    get = message.get
    side = _SIDES.get(get(54) or "", 0)
    if side == 0:
        notes.add(f"9{get(11)}", f"Side(54) {get(54)} is not supported; use {_SUPPORTED[54]}")
    command = CancelOrder(
        _CANCEL, sender.session, seq, get(11) or "", get(41) or "", get(55) or "", side
    )
    return (command,)


def query(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderStatusRequest(H)."""
    get = message.get
    side = _SIDES.get(get(54) or "", 0)
    if side == 0:
        text = f"Side(54) {get(54)} is not supported; use {_SUPPORTED[54]}"
        return business_reject(message, seq, OTHER, text)
    notes.add(f"I{get(11)}", get(790) or "")
    return (QueryOrder(_QUERY, sender.session, seq, get(11) or "", get(55) or "", side),)
