"""How a client under load looks at what comes in: it counts answers, and reads nothing else.

Everything that came is read by the real decoders when the load is over (exchange/bench/audit.py).
"""

from __future__ import annotations

import re
import time
from typing import Final, Protocol

from exchange.fix_client import BEGIN_STRING
from protocols import ouch50
from protocols import ouch50_messages as ouch
from protocols.fix import FixEncoder, format_utc_timestamp
from protocols.soupbintcp import (
    CLIENT_HEARTBEAT_PACKET,
    FIRST_MESSAGE,
    LOGIN_ACCEPTED,
    SEQUENCED_DATA,
    Direction,
    PacketReader,
    encode_login_request,
    encode_unsequenced_data,
)

PASSWORD: Final = "password"
FIX_HEARTBEAT_S: Final = 3_600
"""The longest there is: a load says nothing of itself."""

# New, rejected, canceled, replaced, cancel rejected: no time in force of these loads ends an order
# by itself, so each of them answers a request.
_FIX_ANSWER: Final = re.compile(rb"\x01(?:150=[0845]|35=9)\x01")
_FIX_END: Final = re.compile(rb"\x0110=[0-9]{3}\x01")
_FIX_QUESTION: Final = "IS-THAT-ALL"

_OUCH_ANSWERS: Final = b"AUJC"
"""Accepted, Replaced, Rejected, Canceled: nobody but its client cancels an order of these loads."""
_OUCH_QUESTION_ANSWERED: Final = ord("Q")


class Scanner(Protocol):
    """One connection as far as a load looks at it."""

    logged_on: bool
    settled: bool
    """True once the latest question was answered."""
    heartbeat: bytes
    """What a client that has nothing to say sends every second; empty for nothing."""

    def login(self) -> bytes:
        """What is sent first."""

    def question(self, sent: int) -> bytes:
        """What the gateway answers after everything that it has to say to the `sent` requests."""

    def feed(self, data: bytes) -> int:
        """Take what came; returns how many requests it answers."""


class FixScanner:
    """Of a FIX session, whose MsgSeqNum 1 is the Logon."""

    heartbeat = b""

    def __init__(self, comp_id: str) -> None:
        self.logged_on = False
        self.settled = False
        self.messages = b""
        """The whole messages of the latest feed()."""
        self._encoder = FixEncoder(BEGIN_STRING, comp_id, "EXCH")
        self._questions = 0
        self._rest = b""

    def login(self) -> bytes:
        """A Logon."""
        return self._message("A", f"98=0\x01108={FIX_HEARTBEAT_S}\x01", 1)

    def question(self, sent: int) -> bytes:
        """A TestRequest."""
        self.settled = False
        self._questions += 1
        return self._message("1", f"112={_FIX_QUESTION}\x01", sent + self._questions + 1)

    def _message(self, msg_type: str, body: str, number: int) -> bytes:
        now = format_utc_timestamp(time.time_ns())
        return self._encoder.encode(msg_type, body, number, now)

    def feed(self, data: bytes) -> int:
        """Count answers in whole messages; the first one is the answer to the Logon."""
        data = self._rest + data if self._rest else data
        end = self._end_of_last_message(data)
        self.messages, self._rest = data[:end], data[end:]
        if not end:
            return 0
        self.logged_on = True
        if _FIX_QUESTION.encode() in self.messages:
            self.settled = True
        return len(_FIX_ANSWER.findall(self.messages))

    @staticmethod
    def _end_of_last_message(data: bytes) -> int:
        last = data.rfind(b"\x0110=")
        ending = _FIX_END.match(data, last) if last >= 0 else None
        if ending is None:  # cut inside the last trailer: leave that message for the next turn
            last = data.rfind(b"\x0110=", 0, max(0, last))
            ending = _FIX_END.match(data, last) if last >= 0 else None
        return 0 if ending is None else ending.end()


class OuchScanner:
    """Of an OUCH session, read from its first message on."""

    heartbeat = CLIENT_HEARTBEAT_PACKET

    def __init__(self, username: str) -> None:
        self.logged_on = False
        self.settled = False
        self._username = username
        self._reader = PacketReader(Direction.SERVER_TO_CLIENT)

    def login(self) -> bytes:
        """A Login Request."""
        return encode_login_request(self._username, PASSWORD, "", FIRST_MESSAGE)

    def question(self, sent: int) -> bytes:
        """An Account Query: it goes through the log, behind every request."""
        self.settled = False
        return encode_unsequenced_data(ouch50.encode(ouch.AccountQuery()))

    def feed(self, data: bytes) -> int:
        """Count answers."""
        count = 0
        for kind, payload in self._reader.feed(data):
            if kind == SEQUENCED_DATA:
                code = payload[0]
                if code in _OUCH_ANSWERS:
                    count += 1
                elif code == _OUCH_QUESTION_ANSWERED:
                    self.settled = True
            elif kind == LOGIN_ACCEPTED:
                self.logged_on = True
        return count
