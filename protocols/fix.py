"""FIX tag=value: bytes to messages and back, without any I/O.

A message is `8=BeginString|9=BodyLength|35=MsgType| ... |10=CheckSum|` where | is SOH (0x01).
BodyLength counts the bytes after its own SOH up to and including the one before `10=`; CheckSum is
the sum of all bytes before `10=` modulo 256, three digits. Source: FIX 4.4, volume 1 and 2.

A garbled message (BeginString, BodyLength and MsgType are not the first three fields, or BodyLength
or CheckSum is wrong) is counted and ignored, as the standard demands: nobody may act on it and it
does not use up a MsgSeqNum. Text is carried as latin-1, so every byte has one character.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

SOH = "\x01"
NS_PER_SECOND = 1_000_000_000
MAX_MESSAGE_BYTES = 8_192
"""Default upper bound of one message on the wire; a longer one is garbled."""

_FRAME_START = b"8=FIX"
_MAX_BEGIN_STRING_FIELD = 16  # "8=FIX.5.0SP2" + SOH and a little room
_MAX_BODY_LENGTH_DIGITS = 7
_TRAILER_LENGTH = 7  # 10=ddd|
_TRAILERS = tuple(b"10=%03d\x01" % value for value in range(256))
_CHECK_SUM_OF_END = {b"\x01" + trailer: value for value, trailer in enumerate(_TRAILERS)}
"""The trailer and the SOH before it -> the CheckSum that it tells."""
_MAX_HEAD_LENGTH = 30  # 8=...|9=...|35=
_MAX_FRAME_SIZES = 4_096
_HEAD = re.compile(rb"8=FIX[^\x01]{0,10}\x019=([0-9]{1,%d})\x0135=" % _MAX_BODY_LENGTH_DIGITS)
_BODY_LENGTH = re.compile(rb"9=([0-9]{1,%d})\x01" % _MAX_BODY_LENGTH_DIGITS)
_NEXT_FRAME = re.compile(rb"\x0110=[0-9]{3}\x018=FIX")
_OWN_FRAME = re.compile(
    rb"8=([^\x01]+)\x019=\d+\x0135=([^\x01]+)\x0149=([^\x01]+)\x0156=([^\x01]+)\x0134=(\d+)\x01"
    rb"52=([^\x01]+)\x01(.*)10=\d{3}\x01",
    re.DOTALL,
)
_TAG_NUMBERS = {str(number): number for number in range(1, 10_000)}
_MAX_TAG_TUPLES = 1_024
MAX_LEARNED_FIELDS = 100
"""Messages with more fields are not remembered: what hostile clients send must not fill memory."""
_PRINTABLE = bytes(byte for byte in range(0x20, 0x7F) if byte != ord("="))
_PLAIN = b"=\x01" * 4_096
"""What is left of a plain message without its _PRINTABLE bytes is the beginning of this."""
_TAG_NUMBER = re.compile("[1-9][0-9]{0,8}")
DATA_FIELD_OF_LENGTH = {
    90: 91, 93: 89, 95: 96, 212: 213, 348: 349, 350: 351, 352: 353, 354: 355, 356: 357, 358: 359,
    360: 361, 362: 363, 364: 365, 445: 446, 618: 619, 621: 622, 1184: 1185, 1397: 1398, 1401: 1402,
    1403: 1404, 1468: 1469,
}  # fmt: skip
"""Length tag -> the data tag that must follow it; data may contain SOH."""
_LENGTH_TAGS = frozenset(DATA_FIELD_OF_LENGTH)


class FixMessage:
    """A message whose BeginString, BodyLength, MsgType position and CheckSum were right.

    `tags` and `values` are its fields in wire order, header and trailer included; a field whose
    tag is not a number stands there as tag 0 with the whole field as its value. `get(tag)` is the
    value of the last field with that tag, or None. `is_plain`: every value is printable ASCII
    without `=` and not empty; a message that is not may still be right.
    """

    __slots__ = ("begin_string", "get", "is_plain", "msg_type", "tags", "values")

    get: Callable[[int], str | None]

    def __init__(self, tags: tuple[int, ...], values: Sequence[str], is_plain: bool) -> None:
        self.tags = tags
        self.values = values
        self.is_plain = is_plain
        self.get = dict(zip(tags, values)).get  # noqa: B905 (strict is a third slower)
        self.begin_string = values[0]
        self.msg_type = values[2]

    @property
    def fields(self) -> list[tuple[int, str]]:
        """The fields as (tag, value)."""
        return list(zip(self.tags, self.values, strict=True))

    def has_any(self, tags: frozenset[int]) -> bool:
        """True when at least one of `tags` is in the message."""
        return not tags.isdisjoint(self.tags)

    def __repr__(self) -> str:
        return "|".join(f"{tag}={value}" for tag, value in self.fields)


def check_sum(data: bytes) -> int:
    """Sum of all bytes modulo 256 (CheckSum(10)).

    The low half of Adler-32 is the byte sum modulo 65521, six times faster than sum(): exact for
    as many bytes as cannot reach that.
    """
    if len(data) <= 256 or (len(data) <= 512 and data.isascii()):
        return zlib.adler32(data, 0) & 0xFF
    total = 0
    for start in range(0, len(data), 256):
        total += zlib.adler32(data[start : start + 256], 0) & 0xFFFF
    return total & 0xFF


_tag_tuples: dict[str, tuple[int, ...]] = {}
"""`8=9=35=...`, the tags of messages seen before -> their numbers: clients send few kinds of
messages. One text is looked up in a third of the time that a tuple of texts takes."""


def parse_message(data: bytes) -> FixMessage:
    """Split `tag=value|tag=value|...|`; never raises when there are three fields or more."""
    text = data.decode("latin-1")
    if _PLAIN.startswith(data.translate(None, _PRINTABLE)):
        parts = text.replace(SOH, "=").split("=")
        values = parts[1::2]
        tag_texts = "=".join(parts[:-1:2])
        tags = _tag_tuples.get(tag_texts) or _learn_tags(tag_texts)
        if tags and "" not in values:
            return FixMessage(tags, values, True)
    fields = _split_fields_with_care(text)
    return FixMessage(tuple([tag for tag, _ in fields]), [value for _, value in fields], False)


def _learn_tags(tag_texts: str) -> tuple[int, ...] | None:
    """The numbers; None when one needs care: it is no number, or the length of a data field."""
    tags = tuple([_TAG_NUMBERS.get(text, 0) for text in tag_texts.split("=")])
    if 0 in tags or not _LENGTH_TAGS.isdisjoint(tags):
        return None
    if len(tags) <= MAX_LEARNED_FIELDS:
        if len(_tag_tuples) >= _MAX_TAG_TUPLES:
            _tag_tuples.clear()
        _tag_tuples[tag_texts] = tags
    return tags


def _split_fields_with_care(text: str) -> list[tuple[int, str]]:
    """(tag, value) of each field, with unusual tags, and data fields whose value contains SOH."""
    fields: list[tuple[int, str]] = []
    position = 0
    while position < len(text):
        end = text.index(SOH, position)
        tag_text, equals, value = text[position:end].partition("=")
        if not equals or not _TAG_NUMBER.fullmatch(tag_text):
            fields.append((0, text[position:end]))
            position = end + 1
            continue
        tag = int(tag_text)
        if fields and DATA_FIELD_OF_LENGTH.get(fields[-1][0]) == tag:
            length_text = fields[-1][1]
            start = position + len(tag_text) + 1
            if length_text.isascii() and length_text.isdigit() and len(length_text) < 8:
                data_end = start + int(length_text)
                if text[data_end : data_end + 1] == SOH:
                    end, value = data_end, text[start:data_end]
        fields.append((tag, value))
        position = end + 1
    return fields


_frame_sizes: dict[bytes, int] = {}
"""`8=FIX.4.4|9=150|35=` -> size of the whole frame in bytes: most messages begin like others."""


def _learn_size(head: re.Match[bytes]) -> int:
    size = len(head[0]) - len("35=") + int(head[1]) + _TRAILER_LENGTH
    if len(_frame_sizes) >= _MAX_FRAME_SIZES:
        _frame_sizes.clear()
    _frame_sizes[head[0]] = size
    return size


class FixDecoder:
    """Bytes of one connection to messages. Never raises and never keeps more than one message.

    `garbled` counts garbled messages (and stretches of bytes that are no message at all).
    """

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._buffer = b""
        self._searched = 0  # how far an unfinished frame was searched for its successor
        self._resyncing = False
        self.garbled = 0

    @property
    def buffered(self) -> int:
        """Number of bytes that wait for the rest of their message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[FixMessage]:
        """Take the next bytes of the stream; return the messages that are complete now."""
        buffer = self._buffer + data
        messages: list[FixMessage] = []
        start = 0
        while start < len(buffer):
            frame = self._frame_at(buffer, start)
            if frame:
                messages.append(parse_message(frame))
                if self._resyncing or self._searched:
                    self._resyncing = False
                    self._searched = 0
                start += len(frame)
            elif frame is not None:
                break
            elif buffer.startswith(_FRAME_START, start):
                if not self._resyncing or buffer[start - 1 : start] == b"\x01":
                    self.garbled += 1
                self._resyncing = True
                self._searched = 0
                start += 1
            else:
                start = self._find_frame_start(buffer, start)
                if not buffer.startswith(_FRAME_START, start):
                    break
        self._buffer = buffer[start:]
        return messages

    def _find_frame_start(self, buffer: bytes, start: int) -> int:
        """Position of the next `8=FIX`, or of a tail that may become one. Junk is counted once."""
        found = buffer.find(_FRAME_START, start)
        if found < 0:
            found = len(buffer)
            for length in range(len(_FRAME_START) - 1, 0, -1):
                if buffer.endswith(_FRAME_START[:length], start):
                    found = len(buffer) - length
                    break
        if found > start and not self._resyncing:
            self.garbled += 1
            self._resyncing = True
        return found

    def _frame_at(self, buffer: bytes, start: int) -> bytes | None:
        """The frame that starts at `start`; b"" when it is still on its way; None when there is
        none, or a garbled one."""
        head_end = buffer.find(b"\x0135=", start, start + _MAX_HEAD_LENGTH) + 4
        size = _frame_sizes.get(buffer[start:head_end])  # not found: no key is that short
        if size is None:
            head = _HEAD.match(buffer, start)
            if head is None:
                return self._judge_head(buffer, start)
            size = _learn_size(head)
        if size > self._max_message_bytes:
            return None
        frame = buffer[start : start + size]
        if len(frame) < size:
            return self._unfinished(buffer, start)
        told = _CHECK_SUM_OF_END.get(frame[-_TRAILER_LENGTH - 1 :])
        if told is None or told != check_sum(frame[:-_TRAILER_LENGTH]):
            return None
        return frame

    def _judge_head(self, buffer: bytes, start: int) -> bytes | None:
        """b"" when more bytes can make what is there the beginning of a message, else None."""
        if not buffer.startswith(_FRAME_START, start):
            return None
        begin_string_end = buffer.find(b"\x01", start, start + _MAX_BEGIN_STRING_FIELD)
        if begin_string_end < 0:
            return b"" if len(buffer) - start < _MAX_BEGIN_STRING_FIELD else None
        length_start = begin_string_end + 1
        body_length = _BODY_LENGTH.match(buffer, length_start)
        if body_length is None:
            rest = buffer[length_start : length_start + _MAX_BODY_LENGTH_DIGITS + 3]
            could_be = rest in (b"", b"9", b"9=") or (rest[:2] == b"9=" and rest[2:].isdigit())
            unfinished = len(rest) < _MAX_BODY_LENGTH_DIGITS + 3
            return b"" if could_be and unfinished else None
        rest = buffer[body_length.end() : body_length.end() + 3]
        return b"" if b"35="[: len(rest)] == rest and len(rest) < 3 else None

    def _unfinished(self, buffer: bytes, start: int) -> bytes | None:
        """Tell a frame that is still on its way, b"", from one whose BodyLength is too large, None.

        When a trailer and the start of another message already arrived inside what BodyLength
        claims, waiting for the rest would swallow that message.
        """
        if _NEXT_FRAME.search(buffer, start + self._searched):
            return None
        self._searched = max(0, len(buffer) - start - 13)  # a match may straddle two reads
        return b""


