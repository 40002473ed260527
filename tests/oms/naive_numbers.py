"""Requests that are numbered, as plainly as they can be said: a part of naive_exchange.py.

The numbers that a session has used are a list that only grows; each question reads it through.
"""

from __future__ import annotations

from naive_trading import HIDDEN

LIVE = ("NEW", "PARTIALLY_FILLED")


class NaiveNumbers:
    """The handlers of these commands; NaiveExchange has all the rest."""

    def known(self, owner, channel, number, memo):
        """None, or the answer to a session that nobody defined."""
        return None if owner in self.sessions else [(13, owner, channel, number, 20, owner, memo)]

    def is_new(self, owner, channel, number):
        return number > max([0, *(n for c, n in self.sessions[owner]["numbers"] if c == channel)])

    def use(self, owner, channel, number):
        self.sessions[owner]["numbers"].append((channel, number))

    def numbered(self, owner, channel, number):
        name = f"{channel}:{number}" if channel != 0 else f"{number}"
        for order in self.orders:
            if (order["owner"], order["name"]) == (owner, name) and order["status"] in LIVE:
                return order
        return None

    def enter_numbered(
        self, owner, channel, number, symbol, side, kind, tif, quantity, price, group, *more
    ):
        refusal, found, memo, *terms = more
        terms = terms[0] if terms else None
        name = f"{channel}:{number}" if channel != 0 else f"{number}"
        account = ""
        if owner not in self.sessions:
            refused = (20, owner, "")
        elif not self.is_new(owner, channel, number):
            return []
        else:
            self.use(owner, channel, number)
            account = self.sessions[owner]["account"]
            if name in self.sessions[owner]["used"]:
                refused = (3, name, "")
            else:
                self.sessions[owner]["used"].append(name)
                refused = self.session_refusal(owner)
                if refused is None and refusal != 0:
                    refused = (refusal if 1 <= refusal <= 31 else 30, found, "")
                if refused is None and (group < 0 or group > 65535):
                    refused = (30, f"group_id {group}", "")
                if refused is None:
                    asked = (symbol, side, kind, tif, quantity, price)
                    refused = self.entry_refusal(owner, *asked, terms)
        if refused:
            asked = (account, symbol, side, kind, tif, quantity, price)
            return [(5, owner, name, 0, *asked, 0, 0, 0, 8, 0, *refused, memo)]
        asked = (symbol, side, kind, tif, quantity, price)
        return self.start(owner, name, *asked, group, terms, memo)

    def replace_numbered(self, owner, channel, orig, number, tif, quantity, price, kind, *more):
        refusal, _, memo, *terms = more
        terms = terms[0] if terms else None
        if owner not in self.sessions:
            return self.known(owner, channel, number, memo)
        order = self.numbered(owner, channel, orig)
        if order is None or not self.is_new(owner, channel, number):
            return []
        disabled = self.session_refusal(owner)
        if disabled:
            self.use(owner, channel, number)
            return [(13, owner, channel, number, *disabled[:2], memo)]
        name = f"{channel}:{number}" if channel != 0 else f"{number}"
        said = (list(terms or ()) + [None] * 11)[:11]
        if order["kind"] == 80 and said[6] is None and kind in (1, 2):
            kind = 80
        if order["tif"] in (2, 7) and tif in (0, 3):
            tif = order["tif"]
        if refusal != 0 or (tif, kind) != (order["tif"], order["kind"]):
            return self.take_out_all([order], 7)
        if name in self.sessions[owner]["used"]:
            return self.take_out_all([order], 7)
        if quantity <= sum(q for q, _ in order["fills"]):
            return self.take_out_all([order], 1)
        if terms is not None or order["terms"]:
            terms = self.other_terms(order, self.after(order, said, terms is None))
        if self.change_refusal(order, quantity, price, terms):
            return self.take_out_all([order], 7)
        self.use(owner, channel, number)
        self.sessions[owner]["used"].append(name)
        return self.renew(order, name, quantity, price, terms, memo)

    def after(self, order, said, is_silent):
        """The terms of an order after a replace that says some of them."""
        terms = list(self.terms_now(order)) if order["terms"] else [0] * 11
        for place, value in enumerate(said):
            if place == 5 and is_silent:
                terms[5] &= ~HIDDEN
            elif place == 5 and value is not None:
                terms[5] = value % 65536 | terms[5] & value // 65536
            elif value is not None:
                terms[place] = value
        return tuple(terms)

    def reduce_numbered(self, owner, channel, number, quantity):
        if owner not in self.sessions:
            return self.known(owner, channel, number, b"")
        order = self.numbered(owner, channel, number)
        if order is None or quantity >= order["quantity"]:
            return []
        return self.shrink(8, order, quantity)

    def modify_numbered(self, owner, channel, number, side, quantity):
        if owner not in self.sessions:
            return self.known(owner, channel, number, b"")
        order = self.numbered(owner, channel, number)
        if order is None or quantity > order["quantity"]:
            return []
        allowed = {1: (1,), 2: (2, 5, 6), 5: (2, 5, 6), 6: (2, 5, 6)}[order["side"]]
        if side not in allowed:
            return []
        if quantity > sum(q for q, _ in order["fills"]):
            order["side"] = side
        return self.shrink(9, order, quantity)

    def shrink(self, kind, order, quantity):
        if quantity <= sum(q for q, _ in order["fills"]):
            return self.take_out_all([order], 1)
        off = order["quantity"] - quantity
        unshown = self.shorten(order, off)
        events = [(kind, *self.fields(order), off)]
        locate = self.instruments[order["symbol"]]["locate"]
        if unshown:
            events.append((31, "", locate, order["ref"], unshown))
        if off:
            self.settle(order["symbol"], events)
        return events

    def mass_cancel(self, owner, channel, number, symbol, side, group, only, refusal, found, memo):
        if owner not in self.sessions:
            return self.known(owner, channel, number, memo)
        if not self.is_new(owner, channel, number):
            return []
        self.use(owner, channel, number)
        reason = None
        if refusal != 0:
            reason = (refusal if 1 <= refusal <= 31 else 30, found)
        elif symbol != "" and symbol not in self.instruments:
            reason = (1, symbol)
        elif side not in (0, 1, 2):
            reason = (4, side)
        if reason:
            return [(13, owner, channel, number, *reason, memo)]
        chosen = []
        for order in sorted(self.orders, key=lambda order: order["id"]):
            place = order["name"].split(":")[0] if ":" in order["name"] else "0"
            if order["owner"] != owner or order["status"] not in LIVE:
                continue
            if symbol != "" and order["symbol"] != symbol:
                continue
            if (side == 1 and order["side"] != 1) or (side == 2 and order["side"] == 1):
                continue
            if group != 0 and order["group"] != group:
                continue
            if only != -1 and place != f"{only}":
                continue
            chosen.append(order)
        events = [(14, owner, channel, number, symbol, len(chosen), memo)]
        return events + self.take_out_all(chosen, 8)

    def set_order_entry(self, owner, channel, number, enabled, refusal, found, memo):
        if owner not in self.sessions:
            return self.known(owner, channel, number, memo)
        if not self.is_new(owner, channel, number):
            return []
        self.use(owner, channel, number)
        if refusal != 0:
            reason = refusal if 1 <= refusal <= 31 else 30
            return [(13, owner, channel, number, reason, found, memo)]
        self.sessions[owner]["disabled"] = not enabled
        return [(15, owner, channel, number, enabled, memo)]

    def query_numbers(self, owner, channel):
        if owner not in self.sessions:
            return self.known(owner, channel, 0, b"")
        used = [number for place, number in self.sessions[owner]["numbers"] if place == channel]
        return [(16, owner, channel, max([0, *used]) + 1)]
