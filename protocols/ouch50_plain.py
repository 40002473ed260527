"""Plain OUCH 5.0 messages of a client, as they lie on the wire: one call of struct each. Pure.

An Enter or Replace Order without a tag, and a Cancel Order without an appendage, are nearly all of
a day. Each has a length that no other message has which can be plain. Fields are raw: codes and
texts are bytes with their padding, nothing is judged, and `appendage_length` is 0 or the message is
not whole. Anything else is read by protocols/ouch50.py. Source: Nasdaq OUCH 5.0, section 2.
"""

from __future__ import annotations

import struct

from protocols.ouch50_appendage import user_ref_idx_element

_ENTER = struct.Struct(">cIcI8sQ5s14sH")
_REPLACE = struct.Struct(">cIIIQ3s14sH")
_CANCEL = struct.Struct(">cII")

ENTER_LENGTH = _ENTER.size
REPLACE_LENGTH = _REPLACE.size
CANCEL_LENGTH = _CANCEL.size

unpack_enter = _ENTER.unpack
"""(type, user_ref_num, side, quantity, symbol, price, codes, cl_ord_id, appendage_length) of
ENTER_LENGTH bytes; codes: time in force, display, capacity, intermarket sweep, cross type."""

unpack_replace = _REPLACE.unpack
"""(type, orig_user_ref_num, user_ref_num, quantity, price, codes, cl_ord_id, appendage_length) of
REPLACE_LENGTH bytes; codes: time in force, display, intermarket sweep."""

unpack_cancel = _CANCEL.unpack
"""(type, user_ref_num, quantity) of CANCEL_LENGTH bytes."""

_ONLY_AN_INDEX = b"\x00\x03" + user_ref_idx_element(0)[:-1]


def without_index(message: bytes) -> tuple[bytes, int]:
    """A message without its appendage, and the UserRefIdx that this says, when it ends like one
    that says nothing else; the message itself and 0 when it does not. What is no message may come
    out as another one that is none, never as one of a plain length and type."""
    if message[-5:-1] != _ONLY_AN_INDEX:
        return message, 0
    bare = message[:-5]
    return bare if bare[:1] == b"X" else bare + b"\x00\x00", message[-1]
