"""Arbitrator: two bad lines, one good stream."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.arbitrator import NS_PER_MS, Arbitrator, GapTiming, MissingMessages
from protocols import moldudp64

NAME = "EXCH000001"
SESSION = moldudp64.session_field(NAME)
TIMING = GapTiming(5 * NS_PER_MS, 50 * NS_PER_MS, 400 * NS_PER_MS, 100)


def message(number: int) -> bytes:
    return b"message %d" % number


def data(first: int, count: int = 1) -> bytes:
    [datagram] = moldudp64.encode_data(SESSION, first, [message(first + i) for i in range(count)])
    return datagram


def heartbeat(number: int) -> bytes:
    return moldudp64.encode_heartbeat(SESSION, number)


def numbers(messages: list[bytes]) -> list[int]:
    return [int(one.split()[1]) for one in messages]


def an_arbitrator(**options: object) -> Arbitrator:
    return Arbitrator(NAME, timing=TIMING, **options)  # type: ignore[arg-type]


def test_whichever_line_is_first_is_taken_and_the_other_is_a_duplicate() -> None:
    arbitrator = an_arbitrator()
    assert numbers(arbitrator.receive("A", data(1, 3), 0)) == [1, 2, 3]
    assert arbitrator.receive("B", data(1, 3), 0) == []
    assert numbers(arbitrator.receive("B", data(4, 2), 0)) == [4, 5]
    assert numbers(arbitrator.receive("A", data(3, 4), 0)) == [6]
    lines = arbitrator.counters.lines
    assert (lines["A"].received, lines["A"].duplicates, lines["A"].missed) == (7, 3, 0)
    assert (lines["B"].received, lines["B"].duplicates, lines["B"].missed) == (5, 3, 0)
    assert arbitrator.next_sequence_number == 7
    assert not arbitrator.has_gap


def test_what_one_line_lost_comes_from_the_other_without_a_request() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1), 0)
    assert arbitrator.receive("A", data(3), 0) == []
    assert arbitrator.has_gap
    assert arbitrator.poll(TIMING.wait_ns - 1) is None
    assert numbers(arbitrator.receive("B", data(2), TIMING.wait_ns - 1)) == [2, 3]
    assert arbitrator.poll(TIMING.wait_ns * 10) is None
    assert arbitrator.next_poll_ns is None
    assert arbitrator.counters.lines["A"].missed == 1
    assert (arbitrator.counters.gaps, arbitrator.counters.requests) == (1, 0)


def test_a_gap_is_asked_for_after_a_moment_and_again_with_growing_pauses() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1), 0)
    arbitrator.receive("A", data(5), 0)
    asked = []
    for now_ms in range(2_000):
        missing = arbitrator.poll(now_ms * NS_PER_MS)
        if missing is not None:
            assert missing[:2] == (2, 3)
            asked.append(now_ms)
    assert asked == [5, 55, 155, 355, 755, 1155, 1555, 1955]
    assert arbitrator.counters.requests == 8


def test_an_answer_fills_the_gap_and_the_rest_is_asked_for_at_once() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(201, 10), 0)
    assert arbitrator.poll(TIMING.wait_ns) == MissingMessages(1, 100, 1)
    later = TIMING.wait_ns + NS_PER_MS
    assert numbers(arbitrator.fill(1, [message(n) for n in range(1, 41)], later)) == [*range(1, 41)]
    assert arbitrator.poll(later) == MissingMessages(41, 100, 1)
    arbitrator.fill(41, [message(n) for n in range(41, 141)], later)
    assert arbitrator.poll(later) == MissingMessages(141, 60, 1)
    released = arbitrator.fill(141, [message(n) for n in range(141, 201)], later)
    assert numbers(released) == [*range(141, 211)]
    assert arbitrator.counters.filled == 200
    assert arbitrator.next_poll_ns is None


def test_an_empty_answer_waits_for_the_next_attempt() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", heartbeat(3), 0)
    assert arbitrator.poll(TIMING.wait_ns) == MissingMessages(1, 2, 1)
    assert arbitrator.fill(1, [], TIMING.wait_ns) == []
    assert arbitrator.poll(TIMING.wait_ns) is None
    assert arbitrator.poll(TIMING.wait_ns + TIMING.retry_ns) == MissingMessages(1, 2, 2)


def test_a_heartbeat_ahead_shows_that_the_last_message_was_lost() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1), 0)
    arbitrator.receive("A", heartbeat(2), 0)
    assert not arbitrator.has_gap
    arbitrator.receive("B", heartbeat(3), 0)
    assert arbitrator.missing == 1
    assert arbitrator.counters.lines["B"].missed == 0  # it was never there before
    arbitrator.receive("A", heartbeat(3), 0)
    assert arbitrator.counters.lines["A"].missed == 1


def test_the_end_of_the_session_is_seen_and_its_number_counts() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1), 0)
    arbitrator.receive("A", moldudp64.encode_end_of_session(SESSION, 3), 0)
    assert (arbitrator.ended, arbitrator.missing) == (True, 1)
    assert numbers(arbitrator.receive("B", data(2), 0)) == [2]
    assert not arbitrator.ended


def test_other_sessions_and_garbage_are_counted_and_change_nothing() -> None:
    def accept(messages: list[bytes]) -> bool:
        return all(message.startswith(b"message") for message in messages)

    arbitrator = an_arbitrator(accept=accept)
    other = moldudp64.session_field("OTHER")
    arbitrator.receive("A", moldudp64.encode_heartbeat(other, 99), 0)
    arbitrator.receive("A", b"garbage", 0)
    arbitrator.receive("A", data(1)[:-1], 0)
    arbitrator.receive("A", moldudp64.encode_data(SESSION, 1, [b"message 1", b"not ours"])[0], 0)
    counters = arbitrator.counters.lines["A"]
    assert (counters.other_session, counters.malformed, counters.received) == (1, 3, 0)
    assert (arbitrator.next_sequence_number, arbitrator.missing) == (1, 0)
    assert counters.last_heard_ns is None


def test_what_is_in_a_datagram_of_known_numbers_changes_nothing() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1, 5), 0)
    forged = data(1, 3).replace(b"message", b"mistake")
    assert arbitrator.receive("B", forged, 1) == []
    line = arbitrator.counters.lines["B"]
    assert (line.received, line.duplicates, line.malformed) == (3, 3, 0)
    assert (line.next_sequence_number, line.last_heard_ns) == (4, 1)
    head = forged[: moldudp64.HEADER_LENGTH - 2]
    for number, absurd in enumerate((b"\xff\xfe" + bytes(100), b"\x00\x05" + bytes(9)), 1):
        assert arbitrator.receive("B", head + absurd, 2) == []
        assert line.malformed == number
    other = moldudp64.encode_data(moldudp64.session_field("OTHER"), 1, [b"x"])[0]
    assert arbitrator.receive("B", other, 2) == []
    assert (line.received, line.duplicates, line.other_session) == (3, 3, 1)
    assert arbitrator.next_sequence_number == 6


def test_what_is_kept_beyond_a_gap_is_bounded() -> None:
    arbitrator = an_arbitrator(max_ahead=10)
    for number in range(2, 100):
        arbitrator.receive("A", data(number), 0)
    assert len(arbitrator._ahead) == 10
    assert arbitrator.counters.overflowed == 88
    assert numbers(arbitrator.receive("B", data(1), 0)) == [*range(1, 12)]
    assert arbitrator.missing == 88
    assert arbitrator.poll(1 << 60) == MissingMessages(12, 88, 1)


def test_a_number_that_no_node_knows_is_forgotten() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1, 5), 0)
    arbitrator.receive("A", heartbeat(2**60), 0)
    arbitrator.receive("A", data(2**61), 0)
    assert arbitrator.missing > 2**60
    arbitrator.confirm_position(6, 0)
    assert (arbitrator.missing, len(arbitrator._ahead)) == (0, 0)
    assert arbitrator.next_poll_ns is None
    assert arbitrator.counters.lines["A"].missed == 0
    assert numbers(arbitrator.receive("A", data(6), 0)) == [6]


def test_a_node_that_is_behind_does_not_turn_the_stream_back() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1, 5), 0)
    arbitrator.confirm_position(3, 0)
    assert (arbitrator.next_sequence_number, arbitrator.missing) == (6, 0)
    arbitrator.announce(3, 0)
    assert (arbitrator.next_sequence_number, arbitrator.missing) == (6, 0)
    arbitrator.announce(8, 0)
    assert arbitrator.missing == 2


def test_a_stream_may_begin_with_what_is_heard_first() -> None:
    arbitrator = an_arbitrator(start_at=None)
    assert not arbitrator.has_gap
    assert numbers(arbitrator.receive("B", data(500, 2), 0)) == [500, 501]
    assert arbitrator.receive("A", data(499), 0) == []
    assert not arbitrator.has_gap


def test_a_gap_that_nobody_fills_can_be_given_up() -> None:
    arbitrator = an_arbitrator()
    arbitrator.receive("A", data(1), 0)
    arbitrator.receive("A", data(4, 2), 0)
    arbitrator.receive("A", data(9), 0)
    assert numbers(arbitrator.skip_gap(0)) == [4, 5]
    assert (arbitrator.counters.lost, arbitrator.missing) == (2, 4)
    assert numbers(arbitrator.skip_gap(0)) == [9]
    arbitrator.receive("A", heartbeat(2**60), 0)
    assert arbitrator.skip_gap(0) == []
    assert (arbitrator.counters.lost, arbitrator.next_sequence_number) == (5, 10)


def datagrams_of(total: int, chance: random.Random) -> list[bytes]:
    """A line's datagrams for messages 1..total, cut anyhow, with heartbeats between them."""
    datagrams, first = [], 1
    while first <= total:
        count = min(chance.randrange(1, 8), total - first + 1)
        datagrams.append(data(first, count))
        first += count
        if chance.random() < 0.1:
            datagrams.append(heartbeat(first))
    datagrams.append(heartbeat(total + 1))
    return datagrams


