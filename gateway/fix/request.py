"""What all translators of application messages share: whose message it is, how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Final, NamedTuple, TypeAlias

from gateway.fix.dialects import Dialect
from gateway.fix.notes import Notes
from oms.commands import Command
from protocols.fix import FixMessage, encode_body
from protocols.fix_dictionary import FIX44
from protocols.fix_validation import printable

BUSINESS_MESSAGE_REJECT: Final = "j"
THIRD_PARTY: Final = frozenset((115, 128))
"""OnBehalfOfCompID and DeliverToCompID."""
MAX_ID_LENGTH: Final = 64
MAX_NAME_LENGTH: Final = 16

OTHER: Final = 0  # BusinessRejectReason(380)
UNSUPPORTED_MESSAGE: Final = 3
NOT_AUTHORIZED: Final = 6

_ID: Final = MAX_ID_LENGTH
_NAME: Final = MAX_NAME_LENGTH
_LENGTH_LIMITS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "D": ((11, _ID), (55, _NAME), (1, _NAME)),
    "F": ((11, _ID), (41, _ID), (55, _NAME)),
    "G": ((11, _ID), (41, _ID), (55, _NAME)),
    "H": ((11, _ID), (790, _ID), (55, _NAME)),
    "q": ((11, _ID), (55, _NAME)),
    "AF": ((584, _ID), (55, _NAME)),
    "V": ((262, _ID), (55, _NAME)),
    "x": ((320, _ID), (55, _NAME)),
    "e": ((324, _ID), (55, _NAME)),
    "g": ((335, _ID),),
}
"""How long the texts may be that a command carries: MsgType -> (tag, characters)."""
_REQUEST_NAMES: Final = (11, 584, 262, 320, 324, 335)
"""The tags by which a client tells its requests apart: BusinessRejectRefID(379) says it again."""


class Answer(NamedTuple):
    """An application message that the gateway sends by itself."""

    msg_type: str
    body: str


class Sender(NamedTuple):
    """Whose message it is, and which version of FIX it speaks. `exec_id_prefix` and the number of
    the message make the ExecID(17) of a report that comes from no event: unique, and the same when
    it is made again. `zone` is where the days of the market begin and end."""

    session: str
    account: str
    exec_id_prefix: str
    dialect: Dialect
    zone: tzinfo


Outcome: TypeAlias = tuple[Command, ...] | Answer
"""What becomes of a message: commands, or an answer of the gateway's own."""

Handler: TypeAlias = Callable[[FixMessage, int, str, Sender, Notes], Outcome]
"""(message, its MsgSeqNum, TransactTime(60) of an answer, sender, notes) -> Outcome."""


def business_reject(message: FixMessage, seq: int, reason: int, text: str) -> Answer:
    """BusinessMessageReject(j)."""
    fields: list[tuple[int, object]] = [(45, seq), (372, message.msg_type)]
    named = next((value for tag in _REQUEST_NAMES if (value := message.get(tag))), None)
    if named and named.isascii() and named.isprintable():  # of what we do not take nobody knows
        fields.append((379, named[:MAX_ID_LENGTH]))
    return Answer(BUSINESS_MESSAGE_REJECT, encode_body([*fields, (380, reason), (58, text)]))


def for_somebody_else(message: FixMessage, seq: int) -> Answer | None:
    """The refusal of a message that is on behalf of, or for, a third party: what comes on a session
    is the session's own."""
    for tag in sorted(THIRD_PARTY):
        value = message.get(tag)
        if value is not None:
            text = f"{FIX44.field_name(tag)} {printable(value)}: orders are the session's own here"
            return business_reject(message, seq, OTHER, text)
    return None


def too_long(message: FixMessage, seq: int) -> Answer | None:
    """The refusal of a message with a name that no command carries."""
    get = message.get
    for tag, limit in _LENGTH_LIMITS[message.msg_type]:
        value = get(tag)
        if value is not None and len(value) > limit:
            name = FIX44.field_name(tag)
            text = f"{name} has {len(value)} characters, at most {limit} are allowed"
            return business_reject(message, seq, OTHER, text)
    return None
