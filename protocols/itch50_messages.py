"""The 23 messages of Nasdaq TotalView-ITCH 5.0 as tuples. protocols/itch50.py codes them.

Fields stand in wire order. Every message begins with `stock_locate`, `tracking_number` and
`timestamp` (ns since midnight, 48 bits). Prices are Price(4) integers (1/10,000) except in
MwcbDeclineLevel, which has Price(8). Text fields are ASCII without the padding on the right, so a
field of blanks is "". Source of names and layouts: Nasdaq TotalView-ITCH 5.0, section by section.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias


class EventCode(StrEnum):
    """System Event codes."""

    START_OF_MESSAGES = "O"
    START_OF_SYSTEM_HOURS = "S"
    START_OF_MARKET_HOURS = "Q"
    END_OF_MARKET_HOURS = "M"
    END_OF_SYSTEM_HOURS = "E"
    END_OF_MESSAGES = "C"


class TradingStateCode(StrEnum):
    """States of Stock Trading Action."""

    HALTED = "H"
    PAUSED = "P"
    QUOTATION_ONLY = "Q"
    TRADING = "T"


class SideCode(StrEnum):
    """Buy/Sell Indicator. Short sales are shown as sells."""

    BUY = "B"
    SELL = "S"


# fmt: off
HALT_REASONS = frozenset({
    "T1", "T2", "T3", "T5", "T6", "T7", "T8", "T12", "H4", "H9", "H10", "H11", "O1", "R1", "R2",
    "R4", "R9", "C3", "C4", "C9", "C11", "M1", "M2", "LUDP", "LUDS", "MWC0", "MWC1", "MWC2",
    "MWC3", "MWCQ", "IPO1", "IPOQ", "IPOE",
})
# fmt: on
"""Reasons of Stock Trading Action; blank means not available."""


class SystemEvent(NamedTuple):
    """S: a milestone of the day. `stock_locate` is 0."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    event_code: str


class StockDirectory(NamedTuple):
    """R: an instrument and its number on the feed."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    market_category: str
    financial_status_indicator: str
    round_lot_size: int
    round_lots_only: str
    issue_classification: str
    issue_sub_type: str
    authenticity: str
    short_sale_threshold_indicator: str
    ipo_flag: str
    luld_reference_price_tier: str
    etp_flag: str
    etp_leverage_factor: int
    inverse_indicator: str


class StockTradingAction(NamedTuple):
    """H: the trading state of an instrument."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    trading_state: str
    reserved: str
    reason: str


class RegShoRestriction(NamedTuple):
    """Y: short sale price test (0 none, 1 in effect, 2 remains in effect)."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    reg_sho_action: str


class MarketParticipantPosition(NamedTuple):
    """L: status of a market participant in an instrument."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    mpid: str
    stock: str
    primary_market_maker: str
    market_maker_mode: str
    market_participant_state: str


class MwcbDeclineLevel(NamedTuple):
    """V: market-wide circuit breaker levels, Price(8)."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    level_1: int
    level_2: int
    level_3: int


class MwcbStatus(NamedTuple):
    """W: a market-wide circuit breaker level was breached."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    breached_level: str


class IpoQuotingPeriodUpdate(NamedTuple):
    """K: release time (seconds since midnight) and price of an IPO."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    ipo_quotation_release_time: int
    ipo_quotation_release_qualifier: str
    ipo_price: int


class LuldAuctionCollar(NamedTuple):
    """J: price collars of the auction that ends a limit-up limit-down pause."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    reference_price: int
    upper_price: int
    lower_price: int
    extension: int


class OperationalHalt(NamedTuple):
    """h: an interruption of service on one market."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    market_code: str
    operational_halt_action: str


class AddOrder(NamedTuple):
    """A: an order was added to the displayed book."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int
    side: str
    shares: int
    stock: str
    price: int


class AddOrderMpid(NamedTuple):
    """F: an attributed order was added to the displayed book."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int
    side: str
    shares: int
    stock: str
    price: int
    attribution: str


class OrderExecuted(NamedTuple):
    """E: an order on the book was executed at its own price, in part or in full."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int
    executed_shares: int
    match_number: int


class OrderExecutedWithPrice(NamedTuple):
    """C: an order on the book was executed at another price than its own."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int
    executed_shares: int
    match_number: int
    printable: str
    execution_price: int


class OrderCancel(NamedTuple):
    """X: shares were taken off an order, which keeps its place."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int
    cancelled_shares: int


class OrderDelete(NamedTuple):
    """D: an order left the book."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int


class OrderReplace(NamedTuple):
    """U: an order was replaced by one with the last place; side and stock are inherited."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    original_order_reference_number: int
    new_order_reference_number: int
    shares: int
    price: int


class Trade(NamedTuple):
    """P: an execution against an order that was never displayed."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    order_reference_number: int
    side: str
    shares: int
    stock: str
    price: int
    match_number: int


class CrossTrade(NamedTuple):
    """Q: the bulk print of a cross. Shares are 64 bits wide here."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    shares: int
    stock: str
    cross_price: int
    match_number: int
    cross_type: str


class BrokenTrade(NamedTuple):
    """B: a trade was broken; the book does not change."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    match_number: int


class NetOrderImbalance(NamedTuple):
    """I: net order imbalance indicator before a cross."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    paired_shares: int
    imbalance_shares: int
    imbalance_direction: str
    stock: str
    far_price: int
    near_price: int
    current_reference_price: int
    cross_type: str
    price_variation_indicator: str


class RetailPriceImprovement(NamedTuple):
    """N: retail interest on a side of an instrument."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    interest_flag: str


class DirectListingPriceDiscovery(NamedTuple):
    """O: Direct Listing with Capital Raise Price Discovery."""

    stock_locate: int
    tracking_number: int
    timestamp: int
    stock: str
    open_eligibility_status: str
    minimum_allowable_price: int
    maximum_allowable_price: int
    near_execution_price: int
    near_execution_time: int
    lower_price_range_collar: int
    upper_price_range_collar: int


Message: TypeAlias = (
    SystemEvent
    | StockDirectory
    | StockTradingAction
    | RegShoRestriction
    | MarketParticipantPosition
    | MwcbDeclineLevel
    | MwcbStatus
    | IpoQuotingPeriodUpdate
    | LuldAuctionCollar
    | OperationalHalt
    | AddOrder
    | AddOrderMpid
    | OrderExecuted
    | OrderExecutedWithPrice
    | OrderCancel
    | OrderDelete
    | OrderReplace
    | Trade
    | CrossTrade
    | BrokenTrade
    | NetOrderImbalance
    | RetailPriceImprovement
    | DirectListingPriceDiscovery
)
