"""Writes exchange.toml: every key with its default and a sentence on it, from the declarations."""

from __future__ import annotations

import dataclasses
import textwrap
import tomllib
from pathlib import Path
from typing import Any

from exchange.config import FILE_NAME, TABLES, Config, resolved
from exchange.config_keys import ConfigError, toml_text
from exchange.config_members import (
    DEFAULT_ACCOUNTS,
    DEFAULT_FIX_SESSIONS,
    DEFAULT_INSTRUMENTS,
    DEFAULT_OUCH_USERS,
)
from exchange.settings import AUTHORITY, certificate_names

_HEADER = """\
# Configuration of one exchange. Every key stands here with its default; a key that is left out
# means the same. `exchange check-config` shows what results from it, ports shifted.
# Nodes that listen on more than loopback need certificates: [tls].

"""
_TABLE_NOTES = {
    "addresses": "Where the processes listen, and how the others reach them (before base_port).",
    "cluster": "Replication.",
    "tls": "Mutual TLS: who may talk to the nodes. For FIX clients see [fix]; all else is plain.",
    "fix": "FIX order entry.",
    "ouch": "OUCH 5.0 order entry over SoupBinTCP.",
    "protection": "Prices that run away: what instruments with luld_bps, volatility_bps or "
    "index_weight do. Becomes a command in the log of a NEW cluster; `exchange market protect` "
    "says it to one that runs.",
    "marketdata": "ITCH 5.0 over MoldUDP64, and the market-data process.",
    "trading_day": "The schedule. While it is not enabled, operators open and close the market.",
}
_LISTS = (
    (
        "instruments",
        DEFAULT_INSTRUMENTS,
        "Instruments, accounts and sessions become the first command in the log of a NEW cluster; "
        "changed later, they change nothing there.",
    ),
    ("accounts", DEFAULT_ACCOUNTS, "Accounts and their limits."),
    ("fix_sessions", DEFAULT_FIX_SESSIONS, "FIX clients, one session each."),
    (
        "drop_copy_sessions",
        (),
        "FIX clients that read copies of the reports of others, and send no orders; for example "
        '[[drop_copy_sessions]] with comp_id = "RISK1" and sessions = ["CLIENT1", "OUCH1"].',
    ),
    ("ouch_users", DEFAULT_OUCH_USERS, "OUCH clients, one session each."),
)


def _comment(sentence: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(sentence, 96))


def _keys(section: Any, prefix: str, changes: dict[str, str]) -> str:
    lines = []
    for item in dataclasses.fields(section):
        if "kind" not in item.metadata:
            continue
        kind = item.metadata["kind"]
        value = changes.pop(prefix + item.name, None)
        if value is None:
            value = kind.write(getattr(section, item.name))
        lines.append(f"{_comment(item.metadata['doc'])}{item.name} = {value}\n")
    return "".join(lines)


def _members(name: str, members: tuple[Any, ...]) -> str:
    """The first member whole, with a comment on each key; of the others what is not a default."""
    lines = []
    for position, member in enumerate(members):
        lines.append(f"\n[[{name}]]\n")
        for item in dataclasses.fields(member):
            value = getattr(member, item.name)
            if position > 0 and value == item.default:
                continue
            if position == 0:
                lines.append(_comment(item.metadata["doc"]))
            lines.append(f"{item.name} = {item.metadata['kind'].write(value)}\n")
    return "".join(lines)


def default_text(base_port: int = 0, changes: dict[str, str] | None = None) -> str:
    """The text of a complete exchange.toml. `changes`: dotted key -> TOML text of its value.

    Raises ConfigError for a key that does not exist.
    """
    left = {"base_port": str(base_port), **(changes or {})}
    config = Config()
    parts = [_HEADER, _keys(config, "", left)]
    for name in TABLES:
        parts.append(f"\n{_comment(_TABLE_NOTES[name])}[{name}]\n")
        parts.append(_keys(getattr(config, name), f"{name}.", left))
    for name, members, note in _LISTS:
        parts.append(f"\n{_comment(note)}".rstrip("\n") + "\n")
        parts.append(_members(name, members).lstrip("\n"))
    if left:
        raise ConfigError(min(left), "there is no such key", "cluster.durability")
    return "".join(parts)


def write_exchange_folder(
    folder: Path,
    base_port: int = 0,
    changes: dict[str, str] | None = None,
    *,
    tls: bool = False,
    more: str = "",
) -> Path:
    """Make `folder` with exchange.toml and an empty data folder; returns the path of the file.
    With `tls` it also gets certificates of a development authority. `more` is TOML that follows
    the text: further [[instruments]], [[accounts]] and so on.

    Raises ConfigError rather than overwrite a file that is there or write one that is wrong.
    """
    path = folder / FILE_NAME
    certificates = folder / Config().tls.certificates
    for existing in (path, certificates) if tls else (path,):
        if existing.exists():
            raise ConfigError(str(existing), "is there already", "exchange init other-folder")
    changes = dict(changes or {})
    if tls:
        changes["tls.authority"] = toml_text(Config().tls.certificates / AUTHORITY)
    text = default_text(base_port, changes) + more
    config = resolved(tomllib.loads(text), folder)  # a file that is wrong is not written
    try:
        (folder / Config().data_dir).mkdir(parents=True, exist_ok=True)
        if tls:
            from exchange.certificates import make_certificates

            names = set(certificate_names(config).values())
            make_certificates(certificates, sorted(names))
        path.write_text(text)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise ConfigError(str(path), problem, "exchange init my-exchange") from error
    return path
