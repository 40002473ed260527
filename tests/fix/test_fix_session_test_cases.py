"""The cases of the published FIX session test cases that a message alone decides, in every version.

Each case keeps its number. Cases about sequence numbers, times and connections are the session's:
the scripts beside this file.
"""

from __future__ import annotations

import pytest
from fix_examples import DICTIONARIES, EXAMPLES, NOW, PARTIES, reject_of

from protocols.fix import FixDecoder, check_sum
from protocols.fix_dictionary import FIX42, FIX44, FIX50SP2

every_version = pytest.mark.parametrize("dictionary", DICTIONARIES, ids=lambda d: d.name)
ORDERS = {dictionary.name: examples["D"] for dictionary, examples in EXAMPLES}


def frame(dictionary, body, **changes):
    """`body` with a right frame, but for `changes`: BodyLength and CheckSum as they shall be."""
    length = changes.get("length", len(body))
    data = b"8=%b\x019=%d\x01%b" % (dictionary.begin_string.encode(), length, body)
    return data + b"10=%03d\x01" % changes.get("check", check_sum(data))


def heartbeat(text=b""):
    return b"35=0\x0149=CLIENT1\x0156=EXCH\x0134=2\x0152=%b\x01%b" % (NOW.encode(), text)


def is_ignored(dictionary, data):
    """Garbled: nobody sees it, and the message after it is read."""
    decoder = FixDecoder()
    messages = decoder.feed(data + frame(dictionary, heartbeat(b"112=next\x01")))
    return [message.get(112) for message in messages] == ["next"] and decoder.garbled > 0


@every_version
def test_2d_garbled_messages_are_ignored(dictionary):
    assert is_ignored(dictionary, frame(dictionary, heartbeat())[:-30])
    assert is_ignored(dictionary, b"8=FIX.4.4\x019=\x01" + heartbeat() + b"10=000\x01")


@every_version
def test_2m_a_wrong_body_length_is_ignored(dictionary):
    length = len(heartbeat())
    for wrong in (length - 1, length + 1, 1, 0, 99_999):
        assert is_ignored(dictionary, frame(dictionary, heartbeat(), length=wrong)), wrong


@every_version
def test_2r_a_msg_type_that_does_not_exist_is_rejected(dictionary):
    assert reject_of(dictionary, "*", []) == (35, 11)
    assert reject_of(dictionary, "zz", [(11, "a")]) == (35, 11)


@every_version
def test_2q_a_msg_type_that_exists_but_is_not_supported_is_left_to_the_business_level(dictionary):
    assert reject_of(dictionary, "E", [(66, "list"), (5000, "x")]) is None


@every_version
@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0)])
def test_2t_the_first_three_fields_have_their_places(dictionary, order):
    rest = heartbeat()[5:]
    head = [
        b"8=%b\x01" % dictionary.begin_string.encode(),
        b"9=%d\x01" % (5 + len(rest)),
        b"35=0\x01",
    ]
    data = b"".join(head[place] for place in order) + rest
    assert is_ignored(dictionary, data + b"10=%03d\x01" % check_sum(data))


@every_version
def test_3_a_wrong_check_sum_is_ignored(dictionary):
    good = frame(dictionary, heartbeat())
    assert len(FixDecoder().feed(good)) == 1
    assert is_ignored(dictionary, frame(dictionary, heartbeat(), check=(check_sum(good) + 1) % 256))
    assert is_ignored(dictionary, good[:-4] + b"1\x01")
    assert is_ignored(dictionary, good[:-7] + b"10=0x1\x01")


