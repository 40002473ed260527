"""What the values in exchange.toml may be: one Kind per sort of value, one ConfigError for all.

Each key of the file is a dataclass field made by `key()`, which carries its kind and a sentence on
it; the reader, the writer of `exchange init` and the messages all work from that one declaration.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime, time, tzinfo
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cluster.settings import Address
from oms.price import format_price, parse_price

HIGHEST_PORT = 65_535


class ConfigError(Exception):
    """A key of the configuration has a value that it must not have.

    The text names the key, the value found, what is allowed, and an example.
    """

    def __init__(self, key: str, problem: str, example: str) -> None:
        super().__init__(f"{key}: {problem}; example: {example}")
        self.key = key


class WrongItem(ValueError):
    """One item of a list is not what it must be."""

    def __init__(self, item: object) -> None:
        super().__init__(item)
        self.item = item


class Kind(NamedTuple):
    """A sort of value: how to read it, and how to say what is allowed.

    `read` takes what the TOML reader found and returns the value; it raises ValueError on anything
    else. `write` gives the TOML text of a value.
    """

    read: Callable[[Any], Any]
    allowed: str
    example: str
    write: Callable[[Any], str]


def toml_text(value: object) -> str:
    """A TOML literal of a str, bool, int or list of these."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if value >= 10_000 and value % 1_000 == 0 else str(value)
    if isinstance(value, (list, tuple)) and not isinstance(value, Address):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def key(default: Any, kind: Kind, doc: str) -> Any:
    """Declare a key: its default, its kind, and a sentence for the comment above it."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def integer(low: int, high: int, example: int) -> Kind:
    """A whole number within low..high, both inclusive."""

    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    return Kind(read, f"a whole number {low}..{high}", str(example), toml_text)


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


FLAG = Kind(_read_flag, "true or false", "true", toml_text)


def text(longest: int, example: str, *, may_be_empty: bool = False) -> Kind:
    """Printable ASCII without SOH and `=`, so that it can stand in any message."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest or not (value or may_be_empty):
            raise ValueError
        if not value.isascii() or not value.isprintable() or "=" in value:
            raise ValueError
        return value

    least = 0 if may_be_empty else 1
    allowed = f"a text of {least}..{longest} printable ASCII characters without '='"
    return Kind(read, allowed, f'"{example}"', toml_text)


def choice(members: type[Enum], names: dict[str, Enum] | None = None) -> Kind:
    """One of the members of an enumeration, by the text that stands for it."""
    by_name = names if names is not None else {str(member.value): member for member in members}
    name_of = {member: name for name, member in by_name.items()}

    def read(value: Any) -> Enum:
        if not isinstance(value, str) or value not in by_name:
            raise ValueError
        return by_name[value]

    allowed = "one of " + ", ".join(f'"{name}"' for name in by_name)
    return Kind(read, allowed, f'"{next(iter(by_name))}"', lambda value: f'"{name_of[value]}"')


def parse_address(value: Any) -> Address:
    """`host:port` with a port of 1..65535 (IPv4 or a name); raises ValueError."""
    if not isinstance(value, str):
        raise ValueError
    host, separator, port = value.rpartition(":")
    if not (host and separator and port.isascii() and port.isdigit()) or ":" in host:
        raise ValueError
    if not 1 <= int(port) <= HIGHEST_PORT or any(character.isspace() for character in host):
        raise ValueError
    return Address(host, int(port))


ADDRESS = Kind(parse_address, "host:port (port 1-65535)", '"127.0.0.1:9001"', toml_text)


def _read_group(value: Any) -> Address:
    address = parse_address(value)
    if not ipaddress.IPv4Address(address.host).is_multicast:
        raise ValueError
    return address


GROUP = Kind(
    _read_group,
    "group:port with an IPv4 multicast group (224.0.0.0 - 239.255.255.255; port 1-65535)",
    '"239.10.10.1:5001"',
    toml_text,
)


def _read_addresses(value: Any) -> tuple[Address, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError
    addresses = []
    for item in value:
        try:
            addresses.append(parse_address(item))
        except ValueError as error:
            raise WrongItem(item) from error
    return tuple(addresses)


ADDRESSES = Kind(
    _read_addresses,
    "host:port (port 1-65535) in a list with one per node",
    '["node1:7001", "node2:7001", "node3:7001"]',
    toml_text,
)


def _read_gateways(value: Any) -> tuple[Address, ...]:
    return (parse_address(value),) if isinstance(value, str) else _read_addresses(value)


GATEWAYS = Kind(
    _read_gateways,
    "host:port (port 1-65535), or a list with one per gateway",
    '["127.0.0.1:9001"]',
    toml_text,
)


def _read_networks(value: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    if not isinstance(value, list):
        raise ValueError
    networks = []
    for item in value:
        try:
            networks.append(ipaddress.ip_network(item if isinstance(item, str) else ""))
        except ValueError as error:
            raise WrongItem(item) from error
    return tuple(networks)


NETWORKS = Kind(
    _read_networks,
    "a network (address/bits, zero after the bits) or an address, in a list",
    '["10.0.0.0/8", "192.0.2.7"]',
    toml_text,
)


def _read_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    for item in value:
        if not isinstance(item, str) or not item:
            raise WrongItem(item)
    return tuple(value)


NAMES = Kind(_read_names, "a name, in a list", '["CLIENT1", "OUCH1"]', toml_text)


def _read_interface(value: Any) -> str:
    if not isinstance(value, str) or ipaddress.IPv4Address(value).is_multicast:
        raise ValueError
    return value


INTERFACE = Kind(
    _read_interface,
    "the IPv4 address of a network interface (0.0.0.0: the one of the default route)",
    '"127.0.0.1"',
    toml_text,
)


def _read_path(value: Any) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return Path(value)


PATH = Kind(_read_path, "a path, absolute or relative to this file", '"data"', toml_text)


def _read_path_or_nothing(value: Any) -> Path | None:
    return None if value == "" else _read_path(value)


PATH_OR_NOTHING = Kind(
    _read_path_or_nothing,
    'a path, absolute or relative to this file, or ""',
    '"tls/ca.pem"',
    lambda value: toml_text("" if value is None else value),
)


def _read_price(value: Any) -> int:
    price = parse_price(value) if isinstance(value, str) else None
    if price is None or price <= 0:
        raise ValueError
    return price


PRICE = Kind(
    _read_price,
    "a price above 0 as text with at most four decimals",
    '"100.00"',
    lambda value: f'"{format_price(value)}"',
)


def _read_session(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 10:
        raise ValueError
    if not (value.isascii() and value.isalnum()):
        raise ValueError
    return value


SESSION = Kind(_read_session, "1..10 ASCII letters and digits", '"EXCH000001"', toml_text)


def read_time(value: Any) -> time:
    """A time of day as HH:MM:SS; raises ValueError."""
    if not isinstance(value, str) or len(value) != len("HH:MM:SS"):
        raise ValueError
    return datetime.strptime(value, "%H:%M:%S").time()


def _read_zone(value: Any) -> tzinfo:
    if not isinstance(value, str):
        raise ValueError
    if value == str(UTC):
        return UTC  # also on a machine without a database of time zones
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"{value} is no time zone that this machine knows") from error


TIME = Kind(read_time, "a time of day HH:MM:SS", '"09:30:00"', toml_text)
ZONE = Kind(
    _read_zone,
    "a time zone of the IANA database that this machine has",
    '"America/New_York"',
    toml_text,
)
