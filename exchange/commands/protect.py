"""bust, market protect, market emergency-close: what operators do when prices run away."""

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
from oms.commands import BustTrade, Command, CommandKind, SetTradingState
from oms.events import (
    BustRefusal,
    BustRefused,
    EventKind,
    PriceBandSet,
    TradeBusted,
    TradingAction,
    TradingState,
)
from oms.price import format_price

_WHY_NOT = {
    BustRefusal.UNKNOWN_TRADE: "is not known: there was none, or it is too long ago to be busted",
    BustRefusal.BUSTED_ALREADY: "is busted already",
}
EMERGENCY_REASON = "T6"  # ITCH: halted, extraordinary market activity


def register(cli: click.Group) -> None:
    """Add the verbs of this file; the group `market` is there."""
    market = cli.commands["market"]
    assert isinstance(market, click.Group)
    _add_emergency_close(market)
    _add_protect(market)
    _add_bust(cli)


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


def _add_bust(cli: click.Group) -> None:
    @verb(cli, "bust", "exchange bust 4711 --reason 'clearly erroneous'")
    @click.argument("match_number", metavar="MATCH", type=click.IntRange(1, 2**63 - 1))
    @click.option("--reason", default="", help="Why, for the record in the log.")
    @config_option
    @json_option
    def bust(config: Config, as_json: bool, match_number: int, reason: str) -> None:
        """Declare a trade void.

        MATCH is its match number: TrdMatchID(880) or SecondaryExecID(527) in FIX, Match Number in
        OUCH and ITCH. Both sides are told, their shares do not come back, and the statistics of the
        day lose the trade. The latest 10,000 trades or so of the day can be busted, each once.
        """
        events = _submit(config, BustTrade(CommandKind.BUST_TRADE, match_number, reason))
        refused = [BustRefused(*e) for e in events if e[0] == EventKind.BUST_REFUSED]
        if refused:
            sentence = _WHY_NOT[BustRefusal(refused[0].refusal)]
            raise ExitWith(EXIT_PROBLEM, f"trade {match_number} {sentence}")
        (busted,) = (TradeBusted(*e) for e in events if e[0] == EventKind.TRADE_BUSTED)
        if as_json:
            print_json(
                {
                    "match_number": match_number,
                    "symbol": busted.symbol,
                    "quantity": busted.quantity,
                    "price": format_price(busted.price),
                }
            )
            return
        what = f"{busted.quantity} {busted.symbol} at {format_price(busted.price)}"
        click.echo(f"busted {match_number}: {what}")


def _submit(config: Config, command: Command) -> list[Any]:
    return asyncio.run(
        admin.submit_operator_command(node_addresses(config), command, tls=client_tls(config))
    )
