"""Nasdaq's own Python clients (PyPI nasdaq-protocols), and OUCH 5.0 in their words.

Their OUCH is a frame without messages: each user of it says which ones the venue has. What is said
here was written from the OUCH 5.0 tables and uses their codec, so ours has no part in it.
"""

from __future__ import annotations

from types import new_class
from typing import Any

from nasdaq_protocols import ouch, soup
from nasdaq_protocols.common import EndOfQueue
from nasdaq_protocols.common.message import (
    CharAscii,
    Field,
    FixedAsciiString,
    Record,
    UnsignedIntBE,
    UnsignedLongBE,
    UnsignedShortBE,
)

from cluster.settings import Address
from exchange.local import wait_for
from protocols.soupbintcp import SERVER_HEARTBEAT_PACKET

NEVER_S = 1_000

_U16, _U32, _U64, _CODE = UnsignedShortBE, UnsignedIntBE, UnsignedLongBE, CharAscii
_FIRM, _SYMBOL, _CL_ORD_ID = FixedAsciiString(4), FixedAsciiString(8), FixedAsciiString(14)


async def log_in(remote: Address, user: str, sequence: int = 1, **options: Any) -> Any:
    """A SoupBinTCP session with a blank session name; its messages wait in a queue.

    Without a callback nothing is lost at the end: theirs drops what it has not dispatched by then.
    """
    return await soup.connect_async(tuple(remote), user, "password", "", sequence, **options)


async def read_until_cut_off(session: Any) -> list[Any]:
    """Every packet until the connection is closed, heartbeats left out."""
    packets = []
    while True:
        try:
            packets.append(await session.receive_msg())
        except EndOfQueue:
            return packets


async def read_snapshot(session: Any) -> list[bytes]:
    """The messages of a GLIMPSE session up to End of Snapshot, and the End of Session after it.

    The library waits for ever when that packet and the end of the connection come in one go: its
    reader stops while its session waits for the reader to be idle. So the end is seen at the
    reader, which stops at nothing but that packet.
    """
    messages: list[bytes] = []
    while not messages or messages[-1][:1] != b"G":
        messages += await read_messages(session, 1)
    await wait_for(session._reader.is_stopped, "End of Session came", 10.0)
    return messages


async def read_messages(session: Any, count: int) -> list[bytes]:
    """The next sequenced messages."""
    messages: list[bytes] = []
    while len(messages) < count:
        packet = await session.receive_msg()
        assert isinstance(packet, soup.SequencedData), packet
        messages.append(bytes(packet.data))
    return messages


class CountingSession(soup.SoupClientSession):  # type: ignore[misc]
    """Counts heartbeats, of which the library tells nobody."""

    sent = 0
    heard = 0

    def data_received(self, data: bytes) -> None:
        self.heard += data.count(SERVER_HEARTBEAT_PACKET)
        super().data_received(data)

    async def send_heartbeat(self) -> None:
        self.sent += 1
        await super().send_heartbeat()


