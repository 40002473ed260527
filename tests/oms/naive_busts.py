"""Busted trades, as plainly as they can be said: a part of naive_exchange.py."""

from __future__ import annotations

from naive_numbers import LIVE


class NaiveBusts:
    """What becomes of trades that are declared void; NaiveExchange has all the rest."""

    def note_trades(self, events):
        """Keep the events of a command that traded, for a while; they are numbered from 1."""
        if any(event[0] in (2, 35) and event[-2 if event[0] == 2 else 6] for event in events):
            self.traded.append((1, events))
        while sum(len(each) for _, each in self.traded) > self.kept and len(self.traded) > 1:
            del self.traded[0]

    def mark(self, instrument, quantity, price):
        """Count a trade of the day."""
        start, high, low = instrument["ends"]
        if instrument["trades"]:
            instrument["ends"] = (start, max(high, price), min(low, price))
        else:
            instrument["ends"] = (price, price, price)
        instrument["trades"].append((quantity, price))

    def executions(self):
        return [
            (number, event)
            for first, events in self.traded
            for number, event in enumerate(events, first)
            if event[0] == 2
        ]

    def bust(self, match, why):
        if match in [each for each, _ in self.busts]:
            return [(65, "", match, 2)]
        sides = [(number, event) for number, event in self.executions() if event[18] == match]
        if not sides:
            return [(65, "", match, 1)]
        symbol, (quantity, price) = sides[0][1][5], sides[0][1][16:18]
        instrument = self.instruments[symbol]
        events = [(63, "", instrument["locate"], symbol, match, quantity, price, why)]
        for number, side in sides:
            order = next(o for o in self.orders if o["id"] == side[3])
            order["fills"].remove((quantity, price))
            end = (quantity, price, match, number)
            if order["status"] in LIVE:
                order["quantity"] -= quantity
                order["status"] = "PARTIALLY_FILLED" if order["fills"] else "NEW"
            elif self.remembered(order):
                if order["status"] == "FILLED":
                    order["status"] = "CANCELED"
            else:
                last = [event for _, event in self.executions() if event[3] == side[3]][-1]
                done = sum(q for q, _ in order["fills"])
                value = sum(q * p for q, p in order["fills"])
                events.append((64, *last[1:11], done, 0, value, 4, last[15], *end))
                continue
            events.append((64, *self.fields(order), *end))
        self.busts.append((match, self.last_match))
        gone = [each for each, _ in self.busts]
        instrument["trades"].remove((quantity, price))
        left = {e[18]: e for _, e in self.executions() if e[5] == symbol and e[18] not in gone}
        prices = [event[17] for event in left.values()]
        if len(prices) == len(instrument["trades"]):
            instrument["ends"] = (prices[0], max(prices), min(prices)) if prices else (0, 0, 0)
        if prices:
            instrument["last"] = prices[-1]
        return events
