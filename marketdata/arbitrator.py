"""Arbitrator: datagrams of both lines -> one stream of messages without a gap. Pure.

The lines carry the same messages under the same numbers, so whichever datagram brings a number
first is taken and the other is a duplicate. A number that is ahead of the next one, in data or in a
heartbeat, shows a gap: what came early is kept, and `poll` says what to ask for and when. The rules
of time: wait a moment for the other line, then ask, then ask again with growing pauses; when an
answer has brought the stream forward, ask for the rest at once.

Starting in the middle of the day is a gap from message 1 and needs no rule of its own. Whoever gets
the beginning elsewhere, as from a snapshot, has it hold everything back until that says where to go
on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from protocols import moldudp64
from protocols.moldudp64 import DataPacket, EndOfSession, MoldUDP64Error

NS_PER_MS = 1_000_000


class GapTiming(NamedTuple):
    """When to ask for what is missing, and for how much."""

    wait_ns: int = 5 * NS_PER_MS
    """For the other line, before the first request."""
    retry_ns: int = 50 * NS_PER_MS
    """From the first request to the second; doubles each time."""
    longest_retry_ns: int = 1_000 * NS_PER_MS
    max_count: int = 2_000
    """Messages in one request."""


class MissingMessages(NamedTuple):
    """What to ask for: `message_count` messages from `first` on; attempts count from 1."""

    first: int
    message_count: int
    attempt: int


@dataclass(slots=True)
class LineCounters:
    """What came over one line. Messages, unless it says otherwise."""

    datagrams: int = 0
    heartbeats: int = 0
    malformed: int = 0  # datagrams
    other_session: int = 0  # datagrams
    received: int = 0
    duplicates: int = 0  # already there, from the other line or from a request
    missed: int = 0  # numbers that this line left out
    next_sequence_number: int = 0  # 0: nothing yet
    last_heard_ns: int | None = None


@dataclass(slots=True)
class StreamCounters:
    """What became of it."""

    gaps: int = 0
    requests: int = 0
    filled: int = 0  # messages that came by request
    lost: int = 0  # messages given up
    overflowed: int = 0  # messages ahead for which there was no room
    lines: dict[str, LineCounters] = field(default_factory=dict)


class Arbitrator:
    """Takes datagrams, gives messages in order.

    `receive`, `fill` and `skip_gap` return the messages that are now in order; the number of the
    last of them is `next_sequence_number` - 1. `now_ns` is any clock that does not go back.
    """

    def __init__(
        self,
        session: str,
        lines: Sequence[str] = ("A", "B"),
        *,
        start_at: int | None = 1,
        timing: GapTiming | None = None,
        max_ahead: int = 65_536,
        accept: Callable[[list[bytes]], bool] | None = None,
        hold: bool = False,
    ) -> None:
        """`start_at` None begins with the first message that is heard. `max_ahead` bounds the
        messages kept beyond a gap. A datagram whose messages `accept` refuses is malformed.
        With `hold`, all messages wait for `continue_at`, and `start_at` must be a number."""
        assert start_at is not None or not hold, "hold needs a number to start at"
        self.session = session
        self._session_field = moldudp64.session_field(session)
        self.next_sequence_number = start_at or 1
        self.ended = False
        """True after an End of Session, until data follows."""
        self.counters = StreamCounters(lines={line: LineCounters() for line in lines})
        self._started = start_at is not None
        self._timing = timing or GapTiming()
        self._max_ahead = max_ahead
        self._accept = accept
        self._held = hold
        self._ahead: dict[int, bytes] = {}
        self._announced = self.next_sequence_number  # the highest "next number" heard of
        self._ask_at_ns: int | None = None  # None: no gap
        self._attempts = 0

    @property
    def has_gap(self) -> bool:
        """True while a message is known to exist and is missing."""
        return self._announced > self.next_sequence_number

    @property
    def missing(self) -> int:
        """How many numbers are known to exist and have not been given out."""
        return self._announced - self.next_sequence_number

    @property
    def next_poll_ns(self) -> int | None:
        """When `poll` will have something to say; None while there is no gap."""
        return self._ask_at_ns

    def receive(self, line: str, datagram: bytes, now_ns: int) -> list[bytes]:
        """Take a datagram of a line. Never raises: what is not a packet of ours is counted."""
        counters = self.counters.lines[line]
        counters.datagrams += 1
        first, count = self._all_known(datagram)
        messages: list[bytes] = []
        if not count:
            try:
                packet = moldudp64.decode_downstream(datagram)
            except MoldUDP64Error:
                counters.malformed += 1
                return []
            if packet.session != self.session:
                counters.other_session += 1
                return []
            first = packet.sequence_number
            if isinstance(packet, DataPacket):
                messages = packet.messages
                if self._accept is not None and not self._accept(messages):
                    counters.malformed += 1
                    return []
                count = len(messages)
            else:
                counters.heartbeats += 1
                self.ended = isinstance(packet, EndOfSession)
        if count:
            counters.received += count
            self.ended = False
        counters.last_heard_ns = now_ns
        end = first + count
        if counters.next_sequence_number and first > counters.next_sequence_number:
            counters.missed += first - counters.next_sequence_number
        counters.next_sequence_number = max(counters.next_sequence_number, end)
        if not self._started:
            self._started = True
            self.next_sequence_number = self._announced = first
        counters.duplicates += self._already_there(first, end)
        released = self._take(first, messages)
        self._watch_gap(now_ns, now_ns + self._timing.wait_ns, progress=bool(released))
        return released

    def fill(self, first: int, messages: Sequence[bytes], now_ns: int) -> list[bytes]:
        """Take the answer to a request: messages from `first` on, possibly none."""
        end = first + len(messages)
        self.counters.filled += len(messages) - self._already_there(first, end)
        released = self._take(first, messages)
        self._watch_gap(now_ns, now_ns, progress=bool(released))
        return released

    def poll(self, now_ns: int) -> MissingMessages | None:
        """What to ask for now, if anything. The next time for it is `next_poll_ns`."""
        if self._ask_at_ns is None or now_ns < self._ask_at_ns:
            return None
        timing = self._timing
        pause_ns = timing.retry_ns << min(self._attempts, 32)
        self._ask_at_ns = now_ns + min(pause_ns, timing.longest_retry_ns)
        self._attempts += 1
        self.counters.requests += 1
        first = self.next_sequence_number
        end = min(self._announced, first + timing.max_count)
        count = 1
        while first + count < end and first + count not in self._ahead:
            count += 1
        return MissingMessages(first, count, self._attempts)

    def announce(self, next_sequence_number: int, now_ns: int) -> None:
        """A node says that this number comes next: whatever is missing up to it is a gap."""
        self._announced = max(self._announced, next_sequence_number)
        self._watch_gap(now_ns, now_ns + self._timing.wait_ns, progress=False)

    def confirm_position(self, next_sequence_number: int, now_ns: int) -> None:
        """A node says that this number comes next: forget what datagrams claimed beyond it.

        Anybody can send a heartbeat to a group. If the node was merely behind, the next datagram
        announces the same again.
        """
        if next_sequence_number >= self._announced:
            return
        self._announced = max(next_sequence_number, self.next_sequence_number)
        self._ahead = {
            number: message for number, message in self._ahead.items() if number < self._announced
        }
        for line in self.counters.lines.values():
            excess = line.next_sequence_number - self._announced
            if excess > 0:
                line.next_sequence_number -= excess
                line.missed = max(0, line.missed - excess)
        self._watch_gap(now_ns, now_ns + self._timing.wait_ns, progress=False)

    def continue_at(self, next_sequence_number: int, now_ns: int) -> list[bytes]:
        """End `hold`: messages before this number are known from elsewhere, the stream goes on
        with it. From now on what is missing is a gap."""
        self._held = False
        self.next_sequence_number = next_sequence_number
        self._announced = max(self._announced, next_sequence_number)
        self._ahead = {
            number: message
            for number, message in self._ahead.items()
            if number >= next_sequence_number
        }
        released = self._release_ahead()
        self._watch_gap(now_ns, now_ns + self._timing.wait_ns, progress=bool(released))
        return released

    def skip_gap(self, now_ns: int) -> list[bytes]:
        """Give up on what is missing and go on with the first message beyond it.

        Without one only an announcement is forgotten: the next message will show the gap again.
        """
        if not self._ahead:
            self._announced = self.next_sequence_number
        else:
            first = min(self._ahead)
            self.counters.lost += first - self.next_sequence_number
            self.next_sequence_number = first
        released = self._release_ahead()
        self._watch_gap(now_ns, now_ns + self._timing.wait_ns, progress=True)
        return released

    def _all_known(self, datagram: bytes) -> tuple[int, int]:
        """First number and count of a datagram whose numbers were all given out; count 0 for every
        other. Of what the other line has brought already, which is half of all datagrams, nobody
        will look at the messages."""
        session, first, count = moldudp64.peek(datagram)
        is_known = (
            session == self._session_field
            and self._started
            and first > 0
            and 0 < count <= moldudp64.MAX_MESSAGES
            and first + count <= self.next_sequence_number
            and len(datagram) >= moldudp64.HEADER_LENGTH + 2 * count
        )
        return (first, count) if is_known else (0, 0)

    def _already_there(self, first: int, end: int) -> int:
        """How many of these numbers were given out or wait beyond a gap."""
        count = max(0, min(end, self.next_sequence_number) - first)
        if self._ahead:
            start = max(first, self.next_sequence_number)
            count += sum(number in self._ahead for number in range(start, end))
        return count

    def _take(self, first: int, messages: Sequence[bytes]) -> list[bytes]:
        end = first + len(messages)
        self._announced = max(self._announced, end)
        expected = self.next_sequence_number
        if end <= expected:
            return []
        if first > expected or self._held:
            for number, message in enumerate(messages, first):
                if number in self._ahead or number < expected:
                    continue
                if len(self._ahead) >= self._max_ahead:
                    self.counters.overflowed += 1
                    continue
                self._ahead[number] = message
            return []
        fresh = list(messages[expected - first :])
        self.next_sequence_number = end
        if self._ahead:
            for number in range(expected, end):
                self._ahead.pop(number, None)
            fresh += self._release_ahead()
        return fresh

    def _release_ahead(self) -> list[bytes]:
        released: list[bytes] = []
        while (message := self._ahead.pop(self.next_sequence_number, None)) is not None:
            released.append(message)
            self.next_sequence_number += 1
        return released

    def _watch_gap(self, now_ns: int, ask_at_ns: int, *, progress: bool) -> None:
        """Keep `_ask_at_ns` and `_attempts` in step with the gap."""
        if not self.has_gap or self._held:
            self._ask_at_ns = None
            self._attempts = 0
        elif self._ask_at_ns is None:
            self.counters.gaps += 1
            self._ask_at_ns = now_ns + self._timing.wait_ns
            self._attempts = 0
        elif progress:
            self._ask_at_ns = ask_at_ns
            self._attempts = 0
