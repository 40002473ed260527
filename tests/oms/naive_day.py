"""The trading day, as plainly as it can be said: a part of naive_exchange.py.

What has to happen until now is a list of moments, each gone through on its own.
"""

from __future__ import annotations


class NaiveDay:
    """What operators, the schedule and the clock do; NaiveExchange has all the rest."""

    def tick(self):
        events = []
        coming = list(self.to_come or [])
        for moment in sorted({time for time, _ in coming}):
            if moment > self.now:
                break
            events += self.expire(moment)
            for time, state in coming:
                if time == moment:
                    del self.to_come[0]
                    events += self.begin_phase(state)
        events += self.expire(self.now)
        self.note_limit_states()  # that of an instrument whose phase began just now, too
        events += self.watch()
        for symbol, instrument in self.instruments.items():
            if instrument["state"] in (4, 5, 6) and self.now - instrument["told"] >= self.interval:
                instrument["told"] = self.now
                events.append(self.indicate(symbol))
        return events

    def begin_phase(self, state):
        if state == 0:
            return self.end_day()
        self.phase = state
        return self.put(list(self.instruments), state, "")

    def schedule(self, date, phases):
        if self.phase is not None:
            return []
        if self.to_come == [] and date <= self.date:
            return []
        self.date = date
        self.to_come = list(phases)
        return []

    def trading(self, symbol, trading_state, why):
        chosen = [name for name in self.instruments if symbol in ("", name)]
        if trading_state not in range(8) or not chosen:
            return []
        for name in chosen:
            self.instruments[name].update(held=None, until=None)
            if trading_state in (0, 1, 7):
                self.instruments[name]["held"] = (trading_state, why)
        told = [(66, name, symbol, why) for name in self.sessions] if trading_state == 7 else []
        return told + self.put(chosen, trading_state, why)

    def resume(self, symbol, why):
        chosen = [name for name in self.instruments if symbol in ("", name)]
        state = 0 if self.to_come else 2
        if self.phase is not None:
            state = self.phase
        for name in chosen:
            self.instruments[name].update(held=None, until=None)
        return self.put(chosen, state, why) if chosen else []

    def put(self, chosen, state, why):
        events = []
        if 7 > state >= 2 and self.night:
            self.night = False
            events += [(22, "", 6), (22, "", 1), (22, "", 2)]
            for symbol, each in self.instruments.items():
                fields = (each["locate"], each["lot"], each["tick"], each["reference"])
                events.append((20, "", symbol, *fields))
            events += [(50, name) for name in self.sessions]
        if state == 2 and not self.market_hours:
            self.market_hours = True
            for instrument in self.instruments.values():
                instrument.update(trades=[], ends=(0, 0, 0))
            self.opened_at, self.breaker = self.now, 0
            self.traded, self.busts = [], []
            events.append((22, "", 3))
            events += self.say_levels()
        for symbol in chosen:
            instrument = self.instruments[symbol]
            new, reason = (state, why) if instrument["held"] is None else instrument["held"]
            if (new, reason) != (instrument["state"], instrument["why"]):
                events += self.change_state(symbol, new, reason)
        return events

    def end_day(self):
        events = []
        if self.phase is not None:
            self.phase, self.to_come = None, []
        for symbol, instrument in self.instruments.items():
            if instrument["until"] is not None:
                instrument["held"] = None
            if instrument["state"] not in (0, 7):
                events += self.change_state(symbol, 0, "")
            if instrument["held"] and instrument["held"][0] == 0:
                instrument["held"] = None
        over = [order for order in self.live if order["tif"] not in (1, 6)]
        events += self.take_out_all(sorted(over, key=lambda o: o["id"]), 21)
        if self.market_hours:
            self.market_hours = False
            for instrument in self.instruments.values():
                instrument["close"] = instrument["last"] or instrument["close"]
                instrument["middle"] = instrument["close"]
            for symbol, instrument in self.instruments.items():
                ends = instrument["ends"]
                volume = sum(quantity for quantity, _ in instrument["trades"])
                value = sum(quantity * price for quantity, price in instrument["trades"])
                sums = (volume, value, len(instrument["trades"]), instrument["last"])
                events.append((37, "", instrument["locate"], symbol, *ends, *sums))
            events.append((22, "", 4))
        if self.loaded and not self.night:
            self.night = True
            events += [(51, name) for name in self.sessions]
            events.append((22, "", 5))
        return events
