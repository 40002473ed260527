"""An order book that is too simple to be wrong: one list in arrival order, sorted for each trade.

It is the oracle of the tests: written from the rules in matching/README.md, it imports nothing of
ours and shares no idea with the engine. An order is [reference, side, price, quantity], a trade is
(resting, incoming, quantity, price, match number, resting leaves, incoming leaves).
"""

from __future__ import annotations

Trade = tuple[int, int, int, int, int, int, int]


class NaiveBook:
    """Sides are "BUY" and "SELL"; `arrivals` holds what rests, the oldest first."""

    def __init__(self, first_match_number: int = 1) -> None:
        self.arrivals: list[list] = []
        self.next_match_number = first_match_number

    def queue(self, side: str) -> list[list]:
        """Orders of a side, first to trade first: by price, then by arrival (sorted is stable)."""
        mine = [order for order in self.arrivals if order[1] == side]
        return sorted(mine, key=lambda order: order[2], reverse=side == "BUY")

    def enter(
        self,
        reference: int,
        side: str,
        price: int | None,
        quantity: int,
        time_in_force: str,
        worst_price: int | None = None,
    ) -> tuple[list[Trade], int]:
        """Trades, and the quantity that neither traded nor rests. `price` None: a market order,
        which trades at no price worse than `worst_price`."""
        limit = worst_price if price is None else price

        def acceptable(order: list) -> bool:
            if limit is None:
                return True
            return order[2] <= limit if side == "BUY" else order[2] >= limit

        partners = [
            order for order in self.queue("SELL" if side == "BUY" else "BUY") if acceptable(order)
        ]
        if time_in_force == "FOK" and sum(order[3] for order in partners) < quantity:
            return [], quantity
        trades = []
        for partner in partners:
            if quantity == 0:
                break
            traded = min(quantity, partner[3])
            quantity -= traded
            partner[3] -= traded
            number = self.next_match_number
            trades.append((partner[0], reference, traded, partner[2], number, partner[3], quantity))
            self.next_match_number += 1
        self.arrivals = [order for order in self.arrivals if order[3] > 0]
        if price is not None and time_in_force in ("DAY", "GTC") and quantity > 0:
            self.arrivals.append([reference, side, price, quantity])
            quantity = 0
        return trades, quantity

    def cancel(self, reference: int) -> int:
        """Shares taken out; the order must be there."""
        (order,) = [order for order in self.arrivals if order[0] == reference]
        self.arrivals = [order for order in self.arrivals if order[0] != reference]
        return order[3]

    def replace(
        self, reference: int, new_reference: int, price: int, quantity: int
    ) -> tuple[bool, list[Trade]]:
        """Whether the order keeps its place (and its reference), and the trades if it does not."""
        (order,) = [order for order in self.arrivals if order[0] == reference]
        if price == order[2] and quantity < order[3]:
            order[3] = quantity
            return True, []
        self.cancel(reference)
        trades, _ = self.enter(new_reference, order[1], price, quantity, "DAY")
        return False, trades

    def depth(self, side: str) -> list[tuple[int, int, int]]:
        """(price, quantity, number of orders) of every level, best first."""
        queue = self.queue(side)
        prices = list(dict.fromkeys(order[2] for order in queue))
        levels = []
        for price in prices:
            quantities = [order[3] for order in queue if order[2] == price]
            levels.append((price, sum(quantities), len(quantities)))
        return levels