class Message(ouch.Message, app_name="ouch50"):  # type: ignore[misc]
    """The family of the messages below, as the library's generator would begin it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**{**options, "app_name": "ouch50"})


class OuchSession(ouch.ClientSession):  # type: ignore[misc]
    """Decodes with the messages below, and keeps what came."""

    def __attrs_post_init__(self) -> None:
        self.raw: list[bytes] = []
        super().__attrs_post_init__()

    def decode(self, bytes_: bytes) -> Any:
        self.raw.append(bytes(bytes_))
        return Message.from_bytes(bytes_)


async def log_in_to_ouch(remote: Address, user: str) -> OuchSession:
    """An OUCH session that begins with message 1."""
    return await ouch.connect_async(
        tuple(remote), user, "password", "", sequence=1, session_factory=OuchSession
    )


def _message(name: str, direction: str, indicator: str, **fields: Any) -> Any:
    listed = [Field(field, kind) for field, kind in fields.items()]
    body = type("BodyRecord", (Record,), {"Fields": listed})
    options = {"indicator": ord(indicator), "direction": direction}
    return new_class(name, (Message,), options, lambda scope: scope.update(BodyRecord=body))


def values(message: Any) -> list[Any]:
    """The fields of a message in wire order."""
    names = [field.name for field in message.BodyRecord.Fields]
    return [getattr(message, name) for name in names]


# "incoming" and "outgoing" are those of the exchange; appendages are empty, so they are a length.
EnterOrder = _message(
    "EnterOrder",
    "incoming",
    "O",
    user_ref_num=_U32,
    side=_CODE,
    quantity=_U32,
    symbol=_SYMBOL,
    price=_U64,
    time_in_force=_CODE,
    display=_CODE,
    capacity=_CODE,
    intermarket_sweep=_CODE,
    cross_type=_CODE,
    cl_ord_id=_CL_ORD_ID,
    appendage_length=_U16,
)
ReplaceOrder = _message(
    "ReplaceOrder",
    "incoming",
    "U",
    orig_user_ref_num=_U32,
    user_ref_num=_U32,
    quantity=_U32,
    price=_U64,
    time_in_force=_CODE,
    display=_CODE,
    intermarket_sweep=_CODE,
    cl_ord_id=_CL_ORD_ID,
    appendage_length=_U16,
)
CancelOrder = _message("CancelOrder", "incoming", "X", user_ref_num=_U32, quantity=_U32)
# Its appendage may be left out, but the library raises IndexError for a message without fields.
AccountQuery = _message("AccountQuery", "incoming", "Q", appendage_length=_U16)
ModifyOrder = _message("ModifyOrder", "incoming", "M", user_ref_num=_U32, side=_CODE, quantity=_U32)
MassCancel = _message(
    "MassCancel",
    "incoming",
    "C",
    user_ref_num=_U32,
    firm=_FIRM,
    symbol=_SYMBOL,
    appendage_length=_U16,
)
_ENTRY = {"user_ref_num": _U32, "firm": _FIRM, "appendage_length": _U16}
DisableOrderEntry = _message("DisableOrderEntry", "incoming", "D", **_ENTRY)
EnableOrderEntry = _message("EnableOrderEntry", "incoming", "E", **_ENTRY)

_ORDER = {
    "side": _CODE,
    "quantity": _U32,
    "symbol": _SYMBOL,
    "price": _U64,
    "time_in_force": _CODE,
    "display": _CODE,
    "order_reference_number": _U64,
    "capacity": _CODE,
    "intermarket_sweep": _CODE,
    "cross_type": _CODE,
    "order_state": _CODE,
    "cl_ord_id": _CL_ORD_ID,
    "appendage_length": _U16,
}
SystemEvent = _message("SystemEvent", "outgoing", "S", timestamp=_U64, event_code=_CODE)
OrderAccepted = _message(
    "OrderAccepted", "outgoing", "A", timestamp=_U64, user_ref_num=_U32, **_ORDER
)
OrderReplaced = _message(
    "OrderReplaced",
    "outgoing",
    "U",
    timestamp=_U64,
    orig_user_ref_num=_U32,
    user_ref_num=_U32,
    **_ORDER,
)
OrderCanceled = _message(
    "OrderCanceled",
    "outgoing",
    "C",
    timestamp=_U64,
    user_ref_num=_U32,
    quantity=_U32,
    reason=_CODE,
)
OrderExecuted = _message(
    "OrderExecuted",
    "outgoing",
    "E",
    timestamp=_U64,
    user_ref_num=_U32,
    quantity=_U32,
    price=_U64,
    liquidity_flag=_CODE,
    match_number=_U64,
    appendage_length=_U16,
)
Rejected = _message(
    "Rejected",
    "outgoing",
    "J",
    timestamp=_U64,
    user_ref_num=_U32,
    reason=_U16,
    cl_ord_id=_CL_ORD_ID,
)
AccountQueryResponse = _message(
    "AccountQueryResponse", "outgoing", "Q", timestamp=_U64, next_user_ref_num=_U32
)
OrderModified = _message(
    "OrderModified",
    "outgoing",
    "M",
    timestamp=_U64,
    user_ref_num=_U32,
    side=_CODE,
    quantity=_U32,
)
MassCancelResponse = _message(
    "MassCancelResponse",
    "outgoing",
    "X",
    timestamp=_U64,
    user_ref_num=_U32,
    firm=_FIRM,
    symbol=_SYMBOL,
    appendage_length=_U16,
)
DisableOrderEntryResponse = _message(
    "DisableOrderEntryResponse", "outgoing", "G", timestamp=_U64, **_ENTRY
)
EnableOrderEntryResponse = _message(
    "EnableOrderEntryResponse", "outgoing", "K", timestamp=_U64, **_ENTRY
)