CASES = [
    ("14a a tag that the standard does not have", [(99_999, "x")], (99_999, 0)),
    ("14a a tag that only others agreed on", [(9303, "x")], (9303, 0)),
    ("14a a tag of 0", [(0, "x")], (None, 0)),
    ("14a a tag below 0", [(-1, "x")], (None, 0)),
    ("14a a tag with a leading 0", [("058", "x")], (None, 0)),
    ("14a no number", [("Text", "x")], (None, 0)),
    ("14c a tag of another message", [(45, "1")], (45, 2)),
    ("14c a tag of the standard that no message of ours has", [(27, "L")], (27, 2)),
    ("14d no value", [(58, "")], (58, 4)),
    ("14e a value that is not on the list", [(59, "Z")], (59, 5)),
    ("14e one of several values that is not on the list", [(18, "6 %")], (18, 5)),
    ("14f letters in a quantity", [(110, "ten")], (110, 6)),
    ("14f no time", [(126, "20240102-25:00:00")], (126, 6)),
    ("14f no flag", [(114, "yes")], (114, 6)),
    ("14f two characters", [(77, "OO")], (77, 6)),
    ("14f a blank before a number", [(110, " 1")], (110, 6)),
    ("14g a field of the header in the body", [(50, "desk")], (50, 14)),
    ("14g a field of the header in the body that was there", [(49, "CLIENT1")], (49, 13)),
    ("14h a field twice", [(55, "AAPL")], (55, 13)),
    ("14i an entry too few", [(386, "2"), (336, "DAY")], (386, 16)),
    ("14i an entry too many", [(386, "1"), (336, "DAY"), (336, "NIGHT")], (386, 16)),
    ("14j the second field of an entry before the first", [(78, "1"), (80, "5")], (80, 15)),
    ("14k a field in the standard's other place", [(376, "x")], None),
    ("14l data with SOH", [(354, "5"), (355, "a\x01b\x01c")], None),
    ("14l data shorter than it says", [(354, "9"), (355, "abc")], None),
    ("14n a value with SOH that is no data", [(58, "a\x01b")], (58, 17)),
]


@every_version
@pytest.mark.parametrize(("what", "added", "expected"), CASES, ids=[case[0] for case in CASES])
def test_14_an_order_is_rejected_for_what_was_added(dictionary, what, added, expected):
    order = ORDERS[dictionary.name]
    if added[0][0] in {18, 59}:
        order = [field for field in order if field[0] != added[0][0]]
    assert reject_of(dictionary, "D", [*order, *added]) == expected


@every_version
def test_14b_each_required_field_is_missed(dictionary):
    for tag in (11, 55, 54, 60, 40):
        order = [field for field in ORDERS[dictionary.name] if field[0] != tag]
        assert reject_of(dictionary, "D", order) == (tag, 1)


@pytest.mark.parametrize("dictionary", [FIX44, FIX50SP2], ids=lambda d: d.name)
def test_14ij_parties(dictionary):
    order = ORDERS[dictionary.name]
    assert reject_of(dictionary, "D", [*order, *PARTIES]) is None
    swapped = [PARTIES[0], PARTIES[1], PARTIES[3], PARTIES[2], *PARTIES[4:]]
    assert reject_of(dictionary, "D", [*order, *swapped]) == (447, 15)
    assert reject_of(dictionary, "D", [*order, *PARTIES[:4]]) == (453, 16)
    assert reject_of(dictionary, "D", [*order, *PARTIES, (448, "Z"), (448, "Z")]) == (453, 16)


@every_version
def test_14g_a_field_of_the_trailer_before_the_body_ends(dictionary):
    order = ORDERS[dictionary.name]
    assert reject_of(dictionary, "D", [(93, "1"), (89, "s"), *order]) == (order[0][0], 14)
    assert reject_of(dictionary, "D", [*order, (93, "1"), (89, "s")]) is None


@every_version
def test_15_header_and_body_may_be_ordered_otherwise(dictionary):
    body = b"35=1\x0152=%b\x0134=2\x0156=EXCH\x0149=CLIENT1\x01112=x\x01" % NOW.encode()
    assert dictionary.validate(FixDecoder().feed(frame(dictionary, body))[0]) is None
    order = ORDERS[dictionary.name]
    assert reject_of(dictionary, "D", order[::-1]) is None


REASONS_OF_A_MESSAGE = {0, 1, 2, 4, 5, 6, 11, 13, 14, 15, 16, 17}


def test_each_reason_that_a_message_can_provoke_is_reached():
    assert {case[2][1] for case in CASES if case[2]} | {1, 11} == REASONS_OF_A_MESSAGE
    said = {d.name: {d.reject_reason(r) for r in REASONS_OF_A_MESSAGE} for d in DICTIONARIES}
    assert said[FIX42.name] == {0, 1, 2, 4, 5, 6, 11, None}
    assert said[FIX44.name] == said[FIX50SP2.name] == REASONS_OF_A_MESSAGE
