"""One client of a load: a socket, what it has to say, and a record of what it is told."""

from __future__ import annotations

import socket
import time
from array import array
from pathlib import Path
from typing import Final

from cluster.settings import Address
from exchange.bench.flow import Flow
from exchange.bench.frames import FixFrames, Frames, OuchFrames
from exchange.bench.recording import Recording
from exchange.bench.scan import FixScanner, OuchScanner, Scanner

LOGIN_TIMEOUT_S: Final = 10.0
_READ_BYTES: Final = 1 << 18
_UNSENT_BYTES_MAX: Final = 1 << 20
"""An exchange that does not read makes its clients wait, and not their memory grow."""


class LoadError(Exception):
    """A session could not begin, or was ended by the exchange."""


class LoadSession:
    """Sends the requests of a flow when it is told to, and keeps every byte that comes.

    `sent_ns[n]` is when request n was sent, or meant to be: whoever drives the session says so.
    Time is time.perf_counter_ns."""

    def __init__(
        self, name: str, flow: Flow, frames: Frames, scanner: Scanner, recording: Recording
    ) -> None:
        self.name = name
        self.flow = flow
        self.sent = 0
        self.answered = 0
        """As counted by the scan."""
        self.sent_ns = array("q")
        self.recording = recording
        self._frames = frames
        self._scanner = scanner
        self._unsent = b""
        self._socket: socket.socket | None = None
        self._written_ns = 0

    # ---- life ----

    def connect(self, address: Address) -> None:
        """Connect and log on. Raises LoadError, OSError."""
        self._socket = socket.create_connection(address, timeout=LOGIN_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._scanner.login())
        while not self._scanner.logged_on:
            self.receive()
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For select()."""
        assert self._socket is not None, "connect() comes first"
        return self._socket.fileno()

    def close(self) -> None:
        """Break the connection, and give back what is kept."""
        if self._socket is not None:
            self._socket.close()
        self._frames.close()
        self.recording.close()

    # ---- in ----

    def receive(self) -> int:
        """Take what has come; returns how many requests it answers. Raises LoadError when the
        exchange has ended the connection."""
        assert self._socket is not None, "connect() comes first"
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise LoadError(f"{self.name}: {error}") from error
        if not data:
            raise LoadError(f"{self.name}: the exchange has ended the connection")
        self.recording.add(data)
        count = self._scanner.feed(data)
        self.answered += count
        return count

    # ---- out ----

    @property
    def left(self) -> int:
        """Requests that there are still."""
        return self._frames.count - self.sent

    @property
    def wants_to_write(self) -> bool:
        """Whether the socket did not take all that was sent."""
        return bool(self._unsent)

    @property
    def may_send(self) -> bool:
        """False while too much waits for the socket."""
        return len(self._unsent) < _UNSENT_BYTES_MAX

    def send(self, count: int) -> int:
        """Send the next requests, up to `count` of them; returns how many."""
        count = min(count, self.left)
        if count:
            self._write(self._frames.take(self.sent, count))
            self.sent += count
        return count

    def ask_whether_that_is_all(self) -> None:
        """`has_heard_all` becomes true after everything that the requests so far have caused."""
        self._write(self._scanner.question(self.sent))

    @property
    def has_heard_all(self) -> bool:
        """Whether the latest question was answered."""
        return self._scanner.settled

    def stay_alive(self, now_ns: int, idle_ns: int) -> None:
        """Say that we are there, after so long without a word."""
        if now_ns - self._written_ns > idle_ns and self._scanner.heartbeat:
            self._write(self._scanner.heartbeat)

    def flush(self) -> None:
        """The socket takes more."""
        unsent, self._unsent = self._unsent, b""
        self._write(unsent)

    def _write(self, data: bytes) -> None:
        assert self._socket is not None, "connect() comes first"
        self._written_ns = time.perf_counter_ns()
        if self._unsent:
            self._unsent += data
            return
        try:
            taken = self._socket.send(data)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            raise LoadError(f"{self.name}: {error}") from error
        if taken < len(data):
            self._unsent = data[taken:]


def make_session(entry: str, name: str, flow: Flow, folder: Path, count: int) -> LoadSession:
    """A client over "fix" or "ouch" with `count` requests. `folder` takes the files. Raises
    OSError."""
    recording = Recording(folder)
    if entry == "ouch":
        return LoadSession(name, flow, OuchFrames(flow, count), OuchScanner(name), recording)
    frames = FixFrames(flow, name, count, folder)
    return LoadSession(name, flow, frames, FixScanner(name), recording)
