"""OUCH messages and SoupBinTCP packets as lines of text, for golden sessions and error messages.

    EnterOrder user_ref_num=1 side=B quantity=100 symbol=AAPL price=100.00 +user_ref_idx=7

Fields of the appendage have a plus. What is usual (USUAL) need not be given and is not shown.
"""

from __future__ import annotations

import re
from typing import get_args, get_type_hints

from protocols import ouch50, ouch50_messages
from protocols.ouch50_appendage import NO_APPENDAGE, Appendage
from protocols.ouch50_codes import MARKET_PRICE, RejectReason
from protocols.ouch50_messages import InboundMessage
from protocols.soupbintcp import (
    CLIENT_HEARTBEAT_PACKET,
    LOGOUT_REQUEST_PACKET,
    encode_debug,
    encode_login_request,
    encode_unsequenced_data,
)

USUAL = {
    "time_in_force": "0",
    "display": "Y",
    "capacity": "A",
    "intermarket_sweep": "N",
    "cross_type": "N",
    "order_state": "L",
    "cl_ord_id": "",
    "firm": "",
    "symbol": "",
}
PRICES = {"price", "discretion_price", "display_price"}
INBOUND = {message.__name__: message for message in get_args(InboundMessage)}


def parsed(name, hint, text):
    """The value of a field from its text."""
    if hint not in (int, int | None):
        return "" if text == "''" else text
    if name not in PRICES:
        return int(text, 0)
    if text == "market":
        return MARKET_PRICE
    whole, _, fraction = text.partition(".")
    return int(whole) * 10_000 + int(fraction.ljust(4, "0"))


def message_of(text):
    """An inbound message from its line."""
    name, *words = text.split()
    message_class = INBOUND[name]
    hints = get_type_hints(message_class)
    given, tags = {}, {}
    for word in words:
        key, _, value = word.partition("=")
        if key.startswith("+"):
            tags[key[1:]] = parsed(key[1:], get_type_hints(Appendage)[key[1:]], value)
        else:
            given[key] = parsed(key, hints[key], value)
    fields = {key: USUAL[key] for key in hints if key in USUAL} | given
    appendage = Appendage(**tags) if tags else NO_APPENDAGE
    return message_class(**fields, appendage=appendage)


def bytes_of(text):
    """`0001 'AB'` is 00 01 41 42."""
    found = re.findall(r"'([^']*)'|((?:[0-9A-F]{2})+)", text)
    return b"".join(
        bytes.fromhex(digits) if digits else quoted.encode("ascii") for quoted, digits in found
    )


def packet_of(text, user):
    """A client's packet from its line; what stands between semicolons arrives together."""
    if ";" in text:
        return b"".join(packet_of(part.strip(), user) for part in text.split(";"))
    word, _, rest = text.partition(" ")
    if word == "login":
        given = dict(pair.split("=") for pair in rest.split())
        return encode_login_request(
            given.get("user", user),
            given.get("password", "password"),
            given.get("session", ""),
            int(given.get("from", "1")),
        )
    if word == "raw":
        return bytes_of(rest)
    if word == "debug":
        return encode_debug(rest)
    if word == "unsequenced":
        return encode_unsequenced_data(bytes_of(rest))
    fixed = {"logout": LOGOUT_REQUEST_PACKET, "heartbeat": CLIENT_HEARTBEAT_PACKET}
    if word in fixed:
        return fixed[word]
    return encode_unsequenced_data(ouch50.encode(message_of(text)))


def shown(name, value):
    """`name=value`, prices with their decimals."""
    if name in PRICES:
        return f"{name}={value // 10_000}.{value % 10_000:04d}"
    return f"{name}={value!r}" if value == "" else f"{name}={value}"


def message_line(data):
    """An outbound message as a line, without its time."""
    message = ouch50.decode_outbound(data)
    assert len(ouch50.encode(message)) == len(data)  # a Replace appends its tags
    words = [type(message).__name__]
    for name, value in message._asdict().items():
        if isinstance(value, Appendage):
            words += ["+" + shown(tag, v) for tag, v in value._asdict().items() if v is not None]
        elif name == "reason" and isinstance(message, ouch50_messages.Rejected):
            words.append(f"reason={reason_name(value)}")
        elif name != "timestamp" and USUAL.get(name) != value:
            words.append(shown(name, value))
    return " ".join(words)


def reason_name(code):
    """Name and number of a reject reason."""
    return f"{RejectReason(code).name}({code:04X})"
