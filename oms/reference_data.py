"""Instruments, accounts and sessions: what the exchange knows before the first order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from oms.price import HIGHEST_PRICE


class Instrument(NamedTuple):
    """A tradable instrument. Prices in 1/10,000, quantities in shares.

    `price_band_bps` limits how far an order's price may be from the last trade (or, before the
    first, from `reference_price`), in 1/100 of a percent. `stock_locate` is its number on the
    feed, counted from 1 in the order of loading.
    """

    symbol: str
    stock_locate: int
    tick_size: int
    lot_size: int
    reference_price: int
    price_band_bps: int
    max_quantity: int


class Account(NamedTuple):
    """An account and its limits: shares in one order, and price times shares (in 1/10,000)."""

    account: str
    firm: str
    max_order_quantity: int
    max_order_value: int


class SessionDefinition(NamedTuple):
    """A trading session and the account that its orders are booked on."""

    session: str
    account: str


HIGHEST_QUANTITY: Final = 2**32 - 1
"""The most shares that the feed can carry in one order (ITCH 5.0, Add Order: 4 bytes)."""

_LONGEST_SYMBOL: Final = 8
_HIGHEST_STOCK_LOCATE: Final = 2**16 - 1
_HIGHEST_ORDER_VALUE: Final = 2**63 - 1


def reference_data_problems(
    instruments: Sequence[tuple[Any, ...]],
    accounts: Sequence[tuple[Any, ...]],
    sessions: Sequence[tuple[Any, ...]],
) -> list[str]:
    """Return what is wrong with the reference data of a new cluster, one sentence each.

    Whoever reads a configuration refuses it unless the list is empty; the state machine asserts
    that it is, because what reaches the log must be right. The tuples are those of this module.
    """
    problems: list[str] = []
    for position, fields in enumerate(instruments, start=1):
        problems += _instrument_problems(Instrument(*fields), position)
    for fields in accounts:
        account = Account(*fields)
        if not account.account:
            problems.append("an account has no name")
        if not 1 <= account.max_order_quantity <= HIGHEST_QUANTITY:
            problems.append(
                f"account {account.account}: max_order_quantity {account.max_order_quantity}"
                f" is not in 1..{HIGHEST_QUANTITY}"
            )
        if not 1 <= account.max_order_value <= _HIGHEST_ORDER_VALUE:
            problems.append(
                f"account {account.account}: max_order_value {account.max_order_value}"
                f" is not in 1..{_HIGHEST_ORDER_VALUE}"
            )
    account_names = [fields[0] for fields in accounts]
    for fields in sessions:
        session = SessionDefinition(*fields)
        if not session.session:
            problems.append("a session has no name")
        if session.account not in account_names:
            problems.append(f"session {session.session}: account {session.account} is unknown")
    for what, names in (
        ("symbol", [fields[0] for fields in instruments]),
        ("account", account_names),
        ("session", [fields[0] for fields in sessions]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        problems += [f"{what} {name} is defined more than once" for name in twice]
    return problems


def _instrument_problems(instrument: Instrument, position: int) -> list[str]:
    ranges = (
        ("tick_size", instrument.tick_size, 1, HIGHEST_PRICE),
        ("lot_size", instrument.lot_size, 1, HIGHEST_QUANTITY),
        ("reference_price", instrument.reference_price, 1, HIGHEST_PRICE),
        ("price_band_bps", instrument.price_band_bps, 0, 10_000_000),
        ("max_quantity", instrument.max_quantity, 1, HIGHEST_QUANTITY),
        ("stock_locate", instrument.stock_locate, 1, _HIGHEST_STOCK_LOCATE),
    )
    problems = [
        f"instrument {instrument.symbol}: {name} {value} is not in {lowest}..{highest}"
        for name, value, lowest, highest in ranges
        if not lowest <= value <= highest
    ]
    if instrument.stock_locate != position:
        problems.append(
            f"instrument {instrument.symbol}: stock_locate {instrument.stock_locate} is not its"
            f" position {position}"
        )
    symbol = instrument.symbol
    is_text = symbol.isascii() and symbol.isprintable() and " " not in symbol
    if not (is_text and 1 <= len(symbol) <= _LONGEST_SYMBOL):
        problems.append(
            f"instrument {symbol!r}: a symbol is 1 to {_LONGEST_SYMBOL} printable ASCII"
            " characters without blanks"
        )
    return problems
