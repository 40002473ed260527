"""What goes out to a client: its numbers, and the version of FIX that it is said in.

A message that was sent can be asked for again and comes as it was, so a version belongs to the
numbers: it is decided by the first Logon, or by a report before that, and changed only when the
numbers begin again at 1.
"""

from __future__ import annotations

from gateway.fix.actions import REJECT, SEQUENCE_RESET, Send
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from protocols.fix import FixEncoder, FixMessage, encode_body
from protocols.fix_dictionary import VERSIONS
from protocols.fix_validation import FixDictionary, SessionReject


class Outbound:
    """The sending half of a session. `next_out` is the MsgSeqNum that is due next, `version` the
    name of the version of FIX ("" when it is not decided yet), `dictionary` that of the version in
    which is said what has to be said."""

    def __init__(
        self,
        client: FixSessionSettings,
        gateway: FixGatewaySettings,
        next_out: int,
        version: str,
        last_version: str,
    ) -> None:
        """`last_version` is what the numbers of before were in, "": there were none."""
        self.next_out = next_out
        self.last_sent_ns = 0
        self.version = version
        self.dictionary = VERSIONS[version or last_version or client.version]
        self._encoders = {
            dictionary.begin_string: FixEncoder(
                dictionary.begin_string, gateway.sender_comp_id, client.comp_id
            )
            for dictionary in VERSIONS.values()
        }
        self._encoder = self._encoders[self.dictionary.begin_string]

    def speak(self, version: str) -> None:
        """Go on in this version of FIX."""
        self.version = version
        self.dictionary = VERSIONS[version]
        self._encoder = self._encoders[self.dictionary.begin_string]

    def _version_problem(self, logon: FixMessage, wanted: FixDictionary) -> str | None:
        """Why a Logon cannot have this version, as a sentence."""
        if wanted is self.dictionary or logon.get(141) == "Y" or not self.version:
            return None
        return (
            f"This session speaks {self.dictionary.name}; to begin anew with {wanted.name} log on"
            " with ResetSeqNumFlag(141)=Y"
        )

    def encode(
        self, msg_type: str, body: str, sending_time: str, begin_string: str = ""
    ) -> tuple[int, bytes]:
        """Give a message its number; returns (number, frame). `begin_string` "": the session's."""
        seq = self.next_out
        self.next_out = seq + 1
        encoder = self._encoders[begin_string] if begin_string else self._encoder
        return seq, encoder.encode(msg_type, body, seq, sending_time)

    def gap_fill(self, first_seq: int, new_seq: int, sending_time: str) -> bytes:
        """A SequenceReset that stands for the messages first_seq .. new_seq - 1."""
        body = f"43=Y\x01122={sending_time}\x01123=Y\x0136={new_seq}\x01"
        return self._encoder.encode(SEQUENCE_RESET, body, first_seq, sending_time)

    def _send(self, msg_type: str, fields: list[tuple[int, object]], now_ns: int) -> Send:
        self.last_sent_ns = now_ns
        return Send(msg_type, encode_body(fields))

    def _reject(self, message: FixMessage, reject: SessionReject, now_ns: int) -> Send:
        fields: list[tuple[int, object]] = [(45, message.get(34) or 0)]
        if reject.ref_tag is not None:
            fields.append((371, reject.ref_tag))
        msg_type = message.msg_type
        if msg_type and msg_type.isascii() and msg_type.isprintable():
            fields.append((372, msg_type))
        reason = self.dictionary.reject_reason(reject.reason)
        if reason is not None:
            fields.append((373, reason))
        return self._send(REJECT, [*fields, (58, reject.text)], now_ns)
