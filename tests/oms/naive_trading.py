"""Orders that trade, rest, hide, wait and follow: a part of naive_exchange.py.

Everything that lives is in one list. Who trades next is found by sorting all who might; whether
enough shares could be had is found by playing the whole fight on copies; whose time has come is
found by asking everybody again after each turn.
"""

from __future__ import annotations

LIVE = ("NEW", "PARTIALLY_FILLED")
COLLECTING = (3, 4, 5, 6)
TERMS = (
    "stop",
    "trail",
    "display",
    "range",
    "min",
    "bits",
    "peg",
    "offset",
    "group",
    "action",
    "expire",
)
HIDDEN, POST_ONLY, ALL_OR_NONE = 1, 2, 4
NEWEST, OLDEST, BOTH, DECREMENT = 1, 2, 3, 4


def as_terms(values) -> dict:
    """Terms by their names; those that are not said are 0."""
    values = list(values)
    if len(values) > len(TERMS):
        raise ValueError("too many terms")
    return dict(zip(TERMS, values + [0] * (len(TERMS) - len(values)), strict=True))


class NaiveTrading:
    """What becomes of an order that was accepted; NaiveExchange has all the rest."""

    # What an order is

    def is_special(self, order) -> bool:
        return order["terms"] is not None

    def term(self, order, name):
        return order["terms"][name] if order["terms"] else 0

    def is_hidden(self, order) -> bool:
        unseen = self.term(order, "bits") & (HIDDEN | ALL_OR_NONE)
        return bool(unseen or self.term(order, "min") or order["kind"] == 80)

    def is_conditional(self, order) -> bool:
        return bool(self.term(order, "bits") & ALL_OR_NONE) or self.term(order, "min") > 1

    def least(self, order) -> int:
        if self.term(order, "bits") & ALL_OR_NONE:
            return self.leaves(order)
        return max(1, min(self.term(order, "min"), self.leaves(order)))

    def waits_for_trigger(self, order) -> bool:
        return order["kind"] in (3, 4) and not order["triggered"]

    def group(self, order):
        number = self.term(order, "group")
        if not number:
            return None
        return (self.accounts[order["account"]]["firm"], number)

    def may_rest(self, order) -> bool:
        return order["kind"] not in (1, 3) and order["price"] > 0 and order["tif"] in (0, 1, 6)

    # Turns

    def accept(self, order, memo):
        """OrderAccepted and what follows."""
        instrument = self.instruments[order["symbol"]]
        if order["kind"] == 75:
            low, high = self.band(instrument)
            best = self.displayed(order["symbol"])[1 if order["side"] == 1 else 0]
            order["price"] = best if best is not None and low <= best <= high else 0
        self.begin_to_trail(order)
        self.orders.append(order)
        self.live.append(order)
        events = [(1, *self.fields(order), *self.end(order, memo))]
        self.place(order, events)
        self.settle(order["symbol"], events)
        return events

    def end(self, order, memo):
        if self.is_special(order):
            return (memo or b"", self.terms_now(order))
        return () if memo is None else (memo,)

    def terms_now(self, order):
        return (order["stop"], *(order["terms"][name] for name in TERMS[1:]))

    def begin_to_trail(self, order):
        trail = self.term(order, "trail")
        order["stop"] = self.term(order, "stop")
        if trail and not order["stop"]:
            instrument = self.instruments[order["symbol"]]
            start = instrument["last"] or instrument["reference"]
            order["stop"] = start + (trail if order["side"] == 1 else -trail)

    def place(self, order, events, old=None):
        state = self.instruments[order["symbol"]]["state"]
        if self.waits_for_trigger(order):
            last = self.instruments[order["symbol"]]["last"]
            if last and self.is_reached(order, last):
                self.trigger(order)
            else:
                order["where"] = "stop"
        elif order["tif"] == 7 and state != 5:
            order["where"] = "close"
            self.time += 1
            order["time"] = self.time
        elif state in COLLECTING:
            if old is not None:
                locate = self.instruments[order["symbol"]]["locate"]
                events.append((32, "", locate, old))
            self.collect(order)
        elif order["kind"] == 80:
            self.price_peg(order, self.displayed(order["symbol"]), events)
        else:
            self.turn(order, events, old)

    def collect(self, order):
        order["where"] = "collected"
        self.time += 1
        order["time"] = self.time

    def turn(self, order, events, old=None):
        """An order trades with what it meets, then rests or ends."""
        instrument = self.instruments[order["symbol"]]
        order["where"] = "turn"
        limit = order["price"]
        if order["kind"] in (1, 3):
            low, high = self.band(instrument)
            limit = high if order["side"] == 1 else low
        needed = self.leaves(order) if order["tif"] == 4 else self.least(order)
        happened = []
        as_a_whole = limit if needed == 1 else self.calm_limit(order, limit)
        if limit > 0 and (needed == 1 or self.possible(order, as_a_whole) >= needed):
            self.fight(order, limit, happened)
        halted = instrument["state"] != 2
        left = self.leaves(order)
        rests = left > 0 and self.may_rest(order)
        moves = old is not None and rests and not happened and not self.is_hidden(order)
        if old is not None and not moves:
            events.append((32, "", instrument["locate"], old))
        events += happened
        if rests and halted:
            self.wait_for_reopening(order)
        elif rests:
            self.rest(order)
            if moves:
                shown = order["shown"] or left
                number, price = order["ref"], order["price"]
                events.append((33, "", instrument["locate"], old, number, shown, price))
            elif not self.is_hidden(order):
                events.append(self.added(order))
        elif left:
            if order["kind"] in (1, 3) or order["price"] == 0:
                reason = 4
            else:
                reason = 3 if order["tif"] == 4 else 2
            if halted:
                reason = 24
            self.out(order, reason, left, events)

    def out(self, order, reason, left, events):
        """An order ends without anybody asking, and is not displayed."""
        self.close_order(order, "CANCELED")
        events.append((3, *self.fields(order), "", left, reason))

    def rest(self, order):
        order["where"] = "book"
        self.time += 1
        order["time"] = self.time
        if self.term(order, "display"):
            order["shown"] = self.next_shown(order)

    def next_shown(self, order):
        lot = self.instruments[order["symbol"]]["lot"]
        shown = order["terms"]["display"]
        lots = order["terms"]["range"] // lot
        if lots > 0:
            self.random = (self.random * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
            shown += lot * (self.random // 2**33 % (2 * lots + 1)) - lot * lots
        return min(shown, self.leaves(order))

    # The fight

    def opponents(self, order, limit):
        """Orders that this one may meet, the first to trade first."""
        buys = order["side"] == 1
        found = [
            other
            for other in self.live
            if other["symbol"] == order["symbol"]
            and other["where"] == "book"
            and (other["side"] == 1) != buys
            and (other["price"] <= limit if buys else other["price"] >= limit)
        ]

        def rank(other):
            return (
                other["price"] if buys else -other["price"],
                self.is_hidden(other),
                other["time"],
            )

        return sorted(found, key=rank)

    def possible(self, order, limit):
        """How many shares the order would trade, played on copies of whom it would meet."""
        mine = self.group(order)
        copies = [
            {
                "left": self.leaves(other),
                "shown": other["shown"] or self.leaves(other),
                "display": self.term(other, "display"),
                "least": self.least(other),
                "own": mine is not None and self.group(other) == mine,
                "price": other["price"],
                "hidden": self.is_hidden(other),
            }
            for other in self.opponents(order, limit)
        ]
        left = start = self.leaves(order)
        while copies and left > 0:
            copy = copies.pop(0)
            if min(left, copy["left"]) < copy["least"]:
                continue
            if copy["own"]:
                if self.term(order, "action") != OLDEST:
                    break
                continue
            traded = min(left, copy["shown"])
            left -= traded
            copy["left"] -= traded
            if copy["left"] > 0:
                # The next part stands behind all that is displayed at the same price.
                copy["shown"] = min(copy["display"], copy["left"])
                behind = [
                    place
                    for place, other in enumerate(copies)
                    if other["price"] == copy["price"] and not other["hidden"]
                ]
                copies.insert(behind[-1] + 1 if behind else 0, copy)
        return start - left

    def fight(self, order, limit, events):
        passed_over = []
        while order["status"] in LIVE and self.leaves(order) > 0:
            others = [o for o in self.opponents(order, limit) if o not in passed_over]
            if not others:
                return
            other = others[0]
            if min(self.leaves(order), self.leaves(other)) < self.least(other):
                passed_over.append(other)
            elif self.group(order) is not None and self.group(order) == self.group(other):
                self.prevent(order, other, events)
            elif not self.is_calm(order["symbol"], other["price"]):
                self.pause(order["symbol"], "T5", events)
                return
            else:
                self.execute(order, other, events)

    def execute(self, order, other, events):
        quantity = min(self.leaves(order), other["shown"] or self.leaves(other))
        self.last_match += 1
        price = other["price"]
        locate = self.instruments[order["symbol"]]["locate"]
        added = 5 if self.is_hidden(other) else 1
        for party, liquidity in ((other, added), (order, 2)):
            party["fills"].append((quantity, price))
            party["status"] = "PARTIALLY_FILLED"
            if self.leaves(party) == 0:
                self.close_order(party, "FILLED")
            events.append((2, *self.fields(party), quantity, price, self.last_match, liquidity))
        if other["shown"]:
            other["shown"] -= quantity
            if other["shown"] == 0 and self.leaves(other) > 0:
                self.last_number += 1
                other["ref"] = self.last_number
                self.rest(other)
                events.append((41, *self.fields(other), other["shown"]))
                side = 1 if other["side"] == 1 else 2
                events.append((30, "", locate, other["ref"], side, other["shown"], price))
        self.instruments[order["symbol"]]["last"] = price
        self.instruments[order["symbol"]]["trades"].append((quantity, price))
        self.instruments[order["symbol"]]["moves"].append((self.now, price))
        self.tell_stops(order["symbol"], price)

    def prevent(self, order, other, events):
        action = self.term(order, "action")
        off = {order["id"]: 0, other["id"]: 0}
        if action in (NEWEST, BOTH):
            off[order["id"]] = self.leaves(order)
        if action in (OLDEST, BOTH):
            off[other["id"]] = self.leaves(other)
        if action == DECREMENT:
            off = dict.fromkeys(off, min(self.leaves(order), self.leaves(other)))
        trade = (min(self.leaves(order), self.leaves(other)), other["price"])
        added = 5 if self.is_hidden(other) else 1
        for party, liquidity in ((other, added), (order, 2)):
            quantity = off[party["id"]]
            if quantity:
                self.lower(party, quantity, events, (*trade, liquidity, action))

    def lower(self, order, quantity, events, prevented):
        """Shares are taken off because of a self-trade."""
        locate = self.instruments[order["symbol"]]["locate"]
        is_displayed = order["where"] == "book" and not self.is_hidden(order)
        shown = order["shown"] or self.leaves(order)
        if quantity == self.leaves(order):
            self.out(order, 20, quantity, events)
            events[-1] += (prevented,)
            if is_displayed:
                events.append((32, "", locate, order["ref"]))
            return
        off = self.shorten(order, quantity)
        events.append((8, *self.fields(order), quantity, prevented))
        if is_displayed and off:
            events.append((31, "", locate, order["ref"], off))
        assert shown >= off

    def shorten(self, order, quantity):
        """Take shares off an order in its place; those that it does not show first. Return by how
        many it shows less on the feed."""
        order["quantity"] -= quantity
        if order["where"] != "book" or self.is_hidden(order):
            return 0
        if order["shown"] == 0:
            return quantity
        before = order["shown"]
        order["shown"] = min(before, self.leaves(order))
        return before - order["shown"]

    # Those who wait

    def is_reached(self, order, price):
        return price >= order["stop"] if order["side"] == 1 else price <= order["stop"]

    def tell_stops(self, symbol, price):
        waiting = [o for o in self.live if o["where"] == "stop" and o["symbol"] == symbol]
        buyers = [o for o in waiting if o["side"] == 1 and self.is_reached(o, price)]
        sellers = [o for o in waiting if o["side"] != 1 and self.is_reached(o, price)]
        buyers.sort(key=lambda o: (o["stop"], o["ref"]))
        sellers.sort(key=lambda o: (-o["stop"], o["ref"]))
        for order in buyers + sellers:
            self.trigger(order)
        for order in waiting:
            trail = self.term(order, "trail")
            if trail and order["side"] == 1:
                order["stop"] = min(order["stop"], price + trail)
            elif trail:
                order["stop"] = max(order["stop"], price - trail)

    def trigger(self, order):
        order["where"] = "triggered"
        self.time += 1
        order["time"] = self.time

    def settle(self, symbol, events):
        """Turns for those whose time has come, one after the other."""
        instrument = self.instruments[symbol]
        while instrument["state"] == 2:
            mine = [o for o in self.live if o["symbol"] == symbol and o["status"] in LIVE]
            best = self.displayed(symbol)
            pegs = sorted((o for o in mine if o["kind"] == 80), key=lambda o: o["ref"])
            if any(self.peg_price(o, best) != o["price"] for o in pegs):
                for order in pegs:
                    if order["status"] in LIVE and self.peg_price(order, best) != order["price"]:
                        self.price_peg(order, best, events)
                continue
            waiting = [o for o in mine if o["where"] == "book" and self.is_hidden(o)]
            waiting.sort(key=lambda o: (o["side"] != 1, -abs(o["price"]), o["time"]))
            sellers = [o for o in waiting if o["side"] != 1]
            sellers.sort(key=lambda o: (o["price"], o["time"]))
            waiting = [o for o in waiting if o["side"] == 1] + sellers
            ready = [
                o
                for o in waiting
                if self.possible(o, self.calm_limit(o, o["price"])) >= self.least(o)
            ]
            if ready:
                self.turn(ready[0], events)
                continue
            triggered = [o for o in mine if o["where"] == "triggered"]
            if not triggered:
                return
            order = min(triggered, key=lambda o: o["time"])
            order["triggered"] = True
            events.append((40, *self.fields(order)))
            outside = self.is_outside(instrument, order["side"], order["price"])
            if order["kind"] == 4 and outside:
                self.out(order, 22, self.leaves(order), events)
            else:
                self.turn(order, events)

    def displayed(self, symbol):
        """The best displayed (bid, ask)."""
        book = [o for o in self.live if o["symbol"] == symbol and o["where"] == "book"]
        shown = [o for o in book if not self.is_hidden(o)]
        bids = [o["price"] for o in shown if o["side"] == 1]
        asks = [o["price"] for o in shown if o["side"] != 1]
        return max(bids, default=None), min(asks, default=None)

    def peg_price(self, order, best):
        """Where a pegged order would stand; 0 if there is nothing to follow."""
        bid, ask = best
        buys = order["side"] == 1
        tick = self.instruments[order["symbol"]]["tick"]
        terms = order["terms"]
        if terms["peg"] == 3:
            if bid is None or ask is None:
                return 0
            twice = bid + ask
            price = twice // 2 if buys else (twice + 1) // 2
        else:
            follows_bid = buys == (terms["peg"] == 1)
            price = bid if follows_bid else ask
            if price is None:
                return 0
        price += terms["offset"]
        instrument = self.instruments[order["symbol"]]
        if instrument["luld"]:
            low, high = instrument["band"]
            price = min(price, high) if buys else max(price, low)
        if buys:
            if order["limit"]:
                price = min(price, order["limit"])
            if ask is not None:
                price = min(price, ask - tick)
        else:
            if order["limit"]:
                price = max(price, order["limit"])
            if bid is not None:
                price = max(price, bid + tick)
        return max(price, 0)

    def price_peg(self, order, best, events):
        order["price"] = self.peg_price(order, best)
        if order["price"]:
            self.turn(order, events)
        else:
            order["where"] = "parked"

    def expire(self, now):
        """Orders whose time is over, by that time, then by entry."""
        due = [o for o in self.live if o["tif"] == 6 and o["terms"]["expire"] <= now]
        due.sort(key=lambda o: (o["terms"]["expire"], o["id"]))
        return self.take_out_all(due, 21)

    def take_out_all(self, orders, reason):
        events = []
        for order in orders:
            events += self.take_out(order, order["name"], "", reason)
        for symbol in dict.fromkeys(order["symbol"] for order in orders):
            self.settle(symbol, events)
        return events
