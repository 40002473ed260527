"""Random OUCH sessions: messages that mostly make sense, now and then not."""

from __future__ import annotations

import random

from protocols import ouch50_messages as m
from protocols.ouch50_appendage import NO_APPENDAGE, Appendage
from protocols.ouch50_codes import MARKET_PRICE

HARMLESS = ({"firm": "FIRM"}, {"group_id": 5}, {"shares_located": "Y", "locate_broker": "LOCB"})
REFUSED = ({"route": "SCAN"}, {"trade_now": "Y"}, {"firm": "NOPE"}, {"price_type": "Q"})
SPECIAL = (
    {"min_qty": 5},
    {"post_only": "P"},
    {"price_type": "M"},
    {"price_type": "R", "peg_offset": -100},
    {"max_floor": 5},
    {"max_floor": 10, "random_reserves": 4},
    {"aiq_strategy": "D"},
    {"aiq_strategy": "O", "aiq_group_id": "A"},
    {"aiq_strategy": "W", "aiq_group_id": "A"},
)


class RandomMessages:
    """What one user sends. Its numbers rise, but for a retransmission or a gap here and there."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._last = {0: 0, 3: 0, 255: 0}

    def next(self):
        """An inbound message."""
        chance = self._chance
        channel = chance.choice((0, 0, 3, 255))
        make = chance.choices(
            (self._enter, self._replace, self._cancel, self._modify, self._others),
            (60, 15, 10, 5, 5),
        )[0]
        return make(channel)

    def _number(self, channel):
        step = self._chance.choices((1, 2, 0, -3), (95, 2, 2, 1))[0]
        number = max(0, self._last[channel] + step)
        self._last[channel] = max(self._last[channel], number)
        return number

    def _known(self, channel):
        return max(1, self._last[channel] - self._chance.randrange(8))

    def _appendage(self, channel, **tags):
        chance = self._chance
        if chance.random() < 0.2:
            tags |= chance.choice(HARMLESS)
        if chance.random() < 0.05:
            tags |= chance.choice(REFUSED)
        if chance.random() < 0.2:
            tags |= chance.choice(SPECIAL)
        if channel or chance.random() < 0.1:
            tags["user_ref_idx"] = channel
        return Appendage(**tags) if tags else NO_APPENDAGE

    def _price(self):
        chance = self._chance
        return chance.choices(
            (100_0000 + 100 * chance.randint(-4, 4), MARKET_PRICE, 1, 2**64 - 1), (95, 3, 1, 1)
        )[0]

    def _code(self, usual, others=""):
        return usual if self._chance.random() < 0.97 else self._chance.choice(["", "x", *others])

    def _enter(self, channel):
        chance = self._chance
        return m.EnterOrder(
            self._number(channel),
            self._code(chance.choice("BBBSTE")),
            chance.choice((1, 5, 10, 100, 0 if chance.random() < 0.05 else 20)),
            chance.choice(("AAPL", "AAPL", "MSFT", "NONE" if chance.random() < 0.1 else "AAPL")),
            self._price(),
            self._code("0", "3") if chance.random() < 0.8 else "3",
            self._code("Y", "N"),
            self._code("P"),
            self._code("N", "Y"),
            self._code("N", "O"),
            f"id {chance.randrange(1000)}",
            self._appendage(channel),
        )

    def _replace(self, channel):
        original = self._known(channel)
        return m.ReplaceOrder(
            original,
            self._number(channel),
            self._chance.choice((0, 1, 5, 10, 50)),
            self._price(),
            self._code("0", "3"),
            self._code("Y", "N"),
            self._code("N", "Y"),
            f"re {original}",
            self._appendage(channel),
        )

    def _cancel(self, channel):
        quantity = self._chance.choice((0, 0, 3, 10))
        index = Appendage(user_ref_idx=channel) if channel else NO_APPENDAGE
        return m.CancelOrder(self._known(channel), quantity, index)

    def _modify(self, channel):
        side = self._chance.choice("BSTE")
        index = Appendage(user_ref_idx=channel) if channel else NO_APPENDAGE
        return m.ModifyOrder(self._known(channel), side, self._chance.choice((0, 4, 9, 99)), index)

    def _others(self, channel):
        chance = self._chance
        firm = chance.choice(("", "FIRM", "NOPE"))
        kind = chance.choice("CCDEEQ")
        index = self._appendage(channel) if chance.random() < 0.5 else NO_APPENDAGE
        if kind == "Q":
            return m.AccountQuery(index)
        number = self._number(index.user_ref_idx or 0)
        if kind == "C":
            tags = index._replace(side=chance.choice("BS")) if chance.random() < 0.5 else index
            return m.MassCancel(number, firm, chance.choice(("AAPL", "MSFT", "", "NONE")), tags)
        return (m.DisableOrderEntry if kind == "D" else m.EnableOrderEntry)(number, firm, index)


class OrdersAsTold:
    """Live orders by what a client is told, and by nothing else: (UserRefIdx, number) -> shares."""

    def __init__(self):
        self.live = {}

    def told(self, message):
        """Take the next message."""
        index = getattr(message, "appendage", NO_APPENDAGE).user_ref_idx or 0
        if isinstance(message, m.OrderAccepted):
            assert (index, message.user_ref_num) not in self.live
            self.live[index, message.user_ref_num] = message.quantity
        elif isinstance(message, m.OrderReplaced):
            del self.live[index, message.orig_user_ref_num]
            self.live[index, message.user_ref_num] = message.quantity
        elif isinstance(message, m.OrderModified):
            self.live[index, message.user_ref_num] = message.quantity
        elif isinstance(message, m.OrderCanceled | m.AiqCanceled | m.OrderExecuted):
            left = self.live[index, message.user_ref_num] - message.quantity
            assert left >= 0
            self.live[index, message.user_ref_num] = left
            if not left:
                del self.live[index, message.user_ref_num]
