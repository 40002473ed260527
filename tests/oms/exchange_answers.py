"""Golden scripts of the exchange: the language in which it answers (exchange_script.py: asks)."""

from __future__ import annotations

from matching.types import PegType, SelfTradeAction
from oms.events import (
    BustRefusal,
    CancelReason,
    CancelRejectedResponseTo,
    EventKind,
    Liquidity,
    OrdStatus,
    RejectReason,
    SystemEventCode,
    TradingState,
)
from oms.price import format_price
from oms.terms import Instruction, Terms

SECOND_NS = 1_000_000_000
SIDES = {"buy": 1, "sell": 2, "short": 5, "exempt": 6}
SIDE_WORDS = {value: word.upper() for word, value in SIDES.items()}
TIMES_IN_FORCE = {"day": 0, "gtc": 1, "ioc": 3, "fok": 4, "gtd": 6, "opg": 2, "cls": 7}
TIF_WORDS = {value: word.upper() for word, value in TIMES_IN_FORCE.items()}


def describe(event: tuple) -> str:
    """One event in the words of a trader. Private events begin with the session, market data
    with `feed`."""
    kind = EventKind(event[0])
    return DESCRIPTIONS[kind](*event[1:])


def percent(ppm: int) -> str:
    """Parts per million as a percentage."""
    return f"{ppm // 10_000}.{ppm % 10_000:04d}".rstrip("0").rstrip(".") + "%"


def remembering(memo: tuple) -> str:
    """The memo of a numbered request; that of another is not even empty."""
    return f", memo {memo[0].decode()}" if memo and memo[0] else ""


def number_of(channel: int, number: int) -> str:
    """A number as a script says it."""
    return f"number {number} in {channel}" if channel else f"number {number}"


TYPE_WORDS = {1: "market", 3: "stop", 4: "stop", 75: "market-to-limit", 80: "pegged"}


def order_state(name, order_id, account, symbol, side, order_type, tif, quantity, price, *rest):
    """The terms of an order, then its state."""
    cum, leaves, value, status, number = rest
    words = [TYPE_WORDS[order_type]] if order_type in TYPE_WORDS else []
    if price or order_type == 2:
        words.append(f"at {format_price(price)}")
    limit = " ".join(words)
    traded = f" (average {format_price(value // cum)})" if cum else ""
    return (
        f"order {order_id} {account} {SIDE_WORDS[side]} {quantity} {symbol} {limit}"
        f" {TIF_WORDS[tif]}: {OrdStatus(status).name}, cum {cum}{traded}, leaves {leaves},"
        f" reference {number}"
    )


def ending(rest: tuple) -> str:
    """The end of an event: memo, then what the order wants besides."""
    memo, terms = rest[:1], rest[1:]
    return remembering(memo) + (wanting(terms[0]) if terms else "")


def wanting(values: tuple) -> str:
    """The terms of an order, in the words of a script."""
    terms = Terms(*values)
    words = []
    if terms.stop_price:
        words.append(f"stop {format_price(terms.stop_price)}")
    if terms.trail_amount:
        words.append(f"trail {format_price(terms.trail_amount)}")
    if terms.peg:
        words.append(f"peg {PegType(terms.peg).name.lower()}")
    if terms.peg_offset:
        sign = "plus" if terms.peg_offset > 0 else "minus"
        words.append(f"{sign} {format_price(abs(terms.peg_offset))}")
    if terms.display_qty:
        words.append(f"display {terms.display_qty}")
    if terms.display_range:
        words.append(f"give-or-take {terms.display_range}")
    if terms.min_qty:
        words.append(f"min {terms.min_qty}")
    for instruction in Instruction:
        if terms.instructions & instruction:
            words.append(instruction.name.lower().replace("_", "-"))
    if terms.self_trade_group:
        action = SelfTradeAction(terms.self_trade_action).name.lower().replace("_", "-")
        words.append(f"self-trade group {terms.self_trade_group} {action}")
    if terms.expire_time_ns:
        words.append(f"until second {terms.expire_time_ns // SECOND_NS}")
    return f" [{', '.join(words)}]" if words else ""


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
    *order, orig, quantity, reason = fields[:16]
    instead = without_trade(*fields[16:])
    asked = f"{name} canceled {orig}" if orig else f"{name} canceled by the exchange"
    why = f"{CancelReason(reason).name}{instead}"
    return f"{owner} {asked}: {quantity} taken out, {why}, {order_state(name, *order)}"


def without_trade(prevented=()):
    """What would have traded, if it had not been prevented."""
    if not prevented:
        return ""
    quantity, price, liquidity, action = prevented
    which = f"{Liquidity(liquidity).name}, {SelfTradeAction(action).name}"
    return f" instead of {quantity} at {format_price(price)} {which}"


