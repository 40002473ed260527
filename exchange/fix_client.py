"""A FIX 4.4 client as a real engine is one: used by the demo, the bench and the tests.

It numbers and keeps what it sent, answers ResendRequest(2) with the messages and gap fills, asks
for what it missed, and after a lost connection comes back with the numbers going on. A message
submitted while the connection is down gets its number at once; the acceptor sees the gap at the
next Logon(A) and asks for it. Everything runs on one event loop; `on_message` must not block.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import cast

from cluster.settings import Address
from protocols.fix import (
    FixDecoder,
    FixEncoder,
    FixMessage,
    encode_body,
    format_utc_timestamp,
    possible_duplicate,
)

BEGIN_STRING = "FIX.4.4"
ADMIN_TYPES = frozenset("A012345")
RECONNECT_DELAY_S = 0.05
NS_PER_SECOND = 1_000_000_000

MessageCallback = Callable[[FixMessage, int], None]
"""(message, receive time from time.perf_counter_ns)."""


class FixClientError(Exception):
    """The session cannot go on: refused at Logon, or its numbers no longer fit."""


class FixClient:
    """One session with the acceptor `target_comp_id` at `address`.

    `on_message` gets every application message and every Reject(3), in order and once.
    `disconnects`, `resend_requests_received` and `sequence` numbers are there to be read.
    """

    def __init__(
        self,
        address: Address,
        comp_id: str,
        on_message: MessageCallback,
        *,
        target_comp_id: str = "EXCH",
        heartbeat_s: int = 10,
        username: str = "",
        password: str = "",
        reset_numbers: bool = False,
        reconnect: bool = True,
    ) -> None:
        self.address = address
        self.comp_id = comp_id
        self._on_message = on_message
        self._heartbeat_s = heartbeat_s
        self._username = username
        self._password = password
        self._reset_numbers = reset_numbers
        self._reconnect = reconnect
        self._encoder = FixEncoder(BEGIN_STRING, comp_id, target_comp_id)
        self._sent: dict[int, bytes | None] = {}  # None: an administrative message
        self.next_out = 1
        self.next_in = 1
        self.disconnects = 0
        self.resend_requests_received = 0
        self.last_logout_text = ""
        self._early: dict[int, FixMessage] = {}
        self._asked_up_to = 0
        self._logon_seq = 0
        self._connection: _Connection | None = None
        self._logged_on = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._stopping = False

    # ---- what the owner calls

    @property
    def is_logged_on(self) -> bool:
        """True between the acceptor's Logon(A) and the end of the connection."""
        return self._logged_on.is_set()

    async def start(self, timeout_s: float = 10.0) -> None:
        """Connect and log on; returns when the acceptor has answered. Raises FixClientError when
        it refuses, TimeoutError when it stays silent."""
        self._stopping = False
        self._runner = asyncio.create_task(self._run(), name=f"fix-client-{self.comp_id}")
        await self.wait_logged_on(timeout_s)

    async def wait_logged_on(self, timeout_s: float = 10.0) -> None:
        """Return when the session is logged on. Raises as `start`."""
        assert self._runner is not None, "start() first"
        waiter = asyncio.create_task(self._logged_on.wait())
        done, _ = await asyncio.wait(
            {waiter, self._runner}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        waiter.cancel()
        if self._runner in done:
            self._runner.result()
        if not self._logged_on.is_set():
            raise TimeoutError(f"{self.comp_id}: no Logon from {self.address} in {timeout_s} s")

    def send(self, msg_type: str, fields: Iterable[tuple[int, object]]) -> int:
        """Send an application message; returns its MsgSeqNum. Works while disconnected, too."""
        return self._send(msg_type, encode_body(fields))

    def drop_connection(self) -> None:
        """Break the connection without a Logout; the client comes back by itself."""
        if self._connection is not None:
            self._connection.abort()

    async def stop(self, timeout_s: float = 2.0) -> None:
        """Log out, wait for the answer, and end."""
        self._stopping = True
        if self._connection is not None and self.is_logged_on:
            self._send("5", "")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connection.closed.wait(), timeout_s)
        self.drop_connection()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)

    # ---- connection

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            try:
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), self.address.host, self.address.port
                )
            except OSError:
                if not self._reconnect:
                    raise
                await asyncio.sleep(RECONNECT_DELAY_S)
                continue
            try:
                await self._keep_alive(connection)
            finally:
                connection.abort()
            if not self._reconnect:
                return
            await asyncio.sleep(RECONNECT_DELAY_S)

    async def _keep_alive(self, connection: _Connection) -> None:
        """Heartbeat(0) when idle, TestRequest(1) on silence, then give the connection up."""
        silence_limit_ns = int(1.2 * self._heartbeat_s * NS_PER_SECOND)
        while not connection.closed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.closed.wait(), min(1.0, self._heartbeat_s / 4))
            if connection.failure is not None:
                raise connection.failure
            now_ns = time.perf_counter_ns()
            if not self.is_logged_on or connection.closed.is_set():
                continue
            if now_ns - connection.last_sent_ns >= self._heartbeat_s * NS_PER_SECOND:
                self._send("0", "")
            silent_ns = now_ns - connection.last_received_ns
            if silent_ns > 2 * silence_limit_ns:
                connection.abort()
            elif silent_ns > silence_limit_ns and not connection.test_requested:
                connection.test_requested = True
                self._send("1", f"112=TEST{self.next_out}\x01")

    def _connected(self, connection: _Connection) -> None:
        self._connection = connection
        self._early.clear()
        self._asked_up_to = 0
        body = f"98=0\x01108={self._heartbeat_s}\x01"
        if self._reset_numbers:
            self.next_out = self.next_in = 1
            self._sent.clear()
            body += "141=Y\x01"
            self._reset_numbers = False
        if self._username:
            body += f"553={self._username}\x01554={self._password}\x01"
        self._logon_seq = self._send("A", body)

    def _send_what_waited(self, connection: _Connection) -> None:
        """Messages submitted between our Logon(A) and the acceptor's."""
        for seq in range(self._logon_seq + 1, self.next_out):
            frame = self._sent[seq]
            if frame is not None:
                connection.write(frame)

    def _disconnected(self, connection: _Connection) -> None:
        if connection is self._connection:
            self._connection = None
            self._logged_on.clear()
            self.disconnects += not self._stopping

    # ---- messages out

    def _send(self, msg_type: str, body: str) -> int:
        seq = self.next_out
        self.next_out = seq + 1
        is_admin = msg_type in ADMIN_TYPES
        frame = self._encoder.encode(msg_type, body, seq, format_utc_timestamp(time.time_ns()))
        self._sent[seq] = None if is_admin else frame
        connection = self._connection
        if connection is not None and (self.is_logged_on or msg_type in "A5"):
            connection.write(frame)
        return seq

    def _resend(self, begin: int, end: int) -> None:
        """Answer a ResendRequest(2): application messages again, the rest as gap fills."""
        connection = self._connection
        assert connection is not None
        last = self.next_out - 1 if end == 0 else min(end, self.next_out - 1)
        now = format_utc_timestamp(time.time_ns())
        gap_from: int | None = None
        for seq in range(begin, last + 1):
            frame = self._sent.get(seq)
            if frame is None:
                gap_from = seq if gap_from is None else gap_from
                continue
            if gap_from is not None:
                connection.write(self._gap_fill(gap_from, seq, now))
                gap_from = None
            connection.write(possible_duplicate(frame, now))
        if gap_from is not None:
            connection.write(self._gap_fill(gap_from, last + 1, now))

    def _gap_fill(self, seq: int, new_seq: int, now: str) -> bytes:
        return self._encoder.encode(
            "4", f"43=Y\x01122={now}\x01123=Y\x0136={new_seq}\x01", seq, now
        )

    # ---- messages in

    def _received(self, message: FixMessage, connection: _Connection) -> None:
        msg_type, seq = message.msg_type, int(message.get(34) or 0)
        if msg_type == "A" and message.get(141) == "Y":
            self.next_in = 1
        if msg_type == "4" and message.get(123) != "Y":  # SequenceReset, reset mode
            self.next_in = int(message.get(36) or 0)
            return
        if msg_type == "5":  # ends the connection whatever its number is
            self._logout(message, connection)
            return
        if seq < self.next_in:
            if message.get(43) != "Y":
                raise FixClientError(f"{self.comp_id}: MsgSeqNum {seq} again, not marked PossDup")
            return
        if msg_type == "A" and not self.is_logged_on:
            self._logged_on.set()
            self._send_what_waited(connection)
        if msg_type == "2":  # answered at once, so that two gaps cannot wait for each other
            self.resend_requests_received += 1
            self._resend(int(message.get(7) or 0), int(message.get(16) or 0))
        if seq > self.next_in:
            self._early[seq] = message
            if seq > self._asked_up_to and self._asked_up_to < self.next_in:
                self._asked_up_to = seq
                self._send("2", f"7={self.next_in}\x0116=0\x01")
            return
        self._in_order(message)
        while (early := self._early.pop(self.next_in, None)) is not None:
            self._in_order(early)
        for stale in [number for number in self._early if number < self.next_in]:
            del self._early[stale]

    def _in_order(self, message: FixMessage) -> None:
        msg_type = message.msg_type
        self.next_in += 1
        if msg_type == "4":
            self.next_in = max(self.next_in, int(message.get(36) or 0))
        elif msg_type == "1":
            self._send("0", f"112={message.get(112)}\x01")
        elif msg_type == "3" or msg_type not in ADMIN_TYPES:
            self._on_message(message, time.perf_counter_ns())

    def _logout(self, message: FixMessage, connection: _Connection) -> None:
        self.last_logout_text = message.get(58) or ""
        was_logged_on = self.is_logged_on
        if int(message.get(34) or 0) == self.next_in:
            self.next_in += 1
        if not self._stopping:
            if was_logged_on:
                self._send("5", "")
            else:
                connection.failure = FixClientError(
                    f"{self.comp_id}: refused at Logon: {self.last_logout_text}"
                )
        connection.close()


