"""The FIX codec, held against simplefix and against every way to break a message."""

from __future__ import annotations

from datetime import UTC, datetime

import simplefix
from hypothesis import given
from hypothesis import strategies as st
from simplefix.data import RAW_DATA_TAGS, RAW_LEN_TAGS

from protocols import fix
from protocols.fix import (
    MAX_LEARNED_FIELDS,
    MAX_MESSAGE_BYTES,
    FixDecoder,
    FixEncoder,
    check_sum,
    encode,
    encode_body,
    format_utc_timestamp,
    parse_message,
    parse_utc_timestamp,
    possible_duplicate,
)

NOW = "20240102-09:30:00.123"
BODY_TAGS = st.integers(1, 99_999).filter(lambda tag: tag not in {8, 9, 10, 34, 35, 49, 52, 56})
VALUES = st.text(st.characters(max_codepoint=255, exclude_characters="\x01"), max_size=20)
FIELDS = st.lists(st.tuples(BODY_TAGS, VALUES), max_size=12)


def make(msg_type="0", fields=(), seq=7):
    return encode(
        msg_type,
        fields,
        begin_string="FIX.4.4",
        sender="CLIENT1",
        target="EXCH",
        seq=seq,
        sending_time=NOW,
    )


def simplefix_reads(data):
    parser = simplefix.FixParser(allow_empty_values=True)
    parser.append_buffer(data)
    return parser.get_message()


def is_length_of_data(tag):
    """Tags of raw data and its length, which simplefix reads as a pair that must agree."""
    return tag in RAW_LEN_TAGS or tag in RAW_DATA_TAGS


@given(FIELDS.filter(lambda fields: not any(is_length_of_data(tag) for tag, _ in fields)))
def test_what_we_encode_is_what_simplefix_reads(fields):
    data = make("D", fields)
    message = simplefix_reads(data)
    read = [(int(tag), value) for tag, value in message.pairs]
    header = [(8, "FIX.4.4"), (35, "D"), (49, "CLIENT1"), (56, "EXCH"), (34, "7"), (52, NOW)]
    expected = header + fields
    without_length = [(tag, value.decode("latin-1")) for tag, value in read if tag not in {9, 10}]
    assert without_length == expected
    # simplefix computes BodyLength and CheckSum anew when it encodes.
    assert message.encode(raw=False) == data


@given(FIELDS.filter(lambda fields: not any(is_length_of_data(tag) for tag, _ in fields)))
def test_what_simplefix_encodes_is_what_we_decode(fields):
    message = simplefix.FixMessage()
    for tag, value in [(8, "FIX.4.4"), (35, "D"), (34, "7"), *fields]:
        message.append_pair(tag, value.encode("latin-1"))
    data = message.encode()
    decoded = FixDecoder().feed(data)
    assert len(decoded) == 1
    read = [pair for pair in decoded[0].fields if pair[0] not in {9, 10}]
    assert read == [(8, "FIX.4.4"), (35, "D"), (34, "7"), *fields]


@given(st.binary(max_size=2_000))
def test_check_sum_is_the_sum_of_all_bytes(data):
    assert check_sum(data) == sum(data) % 256


def test_check_sum_of_the_largest_bytes_does_not_wrap():
    for length in (255, 256, 257, 258, 1_000, 100_000):
        assert check_sum(b"\xff" * length) == 255 * length % 256


