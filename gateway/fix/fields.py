"""Values of FIX fields as numbers; prices are in oms/price.py."""

from __future__ import annotations

import re
from typing import Final

from oms.price import parse_price

_QUANTITY: Final = re.compile(r"-?[0-9]{1,12}(?:\.0*)?")


def parse_quantity(text: str) -> int | None:
    """OrderQty(38) as a whole number of shares, None when it is none (or has over 12 digits)."""
    if len(text) <= 12 and text.isascii() and text.isdigit():
        return int(text)
    return int(text.partition(".")[0]) if _QUANTITY.fullmatch(text) else None


def parse_offset(text: str) -> int | None:
    """PegOffsetValue(211) in 1/10,000: a price with a sign or without one; None when it is none."""
    amount = parse_price(text.removeprefix("-"))
    return -amount if amount is not None and text.startswith("-") else amount
