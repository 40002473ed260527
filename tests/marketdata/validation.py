"""What the tests of the validator share."""

from __future__ import annotations

from collections.abc import Iterable

from marketdata.findings import Finding
from marketdata.validator import StreamValidator
from protocols import itch50
from protocols.itch50_messages import Message


def findings_of(messages: Iterable[Message | bytes], *, numbered: bool = True) -> list[Finding]:
    """Everything that is found in a whole stream."""
    validator = StreamValidator()
    found = []
    for number, message in enumerate(messages, 1):
        data = message if isinstance(message, bytes) else itch50.encode(message)
        found += validator.receive(number if numbered else None, data)
    found += validator.finish()
    assert validator.summary()["findings"] == len(found)
    return found
