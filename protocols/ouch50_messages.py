"""The messages of Nasdaq OUCH 5.0 as tuples, both directions. protocols/ouch50.py codes them.

Fields stand in wire order. Prices are Price(4) integers (1/10,000), `timestamp` is in ns since
midnight. Text fields are ASCII without the padding on the right, so a field of blanks is "". The
codes of single characters are in protocols/ouch50_codes.py. `user_ref_num` numbers what a port
sends, from 1 on, strictly increasing over a day. Source of names and layouts: Nasdaq OUCH 5.0,
sections 2 (inbound) and 3 (outbound), edition 1.04.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from protocols.ouch50_appendage import NO_APPENDAGE, Appendage

# --- inbound: client to exchange ----------------------------------------------------------------


class EnterOrder(NamedTuple):
    """O: a new order. `quantity` is 1 to 999,999."""

    user_ref_num: int
    side: str
    quantity: int
    symbol: str
    price: int
    time_in_force: str
    display: str
    capacity: str
    intermarket_sweep: str
    cross_type: str
    cl_ord_id: str
    appendage: Appendage = NO_APPENDAGE


class ReplaceOrder(NamedTuple):
    """U: other terms for a live order. `quantity` counts the shares already executed too.

    A tag that the appendage lacks keeps its value, except SharesLocated and LocateBroker.
    """

    orig_user_ref_num: int
    user_ref_num: int
    quantity: int
    price: int
    time_in_force: str
    display: str
    intermarket_sweep: str
    cl_ord_id: str
    appendage: Appendage = NO_APPENDAGE


class CancelOrder(NamedTuple):
    """X: `quantity` is the new intended total of the order; 0 cancels all that is left."""

    user_ref_num: int
    quantity: int
    appendage: Appendage = NO_APPENDAGE


class ModifyOrder(NamedTuple):
    """M: another kind of sale, or fewer shares, with the order's priority kept."""

    user_ref_num: int
    side: str
    quantity: int
    appendage: Appendage = NO_APPENDAGE


class MassCancel(NamedTuple):
    """C: cancel the orders of a firm; `symbol` "" means all symbols. The appendage may narrow it
    by Side, GroupID and UserRefIdx."""

    user_ref_num: int
    firm: str
    symbol: str
    appendage: Appendage = NO_APPENDAGE


class DisableOrderEntry(NamedTuple):
    """D: refuse orders of a firm from now on."""

    user_ref_num: int
    firm: str
    appendage: Appendage = NO_APPENDAGE


class EnableOrderEntry(NamedTuple):
    """E: take orders of a firm again."""

    user_ref_num: int
    firm: str
    appendage: Appendage = NO_APPENDAGE


class AccountQuery(NamedTuple):
    """Q: which UserRefNum comes next?"""

    appendage: Appendage = NO_APPENDAGE


InboundMessage: TypeAlias = (
    EnterOrder
    | ReplaceOrder
    | CancelOrder
    | ModifyOrder
    | MassCancel
    | DisableOrderEntry
    | EnableOrderEntry
    | AccountQuery
)

# --- outbound: exchange to client ---------------------------------------------------------------


class SystemEvent(NamedTuple):
    """S: the day begins or ends."""

    timestamp: int
    event_code: str


class OrderAccepted(NamedTuple):
    """A: the order as it was accepted. `order_state` L is live, D was dead at once."""

    timestamp: int
    user_ref_num: int
    side: str
    quantity: int
    symbol: str
    price: int
    time_in_force: str
    display: str
    order_reference_number: int
    capacity: str
    intermarket_sweep: str
    cross_type: str
    order_state: str
    cl_ord_id: str
    appendage: Appendage = NO_APPENDAGE


class OrderReplaced(NamedTuple):
    """U: the order as it is after a Replace. `quantity` is what is outstanding."""

    timestamp: int
    orig_user_ref_num: int
    user_ref_num: int
    side: str
    quantity: int
    symbol: str
    price: int
    time_in_force: str
    display: str
    order_reference_number: int
    capacity: str
    intermarket_sweep: str
    cross_type: str
    order_state: str
    cl_ord_id: str
    appendage: Appendage = NO_APPENDAGE


