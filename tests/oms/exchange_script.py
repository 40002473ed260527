"""Golden scripts of the exchange: the language in which they ask and in which it answers.

    CLIENT1 buy|sell|short 100 AAPL at 100.00|market as A1 [ioc|fok|gtc] [for ACC1]
    CLIENT1 replace A1 by A2: buy 50 AAPL at 100.10 [gtc]
    CLIENT1 cancel A1 by C1: buy AAPL
    CLIENT1 query A1
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

from oms.commands import (
    CancelOrder,
    CloseSession,
    CommandKind,
    EnterNumberedOrder,
    EnterOrder,
    GatewayLost,
    LoadReferenceData,
    MassCancel,
    ModifyNumberedOrder,
    OpenSession,
    QueryNumbers,
    QueryOrder,
    ReduceNumberedOrder,
    ReplaceNumberedOrder,
    ReplaceOrder,
    SetOrderEntry,
    SetTradingState,
)
from oms.events import (
    CancelReason,
    CancelRejectedResponseTo,
    EventKind,
    Liquidity,
    OrdStatus,
    RejectReason,
    SystemEventCode,
    TradingState,
)
from oms.price import format_price, parse_price
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
SIDES = {"buy": 1, "sell": 2, "short": 5, "exempt": 6}
SIDE_WORDS = {value: word.upper() for word, value in SIDES.items()}
TIMES_IN_FORCE = {"day": 0, "gtc": 1, "ioc": 3, "fok": 4}
TIF_WORDS = {value: word.upper() for word, value in TIMES_IN_FORCE.items()}

NAMES = r"(?P<session>\S+)"
TERMS = (
    r"(?P<side>buy|sell|short|exempt) (?P<quantity>-?\d+) (?P<symbol>\S+) (?P<price>market|at \S+)"
    r"(?: as (?P<name>\S+))?(?: (?P<tif>day|gtc|ioc|fok))?(?: for (?P<account>\S+))?"
)
CHANNEL = r"(?: in (?P<channel>\d+))?"
NUMBER = rf"(?P<number>\d+){CHANNEL}"
PRICE = r"(?P<price>market|at \S+)(?: (?P<tif>day|gtc|ioc|fok))?"
GROUP = r"(?: group (?P<group>-?\d+))?"
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


def describe(event: tuple) -> str:
    """One event in the words of a trader. Private events begin with the session, market data
    with `feed`."""
    kind = EventKind(event[0])
    return DESCRIPTIONS[kind](*event[1:])


def remembering(memo: tuple) -> str:
    """The memo of a numbered request; that of another is not even empty."""
    return f", memo {memo[0].decode()}" if memo and memo[0] else ""


def number_of(channel: int, number: int) -> str:
    """A number as a script says it."""
    return f"number {number} in {channel}" if channel else f"number {number}"


def order_state(name, order_id, account, symbol, side, order_type, tif, quantity, price, *rest):
    """The terms of an order, then its state."""
    cum, leaves, value, status, number = rest
    limit = f"at {format_price(price)}" if order_type == 2 else "market"
    traded = f" (average {format_price(value // cum)})" if cum else ""
    return (
        f"order {order_id} {account} {SIDE_WORDS[side]} {quantity} {symbol} {limit}"
        f" {TIF_WORDS[tif]}: {OrdStatus(status).name}, cum {cum}{traded}, leaves {leaves},"
        f" reference {number}"
    )


def because(reason, found, limit) -> str:
    """A refusal with its facts."""
    allowed = f", limit {limit}" if limit != "" else ""
    return f"{RejectReason(reason).name}: found {found}{allowed}"


def describe_executed(owner, name, *fields):
    *order, quantity, price, match_number, liquidity = fields
    return (
        f"{owner} {name} executed {quantity} at {format_price(price)}, match {match_number}"
        f" {Liquidity(liquidity).name}, {order_state(name, *order)}"
    )


def describe_canceled(owner, name, *fields):
    *order, orig, quantity, reason = fields
    asked = f"{name} canceled {orig}" if orig else f"{name} canceled by the exchange"
    reason_name = CancelReason(reason).name
    return f"{owner} {asked}: {quantity} taken out, {reason_name}, {order_state(name, *order)}"


def describe_rejected(owner, name, *fields):
    *order, reason, found, limit = fields[:16]
    assert order[0] == order[-1] == 0, "a rejected order has a number"
    assert order[-2] == OrdStatus.REJECTED
    why = because(reason, found, limit)
    return f"{owner} {name} rejected, {why}{remembering(fields[16:])}"


def describe_cancel_rejected(
    owner, name, orig, order_id, account, symbol, status, response_to, reason, found, limit
):
    word = CancelRejectedResponseTo(response_to).name.lower()
    state = f"order {order_id} {account} {symbol} is {OrdStatus(status).name}"
    if status == OrdStatus.REJECTED:
        assert order_id == 0, "an order that is not there has a number"
        state = "there is no such order"
    return f"{owner} {name} may not {word} {orig}, {because(reason, found, limit)}; {state}"


def describe_status(owner, name, order_id, *fields):
    if order_id == 0:
        return f"{owner} {name} is unknown"
    return f"{owner} {name} is {order_state(name, order_id, *fields)}"


DESCRIPTIONS = {
    EventKind.ORDER_ACCEPTED: lambda owner, name, *order: (
        f"{owner} {name} accepted, {order_state(name, *order[:13])}{remembering(order[13:])}"
    ),
    EventKind.ORDER_EXECUTED: describe_executed,
    EventKind.ORDER_CANCELED: describe_canceled,
    EventKind.ORDER_REPLACED: lambda owner, name, *order: (
        f"{owner} {name} replaced {order[13]}, {order_state(name, *order[:13])}"
        f"{remembering(order[14:])}"
    ),
    EventKind.ORDER_REJECTED: describe_rejected,
    EventKind.CANCEL_REJECTED: describe_cancel_rejected,
    EventKind.ORDER_STATUS_REPORTED: describe_status,
    EventKind.ORDER_REDUCED: lambda owner, name, *order: (
        f"{owner} {name} reduced by {order[-1]}, {order_state(name, *order[:-1])}"
    ),
    EventKind.ORDER_MODIFIED: lambda owner, name, *order: (
        f"{owner} {name} modified, {order[-1]} taken off, {order_state(name, *order[:-1])}"
    ),
    EventKind.NUMBER_REJECTED: lambda owner, channel, number, reason, found, memo: (
        f"{owner} {number_of(channel, number)} rejected, {because(reason, found, '')}"
        f"{remembering((memo,))}"
    ),
    EventKind.MASS_CANCELED: lambda owner, channel, number, symbol, canceled, memo: (
        f"{owner} {number_of(channel, number)} cancels {canceled} orders in {symbol or 'all'}"
        f"{remembering((memo,))}"
    ),
    EventKind.ORDER_ENTRY_SET: lambda owner, channel, number, enabled, memo: (
        f"{owner} {number_of(channel, number)}: order entry {'on' if enabled else 'off'}"
        f"{remembering((memo,))}"
    ),
    EventKind.NUMBERS_REPORTED: lambda owner, channel, number: (
        f"{owner} may use {number_of(channel, number)} next"
    ),
    EventKind.SESSION_OPENED: lambda owner, gateway, last: (
        f"{owner} opened on {gateway}, last message {last}"
    ),
    EventKind.SESSION_CLOSED: lambda owner, gateway, canceled: (
        f"{owner} closed on {gateway}, {canceled} orders canceled"
    ),
    EventKind.SESSION_REFUSED: lambda owner, gateway, reason: (
        f"{owner} refused on {gateway}, {RejectReason(reason).name}"
    ),
    EventKind.INSTRUMENT_ADDED: lambda _, symbol, locate, lot, tick, price: (
        f"feed: instrument {locate} {symbol}, lot {lot}, tick {format_price(tick)},"
        f" reference {format_price(price)}"
    ),
    EventKind.TRADING_ACTION: lambda _, symbol, locate, state, reason: (
        f"feed: instrument {locate} {symbol} is {TradingState(state).name} {reason}".rstrip()
    ),
    EventKind.SYSTEM_EVENT: lambda _, code: f"feed: {SystemEventCode(code).name}",
    EventKind.BOOK_ADDED: lambda _, locate, number, side, quantity, price: (
        f"feed {locate}: add {number} {SIDE_WORDS[side]} {quantity} at {format_price(price)}"
    ),
    EventKind.BOOK_REDUCED: lambda _, locate, number, quantity: (
        f"feed {locate}: reduce {number} by {quantity}"
    ),
    EventKind.BOOK_DELETED: lambda _, locate, number: f"feed {locate}: delete {number}",
    EventKind.BOOK_REPLACED: lambda _, locate, old, new, quantity, price: (
        f"feed {locate}: replace {old} by {new} with {quantity} at {format_price(price)}"
    ),
}
