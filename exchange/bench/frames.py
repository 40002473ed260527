"""The bytes of a flow, made before the clock runs, so that a load costs its sender next to nothing.

Request n of a session is called n + 1 over OUCH (its UserRefNum), COMP-n over FIX (its ClOrdID).
"""

from __future__ import annotations

import os
import tempfile
import time
from array import array
from itertools import accumulate
from pathlib import Path
from typing import Final, Protocol

from exchange.bench.flow import CYCLE, Flow, Kind, Step
from exchange.fix_client import (
    BEGIN_STRING,
    new_order_single,
    order_cancel_replace_request,
    order_cancel_request,
)
from oms.price import format_price
from protocols import ouch50
from protocols import ouch50_messages as ouch
from protocols.fix import FixEncoder, encode_body, format_utc_timestamp
from protocols.soupbintcp import encode_unsequenced_data

_SIDES: Final = {"1": "B", "2": "S"}
_WRITTEN_AT_ONCE: Final = 1_000
_CL_ORD_ID: Final = "BENCH"
"""Of every OUCH order: no rule looks at it."""


OUCH_REQUESTS_MAX: Final = (1 << 32) // CYCLE * CYCLE - 1
"""UserRefNums have four bytes."""


class Frames(Protocol):
    """Requests of a session as they go to the socket."""

    count: int
    """How many there are."""

    def take(self, first: int, count: int) -> bytes:
        """Requests `first`, `first` + 1, ..., `count` of them."""

    def close(self) -> None:
        """Give back what they are kept in."""


class OuchFrames:
    """OUCH requests in SoupBinTCP packets, up to OUCH_REQUESTS_MAX.

    A cycle differs from the one before only in its UserRefNums, each of which is CYCLE higher, and
    none of which ever leaves its four bytes. So all bytes of a cycle, read as one large number, are
    an arithmetic progression: cycle c is the first one plus c times the difference of the first
    two, which costs a tenth of a microsecond per request.
    """

    def __init__(self, flow: Flow, count: int) -> None:
        assert count <= OUCH_REQUESTS_MAX, f"{count} requests"
        self.count = count
        first = [_ouch_packet(flow, number) for number in range(CYCLE)]
        second = [_ouch_packet(flow, number) for number in range(CYCLE, 2 * CYCLE)]
        self._ends = array("I", accumulate(map(len, first), initial=0))
        self._first = int.from_bytes(b"".join(first), "big")
        self._difference = int.from_bytes(b"".join(second), "big") - self._first
        self._cycle = -1
        self._bytes = b""

    def take(self, first: int, count: int) -> bytes:
        """As Frames.take; O(bytes) when called in rising order."""
        pieces = []
        while count:
            cycle, place = divmod(first, CYCLE)
            if cycle != self._cycle:
                number = self._first + cycle * self._difference
                self._bytes = number.to_bytes(self._ends[-1], "big")
                self._cycle = cycle
            end = min(place + count, CYCLE)
            pieces.append(self._bytes[self._ends[place] : self._ends[end]])
            first += end - place
            count -= end - place
        return b"".join(pieces)

    def close(self) -> None:
        """Nothing is open."""


def _ouch_packet(flow: Flow, number: int) -> bytes:
    return encode_unsequenced_data(ouch50.encode(_ouch_message(flow, number)))


def _ouch_message(flow: Flow, number: int) -> ouch.InboundMessage:
    step, name, target = flow.step(number), number + 1, flow.target(number) + 1
    if step.kind is Kind.CANCEL:
        return ouch.CancelOrder(target, 0)
    if step.kind is Kind.REPLACE:
        return ouch.ReplaceOrder(target, name, step.quantity, step.price, "0", "Y", "N", _CL_ORD_ID)
    return ouch.EnterOrder(
        name, _SIDES[step.side], step.quantity, step.symbol, step.price,
        "0", "Y", "A", "N", "N", _CL_ORD_ID,
    )  # fmt: skip


class FixFrames:
    """FIX requests with MsgSeqNums from 2 on (1 is the Logon), in a file without a name.

    Every message is another one (number, ClOrdID, checksum), so they are all encoded beforehand."""

    def __init__(self, flow: Flow, comp_id: str, count: int, folder: Path) -> None:
        """`folder` has room for about 200 bytes per request. Raises OSError."""
        self.count = count
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as this
        self._ends = array("Q", [0])
        encoder = FixEncoder(BEGIN_STRING, comp_id, "EXCH")
        now = format_utc_timestamp(time.time_ns())
        for first in range(0, count, _WRITTEN_AT_ONCE):
            frames = [
                encoder.encode(*_fix_body(flow, comp_id, number), number + 2, now)
                for number in range(first, min(count, first + _WRITTEN_AT_ONCE))
            ]
            self._file.write(b"".join(frames))
            self._ends.extend(list(accumulate(map(len, frames), initial=self._ends[-1]))[1:])
        self._file.flush()

    def take(self, first: int, count: int) -> bytes:
        """As Frames.take."""
        start = self._ends[first]
        return os.pread(self._file.fileno(), self._ends[first + count] - start, start)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()


def fix_name(comp_id: str, number: int) -> str:
    """ClOrdID of a request."""
    return f"{comp_id}-{number}"


def _fix_body(flow: Flow, comp_id: str, number: int) -> tuple[str, str]:
    """MsgType and body of a request."""
    step = flow.step(number)
    name, target = fix_name(comp_id, number), fix_name(comp_id, flow.target(number))
    if step.kind is Kind.CANCEL:
        return "F", encode_body(order_cancel_request(name, target, step.symbol, step.side))
    return _fix_order(step, name, target)


def _fix_order(step: Step, name: str, target: str) -> tuple[str, str]:
    price = format_price(step.price)
    if step.kind is Kind.REPLACE:
        fields = order_cancel_replace_request(
            name, target, step.symbol, step.side, step.quantity, price
        )
        return "G", encode_body(fields)
    return "D", encode_body(new_order_single(name, step.symbol, step.side, step.quantity, price))
