"""SoupBinTCP: packets of both directions, read in any pieces, refused when they must be."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import soupbintcp
from protocols.soupbintcp import (
    Direction,
    LoginAccepted,
    LoginRejectReason,
    LoginRequest,
    Packet,
    PacketReader,
    SoupBinTCPError,
)

CLIENT, SERVER = Direction.CLIENT_TO_SERVER, Direction.SERVER_TO_CLIENT
# Every packet, as it must lie on the wire: written by hand from the published tables.
GOLDEN = {
    "login request": (
        soupbintcp.encode_login_request("ALICE", "SECRET", "EXCH000001", 7),
        b"\x00\x2fL" + b"ALICE " + b"SECRET    " + b"EXCH000001" + b"                   7",
        49,
        CLIENT,
    ),
    "login request for the current session": (
        soupbintcp.encode_login_request("", ""),
        b"\x00\x2fL" + b" " * 6 + b" " * 10 + b" " * 10 + b"                   0",
        49,
        CLIENT,
    ),
    "login request of 4.10": (
        soupbintcp.encode_login_request("ALICE", "SECRET", "S1", 1, 15_000),
        b"\x00\x34LALICE SECRET            S1                   115000",
        54,
        CLIENT,
    ),
    "client unsequenced data": (
        soupbintcp.encode_unsequenced_data(b"order"),
        b"\x00\x06Uorder",
        8,
        CLIENT,
    ),
    "client heartbeat": (soupbintcp.CLIENT_HEARTBEAT_PACKET, b"\x00\x01R", 3, CLIENT),
    "logout request": (soupbintcp.LOGOUT_REQUEST_PACKET, b"\x00\x01O", 3, CLIENT),
    "client debug": (soupbintcp.encode_debug("hello"), b"\x00\x06+hello", 8, CLIENT),
    "login accepted": (
        soupbintcp.encode_login_accepted("S1", 123),
        b"\x00\x1fA        S1                 123",
        33,
        SERVER,
    ),
    "login rejected, not authorized": (
        soupbintcp.encode_login_rejected(LoginRejectReason.NOT_AUTHORIZED),
        b"\x00\x02JA",
        4,
        SERVER,
    ),
    "login rejected, no such session": (
        soupbintcp.encode_login_rejected(LoginRejectReason.SESSION_NOT_AVAILABLE),
        b"\x00\x02JS",
        4,
        SERVER,
    ),
    "sequenced data": (
        soupbintcp.encode_sequenced_data(b"fill"),
        b"\x00\x05Sfill",
        7,
        SERVER,
    ),
    "server unsequenced data": (
        soupbintcp.encode_unsequenced_data(b""),
        b"\x00\x01U",
        3,
        SERVER,
    ),
    "server heartbeat": (soupbintcp.SERVER_HEARTBEAT_PACKET, b"\x00\x01H", 3, SERVER),
    "end of session": (soupbintcp.END_OF_SESSION_PACKET, b"\x00\x01Z", 3, SERVER),
    "server debug": (soupbintcp.encode_debug(""), b"\x00\x01+", 3, SERVER),
}

CLIENT_TYPES, SERVER_TYPES = set(b"LURO+"), set(b"AJSHZU+")
MESSAGES = st.binary(max_size=600)
NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=6)
SESSIONS = st.text("ABCXYZabc0189", max_size=10)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Direction, list[bytes]]:
    """Packets that one side may send."""
    direction = draw(st.sampled_from(Direction))
    fixed = [wire for _, wire, _, sender in GOLDEN.values() if sender is direction]
    encode_data = (
        soupbintcp.encode_unsequenced_data
        if direction is CLIENT
        else soupbintcp.encode_sequenced_data
    )
    packet = st.one_of(st.sampled_from(fixed), MESSAGES.map(encode_data))
    return direction, draw(st.lists(packet, max_size=8))


def read_in_pieces(reader: PacketReader, pieces: list[bytes]) -> tuple[list[Packet], str]:
    """All packets, and what the error says, or ""."""
    packets: list[Packet] = []
    for piece in pieces:
        try:
            packets += reader.feed(piece)
        except SoupBinTCPError as error:
            return packets + error.packets, str(error)
    return packets, ""


@pytest.mark.parametrize("name", GOLDEN)
def test_a_packet_is_laid_out_as_published(name: str) -> None:
    encoded, expected, length, direction = GOLDEN[name]
    assert encoded == expected
    assert len(encoded) == length
    [(packet_type, payload)] = PacketReader(direction).feed(encoded)
    assert (packet_type, payload) == (expected[2:3], expected[3:])


@given(streams(), st.lists(st.integers(0, 3_000), max_size=6))
def test_packets_are_the_same_however_they_are_cut(
    stream: tuple[Direction, list[bytes]], cuts: list[int]
) -> None:
    direction, packets = stream
    data = b"".join(packets)
    expected = [(packet[2:3], packet[3:]) for packet in packets]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    for cut in ([data], [bytes([byte]) for byte in data], pieces):
        reader = PacketReader(direction)
        assert read_in_pieces(reader, cut) == (expected, "")
        assert reader.pending == 0


@given(streams())
def test_a_stream_cut_short_has_bytes_pending_and_no_packet_too_many(
    stream: tuple[Direction, list[bytes]],
) -> None:
    direction, packets = stream
    data = b"".join(packets)
    ends = [len(b"".join(packets[:count])) for count in range(len(packets) + 1)]
    for length in range(0, len(data), 7):
        reader = PacketReader(direction)
        complete = [end for end in ends if end <= length]
        assert len(reader.feed(data[:length])) == len(complete) - 1
        assert reader.pending == length - complete[-1]


@given(st.sampled_from(Direction), st.binary(max_size=200), streams())
def test_noise_is_read_alike_whole_and_byte_by_byte(
    direction: Direction, noise: bytes, stream: tuple[Direction, list[bytes]]
) -> None:
    data = b"".join(stream[1]) + noise
    whole = read_in_pieces(PacketReader(direction, 300), [data])
    single = read_in_pieces(PacketReader(direction, 300), [bytes([byte]) for byte in data])
    assert whole == single
    known = CLIENT_TYPES if direction is CLIENT else SERVER_TYPES
    assert all(packet_type[0] in known for packet_type, _ in whole[0])


@pytest.mark.parametrize(
    ("direction", "data", "reason"),
    [
        (CLIENT, b"\x00\x00", "length 0"),
        (SERVER, b"\x00\x00S", "length 0"),
        (CLIENT, b"\x00\x63", "packet of 101 bytes: at most 100 are allowed"),
        (SERVER, b"\xff\xffS", "packet of 65537 bytes"),
        (CLIENT, b"\x00\x01S", "a client sends L U R O +"),
        (CLIENT, b"\x00\x01\x00", r"packet type b'\\x00'"),
        (SERVER, b"\x00\x01L", "a server sends A J S U H Z +"),
        (CLIENT, b"\x00\x02R", "packet type R: length 2, must be 1"),
        (CLIENT, b"\x00\x02O", "must be 1"),
        (CLIENT, b"\x00\x2eL", "must be 47 or 52"),
        (CLIENT, b"\x00\x30L", "must be 47 or 52"),
        (CLIENT, b"\x00\x35L", "must be 47 or 52"),
        (SERVER, b"\x00\x20A", "must be 31"),
        (SERVER, b"\x00\x01J", "must be 2"),
        (SERVER, b"\x00\x02H", "must be 1"),
        (SERVER, b"\x00\x02Z", "must be 1"),
    ],
)
def test_a_packet_is_refused_by_its_header_with_the_reason(
    direction: Direction, data: bytes, reason: str
) -> None:
    good = b"\x00\x03+ok"
    reader = PacketReader(direction, 100)
    with pytest.raises(SoupBinTCPError, match=reason) as caught:
        reader.feed(good + data)
    assert caught.value.packets == [(b"+", b"ok")]
    with pytest.raises(SoupBinTCPError, match=reason) as again:
        reader.feed(good)
    assert again.value.packets == []


def test_the_longest_allowed_packet_is_read_and_one_byte_more_is_refused() -> None:
    for longest in (50, 256, soupbintcp.MAX_PACKET_BYTES):
        packet = soupbintcp.encode_unsequenced_data(bytes(longest - 3))
        assert len(packet) == longest
        assert PacketReader(CLIENT, longest).feed(packet) == [(b"U", bytes(longest - 3))]
        with pytest.raises(SoupBinTCPError, match=f"at most {longest - 1} are allowed"):
            PacketReader(CLIENT, longest - 1).feed(packet[:2])


def test_a_bound_below_the_length_of_a_login_refuses_logins() -> None:
    request = soupbintcp.encode_login_request("ALICE", "SECRET")
    with pytest.raises(SoupBinTCPError, match="at most 48"):
        PacketReader(CLIENT, 48).feed(request)
    assert PacketReader(CLIENT, 49).feed(request) == [(b"L", request[3:])]


class CountingReader(PacketReader):
    """Counts the bytes that are looked at, some of them more than once."""

    looked_at = 0

    def _split(self, data: bytes) -> list[Packet]:
        self.looked_at += len(data)
        return super()._split(data)


@pytest.mark.skipif(
    not hasattr(PacketReader.feed, "__code__"), reason="nobody can count in what is compiled"
)
@pytest.mark.parametrize("piece", [1, 2, 1_000, 65_536, 1 << 20])
@pytest.mark.parametrize("message_length", [0, 47, 65_534])
def test_no_byte_is_looked_at_more_than_a_few_times(piece: int, message_length: int) -> None:
    packet = soupbintcp.encode_unsequenced_data(bytes(message_length))
    stream = packet * (0x4_0000 // len(packet) + 1)
    reader = CountingReader(CLIENT)
    found = [len(reader.feed(stream[at : at + piece])) for at in range(0, len(stream), piece)]
    assert sum(found) == len(stream) // len(packet)
    assert reader.looked_at <= 3 * len(stream)


@given(st.lists(MESSAGES, max_size=20))
def test_many_messages_at_once_are_the_packets_of_each(messages: list[bytes]) -> None:
    data = soupbintcp.encode_sequenced(messages)
    assert data == b"".join(soupbintcp.encode_sequenced_data(message) for message in messages)
    assert PacketReader(SERVER).feed(data) == [(b"S", message) for message in messages]


def test_the_longest_message_is_framed_and_one_byte_more_is_refused() -> None:
    longest = bytes(65_534)
    for encode in (soupbintcp.encode_sequenced_data, soupbintcp.encode_unsequenced_data):
        assert encode(longest)[:2] == b"\xff\xff"
        with pytest.raises(SoupBinTCPError, match="at most 65534"):
            encode(longest + b"x")
    with pytest.raises(SoupBinTCPError, match="at most 65534"):
        soupbintcp.encode_sequenced([b"short", longest + b"x"])


@given(
    NAMES,
    NAMES,
    SESSIONS,
    st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 99_999),
)
def test_a_login_request_survives_the_round_trip(
    username: str, password: str, session: str, number: int, timeout: int | None
) -> None:
    wire = soupbintcp.encode_login_request(username, password, session, number, timeout)
    assert len(wire) == (49 if timeout is None else 54)
    [(_, payload)] = PacketReader(CLIENT).feed(wire)
    assert soupbintcp.decode_login_request(payload) == LoginRequest(
        username, password, session, number, timeout
    )


@given(SESSIONS.filter(bool), st.integers(0, 2**64 - 1))
def test_a_login_accepted_survives_the_round_trip(session: str, number: int) -> None:
    wire = soupbintcp.encode_login_accepted(session, number)
    assert len(wire) == 33
    assert soupbintcp.decode_login_accepted(wire[3:]) == LoginAccepted(session, number)


def login(**fields: bytes) -> bytes:
    """Payload of a login request with some fields as they are given."""
    parts = {
        "username": b"ALICE ",
        "password": b"SECRET    ",
        "session": b"        S1",
        "number": b"                   7",
        "timeout": b"",
        **fields,
    }
    return b"".join(parts.values())


@pytest.mark.parametrize(
    "payload",
    [
        login(),
        login(session=b"S1        ", number=b"7" + b" " * 19),
        login(session=b"   S1     ", number=b"0" * 19 + b"7"),
        login(username=b" ALICE", password=b"    SECRET"),
    ],
)
def test_either_padding_is_taken(payload: bytes) -> None:
    expected = LoginRequest("ALICE", "SECRET", "S1", 7, None)
    assert soupbintcp.decode_login_request(payload) == expected


def test_a_blank_number_asks_for_the_next_message() -> None:
    assert soupbintcp.decode_login_request(login(number=b" " * 20)).sequence_number == 0
    assert soupbintcp.NEXT_MESSAGE == 0


def test_a_heartbeat_timeout_may_be_padded_or_blank() -> None:
    for raw, expected in ((b"  500", 500), (b"500  ", 500), (b"00500", 500), (b"     ", None)):
        request = soupbintcp.decode_login_request(login(timeout=raw))
        assert request.heartbeat_timeout_ms == expected


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "login request of 0 bytes: must be 46 or 51"),
        (login()[:-1], "45 bytes"),
        (login(timeout=b"0500"), "50 bytes"),
        (login(timeout=b"005000"), "52 bytes"),
        (login(username=b"ALIC\xc9 "), "user name: only printable ASCII"),
        (login(username=b"ALICE\x00"), "user name: only printable ASCII"),
        (login(password=b"SECRET\n   "), "password: only printable ASCII"),
        (login(session=b"S 1       "), "session b'S 1       ': only ASCII letters"),
        (login(session=b"S1" + bytes(8)), "only ASCII letters"),
        (login(session=b"\xb2" + b" " * 9), "only ASCII letters"),
        (login(number=b"-1".rjust(20)), "sequence number .*must be digits"),
        (login(number=b"1 2".rjust(20)), "must be digits"),
        (login(number=b"1_0".rjust(20)), "must be digits"),
        (login(number=b"\xb2".rjust(20)), "must be digits"),
        (login(number=b"18446744073709551616"), "0 to 18446744073709551615"),
        (login(timeout=b"1e3  "), "heartbeat timeout .*0 to 99999"),
    ],
)
def test_a_broken_login_request_is_refused_with_the_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(SoupBinTCPError, match=reason) as caught:
        soupbintcp.decode_login_request(payload)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"        S1                 12", "29 bytes: must be 30"),
        (b"        S1                  123", "31 bytes"),
        (b"          " + b"1".rjust(20), "must not be blank"),
        (b"        S1" + b" " * 20, "must not be blank"),
        (b"        S1" + b"x".rjust(20), "must be digits"),
        (b"       S-1" + b"1".rjust(20), "letters and digits"),
    ],
)
def test_a_broken_login_accepted_is_refused_with_the_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(SoupBinTCPError, match=reason):
        soupbintcp.decode_login_accepted(payload)


def test_only_published_reasons_reject_a_login() -> None:
    for reason in LoginRejectReason:
        wire = soupbintcp.encode_login_rejected(reason)
        assert soupbintcp.decode_login_rejected(wire[3:]) is reason
    for payload in (b"", b"B", b"a", b"AS", b"\x00"):
        with pytest.raises(SoupBinTCPError, match="must be A or S"):
            soupbintcp.decode_login_rejected(payload)


@given(st.binary(min_size=46, max_size=46) | st.binary(min_size=51, max_size=51))
def test_random_logins_raise_our_error_and_nothing_else(payload: bytes) -> None:
    with contextlib.suppress(SoupBinTCPError):
        request = soupbintcp.decode_login_request(payload)
        assert 0 <= request.sequence_number < 2**64
    with contextlib.suppress(SoupBinTCPError):
        soupbintcp.decode_login_accepted(payload[:30])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("TOOLONG", ""), "user name: at most 6"),
        (("A\n", ""), "user name: at most 6 printable"),
        (("É", ""), "user name"),
        (("A", "ELEVENCHARS"), "password: at most 10"),
        (("A", "B", "ELEVENCHARS"), "session .*at most 10"),
        (("A", "B", "A B"), "session"),
        (("A", "B", "É"), "session"),
        (("A", "B", "C", -1), "sequence number -1"),
        (("A", "B", "C", 2**64), "sequence number"),
        (("A", "B", "C", 1, 100_000), "heartbeat timeout 100000: must be 0 to 99999"),
    ],
)
def test_a_login_that_cannot_be_sent_is_refused(fields: tuple[str, str], reason: str) -> None:
    with pytest.raises(SoupBinTCPError, match=reason):
        soupbintcp.encode_login_request(*fields)


@pytest.mark.parametrize(("session", "number"), [("", 1), ("A-B", 1), ("S1", -1), ("S1", 2**64)])
def test_a_login_accepted_that_cannot_be_sent_is_refused(session: str, number: int) -> None:
    with pytest.raises(SoupBinTCPError, match=r"session|sequence number"):
        soupbintcp.encode_login_accepted(session, number)


def test_case_and_padding_do_not_count_in_credentials() -> None:
    assert soupbintcp.normalized_credential(" aLiCe ") == "ALICE"
    assert soupbintcp.normalized_credential("ALICE") == "ALICE"
    assert soupbintcp.normalized_credential("A LICE") != "ALICE"


def test_debug_text_is_ascii_on_the_way_out_and_escaped_on_the_way_in() -> None:
    with pytest.raises(SoupBinTCPError, match="only ASCII"):
        soupbintcp.encode_debug("É")
    assert soupbintcp.decode_debug(b"plain 'text'") == "plain 'text'"
    assert soupbintcp.decode_debug(b"\xff\n\x1b[2J") == "\\xff\\x0a\\x1b[2J"
