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
GATEWAY_REFUSALS = (*range(21, 29), 30, 31)
LOAD = (30, INSTRUMENTS, ACCOUNTS, SESSIONS)
OPEN_MARKET = (31, "", 2, "")

WEIGHTS = {
    **{1: 100, 2: 80, 3: 25, 4: 10},
    **{5: 70, 6: 40, 7: 12, 8: 15, 9: 1},
    **{10: 4, 11: 0.7, 12: 0.4, 13: 2, 14: 2},
    **{15: 2, 16: 6, 17: 2, 18: 3, 19: 2, 21: 6},
    **{20: 10, 30: 0.3, 31: 3, 32: 0.3, 33: 1.2, 34: 0.5, 40: 0.7},
}
"""How often each kind of command comes, against each other."""

HOSTILE_INTEGERS = (-(2**63), -1, 0, 1, 3, 2**31, 2**32, 199_999_9901, 2**63 - 1, 2**64 - 1)
HOSTILE_BYTES = (b"", b"\x00\xff", b"m" * 300)
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


def _rank(state: int) -> int:
    """Place of a phase in the day."""
    return (3, 4, 2, 6, 5).index(state)


class RandomCommands:
    """An endless stream of commands. It remembers a few names, to speak of orders that exist.

    `hostile` is the share of fields that are replaced by nonsense, `special` that of orders which
    want more than plain ones, `protected` how often the clock ticks and rules of protection come,
    against other runs. The time of a command is how many there were before.
    """

    def __init__(
        self, seed: int, hostile: float = 0.01, special: float = 0.4, protected: float = 1
    ) -> None:
        self._random = Random(seed)
        self._weights = WEIGHTS | {kind: WEIGHTS[kind] * protected for kind in (20, 40)}
        self._hostile = hostile
        self._special = special
        self._count = 0
        self._next_name = 0
        self._next_msg_seq_num = 0
        self._orders: list[tuple[str, str, str, int, int, int, int]] = []
        # The latest number said by session and channel; orders as (session, channel, number, ...).
        self._last_numbers: dict[tuple[str, int], int] = {}
        self._numbered: list[tuple[str, int, int, str, int, int, int, int]] = []

    def next(self) -> tuple:
        """A command that a log could hold."""
        random = self._random
        self._count += 1
        kind = random.choices(
            tuple(self._weights),
            tuple(self._weights.values()),
        )[0]
        command = getattr(self, f"_command_{kind}")()
        if kind in (30, 33):
            return command
        # A channel would not recover from a number beyond all others: nothing more happens in it.
        fixed = (0, {5: 3, 6: 4, 9: 3, 13: 3}.get(kind, 0))
        return tuple(
            field if position in fixed or random.random() >= self._hostile else self._spoil(field)
            for position, field in enumerate(command)
        )

    def _spoil(self, field):
        random = self._random
        if isinstance(field, tuple):
            place = random.randrange(len(field) + 1)
            return (*field[:place], random.choice(HOSTILE_INTEGERS), *field[place + 1 :])[:11]
        if isinstance(field, bool):
            return not field
        if isinstance(field, bytes):
            return random.choice(HOSTILE_BYTES)
        return random.choice(HOSTILE_INTEGERS if isinstance(field, int) else HOSTILE_STRINGS)

    def _name(self) -> str:
        random = self._random
        if self._orders and random.random() < 0.02:
            return random.choice(self._orders)[1]
        if self._numbered and random.random() < 0.02:
            _, channel, number, *_ = random.choice(self._numbered)
            number += random.randint(0, 20)
            return f"{channel}:{number}" if channel else str(number)
        self._next_name += 1
        return f"N{self._next_name}"

    def _msg_seq_num(self) -> int:
        self._next_msg_seq_num += self._random.randint(-1, 3)
        return max(self._next_msg_seq_num, 1)

    def _price(self, symbol: str) -> int:
        random = self._random
        middle, tick = {"AAPL": (100_0000, 100), "INTC": (31_2500, 500), "ZVZZT": (100, 1)}[symbol]
        if random.random() < 0.01:
            return 3 * middle
        return max(1, middle + tick * random.randint(-6, 6) + (random.random() < 0.01))

    def _quantity(self, symbol: str) -> int:
        random = self._random
        lot = 10 if symbol == "INTC" else 1
        return lot * random.randint(1, 40) + (random.random() < 0.01)

    def _command_1(self) -> tuple:
        random = self._random
        session = random.choice(("S1", "S2", "S3"))
        symbol = random.choice(("AAPL", "AAPL", "INTC", "ZVZZT"))
        side = random.choice((1, 1, 1, 2, 5, 6))
        order_type = random.choice((2, 2, 2, 2, 1))
        tif = random.choice((0, 0, 0, 1, 1, 3, 4))
        quantity = self._quantity(symbol)
        end: tuple = ()
        if random.random() < self._special:
            order_type, tif, end = self._special_terms(symbol, side, quantity)
        price = self._price(symbol) if order_type in (2, 4) else 0
        if order_type == 80 and random.random() < 0.3:
            price = self._price(symbol)
        name = self._name()
        if order_type != 1 and tif in (0, 1, 6):
            self._orders.append((session, name, symbol, side, order_type, tif, price))
            del self._orders[:-25]
        number = self._msg_seq_num()
        terms = (symbol, side, order_type, tif, quantity, price)
        return (1, session, number, "", name, *terms, *end)

    def _special_terms(self, symbol: str, side: int, quantity: int) -> tuple[int, int, tuple]:
        """Order type, time in force and (terms,) of an order that wants more; sometimes too much,
        or what does not go together."""
        random = self._random
        tick = {"AAPL": 100, "INTC": 500, "ZVZZT": 1}[symbol]
        lot = 10 if symbol == "INTC" else 1
        kind = random.choices((2, 1, 3, 4, 75, 80), (60, 4, 14, 10, 7, 20))[0]
        tif = random.choice((0, 0, 1, 6))
        if random.random() < 0.15:
            tif = random.choice((2, 2, 3, 4, 7, 7))
        terms = [0] * 11
        if kind in (3, 4):
            terms[0] = self._price(symbol)
        if kind == 3 and random.random() < 0.4:
            terms[1] = tick * random.randint(1, 5)
            terms[0] = terms[0] if random.random() < 0.5 else 0
        if kind == 80:
            terms[6] = random.choice((1, 2, 3))
            terms[7] = tick * random.choice((0, 0, 0, -1, 1, -2, 2))
        what = random.choices(("", "display", "min", "bits"), (20, 35, 20, 35))[0]
        if what == "display" and kind in (2, 4):
            shown = max(quantity // lot // random.randint(2, 6), 1) * lot
            terms[2] = shown
            if random.random() < 0.4:
                terms[3] = lot * random.randint(0, max(shown // lot - 1, 0))
        elif what == "min":
            terms[4] = random.randint(1, max(quantity, 1))
        elif what == "bits" and kind in (2, 4, 80):
            terms[5] = random.choice((1, 1, 4, 4) if kind != 2 else (1, 2, 2, 3, 4, 4, 5))
        if random.random() < 0.4:
            terms[8], terms[9] = random.choice((1, 1, 2)), random.choice((1, 2, 3, 4))
        if tif == 6:
            terms[10] = self._count + random.randint(1, 400)
        if random.random() < 0.03:
            terms[random.randrange(11)] = random.randint(-1, 8)
        while terms and terms[-1] == 0 and random.random() < 0.9:
            terms.pop()
        return kind, tif, (tuple(terms),) if terms or random.random() < 0.5 else ()

    def _order(self) -> tuple[str, str, str, int, int, int, int]:
        if not self._orders:
            return ("S1", "N0", "AAPL", 1, 2, 0, 100_0000)
        return self._random.choice(self._orders)

    def _command_2(self) -> tuple:
        session, orig, symbol, side, kind, tif, price = self._order()
        name = self._name()
        if self._random.random() < 0.5 and kind != 3:
            price = self._price(symbol)
        self._orders.append((session, name, symbol, side, kind, tif, price))
        number, quantity = self._msg_seq_num(), self._quantity(symbol)
        end: tuple = ()
        if self._random.random() < self._special / 8:
            _, _, end = self._special_terms(symbol, side, quantity)
        return (2, session, number, name, orig, symbol, side, kind, tif, quantity, price, *end)

    def _command_3(self) -> tuple:
        session, orig, symbol, side, *_ = self._order()
        return (3, session, self._msg_seq_num(), self._name(), orig, symbol, side)

    def _command_4(self) -> tuple:
        session, name, symbol, side, *_ = self._order()
        return (4, session, self._msg_seq_num(), name, symbol, side)

    def _request(self) -> tuple[str, int, str]:
        """Session, message number and request_id of a query."""
        session = self._random.choices(("S1", "S2", "S3", "S9"), (32, 32, 32, 4))[0]
        return session, self._msg_seq_num(), self._random.choice(("R", "Q1"))

    def _symbol(self, *others: str) -> str:
        return self._random.choice(("AAPL", "AAPL", "INTC", "ZVZZT", "aapl", *others))

    def _command_15(self) -> tuple:
        random = self._random
        session, number, _ = self._request()
        side = random.choice((0, 0, 0, 1, 2, 5))
        return (15, session, number, self._name(), self._symbol("", ""), side)

    def _command_16(self) -> tuple:
        random = self._random
        side, after = random.choice((0, 0, 1, 2, 5)), random.choice((0, 0, 1, 3))
        if after == 3:
            after = random.randint(0, self._next_name)  # about as many as there are orders
        return (16, *self._request(), self._symbol("", "", ""), side, after)

    def _command_17(self) -> tuple:
        return (17, *self._request(), self._symbol("", ""))

    def _command_18(self) -> tuple:
        return (18, *self._request(), self._symbol())

    def _command_19(self) -> tuple:
        return (19, *self._request())

    def _command_21(self) -> tuple:
        return (21, *self._request(), self._symbol(), self._random.choice((0, 1, 2, 3, 9)))

    def _port(self) -> tuple[str, int]:
        random = self._random
        session = random.choice(("S1", "S2", "S3")) if random.random() < 0.98 else "S9"
        return session, random.choice((0, 0, 0, 1, 255))

    def _number(self, session: str, channel: int) -> int:
        """The next number of a channel; now and then one that was said before, or one beyond."""
        random = self._random
        step = random.choices((1, 0, -1, -9, 3), (90, 2, 2, 2, 4))[0]
        number = self._last_numbers.get((session, channel), 0) + step
        if step > 0:
            self._last_numbers[session, channel] = number
        return number

    def _end(self) -> tuple[int, int | str, bytes]:
        """Refusal of the gateway, what it found, memo."""
        random = self._random
        memo = random.choice((b"", b"m", b"\x00\xff"))
        if random.random() < 0.97:
            return 0, "", memo
        return random.choice(GATEWAY_REFUSALS), random.choice((7, "Z")), memo

    def _command_5(self) -> tuple:
        random = self._random
        session, channel = self._port()
        number = self._number(session, channel)
        symbol = random.choice(("AAPL", "AAPL", "INTC", "ZVZZT"))
        side = random.choice((1, 1, 1, 2, 5, 6))
        order_type = random.choice((2, 2, 2, 2, 2, 1))
        tif = random.choice((0, 0, 0, 0, 3))
        quantity = self._quantity(symbol)
        end: tuple = ()
        if random.random() < self._special:
            order_type, tif, end = self._special_terms(symbol, side, quantity)
        price = self._price(symbol) if order_type in (2, 4) else 0
        if order_type != 1 and tif in (0, 1, 6):
            self._numbered.append((session, channel, number, symbol, side, order_type, tif, price))
            del self._numbered[:-25]
        terms = (symbol, side, order_type, tif, quantity, price, random.choice((0, 0, 1, 65535)))
        return (5, session, channel, number, *terms, *self._end(), *end)

    def _numbered_order(self) -> tuple[str, int, int, str, int, int, int, int]:
        if not self._numbered or self._random.random() < 0.02:
            return ("S9", 0, 1, "AAPL", 1, 2, 0, 100_0000)
        return self._random.choice(self._numbered)

    def _command_6(self) -> tuple:
        session, channel, orig, symbol, side, kind, tif, price = self._numbered_order()
        random = self._random
        number = self._number(session, channel)
        if random.random() < 0.5 and kind != 3:
            price = self._price(symbol)
        self._numbered.append((session, channel, number, symbol, side, kind, tif, price))
        if random.random() < 0.02:
            tif = random.choice((1, 3))
        order_type = kind if random.random() < 0.98 else 1
        quantity = self._quantity(symbol)
        terms = (tif, quantity, price, order_type)
        end: tuple = ()
        if random.random() < self._special / 8:
            _, _, end = self._special_terms(symbol, side, quantity)
            end = tuple(self._change(terms) for terms in end)
        return (6, session, channel, orig, number, *terms, *self._end(), *end)

    def _change(self, terms: tuple) -> tuple:
        """Some of the terms, the others are to stay."""
        random = self._random
        change = [None if random.random() < 0.5 else value for value in terms]
        if len(change) > 5 and change[5] is not None and random.random() < 0.5:
            change[5] |= random.choice((1, 2, 4, 6, 7)) << 16
        return tuple(change)

    def _command_7(self) -> tuple:
        session, channel, number, symbol, *_ = self._numbered_order()
        quantity = self._random.choice((0, self._quantity(symbol), self._quantity(symbol)))
        return (7, session, channel, number, quantity)

    def _command_8(self) -> tuple:
        session, channel, number, symbol, side, *_ = self._numbered_order()
        random = self._random
        if random.random() < 0.5:
            side = random.choice((1, 2, 5, 6))
        return (8, session, channel, number, side, self._quantity(symbol))

    def _command_9(self) -> tuple:
        random = self._random
        session, channel = self._port()
        chosen = (
            random.choice(("", "", "AAPL", "INTC", "aapl")),
            random.choice((0, 0, 0, 1, 2, 5)),
            random.choice((0, 0, 1, 65535)),
            random.choice((-1, -1, 0, 1, 255)),
        )
        return (9, session, channel, self._number(session, channel), *chosen, *self._end())

    def _command_13(self) -> tuple:
        session, channel = self._port()
        enabled = self._random.random() < 0.85
        return (13, session, channel, self._number(session, channel), enabled, *self._end())

    def _command_14(self) -> tuple:
        return (14, *self._port())

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

    def _command_32(self) -> tuple:
        return (32,)

    def _command_33(self) -> tuple:
        """A day: phases a few commands long, the first ones overdue now and then."""
        random = self._random
        time, phases = self._count + random.randint(-60, 20), []
        for state in sorted(random.sample((2, 3, 4, 6, 2, 5), random.randint(2, 6)), key=_rank):
            phases.append((max(time, 0), state))
            time += random.randint(0, 600 if state == 2 else 40)
        date = 20260101 + self._count // 40 - random.randint(0, 3)
        return (33, date, (*phases, (max(time, 0), 0)))

    def _command_34(self) -> tuple:
        random = self._random
        return (34, random.choice(("", "AAPL", "INTC", "ZVZZT", "aapl")), random.choice(("", "R4")))

    def _command_31(self) -> tuple:
        random = self._random
        symbol = random.choice(("", "AAPL", "INTC", "ZVZZT"))
        return (
            31,
            symbol,
            random.choice((0, 1, 3, 4, 5, 6, 2, 2, 2, 2, 2, 2) + (7,) * (random.random() < 0.3)),
            random.choice(("", "T1")),
        )

    def _command_40(self) -> tuple:
        """Protection in distances that the prices of these runs do cover, and in times of a few
        commands; often none."""
        random = self._random
        if random.random() < 0.4:
            return (40, (300, 15, 30, 20, 0, 0, 0, 0, 0, 40, 900), ())
        times = (random.choice((300, 90, 10)), random.choice((0, 15, 60)), 30, 20)
        wide = (random.choice((0, 0, 150)), random.choice((0, 0, 400)))
        breakers = random.choice(((0, 0, 0), (30, 60, 90), (100, 200, 400), (5, 10, 300)))
        rows = [
            (symbol, random.choice(bands), random.choice(moves), random.choice((0, 1, 3)))
            for symbol, bands, moves in (
                ("AAPL", (0, 2, 4), (0, 4, 7)),
                ("INTC", (0, 40, 80), (0, 70, 120)),
                ("ZVZZT", (0, 200, 400), (0, 400, 800)),
                ("NONE", (0, 1), (0, 1)),
            )
            if random.random() < 0.8
        ]
        if random.random() < 0.05:
            rows += rows[:1]
        halt = (40, random.choice((0, 300, 5_000)))
        return (40, (*times, *wide, *breakers, *halt), tuple(rows))


def commands(
    seed: int, count: int, hostile: float = 0.01, special: float = 0.4, protected: float = 1
) -> list[tuple]:
    """An exchange that is loaded and opened, then `count` random commands."""
    source = RandomCommands(seed, hostile, special, protected)
    return [LOAD, OPEN_MARKET, *(source.next() for _ in range(count))]
