"""The codes of Nasdaq OUCH 5.0: prices with a meaning, limits, and the closed sets of its fields.

Source: Nasdaq OUCH 5.0, sections 1 and 2, appendices B (cancel reasons), C (reject reasons) and
D (liquidity flags). Whoever acts on a field judges it; the codec passes unknown codes through.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

NS_PER_DAY = 86_400 * 1_000_000_000
"""Timestamps are ns since midnight and below this."""

MIN_QUANTITY = 1
MAX_QUANTITY = 999_999

HIGHEST_LIMIT_PRICE = 0x7735_939C
"""199,999.9900 in 1/10,000."""
MARKET_PRICE = 2_000_000_000
"""200,000.0000 in 1/10,000: this price and any above it is a market order."""
MARKET_IN_CROSS_PRICE = 0x7FFF_FFFF
"""A market order in a cross."""

ALL_SHARES = 0
"""Quantity of a Cancel Order that leaves nothing."""


class Side(StrEnum):
    """Buy/Sell Indicator."""

    BUY = "B"
    SELL = "S"
    SELL_SHORT = "T"
    SELL_SHORT_EXEMPT = "E"


class TimeInForce(StrEnum):
    """Time in Force. GTT needs the tag ExpireTime."""

    DAY = "0"
    IOC = "3"
    GTX = "5"
    GTT = "6"
    AFTER_HOURS = "E"


class Display(StrEnum):
    """Display. CONFORMANT is outbound only."""

    VISIBLE = "Y"
    HIDDEN = "N"
    ATTRIBUTABLE = "A"
    CONFORMANT = "Z"


class Capacity(StrEnum):
    """Capacity in which the firm acts."""

    AGENCY = "A"
    PRINCIPAL = "P"
    RISKLESS_PRINCIPAL = "R"
    OTHER = "O"


class IntermarketSweep(StrEnum):
    """Intermarket Sweep Eligibility."""

    ELIGIBLE = "Y"
    NOT_ELIGIBLE = "N"


class CrossType(StrEnum):
    """Cross in which the order takes part; N is continuous trading."""

    CONTINUOUS = "N"
    OPENING = "O"
    CLOSING = "C"
    HALT_OR_IPO = "H"
    SUPPLEMENTAL = "S"
    RETAIL = "R"
    EXTENDED_LIFE = "E"
    AFTER_HOURS_CLOSE = "A"


class PriceType(StrEnum):
    """Tag Price Type."""

    LIMIT = "L"
    MARKET_PEG = "P"
    MIDPOINT_PEG = "M"
    PRIMARY_PEG = "R"
    MARKET_MAKER_PEG = "Q"
    MIDPOINT = "m"


class PostOnly(StrEnum):
    """Tag Post Only."""

    POST_ONLY = "P"
    NO = "N"


class AiqStrategy(StrEnum):
    """Tag AIQ Strategy, and in AIQ Canceled: what is done instead of a trade of a firm with itself.
    Those that look beyond the firm, and R, whose meaning no source of ours gives, are left out."""

    DISABLED = "N"
    PORT_DEFAULT = "*"
    CANCEL_OLDEST = "O"
    CANCEL_NEWEST = "W"
    DECREMENT_BOTH = "D"
    DECREMENT_BOTH_NO_DETAILS = "Y"


class OrderState(StrEnum):
    """State of an order that was accepted or replaced."""

    LIVE = "L"
    DEAD = "D"


class SystemEventCode(StrEnum):
    """System Event codes."""

    START_OF_DAY = "S"
    END_OF_DAY = "E"


class RestatementReason(StrEnum):
    """Why an order was restated."""

    REFRESH_OF_DISPLAY = "R"
    PRICE_UPDATE = "P"


class BrokenTradeReason(StrEnum):
    """Why a trade was broken."""

    ERRONEOUS = "E"
    CONSENT = "C"
    SUPERVISORY = "S"
    EXTERNAL = "X"


class CancelReason(StrEnum):
    """Why shares left the book (Appendix B)."""

    REGULATORY = "D"
    CLOSED = "E"
    POST_ONLY_WOULD_SLIDE_NMS = "F"
    POST_ONLY_WOULD_SLIDE_CONTRA = "G"
    HALTED = "H"
    IMMEDIATE_OR_CANCEL = "I"
    MARKET_COLLAR = "K"
    SELF_MATCH_PREVENTION = "Q"
    SUPERVISORY = "S"
    TIMEOUT = "T"
    USER = "U"
    OPEN_PROTECTION = "X"
    SYSTEM = "Z"
    EXCEEDS_OFFERED = "e"


class LiquidityFlag(StrEnum):
    """How shares were executed (Appendix D). The last six are of Nasdaq BX only and have no name
    in the sources that we have."""

    ADDED = "A"
    REMOVED = "R"
    NON_DISPLAYED_ADDED = "J"
    RESERVE_ADDED = "u"
    MIDPOINT_ADDED = "k"
    MIDPOINT_REMOVED = "m"
    PASSIVE_MIDPOINT = "N"
    MIDPOINT_EXTENDED_LIFE = "n"
    OPENING_CROSS = "O"
    OPENING_IMBALANCE_ONLY = "M"
    CLOSING_CROSS = "C"
    CLOSING_IMBALANCE_ONLY = "L"
    HALT_OR_IPO_CROSS = "H"
    HALT_CROSS = "K"
    AFTER_HOURS_CLOSE = "i"
    RETAIL_ADDED = "e"
    SUPPLEMENTAL = "0"
    IMPROVES_NBBO = "7"
    SETS_QBBO = "8"
    BX_J = "j"
    BX_P = "p"
    BX_Q = "q"
    BX_R = "r"
    BX_T = "t"
    BX_1 = "1"


class RejectReason(IntEnum):
    """Why an order was refused (Appendix C). RISK_ marks the checks of pre-trade risk."""

    QUOTE_UNAVAILABLE = 0x0001
    DESTINATION_CLOSED = 0x0002
    INVALID_DISPLAY = 0x0003
    INVALID_MAX_FLOOR = 0x0004
    INVALID_PEG_TYPE = 0x0005
    FAT_FINGER = 0x0006
    HALTED = 0x0007
    ISO_NOT_ALLOWED = 0x0008
    INVALID_SIDE = 0x0009
    PROCESSING_ERROR = 0x000A
    CANCEL_PENDING = 0x000B
    FIRM_NOT_AUTHORIZED = 0x000C
    INVALID_MIN_QUANTITY = 0x000D
    NO_CLOSING_REFERENCE_PRICE = 0x000E
    OTHER = 0x000F
    CANCEL_NOT_ALLOWED = 0x0010
    PEGGING_NOT_ALLOWED = 0x0011
    CROSSED_MARKET = 0x0012
    INVALID_QUANTITY = 0x0013
    INVALID_CROSS_ORDER = 0x0014
    REPLACE_NOT_ALLOWED = 0x0015
    ROUTING_NOT_ALLOWED = 0x0016
    INVALID_SYMBOL = 0x0017
    TEST = 0x0018
    LATE_LOC_TOO_AGGRESSIVE = 0x0019
    RETAIL_NOT_ALLOWED = 0x001A
    INVALID_MIDPOINT_POST_ONLY_PRICE = 0x001B
    INVALID_DESTINATION = 0x001C
    INVALID_PRICE = 0x001D
    SHARES_EXCEED_THRESHOLD = 0x001E
    EXCEEDS_MAX_NOTIONAL = 0x001F
    RISK_AGGREGATE_EXPOSURE = 0x0020
    RISK_MARKET_IMPACT = 0x0021
    RISK_RESTRICTED_STOCK = 0x0022
    RISK_SHORT_SELL_RESTRICTED = 0x0023
    RISK_ISO_NOT_ALLOWED = 0x0024
    RISK_ADV_LIMIT = 0x0025
    RISK_FAT_FINGER = 0x0026
    RISK_LOCATE_REQUIRED = 0x0027
    RISK_SYMBOL_MESSAGE_RATE = 0x0028
    RISK_PORT_MESSAGE_RATE = 0x0029
    RISK_DUPLICATE_MESSAGE_RATE = 0x002A
    RISK_SHORT_SELL_NOT_ALLOWED = 0x002B
    RISK_MARKET_ORDER_NOT_ALLOWED = 0x002C
    RISK_PRE_MARKET = 0x002D
    RISK_POST_MARKET = 0x002E
    RISK_SHORT_SELL_EXEMPT = 0x002F
    RISK_SINGLE_ORDER_NOTIONAL = 0x0030
    RISK_MAX_QUANTITY = 0x0031
    REG_SHO_STATE_NOT_AVAILABLE = 0x0032
    IPO_MARKET_BUY = 0x0033
    INVALID_AIQ = 0x0040
