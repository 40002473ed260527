"""Bands, halts and circuit breakers, as plainly as they can be said: a part of naive_exchange.py.

Every trade of a stretch of trading is kept with its time; whatever must be known of the last
minutes is found by looking at all of them.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

RULES = (
    "window",
    "limit_state",
    "pause",
    "call",
    "wide_until",
    "wide_from",
    "level_1",
    "level_2",
    "level_3",
    "halt",
    "until",
)


class NaiveProtection:
    """What keeps prices from running away; NaiveExchange has all the rest."""

    def unprotected(self, price):
        """What an instrument has besides."""
        return {
            "luld": 0,
            "move": 0,
            "weight": 0,
            "close": price,
            "middle": price,
            "middle_since": 0,
            "band": (0, 0),
            "moves": [],
            "at_limit_since": None,
            "until": None,
        }

    def protect(self, rules, rows):
        if not self.loaded or not self.is_sensible(rules, rows):
            return []
        events = []
        before = self.say_levels()
        same_window = max(self.rules["window"] // 30, 1) == max(rules[0] // 30, 1)
        self.rules = dict(zip(RULES, rules, strict=True))
        wanted = {row[0]: row[1:] for row in rows}
        for symbol, instrument in self.instruments.items():
            luld, move, weight = wanted.get(symbol, (0, 0, 0))
            was_protected = instrument["luld"] or instrument["move"]
            had_luld = instrument["luld"]
            instrument.update(luld=luld, move=move, weight=weight)
            if not (was_protected and same_window):
                start = instrument["last"] or instrument["reference"]
                instrument.update(middle=start, middle_since=0, moves=[], at_limit_since=None)
            if luld:
                if not had_luld:
                    instrument["band"] = None
                self.set_band(symbol, events)
            elif had_luld:
                events.append((60, "", instrument["locate"], symbol, 0, 0, 0))
            if luld or move or was_protected:
                self.settle(symbol, events)
        levels = self.say_levels()
        if self.market_hours and levels != before:
            events += levels
        return events

    def is_sensible(self, rules, rows):
        if len(rules) != 11 or any(type(value) is not int for value in rules):
            return False
        day = 86_400 * 10**9
        times = [rules[place] for place in (0, 1, 2, 3, 4, 5, 9, 10)]
        if any(not 0 <= value <= day for value in times):
            return False
        if 0 in (rules[0], rules[2], rules[3], rules[9]):
            return False
        levels = rules[6:9]
        if any(not 0 <= level < 10_000 for level in levels):
            return False
        if any(levels) and not 0 < levels[0] < levels[1] < levels[2]:
            return False
        for row in rows:
            if type(row) is not tuple or len(row) != 4 or type(row[0]) is not str:
                return False
            if any(type(value) is not int for value in row[1:]):
                return False
            if not (0 <= row[1] < 10_000 and 0 <= row[2] < 10_000 and 0 <= row[3] <= 10**9):
                return False
        return len({row[0] for row in rows}) == len(rows)

    def say_levels(self):
        levels = [self.rules[f"level_{level}"] for level in (1, 2, 3)]
        if not all(levels):
            return []
        return [(61, "", *(int(10**6 * (1 - Fraction(level, 10_000))) for level in levels))]

    # Bands

    def is_outside(self, instrument, side, price):
        low, high = self.band(instrument)
        if not instrument["luld"]:
            return not low <= price <= high
        if instrument["state"] in (3, 4, 5, 6):
            return False
        return price > high if side == 1 else price < low

    def wanted_band(self, instrument):
        since = self.now - self.opened_at
        wide = self.market_hours and (
            since < self.rules["wide_until"]
            or (self.rules["wide_from"] and since >= self.rules["wide_from"])
        )
        width = Fraction(instrument["luld"], 10_000) * (2 if wide else 1)
        tick, middle = instrument["tick"], instrument["middle"]
        low = floor(middle * (1 - width) / tick) * tick
        high = ceil(middle * (1 + width) / tick) * tick
        return max(low, tick), min(high, 1_999_999_900 // tick * tick)

    def set_band(self, symbol, events):
        instrument = self.instruments[symbol]
        if not instrument["luld"]:
            return
        band = self.wanted_band(instrument)
        if band != instrument["band"]:
            instrument["band"] = band
            events.append((60, "", instrument["locate"], symbol, instrument["middle"], *band))
        if instrument["state"] != 2:
            return
        mine = [
            order
            for order in self.live
            if order["symbol"] == symbol and order["where"] == "book" and order["kind"] != 80
        ]
        for buys in (True, False):
            beyond = [
                order
                for order in mine
                if (order["side"] == 1) == buys
                and self.is_outside(instrument, order["side"], order["price"])
            ]

            def rank(order):
                price = order["price"]
                hidden = self.is_hidden(order)
                return (hidden, -price if order["side"] == 1 else price, order["time"])

            for order in sorted(beyond, key=rank):
                events += self.take_out(order, order["name"], "", 22)

    def begin_stretch(self, symbol, auction_price, events):
        """Trading begins, or an auction is over."""
        instrument = self.instruments[symbol]
        if not (instrument["luld"] or instrument["move"]):
            return
        instrument.update(moves=[], at_limit_since=None, middle_since=self.now)
        if auction_price:
            instrument["middle"] = auction_price
            instrument["moves"].append((self.now, auction_price))
        self.set_band(symbol, events)

    def note_limit_states(self):
        for symbol, instrument in self.instruments.items():
            low, high = instrument["band"]
            bid, ask = self.displayed(symbol)
            at_limit = bid == high or ask == low
            if not instrument["luld"] or instrument["state"] != 2 or not at_limit:
                instrument["at_limit_since"] = None
            elif instrument["at_limit_since"] is None:
                instrument["at_limit_since"] = self.now

    # Moves

    def recent(self, instrument):
        """Prices of the window."""
        row = max(self.rules["window"] // 30, 1)
        first = self.now // row - 29
        return [price for time, price in instrument["moves"] if time // row >= first]

    def is_calm(self, symbol, price):
        instrument = self.instruments[symbol]
        if not instrument["move"]:
            return True
        prices = [*self.recent(instrument), *(p for _, p in instrument["moves"][-1:])]
        move = Fraction(instrument["move"], 10_000)
        return all(before * (1 - move) < price < before * (1 + move) for before in prices)

    def calm_limit(self, order, limit):
        """How far an order may go that trades as a whole: from the best that it could meet, as long
        as nothing is moved; 0 or beyond all prices if it may not begin."""
        instrument = self.instruments[order["symbol"]]
        if not instrument["move"]:
            return limit
        buys = order["side"] == 1
        nowhere = 0 if buys else 10**12
        others = self.opponents(order, limit)
        if not others:
            return nowhere
        best = others[0]["price"]
        if not self.is_calm(order["symbol"], best):
            return nowhere
        move = Fraction(instrument["move"], 10_000)
        prices = [*self.recent(instrument), *(p for _, p in instrument["moves"][-1:]), best]
        if buys:
            return min(limit, ceil(min(prices) * (1 + move)) - 1)
        return max(limit, floor(max(prices) * (1 - move)) + 1)

    def pause(self, symbol, why, events):
        instrument = self.instruments[symbol]
        until = self.now + self.rules["pause"]
        instrument.update(state=1, why=why, until=until, held=(1, why))
        events.append((21, "", symbol, instrument["locate"], 1, why))

    def wait_for_reopening(self, order):
        if order["kind"] == 80:
            order.update(where="parked", price=0)
        else:
            self.collect(order)

    # The clock

    def watch(self):
        events = []
        for symbol, instrument in self.instruments.items():
            if instrument["until"] is not None:
                if self.now >= instrument["until"]:
                    self.next_phase(symbol, events)
            elif instrument["state"] == 2 and (instrument["luld"] or instrument["move"]):
                self.watch_prices(symbol, events)
        if self.market_hours:
            self.watch_index(events)
        return events

    def next_phase(self, symbol, events):
        instrument = self.instruments[symbol]
        day = 2 if self.phase is None else self.phase
        if instrument["state"] == 1 and day in (2, 6):
            why = {"T5": "T7", "MWC1": "MWCQ", "MWC2": "MWCQ"}
            why = why.get(instrument["why"], instrument["why"])
            events += self.change_state(symbol, 6, why)
            instrument.update(until=self.now + self.rules["call"], held=(6, why))
        else:
            instrument["held"] = None
            events += self.change_state(symbol, day, "")

    def watch_prices(self, symbol, events):
        instrument = self.instruments[symbol]
        since = instrument["at_limit_since"]
        if since is not None and self.now >= since + self.rules["limit_state"]:
            low, high = instrument["band"]
            instrument["middle"] = high if self.displayed(symbol)[0] == high else low
            self.pause(symbol, "LUDP", events)
            return
        prices = self.recent(instrument)
        if prices and self.now >= instrument["middle_since"] + self.hold:
            mean = sum(prices) // len(prices)
            if abs(mean - instrument["middle"]) >= Fraction(instrument["middle"], 100):
                instrument.update(middle=mean, middle_since=self.now)
        self.set_band(symbol, events)
        self.settle(symbol, events)

    def watch_index(self, events):
        if not self.say_levels():
            return
        sums = [
            (
                instrument["weight"],
                int(
                    Fraction(10**6 * (instrument["last"] or instrument["close"]))
                    / instrument["close"]
                ),
            )
            for instrument in self.instruments.values()
        ]
        weights = sum(weight for weight, _ in sums)
        index = sum(weight * worth for weight, worth in sums) // weights if weights else 10**6
        level = 0
        for number in (1, 2, 3):
            if index <= 10**6 - 100 * self.rules[f"level_{number}"]:
                level = number
        late = self.now - self.opened_at >= self.rules["until"]
        if level <= self.breaker or (late and level < 3):
            return
        self.breaker = level
        events.append((62, "", level, index))
        for symbol, instrument in self.instruments.items():
            by_hand = instrument["state"] == 1 and instrument["until"] is None
            if instrument["state"] in (0, 7) or by_hand:
                continue
            events += self.change_state(symbol, 1, f"MWC{level}")
            until = self.now + self.rules["halt"] if level < 3 else 10**30
            instrument.update(until=until, held=(1, f"MWC{level}"))
