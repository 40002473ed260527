"""Golden scripts of the exchange: the language in which they ask (exchange_answers.py: in which it
answers).

    CLIENT1 buy|sell|short 100 AAPL at 100.00|market as A1 [ioc|fok|gtc] [for ACC1]
    CLIENT1 replace A1 by A2: buy 50 AAPL at 100.10 [gtc]
    CLIENT1 cancel A1 by C1: buy AAPL
    CLIENT1 cancel all by M1[: AAPL] [buy|sell|short]
    CLIENT1 query A1
    CLIENT1 lists orders as R1[: AAPL] [buy|sell|short] [after 7]
    CLIENT1 lists instruments as R1[: AAPL]
    CLIENT1 status as R1: AAPL|market
    CLIENT1 book as R1: AAPL [depth 3]
    CLIENT1 number 1 [in 3]: buy 100 AAPL at 100.00|market [ioc] [group 7] [refused WHY found]
    CLIENT1 replace number 1 by 2 [in 3]: 50 at 100.10|market [ioc] [refused WHY found]
    CLIENT1 reduce number 1 [in 3] to 50
    CLIENT1 modify number 1 [in 3]: exempt 50
    CLIENT1 mass cancel 3 [in 3][: AAPL] [buy|sell] [group 7] [channel 3] [refused WHY found]
    CLIENT1 order entry on|off 4 [in 3] [refused WHY found]
    CLIENT1 numbers [in 3]
    open CLIENT1 on GW1 [cancel-on-disconnect] [reset]      close CLIENT1 on GW1      lost GW1
    trading AAPL HALTED T1        trading all TRADING       load       restart

`in 3` names the channel, 0 if not said; a command with `refused` may end with `memo text`.

A script begins with the market of `MARKET` loaded and trading, unless its first line is `bare`.
`restart` takes a snapshot, carries it as text, and goes on with what was restored from it.
Each command is echoed after `>`; below it stand its events. The invariants hold after each.
"""

from __future__ import annotations

import ast
import re

from exchange_answers import SIDES, TIMES_IN_FORCE, describe

from oms.commands import (
    CancelOrder,
    CancelOrders,
    CloseSession,
    CommandKind,
    EnterNumberedOrder,
    EnterOrder,
    GatewayLost,
    LoadReferenceData,
    MassCancel,
    ModifyNumberedOrder,
    OpenSession,
    QueryBook,
    QueryInstruments,
    QueryInstrumentStatus,
    QueryMarketStatus,
    QueryNumbers,
    QueryOrder,
    QueryOrders,
    ReduceNumberedOrder,
    ReplaceNumberedOrder,
    ReplaceOrder,
    SetOrderEntry,
    SetTradingState,
)
from oms.events import RejectReason, TradingState
from oms.price import parse_price
from oms.state_machine import ExchangeStateMachine

MARKET = LoadReferenceData(
    CommandKind.LOAD_REFERENCE_DATA,
    (
        ("AAPL", 1, 100, 1, 100_0000, 1_000, 1_000_000),
        ("MSFT", 2, 100, 10, 50_0000, 500, 5_000),
    ),
    (("ACC1", "FIRM1", 10_000, 200_000_0000), ("ACC2", "FIRM2", 10_000, 200_000_0000)),
    (("CLIENT1", "ACC1"), ("CLIENT2", "ACC2")),
)

