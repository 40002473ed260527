"""FIX application messages to commands.

`translate(message, ...)` returns a Command, or an Answer when the gateway must answer by itself:
a value that no command can carry, or a message that this exchange does not take.

A replace or cancel is never refused here: only the cluster knows the status of the order, which
OrderCancelReject(9) must tell. What cannot be carried becomes NOT_REPRESENTABLE, which the rules of
the exchange refuse, and `notes` keeps the sentence for Text(58) until that refusal comes back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from gateway.fix.reports import EXECUTION_REPORT, NO_ORDER_ID
from oms.commands import (
    CancelOrder,
    Command,
    CommandKind,
    EnterOrder,
    QueryOrder,
    ReplaceOrder,
)
from oms.price import HIGHEST_PRICE, format_price, parse_price
from protocols.fix import FixMessage, encode_body
from protocols.fix_dictionary import FIX44

BUSINESS_MESSAGE_REJECT: Final = "j"
NOT_REPRESENTABLE: Final = -1
"""Price or quantity of a command in the place of a value that no command can carry."""
MAX_ID_LENGTH: Final = 64
MAX_NAME_LENGTH: Final = 16

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
_NOT_SUPPORTED: Final = frozenset(
    (
        18,
        65,
        99,
        110,
        111,
        126,
        152,
        168,
        192,
        210,
        211,
        386,
        388,
        389,
        423,
        432,
        516,
        640,
        847,
        854,
    )
)
"""Instructions that would change what an order does: refused, never silently left out."""
_AS_USUAL: Final = {423: "2", 854: "0"}
"""Values of them that say what holds anyway: a price per share, a quantity in shares."""
_QUANTITY: Final = re.compile(r"-?[0-9]{1,12}(?:\.0*)?")
_LENGTH_LIMITS: Final = (
    (11, MAX_ID_LENGTH),
    (41, MAX_ID_LENGTH),
    (790, MAX_ID_LENGTH),
    (55, MAX_NAME_LENGTH),
    (1, MAX_NAME_LENGTH),
)
_LIMIT: Final = "2"

_UNSUPPORTED_CHARACTERISTIC: Final = 11
_INCORRECT_QUANTITY: Final = 13
_OTHER: Final = 99
_BUSINESS_OTHER: Final = 0
_BUSINESS_UNSUPPORTED_MESSAGE: Final = 3


class Answer(NamedTuple):
    """An application message that the gateway sends by itself."""

    msg_type: str
    body: str


Notes: TypeAlias = dict[str, str]
"""What must be remembered until the cluster has answered: the sentence for a refused replace under
`9` + its ClOrdID(11), the OrdStatusReqID(790) of a query under `I` + its ClOrdID(11)."""


class Sender(NamedTuple):
    """Whose message it is. `exec_id_prefix` and the number of the message make the ExecID(17) of an
    ExecutionReport that comes from no event: unique, and the same when it is made again."""

    session: str
    account: str
    exec_id_prefix: str


def translate(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Command | Answer | None:
    """A message that the dictionary has found valid -> what becomes of it. `seq` is its number and
    `now` the TransactTime(60) of an answer.

    None: a BusinessMessageReject, which is taken note of (two sides would reject each other's for
    ever)."""
    handler = _HANDLERS.get(message.msg_type)
    if handler is None:
        if message.msg_type == BUSINESS_MESSAGE_REJECT:
            return None
        text = (
            f"{FIX44.message_name(message.msg_type)} as MsgType(35) {message.msg_type} is not"
            " supported; this session takes D, F, G and H"
        )
        return business_reject(message, seq, _BUSINESS_UNSUPPORTED_MESSAGE, text)
    get = message.get
    for tag, limit in _LENGTH_LIMITS:
        value = get(tag)
        if value is not None and len(value) > limit:
            text = (
                f"{FIX44.field_name(tag)} has {len(value)} characters, at most {limit} are allowed"
            )
            return business_reject(message, seq, _BUSINESS_OTHER, text)
    return handler(message, seq, now, sender, notes)


def business_reject(message: FixMessage, seq: int, reason: int, text: str) -> Answer:
    """BusinessMessageReject(j)."""
    fields: list[tuple[int, object]] = [(45, seq), (372, message.msg_type)]
    cl_ord_id = message.get(11)
    if cl_ord_id:
        fields.append((379, cl_ord_id[:MAX_ID_LENGTH]))
    return Answer(BUSINESS_MESSAGE_REJECT, encode_body([*fields, (380, reason), (58, text)]))


def parse_quantity(text: str) -> int | None:
    """OrderQty(38) as a whole number of shares, None when it is none (or has over 12 digits)."""
    if len(text) <= 12 and text.isascii() and text.isdigit():
        return int(text)
    return int(text.partition(".")[0]) if _QUANTITY.fullmatch(text) else None


class _Refusal(NamedTuple):
    """Why an order cannot become a command: OrdRejReason(103) and the sentence."""

    ord_rej_reason: int
    text: str


def _enter(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Command | Answer:
    get = message.get
    side, order_type = _SIDES.get(get(54) or ""), _ORDER_TYPES.get(get(40) or "")
    time_in_force = _TIMES_IN_FORCE.get(get(59) or "0")
    quantity, price, refusal = _quantity_and_price(message)
    if refusal is not None or side is None or order_type is None or time_in_force is None:
        assert refusal is not None, f"no reason to refuse {message!r}"
        return _rejected(message, seq, now, sender, refusal)
    return EnterOrder(
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


def _quantity_and_price(message: FixMessage) -> tuple[int, int, _Refusal | None]:
    """Quantity and price (0 without one) of D and G, or why they cannot be carried."""
    get = message.get
    none = NOT_REPRESENTABLE
    if message.has_any(_NOT_SUPPORTED):
        for tag, found in message.fields:
            if tag in _NOT_SUPPORTED and found != _AS_USUAL.get(tag):
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
        (150, "8"),
        (39, "8"),
        (1, get(1) or sender.account),
        (55, get(55)),
        (54, get(54)),
        *echoed,
        (103, refusal.ord_rej_reason),
        (58, refusal.text),
        (151, 0),
        (14, 0),
        (6, 0),
        (60, now),
    ]
    return Answer(EXECUTION_REPORT, encode_body(fields))


def _replace(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Command | Answer:
    get = message.get
    cl_ord_id = get(11) or ""
    quantity, price, refusal = _quantity_and_price(message)
    if refusal is not None:
        notes[f"9{cl_ord_id}"] = refusal.text
    return ReplaceOrder(
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


def _cancel(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Command | Answer:
    get = message.get
    side = _SIDES.get(get(54) or "", 0)
    if side == 0:
        notes[f"9{get(11)}"] = f"Side(54) {get(54)} is not supported; use {_SUPPORTED[54]}"
    return CancelOrder(
        _CANCEL, sender.session, seq, get(11) or "", get(41) or "", get(55) or "", side
    )


def _query(
    message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes
) -> Command | Answer:
    get = message.get
    side = _SIDES.get(get(54) or "", 0)
    if side == 0:
        text = f"Side(54) {get(54)} is not supported; use {_SUPPORTED[54]}"
        return business_reject(message, seq, _BUSINESS_OTHER, text)
    request_id = get(790)
    if request_id is not None:
        notes[f"I{get(11)}"] = request_id
    return QueryOrder(_QUERY, sender.session, seq, get(11) or "", get(55) or "", side)


_HANDLERS: Final[dict[str, Callable[[FixMessage, int, str, Sender, Notes], Command | Answer]]] = {
    "D": _enter,
    "F": _cancel,
    "G": _replace,
    "H": _query,
}