@given(st.lists(FIELDS, min_size=1, max_size=3), st.data())
def test_messages_come_out_the_same_however_the_bytes_are_cut(bodies, data):
    stream = b"".join(make("D", fields, seq) for seq, fields in enumerate(bodies, 1))
    whole = [message.fields for message in FixDecoder().feed(stream)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = FixDecoder()
    pieces = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        pieces += [message.fields for message in decoder.feed(stream[start:end])]
    assert pieces == whole
    assert len(whole) == len(bodies)
    assert decoder.garbled == 0
    assert decoder.buffered == 0


def test_messages_come_out_the_same_byte_by_byte():
    stream = make("D", [(11, "a")]) + make("0")
    decoder = FixDecoder()
    messages = [message for byte in stream for message in decoder.feed(bytes([byte]))]
    assert [message.msg_type for message in messages] == ["D", "0"]
    assert decoder.garbled == 0


def test_a_message_cut_short_waits_for_its_rest():
    data = make("D", [(11, "a")])
    for length in range(len(data)):
        decoder = FixDecoder()
        assert decoder.feed(data[:length]) == []
        assert decoder.garbled == 0
        assert len(decoder.feed(data[length:])) == 1


def test_each_changed_byte_is_noticed_and_the_next_message_is_read():
    good = make("1", [(112, "good")], 8)
    bad = make("1", [(112, "bad")], 7)
    for position in range(len(bad)):
        changed = bad[:position] + bytes([bad[position] ^ 1]) + bad[position + 1 :]
        decoder = FixDecoder()
        messages = decoder.feed(changed + good)
        texts = [message.get(112) for message in messages]
        assert texts[-1] == "good", (position, changed)
        assert len(texts) == 1, (position, changed)
        assert decoder.garbled == 1, (position, changed)


def test_a_wrong_body_length_does_not_swallow_the_next_message():
    good = make("1", [(112, "good")], 8)
    bad = make("1", [(112, "bad")], 7)
    length = int(bad.split(b"\x01")[1][2:])
    for wrong in [*range(0, length), *range(length + 1, length + 300), 5_000, 99_999, 9_999_999]:
        changed = bad.replace(b"9=%d\x01" % length, b"9=%d\x01" % wrong, 1)
        decoder = FixDecoder()
        messages = decoder.feed(changed) + decoder.feed(good)
        assert [message.get(112) for message in messages] == ["good"], wrong
        assert decoder.garbled == 1, wrong


def test_a_wrong_body_length_does_not_swallow_a_message_that_comes_byte_by_byte():
    good = make("1", [(112, "good")], 8)
    bad = make("1", [(112, "bad")], 7).replace(b"\x019=", b"\x019=3", 1)
    decoder = FixDecoder()
    messages = [message for byte in bad + good for message in decoder.feed(bytes([byte]))]
    assert [message.get(112) for message in messages] == ["good"]


def test_junk_is_counted_once_and_skipped():
    good = make("1", [(112, "good")])
    for junk in (b"hello", b"8=", b"8=FOX\x019=5\x01", b"\x01\x01\x01", b"10=123\x01", b"8=FIX"):
        decoder = FixDecoder()
        messages = decoder.feed(junk + good)
        assert [message.get(112) for message in messages] == ["good"], junk
        assert decoder.garbled == 1, junk


def test_msg_type_must_be_the_third_field():
    data = make("1", [(112, "x")])
    swapped = data.replace(b"35=1\x0149=CLIENT1\x01", b"49=CLIENT1\x0135=1\x01")
    decoder = FixDecoder()
    assert decoder.feed(swapped) == []
    assert decoder.garbled == 1


def test_a_message_above_the_limit_is_garbled_and_never_buffered():
    decoder = FixDecoder(max_message_bytes=500)
    data = make("1", [(112, "x" * 600)])
    largest = 0
    messages = []
    for byte in data + make("0"):
        messages += decoder.feed(bytes([byte]))
        largest = max(largest, decoder.buffered)
    assert [message.msg_type for message in messages] == ["0"]
    assert decoder.garbled == 1
    assert largest <= 500


@given(st.binary(max_size=400), st.integers(1, 40))
def test_any_bytes_are_survived_in_bounded_memory(data, size):
    decoder = FixDecoder(max_message_bytes=100)
    for start in range(0, len(data), size):
        decoder.feed(data[start : start + size])
        assert decoder.buffered <= 100 + size
    # A SOH before the next message is what ends any unfinished claim.
    messages = decoder.feed(b"\x0110=000\x01" + make("0"))
    assert [message.msg_type for message in messages][-1:] == ["0"]


FRAGMENTS = st.sampled_from(
    [b"8=FIX.4.4\x01", b"9=5\x01", b"9=70\x01", b"35=0\x01", b"10=161\x01", b"\x01", b"=", b"34=2",
     b"8=FIX", b"9=", b"58=8=FIX.4.4\x01", b"95=3\x0196=a\x01b\x01", make("0"), make("1")[:-3]]
)  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=30))
def test_any_mixture_of_fragments_is_survived(fragments):
    decoder = FixDecoder()
    for fragment in fragments:
        for message in decoder.feed(fragment):
            assert message.begin_string.startswith("FIX")
            assert message.tags[2] == 35
    assert decoder.buffered <= MAX_MESSAGE_BYTES


def test_a_field_without_a_number_has_tag_0():
    message = parse_message(b"8=FIX.4.4\x019=1\x0135=0\x01abc\x01x=1\x0100=2\x01-5=3\x01=4\x01")
    assert message.fields[3:] == [(0, "abc"), (0, "x=1"), (0, "00=2"), (0, "-5=3"), (0, "=4")]
    assert not message.is_plain