def encode_body(fields: Iterable[tuple[int, object]]) -> str:
    """Fields to `tag=value|...|`; values are written with str()."""
    return "".join([f"{tag}={value}{SOH}" for tag, value in fields])


class FixEncoder:
    """Makes the messages of one sender to one target."""

    def __init__(self, begin_string: str, sender: str, target: str) -> None:
        self._begin = f"8={begin_string}\x019="
        self._comp_ids = f"\x0149={sender}\x0156={target}\x0134="

    def encode(self, msg_type: str, body: str, seq: int, sending_time: str) -> bytes:
        """One message. `body` is the text of all fields after the header, each ended by SOH."""
        rest = f"35={msg_type}{self._comp_ids}{seq}\x0152={sending_time}\x01{body}"
        data = f"{self._begin}{len(rest)}\x01{rest}".encode("latin-1", "replace")
        return data + _TRAILERS[check_sum(data)]


def encode(
    msg_type: str,
    fields: Iterable[tuple[int, object]],
    *,
    begin_string: str,
    sender: str,
    target: str,
    seq: int,
    sending_time: str,
    poss_dup: bool = False,
    orig_sending_time: str | None = None,
) -> bytes:
    """One message with its standard header and trailer. `sending_time`: format_utc_timestamp()."""
    body = encode_body(fields)
    if orig_sending_time is not None:
        body = f"122={orig_sending_time}\x01{body}"
    if poss_dup:
        body = f"43=Y\x01{body}"
    return FixEncoder(begin_string, sender, target).encode(msg_type, body, seq, sending_time)


