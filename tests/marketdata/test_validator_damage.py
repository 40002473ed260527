"""StreamValidator on the real feed with random damage."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from order_flow import OrderFlow
from validation import findings_of

from marketdata.depth import FeedError, MarketDepth
from marketdata.feed import ItchFeed
from marketdata.findings import Check
from marketdata.validator import StreamValidator
from protocols import itch50
from protocols import itch50_messages as m

STREAMS: dict[int, list[bytes]] = {}


def stream(seed: int) -> list[bytes]:
    if seed not in STREAMS:
        flow, feed = OrderFlow(seed), ItchFeed()
        STREAMS[seed] = feed.messages(flow.opening()) + feed.messages(flow.batch(150))
        STREAMS[seed] += feed.messages(flow.batch(150))
    return STREAMS[seed]


positions = st.integers(0, 100_000)
seeds = st.integers(0, 9)


@given(seeds, positions, st.sampled_from(["drop", "duplicate", "swap"]))
def test_with_numbers_no_loss_no_duplicate_and_no_swap_goes_unseen(
    seed: int, position: int, damage: str
) -> None:
    numbered = list(enumerate(stream(seed), 1))
    at = position % (len(numbered) - 1)  # that the last one is lost cannot be seen
    if damage == "drop":
        del numbered[at]
    elif damage == "duplicate":
        numbered.insert(at, numbered[at])
    else:
        numbered[at], numbered[at + 1] = numbered[at + 1], numbered[at]
    validator = StreamValidator()
    found = [one for number, data in numbered for one in validator.receive(number, data)]
    assert Check.SEQUENCE in {one.check for one in found}


def strict_books_refuse(messages: list[bytes]) -> bool:
    """Whether marketdata/depth.py, which shares no code with the validator, finds a mistake."""
    depth = MarketDepth()
    try:
        depth.apply(messages)
        depth.check_invariants()
    except (FeedError, AssertionError):
        return True
    return False


def damaged(messages: list[bytes], chance: random.Random) -> list[bytes]:
    """Drop, double, swap or change something, without numbers to show it."""
    messages = list(messages)
    at = chance.randrange(len(messages) - 1)
    match chance.randrange(4):
        case 0:
            del messages[at]
        case 1:
            messages.insert(at, messages[at])
        case 2:
            other = chance.randrange(len(messages))
            messages[at], messages[other] = messages[other], messages[at]
        case _:
            decoded = itch50.decode(messages[at])
            name, value = chance.choice(list(decoded._asdict().items()))
            new: Any = chance.choice("BSHTQX") if isinstance(value, str) else None
            if new is None:
                new = max(0, value + chance.choice([-1000, -100, -1, 1, 2, 100, 1000]))
                new = min(new, 65_535) if name == "stock_locate" else new
                new = 0 if name == "tracking_number" else new
            messages[at] = itch50.encode(decoded._replace(**{name: new}))
    return messages


@given(seeds, st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_whatever_strict_books_refuse_is_found_without_numbers_too(
    seed: int, chance: random.Random
) -> None:
    """Damage can be seen when it contradicts something. What cannot be: a lost or changed message
    of which nothing is said later; a time stamp that is still in order; a price that crosses
    nothing and breaks no priority; shares of an order that never leaves; messages of independent
    orders at one time in another order; a tracking number."""
    messages = damaged(stream(seed), chance)
    if strict_books_refuse(messages):
        assert findings_of(messages, numbered=False) != []


SEEN_AT_ONCE: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "an order that never was": (m.OrderDelete, {"order_reference_number": 1 << 40}),
    "an execution of too much": (m.OrderExecuted, {"executed_shares": 1_000_000}),
    "an execution of nothing": (m.OrderExecuted, {"executed_shares": 0}),
    "an execution of another": (m.OrderExecuted, {"order_reference_number": 1 << 40}),
    "a match number used before": (m.OrderExecuted, {"match_number": 0}),
    "a price through the other side": (m.AddOrder, {"price": 0}),
    "an unknown side": (m.AddOrder, {"side": "X"}),
    "another stock": (m.AddOrder, {"stock": "NOPE"}),
    "a locate that nobody has": (m.AddOrder, {"stock_locate": 99}),
    "a replace of another": (m.OrderReplace, {"original_order_reference_number": 1 << 40}),
    "a time a minute back": (m.OrderDelete, {"timestamp": -60_000_000_000}),
}


@given(seeds, positions, st.sampled_from(sorted(SEEN_AT_ONCE)))
@settings(max_examples=150)
def test_a_field_with_a_value_that_cannot_be_is_found_in_its_own_message(
    seed: int, position: int, damage: str
) -> None:
    kind, changes = SEEN_AT_ONCE[damage]
    messages = stream(seed)
    candidates = [n for n, data in enumerate(messages) if type(itch50.decode(data)) is kind]
    at = candidates[position % len(candidates)]
    decoded: Any = itch50.decode(messages[at])
    if "timestamp" in changes:
        changes = {"timestamp": decoded.timestamp + changes["timestamp"]}
    changed = itch50.encode(decoded._replace(**changes))
    found = findings_of([*messages[:at], changed, *messages[at + 1 :]])
    assert at + 1 in {one.sequence_number for one in found}
