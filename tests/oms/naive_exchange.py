"""The exchange once more, as plainly as it can be said: the oracle of the random runs.

It imports nothing of ours and shares no idea with it: orders are dictionaries in one list, matching
sorts that list anew for each share-out, checks are one chain of ifs, numbers are literal.
(naive_numbers.py and naive_queries.py are parts of it.)
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from naive_numbers import LIVE, NaiveNumbers
from naive_queries import NaiveQueries

STATUS = {"NEW": 0, "PARTIALLY_FILLED": 1, "FILLED": 2, "CANCELED": 4, "REJECTED": 8}


class NaiveExchange(NaiveNumbers, NaiveQueries):
    """apply(command) returns the events that the exchange owes for it. It keeps so many closed
    orders, and an answer has so many orders, rows in an event, and levels of a side at most."""

    def __init__(self, closed_kept: int, page: int = 500, rows: int = 50, levels: int = 500):
        self.closed_kept = closed_kept
        self.page = page
        self.rows = rows
        self.levels = levels
        self.loaded = False
        self.market_hours = False
        self.instruments: dict = {}
        self.accounts: dict = {}
        self.sessions: dict = {}
        self.orders: list[dict] = []  # all orders ever, in time priority
        self.last_number = 0
        self.last_match = 0

    def apply(self, command) -> list[tuple]:
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
            20: lambda: [],
            21: self.query_book,
            30: self.load,
            31: self.trading,
        }
        return kinds[command[0]](*command[1:])

    # Orders

    def enter(self, owner, seq, account, name, symbol, side, kind, tif, quantity, price):
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
        refusal = refusal or self.entry_refusal(owner, symbol, side, kind, tif, quantity, price)
        if refusal:
            return refuse(*refusal)
        return self.start(owner, name, symbol, side, kind, tif, quantity, price, 0)

    def session_refusal(self, owner):
        session = self.sessions[owner]
        if session["cod"] and session["gateway"] is None:
            return (20, owner, "")
        return (29, owner, "") if session["disabled"] else None

    def entry_refusal(self, owner, symbol, side, kind, tif, quantity, price):
        if symbol not in self.instruments:
            return (1, symbol, "")
        instrument = self.instruments[symbol]
        account = self.sessions[owner]["account"]
        if instrument["state"] != 2:
            return ({0: 14, 1: 15}[instrument["state"]], instrument["state"], "")
        if side not in (1, 2, 5, 6):
            return (4, side, "")
        if kind not in (1, 2):
            return (5, kind, "")
        if tif not in (0, 1, 3, 4):
            return (6, tif, "")
        refusal = self.quantity_refusal(instrument, account, quantity)
        return refusal or self.price_refusal(instrument, account, quantity, price, kind)

    def start(self, owner, name, symbol, side, kind, tif, quantity, price, group):
        instrument = self.instruments[symbol]
        self.last_number += 1
        order = {
            "owner": owner,
            "name": name,
            "id": self.last_number,
            "ref": self.last_number,
            "account": self.sessions[owner]["account"],
            "symbol": symbol,
            "side": side,
            "kind": kind,
            "tif": tif,
            "quantity": quantity,
            "price": price,
            "group": group,
            "fills": [],
            "status": "NEW",
            "closed_at": None,
        }
        events = [(1, *self.fields(order))]
        limit = price
        if kind == 1:
            low, high = self.band(instrument)
            limit = high if side == 1 else low
        if tif != 4 or self.available(order, limit) >= quantity:
            events += self.trade(order, limit)
        left = self.leaves(order)
        self.orders.append(order)
        if left and kind == 2 and tif in (0, 1):
            events.append(self.added(order))
        elif left:
            reason = 4 if kind == 1 else {3: 2, 4: 3}[tif]
            self.close_order(order, "CANCELED")
            events.append((3, *self.fields(order), "", left, reason))
        elif not left:
            self.close_order(order, "FILLED")
        return events

    def replace(self, owner, seq, name, orig, symbol, side, kind, tif, quantity, price):
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
            refusal = self.terms_refusal(order, quantity, price)
        if refusal:
            return [self.refused(owner, name, orig, symbol, 2, refusal)]
        return self.renew(order, name, quantity, price)

    def terms_refusal(self, order, quantity, price):
        instrument = self.instruments[order["symbol"]]
        done = sum(q for q, _ in order["fills"])
        if instrument["state"] != 2:
            return ({0: 14, 1: 15}[instrument["state"]], instrument["state"], "")
        if quantity <= 0:
            return (7, quantity, "")
        if quantity <= done:
            return (19, quantity, done)
        if quantity % instrument["lot"]:
            return (8, quantity, instrument["lot"])
        if price == order["price"] and quantity < order["quantity"]:
            return None
        return self.quantity_refusal(instrument, order["account"], quantity) or self.price_refusal(
            instrument, order["account"], quantity, price, 2
        )

    def renew(self, order, name, quantity, price):
        instrument = self.instruments[order["symbol"]]
        smaller = price == order["price"] and quantity < order["quantity"]
        orig = order["name"]
        before = self.leaves(order)
        order["name"] = name
        order["quantity"] = quantity
        if smaller:
            return [
                (4, *self.fields(order), orig),
                (31, "", instrument["locate"], order["ref"], before - self.leaves(order)),
            ]
        old = order["ref"]
        self.last_number += 1
        order["ref"] = self.last_number
        order["price"] = price
        self.orders.remove(order)  # and last in time again, below
        events = [(4, *self.fields(order), orig)]
        trades = self.trade(order, price)
        self.orders.append(order)
        left = self.leaves(order)
        if not trades:
            return [*events, (33, "", instrument["locate"], old, order["ref"], left, price)]
        events += [(32, "", instrument["locate"], old), *trades]
        if left:
            events.append(self.added(order))
        else:
            self.close_order(order, "FILLED")
        return events

    def cancel(self, owner, seq, name, orig, symbol, side):
        order, refusal = self.find(owner, seq, name, orig)
        if refusal is None and symbol != order["symbol"]:
            refusal = (18, f"symbol {symbol}", f"symbol {order['symbol']}")
        if refusal is None and side != order["side"]:
            refusal = (18, f"side {side}", f"side {order['side']}")
        if refusal:
            return [self.refused(owner, name, orig, symbol, 1, refusal)]
        return self.take_out(order, name, orig, 1)

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
        self.close_order(order, "CANCELED")
        fields = list(self.fields(order))
        fields[1] = name
        locate = self.instruments[order["symbol"]]["locate"]
        return [(3, *fields, orig, left, reason), (32, "", locate, order["ref"])]

    # Rules

    def quantity_refusal(self, instrument, account, quantity):
        most = min(instrument["most"], self.accounts[account]["quantity"])
        if quantity <= 0:
            return (7, quantity, "")
        if quantity % instrument["lot"]:
            return (8, quantity, instrument["lot"])
        return (9, quantity, most) if quantity > most else None

    def price_refusal(self, instrument, account, quantity, price, kind):
        low, high = self.band(instrument)
        worth = quantity * (high if kind == 1 else price)
        if kind == 1 and price != 0:
            return (10, price, "")
        if kind == 2 and not 0 < price < 2_000_000_000 - 99:
            return (10, price, "")
        if kind == 2 and price % instrument["tick"]:
            return (11, price, instrument["tick"])
        if kind == 2 and (price < low or price > high):
            return (12, price, f"{low}-{high}")
        most = self.accounts[account]["value"]
        return (13, worth, most) if worth > most else None

    def band(self, instrument):
        middle = Fraction(instrument["last"] or instrument["reference"])
        width = middle * instrument["bps"] / 10_000
        return max(1, ceil(middle - width)), min(1_999_999_900, floor(middle + width))

    # Trading

    def opposite(self, order, limit):
        """Orders that this one may trade with, the first to trade first."""
        buys = order["side"] == 1
        found = [
            other
            for other in self.orders
            if other["symbol"] == order["symbol"]
            and other["status"] in LIVE
            and (other["side"] == 1) != buys
            and (other["price"] <= limit if buys else other["price"] >= limit)
        ]
        return sorted(found, key=lambda other: other["price"] if buys else -other["price"])

    def available(self, order, limit):
        return sum(self.leaves(other) for other in self.opposite(order, limit))

    def trade(self, order, limit):
        events = []
        for other in self.opposite(order, limit):
            quantity = min(self.leaves(order), self.leaves(other))
            if quantity == 0:
                break
            self.last_match += 1
            price = other["price"]
            for party, liquidity in ((other, 1), (order, 2)):
                party["fills"].append((quantity, price))
                party["status"] = "PARTIALLY_FILLED" if self.leaves(party) else "FILLED"
                if party is other and party["status"] == "FILLED":
                    self.close_order(party, "FILLED")
                events.append((2, *self.fields(party), quantity, price, self.last_match, liquidity))
            self.instruments[order["symbol"]]["last"] = price
        return events

    def leaves(self, order):
        if order["status"] in ("FILLED", "CANCELED"):
            return 0
        return order["quantity"] - sum(quantity for quantity, _ in order["fills"])

    def close_order(self, order, status):
        order["status"] = status
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
        return (30, "", locate, order["ref"], side, self.leaves(order), order["price"])

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
        canceled = 0
        if session["cod"]:
            for order in sorted(self.orders, key=lambda order: order["id"]):
                if order["owner"] == name and order["status"] in LIVE:
                    events += self.take_out(order, order["name"], "", 5)
                    canceled += 1
        return [*events, (11, name, gateway, canceled)]

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
            }
            events.append((20, "", symbol, locate, lot, tick, reference))
        for account, _, quantity, value in accounts:
            self.accounts[account] = {"quantity": quantity, "value": value}
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

    def trading(self, symbol, trading_state, why):
        chosen = [symbol] if symbol else list(self.instruments)
        chosen = [name for name in chosen if name in self.instruments]
        if trading_state not in (0, 1, 2) or not chosen:
            return []
        events = []
        if trading_state == 2 and not self.market_hours:
            self.market_hours = True
            events.append((22, "", 3))
        for name in chosen:
            instrument = self.instruments[name]
            if (instrument["state"], instrument["why"]) != (trading_state, why):
                instrument.update(state=trading_state, why=why)
                events.append((21, "", name, instrument["locate"], trading_state, why))
        return events