def possible_duplicate(frame: bytes, sending_time: str) -> bytes:
    """A message made by FixEncoder, as it is sent again: 43=Y, a new SendingTime(52), and
    OrigSendingTime(122) with the first one."""
    found = _OWN_FRAME.fullmatch(frame)
    assert found is not None, f"not a frame of FixEncoder: {frame!r}"
    begin_string, msg_type, sender, target, seq, first_sent, body = (
        part.decode("latin-1") for part in found.groups()
    )
    again = f"43=Y\x01122={first_sent}\x01{body}"
    return FixEncoder(begin_string, sender, target).encode(msg_type, again, int(seq), sending_time)


class UtcTimestampCache:
    """Formats UTCTimestamp `YYYYMMDD-HH:MM:SS.sss` from ns since the epoch; caches the second."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def format(self, time_ns: int) -> str:
        """The timestamp, cut to milliseconds."""
        second, rest = divmod(time_ns, NS_PER_SECOND)
        if second != self._second:
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y%m%d-%H:%M:%S.")
            self._second = second
        return f"{self._prefix}{rest // 1_000_000:03d}"


_shared_cache = UtcTimestampCache()
format_utc_timestamp = _shared_cache.format
"""ns since the epoch -> UTCTimestamp text."""

_TIMESTAMP = re.compile(
    r"([0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-(?:[01][0-9]|2[0-3]):[0-5][0-9]):"
    r"([0-5][0-9]|60)(?:\.([0-9]{3}|[0-9]{6}|[0-9]{9}))?"
)
_timestamp_cache: dict[str, int] = {}
_minute_cache: dict[str, int] = {}
_MAX_CACHED = 256


def parse_utc_timestamp(text: str) -> int | None:
    """UTCTimestamp text -> ns since the epoch, None when it is not one.

    Second 60 is a leap second and counts as the first one of the next minute; 3, 6 or 9 decimals.
    """
    # Messages of a burst share their timestamps, and TransactTime often repeats SendingTime.
    return _timestamp_cache.get(text) or _parse_utc_timestamp(text)


def _parse_utc_timestamp(text: str) -> int | None:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    minute_text, second_text, fraction = found.groups()
    minute_s = _minute_cache.get(minute_text)
    if minute_s is None:
        try:
            moment = datetime.strptime(minute_text, "%Y%m%d-%H:%M").replace(tzinfo=UTC)
        except ValueError:  # 31 February, year 0
            return None
        minute_s = int(moment.timestamp())
        if len(_minute_cache) >= _MAX_CACHED:
            _minute_cache.clear()
        _minute_cache[minute_text] = minute_s
    fraction_ns = int(fraction.ljust(9, "0")) if fraction else 0
    time_ns = (minute_s + int(second_text)) * NS_PER_SECOND + fraction_ns
    if len(_timestamp_cache) >= _MAX_CACHED:
        _timestamp_cache.clear()
    _timestamp_cache[text] = time_ns
    return time_ns
