"""exchange.toml: what may stand in it, what it means when left out, how it is read.

A section is a frozen dataclass whose fields are the keys. Reading is total: whatever is wrong is a
ConfigError that names the key, the value found, what is allowed and an example. Nothing comes from
the environment. `exchange/settings.py` turns a Config into the settings of each process.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from cluster.settings import Address, Durability
from exchange.config_keys import (
    ADDRESS,
    ADDRESSES,
    FLAG,
    GROUP,
    HIGHEST_PORT,
    INTERFACE,
    PATH,
    PRICE,
    ConfigError,
    Kind,
    WrongItem,
    choice,
    integer,
    key,
    text,
)
from oms.events import TradingState

FILE_NAME = "exchange.toml"
LOOPBACK = "127.0.0.1"
LARGEST_QUANTITY = 999_999
LARGEST_VALUE = 10**15

Section = TypeVar("Section")


class LogLevel(StrEnum):
    """How much the processes write to DATA/log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


OPENING_STATES = {
    "open": TradingState.TRADING,
    "halted": TradingState.HALTED,
    "closed": TradingState.CLOSED,
}

_SYMBOL = text(8, "AAPL")
_COMP_ID = text(20, "CLIENT1")
_ACCOUNT = text(12, "ACC1")


def _node_addresses(first_port: int) -> tuple[Address, ...]:
    return tuple(Address(LOOPBACK, first_port + node_id) for node_id in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the processes listen, and how the others reach them."""

    bind_host: str = key(
        "",
        text(255, "0.0.0.0", may_be_empty=True),
        'Host every TCP port is bound to; "" means the host of its address below. '
        'Containers set "0.0.0.0".',
    )
    node_raft: tuple[Address, ...] = key(
        _node_addresses(7000), ADDRESSES, "Raft, node to node; the first is node 1."
    )
    node_client: tuple[Address, ...] = key(
        _node_addresses(7100), ADDRESSES, "Client protocol: gateways, market data, admin."
    )
    node_http: tuple[Address, ...] = key(
        _node_addresses(7200), ADDRESSES, "HTTP of the nodes: /healthz /readyz /metrics /status."
    )
    fix: Address = key(Address(LOOPBACK, 9001), ADDRESS, "FIX order entry.")
    fix_http: Address = key(Address(LOOPBACK, 9201), ADDRESS, "HTTP of the FIX gateway.")
    line_a: Address = key(
        Address("239.10.10.1", 5001), GROUP, "ITCH over MoldUDP64, line A (sent by the leader)."
    )
    line_b: Address = key(Address("239.10.10.2", 5002), GROUP, "Line B (sent by a follower).")
    multicast_interface: str = key(
        LOOPBACK, INTERFACE, "Network interface that both lines are sent and received on."
    )
    rerequest: Address = key(Address(LOOPBACK, 5101), ADDRESS, "MoldUDP64 re-requests (UDP).")
    marketdata_http: Address = key(
        Address(LOOPBACK, 8081), ADDRESS, "Market data over HTTP: /book/SYMBOL /trades/SYMBOL."
    )


@dataclass(frozen=True, slots=True)
class Cluster:
    """Replication."""

    durability: Durability = key(
        Durability.MAJORITY_DISK,
        choice(Durability),
        "What an acknowledgement promises: majority-disk (on the disks of a majority), "
        "leader-disk (on one disk and in a majority's memory), memory.",
    )
    heartbeat_ms: int = key(10, integer(1, 1_000, 10), "Leader to followers.")
    suspect_after_ms: int = key(
        60, integer(10, 10_000, 60), "Silence of the leader after which an election starts."
    )
    gateway_grace_ms: int = key(
        5_000,
        integer(100, 3_600_000, 5_000),
        "How long a gateway may be away before its sessions count as closed.",
    )
    max_batch_bytes: int = key(
        1 << 20, integer(4_096, 16 << 20, 1 << 20), "Largest batch of commands in one log entry."
    )
    max_pending_bytes: int = key(
        64 << 20,
        integer(1 << 16, 1 << 30, 64 << 20),
        "Commands that may wait on the leader; beyond it the node stops reading.",
    )
    segment_bytes: int = key(
        64 << 20, integer(1 << 16, 1 << 30, 64 << 20), "Size of a journal segment file."
    )
    opening_state: TradingState = key(
        TradingState.TRADING,
        choice(TradingState, {**OPENING_STATES}),
        "State of every instrument of a new cluster; closed waits for `exchange market open`.",
    )


@dataclass(frozen=True, slots=True)
class Fix:
    """The FIX gateway."""

    gateway_id: str = key("fix1", text(20, "fix1"), "Name of this gateway towards the cluster.")
    comp_id: str = key("EXCH", _COMP_ID, "CompID of the exchange: TargetCompID(56) of clients.")
    logon_timeout_ms: int = key(
        10_000, integer(100, 600_000, 10_000), "A connection without a Logon(A) by then is closed."
    )
    sending_time_tolerance_ms: int = key(
        120_000,
        integer(1_000, 86_400_000, 120_000),
        "How far SendingTime(52) may be off before it is rejected.",
    )
    max_connections: int = key(
        256, integer(1, 100_000, 256), "Connections open at once; a further one is closed."
    )


@dataclass(frozen=True, slots=True)
class MarketData:
    """The feed and the market-data process."""

    feed_session: str = key(
        "", text(10, "20260101A", may_be_empty=True), 'MoldUDP64 session; "" means EXCHANGE01.'
    )
    heartbeat_ms: int = key(
        1_000, integer(10, 60_000, 1_000), "MoldUDP64 heartbeat of an idle line."
    )
    trades_kept: int = key(
        1_000, integer(1, 1_000_000, 1_000), "Trades per symbol that /trades/SYMBOL remembers."
    )


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
class FixSessionSection:
    """One FIX client ([[fix_sessions]])."""

    comp_id: str = key("", _COMP_ID, "CompID of the client: its SenderCompID(49).")
    account: str = key("", _ACCOUNT, "Account that its orders are booked on.")
    username: str = key(
        "", text(64, "trader1", may_be_empty=True), 'Username(553) to be checked; "" checks none.'
    )
    password: str = key(
        "", text(64, "secret", may_be_empty=True), "Password(554) to be checked with it."
    )
    cancel_on_disconnect: bool = key(
        False, FLAG, "Cancel the session's open orders when its connection ends."
    )


DEFAULT_SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "GOOG", "INTC", "ZVZZT")
DEFAULT_INSTRUMENTS = tuple(InstrumentSection(symbol=symbol) for symbol in DEFAULT_SYMBOLS)
DEFAULT_ACCOUNTS = tuple(AccountSection(account=f"ACC{n}") for n in range(1, 10))
DEFAULT_FIX_SESSIONS = tuple(
    FixSessionSection(comp_id=f"CLIENT{n}", account=f"ACC{n}") for n in range(1, 10)
)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. `load` returns it with the ports shifted and the data folder absolute."""

    data_dir: Path = key(Path("data"), PATH, "Journals, session stores, logs, pid files.")
    base_port: int = key(
        0,
        integer(-HIGHEST_PORT, HIGHEST_PORT, 10_000),
        "Added to every TCP and UDP port below, so that several exchanges share a machine.",
    )
    allow_plaintext_on_network: bool = key(
        False, FLAG, "Let nodes speak without TLS on other addresses than loopback."
    )
    log_level: LogLevel = key(LogLevel.INFO, choice(LogLevel), "How much goes to DATA/log.")
    addresses: Addresses = field(default_factory=Addresses)
    cluster: Cluster = field(default_factory=Cluster)
    fix: Fix = field(default_factory=Fix)
    marketdata: MarketData = field(default_factory=MarketData)
    instruments: tuple[InstrumentSection, ...] = DEFAULT_INSTRUMENTS
    accounts: tuple[AccountSection, ...] = DEFAULT_ACCOUNTS
    fix_sessions: tuple[FixSessionSection, ...] = DEFAULT_FIX_SESSIONS
    source: Path | None = None
    """The file it was read from; None: built-in defaults."""

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Numbers of the nodes, from 1."""
        return tuple(range(1, len(self.addresses.node_raft) + 1))


TABLES: dict[str, type[Any]] = {
    "addresses": Addresses,
    "cluster": Cluster,
    "fix": Fix,
    "marketdata": MarketData,
}
LISTS: dict[str, tuple[type[Any], str]] = {
    "instruments": (InstrumentSection, "symbol"),
    "accounts": (AccountSection, "account"),
    "fix_sessions": (FixSessionSection, "comp_id"),
}
"""Arrays of tables, and the key that tells their members apart."""


def load(path: Path | None) -> Config:
    """Read a configuration file; None means ./exchange.toml, or the defaults without one.

    Raises ConfigError, also when the file cannot be read or is not TOML.
    """
    if path is None:
        path = Path(FILE_NAME)
        if not path.exists():
            return _resolve(Config(), Path.cwd())
    example = "exchange init . writes a complete file"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", example) from error
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not TOML ({error})", example) from error
    config = dataclasses.replace(parse(document), source=path.resolve())
    return _resolve(config, path.resolve().parent)


def parse(document: dict[str, Any]) -> Config:
    """Return the Config that a parsed TOML document says, ports and paths as written."""
    values: dict[str, Any] = {}
    plain = {name: value for name, value in document.items() if name not in TABLES | LISTS}
    top = {item.name: item for item in dataclasses.fields(Config) if "kind" in item.metadata}
    for name, value in plain.items():
        if name not in top:
            raise _unknown_key(name, [*top, *TABLES, *LISTS])
        values[name] = _read(name, top[name].metadata["kind"], value)
    for name, section in TABLES.items():
        if name in document:
            values[name] = _read_table(name, section, document[name])
    for name, (section, identity) in LISTS.items():
        if name in document:
            values[name] = _read_list(name, section, identity, document[name])
    config = Config(**values)
    _check_references(config)
    _check_plaintext(config)
    return config


def _unknown_key(name: str, known: list[str]) -> ConfigError:
    short = name.rpartition(".")[2]
    nearest = difflib.get_close_matches(short, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(sorted(known))}"
    example = f"{FILE_NAME} as `exchange init` writes it has every key"
    return ConfigError(name, f"there is no such key; {hint}", example)


def _read(name: str, kind: Kind, value: Any) -> Any:
    try:
        return kind.read(value)
    except ValueError as error:
        found = error.item if isinstance(error, WrongItem) else value
        raise ConfigError(name, f"{found!r} is not {kind.allowed}", kind.example) from error


def _read_table(name: str, section: type[Section], table: Any) -> Section:
    if not isinstance(table, dict):
        raise ConfigError(name, f"{table!r} is not a table", f"[{name.partition('[')[0]}]")
    known = {item.name: item for item in dataclasses.fields(section)}  # type: ignore[arg-type]
    values = {}
    for entry, value in table.items():
        if entry not in known:
            raise _unknown_key(f"{name}.{entry}", list(known))
        values[entry] = _read(f"{name}.{entry}", known[entry].metadata["kind"], value)
    return section(**values)


def _read_list(name: str, section: type[Section], identity: str, items: Any) -> tuple[Section, ...]:
    example = f'[[{name}]] with {identity} = "..."'
    if not isinstance(items, list) or not items:
        raise ConfigError(name, f"{items!r} is not a list of tables", example)
    found: dict[str, Section] = {}
    for position, item in enumerate(items, 1):
        place = f"{name}[{position}]"
        member = _read_table(place, section, item)
        who = getattr(member, identity)
        if not who:
            raise ConfigError(f"{place}.{identity}", "is missing", example)
        if who in found:
            problem = f"{who!r} stands there twice, first in {name}[{list(found).index(who) + 1}]"
            raise ConfigError(f"{place}.{identity}", problem, example)
        found[who] = member
    return tuple(found.values())


def _check_references(config: Config) -> None:
    """What one key demands of another."""
    addresses = config.addresses
    count, three = len(addresses.node_raft), ADDRESSES.example
    if count not in (1, 3, 5):
        raise ConfigError("addresses.node_raft", f"{count} nodes are not 1, 3 or 5", three)
    for name in ("node_client", "node_http"):
        others = len(getattr(addresses, name))
        if others != count:
            problem = f"{others} addresses, but addresses.node_raft has {count}"
            raise ConfigError(f"addresses.{name}", problem, three)
    accounts = {account.account for account in config.accounts}
    for session in config.fix_sessions:
        if session.account not in accounts:
            problem = f"{session.account!r} is not one of [[accounts]]"
            raise ConfigError(f"fix_sessions.{session.comp_id}.account", problem, min(accounts))
    cluster = config.cluster
    if cluster.suspect_after_ms < 3 * cluster.heartbeat_ms:
        problem = f"{cluster.suspect_after_ms} is less than three times cluster.heartbeat_ms"
        raise ConfigError("cluster.suspect_after_ms", problem, str(6 * cluster.heartbeat_ms))


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    return host == "localhost" or host.startswith("127.")


def _check_plaintext(config: Config) -> None:
    """Raft and client protocol speak plain TCP: on loopback, or where the config says so."""
    if config.allow_plaintext_on_network:
        return
    addresses = config.addresses
    for name in ("node_raft", "node_client"):
        for address in getattr(addresses, name):
            host = addresses.bind_host or address.host
            if not is_loopback(host):
                where = "addresses.bind_host" if addresses.bind_host else f"addresses.{name}"
                problem = (
                    f"{host!r} is not a loopback address, and the nodes speak without TLS; on a "
                    "network that is private to them set allow_plaintext_on_network = true"
                )
                raise ConfigError(where, problem, '"127.0.0.1"')


def _shift(name: str, address: Address, base_port: int) -> Address:
    port = address.port + base_port
    if not 1 <= port <= HIGHEST_PORT:
        problem = f"{base_port} moves {name} ({address}) to port {port}, which does not exist"
        raise ConfigError("base_port", problem, "10000")
    return Address(address.host, port)


def _resolve(config: Config, folder: Path) -> Config:
    """Shift the ports, make the data folder absolute."""
    shifted: dict[str, Any] = {}
    for item in dataclasses.fields(Addresses):
        value, name = getattr(config.addresses, item.name), f"addresses.{item.name}"
        if isinstance(value, Address):
            shifted[item.name] = _shift(name, value, config.base_port)
        elif isinstance(value, tuple):
            shifted[item.name] = tuple(_shift(name, one, config.base_port) for one in value)
    return dataclasses.replace(
        config,
        data_dir=(folder / config.data_dir).resolve(),
        addresses=dataclasses.replace(config.addresses, **shifted),
    )
