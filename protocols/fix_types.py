"""What a value of each FIX data type looks like, and how a value is held against a list."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final

from protocols.fix import parse_utc_timestamp

Check = Callable[[str], object]
"""True when a value is well-formed (ASCII is checked for the whole message at once)."""

MULTIPLE_VALUES: Final = "MULTIPLEVALUESTRING"
"""The type of a field that holds several values of its list, separated by single blanks."""

_FLOAT: Final = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)").fullmatch
_POSITIVE: Final = re.compile("[0-9]{1,10}").fullmatch
_WORD: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?").fullmatch
_MONTH_DAY: Final = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_MINUTE: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SECOND: Final = r":(?:[0-5][0-9]|60)(?:\.[0-9]{3}(?:[0-9]{3}){0,3})?"
_DATE: Final = re.compile("[0-9]{4}" + _MONTH_DAY).fullmatch


def _is_date(value: str) -> bool:
    if not _DATE(value):
        return False
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:  # 31 February, year 0
        return False
    return True


def _is_timestamp(value: str) -> bool:
    return parse_utc_timestamp(value) is not None


TYPE_CHECKS: Final[dict[str, tuple[Check, str]]] = {
    "STRING": (str.isprintable, "printable characters"),
    "CHAR": (re.compile("[!-~]").fullmatch, "one character"),
    "BOOLEAN": (frozenset("YN").__contains__, "Y or N"),
    "INT": (re.compile("-?[0-9]{1,10}").fullmatch, "a whole number"),
    "LENGTH": (_POSITIVE, "a whole number"),
    "SEQNUM": (_POSITIVE, "a whole number"),
    "NUMINGROUP": (_POSITIVE, "a whole number"),
    "DAYOFMONTH": (re.compile("0?[1-9]|[12][0-9]|3[01]").fullmatch, "a day of a month"),
    "FLOAT": (_FLOAT, "a decimal number"),
    "QTY": (_FLOAT, "a decimal number"),
    "PRICE": (_FLOAT, "a decimal number"),
    "PRICEOFFSET": (_FLOAT, "a decimal number"),
    "AMT": (_FLOAT, "a decimal number"),
    "PERCENTAGE": (_FLOAT, "a decimal number"),
    "CURRENCY": (re.compile("[A-Z]{3}").fullmatch, "three capital letters"),
    "COUNTRY": (re.compile("[A-Z]{2}").fullmatch, "two capital letters"),
    "LANGUAGE": (re.compile("[a-z]{2}").fullmatch, "two small letters"),
    "EXCHANGE": (_WORD, "a market code"),
    MULTIPLE_VALUES: (re.compile("[!-~]+(?: [!-~]+)*").fullmatch, "words and single blanks"),
    "UTCTIMESTAMP": (_is_timestamp, "YYYYMMDD-HH:MM:SS[.sss]"),
    "UTCTIMEONLY": (re.compile(_MINUTE + _SECOND).fullmatch, "HH:MM:SS[.sss]"),
    "UTCDATEONLY": (_is_date, "YYYYMMDD"),
    "TZTIMEONLY": (
        re.compile(f"{_MINUTE}(?:{_SECOND})?(?:Z|[+-][0-9]{{2}}(?::[0-9]{{2}})?)?").fullmatch,
        "HH:MM[:SS][Z]",
    ),
    "LOCALMKTDATE": (_is_date, "YYYYMMDD"),
    "MONTHYEAR": (
        re.compile("[0-9]{4}(?:0[1-9]|1[0-2])(?:[0-3][0-9]|w[1-5])?").fullmatch,
        "YYYYMM[DD]",
    ),
    "DATA": (lambda value: True, "any bytes"),
}
"""Type -> (check, what a value should have been)."""

FREE_TEXT: Final = frozenset((58, 148))
"""Text and Headline: for people to read, so any latin-1 character is taken."""


def one_of(values: str, type_name: str) -> Check:
    """The check of a field that has a list of values; `values` are separated by blanks."""
    allowed = frozenset(values.split())
    if type_name == MULTIPLE_VALUES:
        return lambda value: allowed.issuperset(value.split(" "))
    return allowed.__contains__
