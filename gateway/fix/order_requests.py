"""Requests about single orders to commands: NewOrderSingle(D), OrderCancelRequest(F),
OrderCancelReplaceRequest(G), OrderStatusRequest(H).

A replace or cancel is never refused here: only the cluster knows the status of the order, which
OrderCancelReject(9) must tell. What cannot be carried becomes NOT_REPRESENTABLE, which the rules of
the exchange refuse, and a note keeps the sentence for Text(58) until that refusal comes back.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from gateway.fix.fields import parse_quantity
from gateway.fix.notes import Notes
from gateway.fix.order_terms import (
    INCORRECT_QUANTITY,
    TERM_TAGS,
    UNSUPPORTED_CHARACTERISTIC,
    Refusal,
    read_terms,
)
from gateway.fix.order_terms import OTHER as OTHER_REASON
from gateway.fix.reports import EXECUTION_REPORT, NO_ORDER_ID
from gateway.fix.request import OTHER, Answer, Outcome, Sender, business_reject
from matching.types import OrderType, TimeInForce
from oms.commands import (
    CancelOrder,
    CommandKind,
    EnterOrder,
    QueryOrder,
    ReplaceOrder,
)
from oms.price import HIGHEST_PRICE, format_price, parse_price
from oms.terms import Terms
from protocols.fix import FixMessage, encode_body
from protocols.fix_dictionary import FIX50SP2

NOT_REPRESENTABLE: Final = -1
"""Price or quantity of a command in the place of a value that no command can carry."""

_ENTER: Final = int(CommandKind.ENTER_ORDER)
_REPLACE: Final = int(CommandKind.REPLACE_ORDER)
_CANCEL: Final = int(CommandKind.CANCEL_ORDER)
_QUERY: Final = int(CommandKind.QUERY_ORDER)
_SIDES: Final = {"1": 1, "2": 2, "5": 5}
_SIDES_SUPPORTED: Final = "1 (buy), 2 (sell), 5 (sell short)"
_NOT_SUPPORTED: Final = frozenset((
    15, 63, 64, 65, 100, 152, 167, 168, 192, 193, 200, 201, 202, 205, 206, 207, 210, 231, 386, 388,
    389, 423, 516, 541, 640, 837, 841, 842, 843, 844, 846, 847, 848, 849, 854, 947, 1080, 1082,
    1087, 1089, 1090, 1092, 1096, 1097, 1098, 1099, 1103, 1104, 1105, 1106, 1108, 1109, 1110, 1111,
    1112, 1113, 1114,
))  # fmt: skip
"""Instructions that would change what an order does, and what makes its instrument an option or a
bond with the Symbol of the stock: refused, never silently left out."""
_NOT_PLAIN: Final = _NOT_SUPPORTED | TERM_TAGS
_AS_USUAL: Final = {15: "USD", 63: "0", 167: "CS", 423: "2", 854: "0"}
"""Values of them that say what holds anyway: dollars, regular settlement, common stock, a price per
share, a quantity in shares."""
_VENUE: Final = (100, 207)
"""ExDestination and SecurityExchange may name this exchange, by its CompID, and no other."""
_LIMITED: Final = (int(OrderType.LIMIT), int(OrderType.STOP_LIMIT))
_AT_THE_CLOSE: Final = int(TimeInForce.AT_THE_CLOSE)

Asked: TypeAlias = tuple[int, int, int, int, int, Terms | None]
"""(side, order type, time in force, quantity, price (0 for none), terms) of D and G."""


def enter(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """NewOrderSingle(D)."""
    get = message.get
    asked = _asked(message, sender)
    if isinstance(asked, Refusal):
        return _rejected(message, seq, now, sender, asked)
    side, order_type, time_in_force, quantity, price, terms = asked
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
    return (command,) if terms is None else ((*command, tuple(terms)),)


def _asked(message: FixMessage, sender: Sender) -> Asked | Refusal:
    """What a D or G asks for, or why it cannot be carried."""
    get = message.get
    dialect = sender.dialect
    side = _SIDES.get(get(54) or "")
    order_type = dialect.order_types.get(get(40) or "")
    time_in_force = dialect.times_in_force.get(get(59) or "0")
    terms = None
    is_plain = not message.has_any(_NOT_PLAIN)
    if not is_plain and (refusal := _refusal_of_fields(message)) is not None:
        return refusal
    if side is None:
        return _not_in_the_set(54, get(54), _SIDES_SUPPORTED)
    if order_type is None:
        order_type = dialect.types_at_the_close.get(get(40) or "")
        if order_type is None:
            supported = (*dialect.order_types, *dialect.types_at_the_close)
            return _not_in_the_set(40, get(40), " ".join(supported))
        if time_in_force:
            return _not_in_the_set(59, get(59), f"0 with OrdType(40) {get(40)}")
        time_in_force = _AT_THE_CLOSE
    elif time_in_force is None:
        return _not_in_the_set(59, get(59), " ".join(dialect.times_in_force))
    if not is_plain:
        reading = read_terms(message, order_type, sender)
        if isinstance(reading, Refusal):
            return reading
        order_type, terms = reading
    quantity = parse_quantity(get(38) or "")
    if quantity is None:
        return _refusal_of_quantity(get(38))
    price_text = get(44)
    price = parse_price(price_text) if price_text is not None else 0
    if price is None or (price_text is None and order_type in _LIMITED):
        return _refusal_of_price(price_text, get(40))
    return side, order_type, time_in_force, quantity, price, terms


def _refusal_of_fields(message: FixMessage) -> Refusal | None:
    """The first field that asks for something that does not exist here."""
    for tag, found in message.fields:
        usual = message.get(56) if tag in _VENUE else _AS_USUAL.get(tag)
        if tag in _NOT_SUPPORTED and found != usual:
            text = f"{FIX50SP2.field_name(tag)} {found} is not supported; leave it out"
            return Refusal(UNSUPPORTED_CHARACTERISTIC, text)
    return None


def _not_in_the_set(tag: int, found: str | None, supported: str) -> Refusal:
    text = f"{FIX50SP2.field_name(tag)} {found} is not supported; use {supported}"
    return Refusal(UNSUPPORTED_CHARACTERISTIC, text)


def _refusal_of_quantity(found: str | None) -> Refusal:
    if found is None:
        return Refusal(INCORRECT_QUANTITY, "OrderQty(38) is missing")
    text = f"OrderQty(38) {found[:40]} is not a whole number of shares below 10^12"
    return Refusal(INCORRECT_QUANTITY, text)


def _refusal_of_price(found: str | None, order_type: str | None) -> Refusal:
    if found is None:
        text = f"Price(44) is missing; OrdType(40) {order_type} needs one"
        return Refusal(OTHER_REASON, text)
    text = (
        f"Price(44) {found[:40]} is not a price: digits with at most 4 decimals,"
        f" up to {format_price(HIGHEST_PRICE)}"
    )
    return Refusal(OTHER_REASON, text)


def _rejected(message: FixMessage, seq: int, now: str, sender: Sender, refusal: Refusal) -> Answer:
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
    asked = _asked(message, sender)
    if isinstance(asked, Refusal):
        notes.add(f"9{cl_ord_id}", asked.text)
        asked = _not_representable(message, sender)
    side, order_type, time_in_force, quantity, price, terms = asked
    command = ReplaceOrder(
        _REPLACE,
        sender.session,
        seq,
        cl_ord_id,
        get(41) or "",
        get(55) or "",
        side,
        order_type,
        time_in_force,
        quantity,
        price,
    )
    return (command,) if terms is None else ((*command, tuple(terms)),)


def _not_representable(message: FixMessage, sender: Sender) -> Asked:
    """A replace that must be refused, which says otherwise what the message says."""
    get, none = message.get, NOT_REPRESENTABLE
    types = {**sender.dialect.order_types, **sender.dialect.types_at_the_close}
    order_type = types.get(get(40) or "", 0)
    time_in_force = sender.dialect.times_in_force.get(get(59) or "0", none)
    return _SIDES.get(get(54) or "", 0), order_type, time_in_force, none, none, None


def cancel(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderCancelRequest(F)."""
    get = message.get
    side = _SIDES.get(get(54) or "", 0)
    if side == 0:
        notes.add(f"9{get(11)}", f"Side(54) {get(54)} is not supported; use {_SIDES_SUPPORTED}")
    command = CancelOrder(
        _CANCEL, sender.session, seq, get(11) or "", get(41) or "", get(55) or "", side
    )
    return (command,)


def query(message: FixMessage, seq: int, now: str, sender: Sender, notes: Notes) -> Outcome:
    """OrderStatusRequest(H)."""
    get = message.get
    side = _SIDES.get(get(54) or "", 0)
    if side == 0:
        text = f"Side(54) {get(54)} is not supported; use {_SIDES_SUPPORTED}"
        return business_reject(message, seq, OTHER, text)
    notes.add(f"I{get(11)}", get(790) or "")
    return (QueryOrder(_QUERY, sender.session, seq, get(11) or "", get(55) or "", side),)
