"""What the session protocol has to say against a Logon, a header or a possible duplicate.

Each function of SessionRules looks at one message and returns the first thing that is wrong with
it, or None; nothing is kept from one message to the next. Source: FIX 4.4, volume 2.
"""

from __future__ import annotations

import hmac

from gateway.fix.actions import SEQUENCE_RESET
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from protocols.fix import NS_PER_SECOND, FixMessage, format_utc_timestamp, parse_utc_timestamp
from protocols.fix_dictionary import FIX42, VERSIONS
from protocols.fix_validation import (
    FixDictionary,
    SessionReject,
    SessionRejectReason,
    printable,
)

_BY_BEGIN_STRING = {dictionary.begin_string: dictionary for dictionary in VERSIONS.values()}
SPOKEN = "FIX.4.2, FIX.4.4, or FIXT.1.1 with DefaultApplVerID(1137) 9 (FIX 5.0 SP2)"


def version_of(logon: FixMessage) -> FixDictionary | None:
    """The version of FIX that a Logon asks for, None when it is none of ours."""
    dictionary = _BY_BEGIN_STRING.get(logon.begin_string)
    if dictionary is None or not dictionary.appl_ver_id:
        return dictionary
    return dictionary if logon.get(1137) == dictionary.appl_ver_id else None


def unknown_version(logon: FixMessage) -> str:
    """What a Logon is told in which version_of() finds none."""
    found = f"BeginString(8) {printable(logon.begin_string)}"
    appl_ver_id = logon.get(1137)
    if appl_ver_id is not None:
        found += f" with DefaultApplVerID(1137) {printable(appl_ver_id)}"
    return f"{found} is not spoken here; use {SPOKEN}"


def password_of(logon: FixMessage) -> str | None:
    """Password(554); in FIX 4.2, which has none, RawData(96)."""
    return logon.get(96 if logon.begin_string == FIX42.begin_string else 554)


class SessionRules:
    """The rules for one client of one gateway."""

    def __init__(self, client: FixSessionSettings, gateway: FixGatewaySettings) -> None:
        self._client = client
        self._gateway = gateway
        self._tolerance_ns = gateway.sending_time_tolerance_s * NS_PER_SECOND

    def logon_problem(
        self, message: FixMessage, dictionary: FixDictionary, now_ns: int
    ) -> str | None:
        """The first reason why a Logon in this version cannot be accepted, for Text(58)."""
        reject = dictionary.validate(message)
        if reject is not None:
            return reject.text
        get = message.get
        if not self._is_accurate(get(52) or "", now_ns):
            return self._inaccurate(message, now_ns)
        closed = self._gateway.schedule.why_closed(now_ns)
        if closed is not None:
            return closed
        if get(98) != "0":
            return f"EncryptMethod(98) {get(98)} is not supported; use 0 (none)"
        low, high = self._gateway.heartbeat_min_s, self._gateway.heartbeat_max_s
        if not low <= int(get(108) or 0) <= high:
            return f"HeartBtInt(108) {get(108)} is not between {low} and {high} seconds"
        if not self._are_credentials_right(message):
            if dictionary is FIX42:
                return "RawData(96) is not the password of this CompID"
            return "Username(553) and Password(554) do not match this CompID"
        if get(141) == "Y" and int(get(34) or 0) != 1:
            return f"ResetSeqNumFlag(141)=Y needs MsgSeqNum(34) 1, not {get(34)}"
        if get(141) == "Y" and int(get(789) or 1) != 1:
            return f"ResetSeqNumFlag(141)=Y needs NextExpectedMsgSeqNum(789) 1, not {get(789)}"
        return None

    def _are_credentials_right(self, message: FixMessage) -> bool:
        client = self._client
        has_username = message.begin_string != FIX42.begin_string
        if client.username is not None and has_username and message.get(553) != client.username:
            return False
        if client.password is None:
            return True
        given = password_of(message) or ""
        return hmac.compare_digest(given.encode(), client.password.encode())

    def header_problem(self, message: FixMessage, received_ns: int) -> SessionReject | None:
        """What is so wrong with the header that the session must end. What is missing or malformed
        is left to the dictionary."""
        get = message.get
        ours, theirs = self._gateway.sender_comp_id, self._client.comp_id
        if get(49) != theirs or get(56) != ours:
            for tag, expected in ((49, theirs), (56, ours)):
                found = get(tag)
                if found != expected and found:
                    return SessionReject(
                        tag,
                        SessionRejectReason.COMP_ID_PROBLEM,
                        f"{FIX42.field_name(tag)} {printable(found)} is not {expected}",
                    )
        sent_ns = parse_utc_timestamp(get(52) or "")
        if sent_ns is not None and abs(received_ns - sent_ns) > self._tolerance_ns:
            return SessionReject(
                52,
                SessionRejectReason.SENDING_TIME_ACCURACY,
                self._inaccurate(message, received_ns),
            )
        return None

    def _is_accurate(self, sending_time: str, now_ns: int) -> bool:
        sent_ns = parse_utc_timestamp(sending_time)
        return sent_ns is not None and abs(now_ns - sent_ns) <= self._tolerance_ns

    def _inaccurate(self, message: FixMessage, now_ns: int) -> str:
        return (
            f"SendingTime(52) {message.get(52)} is more than"
            f" {self._gateway.sending_time_tolerance_s} s away from our time"
            f" {format_utc_timestamp(now_ns)}"
        )

    def possible_duplicate_problem(
        self, message: FixMessage, began_ns: int
    ) -> SessionReject | None:
        """What is wrong with PossDupFlag(43)=Y and the OrigSendingTime(122) that goes with it.

        Numbers that began at `began_ns` have no older messages: a client that did not begin again
        at 1 would fill the gap with yesterday's orders.
        """
        get = message.get
        if get(43) != "Y" or message.msg_type == SEQUENCE_RESET:
            return None
        original = get(122)
        if original is None:
            return SessionReject(
                122,
                SessionRejectReason.REQUIRED_TAG_MISSING,
                "OrigSendingTime(122) is required with PossDupFlag(43)=Y",
            )
        first_sent_ns = parse_utc_timestamp(original)
        if first_sent_ns is None:  # in a message that no dictionary of ours describes
            return SessionReject(
                122,
                SessionRejectReason.INCORRECT_DATA_FORMAT,
                f"OrigSendingTime(122) {printable(original)} is not YYYYMMDD-HH:MM:SS[.sss]",
            )
        if first_sent_ns < began_ns:
            return SessionReject(
                122,
                SessionRejectReason.SENDING_TIME_ACCURACY,
                f"OrigSendingTime(122) {original} is before the trading day of these numbers, which"
                f" began at {format_utc_timestamp(began_ns)}",
            )
        sent_ns = parse_utc_timestamp(get(52) or "")
        if sent_ns is not None and first_sent_ns > sent_ns:
            return SessionReject(
                122,
                SessionRejectReason.SENDING_TIME_ACCURACY,
                f"OrigSendingTime(122) {original} is later than SendingTime(52) {get(52)}",
            )
        return None
