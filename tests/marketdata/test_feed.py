"""ItchFeed: a pure function of the events, and the whole truth about the books."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_flow import OrderFlow, assert_same_books

from cluster.interface import AppliedBatch
from marketdata.depth import MarketDepth
from marketdata.feed import EVENT_CODES, SIDES, TRADING_STATES, ItchFeed
from matching.types import Side
from oms.events import (
    EventKind,
    InstrumentAdded,
    SystemEvent,
    SystemEventCode,
    TradingState,
)
from protocols import itch50


def batch_of(*events: tuple[object, ...]) -> AppliedBatch:
    return AppliedBatch(1, 1, 86_400_000_000_000 * 20_000 + 5, 1, list(events))


@pytest.mark.parametrize("seed", range(4))
def test_the_feed_alone_rebuilds_the_books_of_the_exchange(seed: int) -> None:
    flow, feed, depth = OrderFlow(seed), ItchFeed(), MarketDepth()
    for step in range(150):
        for message in feed.messages(flow.batch(10) if step else flow.opening()):
            depth.apply([message])
        assert depth.next_sequence_number == feed.next_sequence_number
        if step % 10 == 0:
            depth.check_invariants()
            assert_same_books(depth, flow.machine)
    trades = sum(len(book.trades()) for s in depth.symbols if (book := depth.book(s)) is not None)
    assert trades > 200, "the flow is too tame to prove anything"
    assert flow.machine.state.match_numbers.last == trades


@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=10), seed=st.integers(0, 5))
@settings(max_examples=10)
def test_the_messages_do_not_depend_on_how_events_are_cut_into_batches(
    cuts: list[int], seed: int
) -> None:
    flow = OrderFlow(seed)
    opening, trading = flow.opening(), flow.batch(100)
    whole, in_pieces = ItchFeed(), ItchFeed()
    expected = whole.messages(opening) + whole.messages(trading)
    found = in_pieces.messages(opening)
    events, turn = list(trading.events), 0
    while events:
        size = cuts[turn % len(cuts)]
        piece, events = events[:size], events[size:]
        found += in_pieces.messages(trading._replace(events=piece))
        turn += 1
    assert found == expected
    assert in_pieces.next_sequence_number == whole.next_sequence_number == len(expected) + 1


def test_events_that_came_off_the_wire_as_plain_tuples_give_the_same_messages() -> None:
    flow = OrderFlow(1)
    batches = [flow.opening(), flow.batch(50)]
    named, plain = ItchFeed(), ItchFeed()
    for batch in batches:
        as_tuples = batch._replace(events=[tuple(event) for event in batch.events])
        assert named.messages(batch) == plain.messages(as_tuples)


def test_every_member_of_our_enumerations_has_its_character() -> None:
    assert set(EVENT_CODES) == set(SystemEventCode)
    assert set(TRADING_STATES) == set(TradingState)
    assert set(SIDES) == set(Side)


def test_the_time_stamp_counts_from_midnight_utc() -> None:
    [message] = ItchFeed().messages(
        batch_of(SystemEvent(EventKind.SYSTEM_EVENT, "", SystemEventCode.START_OF_MESSAGES))
    )
    assert itch50.decode(message).timestamp == 5


def test_the_session_ends_with_the_last_message_and_goes_on_with_another() -> None:
    feed = ItchFeed()
    end = SystemEvent(EventKind.SYSTEM_EVENT, "", SystemEventCode.END_OF_MESSAGES)
    assert not feed.ended
    feed.messages(batch_of(end))
    assert feed.ended
    feed.messages(batch_of())
    assert feed.ended
    feed.messages(batch_of(InstrumentAdded(EventKind.INSTRUMENT_ADDED, "", "C", 1, 1, 1, 1)))
    assert not feed.ended


def test_a_restored_feed_knows_that_the_session_has_ended() -> None:
    feed, restored = ItchFeed(), ItchFeed()
    feed.messages(
        batch_of(SystemEvent(EventKind.SYSTEM_EVENT, "", SystemEventCode.END_OF_MESSAGES))
    )
    restored.restore(feed.snapshot())
    assert (restored.ended, restored.next_sequence_number) == (True, 2)
    restored.restore(None)
    assert (restored.ended, restored.next_sequence_number) == (False, 1)


def test_a_locate_number_given_twice_stops_the_node() -> None:
    added = InstrumentAdded(EventKind.INSTRUMENT_ADDED, "", "AAPL", 1, 1, 100, 1_000_000)
    with pytest.raises(AssertionError, match="stock_locate 1"):
        ItchFeed().messages(batch_of(added, added._replace(symbol="MSFT")))
