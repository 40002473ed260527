"""market protect, market emergency-close: what operators do when prices run away."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from cluster import admin
from exchange.commands.options import (
    EXIT_PROBLEM,
    ExitWith,
    config_option,
    json_option,
    print_json,
    verb,
)
from exchange.config import Config
from exchange.config_protection import protection_command
from exchange.settings import client_tls, node_addresses
from oms.commands import Command, CommandKind, SetTradingState
from oms.events import EventKind, PriceBandSet, TradingAction, TradingState
from oms.price import format_price

EMERGENCY_REASON = "T6"  # ITCH: halted, extraordinary market activity


def register(cli: click.Group) -> None:
    """Add the verbs of this file; the group `market` is there."""
    market = cli.commands["market"]
    assert isinstance(market, click.Group)
    _add_emergency_close(market)
    _add_protect(market)


def _add_emergency_close(market: click.Group) -> None:
    @verb(market, "emergency-close", "exchange market emergency-close --yes")
    @click.argument("symbol", default="", metavar="[SYMBOL]")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @config_option
    @json_option
    def emergency_close(config: Config, as_json: bool, symbol: str, yes: bool) -> None:
        """Close at once, cancel every order.

        All instruments, or SYMBOL alone. An auction that is on trades nothing. New orders are
        refused with a reason of their own, after restarts and on later days, too: only `market
        open`, `resume` or another of these verbs ends it, no schedule.
        """
        known = [instrument.symbol for instrument in config.instruments]
        if symbol and symbol not in known:
            raise click.UsageError(f"{symbol!r} is not one of {', '.join(known)}")
        question = f"close {symbol or 'every instrument'} and cancel all its open orders?"
        if not yes and not click.confirm(question, err=True):
            raise ExitWith(EXIT_PROBLEM, "nothing was closed")
        state = int(TradingState.EMERGENCY_CLOSED)
        kind = CommandKind.SET_TRADING_STATE
        events = _submit(config, SetTradingState(kind, symbol, state, EMERGENCY_REASON))
        closed = [TradingAction(*e).symbol for e in events if e[0] == EventKind.TRADING_ACTION]
        canceled = sum(e[0] == EventKind.ORDER_CANCELED for e in events)
        if as_json:
            print_json({"closed": closed, "canceled": canceled})
        else:
            what = ", ".join(closed) if closed else "nothing that was not"
            click.echo(f"closed in an emergency: {what}; {canceled} orders canceled")


def _add_protect(market: click.Group) -> None:
    @verb(market, "protect", "exchange market protect --config my-exchange/exchange.toml")
    @config_option
    @json_option
    def protect(config: Config, as_json: bool) -> None:
        """Use the protection of the file from now on.

        [protection], and luld_bps, volatility_bps and index_weight of the instruments, take the
        place of what held before. What rests beyond a band that changes by it is canceled.
        """
        events = _submit(config, protection_command(config.protection, config.instruments))
        bands = [PriceBandSet(*e) for e in events if e[0] == EventKind.PRICE_BAND_SET]
        canceled = sum(e[0] == EventKind.ORDER_CANCELED for e in events)
        rows = {
            band.symbol: [format_price(band.band_low), format_price(band.band_high)]
            if band.reference_price
            else None
            for band in bands
        }
        if as_json:
            print_json({"bands": rows, "canceled": canceled})
            return
        for symbol, edges in rows.items():
            click.echo(f"{symbol}: {'no band' if edges is None else ' to '.join(edges)}")
        click.echo(f"protected as configured; {canceled} orders canceled")


def _submit(config: Config, command: Command) -> list[Any]:
    return asyncio.run(
        admin.submit_operator_command(node_addresses(config), command, tls=client_tls(config))
    )
