"""exchange.toml: how it is read, and what is wrong with it.

A section is a frozen dataclass whose fields are the keys (config_sections.py, and
config_members.py for what there may be several of). Reading is total: whatever is wrong is a
ConfigError that names the key, the value found, what is allowed and an example. Nothing comes from
the environment. settings.py turns a Config into the settings of each process.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cluster.settings import Address
from exchange.config_keys import (
    ADDRESSES,
    FLAG,
    HIGHEST_PORT,
    PATH,
    ConfigError,
    Kind,
    WrongItem,
    choice,
    integer,
    key,
)
from exchange.config_members import (
    DEFAULT_ACCOUNTS,
    DEFAULT_FIX_SESSIONS,
    DEFAULT_INSTRUMENTS,
    DEFAULT_OUCH_USERS,
    AccountSection,
    DropCopySessionSection,
    FixClientSection,
    FixSessionSection,
    InstrumentSection,
    OuchUserSection,
)
from exchange.config_protection import Protection, check_protection
from exchange.config_sections import (
    Addresses,
    Cluster,
    Fix,
    LogLevel,
    MarketData,
    Ouch,
    Tls,
)
from exchange.config_trading_day import TradingDaySection, check_trading_day

FILE_NAME = "exchange.toml"
_NAME_IN_CERTIFICATE = re.compile("[A-Za-z0-9_-]+")

Section = TypeVar("Section")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. `load` returns it with the ports shifted and the data folder absolute."""

    data_dir: Path = key(
        Path("data"), PATH, "Journals, session stores, logs, pid files; relative to this file."
    )
    base_port: int = key(
        0,
        integer(-HIGHEST_PORT, HIGHEST_PORT, 10_000),
        "Added to every TCP and UDP port below, so that several exchanges share a machine.",
    )
    allow_plaintext_on_network: bool = key(
        False, FLAG, "Let nodes without [tls] speak on other addresses than loopback."
    )
    log_level: LogLevel = key(LogLevel.INFO, choice(LogLevel), "How much goes to DATA/log.")
    addresses: Addresses = field(default_factory=Addresses)
    cluster: Cluster = field(default_factory=Cluster)
    tls: Tls = field(default_factory=Tls)
    fix: Fix = field(default_factory=Fix)
    ouch: Ouch = field(default_factory=Ouch)
    marketdata: MarketData = field(default_factory=MarketData)
    trading_day: TradingDaySection = field(default_factory=TradingDaySection)
    protection: Protection = field(default_factory=Protection)
    instruments: tuple[InstrumentSection, ...] = DEFAULT_INSTRUMENTS
    accounts: tuple[AccountSection, ...] = DEFAULT_ACCOUNTS
    fix_sessions: tuple[FixSessionSection, ...] = DEFAULT_FIX_SESSIONS
    drop_copy_sessions: tuple[DropCopySessionSection, ...] = ()
    ouch_users: tuple[OuchUserSection, ...] = DEFAULT_OUCH_USERS
    source: Path | None = None
    """The file it was read from; None: built-in defaults."""

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Numbers of the nodes, from 1."""
        return tuple(range(1, len(self.addresses.node_raft) + 1))

    @property
    def fix_gateway_ids(self) -> tuple[int, ...]:
        """Numbers of the FIX gateways, from 1."""
        return tuple(range(1, len(self.addresses.fix) + 1))

    def fix_address(self, comp_id: str) -> Address:
        """Where a FIX client connects: the gateway that its session belongs to. Raises KeyError."""
        gateways = {session.comp_id: session.gateway for session in self.fix_sessions}
        return self.addresses.fix[gateways[comp_id] - 1]

    @property
    def ouch_gateway_ids(self) -> tuple[int, ...]:
        """Numbers of the OUCH gateways, from 1."""
        return tuple(range(1, len(self.addresses.ouch) + 1))


TABLES: dict[str, type[Any]] = {
    "addresses": Addresses,
    "cluster": Cluster,
    "tls": Tls,
    "fix": Fix,
    "ouch": Ouch,
    "marketdata": MarketData,
    "trading_day": TradingDaySection,
    "protection": Protection,
}
LISTS: dict[str, tuple[type[Any], str]] = {
    "instruments": (InstrumentSection, "symbol"),
    "accounts": (AccountSection, "account"),
    "fix_sessions": (FixSessionSection, "comp_id"),
    "drop_copy_sessions": (DropCopySessionSection, "comp_id"),
    "ouch_users": (OuchUserSection, "username"),
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
    example = "exchange init my-exchange writes my-exchange/exchange.toml"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", example) from error
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is not TOML ({error})", example) from error
    config = resolved(document, path.resolve().parent)
    return dataclasses.replace(config, source=path.resolve())


def resolved(document: dict[str, Any], folder: Path) -> Config:
    """Return the Config that a TOML document in `folder` says: ports shifted, paths absolute."""
    return _resolve(parse(document), folder)


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
    _check_fix_tls(config)
    _check_names_in_certificates(config)
    check_trading_day(config.trading_day, config.cluster.clock_tick_ms)
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
    for protocol, example in (("fix", '["127.0.0.1:9201"]'), ("ouch", '["127.0.0.1:9202"]')):
        gateways = len(getattr(addresses, protocol))
        found = len(getattr(addresses, f"{protocol}_http"))
        if found != gateways:
            problem = f"{found} addresses, but addresses.{protocol} has {gateways}"
            raise ConfigError(f"addresses.{protocol}_http", problem, example)
    _check_distinct(addresses)
    _check_sessions(config)
    _check_drop_copy(config)
    check_protection(config.protection, config.instruments)
    cluster = config.cluster
    if cluster.suspect_after_ms < 3 * cluster.heartbeat_ms:
        problem = f"{cluster.suspect_after_ms} is less than three times cluster.heartbeat_ms"
        raise ConfigError("cluster.suspect_after_ms", problem, str(6 * cluster.heartbeat_ms))


def _check_sessions(config: Config) -> None:
    """Each session has an account, a gateway, and a name that is nobody else's."""
    accounts = {account.account for account in config.accounts}
    sessions = [
        *((f"fix_sessions.{one.comp_id}", one.comp_id, one.account) for one in config.fix_sessions),
        *((f"ouch_users.{one.username}", one.username, one.account) for one in config.ouch_users),
    ]
    named: dict[str, str] = {}
    for where, name, account in sessions:
        if account not in accounts:
            problem = f"{account!r} is not one of [[accounts]]"
            raise ConfigError(f"{where}.account", problem, min(accounts))
        folded = name.upper()  # user names are compared without regard to case
        if folded in named:
            raise ConfigError(where, f"{named[folded]} has this name, too", "OUCH1")
        named[folded] = where
    for session in config.fix_sessions:
        _check_one_password(f"fix_sessions.{session.comp_id}", session)
        if session.gateway not in config.fix_gateway_ids:
            where = f"fix_sessions.{session.comp_id}.gateway"
            count = len(config.fix_gateway_ids)
            problem = f"{session.gateway} is not a FIX gateway 1..{count} (addresses.fix)"
            raise ConfigError(where, problem, "1")


