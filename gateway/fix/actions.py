"""What a FixSession asks its surroundings to do, its states, and the admin MsgTypes."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias

from protocols.fix import FixMessage

HEARTBEAT = "0"
TEST_REQUEST = "1"
RESEND_REQUEST = "2"
REJECT = "3"
SEQUENCE_RESET = "4"
LOGOUT = "5"
LOGON = "A"
NEWS = "B"
ADMIN_MSG_TYPES = frozenset(
    (HEARTBEAT, TEST_REQUEST, RESEND_REQUEST, REJECT, SEQUENCE_RESET, LOGOUT, LOGON)
)


class SessionState(StrEnum):
    """Where a session stands."""

    DISCONNECTED = "disconnected"
    OPENING = "opening"  # the Logon is fine, the cluster has been asked
    ACTIVE = "active"


class Send(NamedTuple):
    """Store and send a message of the session's own: the fields after the header as text. It gets
    its number when it is carried out, behind the answers to what was delivered before it.
    `begin_string` "": that of the session."""

    msg_type: str
    body: str
    begin_string: str = ""


class Deliver(NamedTuple):
    """An application message whose turn it is. Its number is used up. `is_over_limit`: the client
    sends too many messages, this one is to be refused."""

    message: FixMessage
    seq: int
    is_over_limit: bool


class Resend(NamedTuple):
    """Send messages first_seq .. last_seq again; administrative ones as gap fills."""

    first_seq: int
    last_seq: int


class Open(NamedTuple):
    """Ask the cluster to open the session; opened() or refused() must follow.

    `cancel_on_disconnect`: whether open orders are canceled when the connection ends.
    """

    reset: bool
    cancel_on_disconnect: bool


class ResetNumbers(NamedTuple):
    """Forget all stored messages: numbers begin again at 1, in this version of FIX."""

    version: str


class SetVersion(NamedTuple):
    """Remember in which version of FIX the session goes on."""

    version: str


class Disconnect(NamedTuple):
    """End the connection after everything before has been sent. The session is DISCONNECTED."""

    reason: str


Action: TypeAlias = Send | Deliver | Resend | Open | ResetNumbers | SetVersion | Disconnect
