"""`exchange bench engine`: what matching and the state machine cost alone, in one process.

Figures are CPU time, so what else runs on the machine counts only as far as it spoils the caches.
Messages and commands are made in blocks before the clock runs, decoded a piece at a time as out of
a log entry, and timed in pieces; a figure is the median of the pieces. The garbage collector rests;
a node lets it look between batches, at what they leave (cluster/garbage.py).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from random import Random
from statistics import median
from typing import Any, Final, TypeVar

from cluster.codec import pack, pack_commands, unpack, unpack_commands
from exchange.bench.book_flow import MIDDLE_TICKS, TICK, BookFlow, Message, MessageKind
from exchange.bench.command_flow import SEED, CommandFlow
from exchange.bench.figures import host_facts
from exchange.processes import resident_bytes
from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, OrderType, Side, TimeInForce
from oms.commands import Command, CommandKind
from oms.events import EventKind
from oms.state_machine import ExchangeStateMachine

T = TypeVar("T")

INSTRUMENTS: Final = 100
SPREAD_OVER_INSTRUMENTS: Final = (1, 100, 10_000)
SPREAD_OVER_OPEN_ORDERS: Final = (1_000, 100_000, 1_000_000)
_BLOCK: Final = 20_000
_PIECE: Final = 1_000
_PER_CALL: Final = 100
"""Commands that the state machine gets at a time: as many as a log entry has under load."""
_ROUNDS: Final = 25
_LIMIT: Final = int(OrderType.LIMIT)
_DAY: Final = int(TimeInForce.DAY)
_ENTER: Final = int(MessageKind.ENTER)
_CANCEL: Final = int(MessageKind.CANCEL)
_EXECUTED: Final = int(EventKind.ORDER_EXECUTED)


def run_engine(
    messages: int, open_orders: int, say: Callable[[str], None], *, spread: bool
) -> dict[str, Any]:
    """Measure, each measurement in a process of its own; returns what README.md says of it.
    `spread`: also over open orders and instruments, which takes minutes."""
    facts: dict[str, Any] = {"calibration_ms": round(calibration_ms(), 2)}
    say(f"matching: {messages} messages, {open_orders} open orders")
    facts["matching"] = _in_new_process(measure_matching, messages, open_orders)
    say(f"state machine: {messages} commands, {open_orders} open orders")
    facts["state_machine"] = _in_new_process(measure_commands, messages, open_orders, INSTRUMENTS)
    say("state machine: each kind of plain order")
    facts["plain_order_us"] = _in_new_process(measure_kinds)
    facts["bytes_per_resting_order"] = _in_new_process(measure_memory, open_orders)
    if spread:
        by_open_orders, by_instruments = {}, {}
        for count in SPREAD_OVER_OPEN_ORDERS:
            say(f"state machine: {count} open orders")
            by_open_orders[count] = _in_new_process(cost_us, messages // 4, count, INSTRUMENTS)
        for count in SPREAD_OVER_INSTRUMENTS:
            say(f"state machine: {count} instruments")
            by_instruments[count] = _in_new_process(cost_us, messages // 4, 100_000, count)
        facts["us_by_open_orders"] = by_open_orders
        facts["us_by_instruments"] = by_instruments
    return facts | {"host": host_facts()}


def _in_new_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Memory and garbage of one measurement must not be those of the next."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    while piece := list(islice(items, size)):
        yield piece


def _per_s(cost_us: float) -> int:
    return round(1e6 / cost_us)


def calibration_ms() -> float:
    """CPU time of a fixed loop of Python, to compare machines by: the best of five."""
    return min(_calibrate() for _ in range(5))


def _calibrate() -> float:
    begun_s = time.process_time()
    table: dict[int, int] = {}
    for number in range(200_000):
        table[number & 1023] = table.get(number & 511, 0) + number
    return 1_000 * (time.process_time() - begun_s)


# --- matching -------------------------------------------------------------------------------------


def measure_matching(messages: int, open_orders: int) -> dict[str, Any]:
    """One order book alone, from messages to executions."""
    gc.disable()
    flow = BookFlow(Random(SEED), open_orders)
    book: OrderBook[BookOrder] = OrderBook(MatchNumbers())
    for piece in _pieces(flow.filling(), _BLOCK):
        play(book, piece)
    costs_us: list[float] = []
    executions = 0
    while len(costs_us) * _PIECE < messages:
        for packed in [pack(piece) for piece in _pieces(flow.trading(_BLOCK), _PIECE)]:
            piece = unpack(packed)
            begun_s = time.process_time()
            executions += play(book, piece)
            costs_us.append(1e6 * (time.process_time() - begun_s) / len(piece))
    book.check_invariants()
    cost = median(costs_us)
    return {
        "messages_per_s": _per_s(cost),
        "us_per_message": round(cost, 3),
        "us_best_piece": round(min(costs_us), 3),
        "messages": len(costs_us) * _PIECE,
        "executions": executions,
        "open_orders": len(book),
    }


def play(book: OrderBook[BookOrder], messages: Iterable[Message]) -> int:
    """Let a book have messages. Return the number of executions."""
    enter, find = book.enter, book.find
    executions = 0
    for kind, _, number, old_number, side, time_in_force, price, quantity in messages:
        if kind == _ENTER:
            order = BookOrder(number, side, price, quantity)
            executions += len(enter(order, _LIMIT, time_in_force))
            continue
        resting = find(old_number)
        if resting is None:
            continue  # somebody has traded with it
        if kind == _CANCEL:
            book.cancel(resting)
        else:
            executions += len(book.replace(resting, number, price, quantity) or ())
    return executions


# --- the state machine ----------------------------------------------------------------------------


def cost_us(commands: int, open_orders: int, instruments: int) -> float:
    """What a command costs."""
    cost: float = measure_commands(commands, open_orders, instruments)["us_per_command"]
    return cost


def measure_commands(commands: int, open_orders: int, instruments: int) -> dict[str, Any]:
    """The state machine alone, from decoded commands to events, with orders of all kinds that
    plain orders have: entered, traded, canceled, replaced."""
    gc.disable()
    flow = CommandFlow(instruments, open_orders)
    machine = ExchangeStateMachine()
    machine.apply_all(flow.opening(), 1)
    for call in _pieces(flow.filling(), _PER_CALL):
        machine.apply_all(call, 2)
    costs_us: list[float] = []
    events = executions = 0
    while len(costs_us) * _PIECE < commands:
        block = [pack_commands(call) for call in _pieces(flow.trading(_BLOCK), _PER_CALL)]
        for piece in _pieces(block, _PIECE // _PER_CALL):
            spent_s, count = 0.0, 0
            for packed in piece:
                commands_of_entry = unpack_commands(packed)
                count += len(commands_of_entry)
                begun_s = time.process_time()
                told = machine.apply_all(commands_of_entry, 3)
                spent_s += time.process_time() - begun_s
                events += len(told)
                executions += sum(event[0] == _EXECUTED for event in told) // 2
            costs_us.append(1e6 * spent_s / count)
    machine.check_invariants()
    cost = median(costs_us)
    return {
        "orders_per_s": _per_s(cost),
        "us_per_command": round(cost, 3),
        "us_best_piece": round(min(costs_us), 3),
        "commands": len(costs_us) * _PIECE,
        "events": events,
        "executions": executions,
        "open_orders": sum(len(each.book) for each in machine.state.listings.values()),
        "instruments": instruments,
    }


def measure_kinds() -> dict[str, float]:
    """What each kind of plain order costs in a small book, from command to events, in us: the best
    of some rounds, so nothing but the instructions."""
    gc.disable()
    best: dict[str, float] = {}
    for _ in range(_ROUNDS):
        machine = ExchangeStateMachine()
        machine.apply_all(CommandFlow(1, 0).opening(), 1)
        for kind, commands in _commands_by_kind().items():
            begun_s = time.process_time()
            machine.apply_all(commands, 2)
            cost = 1e6 * (time.process_time() - begun_s) / len(commands)
            best[kind] = min(cost, best.get(kind, cost))
        gc.collect()
    return {kind: round(cost, 2) for kind, cost in best.items()}


def _commands_by_kind() -> dict[str, list[Command]]:
    """Orders that come to rest below the middle, then their replaces, sales that trade with half of
    them, and cancels of the others."""
    count, middle = 400, MIDDLE_TICKS * TICK
    enter = int(CommandKind.ENTER_ORDER)
    buy, sell = int(Side.BUY), int(Side.SELL)

    def terms(side: int, price: int) -> tuple[int, ...]:
        return side, _LIMIT, _DAY, 100, price

    prices = [middle - TICK * (1 + number % 40) for number in range(count)]
    lowest = min(prices) - TICK
    return {
        "rest": [
            (enter, "C0", n, "", f"A{n}", "S1", *terms(buy, price))
            for n, price in enumerate(prices)
        ],
        "replace": [
            (int(CommandKind.REPLACE_ORDER), "C0", n, f"R{n}", f"A{n}", "S1", *terms(buy, lowest))
            for n in range(count)
        ],
        "trade": [
            (enter, "C1", n, "", f"B{n}", "S1", *terms(sell, lowest)) for n in range(count // 2)
        ],
        "cancel": [
            (int(CommandKind.CANCEL_ORDER), "C0", n, f"X{n}", f"R{n}", "S1", buy)
            for n in range(count // 2, count)
        ],
    }


def measure_memory(open_orders: int) -> int:
    """Bytes in RAM for an order that rests, its name included."""
    gc.disable()
    flow = CommandFlow(INSTRUMENTS, open_orders)
    machine = ExchangeStateMachine()
    machine.apply_all(flow.opening(), 1)
    gc.collect()
    before = resident_bytes(os.getpid())
    for call in _pieces(flow.resting(), _PER_CALL):
        machine.apply_all(call, 2)
    return round((resident_bytes(os.getpid()) - before) / open_orders)
