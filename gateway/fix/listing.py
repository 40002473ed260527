"""OrderMassStatusRequest(AF) whose answer is longer than one page.

The cluster tells at most ORDERS_PER_PAGE orders in one answer, so that no client holds up the
others; the gateway asks for the next page when it has read one. What it must know for that is here
and nowhere else: a request that a crash interrupts ends without LastRptRequested(912)=Y.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from oms.commands import Command, QueryOrders
from oms.events import Event, OrderListed
from oms.query_commands import ORDERS_PER_PAGE

ORDER_MASS_STATUS_REQUEST: Final = "AF"
MAX_LISTINGS: Final = 16
"""Requests of one session that may be under way."""


class _Listing(NamedTuple):
    """The request, and how many orders of its present page were told."""

    request: QueryOrders
    told: int


class Listings:
    """The requests of one session that are being answered, by MassStatusReqID(584)."""

    def __init__(self) -> None:
        self._open: dict[str, _Listing] = {}

    @property
    def is_full(self) -> bool:
        """Whether a further request must wait."""
        return len(self._open) >= MAX_LISTINGS

    def begin(self, command: Command) -> None:
        """A request goes to the cluster."""
        request = QueryOrders(*command)
        self._open[request.request_id] = _Listing(request, 0)

    def next_page(self, event: Event) -> QueryOrders | None:
        """Count an OrderListed; returns the next page's request with the last one of this page."""
        listed = OrderListed(*event)
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
        """The connection ended: nobody waits for the rest."""
        self._open.clear()
