"""What the clients of a load ask for: a cycle of requests that leaves the books as it found them.

Of 100 requests 50 are new orders that rest, 35 cancel one of those, 10 replace one, and 5 are
orders that cross the market. 15 of the 50 rest one tick beside the middle, where each crossing
order takes three of them; the others stand deeper and are canceled in the end. A session sends a
crossing order only after three that it can take, so, whatever the sessions' requests are mixed
with, near orders suffice, no crossing order reaches a deep one, and every request is answered
exactly once: what has no answer is lost.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

MIDDLE_PRICE: Final = 1_000_000
TICK: Final = 100
QUANTITY: Final = 100

MIX: Final = {"new": 0.50, "cancel": 0.35, "replace": 0.10, "cross": 0.05}
CYCLE: Final = 5_000
"""Requests after which a session has no order left, and begins again with the same ones."""
TAKEN_BY_A_CROSSING_ORDER: Final = 3
_OPEN_ORDERS: Final = 40
"""Deep orders of a session before it cancels one; all are gone at the end of a cycle."""
_DEEPEST_TICKS: Final = 20


class Kind(Enum):
    """What a request asks for."""

    NEW = "new"
    CANCEL = "cancel"
    REPLACE = "replace"
    CROSS = "cross"


class Step(NamedTuple):
    """One request. `target` is the place in the cycle of the request that gave the order its
    present name (a cancel's, a replace's), and the step's own place for an order that is new.
    `quantity` is 0 in a cancel."""

    kind: Kind
    target: int
    symbol: str
    side: str
    quantity: int
    price: int


def opposite(side: str) -> str:
    """FIX Side(54) of the other side: 1 buys, 2 sells."""
    return "2" if side == "1" else "1"


def _priced(side: str, ticks: int) -> int:
    """A price so many ticks on its own side of the middle."""
    return MIDDLE_PRICE - ticks * TICK if side == "1" else MIDDLE_PRICE + ticks * TICK


class _Maker:
    """Draws the steps of one cycle; every count of the mix is met exactly."""

    def __init__(self, seed: str, symbols: Sequence[str]) -> None:
        self._random = random.Random(seed)
        self._symbols = symbols
        self._steps: list[Step] = []
        self._deep: list[Step] = []
        crossing = round(CYCLE * MIX["cross"])
        near = [self._place() for _ in range(crossing)] * TAKEN_BY_A_CROSSING_ORDER
        self._random.shuffle(near)
        self._near = near
        self._waiting: dict[tuple[str, str], int] = {}
        self._ready: list[tuple[str, str]] = []
        self._left = {
            "near": len(near),
            "deep": round(CYCLE * MIX["new"]) - len(near),
            "cancel": round(CYCLE * MIX["cancel"]),
            "replace": round(CYCLE * MIX["replace"]),
            "cross": crossing,
        }
        assert sum(self._left.values()) == CYCLE, f"{self._left} do not make a cycle"
        assert self._left["deep"] == self._left["cancel"], "each deep order is canceled"

    def _place(self) -> tuple[str, str]:
        return self._random.choice(self._symbols), self._random.choice("12")

    def make(self) -> list[Step]:
        """All of them."""
        make = {
            "near": self._near_step,
            "deep": self._deep_step,
            "cancel": self._cancel_step,
            "replace": self._replace_step,
            "cross": self._cross_step,
        }
        while any(self._left.values()):
            what = self._draw()
            self._left[what] -= 1
            self._steps.append(make[what]())
        return self._steps

    def _draw(self) -> str:
        possible = dict(self._left)
        if not self._ready:
            possible["cross"] = 0
        if self._left["deep"] and len(self._deep) < _OPEN_ORDERS:
            possible["cancel"] = possible["replace"] = 0
        elif self._left["replace"] and len(self._deep) == 1:
            possible["cancel"] = 0  # the last order goes after the last replace
        return self._random.choices(list(possible), list(possible.values()))[0]

    def _near_step(self) -> Step:
        place = self._near.pop()
        waiting = self._waiting.get(place, 0) + 1
        if waiting == TAKEN_BY_A_CROSSING_ORDER:
            waiting = 0
            self._ready.append(place)
        self._waiting[place] = waiting
        symbol, side = place
        return Step(Kind.NEW, len(self._steps), symbol, side, QUANTITY, _priced(side, 1))

    def _deep_step(self) -> Step:
        symbol, side = self._place()
        step = Step(Kind.NEW, len(self._steps), symbol, side, QUANTITY, self._deep_price(side))
        self._deep.append(step)
        return step

    def _deep_price(self, side: str) -> int:
        return _priced(side, self._random.randrange(2, _DEEPEST_TICKS))

    def _cancel_step(self) -> Step:
        order = self._deep.pop(self._random.randrange(len(self._deep)))
        return order._replace(kind=Kind.CANCEL, quantity=0)

    def _replace_step(self) -> Step:
        at = self._random.randrange(len(self._deep))
        order = self._deep[at]
        price = self._deep_price(order.side)
        self._deep[at] = order._replace(target=len(self._steps))
        return order._replace(kind=Kind.REPLACE, quantity=2 * QUANTITY, price=price)

    def _cross_step(self) -> Step:
        symbol, side = self._ready.pop(0)
        quantity = TAKEN_BY_A_CROSSING_ORDER * QUANTITY
        taker = opposite(side)
        return Step(Kind.CROSS, len(self._steps), symbol, taker, quantity, _priced(side, 1))


class Flow:
    """The requests of one session, numbered from 0 without end: those of its cycle again and again.

    The same seed and symbols make the same flow."""

    def __init__(self, seed: str, symbols: Sequence[str]) -> None:
        self.steps = _Maker(seed, symbols).make()
        self._canceled_by = {
            step.target: place for place, step in enumerate(self.steps) if step.kind is Kind.CANCEL
        }

    def step(self, number: int) -> Step:
        """What request `number` asks for."""
        return self.steps[number % CYCLE]

    def target(self, number: int) -> int:
        """Number of the request whose name request `number` gives to the order that it means."""
        place = number % CYCLE
        return number - place + self.steps[place].target

    def cancel_of(self, number: int) -> int | None:
        """Number of the request that cancels the order named by request `number`; None: nobody
        does."""
        place = number % CYCLE
        canceled_by = self._canceled_by.get(place)
        return None if canceled_by is None else number - place + canceled_by
