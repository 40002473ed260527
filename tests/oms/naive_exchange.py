"""The exchange once more, as plainly as it can be said: the oracle of the random runs.

It imports nothing of ours and shares no idea with it: orders are dictionaries in one list, matching
sorts that list anew for each trade, checks are one chain of ifs, numbers are literal.
(The other files naive_*.py are parts of it.)
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from naive_auctions import NaiveAuctions
from naive_busts import NaiveBusts
from naive_day import NaiveDay
from naive_numbers import LIVE, NaiveNumbers
from naive_protection import RULES, NaiveProtection
from naive_queries import NaiveQueries
from naive_terms import NaiveTerms
from naive_trading import NaiveTrading, as_terms

NO_ENTRY = {0: 14, 1: 15, 7: 44}
STATUS = {
    "NEW": 0, "PARTIALLY_FILLED": 1, "FILLED": 2, "CANCELED": 4, "REJECTED": 8, "EXPIRED": 67,
}  # fmt: skip


class NaiveExchange(
    NaiveAuctions,
    NaiveBusts,
    NaiveDay,
    NaiveNumbers,
    NaiveProtection,
    NaiveQueries,
    NaiveTerms,
    NaiveTrading,
):
    """apply(command, now) returns the events that the exchange owes for it. It keeps so many closed
    orders, and an answer has so many orders, rows in an event, and levels of a side at most."""

    def __init__(
        self,
        closed_kept: int,
        page: int = 500,
        rows: int = 50,
        levels: int = 500,
        interval: int = 10**9,
        hold: int = 30 * 10**9,
        kept: int = 40_000,
    ):
        self.closed_kept = closed_kept
        self.interval = interval
        self.page = page
        self.rows = rows
        self.levels = levels
        self.loaded = False
        self.market_hours = False
        self.night = False
        self.date = 0
        self.to_come: list | None = None  # phases of the day; None: there was never a day
        self.phase = None  # that of the day which is running
        self.hold = hold
        self.kept = kept
        self.traded: list = []  # (number of the first, events) of commands that traded
        self.busts: list = []  # (match number, what the last one was then)
        self.rules = dict.fromkeys(RULES, 0)
        self.breaker = self.opened_at = 0
        self.instruments: dict = {}
        self.accounts: dict = {}
        self.sessions: dict = {}
        self.orders: list[dict] = []  # all orders ever
        self.live: list[dict] = []  # those of them that live
        self.now = self.time = self.random = 0
        self.last_number = 0
        self.last_match = 0

    def apply(self, command, now=0) -> list[tuple]:
        self.now = max(self.now, now)
        kinds = {
            1: self.enter,
            2: self.replace,
            3: self.cancel,
            4: self.query,
            5: self.enter_numbered,
            6: self.replace_numbered,
            7: self.reduce_numbered,
            8: self.modify_numbered,
            9: self.mass_cancel,
            10: self.open,
            11: self.close,
            12: self.lost,
            13: self.set_order_entry,
            14: self.query_numbers,
            15: self.cancel_many,
            16: self.query_many,
            17: self.query_instruments,
            18: self.query_instrument,
            19: self.query_market,
            20: self.tick,
            21: self.query_book,
            30: self.load,
            31: self.trading,
            32: self.end_day,
            33: self.schedule,
            34: self.resume,
            40: self.protect,
            41: self.bust,
        }
        events = kinds[command[0]](*command[1:])
        self.note_trades(events)
        self.note_limit_states()
        return events

    # Orders

    def enter(
        self, owner, seq, account, name, symbol, side, kind, tif, quantity, price, terms=None
    ):
        def refuse(reason, found, limit=""):
            asked = (account, symbol, side, kind, tif, quantity, price)
            return [(5, owner, name, 0, *asked, 0, 0, 0, 8, 0, reason, found, limit)]

        session = self.sessions.get(owner)
        if session is None:
            return refuse(20, owner)
        session["seq"] = max(seq, session["seq"])
        if name in session["used"]:
            return refuse(3, name)
        session["used"].append(name)
        refusal = self.session_refusal(owner)
        if refusal is None and account not in ("", session["account"]):
            refusal = (2, account, session["account"])
        asked = (symbol, side, kind, tif, quantity, price)
        refusal = refusal or self.entry_refusal(owner, *asked, terms)
        if refusal:
            return refuse(*refusal)
        return self.start(owner, name, *asked, 0, terms, None)

    def session_refusal(self, owner):
        session = self.sessions[owner]
        if session["cod"] and session["gateway"] is None:
            return (20, owner, "")
        return (29, owner, "") if session["disabled"] else None

    def entry_refusal(self, owner, symbol, side, kind, tif, quantity, price, terms):
        if symbol not in self.instruments:
            return (1, symbol, "")
        instrument = self.instruments[symbol]
        account = self.sessions[owner]["account"]
        if instrument["state"] in NO_ENTRY:
            return (NO_ENTRY[instrument["state"]], instrument["state"], "")
        if side not in (1, 2, 5, 6):
            return (4, side, "")
        if kind not in (1, 2, 3, 4, 75, 80):
            return (5, kind, "")
        if tif not in (0, 1, 2, 3, 4, 6, 7):
            return (6, tif, "")
        order = self.new_order(owner, "", symbol, side, kind, tif, quantity, price, 0, terms)
        return (
            self.quantity_refusal(instrument, account, quantity)
            or self.price_refusal(instrument, account, order, kind in (2, 4))
            or self.terms_refusal(order)
            or self.state_refusal(order)
            or self.post_only_refusal(order)
        )

    def new_order(self, owner, name, symbol, side, kind, tif, quantity, price, group, terms):
        special = terms is not None or kind not in (1, 2) or tif not in (0, 1, 3, 4)
        return {
            "owner": owner,
            "name": name,
            "id": 0,
            "ref": 0,
            "account": self.sessions[owner]["account"],
            "symbol": symbol,
            "side": side,
            "kind": kind,
            "tif": tif,
            "quantity": quantity,
            "price": price,
            "limit": price,
            "group": group,
            "terms": as_terms(terms or ()) if special else None,
            "stop": 0,
            "triggered": False,
            "shown": 0,
            "where": "nowhere",
            "time": 0,
            "fills": [],
            "status": "NEW",
            "closed_at": None,
        }

    def start(self, owner, name, symbol, side, kind, tif, quantity, price, group, terms, memo):
        order = self.new_order(owner, name, symbol, side, kind, tif, quantity, price, group, terms)
        self.last_number += 1
        order["id"] = order["ref"] = self.last_number
        return self.accept(order, memo)

    def replace(self, owner, seq, name, orig, symbol, side, kind, tif, quantity, price, terms=None):
        order, refusal = self.find(owner, seq, name, orig)
        if refusal is None:
            refusal = self.session_refusal(owner)
        if refusal is None:
            for word, said, is_ in (
                ("symbol", symbol, order["symbol"]),
                ("side", side, order["side"]),
                ("order_type", kind, order["kind"]),
                ("time_in_force", tif, order["tif"]),
            ):
                if said != is_ and refusal is None:
                    refusal = (18, f"{word} {said}", f"{word} {is_}")
        if refusal is None:
            if terms is None and kind == 80 and price == 0:
                price = order["limit"]
            terms = self.other_terms(order, terms)
            refusal = self.change_refusal(order, quantity, price, terms)
        if refusal:
            return [self.refused(owner, name, orig, symbol, 2, refusal)]
        return self.renew(order, name, quantity, price, terms, None)

    def other_terms(self, order, terms):
        if terms is None:
            return None
        said = order["terms"] or as_terms(())
        now = dict(said, stop=order["stop"]) if order["terms"] else said
        return None if as_terms(terms) in (said, now) else terms

    def change_refusal(self, order, quantity, price, terms):
        instrument = self.instruments[order["symbol"]]
        done = sum(q for q, _ in order["fills"])
        if instrument["state"] in NO_ENTRY:
            return (NO_ENTRY[instrument["state"]], instrument["state"], "")
        if quantity <= 0:
            return (7, quantity, "")
        if quantity <= done:
            return (19, quantity, done)
        if quantity % instrument["lot"]:
            return (8, quantity, instrument["lot"])
        if self.only_shrinks(order, quantity, price, terms):
            return None
        kept = self.terms_now(order) if order["terms"] else None
        changed = self.new_order(
            *(order[word] for word in ("owner", "name", "symbol", "side", "kind", "tif")),
            quantity,
            price,
            0,
            kept if terms is None else terms,
        )
        changed["fills"] = order["fills"]
        changed["triggered"] = order["triggered"]
        return (
            self.quantity_refusal(instrument, order["account"], quantity)
            or self.price_refusal(
                instrument, order["account"], changed, order["kind"] in (2, 4, 75)
            )
            or (None if terms is None else self.terms_refusal(changed))
            or self.state_refusal(changed)
            or self.post_only_refusal(changed)
        )

    def only_shrinks(self, order, quantity, price, terms):
        said = order["limit"] if order["kind"] == 80 else order["price"]
        return price == said and quantity < order["quantity"] and terms is None

    def renew(self, order, name, quantity, price, terms, memo):
        instrument = self.instruments[order["symbol"]]
        smaller = self.only_shrinks(order, quantity, price, terms)
        orig = order["name"]
        order["name"] = name
        if smaller:
            off = self.shorten(order, order["quantity"] - quantity)
            fields = list(self.fields(order))
            fields[9] = order["limit"] if order["kind"] == 80 else order["price"]
            events = [(4, *fields, orig, *self.end(order, memo))]
            if off:
                events.append((31, "", instrument["locate"], order["ref"], off))
            self.settle(order["symbol"], events)
            return events
        old = order["ref"] if order["where"] == "book" and not self.is_hidden(order) else None
        order["where"] = "nowhere"
        self.last_number += 1
        order.update(ref=self.last_number, quantity=quantity, price=price, limit=price, shown=0)
        if terms is not None:
            order["terms"] = as_terms(terms)
            self.begin_to_trail(order)
        events = [(4, *self.fields(order), orig, *self.end(order, memo))]
        self.place(order, events, old)
        self.settle(order["symbol"], events)
        return events

    def cancel(self, owner, seq, name, orig, symbol, side):
        order, refusal = self.find(owner, seq, name, orig)
        if refusal is None and symbol != order["symbol"]:
            refusal = (18, f"symbol {symbol}", f"symbol {order['symbol']}")
        if refusal is None and side != order["side"]:
            refusal = (18, f"side {side}", f"side {order['side']}")
        if refusal:
            return [self.refused(owner, name, orig, symbol, 1, refusal)]
        events = self.take_out(order, name, orig, 1)
        self.settle(symbol, events)
        return events

    def find(self, owner, seq, name, orig):
        if owner not in self.sessions:
            return None, (20, owner, "")
        session = self.sessions[owner]
        session["seq"] = max(seq, session["seq"])
        if name in session["used"]:
            return None, (3, name, "")
        session["used"].append(name)
        for order in self.orders:
            if order["owner"] == owner and order["name"] == orig:
                if order["status"] in LIVE:
                    return order, None
                return None, (17, STATUS[order["status"]], "")
        return None, (16, orig, "")

    def refused(self, owner, name, orig, symbol, response_to, refusal):
        for order in self.orders:
            if order["owner"] == owner and order["name"] == orig:
                status = STATUS[order["status"]]
                if self.remembered(order):
                    known = (order["id"], order["account"], order["symbol"], status)
                else:
                    known = (0, "", symbol, status)
                return (6, owner, name, orig, *known, response_to, *refusal)
        return (6, owner, name, orig, 0, "", symbol, 8, response_to, *refusal)

    def take_out(self, order, name, orig, reason):
        left = self.leaves(order)
        is_displayed = order["where"] == "book" and not self.is_hidden(order)
        is_over = reason == 21 or (reason == 23 and order["tif"] in (2, 7))
        self.close_order(order, "EXPIRED" if is_over else "CANCELED")
        fields = list(self.fields(order))
        fields[1] = name
        locate = self.instruments[order["symbol"]]["locate"]
        feed = [(32, "", locate, order["ref"])] if is_displayed else []
        return [(3, *fields, orig, left, reason), *feed]

    # Rules

    def quantity_refusal(self, instrument, account, quantity):
        most = min(instrument["most"], self.accounts[account]["quantity"])
        if quantity <= 0:
            return (7, quantity, "")
        if quantity % instrument["lot"]:
            return (8, quantity, instrument["lot"])
        return (9, quantity, most) if quantity > most else None

    def price_refusal(self, instrument, account, order, has_limit):
        kind, price, quantity = order["kind"], order["price"], order["quantity"]
        low, high = self.band(instrument)
        if has_limit and not 0 < price < 2_000_000_000 - 99:
            return (10, price, "")
        if kind == 80 and not 0 <= price < 2_000_000_000 - 99:
            return (10, price, "")
        if not has_limit and kind != 80 and price != 0:
            return (10, price, "")
        if price % instrument["tick"]:
            return (11, price, instrument["tick"])
        meets_band = has_limit and (kind != 4 or order["triggered"])
        if meets_band and self.is_outside(instrument, order["side"], price):
            return (12, price, f"{low}-{high}")
        stop = min(self.term(order, "stop"), 199_999_9900)  # beyond that it is no price
        worth = quantity * (price or max(high, stop))
        most = self.accounts[account]["value"]
        return (13, worth, most) if worth > most else None

    def band(self, instrument):
        if instrument["luld"]:
            return instrument["band"]
        middle = Fraction(instrument["last"] or instrument["reference"])
        width = middle * instrument["bps"] / 10_000
        return max(1, ceil(middle - width)), min(1_999_999_900, floor(middle + width))

    def leaves(self, order):
        if order["status"] in ("FILLED", "CANCELED", "EXPIRED"):
            return 0
        return order["quantity"] - sum(quantity for quantity, _ in order["fills"])

    def close_order(self, order, status):
        order.update(status=status, where="gone", shown=0)
        self.live = [other for other in self.live if other is not order]
        order["closed_at"] = self.sessions[order["owner"]]["closed"]
        self.sessions[order["owner"]]["closed"] += 1

    def remembered(self, order):
        if order["closed_at"] is None:
            return True
        return order["closed_at"] >= self.sessions[order["owner"]]["closed"] - self.closed_kept

    def fields(self, order):
        done = sum(quantity for quantity, _ in order["fills"])
        return (
            order["owner"],
            order["name"],
            order["id"],
            order["account"],
            order["symbol"],
            order["side"],
            order["kind"],
            order["tif"],
            order["quantity"],
            order["price"],
            done,
            self.leaves(order),
            sum(quantity * price for quantity, price in order["fills"]),
            STATUS[order["status"]],
            order["ref"],
        )

    def added(self, order):
        locate = self.instruments[order["symbol"]]["locate"]
        side = 1 if order["side"] == 1 else 2
        shown = order["shown"] or self.leaves(order)
        return (30, "", locate, order["ref"], side, shown, order["price"])

    # Sessions and the exchange

    def open(self, name, gateway, cod, reset):
        if name not in self.sessions:
            return [(12, name, gateway, 20)]
        session = self.sessions[name]
        session.update(gateway=gateway, cod=cod, seq=0 if reset else session["seq"])
        return [(10, name, gateway, session["seq"])]

    def close(self, name, gateway):
        session = self.sessions.get(name)
        if session is None or session["gateway"] is None or session["gateway"] != gateway:
            return []
        session["gateway"] = None
        events = []
        chosen = []
        if session["cod"]:
            for order in sorted(self.orders, key=lambda order: order["id"]):
                if order["owner"] == name and order["status"] in LIVE:
                    chosen.append(order)
            events += self.take_out_all(chosen, 5)
        return [*events, (11, name, gateway, len(chosen))]

    def lost(self, gateway):
        return [event for name in self.sessions for event in self.close(name, gateway)]

    def load(self, instruments, accounts, sessions):
        if self.loaded:
            return []
        self.loaded = True
        events = [(22, "", 1), (22, "", 2)]
        for symbol, locate, tick, lot, reference, bps, most in instruments:
            self.instruments[symbol] = {
                "locate": locate,
                "tick": tick,
                "lot": lot,
                "reference": reference,
                "bps": bps,
                "most": most,
                "state": 0,
                "why": "",
                "last": 0,
                "told": 0,
                "held": None,
                "trades": [],
                "ends": (0, 0, 0),
                **self.unprotected(reference),
            }
            events.append((20, "", symbol, locate, lot, tick, reference))
        for account, firm, quantity, value in accounts:
            self.accounts[account] = {"firm": firm, "quantity": quantity, "value": value}
        for name, account in sessions:
            self.sessions[name] = {
                "account": account,
                "seq": 0,
                "gateway": None,
                "cod": False,
                "used": [],
                "numbers": [],
                "disabled": False,
                "closed": 0,
            }
        return events
