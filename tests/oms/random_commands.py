"""Seeded random commands: mostly sensible, often wrong, now and then hostile."""

from __future__ import annotations

from random import Random

INSTRUMENTS = (
    ("AAPL", 1, 100, 1, 100_0000, 1_000, 10_000),
    ("INTC", 2, 500, 10, 31_2500, 333, 500),
    ("ZVZZT", 3, 1, 1, 100, 9_999, 4_294_967_295),
)
ACCOUNTS = (
    ("ACC1", "FIRM", 5_000, 3_800_0000),
    ("ACC2", "FIRM", 4_294_967_295, 2**63 - 1),
)
SESSIONS = (("S1", "ACC1"), ("S2", "ACC2"), ("S3", "ACC2"))
LOAD = (30, INSTRUMENTS, ACCOUNTS, SESSIONS)
OPEN_MARKET = (31, "", 2, "")

HOSTILE_INTEGERS = (-(2**63), -1, 0, 1, 3, 2**31, 2**32, 199_999_9901, 2**63 - 1, 2**64 - 1)
HOSTILE_STRINGS = (
    "",
    " ",
    "\x01",
    "\u00e9\u4e2d",
    "\ud800",
    "A" * 300,
    "aapl",
    "None",
    "\x00'\"\\",
)


class RandomCommands:
    """An endless stream of commands. It remembers a few names, to speak of orders that exist.

    `hostile` is the share of fields that are replaced by nonsense.
    """

    def __init__(self, seed: int, hostile: float = 0.01) -> None:
        self._random = Random(seed)
        self._hostile = hostile
        self._next_name = 0
        self._next_msg_seq_num = 0
        self._orders: list[tuple[str, str, str, int, int, int]] = []

    def next(self) -> tuple:
        """A command that a log could hold."""
        random = self._random
        kind = random.choices(
            (1, 2, 3, 4, 10, 11, 12, 20, 30, 31),
            (100, 60, 25, 10, 3, 0.7, 0.4, 2, 0.3, 1),
        )[0]
        command = getattr(self, f"_command_{kind}")()
        if kind == 30:
            return command
        return tuple(
            self._spoil(field) if position and random.random() < self._hostile else field
            for position, field in enumerate(command)
        )

    def _spoil(self, field):
        random = self._random
        if isinstance(field, bool):
            return not field
        return random.choice(HOSTILE_INTEGERS if isinstance(field, int) else HOSTILE_STRINGS)

    def _name(self) -> str:
        random = self._random
        if self._orders and random.random() < 0.02:
            return random.choice(self._orders)[1]
        self._next_name += 1
        return f"N{self._next_name}"

    def _msg_seq_num(self) -> int:
        self._next_msg_seq_num += self._random.randint(-1, 3)
        return max(self._next_msg_seq_num, 1)

    def _price(self, symbol: str) -> int:
        random = self._random
        middle, tick = {"AAPL": (100_0000, 100), "INTC": (31_2500, 500), "ZVZZT": (100, 1)}[symbol]
        return max(1, middle + tick * random.randint(-6, 6) + (random.random() < 0.01))

    def _quantity(self, symbol: str) -> int:
        random = self._random
        lot = 10 if symbol == "INTC" else 1
        return lot * random.randint(1, 40) + (random.random() < 0.01)

    def _command_1(self) -> tuple:
        random = self._random
        session = random.choice(("S1", "S2", "S3"))
        symbol = random.choice(("AAPL", "AAPL", "INTC", "ZVZZT"))
        side = random.choice((1, 1, 2, 5))
        order_type = random.choice((2, 2, 2, 2, 1))
        tif = random.choice((0, 0, 0, 1, 1, 3, 4))
        price = self._price(symbol) if order_type == 2 else 0
        name = self._name()
        if order_type == 2 and tif in (0, 1):
            self._orders.append((session, name, symbol, side, tif, price))
            del self._orders[:-25]
        number, quantity = self._msg_seq_num(), self._quantity(symbol)
        return (1, session, number, "", name, symbol, side, order_type, tif, quantity, price)

    def _order(self) -> tuple[str, str, str, int, int, int]:
        if not self._orders:
            return ("S1", "N0", "AAPL", 1, 0, 100_0000)
        return self._random.choice(self._orders)

    def _command_2(self) -> tuple:
        session, orig, symbol, side, tif, price = self._order()
        name = self._name()
        if self._random.random() < 0.5:
            price = self._price(symbol)
        self._orders.append((session, name, symbol, side, tif, price))
        number, quantity = self._msg_seq_num(), self._quantity(symbol)
        return (2, session, number, name, orig, symbol, side, 2, tif, quantity, price)

    def _command_3(self) -> tuple:
        session, orig, symbol, side, _, _ = self._order()
        return (3, session, self._msg_seq_num(), self._name(), orig, symbol, side)

    def _command_4(self) -> tuple:
        session, name, symbol, side, _, _ = self._order()
        return (4, session, self._msg_seq_num(), name, symbol, side)

    def _command_10(self) -> tuple:
        random = self._random
        session = random.choice(("S1", "S2", "S3"))
        return (10, session, random.choice("AB"), random.random() < 0.4, random.random() < 0.3)

    def _command_11(self) -> tuple:
        return (11, self._random.choice(("S1", "S2", "S3")), self._random.choice("AB"))

    def _command_12(self) -> tuple:
        return (12, self._random.choice("AB"))

    def _command_20(self) -> tuple:
        return (20,)

    def _command_30(self) -> tuple:
        return LOAD

    def _command_31(self) -> tuple:
        random = self._random
        symbol = random.choice(("", "AAPL", "INTC", "ZVZZT"))
        return (
            31,
            symbol,
            random.choice((0, 1, 2, 2, 2, 2, 2, 2, 2, 2)),
            random.choice(("", "T1")),
        )


def commands(seed: int, count: int, hostile: float = 0.01) -> list[tuple]:
    """An exchange that is loaded and opened, then `count` random commands."""
    source = RandomCommands(seed, hostile)
    return [LOAD, OPEN_MARKET, *(source.next() for _ in range(count))]
