"""Mistakes in who trades with whom, at what price, how much, and what rests afterwards."""

from __future__ import annotations

from mistake import BEST_OF_SIDE, mistake

APPEND_LAST = """\
            last = level.last
            last._next = order
            order._prev = last
            level.last = order
"""
INSERT_FIRST = """\
            first = level.first
            first._prev = order
            order._next = first
            level.first = order
"""
ACCEPTABLE = "if level is None or level.key > limit_key:"

MISTAKES_OF_TRADING = (
    mistake(
        "trades at the aggressor's price",
        "trade_at_resting_price",
        "                level.price,\n",
        "                order.price,\n",
    ),
    mistake(
        "wrong residual of an IOC",
        "ioc_residual_is_canceled",
        "        order.leaves_qty = leaves_qty\n        self._match",
        "        order.leaves_qty -= executions[0].quantity\n        self._match",
    ),
    mistake(
        "an IOC rests",
        "ioc_never_rests",
        "int(TimeInForce.IOC): False",
        "int(TimeInForce.IOC): True",
    ),
    mistake(
        "a filled IOC keeps a residual",
        "ioc_filled_in_full_leaves_no_residual",
        "        order.leaves_qty = leaves_qty\n        self._match",
        "        order.leaves_qty = leaves_qty or 1\n        self._match",
    ),
    mistake(
        "an IOC reaches beyond its limit",
        "ioc_stops_at_its_limit",
        ACCEPTABLE,
        "if level is None:",
    ),
    mistake(
        "a limit order reaches beyond its limit",
        "limit_order_stops_at_its_limit",
        ACCEPTABLE,
        "if level is None:",
    ),
    mistake(
        "a GTC order does not rest",
        "gtc_rests_like_day",
        "int(TimeInForce.GTC): True",
        "int(TimeInForce.GTC): False",
    ),
    mistake(
        "a FOK half fills",
        "fok_all_or_nothing",
        "time_in_force != _FOK or",
        "True or",
    ),
    mistake(
        "a FOK rests",
        "fok_into_an_empty_book",
        "int(TimeInForce.FOK): False",
        "int(TimeInForce.FOK): True",
    ),
    mistake(
        "a FOK counts levels beyond its limit",
        "fok_ignores_levels_beyond_its_limit",
        "            if key > limit_key:\n                return False\n",
        "",
    ),
    mistake(
        "a FOK counts its own side",
        "fok_ignores_levels_beyond_its_limit",
        "opposite.has_quantity(leaves_qty, limit_key)",
        "own.has_quantity(leaves_qty, _EVERY_KEY)",
    ),
    mistake(
        "a FOK counts the best level only",
        "fok_over_levels",
        "            if quantity <= 0:\n                return True\n        return False\n",
        "            return quantity <= 0\n        return False\n",
    ),
    mistake(
        "a FOK that is filled exactly is refused",
        "fok_over_levels",
        "            if quantity <= 0:\n",
        "            if quantity < 0:\n",
    ),
    mistake(
        "phantom trades for nothing",
        "zero_quantity_never_trades",
        "if leaves_qty < resting_leaves_qty:",
        "if leaves_qty <= resting_leaves_qty:",
    ),
    mistake(
        "a market order needs a book",
        "market_order_into_an_empty_book",
        "            best is not None\n            and best.key",
        "            best.key",
    ),
    mistake(
        "a market residual rests",
        "market_residual_never_rests",
        "            may_rest = False\n",
        "",
    ),
    mistake(
        "a market order sweeps in the wrong order",
        "market_order_sweeps_levels_in_order",
        "self.level_at(near[0])",
        "self.level_at(near[-1])",
    ),
    mistake(
        "a market order ignores its collar",
        "market_order_stops_at_its_collar",
        "_EVERY_KEY if collar_price is None else opposite.sign * collar_price",
        "_EVERY_KEY",
    ),
    mistake(
        "the collar works for buyers only",
        "market_order_stops_at_its_collar",
        "_EVERY_KEY if collar_price is None else opposite.sign * collar_price",
        "_EVERY_KEY if collar_price is None else collar_price",
    ),
    mistake(
        "a market FOK half fills",
        "market_fok_counts_within_its_collar",
        "time_in_force != _FOK or",
        "time_in_force != _FOK or order_type == _MARKET or",
    ),
    mistake(
        "equal prices do not trade",
        "book_is_never_crossed_or_locked",
        "            and best.key <= limit_key\n",
        "            and best.key < limit_key\n",
    ),
    mistake(
        "prices are compared too coarsely",
        "one_step_away_does_not_trade",
        "            limit_key = opposite.sign * order.price\n",
        "            limit_key = opposite.sign * order.price + 99\n",
    ),
    mistake(
        "resting leaves are those before the trade",
        "leaves_after_a_sweep",
        "                resting_leaves_qty,\n",
        "                resting_leaves_qty + quantity,\n",
    ),
    mistake(
        "incoming leaves are those before the sweep",
        "leaves_after_a_sweep",
        "                leaves_qty,\n            )",
        "                order.leaves_qty,\n            )",
    ),
    mistake(
        "the rest of a DAY order is lost",
        "partial_fill_of_the_incoming_rests",
        "if may_rest and leaves_qty > 0:",
        "if may_rest and not executions:",
    ),
    mistake(
        "the last to arrive trades first",
        "equal_price_in_order_of_arrival",
        APPEND_LAST,
        INSERT_FIRST,
    ),
    mistake(
        "every book counts its own matches",
        "match_numbers_are_contiguous",
        "self._match_numbers = match_numbers",
        "self._match_numbers = MatchNumbers()",
    ),
    mistake(
        "match numbers have holes",
        "match_numbers_are_contiguous",
        "        best = opposite.best\n        executions: list",
        "        self._match_numbers.next()\n"
        "        best = opposite.best\n        executions: list",
    ),
    mistake(
        "books share their orders",
        "books_do_not_see_each_other",
        "self._orders: dict[int, O] = {}",
        "self._orders = match_numbers.__class__.__dict__.get('all') or {}\n"
        "        match_numbers.__class__.all = self._orders",
    ),
    mistake(
        "a short sale stands among the buyers",
        "short_sale_is_a_sale",
        "if order.side == _BUY:",
        "if order.side in (_BUY, Side.SELL_SHORT):",
    ),
    mistake(
        "the lowest bid is the best",
        "better_price_is_not_traded_through",
        BEST_OF_SIDE,
        "            if self.best is None or level.price < self.best.price:\n",
    ),
    mistake(
        "the oldest level trades first",
        "price_time_priority",
        BEST_OF_SIDE,
        "            if self.best is None:\n",
    ),
    mistake(
        "the highest bid does not come first",
        "price_time_priority_of_buyers",
        BEST_OF_SIDE,
        "            if self.best is None or level.price < self.best.price:\n",
    ),
    mistake(
        "best prices are those of the last order",
        "limit_order_rests",
        BEST_OF_SIDE,
        "            if self.best is None or level.key > self.best.key:\n",
    ),
    mistake(
        "prices are sorted as text",
        "prices_are_numbers",
        "islice(book_side.keys, levels)",
        "islice(sorted(book_side.keys, key=str), levels)",
    ),
    mistake(
        "quantities go through a float",
        "large_quantities_stay_exact",
        "                leaves_qty -= quantity\n",
        "                leaves_qty = int(float(leaves_qty) - quantity)\n",
    ),
)