class OrderCanceled(NamedTuple):
    """C: `quantity` shares were taken off the order."""

    timestamp: int
    user_ref_num: int
    quantity: int
    reason: str
    appendage: Appendage = NO_APPENDAGE


class AiqCanceled(NamedTuple):
    """D: shares were taken off an order that would have met one of the same firm.

    `quantity` is the decrement, `quantity_prevented` and `execution_price` the trade that was not.
    `aiq_strategy` is "" in messages of early editions, which end before it.
    """

    timestamp: int
    user_ref_num: int
    quantity: int
    reason: str
    quantity_prevented: int
    execution_price: int
    liquidity_flag: str
    aiq_strategy: str
    appendage: Appendage = NO_APPENDAGE


class OrderExecuted(NamedTuple):
    """E: `quantity` shares were executed at `price`."""

    timestamp: int
    user_ref_num: int
    quantity: int
    price: int
    liquidity_flag: str
    match_number: int
    appendage: Appendage = NO_APPENDAGE


class BrokenTrade(NamedTuple):
    """B: an execution is void."""

    timestamp: int
    user_ref_num: int
    match_number: int
    reason: str
    cl_ord_id: str
    appendage: Appendage = NO_APPENDAGE


class Rejected(NamedTuple):
    """J: an order or a Replace was refused. `reason`: ouch50_codes.RejectReason."""

    timestamp: int
    user_ref_num: int
    reason: int
    cl_ord_id: str
    appendage: Appendage = NO_APPENDAGE


class CancelPending(NamedTuple):
    """P: the Cancel waits until the order may be canceled."""

    timestamp: int
    user_ref_num: int
    appendage: Appendage = NO_APPENDAGE


class CancelReject(NamedTuple):
    """I: the Cancel was refused."""

    timestamp: int
    user_ref_num: int
    appendage: Appendage = NO_APPENDAGE


class OrderPriorityUpdate(NamedTuple):
    """T: the order has another price, display or reference number, and so another priority."""

    timestamp: int
    user_ref_num: int
    price: int
    display: str
    order_reference_number: int
    appendage: Appendage = NO_APPENDAGE


class OrderModified(NamedTuple):
    """M: the order as it is after a Modify. `quantity` is what is outstanding."""

    timestamp: int
    user_ref_num: int
    side: str
    quantity: int
    appendage: Appendage = NO_APPENDAGE


class OrderRestated(NamedTuple):
    """R: the exchange changed the display or the price of an order; the appendage says to what."""

    timestamp: int
    user_ref_num: int
    reason: str
    appendage: Appendage = NO_APPENDAGE


class MassCancelResponse(NamedTuple):
    """X: the Mass Cancel was taken."""

    timestamp: int
    user_ref_num: int
    firm: str
    symbol: str
    appendage: Appendage = NO_APPENDAGE


class DisableOrderEntryResponse(NamedTuple):
    """G: order entry of the firm is off."""

    timestamp: int
    user_ref_num: int
    firm: str
    appendage: Appendage = NO_APPENDAGE


class EnableOrderEntryResponse(NamedTuple):
    """K: order entry of the firm is on."""

    timestamp: int
    user_ref_num: int
    firm: str
    appendage: Appendage = NO_APPENDAGE


class AccountQueryResponse(NamedTuple):
    """Q: the UserRefNum that the exchange takes next."""

    timestamp: int
    next_user_ref_num: int
    appendage: Appendage = NO_APPENDAGE


OutboundMessage: TypeAlias = (
    SystemEvent
    | OrderAccepted
    | OrderReplaced
    | OrderCanceled
    | AiqCanceled
    | OrderExecuted
    | BrokenTrade
    | Rejected
    | CancelPending
    | CancelReject
    | OrderPriorityUpdate
    | OrderModified
    | OrderRestated
    | MassCancelResponse
    | DisableOrderEntryResponse
    | EnableOrderEntryResponse
    | AccountQueryResponse
)
