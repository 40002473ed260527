"""What answers to an OUCH 5.0 order repeat: the end of its Enter or Replace Order, merged. Pure.

A gateway keeps the bytes of an accepted message from its Time in Force on, which is its tail, and
builds the answers from pieces of it, without judging or decoding them a second time:

    Enter Order [26:]      time in force | display | capacity | sweep | cross type | 14 ClOrdID | ..
    Replace Order [21:]    time in force | display | sweep | 14 ClOrdID | appendage

where the appendage is u16 length and elements. Source: Nasdaq OUCH 5.0, Enter Order, Replace Order.
"""

from __future__ import annotations

from protocols.ouch50_appendage import Tag, join_elements, split_elements
from protocols.ouch50_fields import AppendageError, Ouch50Error

_ENTER_LENGTH = 19
_REPLACE_LENGTH = 17
_NO_ELEMENTS = b"\x00\x00"

NOT_INHERITED = frozenset({int(Tag.SHARES_LOCATED), int(Tag.LOCATE_BROKER)})
"""Tags that a Replace must give again: a locate is good for the shares it was made for."""


def enter_tail(raw: bytes) -> bytes:
    """Enter Order [26:] as a tail: with an empty appendage if it has none. Raises Ouch50Error for
    another length; elements are not looked at."""
    return raw if raw[_ENTER_LENGTH:] == _NO_ELEMENTS else _tail(raw, _ENTER_LENGTH)


def replace_tail(raw: bytes) -> bytes:
    """Replace Order [21:] as a tail: with an empty appendage if it has none. Raises Ouch50Error for
    another length; elements are not looked at."""
    return raw if raw[_REPLACE_LENGTH:] == _NO_ELEMENTS else _tail(raw, _REPLACE_LENGTH)


def _tail(raw: bytes, size: int) -> bytes:
    appendage = raw[size:]
    if len(raw) < size:
        raise Ouch50Error(f"tail of {len(raw)} bytes: must be at least {size}")
    if not appendage:
        return raw + _NO_ELEMENTS
    if int.from_bytes(appendage[:2], "big") != len(appendage) - 2:
        raise AppendageError(f"appendage of {len(appendage)} bytes: does not fit its length")
    return raw


def cl_ord_id_of_enter(tail: bytes) -> bytes:
    """The 14 bytes of the ClOrdID in the tail of an Enter Order, or of an order in replaced_tail's
    form."""
    return tail[5:19]


def cl_ord_id_of_replace(tail: bytes) -> bytes:
    """The 14 bytes of the ClOrdID in the tail of a Replace Order."""
    return tail[3:17]


def replaced_tail(original: bytes, replace: bytes) -> bytes:
    """The terms of an order after a Replace, in the form of the tail of an Enter Order.

    Capacity, cross type and the tags that the Replace does not give are those of the original,
    except SharesLocated and LocateBroker. Elements of the original come first, in their order.
    Raises AppendageError when one of the appendages was not checked before.
    """
    return b"".join(
        (
            replace[:2],  # time in force, display
            original[2:3],  # capacity
            replace[2:3],  # intermarket sweep
            original[4:5],  # cross type
            replace[3:17],  # ClOrdID
            _merged(original[_ENTER_LENGTH:], replace[_REPLACE_LENGTH:]),
        )
    )


def _merged(original: bytes, replace: bytes) -> bytes:
    if original == _NO_ELEMENTS:
        return replace
    given = split_elements(replace[2:])
    kept = {
        tag: value
        for tag, value in split_elements(original[2:]).items()
        if tag not in NOT_INHERITED
    }
    elements = join_elements({**kept, **given})
    return len(elements).to_bytes(2, "big") + elements
