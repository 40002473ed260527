"""The exchange that a load is put on: so many instruments, clients and gateways."""

from __future__ import annotations

from typing import Final, NamedTuple

from cluster.settings import Address
from exchange.config_keys import toml_text
from exchange.config_members import DEFAULT_SYMBOLS
from exchange.local import LocalExchange

SYMBOLS_MAX: Final = 100
CLIENTS_MAX: Final = 64
GATEWAYS_MAX: Final = 4
_FURTHER_PORTS: Final = {"fix": 9011, "fix_http": 9221, "ouch": 9111, "ouch_http": 9241}
"""Where the second gateway listens; the next ones follow."""
_SENDING_TIME_TOLERANCE_S: Final = 3_600
"""FIX messages are made before they are sent."""


class Market(NamedTuple):
    """What exchange.toml must say: `changes` and `more` are those of new_local_exchange. `clients`
    are the names of the sessions; the n-th connects to gateway n modulo `gateways`."""

    entry: str
    clients: tuple[str, ...]
    symbols: tuple[str, ...]
    gateways: int
    changes: dict[str, str]
    more: str

    def address(self, exchange: LocalExchange, client: int) -> Address:
        """Where the client of this place in `clients` connects."""
        addresses = exchange.config.addresses
        gateways = addresses.ouch if self.entry == "ouch" else addresses.fix
        return gateways[client % self.gateways]

    def http(self, exchange: LocalExchange) -> tuple[Address, ...]:
        """HTTP of the gateways."""
        addresses = exchange.config.addresses
        return addresses.ouch_http if self.entry == "ouch" else addresses.fix_http


def make_market(
    entry: str, clients: int, symbols: int, *, gateways: int = 1, durability: str = "majority-disk"
) -> Market:
    """`entry` is "fix" or "ouch"; each client has an account of its own."""
    assert clients <= CLIENTS_MAX, f"{clients} clients"
    assert symbols <= SYMBOLS_MAX, f"{symbols} symbols"
    assert gateways <= GATEWAYS_MAX, f"{gateways} gateways"
    names = tuple(f"LOAD{number}" for number in range(1, clients + 1))
    further = tuple(f"S{number}" for number in range(len(DEFAULT_SYMBOLS) + 1, symbols + 1))
    parts = [_table("instruments", symbol=symbol) for symbol in further]
    for number, name in enumerate(names):
        account = f"BENCH{number + 1}"
        parts.append(_table("accounts", account=account))
        if entry == "ouch":
            parts.append(_table("ouch_users", username=name, account=account))
        else:
            gateway = number % gateways + 1
            parts.append(_table("fix_sessions", comp_id=name, account=account, gateway=gateway))
    changes = {
        "cluster.durability": toml_text(durability),
        "fix.sending_time_tolerance_s": str(_SENDING_TIME_TOLERANCE_S),
        f"addresses.{entry}": _addresses(entry, 9001 if entry == "fix" else 9101, gateways),
        f"addresses.{entry}_http": _addresses(
            f"{entry}_http", 9201 if entry == "fix" else 9202, gateways
        ),
    }
    return Market(
        entry, names, (*DEFAULT_SYMBOLS, *further)[:symbols], gateways, changes, "".join(parts)
    )


def _table(name: str, **keys: str | int) -> str:
    lines = [
        f"{key} = {value if isinstance(value, int) else toml_text(value)}\n"
        for key, value in keys.items()
    ]
    return f"\n[[{name}]]\n" + "".join(lines)


def _addresses(key: str, first_port: int, gateways: int) -> str:
    ports = [first_port, *range(_FURTHER_PORTS[key], _FURTHER_PORTS[key] + gateways - 1)]
    return "[" + ", ".join(toml_text(f"127.0.0.1:{port}") for port in ports) + "]"
