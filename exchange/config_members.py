"""The declarations of exchange.toml, continued: what there may be several of, one table each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from exchange.config_keys import (
    FLAG,
    NAMES,
    NETWORKS,
    PRICE,
    Kind,
    choice,
    integer,
    key,
    text,
    toml_text,
)
from exchange.config_sections import COMP_ID
from gateway.fix.passwords import PasswordHash
from gateway.fix.settings import Network

LARGEST_QUANTITY = 999_999
LARGEST_VALUE = 10**15

_SYMBOL = text(8, "AAPL")
_ACCOUNT = text(12, "ACC1")


def _read_password_hash(value: Any) -> PasswordHash | None:
    if not isinstance(value, str):
        raise ValueError
    return PasswordHash.parse(value) if value else None


_PASSWORD_HASH = Kind(
    _read_password_hash,
    'what `exchange hash-password` prints, or ""',
    '"scrypt$16384$8$1$2f...$9c..."',
    lambda value: toml_text("" if value is None else value),
)


class FixVersion(StrEnum):
    """The versions of FIX, by their names in protocols/fix_dictionary.py."""

    FIX_4_2 = "FIX.4.2"
    FIX_4_4 = "FIX.4.4"
    FIX_5_0SP2 = "FIX.5.0SP2"


@dataclass(frozen=True, slots=True)
class InstrumentSection:
    """One tradable instrument ([[instruments]])."""

    symbol: str = key("", _SYMBOL, "Name of the instrument, at most 8 characters.")
    tick_size: int = key(100, PRICE, "Prices are multiples of it.")
    lot_size: int = key(1, integer(1, LARGEST_QUANTITY, 1), "Quantities are multiples of it.")
    reference_price: int = key(1_000_000, PRICE, "Middle of the price band before the first trade.")
    price_band_bps: int = key(
        1_000,
        integer(1, 1_000_000, 1_000),
        "How far from the last trade an order may be priced, in 1/100 percent.",
    )
    max_quantity: int = key(
        LARGEST_QUANTITY, integer(1, LARGEST_QUANTITY, 100_000), "Largest quantity of one order."
    )
    luld_bps: int = key(
        0,
        integer(0, 9_999, 500),
        "Half the width of the limit-up-limit-down band, in 1/100 percent; 0: there is none, and "
        "price_band_bps holds. See [protection].",
    )
    volatility_bps: int = key(
        0,
        integer(0, 9_999, 1_000),
        "Move of the price within protection.window_s that halts it, in 1/100 percent; 0: none.",
    )
    index_weight: int = key(
        0,
        integer(0, 1_000_000_000, 1),
        "Weight in the index that the circuit breakers watch; 0: it does not count.",
    )


@dataclass(frozen=True, slots=True)
class AccountSection:
    """One account and its limits ([[accounts]])."""

    account: str = key("", _ACCOUNT, "Account(1) of the orders booked on it.")
    firm: str = key("FIRM1", text(12, "FIRM1"), "The firm it belongs to.")
    max_order_quantity: int = key(
        LARGEST_QUANTITY, integer(1, LARGEST_QUANTITY, 100_000), "Most shares in one order."
    )
    max_order_value: int = key(
        LARGEST_VALUE,
        integer(1, LARGEST_VALUE, 10**12),
        "Most price times quantity in one order, price in 1/10,000.",
    )


@dataclass(frozen=True, slots=True)
class FixClientSection:
    """What there is to say of every FIX client: who it is, and how it shows that."""

    comp_id: str = key("", COMP_ID, "CompID of the client: its SenderCompID(49).")
    username: str = key(
        "", text(64, "trader1", may_be_empty=True), 'Username(553) to be checked; "" checks none.'
    )
    password: str = key(
        "",
        text(64, "secret", may_be_empty=True),
        "Password(554) to be checked, in clear: for tests on one machine.",
    )
    password_hash: PasswordHash | None = key(
        None,
        _PASSWORD_HASH,
        "The same as `exchange hash-password` prints it; who does not know the password gets no "
        "answer.",
    )
    allowed_addresses: tuple[Network, ...] = key(
        (),
        NETWORKS,
        "Networks or addresses that it may connect from; [] means from anywhere.",
    )
    certificate_name: str = key(
        "",
        text(253, "broker-a.example", may_be_empty=True),
        'DNS name in the certificate that it must show; "": any that fix.tls_client_authority '
        "has signed.",
    )
    version: FixVersion = key(
        FixVersion.FIX_4_4,
        choice(FixVersion),
        "Version of FIX of what is stored before its first Logon; the Logon chooses its own.",
    )


@dataclass(frozen=True, slots=True)
class FixSessionSection(FixClientSection):
    """One FIX client that trades ([[fix_sessions]])."""

    account: str = key("", _ACCOUNT, "Account that its orders are booked on.")
    cancel_on_disconnect: bool = key(
        False, FLAG, "Cancel the session's open orders when its connection ends."
    )
    max_messages_per_s: int = key(
        0,
        integer(0, 1_000_000, 100),
        "Application messages that the session may send in a second; 0: as many as it likes.",
    )
    gateway: int = key(
        1, integer(1, 100, 1), "Which of addresses.fix it connects to; its messages are kept there."
    )


@dataclass(frozen=True, slots=True)
class DropCopySessionSection(FixClientSection):
    """One FIX client that reads copies of the reports of others ([[drop_copy_sessions]]). Its
    version is best said: the day's copies are stored in it, whether it has come or not."""

    sessions: tuple[str, ...] = key(
        (), NAMES, "FIX sessions and OUCH users whose reports it reads; [] means all of them."
    )


@dataclass(frozen=True, slots=True)
class OuchUserSection:
    """One OUCH client ([[ouch_users]])."""

    username: str = key(
        "", text(6, "OUCH1"), "User name of the client, and name of its trading session."
    )
    password: str = key("password", text(10, "password"), "Password of the Login Request.")
    account: str = key("", _ACCOUNT, "Account that its orders are booked on.")
    cancel_on_disconnect: bool = key(
        False, FLAG, "Cancel the session's open orders when its connection ends."
    )


DEFAULT_SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "GOOG", "INTC", "ZVZZT")
DEFAULT_INSTRUMENTS = tuple(InstrumentSection(symbol=symbol) for symbol in DEFAULT_SYMBOLS)
DEFAULT_ACCOUNTS = tuple(AccountSection(account=f"ACC{n}") for n in range(1, 10))
DEFAULT_FIX_SESSIONS = tuple(
    FixSessionSection(comp_id=f"CLIENT{n}", account=f"ACC{n}") for n in range(1, 10)
)
DEFAULT_OUCH_USERS = tuple(
    OuchUserSection(username=f"OUCH{n}", account=f"ACC{n}") for n in range(1, 10)
)
