"""Questions with long answers: how many of a session may be under way, and lists page by page.

An OrderMassStatusRequest(AF), a SecurityListRequest(x) or a MarketDataRequest(V) is short, and its
answer is not: a thousand of them would hold up every node of the cluster, and so everybody else.

The cluster tells at most ORDERS_PER_PAGE orders in one answer to an AF; the gateway asks for the
next page when it has read one. What it must know for that is here and nowhere else: a request that
a crash interrupts ends without LastRptRequested(912)=Y.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from oms.commands import Command, QueryOrders
from oms.events import Event, EventKind, InstrumentsListed, OrderListed
from oms.query_commands import ORDERS_PER_PAGE
from protocols.fix import FixMessage

MAX_LISTINGS: Final = 16
"""OrderMassStatusRequests(AF) of one session that may be under way, and SecurityListRequests(x)."""
MAX_BOOKS: Final = 50
"""With so many books of one session under way, no MarketDataRequest(V) more is taken."""

_ORDER_MASS_STATUS_REQUEST: Final = "AF"
_SECURITY_LIST_REQUEST: Final = "x"
_MARKET_DATA_REQUEST: Final = "V"
_LONG_ANSWERS: Final = frozenset(
    (_ORDER_MASS_STATUS_REQUEST, _SECURITY_LIST_REQUEST, _MARKET_DATA_REQUEST)
)
_ORDER_LISTED: Final = int(EventKind.ORDER_LISTED)
_INSTRUMENTS_LISTED: Final = int(EventKind.INSTRUMENTS_LISTED)
_BOOK_REPORTED: Final = int(EventKind.BOOK_REPORTED)

LISTED_KINDS: Final = frozenset((_ORDER_LISTED, _INSTRUMENTS_LISTED, _BOOK_REPORTED))
"""The events that such an answer is made of."""


class _Listing(NamedTuple):
    """The request, and how many orders of its present page were told."""

    request: QueryOrders
    told: int


class Listings:
    """The questions of one session that are being answered; AF by MassStatusReqID(584)."""

    def __init__(self) -> None:
        self._open: dict[str, _Listing] = {}
        self._instrument_lists = 0
        self._books = 0

    def refusal(self, message: FixMessage) -> str | None:
        """Why a question must wait, as a sentence; None for everything else."""
        msg_type = message.msg_type
        if msg_type not in _LONG_ANSWERS:
            return None
        if msg_type == _MARKET_DATA_REQUEST:
            if self._books >= MAX_BOOKS:
                return f"{self._books} books are being answered; wait for them"
        elif msg_type == _SECURITY_LIST_REQUEST:
            if self._instrument_lists >= MAX_LISTINGS:
                return f"{MAX_LISTINGS} SecurityListRequests are being answered; wait for them"
        elif message.get(584) in self._open:
            return f"MassStatusReqID(584) {message.get(584)} is being answered; use another one"
        elif len(self._open) >= MAX_LISTINGS:
            return f"{MAX_LISTINGS} OrderMassStatusRequests are being answered; wait for them"
        return None

    def begin(self, msg_type: str, commands: tuple[Command, ...]) -> None:
        """The commands of a message go to the cluster."""
        if msg_type == _MARKET_DATA_REQUEST:
            self._books += len(commands)
        elif msg_type == _SECURITY_LIST_REQUEST:
            self._instrument_lists += 1
        elif msg_type == _ORDER_MASS_STATUS_REQUEST:
            # The first page uses up the MsgSeqNum. Those that follow have none: numbers may have
            # begun again at 1 before they are carried out.
            request = QueryOrders(*commands[0])
            later = request._replace(msg_seq_num=0)
            self._open[request.request_id] = _Listing(later, 0)

    def count(self, event: Event) -> QueryOrders | None:
        """Take note of an event of LISTED_KINDS; returns the request for the next page with the
        last OrderListed of a page."""
        kind = event[0]
        if kind == _ORDER_LISTED:
            return self._next_page(OrderListed(*event))
        if kind == _BOOK_REPORTED:
            self._books = max(0, self._books - 1)  # the question may be that of an earlier process
        elif InstrumentsListed(*event).remaining == 0:
            self._instrument_lists = max(0, self._instrument_lists - 1)
        return None

    def _next_page(self, listed: OrderListed) -> QueryOrders | None:
        listing = self._open.get(listed.request_id)
        if listing is None:
            return None
        told = listing.told + 1
        if listed.remaining == 0:
            del self._open[listed.request_id]
        elif told == ORDERS_PER_PAGE:
            request = listing.request._replace(after_order_id=listed.order_id)
            self._open[listed.request_id] = _Listing(request, 0)
            return request
        else:
            self._open[listed.request_id] = listing._replace(told=told)
        return None

    def clear(self) -> None:
        """The connection ended: nobody waits for the rest. What the cluster was asked is answered
        before the next Logon."""
        self._open.clear()
        self._instrument_lists = self._books = 0
