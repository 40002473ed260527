"""MoldUDP64: packets of limited size, strict decoding."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import moldudp64
from protocols.moldudp64 import (
    DataPacket,
    EndOfSession,
    Heartbeat,
    MoldUDP64Error,
    Request,
)

SESSION = moldudp64.session_field("EXCH000001")
NUMBERS = st.integers(1, 2**63)


def test_a_packet_is_laid_out_as_published() -> None:
    [datagram] = moldudp64.encode_data(SESSION, 258, [b"abc", b"", b"d"])
    assert datagram == (
        b"EXCH000001\x00\x00\x00\x00\x00\x00\x01\x02\x00\x03\x00\x03abc\x00\x00\x00\x01d"
    )


@given(NUMBERS, st.lists(st.binary(max_size=60), min_size=1, max_size=80), st.integers(82, 1400))
def test_split_packets_carry_all_messages_in_order_and_within_the_limit(
    first: int, messages: list[bytes], max_payload: int
) -> None:
    datagrams = moldudp64.encode_data(SESSION, first, messages, max_payload)
    found: list[bytes] = []
    for datagram in datagrams:
        assert len(datagram) <= max_payload
        packet = moldudp64.decode_downstream(datagram)
        assert isinstance(packet, DataPacket)
        assert packet.session == "EXCH000001"
        assert packet.sequence_number == first + len(found)
        found += packet.messages
    assert found == messages


def test_packets_are_filled_up_before_a_further_one_is_begun() -> None:
    datagrams = moldudp64.encode_data(SESSION, 1, [bytes(36)] * 100)
    assert [len(datagram) for datagram in datagrams] == [20 + 36 * 38, 20 + 36 * 38, 20 + 28 * 38]


def test_no_messages_make_no_packet() -> None:
    assert moldudp64.encode_data(SESSION, 1, []) == []


def test_more_messages_than_the_count_can_say_are_split() -> None:
    datagrams = moldudp64.encode_data(SESSION, 1, [b""] * 70_000, max_payload=1 << 20)
    packets = [moldudp64.decode_downstream(datagram) for datagram in datagrams]
    assert [packet.sequence_number for packet in packets] == [1, 65_535]
    assert sum(len(packet.messages) for packet in packets if isinstance(packet, DataPacket)) == (
        70_000
    )


def test_a_message_that_fits_no_packet_is_refused() -> None:
    with pytest.raises(MoldUDP64Error, match="room for 1378"):
        moldudp64.encode_data(SESSION, 1, [bytes(1379)])
    with pytest.raises(MoldUDP64Error, match="at most 65535"):
        moldudp64.encode_data(SESSION, 1, [bytes(65_536)], max_payload=1 << 20)
    assert len(moldudp64.encode_data(SESSION, 1, [bytes(1378)])) == 1


@given(NUMBERS)
def test_heartbeat_end_of_session_and_request_survive_the_round_trip(number: int) -> None:
    heartbeat = moldudp64.encode_heartbeat(SESSION, number)
    end = moldudp64.encode_end_of_session(SESSION, number)
    request = moldudp64.encode_request(SESSION, number, 77)
    assert len(heartbeat) == len(end) == len(request) == 20
    assert moldudp64.decode_downstream(heartbeat) == Heartbeat("EXCH000001", number)
    assert moldudp64.decode_downstream(end) == EndOfSession("EXCH000001", number)
    assert moldudp64.decode_request(request) == Request("EXCH000001", number, 77)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.binary(min_size=1, max_size=3))
def test_a_packet_cut_short_or_with_a_tail_is_refused(messages: list[bytes], tail: bytes) -> None:
    [datagram] = moldudp64.encode_data(SESSION, 1, messages)
    for length in range(len(datagram)):
        with pytest.raises(MoldUDP64Error):
            moldudp64.decode_downstream(datagram[:length])
    with pytest.raises(MoldUDP64Error):
        moldudp64.decode_downstream(datagram + tail)


@given(st.binary(max_size=80))
def test_random_bytes_raise_our_error_and_nothing_else(data: bytes) -> None:
    for decode in (moldudp64.decode_downstream, moldudp64.decode_request):
        for candidate in (data, SESSION + data, SESSION + bytes(7) + data):
            with contextlib.suppress(MoldUDP64Error):
                decode(candidate)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (SESSION + bytes(10), "start at 1"),
        (b"EXCH\x0000001" + bytes(7) + b"\x01\x00\x00", "letters and digits"),
        (b" " * 10 + bytes(7) + b"\x01\x00\x00", "letters and digits"),
        (SESSION + b"\xff" * 8 + b"\x00\x02" + bytes(4), "beyond 64 bits"),
        (SESSION + bytes(7) + b"\x01\x00\x00x", "after a packet of no messages"),
        (SESSION + bytes(7) + b"\x01\x00\x02\x00\x00", "says 2 messages and has 1"),
        (SESSION + bytes(7) + b"\x01\x00\x01\x00\x02x", "cut short"),
        (SESSION + bytes(7) + b"\x01\x00\x01\x00", "cut short"),
    ],
)
def test_a_broken_packet_is_refused_with_the_reason(datagram: bytes, reason: str) -> None:
    with pytest.raises(MoldUDP64Error, match=reason):
        moldudp64.decode_downstream(datagram)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (moldudp64.encode_request(SESSION, 1, 0), "no messages"),
        (moldudp64.encode_request(SESSION, 0, 1), "start at 1"),
        (moldudp64.encode_request(SESSION, 1, 1) + b"x", "must be 20"),
    ],
)
def test_a_broken_request_is_refused_with_the_reason(datagram: bytes, reason: str) -> None:
    with pytest.raises(MoldUDP64Error, match=reason):
        moldudp64.decode_request(datagram)


@pytest.mark.parametrize("session", ["", "ELEVENCHARS", "A B", "É", "A\n"])
def test_a_session_name_that_cannot_be_sent_is_refused(session: str) -> None:
    with pytest.raises(MoldUDP64Error, match="example"):
        moldudp64.session_field(session)


def test_a_short_session_name_is_padded_on_the_right() -> None:
    datagram = moldudp64.encode_heartbeat(moldudp64.session_field("DAY1"), 1)
    assert datagram[:10] == b"DAY1      "
    assert moldudp64.decode_downstream(datagram).session == "DAY1"
