"""FeedReceiver: both multicast lines on an event loop -> one stream of messages without a gap."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from marketdata.arbitrator import Arbitrator, GapTiming, StreamCounters
from marketdata.lines import open_line
from marketdata.settings import LineSettings
from protocols import itch50

LINE_NAMES = ("A", "B")
DATAGRAMS_PER_TURN = 64
"""Read from one line before the loop may do something else."""
MAX_WAITING_DATAGRAMS = 4_000
"""Read from one line by `read_waiting`: full ones would be more than its socket buffer holds."""
_LARGEST_DATAGRAM = 65_535

OnMessages = Callable[[int, list[bytes]], None]
"""Number of the first message, and messages in order. Called without gaps, on the event loop."""

Request = Callable[[int, int, int], None]
"""First number, count, attempt: get these messages and give them to `FeedReceiver.fill`. Must
return at once. Called again, with growing pauses, for as long as they are missing."""


class FeedReceiver:
    """Joins both lines and calls `on_messages` with every message once, in order.

    `request` None means that nobody can be asked: then, and when `skip_after` requests for the same
    messages had no answer, the stream goes on behind the gap and `counters.lost` says so.
    """

    def __init__(
        self,
        settings: LineSettings,
        *,
        on_messages: OnMessages,
        request: Request | None = None,
        start_at: int | None = 1,
        skip_after: int | None = None,
        timing: GapTiming | None = None,
        hold: bool = False,
    ) -> None:
        """`hold`: no message is given out, or asked for, before `continue_at`."""
        self._settings = settings
        self._on_messages = on_messages
        self._request = request
        self._skip_after = 0 if request is None else skip_after
        self._arbitrator = Arbitrator(
            settings.session,
            LINE_NAMES,
            start_at=start_at,
            timing=timing,
            accept=itch50.are_well_formed,
            hold=hold,
        )
        self._sockets: dict[str, socket.socket] = {}
        self._reading = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns: int | None = None

    async def start(self) -> None:
        """Join the groups. Raises OSError when one cannot be joined."""
        self._loop = asyncio.get_running_loop()
        addresses = (self._settings.line_a, self._settings.line_b)
        try:
            for line, address in zip(LINE_NAMES, addresses, strict=True):
                self._sockets[line] = open_line(
                    address, self._settings.interface, self._settings.receive_buffer_bytes
                )
        except OSError:
            await self.close()
            raise
        self.resume()

    async def close(self) -> None:
        """Leave the groups."""
        self.pause()
        for line_socket in self._sockets.values():
            line_socket.close()
        self._sockets.clear()

    def pause(self) -> None:
        """Stop reading and asking, because whoever takes the messages is slow. What the kernel
        then drops becomes a gap and is asked for after `resume`."""
        if self._reading and self._loop is not None:
            for line_socket in self._sockets.values():
                self._loop.remove_reader(line_socket)
        self._reading = False
        self._set_timer()

    def resume(self) -> None:
        """Read on after `pause`."""
        assert self._loop is not None, "resume before start"
        if not self._reading:
            for line, line_socket in self._sockets.items():
                self._loop.add_reader(line_socket, self._on_readable, line, line_socket)
        self._reading = True
        self._set_timer()

    def read_waiting(self) -> None:
        """Take everything that has arrived on both lines by now."""
        for line, line_socket in self._sockets.items():
            if self._reading:
                self._on_readable(line, line_socket, MAX_WAITING_DATAGRAMS)

    def continue_at(self, next_sequence_number: int) -> None:
        """End `hold`: the stream goes on with this number; see Arbitrator.continue_at."""
        self._give_out(self._arbitrator.continue_at(next_sequence_number, time.monotonic_ns()))

    @property
    def next_sequence_number(self) -> int:
        """The number that `on_messages` will begin with."""
        return self._arbitrator.next_sequence_number

    @property
    def missing(self) -> int:
        """Messages that are known to exist and have not been given out."""
        return self._arbitrator.missing

    @property
    def ended(self) -> bool:
        """True after an End of Session."""
        return self._arbitrator.ended

    @property
    def counters(self) -> StreamCounters:
        return self._arbitrator.counters

    def silent_ns(self) -> int | None:
        """Time since either line was heard; None before the first packet."""
        heard = [
            line.last_heard_ns
            for line in self.counters.lines.values()
            if line.last_heard_ns is not None
        ]
        return time.monotonic_ns() - max(heard) if heard else None

    def fill(self, first: int, messages: list[bytes]) -> None:
        """The answer to a request. Takes what is an ITCH message of those missing."""
        for index, message in enumerate(messages):
            if not itch50.is_well_formed(message):
                messages = messages[:index]
                break
        self._give_out(self._arbitrator.fill(first, messages, time.monotonic_ns()))

    def announce(self, next_sequence_number: int) -> None:
        """A node says which number comes next: messages up to it exist, heard of or not."""
        self._arbitrator.announce(next_sequence_number, time.monotonic_ns())
        self._set_timer()

    def confirm_position(self, next_sequence_number: int) -> None:
        """A node says which number comes next: see Arbitrator.confirm_position."""
        self._arbitrator.confirm_position(next_sequence_number, time.monotonic_ns())
        self._set_timer()

    def _on_readable(
        self, line: str, line_socket: socket.socket, datagrams: int = DATAGRAMS_PER_TURN
    ) -> None:
        for _ in range(datagrams):
            try:
                datagram = line_socket.recv(_LARGEST_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            self._give_out(self._arbitrator.receive(line, datagram, time.monotonic_ns()))
            if not self._reading:
                return

    def _give_out(self, messages: list[bytes]) -> None:
        if messages:
            self._on_messages(self._arbitrator.next_sequence_number - len(messages), messages)
        self._set_timer()

    def _set_timer(self) -> None:
        due_ns = self._arbitrator.next_poll_ns if self._reading else None
        if due_ns == self._timer_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ns = due_ns
        if due_ns is not None:
            assert self._loop is not None
            delay_s = max(0, due_ns - time.monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._timer_ns = None
        now_ns = time.monotonic_ns()
        missing = self._arbitrator.poll(now_ns)
        if missing is not None:
            if self._skip_after is not None and missing.attempt > self._skip_after:
                self._give_out(self._arbitrator.skip_gap(now_ns))
            else:
                assert self._request is not None
                self._request(*missing)
        self._set_timer()