def spoil(datagrams: list[bytes], chance: random.Random, loss: float) -> list[bytes]:
    """Drop, double and reorder."""
    spoilt = []
    for datagram in datagrams:
        if chance.random() >= loss:
            spoilt += [datagram] * (2 if chance.random() < 0.1 else 1)
    for index in range(len(spoilt)):
        other = min(len(spoilt) - 1, index + chance.randrange(0, 4))
        spoilt[index], spoilt[other] = spoilt[other], spoilt[index]
    return spoilt


@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.05, 0.4, 0.9]),
    max_ahead=st.sampled_from([1, 20, 10_000]),
)
@settings(max_examples=60)
def test_every_message_comes_once_and_in_order_whatever_the_lines_do(
    seed: int, loss: float, max_ahead: int
) -> None:
    chance = random.Random(seed)
    total = 300
    queues = {line: spoil(datagrams_of(total, chance), chance, loss)[::-1] for line in ("A", "B")}
    for queue in queues.values():
        queue.insert(0, heartbeat(total + 1))  # heartbeats go on: the last one arrives
    arbitrator = an_arbitrator(max_ahead=max_ahead)
    released: list[bytes] = []
    published = 0  # what the nodes have: nothing can be asked for before it was sent
    now_ns = 0
    for _ in range(100_000):
        if arbitrator.next_sequence_number > total and not any(queues.values()):
            break
        now_ns += chance.randrange(0, 3 * NS_PER_MS)
        line = chance.choice("AB")
        if queues[line]:
            datagram = queues[line].pop()
            packet = moldudp64.decode_downstream(datagram)
            count = moldudp64.message_count(datagram)
            published = max(published, packet.sequence_number + count - 1)
            released += arbitrator.receive(line, datagram, now_ns)
        missing = arbitrator.poll(now_ns)
        if missing is not None and chance.random() < 0.7:
            end = min(missing.first + missing.message_count, published + 1)
            answer = [message(n) for n in range(missing.first, end)]
            keep = chance.randrange(0, len(answer) + 1)
            released += arbitrator.fill(missing.first, answer[:keep], now_ns)
        assert numbers(released) == [*range(1, arbitrator.next_sequence_number)]
    assert numbers(released) == [*range(1, total + 1)]
    assert not arbitrator.has_gap
    assert len(arbitrator._ahead) == 0
    counters = arbitrator.counters
    received = sum(line.received for line in counters.lines.values())
    duplicates = sum(line.duplicates for line in counters.lines.values())
    # Every number was given out once: from a line or by a request, the others were duplicates or
    # had no room beyond a gap.
    assert received - duplicates - counters.overflowed + counters.filled == total
    if loss == 0.0 and max_ahead > total:
        assert counters.lost == 0