def test_tags_of_a_message_with_very_many_fields_are_not_remembered():
    for count, is_learned in ((MAX_LEARNED_FIELDS - 8, True), (MAX_LEARNED_FIELDS, False)):
        fields = [(5_000 + number, "x") for number in range(count)]
        for _ in range(2):
            message = FixDecoder().feed(make("D", fields))[0]
            assert message.is_plain
            assert message.fields[7:-1] == [(tag, "x") for tag, _ in fields]
        assert (message.tags in fix._tag_tuples.values()) is is_learned


def test_data_may_contain_soh():
    message = FixDecoder().feed(make("A", [(95, 5), (96, "a\x0198="), (98, 0)]))[0]
    assert message.get(96) == "a\x0198="
    assert message.get(98) == "0"


def test_a_data_length_that_lies_does_not_reach_beyond_the_message():
    for claimed in ("999", "4", "-1", "x", "00000000000000000009"):
        message = FixDecoder().feed(make("A", [(95, claimed), (96, "abcdef"), (98, 0)]))[0]
        assert message.get(96) == "abcdef"
        assert message.get(98) == "0"


def test_plain_says_whether_every_value_is_printable_and_not_empty():
    assert FixDecoder().feed(make("0", [(112, "a b")]))[0].is_plain
    for value in ("", "\x00", "é", "a\tb", "\x7f"):
        assert not FixDecoder().feed(make("0", [(112, value)]))[0].is_plain


def test_a_value_may_contain_the_equals_sign():
    assert FixDecoder().feed(make("0", [(112, "a=b=")]))[0].get(112) == "a=b="


def test_possible_duplicate_keeps_everything_but_the_time():
    first = FixDecoder().feed(make("8", [(37, 1), (58, "x")]))[0]
    data = possible_duplicate(make("8", [(37, 1), (58, "x")]), "20240102-10:00:00.000")
    again = FixDecoder().feed(data)[0]
    assert again.get(43) == "Y"
    assert again.get(122) == first.get(52)
    assert again.get(52) == "20240102-10:00:00.000"
    changed = {8, 9, 10, 43, 52, 122}
    assert [pair for pair in again.fields if pair[0] not in changed] == [
        pair for pair in first.fields if pair[0] not in changed
    ]
    assert simplefix_reads(data).encode(raw=False) == data


def test_poss_dup_can_be_encoded():
    data = encode(
        "D",
        [(11, "a")],
        begin_string="FIX.4.4",
        sender="A",
        target="B",
        seq=1,
        sending_time=NOW,
        poss_dup=True,
        orig_sending_time="20240102-09:00:00.000",
    )
    message = FixDecoder().feed(data)[0]
    assert (message.get(43), message.get(122)) == ("Y", "20240102-09:00:00.000")


def test_the_template_encoder_and_encode_agree():
    encoder = FixEncoder("FIX.4.4", "CLIENT1", "EXCH")
    fields = [(11, "a"), (38, 100)]
    assert encoder.encode("D", encode_body(fields), 7, NOW) == make("D", fields)


@given(st.integers(0, 4_102_444_800_000))
def test_timestamps_go_there_and_back(time_ms):
    time_ns = time_ms * 1_000_000 + 123_456
    text = format_utc_timestamp(time_ns)
    assert parse_utc_timestamp(text) == time_ms * 1_000_000
    moment = datetime.fromtimestamp(time_ms // 1_000, UTC)
    assert text == moment.strftime("%Y%m%d-%H:%M:%S.") + f"{time_ms % 1_000:03d}"


def test_timestamps_may_have_no_decimals_or_up_to_nine():
    base = parse_utc_timestamp("20240102-09:30:00")
    assert base == 1_704_187_800_000_000_000
    assert parse_utc_timestamp("20240102-09:30:00.5") is None
    assert parse_utc_timestamp("20240102-09:30:00.500") == base + 500_000_000
    assert parse_utc_timestamp("20240102-09:30:00.000500") == base + 500_000
    assert parse_utc_timestamp("20240102-09:30:00.000000500") == base + 500
    assert parse_utc_timestamp("20240102-09:29:60") == base


def test_what_is_no_timestamp_is_none():
    for text in (
        "", "x", "20240102", "20240102-24:00:00", "20240102-09:60:00", "20240231-09:30:00",
        "20241301-09:30:00", "00000101-00:00:00", "2024-01-02-09:30:00", "20240102 09:30:00",
        "20240102-09:30:00Z", "٢٠٢٤٠١٠٢-09:30:00",
    ):  # fmt: skip
        assert parse_utc_timestamp(text) is None, text
