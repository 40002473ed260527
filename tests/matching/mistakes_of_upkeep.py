"""Mistakes in the upkeep of the book: cancel, replace, places, levels, numbers, restore."""

from __future__ import annotations

from mistake import BEST_OF_SIDE, mistake

REMOVE_LEVEL = "            self.side.remove(self)\n            return\n"
KEPT_PRIORITY = "            return None\n"
REPLACED = "        return self.enter(order, _LIMIT, _DAY)\n"
PARTIAL_FILL = "                resting_leaves_qty -= quantity\n"
LOWER_RESTING = "            resting.leaves_qty = resting_leaves_qty\n"
FORGET_FILLED = "                del self._orders[resting.order_reference_number]\n"
FIND = "return self._orders.get(order_reference_number)"
FIRST_OF_ENTER = """\
        rests; leaves of an order that does not rest are for the caller to cancel.
        \"""
        reference = order.order_reference_number
"""
LIVE_NUMBER = """\
        assert reference not in self._orders, f"order {reference} is already in the book"
"""
KEEPS = "if price == order.price and leaves_qty < order.leaves_qty:"

MISTAKES_OF_UPKEEP = (
    mistake("stale number after a full fill", "stale_number_after_a_full_fill", FORGET_FILLED, ""),
    mistake(
        "fifo broken by a cancel",
        "fifo_after_cancel",
        "            self.first = after\n",
        "            self.first = self.last\n",
    ),
    mistake(
        "fifo broken by a partial fill",
        "fifo_after_partial_fill",
        LOWER_RESTING,
        LOWER_RESTING
        + "            if resting_leaves_qty > 0:\n"
        + "                level.unlink(resting)\n"
        + "                opposite.append(resting)\n",
    ),
    mistake(
        "fifo broken by a decrease",
        "fifo_after_decrease",
        KEPT_PRIORITY,
        "            order.level.unlink(order)\n"
        "            self._side(order.side).append(order)\n" + KEPT_PRIORITY,
    ),
    mistake(
        "a decrease is a new order",
        "decrease_keeps_priority",
        KEEPS,
        "if leaves_qty < 0:",
    ),
    mistake(
        "a live number is entered again",
        "duplicate_live_number",
        FIND,
        "return None",
        FIRST_OF_ENTER + LIVE_NUMBER,
        FIRST_OF_ENTER,
    ),
    mistake("number not free after a fill", "number_is_free_after_a_fill", FORGET_FILLED, ""),
    mistake(
        "number not free after a cancel",
        "number_is_free_after_a_cancel",
        "        del orders[reference]\n",
        "",
    ),
    mistake(
        "a replace that crosses rests",
        "replace_that_crosses",
        REPLACED,
        "        self._orders[new_reference_number] = order\n"
        "        self._side(order.side).append(order)\n"
        "        return []\n",
    ),
    mistake(
        "the rest of a replace that crosses is lost",
        "replace_that_crosses_in_part",
        REPLACED,
        REPLACED.replace("_DAY", "int(TimeInForce.IOC)"),
    ),
    mistake(
        "a replace of an unknown number hits another order",
        "replace_of_an_unknown_order",
        FIND,
        FIND + " or next(iter(self._orders.values()), None)",
    ),
    mistake(
        "a replace revives a filled order",
        "replace_of_a_filled_order",
        FORGET_FILLED,
        "",
    ),
    mistake(
        "the old number lives on after a replace",
        "replace_of_a_replaced_number",
        "        order.order_reference_number = new_reference_number\n",
        "",
    ),
    mistake(
        "an increase keeps its place",
        "replace_increase_loses_priority",
        KEEPS,
        "if price == order.price and leaves_qty != order.leaves_qty:",
    ),
    mistake(
        "a replace with the same values keeps its place",
        "replace_with_the_same_values_loses_priority",
        KEEPS,
        "if price == order.price and leaves_qty <= order.leaves_qty:",
    ),
    mistake(
        "a level that comes back is not the best again",
        "replace_of_the_only_order_with_the_same_values",
        BEST_OF_SIDE,
        "            if self.best is None:\n",
    ),
    mistake(
        "a price change goes to the front",
        "price_change_loses_priority",
        REPLACED,
        REPLACED.replace("return ", "result = ")
        + "        level = order.level\n"
        + "        if level is not None and order._prev is not None:\n"
        + "            level.last = order._prev\n"
        + "            order._prev._next = None\n"
        + "            order._prev, order._next = None, level.first\n"
        + "            level.first._prev = order\n"
        + "            level.first = order\n"
        + "        return result\n",
    ),
    mistake(
        "a decrease hides a price change",
        "price_change_with_a_decrease_loses_priority",
        KEEPS,
        "if leaves_qty < order.leaves_qty:",
    ),
    mistake(
        "a better price does not become the best",
        "replace_to_a_better_price",
        BEST_OF_SIDE,
        "            if self.best is None:\n",
    ),
    mistake(
        "a decrease works on the entered quantity",
        "decrease_after_a_partial_fill",
        "            order.leaves_qty = leaves_qty\n" + KEPT_PRIORITY,
        "            order.leaves_qty -= leaves_qty\n" + KEPT_PRIORITY,
    ),
    mistake(
        "a cancel of an unknown number hits another order",
        "cancel_of_an_unknown_order",
        FIND,
        FIND + " or next(iter(self._orders.values()), None)",
    ),
    mistake("a cancel of a filled order works", "cancel_of_a_filled_order", FORGET_FILLED, ""),
    mistake(
        "a second cancel works",
        "cancel_twice",
        "        del orders[reference]\n",
        "",
    ),
    mistake(
        "a residual is known by its number",
        "cancel_of_a_residual",
        "        return executions\n\n    def cancel",
        "        self._orders[reference] = order\n        return executions\n\n    def cancel",
    ),
    mistake(
        "a partial fill is not taken off the resting order",
        "cancel_takes_out_what_is_left",
        PARTIAL_FILL,
        "",
    ),
    mistake(
        "an empty level stays after the last cancel",
        "last_cancel_removes_the_level",
        REMOVE_LEVEL,
        "            self.quantity = self.order_count = 0\n            return\n",
    ),
    mistake(
        "an empty level stays after the last fill",
        "last_fill_removes_the_level",
        REMOVE_LEVEL,
        "            self.quantity = self.order_count = 0\n            return\n",
    ),
    mistake(
        "level quantity drifts with a partial fill",
        "level_quantity_does_not_drift",
        "                level.quantity -= quantity\n",
        "",
    ),
    mistake(
        "level quantity drifts with a decrease",
        "level_quantity_does_not_drift",
        "            order.level.quantity -= order.leaves_qty - leaves_qty\n",
        "",
    ),
    mistake(
        "level quantity drifts with a cancel or a fill",
        "level_quantity_does_not_drift",
        "        self.quantity -= order.leaves_qty\n",
        "",
    ),
    mistake(
        "the order count of a level drifts",
        "level_quantity_does_not_drift",
        "        self.order_count -= 1\n",
        "",
    ),
    mistake(
        "best price stale after its level empties",
        "best_price_after_the_level_empties",
        "        if level is self.best:\n",
        "        if level is None:\n",
    ),
    mistake(
        "a restored level is the other way round",
        "restored_book_trades_the_same",
        "        return iter(self._orders.values())\n",
        "        return reversed(self._orders.values())\n",
    ),
)
