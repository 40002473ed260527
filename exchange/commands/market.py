"""market: how trading stands, and what operators do to it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

import click

from cluster import admin
from exchange.commands.options import (
    config_option,
    json_option,
    print_json,
    print_table,
    verb,
)
from exchange.config import Config
from exchange.settings import client_tls, node_addresses
from oms.commands import Command, CommandKind, EndDay, ResumeTrading, SetTradingState
from oms.events import CancelReason, EventKind, OrderCanceled, TradingAction, TradingState
from oms.price import format_price

HALT_REASON: Final = "T1"  # ITCH: halted, news pending
_STATES: Final = (
    ("open", TradingState.TRADING, "", "Open continuous trading, whatever the schedule says."),
    (
        "halt",
        TradingState.HALTED,
        HALT_REASON,
        "Halt trading: orders stay, none is accepted. No phase of the schedule ends it.",
    ),
    (
        "close",
        TradingState.CLOSED,
        "",
        "Close trading for the rest of the day. Orders stay until it ends.",
    ),
    ("pre-open", TradingState.PRE_OPEN, "", "Collect orders for an auction."),
    (
        "opening-auction",
        TradingState.OPENING_AUCTION,
        "",
        "Collect for the opening auction. Everyone is told what it would do; it trades at `open`.",
    ),
    (
        "auction",
        TradingState.AUCTION_CALL,
        "",
        "Collect orders for an auction. As after a halt; it trades at `resume`.",
    ),
    (
        "closing-auction",
        TradingState.CLOSING_AUCTION,
        "",
        "Collect orders for the closing auction. It trades at `close`.",
    ),
)


def register(cli: click.Group) -> None:
    """Add the verbs of this file."""

    @cli.group(epilog="Example: exchange market halt AAPL")
    def market() -> None:
        """Show, open, halt, resume or close trading.

        Commands go through the log like orders: every node does them at the same place.
        """

    for name, state, reason, help_text in _STATES:
        kind = CommandKind.SET_TRADING_STATE
        _add_change(market, name, SetTradingState(kind, "", int(state), reason), help_text)
    _add_change(
        market,
        "resume",
        ResumeTrading(CommandKind.RESUME_TRADING, "", ""),
        "Go on where the trading day is by now. Without a schedule that is continuous trading.",
    )
    _add_end_day(market)
    _add_status(market)


def _add_change(
    market: click.Group, name: str, command: SetTradingState | ResumeTrading, help_text: str
) -> None:
    """A verb that puts instruments into another state; `command` for all of them."""

    def change(config: Config, symbol: str, as_json: bool) -> None:
        known = [instrument.symbol for instrument in config.instruments]
        if symbol and symbol not in known:
            raise click.UsageError(f"{symbol!r} is not one of {', '.join(known)}")
        events = _submit(config, command._replace(symbol=symbol))
        actions = [TradingAction(*e) for e in events if e[0] == EventKind.TRADING_ACTION]
        changed = [action.symbol for action in actions]
        # All are put into one state, but for a schedule that has come into between.
        state = TradingState(actions[-1].trading_state).name.lower() if actions else None
        if isinstance(command, SetTradingState):
            state = TradingState(command.trading_state).name.lower()
        if as_json:
            print_json({"trading_state": state, "changed": changed})
        else:
            what = ", ".join(changed) if changed else "nothing changed"
            click.echo(f"{state or name}: {what}")

    change.__doc__ = f"{help_text} All instruments, or SYMBOL alone."
    decorated = config_option(json_option(change))
    decorated = click.argument("symbol", default="", metavar="[SYMBOL]")(decorated)
    verb(market, name, f"exchange market {name} AAPL")(decorated)


def _add_end_day(market: click.Group) -> None:
    @verb(market, "end-day", "exchange market end-day")
    @config_option
    @json_option
    def end_day(config: Config, as_json: bool) -> None:
        """End the trading day now.

        The closing auction trades if it is on, every instrument closes, orders for the day expire.
        Phases of the schedule that were still to come that day do not; the next day begins as it
        would have.
        """
        events = _submit(config, EndDay(CommandKind.END_DAY))
        closed = [TradingAction(*e).symbol for e in events if e[0] == EventKind.TRADING_ACTION]
        expired = sum(
            e[0] == EventKind.ORDER_CANCELED
            and OrderCanceled(*e[: len(OrderCanceled._fields)]).reason == CancelReason.EXPIRED
            for e in events
        )
        if as_json:
            print_json({"closed": closed, "expired": expired})
        else:
            what = ", ".join(closed) if closed else "nothing that was not"
            click.echo(f"the day is over: closed {what}; {expired} orders expired")


def _submit(config: Config, command: Command) -> list[Any]:
    return asyncio.run(
        admin.submit_operator_command(node_addresses(config), command, tls=client_tls(config))
    )


def _add_status(market: click.Group) -> None:
    @verb(market, "status", "exchange market status")
    @config_option
    @json_option
    def status(config: Config, as_json: bool) -> None:
        """Show the day and each instrument.

        That is how the leader has it. held: an operator halted or closed the instrument, and no
        phase of the schedule changes that. In an auction: the price at which it would trade now,
        the shares that would, and those left over (below 0: offered).
        """
        facts = asyncio.run(admin.market(node_addresses(config), tls=client_tls(config)))
        described = _described(config, facts)
        if as_json:
            print_json(described)
        else:
            _print_status(described)


def _described(config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with times, dates and prices as text; None for what there is not."""
    zone = config.trading_day.time_zone
    coming = None
    if facts["next_phase"]:
        time_ns, phase = facts["next_phase"]
        begins = datetime.fromtimestamp(time_ns // 1_000_000_000, zone)
        coming = {"phase": phase.lower(), "begins": begins.isoformat()}
    instruments = []
    for instrument in facts["instruments"]:
        auction = instrument["auction"]
        if auction is not None:
            prices = {name: _price(auction[name]) for name in ("price", "reference_price")}
            auction = auction | prices
        instruments.append(
            instrument
            | {
                "trading_state": instrument["trading_state"].lower(),
                "last_price": _price(instrument["last_price"]),
                "auction": auction,
            }
        )
    date = str(facts["date"])
    return {
        "trading_day": f"{date[:4]}-{date[4:6]}-{date[6:]}" if facts["date"] else None,
        "phase": facts["phase"] and facts["phase"].lower(),
        "next_phase": coming,
        "instruments": instruments,
    }


def _price(price: int) -> str | None:
    return format_price(price) if price else None


def _print_status(facts: dict[str, Any]) -> None:
    day, phase, coming = facts["trading_day"], facts["phase"], facts["next_phase"]
    if day is None:
        title = "no schedule: operators open and close the market"
    else:
        title = f"trading day {day}: {phase or ('over' if coming is None else 'not begun')}"
    if coming is not None:
        title += f"; {coming['phase']} at {coming['begins']}"
    rows = []
    for one in facts["instruments"]:
        auction = one["auction"] or {}
        rows.append(
            [
                one["symbol"],
                one["trading_state"],
                one["reason"],
                "held" if one["is_held"] else "",
                one["last_price"],
                auction.get("price"),
                auction.get("paired_qty"),
                auction.get("imbalance_qty"),
            ]
        )
    columns = ["symbol", "state", "reason", "", "last", "auction price", "paired", "imbalance"]
    print_table(title, columns, rows)