@pytest.mark.parametrize("line", ["A", "B"])
def test_one_dead_line_costs_nothing(line: str) -> None:
    arbitrator = an_arbitrator()
    released = []
    for datagram in datagrams_of(200, random.Random(3)):
        released += arbitrator.receive(line, datagram, 0)
    assert numbers(released) == [*range(1, 201)]
    assert (arbitrator.counters.gaps, arbitrator.counters.requests) == (0, 0)


def test_what_is_held_waits_and_goes_on_where_it_is_told() -> None:
    arbitrator = an_arbitrator(hold=True)
    assert arbitrator.receive("A", data(1, 6), 0) == []
    assert arbitrator.receive("B", data(5, 4), 0) == []
    assert arbitrator.next_poll_ns is None, "nothing is asked for while it holds"
    assert numbers(arbitrator.continue_at(4, 0)) == [4, 5, 6, 7, 8]
    assert numbers(arbitrator.receive("A", data(7, 3), 0)) == [9]
    assert not arbitrator.has_gap


def test_a_hole_where_it_goes_on_is_a_gap_like_any_other() -> None:
    arbitrator = an_arbitrator(hold=True)
    arbitrator.receive("A", data(10, 2), 0)
    assert arbitrator.continue_at(8, 100) == []
    assert arbitrator.poll(100 + TIMING.wait_ns) == MissingMessages(8, 2, 1)
    assert numbers(arbitrator.fill(8, [message(8), message(9)], 200)) == [8, 9, 10, 11]


def test_it_may_go_on_beyond_all_that_was_heard() -> None:
    arbitrator = an_arbitrator(hold=True)
    arbitrator.receive("A", data(1, 3), 0)
    assert arbitrator.continue_at(9, 0) == []
    assert not arbitrator.has_gap
    assert arbitrator.receive("A", data(7, 2), 0) == []
    assert numbers(arbitrator.receive("A", data(8, 3), 0)) == [9, 10]


def test_what_does_not_fit_while_it_holds_is_asked_for_later() -> None:
    arbitrator = an_arbitrator(hold=True, max_ahead=3)
    arbitrator.receive("A", data(1, 6), 0)
    assert arbitrator.counters.overflowed == 3
    assert numbers(arbitrator.continue_at(2, 0)) == [2, 3]
    assert arbitrator.poll(TIMING.wait_ns) == MissingMessages(4, 3, 1)
