"""Which terms of an order go together: a part of naive_exchange.py.

Where the engine has a function per rule, here is one list of (is it wrong, the answer), in the
order in which they count.
"""

from __future__ import annotations

from naive_trading import ALL_OR_NONE, HIDDEN, POST_ONLY

HIGHEST = 1_999_999_900
REST = (0, 1, 6)


class NaiveTerms:
    """The checks of terms; NaiveExchange has all the rest."""

    def terms_refusal(self, order):
        if order["terms"] is None:
            return None
        for wrong, answer in self.term_rules(order):
            if wrong:
                return answer
        return None

    def term_rules(self, order):
        t, kind, tif = order["terms"], order["kind"], order["tif"]
        instrument = self.instruments[order["symbol"]]
        tick, lot, bits = instrument["tick"], instrument["lot"], t["bits"]
        yield kind in (3, 4, 80) and tif not in REST, (6, tif, "")
        yield kind == 75 and tif not in (*REST, 3), (6, tif, "")
        expire = t["expire"]
        too_late = tif == 6 and not self.now < expire < 2**63
        yield too_late or (tif != 6 and expire != 0), (41, expire, self.now)
        stop, trail = t["stop"], t["trail"]
        yield stop < 0 or stop > HIGHEST or stop % tick != 0, (40, f"{stop}", tick)
        bad_trail = trail < 0 or trail > HIGHEST or trail % tick != 0
        yield bad_trail, (40, f"trail_amount {trail}", tick)
        said = stop != 0 or trail != 0
        yield said and kind not in (3, 4), (40, f"{stop}", "")
        yield not said and kind in (3, 4), (40, f"{stop}", "")
        yield trail != 0 and kind != 3, (40, f"trail_amount {trail}", "")
        yield bits < 0 or bits > 7, (30, f"instructions {bits}", 7)
        for bit, word, kinds in (
            (HIDDEN, "HIDDEN", (2, 4, 80)),
            (POST_ONLY, "POST_ONLY", (2,)),
            (ALL_OR_NONE, "ALL_OR_NONE", (2, 4, 80)),
        ):
            has = bits & bit != 0
            yield has and kind not in kinds, (30, f"{word} with order_type {kind}", "")
            yield has and tif not in REST, (30, f"{word} with time_in_force {tif}", "")
        both = bits & POST_ONLY and bits & ALL_OR_NONE
        yield both, (30, "POST_ONLY with ALL_OR_NONE", "")
        display, spread = t["display"], t["range"]
        displays = kind in (2, 4) and tif in REST and not self.is_hidden(order)
        yield display < 0 or display % lot != 0, (21, display, lot)
        yield display != 0 and not displays, (21, display, lot)
        most = max(display - 1, 0)
        bad_range = spread < 0 or spread > most or spread % lot != 0
        yield bad_range, (21, f"display_range {spread}", most)
        least = t["min"]
        may = kind in (1, 2, 4, 80) and tif in (*REST, 3) and not bits & (POST_ONLY | ALL_OR_NONE)
        fits = 0 < least <= order["quantity"]
        yield least != 0 and not (may and fits), (26, least, order["quantity"])
        peg, offset = t["peg"], t["offset"]
        yield peg not in ((1, 2, 3) if kind == 80 else (0,)), (23, peg, "")
        far = HIGHEST if kind == 80 else 0
        bad_offset = abs(offset) > far or offset % tick != 0
        yield bad_offset, (23, f"peg_offset {offset}", tick)
        group, action = t["group"], t["action"]
        yield not 0 <= group <= 65535, (42, f"self_trade_group {group}", 65535)
        actions = (1, 2, 3, 4) if group else (0,)
        yield action not in actions, (42, f"self_trade_action {action}", "")

    def state_refusal(self, order):
        state = self.instruments[order["symbol"]]["state"]
        found = None
        if state in (3, 4, 5, 6):
            bits, least = self.term(order, "bits"), self.term(order, "min")
            if bits & (POST_ONLY | ALL_OR_NONE) or least:
                found = f"min_qty {least}, instructions {bits}"
            if order["kind"] in (75, 80):
                found = f"order_type {order['kind']}"
            if order["tif"] in (3, 4):
                found = f"time_in_force {order['tif']}"
        if order["tif"] == 2 and state not in (3, 4):
            found = "time_in_force 2"
        return (43, found, state) if found else None

    def post_only_refusal(self, order):
        if not self.term(order, "bits") & POST_ONLY:
            return None
        if self.possible(order, order["price"]) == 0:
            return None
        return (31, order["price"], "")