def describe_rejected(owner, name, *fields):
    *order, reason, found, limit = fields[:16]
    if reason == RejectReason.INVALID_EXPIRE_TIME:
        found, limit = f"second {found // SECOND_NS}", f"second {limit // SECOND_NS}"
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


def describe_indicated(symbol, paired, imbalance, price, reference, auction):
    what = f"{paired} at {format_price(price)}" if paired else "nothing"
    over = ""
    if imbalance:
        side = "buyers" if imbalance > 0 else "sellers"
        over = f", {abs(imbalance)} left of {side}"
    name = TradingState(auction).name
    return f"{name} of {symbol} would trade {what}{over}, reference {format_price(reference)}"


def describe_day(first, high, low, volume, value, trades, last):
    if not trades:
        return "no trade"
    prices = f"open {format_price(first)}, high {format_price(high)}, low {format_price(low)}"
    average = format_price(value // volume)
    return f"{prices}, last {format_price(last)}, {volume} in {trades} trades, average {average}"


def describe_status(owner, name, order_id, *fields):
    if order_id == 0:
        return f"{owner} {name} is unknown"
    end = ending((b"", *fields[12:]))
    return f"{owner} {name} is {order_state(name, order_id, *fields[:12])}{end}"


def describe_orders_canceled(owner, name, symbol, side, canceled, reason, found, limit):
    if reason:
        assert canceled == 0, "a refusal cancels nothing"
        return f"{owner} {name} rejected, {because(reason, found, limit)}"
    which = f"{symbol or 'all'} {SIDE_WORDS[side]}" if side else symbol or "all"
    return f"{owner} {name} cancels {canceled} orders in {which}"


def describe_listed(owner, name, order_id, *fields):
    *order, request, total, remaining = fields[:15]
    terms = wanting(*fields[15:]) if fields[15:] else ""
    if order_id == 0:
        assert (name, total, remaining) == ("", 0, 0), "nothing is listed"
        return f"{owner} {request}: no order"
    place = f"{total - remaining} of {total}"
    return f"{owner} {request}: {place}, {name} is {order_state(name, order_id, *order)}{terms}"


def describe_instruments(owner, request, total, remaining, rows):
    listed = "; ".join(
        f"{locate} {symbol}, lot {lot}, tick {format_price(tick)}, reference {format_price(price)},"
        f" {TradingState(state).name}"
        for symbol, locate, lot, tick, price, state in rows
    )
    return f"{owner} {request}: {total} instruments, {remaining} to come: {listed or 'none'}"


def describe_instrument_status(owner, request, symbol, is_known, state, last, low, high):
    if not is_known:
        assert (state, last, low, high) == (0, 0, 0, 0), "of an unknown symbol nothing is known"
        return f"{owner} {request}: {symbol} is unknown"
    return (
        f"{owner} {request}: {symbol} is {TradingState(state).name}, {last_trade(last)},"
        f" band {format_price(low)} to {format_price(high)}"
    )


def describe_book(owner, request, symbol, is_known, last, bids, asks):
    if not is_known:
        assert (last, bids, asks) == (0, (), ()), "of an unknown symbol nothing is known"
        return f"{owner} {request}: {symbol} is unknown"
    sides = (
        ", ".join(f"{quantity}@{format_price(price)} ({count})" for price, quantity, count in side)
        for side in (bids, asks)
    )
    bid, ask = (side or "nobody" for side in sides)
    return f"{owner} {request}: {symbol} {last_trade(last)}, bids {bid}; asks {ask}"


def last_trade(price) -> str:
    """The price of the last trade."""
    return f"last trade at {format_price(price)}" if price else "no trade yet"


def describe_counts(counts) -> str:
    """How many instruments are in each trading state, those without any but for the first three
    left out."""
    words = [state.name.lower().replace("_", " ") for state in TradingState]
    return ", ".join(
        f"{count} {word}"
        for place, (count, word) in enumerate(zip(counts, words, strict=True))
        if count or place < 3
    )


DESCRIPTIONS = {
    EventKind.ORDER_ACCEPTED: lambda owner, name, *order: (
        f"{owner} {name} accepted, {order_state(name, *order[:13])}{ending(order[13:])}"
    ),
    EventKind.ORDER_EXECUTED: describe_executed,
    EventKind.ORDER_CANCELED: describe_canceled,
    EventKind.ORDER_REPLACED: lambda owner, name, *order: (
        f"{owner} {name} replaced {order[13]}, {order_state(name, *order[:13])}{ending(order[14:])}"
    ),
    EventKind.ORDER_REJECTED: describe_rejected,
    EventKind.CANCEL_REJECTED: describe_cancel_rejected,
    EventKind.ORDER_STATUS_REPORTED: describe_status,
    EventKind.ORDERS_CANCELED: describe_orders_canceled,
    EventKind.ORDER_LISTED: describe_listed,
    EventKind.INSTRUMENTS_LISTED: describe_instruments,
    EventKind.INSTRUMENT_STATUS_REPORTED: describe_instrument_status,
    EventKind.MARKET_STATUS_REPORTED: lambda owner, request, *counts: (
        f"{owner} {request}: {describe_counts(counts)}"
    ),
    EventKind.BOOK_REPORTED: describe_book,
    EventKind.ORDER_REDUCED: lambda owner, name, *order: (
        f"{owner} {name} reduced by {order[13]}{without_trade(*order[14:])},"
        f" {order_state(name, *order[:13])}"
    ),
    EventKind.ORDER_MODIFIED: lambda owner, name, *order: (
        f"{owner} {name} modified, {order[-1]} taken off, {order_state(name, *order[:-1])}"
    ),
    EventKind.ORDER_TRIGGERED: lambda owner, name, *order: (
        f"{owner} {name} triggered, {order_state(name, *order)}"
    ),
    EventKind.ORDER_RESTATED: lambda owner, name, *order: (
        f"{owner} {name} shows the next {order[-1]}, {order_state(name, *order[:-1])}"
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
    EventKind.TRADE_BUSTED: lambda _, locate, symbol, match, quantity, price, why: (
        f"feed {locate}: match {match}, {quantity} {symbol} at {format_price(price)}, is busted"
        f" {why}".rstrip()
    ),
    EventKind.EXECUTION_BUSTED: lambda owner, name, *order: (
        f"{owner} {name} has lost {order[-4]} at {format_price(order[-3])}, match {order[-2]},"
        f" event {order[-1]}, {order_state(name, *order[:-4])}"
    ),
    EventKind.EMERGENCY_CLOSED: lambda owner, symbol, why: (
        f"{owner} is told that {symbol or 'everything'} closes in an emergency"
    ),
    EventKind.BUST_REFUSED: lambda _, match, refusal: (
        f"match {match} is not busted, {BustRefusal(refusal).name}"
    ),
    EventKind.PRICE_BAND_SET: lambda _, locate, symbol, reference, low, high: (
        f"{symbol} may trade from {format_price(low)} to {format_price(high)},"
        f" reference {format_price(reference)}"
        if reference
        else f"{symbol} has no band any more"
    ),
    EventKind.CIRCUIT_BREAKERS_SET: lambda _, *levels: (
        f"feed: circuit breakers at {', '.join(map(percent, levels))} of yesterday"
    ),
    EventKind.CIRCUIT_BREAKER_TRIPPED: lambda _, level, index: (
        f"feed: circuit breaker {level}, the index is at {percent(index)}"
    ),
    EventKind.INSTRUMENT_ADDED: lambda _, symbol, locate, lot, tick, price: (
        f"feed: instrument {locate} {symbol}, lot {lot}, tick {format_price(tick)},"
        f" reference {format_price(price)}"
    ),
    EventKind.TRADING_ACTION: lambda _, symbol, locate, state, reason: (
        f"feed: instrument {locate} {symbol} is {TradingState(state).name} {reason}".rstrip()
    ),
    EventKind.TRADING_DAY_STARTED: lambda owner: f"{owner} has another trading day",
    EventKind.TRADING_DAY_ENDED: lambda owner: f"{owner} has had its trading day",
    EventKind.SYSTEM_EVENT: lambda _, code: f"feed: {SystemEventCode(code).name}",
    EventKind.BOOK_ADDED: lambda _, locate, number, side, quantity, price: (
        f"feed {locate}: add {number} {SIDE_WORDS[side]} {quantity} at {format_price(price)}"
    ),
    EventKind.BOOK_EXECUTED: lambda _, locate, number, quantity, price, match: (
        f"feed {locate}: {quantity} of {number} executed at {format_price(price)}, match {match}"
    ),
    EventKind.AUCTION_EXECUTED: lambda _, locate, symbol, quantity, price, match, auction: (
        f"feed {locate}: {TradingState(auction).name} of {symbol} is over:"
        + (f" {quantity} at {format_price(price)}, match {match}" if quantity else " no trade")
    ),
    EventKind.AUCTION_INDICATED: lambda _, locate, symbol, *indicated: (
        f"feed {locate}: {describe_indicated(symbol, *indicated)}"
    ),
    EventKind.INSTRUMENT_DAY_ENDED: lambda _, locate, symbol, *day: (
        f"feed: day of instrument {locate} {symbol}: {describe_day(*day)}"
    ),
    EventKind.BOOK_REDUCED: lambda _, locate, number, quantity: (
        f"feed {locate}: reduce {number} by {quantity}"
    ),
    EventKind.BOOK_DELETED: lambda _, locate, number: f"feed {locate}: delete {number}",
    EventKind.BOOK_REPLACED: lambda _, locate, old, new, quantity, price: (
        f"feed {locate}: replace {old} by {new} with {quantity} at {format_price(price)}"
    ),
}