NAMES = r"(?P<session>\S+)"
TERMS = (
    r"(?P<side>buy|sell|short|exempt) (?P<quantity>-?\d+) (?P<symbol>\S+) (?P<price>market|at \S+)"
    r"(?: as (?P<name>\S+))?(?: (?P<tif>day|gtc|ioc|fok))?(?: for (?P<account>\S+))?"
)
CHANNEL = r"(?: in (?P<channel>\d+))?"
NUMBER = rf"(?P<number>\d+){CHANNEL}"
PRICE = r"(?P<price>market|at \S+)(?: (?P<tif>day|gtc|ioc|fok))?"
GROUP = r"(?: group (?P<group>-?\d+))?"
REQUEST = r" as (?P<request>[^\s:]+)"
CHOICE = r"(?:: (?P<symbol>[A-Z]+))?(?: (?P<side>buy|sell|short))?"
REFUSED = r"(?: refused (?P<why>[A-Z_]+) (?P<found>\S+))?(?: memo (?P<memo>\S+))?"
COMMANDS = {
    "enter": re.compile(rf"{NAMES} {TERMS}"),
    "replace": re.compile(rf"{NAMES} replace (?P<orig>\S+) by (?P<new>\S+): {TERMS}"),
    "cancel": re.compile(
        rf"{NAMES} cancel (?P<orig>\S+) by (?P<new>\S+): (?P<side>\w+) (?P<symbol>\S+)"
    ),
    "number": re.compile(
        rf"{NAMES} number {NUMBER}: (?P<side>\w+) (?P<quantity>-?\d+) (?P<symbol>\S+) {PRICE}"
        rf"{GROUP}{REFUSED}"
    ),
    "replace_number": re.compile(
        rf"{NAMES} replace number (?P<orig>\d+) by {NUMBER}: (?P<quantity>-?\d+) {PRICE}{REFUSED}"
    ),
    "reduce": re.compile(rf"{NAMES} reduce number {NUMBER} to (?P<quantity>\d+)"),
    "modify": re.compile(rf"{NAMES} modify number {NUMBER}: (?P<side>\w+) (?P<quantity>\d+)"),
    "mass_cancel": re.compile(
        rf"{NAMES} mass cancel {NUMBER}(?:: (?P<symbol>[A-Z]+))?(?: (?P<side>buy|sell|short))?"
        rf"{GROUP}(?: channel (?P<only>\d+))?{REFUSED}"
    ),
    "order_entry": re.compile(rf"{NAMES} order entry (?P<switch>on|off) {NUMBER}{REFUSED}"),
    "numbers": re.compile(rf"{NAMES} numbers{CHANNEL}"),
    "query": re.compile(rf"{NAMES} query (?P<name>\S+)"),
    "cancel_all": re.compile(rf"{NAMES} cancel all by (?P<new>\S+?){CHOICE}"),
    "orders": re.compile(rf"{NAMES} lists orders{REQUEST}{CHOICE}(?: after (?P<after>\d+))?"),
    "instruments": re.compile(rf"{NAMES} lists instruments{REQUEST}(?:: (?P<symbol>[A-Z]+))?"),
    "status": re.compile(rf"{NAMES} status{REQUEST}: (?P<symbol>\S+)"),
    "book": re.compile(rf"{NAMES} book{REQUEST}: (?P<symbol>\S+)(?: depth (?P<depth>\d+))?"),
    "open": re.compile(
        rf"open {NAMES} on (?P<gateway>\S+)(?P<cod> cancel-on-disconnect)?(?P<reset> reset)?"
    ),
    "close": re.compile(rf"close {NAMES} on (?P<gateway>\S+)"),
    "lost": re.compile(r"lost (?P<gateway>\S+)"),
    "trading": re.compile(r"trading (?P<symbol>\S+) (?P<state>[A-Z]+) ?(?P<why>.*)"),
    "load": re.compile("load"),
    "restart": re.compile("restart"),
}


