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
    trading AAPL HALTED T1        trading all TRADING       load    restart    wait 5    end of day
    day 20260302: PRE_OPEN 10, OPENING_AUCTION 20, TRADING 30, CLOSED 90       resume AAPL|all [R4]
    tick 5                        protect AAPL band 500 move 1000 weight 1, MSFT weight 3 [RULES]

An order may want more. Its price is also `market-to-limit`, `stop 99.00`, `stop 99.00 at 98.50`,
`trail 0.50 [from 99.00]`, or `peg primary|market|midpoint [plus|minus 0.10] [limit 100.00]`; its
time in force also `gtd 30`, until second 30, `opg` or `cls`: at the open, at the close. At the end
of the line, in any order: `display 20`, `give-or-take 5`, `min 50`, `hidden`, `post-only`,
`all-or-none`, and `self-trade group 1 cancel-newest` (or cancel-oldest, cancel-both, decrement). A
script begins in second 0; `wait 5` makes it five seconds later, `tick 5` lets the clock tick five
times on the way. `day` is
the schedule of a day, with the second in which each phase begins.

A band or a move is in 1/100 of a percent. RULES are any of `window 300`, `limit-state 15`, `pause
300`, `call 60`, `wide-until 900`, `wide-from 21900`, `breakers 700 1300 2000`, `halt 900`, `until
21300`, in seconds; those not said have their defaults. Without an instrument: `protect none`.

`in 3` names the channel, 0 if not said; a command with `refused` may end with `memo text`.