class _Connection(asyncio.Protocol):
    """One TCP connection of a client."""

    def __init__(self, client: FixClient) -> None:
        self._client = client
        self._decoder = FixDecoder()
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()
        self.failure: FixClientError | None = None
        self.last_sent_ns = self.last_received_ns = time.perf_counter_ns()
        self.test_requested = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not derive from it
        self._client._connected(self)

    def data_received(self, data: bytes) -> None:
        self.last_received_ns = time.perf_counter_ns()
        self.test_requested = False
        for message in self._decoder.feed(data):
            if self.closed.is_set():
                return
            try:
                self._client._received(message, self)
            except FixClientError as error:
                self.failure = error
                self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._client._disconnected(self)

    def write(self, frame: bytes) -> None:
        assert self._transport is not None
        self.last_sent_ns = time.perf_counter_ns()
        self._transport.write(frame)

    def close(self) -> None:
        """Close after what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


def new_order_single(
    cl_ord_id: str,
    symbol: str,
    side: str,
    quantity: int,
    price: str | None,
    *,
    time_in_force: str = "0",
    account: str | None = None,
) -> list[tuple[int, object]]:
    """Fields of NewOrderSingle(D): a limit order, or a market order when `price` is None."""
    fields: list[tuple[int, object]] = [(11, cl_ord_id), (55, symbol), (54, side)]
    if account is not None:
        fields.append((1, account))
    fields += [(60, format_utc_timestamp(time.time_ns())), (38, quantity)]
    fields += [(40, "1")] if price is None else [(40, "2"), (44, price)]
    return [*fields, (59, time_in_force)]


def order_cancel_request(
    cl_ord_id: str, orig_cl_ord_id: str, symbol: str, side: str
) -> list[tuple[int, object]]:
    """Fields of OrderCancelRequest(F)."""
    now = format_utc_timestamp(time.time_ns())
    return [(41, orig_cl_ord_id), (11, cl_ord_id), (55, symbol), (54, side), (60, now)]


def order_cancel_replace_request(
    cl_ord_id: str, orig_cl_ord_id: str, symbol: str, side: str, quantity: int, price: str
) -> list[tuple[int, object]]:
    """Fields of OrderCancelReplaceRequest(G) for a limit order; `quantity` is the new total."""
    now = format_utc_timestamp(time.time_ns())
    return [
        (41, orig_cl_ord_id),
        (11, cl_ord_id),
        (55, symbol),
        (54, side),
        (60, now),
        (38, quantity),
        (40, "2"),
        (44, price),
    ]
