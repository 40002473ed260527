"""Auctions, as plainly as they can be said: a part of naive_exchange.py.

The price is looked for among all prices that anybody has said and those right beside them, by
adding up everybody at each.
"""

from __future__ import annotations


class NaiveAuctions:
    """What a change of the trading state does; NaiveExchange has all the rest."""

    def interested(self, symbol, buys):
        """Who takes part, the first to trade first."""
        found = [
            order
            for order in self.live
            if order["symbol"] == symbol
            and order["where"] in ("book", "collected")
            and (order["side"] == 1) == buys
            and order["kind"] != 80
            and self.least(order) == 1
        ]

        def rank(order):
            price = order["price"]
            if price == 0:
                return (0, 0, 0, order["time"])
            return (1, -price if buys else price, self.is_hidden(order), order["time"])

        return sorted(found, key=rank)

    def auction_price(self, symbol):
        """(price, shares that trade, shares left over)."""
        instrument = self.instruments[symbol]
        reference = instrument["last"] or instrument["reference"]
        buys, sells = self.interested(symbol, True), self.interested(symbol, False)
        limits = {order["price"] for order in buys + sells if order["price"]}
        said = limits | {reference}
        best = None
        tick = instrument["tick"]
        tried = {limit + step for limit in limits for step in (-tick, 0, tick)} | {reference}
        if limits and max(limits) - min(limits) < 40 * tick:
            tried |= set(range(min(limits), max(limits), tick))
        tried = {price for price in tried if price > 0}
        for price in sorted(tried, reverse=True):
            wanted = sum(self.leaves(o) for o in buys if o["price"] == 0 or o["price"] >= price)
            offered = sum(self.leaves(o) for o in sells if o["price"] <= price)
            traded, over = min(wanted, offered), wanted - offered
            key = (-traded, abs(over))
            if best is None or key < best[0]:
                best = (key, [(price, over)])
            elif key == best[0]:
                best[1].append((price, over))
        (traded, _), candidates = best
        if traded == 0:
            over = sum(map(self.leaves, buys)) - sum(map(self.leaves, sells))
            return 0, 0, over
        prices = [price for price, _ in candidates]
        overs = [over for _, over in candidates]
        spoken = [price for price in prices if price in said]
        if min(overs) > 0 and spoken:
            price = max(spoken)
        elif max(overs) < 0 and spoken:
            price = min(spoken)
        else:
            price = min(prices, key=lambda p: (abs(p - reference), -p))
        return price, -traded, dict(candidates)[price]

    def indicate(self, symbol):
        instrument = self.instruments[symbol]
        price, traded, over = self.auction_price(symbol)
        reference = instrument["last"] or instrument["reference"]
        terms = (traded, over, price, reference, instrument["state"])
        return (36, "", instrument["locate"], symbol, *terms)

    def change_state(self, symbol, new, why):
        instrument = self.instruments[symbol]
        events = []
        price = 0
        old = instrument["state"]
        collected = [o for o in self.live if o["symbol"] == symbol and o["where"] == "collected"]
        if (new == 2 and (old in (3, 4, 5, 6) or collected)) or (old == 5 and new == 0):
            price = self.uncross(symbol, events)
        if old == 5 and new != 5:
            for order in self.live:
                if order["symbol"] == symbol and order["where"] == "collected":
                    order["where"] = "close" if order["tif"] == 7 else "collected"
        waiting = [o for o in self.live if o["symbol"] == symbol and o["where"] == "close"]
        for order in sorted(waiting, key=lambda o: o["time"]):
            if new == 0:
                events += self.take_out(order, order["name"], "", 23)
            elif new == 5:
                self.collect(order)
        instrument.update(state=new, why=why, told=0, until=None)
        if price or (new == 2 and old != 2):
            self.begin_stretch(symbol, price, events)
        events.append((21, "", symbol, instrument["locate"], new, why))
        if new == 7:
            mine = [o for o in self.live if o["symbol"] == symbol]
            for order in sorted(mine, key=lambda o: o["id"]):
                events += self.take_out(order, order["name"], "", 25)
        self.settle(symbol, events)
        return events

    def uncross(self, symbol, events):
        instrument = self.instruments[symbol]
        locate = instrument["locate"]
        price, traded, _ = self.auction_price(symbol)
        left = traded
        buys = self.interested(symbol, True)
        buys = [o for o in buys if o["price"] == 0 or o["price"] >= price]
        sells = [o for o in self.interested(symbol, False) if o["price"] <= price]
        again = []
        shown = {
            o["id"]: (o["shown"] or self.leaves(o))
            for o in buys + sells
            if o["where"] == "book" and not self.is_hidden(o)
        }
        while price and left > 0:
            buyer = next(o for o in buys if self.leaves(o))
            seller = next(o for o in sells if self.leaves(o))
            quantity = min(self.leaves(buyer), self.leaves(seller))
            left -= quantity
            self.mark(instrument, quantity, price)
            self.last_match += 1
            refs = []
            for party in (buyer, seller):
                party["fills"].append((quantity, price))
                done = self.leaves(party) == 0
                party["status"] = "PARTIALLY_FILLED"
                keep = party["shown"]
                if done:
                    party["status"] = "FILLED"
                which = {3: 6, 4: 6, 5: 7}.get(instrument["state"], 4)
                events.append((2, *self.fields(party), quantity, price, self.last_match, which))
                seen = min(quantity, shown.get(party["id"], 0))
                if seen:
                    shown[party["id"]] -= seen
                    refs.append((34, "", locate, party["ref"], seen, price, self.last_match))
                if keep and not done:
                    party["shown"] = keep - seen
                    if party["shown"] == 0 and party not in again:
                        again.append(party)
                if done:
                    party["status"] = "NEW"
                    self.close_order(party, "FILLED")
            events += refs
        if price:
            self.last_match += 1
        number = self.last_match if price else 0
        events.append((35, "", locate, symbol, traded, price, number, instrument["state"]))
        for order in again:
            if order["status"] == "FILLED":
                continue
            self.last_number += 1
            order["ref"] = self.last_number
            self.rest(order)
            side = 1 if order["side"] == 1 else 2
            events.append((41, *self.fields(order), order["shown"]))
            events.append((30, "", locate, order["ref"], side, order["shown"], order["price"]))
        collected = [o for o in self.live if o["symbol"] == symbol and o["where"] == "collected"]
        for order in sorted(collected, key=lambda o: o["time"]):
            if order["kind"] == 1 or order["tif"] in (2, 7):
                events += self.take_out(order, order["name"], "", 23)
            else:
                self.rest(order)
                if not self.is_hidden(order):
                    events.append(self.added(order))
        if price:
            instrument["last"] = price
            self.tell_stops(symbol, price)
        return price
