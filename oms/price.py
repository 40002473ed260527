"""Price(4) integers (1/10,000) to and from decimal text, without ever touching a float."""

from __future__ import annotations

from typing import Final

HIGHEST_PRICE: Final = 199_999_9900
"""199,999.9900: the highest price that OUCH and ITCH can carry."""

_DECIMALS: Final = 4
_LONGEST_TEXT: Final = 32


def parse_price(text: str | bytes) -> int | None:
    """Return the price that `text` says, in 1/10,000, or None when it is not a price of ours.

    A price is ASCII digits, or digits, one point and digits: "187", "187.25", "00187.2500". Both
    sides of a point must be there ("1." and ".5" are None: a digit may have been lost), decimals
    beyond the fourth must be zeros (FIX says that trailing zeros mean nothing, and C clients print
    six), and the value is at most HIGHEST_PRICE. Signs, exponents, blanks, NaN and digits of other
    alphabets are None. So is a text of more than 32 characters. Source: FIX 4.4, Price.
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")  # never fails; what is not ASCII is refused below
    if len(text) > _LONGEST_TEXT or not text.isascii():
        return None
    whole, point, decimals = text.partition(".")
    if not whole.isdigit() or (point and not decimals.isdigit()):
        return None
    if decimals[_DECIMALS:].strip("0"):
        return None
    price = int(whole + decimals[:_DECIMALS].ljust(_DECIMALS, "0"))
    return price if price <= HIGHEST_PRICE else None


def format_price(price: int) -> str:
    """Return a price in 1/10,000 as decimal text with two decimals, more where they say something.

    >>> format_price(1_872_500), format_price(1_872_505), format_price(0)
    ('187.25', '187.2505', '0.00')
    """
    assert price >= 0, f"price {price} is negative"
    whole, fraction = divmod(price, 10**_DECIMALS)
    cents, rest = divmod(fraction, 100)
    if rest == 0:
        return f"{whole}.{cents:02d}"
    return f"{whole}.{fraction:04d}".rstrip("0")