A script begins with the market of `MARKET` loaded and trading, unless its first line is `bare`.
`restart` takes a snapshot, carries it as text, and goes on with what was restored from it.
Each command is echoed after `>`; below it stand its events. The invariants hold after each.
"""

from __future__ import annotations

import ast
import re

from exchange_answers import SECOND_NS, SIDES, TIMES_IN_FORCE, describe

from matching.types import PegType, SelfTradeAction
from oms.commands import (
    CancelOrder,
    CancelOrders,
    ClockTick,
    CloseSession,
    CommandKind,
    EndDay,
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
    ResumeTrading,
    ScheduleTradingDay,
    SetOrderEntry,
    SetProtection,
    SetTradingState,
)
from oms.events import RejectReason, TradingState
from oms.price import parse_price
from oms.protection_rules import ProtectionRules
from oms.state_machine import ExchangeStateMachine
from oms.terms import Instruction, Terms

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
PEG = r"peg (?:primary|market|midpoint)(?: (?:plus|minus) [0-9.]+)?(?: limit [0-9.]+)?"
STOP = r"stop [0-9.]+(?: at [0-9.]+)?|trail [0-9.]+(?: from [0-9.]+)?"
PRICED = rf"(?P<price>market-to-limit|market|at \S+|{STOP}|{PEG})"
TIME = r"(?: (?P<tif>day|gtc|ioc|fok|gtd \d+|opg|cls))?"
WANTS = (
    r"(?P<wants>(?: display \d+| give-or-take \d+| min \d+| hidden| post-only| all-or-none"
    r"| self-trade group \d+ [a-z-]+)*)"
)
TERMS = (
    rf"(?P<side>buy|sell|short|exempt) (?P<quantity>-?\d+) (?P<symbol>\S+) {PRICED}"
    rf"(?: as (?P<name>\S+))?{TIME}(?: for (?P<account>\S+))?{WANTS}"
)
CHANNEL = r"(?: in (?P<channel>\d+))?"
NUMBER = rf"(?P<number>\d+){CHANNEL}"
PRICE = rf"{PRICED}{TIME}"
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
        rf"{GROUP}{REFUSED}{WANTS}"
    ),
    "replace_number": re.compile(
        rf"{NAMES} replace number (?P<orig>\d+) by {NUMBER}: (?P<quantity>-?\d+) {PRICE}"
        rf"{REFUSED}{WANTS}"
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
    "trading": re.compile(r"trading (?P<symbol>\S+) (?P<state>[A-Z_]+) ?(?P<why>.*)"),
    "load": re.compile("load"),
    "restart": re.compile("restart"),
    "end_day": re.compile("end of day"),
    "day": re.compile(r"day (?P<date>\d+): (?P<phases>.+)"),
    "resume": re.compile(r"resume (?P<symbol>\S+) ?(?P<why>.*)"),
    "wait": re.compile(r"wait (?P<seconds>\d+)"),
    "tick": re.compile(r"tick (?P<seconds>\d+)"),
    "protect": re.compile(
        r"protect (?P<instruments>none|[A-Z]+(?: (?:band|move|weight) \d+)+"
        r"(?:, [A-Z]+(?: (?:band|move|weight) \d+)+)*)(?P<rules>(?: [a-z-]+(?: \d+)+)*)"
    ),
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
                if name == "tick":
                    ticks = range(int(words["seconds"]))
                    return [event for _ in ticks for event in self._apply(self._wait(1))]
                return self._apply(getattr(self, f"_{name}")(**words))
        raise ValueError(f"not a line of a script: {line}")

    def _apply(self, command: tuple) -> list[tuple]:
        self._now_ns += 1  # commands of one second are not at the very same time
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

    def _terms(self, side, quantity, symbol, price, tif, wants="") -> tuple[tuple, tuple]:
        """The fields of an order from its symbol on, and (terms,) if it has any."""
        order_type, limit, terms = priced(price)
        tif, _, expiry = (tif or "day").partition(" ")
        if expiry:
            terms["expire_time_ns"] = int(expiry) * SECOND_NS
        terms.update(wanted(wants or ""))
        fields = (symbol, SIDES[side], order_type, TIMES_IN_FORCE[tif], int(quantity), limit)
        return fields, (tuple(Terms(**terms)),) if terms else ()

    def _enter(self, session, name, account, **terms) -> tuple:
        number = self._next_msg_seq_num(session)
        kind = CommandKind.ENTER_ORDER
        fields, end = self._terms(**terms)
        return (*EnterOrder(kind, session, number, account or "", name, *fields), *end)

    def _replace(self, session, orig, new, name, account, **terms) -> tuple:
        assert name is None, "a replace says its name after `by`"
        assert account is None, "a replace has no account"
        number = self._next_msg_seq_num(session)
        kind = CommandKind.REPLACE_ORDER
        fields, end = self._terms(**terms)
        return (*ReplaceOrder(kind, session, number, new, orig, *fields), *end)

    def _wait(self, seconds) -> ClockTick:
        self._now_ns = (self._now_ns // SECOND_NS + int(seconds)) * SECOND_NS
        return ClockTick(CommandKind.CLOCK_TICK)

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
        fields, end = self._terms(**terms)
        return (
            *EnterNumberedOrder(
                CommandKind.ENTER_NUMBERED_ORDER,
                session,
                int(channel or 0),
                int(number),
                *fields,
                int(group or 0),
                *refused(why, found, memo),
            ),
            *end,
        )

    def _replace_number(
        self, session, channel, orig, number, quantity, price, tif, why, found, memo, wants
    ):
        fields, end = self._terms("buy", quantity, "", price, tif, wants)
        _, _, order_type, tif, quantity, limit = fields
        return (
            *ReplaceNumberedOrder(
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
            ),
            *end,
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

    def _day(self, date, phases) -> ScheduleTradingDay:
        said = [phase.split() for phase in phases.split(", ")]
        begins = tuple(
            (int(second) * SECOND_NS, int(TradingState[state])) for state, second in said
        )
        return ScheduleTradingDay(CommandKind.SCHEDULE_TRADING_DAY, int(date), begins)

    def _resume(self, symbol, why) -> ResumeTrading:
        symbol = "" if symbol == "all" else symbol
        return ResumeTrading(CommandKind.RESUME_TRADING, symbol, why)

    def _protect(self, instruments, rules) -> SetProtection:
        rows = [] if instruments == "none" else [row.split() for row in instruments.split(", ")]
        named = [
            (symbol, dict(zip(said[::2], map(int, said[1::2]), strict=True)))
            for symbol, *said in rows
        ]
        return SetProtection(
            CommandKind.SET_PROTECTION,
            tuple(ruled(rules)),
            tuple(
                (symbol, said.get("band", 0), said.get("move", 0), said.get("weight", 0))
                for symbol, said in named
            ),
        )

    def _end_day(self) -> EndDay:
        return EndDay(CommandKind.END_DAY)

    def _load(self) -> LoadReferenceData:
        return MARKET


def price_of(text: str) -> int:
    """A price of a script in 1/10,000."""
    price = parse_price(text)
    assert price is not None, f"no price: {text}"
    return price


def priced(text: str) -> tuple[int, int, dict]:
    """Order type, limit and terms of what a script says as the price of an order."""
    word, *rest = text.split()
    said = dict(zip(rest[::2], rest[1::2], strict=False))
    if word == "at":
        return 2, price_of(rest[0]), {}
    if word == "stop":
        stop_price = price_of(rest[0])
        if len(rest) == 1:
            return 3, 0, {"stop_price": stop_price}
        return 4, price_of(rest[2]), {"stop_price": stop_price}
    if word == "trail":
        from_ = price_of(rest[2]) if len(rest) > 1 else 0
        return 3, 0, {"trail_amount": price_of(rest[0]), "stop_price": from_}
    if word == "peg":
        said = dict(zip(rest[1::2], rest[2::2], strict=True))
        offset = price_of(said.get("plus", "0")) - price_of(said.get("minus", "0"))
        peg = PegType[rest[0].upper()]
        return 80, price_of(said.get("limit", "0")), {"peg": peg, "peg_offset": offset}
    return (75 if word == "market-to-limit" else 1), 0, {}


def wanted(text: str) -> dict:
    """Terms of what else a script says of an order."""
    terms: dict = {}
    words = iter(text.split())
    for word in words:
        if word == "self-trade":
            assert next(words) == "group"
            terms["self_trade_group"] = int(next(words))
            action = next(words).upper().replace("-", "_")
            terms["self_trade_action"] = SelfTradeAction[action]
        elif word in ("display", "give-or-take", "min"):
            name = {"display": "display_qty", "give-or-take": "display_range", "min": "min_qty"}
            terms[name[word]] = int(next(words))
        else:
            instruction = Instruction[word.upper().replace("-", "_")]
            terms["instructions"] = terms.get("instructions", 0) | instruction
    return terms


def ruled(text: str) -> ProtectionRules:
    """Rules of protection as a script says them."""
    rules: dict = {}
    for name, values in re.findall(r"([a-z-]+)((?: \d+)+)", text):
        numbers = [int(value) for value in values.split()]
        if name == "breakers":
            rules |= {f"breaker_level_{level}": each for level, each in enumerate(numbers, 1)}
        else:
            key = {"halt": "breaker_halt", "until": "breaker_until"}.get(name, name)
            rules[key.replace("-", "_") + "_ns"] = numbers[0] * SECOND_NS
    return ProtectionRules(**rules)


def refused(why, found, memo) -> tuple:
    """The end of a numbered command: refusal, found, memo."""
    return (RejectReason[why] if why else 0, found or "", (memo or "").encode())
