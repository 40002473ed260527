"""The price of an auction against all prices there are."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from matching.auction import AuctionResult, find_auction_price, pair

TICK = 5
PRICES = st.integers(1, 12).map(lambda ticks: ticks * TICK)
INTERESTS = st.lists(st.tuples(PRICES | st.just(0), st.integers(1, 9)), max_size=6)


def outcome(buys, sells, price: int) -> tuple[int, int]:
    """Shares that trade at a price, and shares of buyers left over (below 0: of sellers)."""
    wanted = sum(quantity for limit, quantity in buys if limit == 0 or limit >= price)
    offered = sum(quantity for limit, quantity in sells if limit == 0 or limit <= price)
    return min(wanted, offered), wanted - offered


@given(INTERESTS, INTERESTS, PRICES)
@example([(50, 5)], [(10, 5)], 60)
@example([(50, 5)], [(10, 5)], 5)
@example([(50, 9)], [(10, 5)], 5)
@example([(50, 5)], [(10, 9)], 60)
@example([(0, 5)], [(0, 5)], 30)
def test_no_price_is_better(buys, sells, reference):
    found = find_auction_price(buys, sells, reference, TICK)
    by_price = {price: outcome(buys, sells, price) for price in range(TICK, 75, TICK)}
    most = max(traded for traded, _ in by_price.values())
    if most == 0:
        total = sum(quantity for _, quantity in buys) - sum(quantity for _, quantity in sells)
        assert found == AuctionResult(0, 0, total)
        return
    assert (found.paired_qty, found.imbalance_qty) == by_price[found.price]
    assert found.paired_qty == most
    as_many = {price: over for price, (traded, over) in by_price.items() if traded == most}
    least = min(map(abs, as_many.values()))
    assert abs(found.imbalance_qty) == least
    best = {price: over for price, over in as_many.items() if abs(over) == least}
    said = {limit for limit, _ in buys + sells} | {reference}
    spoken = [price for price in best if price in said]
    if spoken and all(over < 0 for over in best.values()):
        assert found.price == min(spoken)
    elif spoken and all(over > 0 for over in best.values()):
        assert found.price == max(spoken)
    else:
        distance = min(abs(price - reference) for price in best)
        assert abs(found.price - reference) == distance


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
)
def test_pairs_serve_both_sides_in_their_order(buys, sells):
    trades = list(pair(buys, sells))
    for side, quantities in enumerate((buys, sells)):
        places = [trade[side] for trade in trades]
        assert places == sorted(places)
        for place, quantity in enumerate(quantities):
            traded = sum(trade[2] for trade in trades if trade[side] == place)
            assert traded == quantity or place == places[-1] or place not in places
    assert sum(trade[2] for trade in trades) == min(sum(buys), sum(sells))


def test_nobody_trades_with_nobody():
    assert list(pair([], [])) == list(pair([1], [])) == list(pair([], [1])) == []
