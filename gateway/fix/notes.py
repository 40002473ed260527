"""What a request said that its answer must repeat and that no command carries.

The cluster answers in the order in which it was asked, so notes of the same name are taken in the
order in which they were made. After a crash they are gone: then the answer goes without them.
"""

from __future__ import annotations

from collections import deque


class Notes:
    """The notes of one session. A name is the letter of the answer and how the request is called:
    `9` + ClOrdID(11) the sentence for a refused replace or cancel, `I` + ClOrdID the
    OrdStatusReqID(790) of a query, `W` + MDReqID(262) + `:` + Symbol(55) the MDEntryTypes(269)."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[str, deque[str]] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, name: str, text: str) -> None:
        """Keep a note until its answer comes."""
        self._texts.setdefault(name, deque()).append(text)

    def take(self, name: str) -> str | None:
        """The oldest note of this name, which is forgotten; None when there is none."""
        texts = self._texts.get(name)
        if texts is None:
            return None
        text = texts.popleft()
        if not texts:
            del self._texts[name]
        return text
