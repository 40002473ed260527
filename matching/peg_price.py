"""Where a pegged order stands: a pure function of the best displayed prices."""

from __future__ import annotations

from matching.types import PegType, Side


def peg_price(
    peg: int, side: int, offset: int, limit: int, best: tuple[int | None, int | None], tick: int
) -> int | None:
    """Return the price of a pegged order in 1/10,000; None while there is nothing to follow.

    `best` is the best displayed (bid, ask), `offset` is added to the price that is followed, and
    `limit` (0: none) is the worst price that the order may have. The price never reaches the best
    displayed price of the other side: it stops one `tick` before. A midpoint may lie between two
    ticks, and is rounded to 1/10,000 away from the other side.
    """
    bid, ask = best
    own, other = (bid, ask) if side == Side.BUY else (ask, bid)
    away = -1 if side == Side.BUY else 1
    followed = own if peg == PegType.PRIMARY else other
    if peg == PegType.MIDPOINT:
        if bid is None or ask is None:
            return None
        # Floor division rounds down: for a buyer away from the sellers, for a seller once negated.
        followed = (bid + ask) // 2 if side == Side.BUY else -(-(bid + ask) // 2)
    if followed is None:
        return None
    prices = [followed + offset]
    if limit:
        prices.append(limit)
    if other is not None:
        prices.append(other + away * tick)
    price = min(prices) if side == Side.BUY else max(prices)
    return price if price > 0 else None
