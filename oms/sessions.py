"""Trading sessions: the names they have used, their open orders, and what is kept of the rest."""

from __future__ import annotations

from collections import deque
from typing import Final

from matching.types import Side
from oms.events import OrdStatus
from oms.names import Names
from oms.order_state import Order
from oms.reference_data import Account

CLOSED_ORDERS_KEPT = 1_000
"""Closed orders per session that QueryOrder can still describe. Of older ones only the name and
the final OrdStatus remain, so a cancel is TOO_LATE, and the name stays used, all day."""

_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_FINAL: Final = (int(OrdStatus.FILLED), int(OrdStatus.CANCELED), int(OrdStatus.EXPIRED))


class Session:
    """One trading session.

    `names` has every ClOrdID that the session has used today. `open_orders` are by order_id in the
    order of entry. `gateway_id` is who opened the session last. `last_numbers` has the last
    number used of each channel, in the order of first use. `takes_orders` follows from the rest of
    the session, by `decide_whether_it_takes_orders`: one look for each order that is entered.
    """

    __slots__ = (
        "account",
        "cancel_on_disconnect",
        "closed_orders",
        "gateway_id",
        "is_open",
        "last_msg_seq_num",
        "last_numbers",
        "name",
        "names",
        "open_orders",
        "order_entry_enabled",
        "takes_orders",
    )

    def __init__(self, name: str, account: Account) -> None:
        self.name = name
        self.account = account
        self.gateway_id = ""
        self.is_open = False
        self.cancel_on_disconnect = False
        self.last_msg_seq_num = 0
        self.order_entry_enabled = True
        self.takes_orders = True
        self.last_numbers: dict[int, int] = {}
        self.names = Names()
        self.open_orders: dict[int, Order] = {}
        self.closed_orders: deque[Order] = deque()

    @property
    def is_locked(self) -> bool:
        """Whether the session ended with its orders canceled and has not been opened again.

        An order that was still on its way from a lost gateway must not come to rest after the
        cancel on disconnect: nobody would be there to watch it.
        """
        return self.cancel_on_disconnect and not self.is_open

    def decide_whether_it_takes_orders(self) -> None:
        """Set `takes_orders`; to be called after a change of what it follows from."""
        self.takes_orders = self.order_entry_enabled and not self.is_locked

    def open_orders_that_fit(self, symbol: str, side: int) -> list[Order]:
        """Return the open orders for `symbol` ("": all) on `side` (0: both, BUY, or SELL for every
        kind of sale; none fits another), in the order of entry.

        O(open orders): of 100,000, 0.5 ms without and 5 ms with a symbol or a side.
        """
        orders = list(self.open_orders.values())
        if symbol != "":
            orders = [order for order in orders if order.symbol == symbol]
        if side == 0:
            return orders
        if side not in (_BUY, _SELL):
            return []
        is_buy = side == _BUY
        return [order for order in orders if (order.side == _BUY) is is_buy]

    def close(self, order: Order) -> None:
        """Move an order that has left its book from the open to the closed ones."""
        del self.open_orders[order.order_id]
        self.remember_closed(order)

    def remember_closed(self, order: Order) -> None:
        """Keep an order that lives no more, and forget the oldest one beyond the bound."""
        closed = self.closed_orders
        closed.append(order)
        if len(closed) > CLOSED_ORDERS_KEPT:
            forgotten = closed.popleft()
            status = forgotten.ord_status
            assert status in _FINAL, f"order {forgotten.order_id} is closed with status {status}"
            self.names.forget(forgotten)