class ScriptPlayer:
    """Plays the lines of one script against one exchange."""

    def __init__(self) -> None:
        self.machine = ExchangeStateMachine()
        self._now_ns = 0
        self._msg_seq_nums: dict[str, int] = {}

    def play(self, lines: list[str]) -> list[str]:
        """Return the output of a script."""
        if lines[0] == "bare":
            lines = lines[1:]
        else:
            self._apply(MARKET)
            self._apply(self._trading(symbol="all", state="TRADING", why=""))
        output: list[str] = []
        for line in lines:
            output.append(f"> {line}")
            output += [f"  {describe(event)}" for event in self._play_line(line)]
        return output

    def _play_line(self, line: str) -> list[tuple]:
        for name in reversed(COMMANDS):  # "open", "lost" and so on before a session of that name
            match = COMMANDS[name].fullmatch(line)
            if match:
                words = match.groupdict()
                if name == "restart":
                    return self._restart()
                return self._apply(getattr(self, f"_{name}")(**words))
        raise ValueError(f"not a line of a script: {line}")

    def _apply(self, command: tuple) -> list[tuple]:
        self._now_ns += 1
        events = self.machine.apply(command, self._now_ns)
        self.machine.check_invariants()
        return events

    def _restart(self) -> list[tuple]:
        text = repr(list(self.machine.snapshot_parts()))
        self.machine = ExchangeStateMachine.restore(ast.literal_eval(text))
        self.machine.check_invariants()
        return []

    def _next_msg_seq_num(self, session: str) -> int:
        self._msg_seq_nums[session] = self._msg_seq_nums.get(session, 0) + 1
        return self._msg_seq_nums[session]

    def _terms(self, side, quantity, symbol, price, tif) -> tuple:
        order_type, limit = (1, 0) if price == "market" else (2, parse_price(price[3:]))
        assert limit is not None, f"no price: {price}"
        return (
            symbol,
            SIDES[side],
            order_type,
            TIMES_IN_FORCE[tif or "day"],
            int(quantity),
            limit,
        )

    def _enter(self, session, name, account, **terms) -> EnterOrder:
        number = self._next_msg_seq_num(session)
        kind = CommandKind.ENTER_ORDER
        return EnterOrder(kind, session, number, account or "", name, *self._terms(**terms))

    def _replace(self, session, orig, new, name, account, **terms) -> ReplaceOrder:
        assert name is None, "a replace says its name after `by`"
        assert account is None, "a replace has no account"
        number = self._next_msg_seq_num(session)
        kind = CommandKind.REPLACE_ORDER
        return ReplaceOrder(kind, session, number, new, orig, *self._terms(**terms))

    def _cancel(self, session, orig, new, side, symbol) -> CancelOrder:
        number = self._next_msg_seq_num(session)
        kind = CommandKind.CANCEL_ORDER
        return CancelOrder(kind, session, number, new, orig, symbol, SIDES[side])

    def _query(self, session, name) -> QueryOrder:
        number = self._next_msg_seq_num(session)
        return QueryOrder(CommandKind.QUERY_ORDER, session, number, name, "AAPL", 1)

    def _cancel_all(self, session, new, symbol, side) -> CancelOrders:
        number, side = self._next_msg_seq_num(session), SIDES[side] if side else 0
        kind = CommandKind.CANCEL_ORDERS
        return CancelOrders(kind, session, number, new, symbol or "", side)

    def _orders(self, session, request, symbol, side, after) -> QueryOrders:
        number, side = self._next_msg_seq_num(session), SIDES[side] if side else 0
        kind, after = CommandKind.QUERY_ORDERS, int(after or 0)
        return QueryOrders(kind, session, number, request, symbol or "", side, after)

    def _instruments(self, session, request, symbol) -> QueryInstruments:
        number, kind = self._next_msg_seq_num(session), CommandKind.QUERY_INSTRUMENTS
        return QueryInstruments(kind, session, number, request, symbol or "")

    def _status(self, session, request, symbol) -> QueryInstrumentStatus | QueryMarketStatus:
        number = self._next_msg_seq_num(session)
        if symbol == "market":
            return QueryMarketStatus(CommandKind.QUERY_MARKET_STATUS, session, number, request)
        kind = CommandKind.QUERY_INSTRUMENT_STATUS
        return QueryInstrumentStatus(kind, session, number, request, symbol)

    def _book(self, session, request, symbol, depth) -> QueryBook:
        number, kind = self._next_msg_seq_num(session), CommandKind.QUERY_BOOK
        return QueryBook(kind, session, number, request, symbol, int(depth or 0))

    def _number(self, session, channel, number, group, why, found, memo, **terms):
        return EnterNumberedOrder(
            CommandKind.ENTER_NUMBERED_ORDER,
            session,
            int(channel or 0),
            int(number),
            *self._terms(**terms),
            int(group or 0),
            *refused(why, found, memo),
        )

    def _replace_number(
        self, session, channel, orig, number, quantity, price, tif, why, found, memo
    ):
        _, _, order_type, tif, quantity, limit = self._terms("buy", quantity, "", price, tif)
        return ReplaceNumberedOrder(
            CommandKind.REPLACE_NUMBERED_ORDER,
            session,
            int(channel or 0),
            int(orig),
            int(number),
            tif,
            quantity,
            limit,
            order_type,
            *refused(why, found, memo),
        )

    def _reduce(self, session, channel, number, quantity):
        kind = CommandKind.REDUCE_NUMBERED_ORDER
        return ReduceNumberedOrder(kind, session, int(channel or 0), int(number), int(quantity))

    def _modify(self, session, channel, number, side, quantity):
        kind, terms = CommandKind.MODIFY_NUMBERED_ORDER, (SIDES[side], int(quantity))
        return ModifyNumberedOrder(kind, session, int(channel or 0), int(number), *terms)

    def _mass_cancel(self, session, channel, number, symbol, side, group, only, why, found, memo):
        return MassCancel(
            CommandKind.MASS_CANCEL,
            session,
            int(channel or 0),
            int(number),
            symbol or "",
            SIDES[side] if side else 0,
            int(group or 0),
            int(only) if only else -1,
            *refused(why, found, memo),
        )

    def _order_entry(self, session, channel, number, switch, why, found, memo):
        kind, end = CommandKind.SET_ORDER_ENTRY, refused(why, found, memo)
        return SetOrderEntry(kind, session, int(channel or 0), int(number), switch == "on", *end)

    def _numbers(self, session, channel):
        return QueryNumbers(CommandKind.QUERY_NUMBERS, session, int(channel or 0))

    def _open(self, session, gateway, cod, reset) -> OpenSession:
        if reset:
            self._msg_seq_nums[session] = 0
        return OpenSession(CommandKind.OPEN_SESSION, session, gateway, bool(cod), bool(reset))

    def _close(self, session, gateway) -> CloseSession:
        return CloseSession(CommandKind.CLOSE_SESSION, session, gateway)

    def _lost(self, gateway) -> GatewayLost:
        return GatewayLost(CommandKind.GATEWAY_LOST, gateway)

    def _trading(self, symbol, state, why) -> SetTradingState:
        symbol = "" if symbol == "all" else symbol
        kind = CommandKind.SET_TRADING_STATE
        return SetTradingState(kind, symbol, TradingState[state], why)

    def _load(self) -> LoadReferenceData:
        return MARKET


def refused(why, found, memo) -> tuple:
    """The end of a numbered command: refusal, found, memo."""
    return (RejectReason[why] if why else 0, found or "", (memo or "").encode())