def _check_drop_copy(config: Config) -> None:
    """Whoever is copied exists, and no reader has the name of a session."""
    sessions = {item.comp_id for item in config.fix_sessions}
    sessions |= {item.username for item in config.ouch_users}
    for reader in config.drop_copy_sessions:
        where = f"drop_copy_sessions.{reader.comp_id}"
        if reader.comp_id in sessions:
            raise ConfigError(where, "a session that trades has this name, too", "RISK1")
        _check_one_password(where, reader)
        for name in reader.sessions:
            if name not in sessions:
                problem = f"{name!r} is none of [[fix_sessions]] and [[ouch_users]]"
                raise ConfigError(f"{where}.sessions", problem, f'["{min(sessions)}"]')


def _check_one_password(where: str, client: FixClientSection) -> None:
    """A client has a password or its hash: of two, nobody could say which one counts."""
    if client.password and client.password_hash is not None:
        raise ConfigError(f"{where}.password", "is set, and password_hash is set, too", '""')


def _check_distinct(addresses: Addresses) -> None:
    """TCP ports of a host have one listener each; lines and re-requests an address each."""
    tcp = (
        *("node_raft", "node_client", "node_http", "fix", "fix_http", "ouch", "ouch_http"),
        *("drop_copy", "drop_copy_http", "glimpse", "marketdata_http"),
    )
    for names in (tcp, ("line_a", "line_b", "rerequest")):
        seen: dict[Address, str] = {}
        for name in names:
            value = getattr(addresses, name)
            for address in (value,) if isinstance(value, Address) else value:
                if address in seen:
                    problem = f"{address} is the address of addresses.{seen[address]}, too"
                    free = max(other.port for other in seen) % HIGHEST_PORT + 1
                    raise ConfigError(f"addresses.{name}", problem, f'"{address.host}:{free}"')
                seen[address] = name


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    return host == "localhost" or host.startswith("127.")


