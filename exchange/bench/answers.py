"""All that a session was told, read by the real decoders, as answers to numbered requests."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from exchange.bench.flow import Flow
from exchange.bench.session import LoadSession
from exchange.ledger import read_report
from protocols import ouch50
from protocols import ouch50_messages as ouch
from protocols.fix import FixDecoder, FixMessage
from protocols.soupbintcp import SEQUENCED_DATA, Direction, PacketReader


class Told(Enum):
    """What a message says."""

    ACCEPTED = "accepted"
    REPLACED = "replaced"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXECUTED = "executed"


class Answer(NamedTuple):
    """`number` is that of the request that is answered; of an execution, of the request that gave
    the order its name; None when no request of the flow fits. `quantity` and `price` of an
    execution are its own, of an order the order's; `match_number` is 0 but in executions."""

    told: Told
    number: int | None
    quantity: int
    price: int
    match_number: int


_FIX_TOLD: Final = {
    "0": Told.ACCEPTED,
    "5": Told.REPLACED,
    "4": Told.CANCELED,
    "8": Told.REJECTED,
    "F": Told.EXECUTED,
}


def read_answers(session: LoadSession, entry: str) -> Iterator[tuple[int, Answer]]:
    """(when it came, answer) in the order of coming; entry is "fix" or "ouch". Raises the
    decoders' errors for bytes that are no messages."""
    return _read_ouch(session) if entry == "ouch" else _read_fix(session)


def _read_ouch(session: LoadSession) -> Iterator[tuple[int, Answer]]:
    reader, flow = PacketReader(Direction.SERVER_TO_CLIENT), session.flow
    for time_ns, data in session.recording:
        for kind, payload in reader.feed(data):
            if kind == SEQUENCED_DATA:
                answer = _ouch_answer(ouch50.decode_outbound(payload), flow)
                if answer is not None:
                    yield time_ns, answer


def _ouch_answer(message: ouch.OutboundMessage, flow: Flow) -> Answer | None:
    match message:
        case ouch.OrderExecuted():
            return Answer(
                Told.EXECUTED,
                message.user_ref_num - 1,
                message.quantity,
                message.price,
                message.match_number,
            )
        case ouch.OrderAccepted():
            number = message.user_ref_num - 1
            return Answer(Told.ACCEPTED, number, message.quantity, message.price, 0)
        case ouch.OrderCanceled():
            number_of_order = message.user_ref_num - 1
            return Answer(Told.CANCELED, flow.cancel_of(number_of_order), 0, 0, 0)
        case ouch.OrderReplaced():
            number = message.user_ref_num - 1
            return Answer(Told.REPLACED, number, message.quantity, message.price, 0)
        case ouch.Rejected():
            return Answer(Told.REJECTED, message.user_ref_num - 1, 0, 0, 0)
    return None


def _read_fix(session: LoadSession) -> Iterator[tuple[int, Answer]]:
    decoder, prefix = FixDecoder(), f"{session.name}-"
    for time_ns, data in session.recording:
        for message in decoder.feed(data):
            answer = _fix_answer(message, prefix)
            if answer is not None:
                yield time_ns, answer
    assert decoder.garbled == 0, f"{session.name}: {decoder.garbled} garbled messages"


def _fix_answer(message: FixMessage, prefix: str) -> Answer | None:
    if message.msg_type not in ("8", "9", "j", "3"):
        return None
    report = read_report(message, 0)
    name = report.cl_ord_id.removeprefix(prefix)
    number = int(name) if name.isdecimal() else None
    told = _FIX_TOLD.get(report.exec_type) if report.msg_type == "8" else Told.REJECTED
    if told is Told.EXECUTED:
        price = report.last_price
        return Answer(told, number, report.last_qty, price, report.match_number)
    return None if told is None else Answer(told, number, report.quantity, 0, 0)
