"""What may be asked of the exchange, and the cancel of many orders, as plainly as they can be said:
a part of naive_exchange.py.

Every answer is looked for among all orders ever. A list of prices and sizes is added up anew.
"""

from __future__ import annotations

LIVE = ("NEW", "PARTIALLY_FILLED")


class NaiveQueries:
    """The handlers of these commands; NaiveExchange has all the rest."""

    def heard(self, owner, seq):
        """Whether the session exists; it remembers the highest number that it said."""
        if owner not in self.sessions:
            return False
        self.sessions[owner]["seq"] = max(seq, self.sessions[owner]["seq"])
        return True

    def fitting(self, owner, symbol, side):
        """Its live orders by their first number. Nobody is on a side other than 1 and 2."""
        found = []
        for order in sorted(self.orders, key=lambda order: order["id"]):
            if order["owner"] != owner or order["status"] not in LIVE:
                continue
            if symbol != "" and order["symbol"] != symbol:
                continue
            if order["side"] in {0: (1, 2, 5, 6), 1: (1,), 2: (2, 5, 6)}.get(side, ()):
                found.append(order)
        return found

    def cancel_many(self, owner, seq, name, symbol, side):
        refusal = None
        if not self.heard(owner, seq):
            refusal = (20, owner, "")
        elif name in self.sessions[owner]["used"]:
            refusal = (3, name, "")
        else:
            self.sessions[owner]["used"].append(name)
            if symbol != "" and symbol not in self.instruments:
                refusal = (1, symbol, "")
            elif side not in (0, 1, 2):
                refusal = (4, side, "")
        if refusal:
            return [(17, owner, name, symbol, side, 0, *refusal)]
        chosen = self.fitting(owner, symbol, side)
        events = [(17, owner, name, symbol, side, len(chosen), 0, "", "")]
        return events + self.take_out_all(chosen, 8)

    def query(self, owner, seq, name, symbol, side):
        if self.heard(owner, seq):
            for order in self.orders:
                if order["owner"] == owner and order["name"] == name and self.remembered(order):
                    terms = (self.terms_now(order),) if order["terms"] else ()
                    return [(7, *self.fields(order), *terms)]
        return [(7, owner, name, 0, "", symbol, side, 0, 0, 0, 0, 0, 0, 0, 8, 0)]

    def query_many(self, owner, seq, request, symbol, side, after):
        if not self.heard(owner, seq):
            return []
        every = self.fitting(owner, symbol, side)
        later = [order for order in every if order["id"] > after]
        if not later:
            nothing = (owner, "", 0, "", symbol, side, 0, 0, 0, 0, 0, 0, 0, 8, 0)
            return [(18, *nothing, request, 0, 0)]
        events = []
        for order in later[: self.page]:
            behind = sum(other["id"] > order["id"] for other in every)
            terms = (self.terms_now(order),) if order["terms"] else ()
            events.append((18, *self.fields(order), request, len(every), behind, *terms))
        return events

    def query_instruments(self, owner, seq, request, symbol):
        if not self.heard(owner, seq):
            return []
        rows = [
            (name, each["locate"], each["lot"], each["tick"], each["reference"], each["state"])
            for name, each in self.instruments.items()
            if symbol in ("", name)
        ]
        events, left = [], list(rows)
        while left or not events:
            part, left = left[: self.rows], left[self.rows :]
            events.append((19, owner, request, len(rows), len(left), tuple(part)))
        return events

    def query_instrument(self, owner, seq, request, symbol):
        if not self.heard(owner, seq):
            return []
        if symbol not in self.instruments:
            return [(24, owner, request, symbol, False, 0, 0, 0, 0)]
        instrument = self.instruments[symbol]
        known = (instrument["state"], instrument["last"], *self.band(instrument))
        return [(24, owner, request, symbol, True, *known)]

    def query_market(self, owner, seq, request):
        if not self.heard(owner, seq):
            return []
        counts = [0] * 8
        for instrument in self.instruments.values():
            counts[instrument["state"]] += 1
        return [(25, owner, request, *counts)]

    def query_book(self, owner, seq, request, symbol, depth):
        if not self.heard(owner, seq):
            return []
        if symbol not in self.instruments:
            return [(26, owner, request, symbol, False, 0, (), ())]
        sides = []
        for buys in (True, False):
            live = [
                order
                for order in self.orders
                if order["symbol"] == symbol
                and order["where"] == "book"
                and not self.is_hidden(order)
                and (order["side"] == 1) == buys
            ]
            levels = []
            for price in sorted({order["price"] for order in live}, reverse=buys):
                here = [order for order in live if order["price"] == price]
                sizes = [order["shown"] or self.leaves(order) for order in here]
                levels.append((price, sum(sizes), len(sizes)))
            most = self.levels if depth < 1 or depth > self.levels else depth
            sides.append(tuple(levels[:most]))
        return [(26, owner, request, symbol, True, self.instruments[symbol]["last"], *sides)]