def _check_fix_tls(config: Config) -> None:
    """A certificate needs its key, and the other way round; who wants to see those of clients must
    say who signs them."""
    fix = config.fix
    names = ("tls_certificate", "tls_key")
    for missing, given in (names, names[::-1]):
        if getattr(fix, missing) is None and getattr(fix, given) is not None:
            problem = f"is missing, but fix.{given} is set"
            raise ConfigError(f"fix.{missing}", problem, '"tls/fix.pem"')
    if fix.tls_client_authority is not None and fix.tls_certificate is None:
        problem = "needs fix.tls_certificate and fix.tls_key"
        raise ConfigError("fix.tls_client_authority", problem, '""')
    for client in (*config.fix_sessions, *config.drop_copy_sessions):
        if client.certificate_name and fix.tls_client_authority is None:
            kind = "fix_sessions" if client in config.fix_sessions else "drop_copy_sessions"
            where = f"{kind}.{client.comp_id}.certificate_name"
            raise ConfigError(where, "is set, but fix.tls_client_authority is not", '""')


def _check_plaintext(config: Config) -> None:
    """Without TLS the nodes are on loopback, or where the config says so in so many words."""
    if config.allow_plaintext_on_network or config.tls.authority is not None:
        return
    addresses = config.addresses
    for name in ("node_raft", "node_client"):
        for address in getattr(addresses, name):
            host = addresses.bind_host or address.host
            if not is_loopback(host):
                where = "addresses.bind_host" if addresses.bind_host else f"addresses.{name}"
                problem = (
                    f"{host!r} is not a loopback address, and the nodes speak without TLS; set "
                    "tls.authority (exchange init --tls makes certificates), or on a network that "
                    "is private to the nodes allow_plaintext_on_network = true"
                )
                raise ConfigError(where, problem, '"127.0.0.1"')


def _check_names_in_certificates(config: Config) -> None:
    """With TLS the names of clients are those of files and of certificates."""
    if config.tls.authority is None:
        return
    clients = {
        "fix.gateway_id": config.fix.gateway_id,
        "fix.drop_copy_id": config.fix.drop_copy_id,
        "ouch.gateway_id": config.ouch.gateway_id,
        "marketdata.client_id": config.marketdata.client_id,
    }
    for name, client_id in clients.items():
        if not _NAME_IN_CERTIFICATE.fullmatch(client_id):
            problem = f"{client_id!r} stands in a certificate: letters, digits, '-', '_' only"
            raise ConfigError(name, problem, '"fix-1"')


def _shift(name: str, address: Address, base_port: int) -> Address:
    port = address.port + base_port
    if not 1 <= port <= HIGHEST_PORT:
        problem = f"{base_port} moves {name} ({address}) to port {port}, which does not exist"
        raise ConfigError("base_port", problem, "10000")
    return Address(address.host, port)


def _resolve(config: Config, folder: Path) -> Config:
    """Shift the ports, make paths absolute."""
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
        tls=Tls(
            authority=config.tls.authority and (folder / config.tls.authority).resolve(),
            certificates=(folder / config.tls.certificates).resolve(),
        ),
        fix=dataclasses.replace(
            config.fix,
            **{
                name: path and (folder / path).resolve()
                for name in ("tls_certificate", "tls_key", "tls_client_authority")
                for path in [getattr(config.fix, name)]
            },
        ),
        addresses=dataclasses.replace(config.addresses, **shifted),
    )
