"""The gap in what a client has sent: messages that came before their turn, and what was asked for.

A MsgSeqNum(34) above the expected one shows that messages are missing. They are asked for once,
with one ResendRequest(2); what came early is kept until its turn comes.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.fix import FixMessage


class Early(NamedTuple):
    """A message before its turn. `is_answered`: it was dealt with, only its number is missing;
    `is_over_limit`: it was one too many when it came (rate_limit.py)."""

    message: FixMessage
    is_answered: bool
    is_over_limit: bool


class InboundGap:
    """At most `max_early` messages are kept; those beyond are asked for again, with the rest."""

    def __init__(self, max_early: int) -> None:
        self._max_early = max_early
        self._early: dict[int, Early] = {}
        self._until = 0  # the number that showed the gap; a request for what is before it is out
        self._asked_from = 0  # the number expected at the latest request, and its time
        self._asked_ns = 0

    def __bool__(self) -> bool:
        """True when a message waits for its turn."""
        return bool(self._early)

    def forget(self) -> None:
        """The connection has ended, or numbers begin again: nothing is missing any more."""
        self._early.clear()
        self._until = 0

    def keep(self, seq: int, early: Early) -> None:
        """Remember a message until its turn; the first one with a number counts."""
        if seq not in self._early and len(self._early) < self._max_early:
            self._early[seq] = early

    def take(self, seq: int) -> Early | None:
        """The message whose turn it is, if it came early."""
        return self._early.pop(seq, None)

    def skip_to(self, seq: int) -> None:
        """Messages below this number will not be processed any more."""
        for passed in [number for number in self._early if number < seq]:
            del self._early[passed]

    def is_new(self, next_in: int) -> bool:
        """True when no request is out for the number that is expected."""
        return next_in > self._until

    def asked(self, next_in: int, until: int, now_ns: int) -> None:
        """A request for next_in .. until - 1 is out."""
        self._until = until
        self._asked_from = next_in
        self._asked_ns = now_ns

    def is_overdue(self, next_in: int, now_ns: int, patience_ns: int) -> bool:
        """True when a request has brought nothing for `patience_ns`."""
        return self._until >= next_in == self._asked_from and now_ns - self._asked_ns >= patience_ns

    @property
    def until(self) -> int:
        """The number that showed the gap."""
        return self._until
