"""itchfeed (PyPI) reads our ITCH: every message of a day, and every type there is."""

from __future__ import annotations

import random
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from busy_day import Day
from every_type import every_type
from itch.parser import MessageParser

from protocols import itch50
from protocols.binaryfile import frame
from protocols.itch50_messages import Message

pytestmark = pytest.mark.interop


def fields_of(message: Any) -> list[Any]:
    """The fields that itchfeed has found, in the order of ours: wire order, text unpadded.

    It sets its attributes in wire order, but for the time stamp, which it puts together last.
    """
    locate, tracking, *body, timestamp = vars(message).values()
    text = [value.decode("ascii").rstrip() if isinstance(value, bytes) else value for value in body]
    return [locate, tracking, timestamp, *text]


def differences(raw: list[bytes], parsed: list[Any]) -> list[str]:
    """A sentence for each message that itchfeed reads differently."""
    found = []
    for number, (message, theirs) in enumerate(zip(raw, parsed, strict=True), 1):
        ours: Message = itch50.decode(message)
        if theirs.message_type != message[:1] or fields_of(theirs) != list(ours):
            found.append(f"{number}: ours {ours}, itchfeed {theirs}")
        if theirs.to_bytes() != message:
            found.append(f"{number}: itchfeed makes {theirs.to_bytes()!r} of {message!r}")
    return found


def test_every_message_of_the_day_has_the_same_fields(day: Day, capture: Path) -> None:
    # Its parser stops at System Event C. On the zero length after it, the end of a BinaryFILE, it
    # would raise ValueError("Unknown message type: ").
    with capture.open("rb") as file:
        parsed = list(MessageParser().parse_file(file))
    assert Counter(one.message_type.decode() for one in parsed) == day.counts
    assert differences(day.messages, parsed) == []


def test_the_day_was_a_busy_one(day: Day) -> None:
    assert set(day.counts) == set("SRHAEXDU")
    assert min(day.counts[kind] for kind in "AEXDU") > 100


@pytest.mark.parametrize("seed", range(20))
def test_messages_of_all_types_have_the_same_fields(seed: int) -> None:
    messages = every_type(random.Random(seed))
    parsed = list(MessageParser().parse_stream(frame(messages)))
    assert len(parsed) == len(itch50.LENGTHS)
    assert differences(messages, parsed) == []
    assert list(MessageParser().parse_file(BytesIO(frame(messages))))
