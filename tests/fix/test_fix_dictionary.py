"""The dictionaries of all versions: complete, consistent, right about every reason to reject."""

from __future__ import annotations

import pytest
from fix_examples import (
    DICTIONARIES,
    EVERY_EXAMPLE,
    EXAMPLES,
    EXAMPLES_44,
    NOW,
    ORDER,
    PARTIES,
    make_message,
    reject_of,
)
from hypothesis import given
from hypothesis import strategies as st

from protocols.fix import FixDecoder, check_sum
from protocols.fix_dictionary import FIX42, FIX44, FIX50SP2, VERSIONS
from protocols.fix_fields import FIELDS
from protocols.fix_tables import LayoutField, parse_layout, parse_tag_ranges
from protocols.fix_types import TYPE_CHECKS
from protocols.fix_validation import SessionRejectReason

HEADER_TAGS = {8, 9, 35, 49, 56, 34, 52}
IDS = [f"{dictionary.name}-{msg_type}" for dictionary, msg_type, _ in EVERY_EXAMPLE]
every_example = pytest.mark.parametrize(
    ("dictionary", "msg_type", "fields"), EVERY_EXAMPLE, ids=IDS
)
every_version = pytest.mark.parametrize("dictionary", DICTIONARIES, ids=lambda d: d.name)


def test_the_versions_have_their_names():
    assert {name: (d.begin_string, d.appl_ver_id) for name, d in VERSIONS.items()} == {
        "FIX.4.2": ("FIX.4.2", ""),
        "FIX.4.4": ("FIX.4.4", ""),
        "FIX.5.0SP2": ("FIXT.1.1", "9"),
    }
    assert all(dictionary.name == name for name, dictionary in VERSIONS.items())


def test_each_version_has_the_messages_that_the_standard_has():
    order_entry = set("DFGH89jB012345AVWYefgh")
    later = order_entry | {"AF", "q", "r", "x", "y"}
    for dictionary, expected in ((FIX42, order_entry), (FIX44, later), (FIX50SP2, later)):
        supported = {t for t in dictionary.msg_types if dictionary.supports(t)}
        assert supported == expected, dictionary.name


@pytest.mark.parametrize(("dictionary", "examples"), EXAMPLES, ids=[d.name for d in DICTIONARIES])
def test_every_supported_message_has_a_valid_example(dictionary, examples):
    assert {t for t in dictionary.msg_types if dictionary.supports(t)} == set(examples)


@every_example
def test_a_valid_message_is_not_rejected(dictionary, msg_type, fields):
    assert dictionary.validate(make_message(dictionary, msg_type, fields)) is None


@every_example
def test_each_required_tag_is_missed(dictionary, msg_type, fields):
    for tag in dictionary._rules[msg_type].required:
        if tag in HEADER_TAGS:
            continue
        group = dictionary._rules[msg_type].groups.get(tag)
        gone = {tag, *group.order} if group else {tag}
        without = [(other, value) for other, value in fields if other not in gone]
        assert reject_of(dictionary, msg_type, without) == (tag, 1), tag


@every_example
def test_each_tag_without_a_value_is_rejected(dictionary, msg_type, fields):
    for position, (tag, _) in enumerate(fields):
        changed = list(fields)
        changed[position] = (tag, "")
        assert reject_of(dictionary, msg_type, changed) == (tag, 4), tag


@every_example
def test_each_tag_that_appears_twice_is_rejected(dictionary, msg_type, fields):
    rules = dictionary._rules[msg_type]
    for tag, value in fields:
        if tag in rules.top_level and not (tag == 96 or tag in rules.groups):
            assert reject_of(dictionary, msg_type, [*fields, (tag, value)]) == (tag, 13), tag


@every_version
def test_header_fields_are_required(dictionary):
    data = b"35=0\x0134=1\x0152=20240102-09:30:00\x0156=EXCH\x01"
    message = FixDecoder().feed(_framed(data))[0]
    assert dictionary.validate(message).ref_tag == 49


def _framed(body):
    data = b"8=FIX.4.4\x019=%d\x01%b" % (len(body), body)
    return data + b"10=%03d\x01" % check_sum(data)


REJECTS = [
    ("D", [*ORDER, (5000, "x")], (5000, 0)),
    ("D", [*ORDER, (112, "x")], (112, 2)),
    ("D", [*ORDER, (37, "x")], (37, 2)),
    ("D", [*ORDER, (555, "1")], (555, 2)),  # a leg: in the standard, not with us
    ("D", [*ORDER, (448, "x")], (448, 2)),  # a member of a group without the group
    ("D", [*ORDER, (8013, "Y")], (8013, 2)),
    ("D", [*ORDER, (59, "9")], (59, 5)),
    ("D", [*ORDER, (21, "4")], (21, 5)),
    ("D", [*ORDER, (18, "6 !")], (18, 5)),
    ("D", [*ORDER, (110, "1e3")], (110, 6)),
    ("D", [*ORDER, (110, "+1")], (110, 6)),
    ("D", [*ORDER, (110, ".")], (110, 6)),
    ("D", [*ORDER, (110, "NaN")], (110, 6)),
    ("D", [*ORDER, (110, "1,5")], (110, 6)),
    ("D", [*ORDER, (126, "tomorrow")], (126, 6)),
    ("D", [*ORDER, (432, "20241301")], (432, 6)),
    ("D", [*ORDER, (200, "202413")], (200, 6)),
    ("D", [*ORDER, (15, "usd")], (15, 6)),
    ("D", [*ORDER, (114, "T")], (114, 6)),
    ("D", [*ORDER, (18, "6  G")], (18, 6)),
    ("D", [*ORDER, (581, "1.0")], (581, 6)),
    ("D", [*ORDER, (1, "\xe9")], (1, 6)),
    ("D", [*ORDER, (1, "a\tb")], (1, 6)),
    ("D", [*ORDER, (43, "Y")], (43, 14)),
    ("D", [(93, "1"), (89, "s"), *ORDER], (11, 14)),
    ("D", [*ORDER, ("x", "1")], (None, 0)),
    ("D", [*ORDER, ("044", "1")], (None, 0)),
    ("D", [*ORDER, (58, "two\x01words")], (58, 17)),
    ("ZZ", [], (35, 11)),
    ("", [], (35, 4)),
    ("I", [], (35, 11)),
    ("AE", [(1, "whatever")], None),  # in the standard, not with us: the session's j
    ("A", [(98, "9"), (108, "30")], (98, 5)),
    ("A", [(98, "0"), (108, "3O")], (108, 6)),
    ("A", [(98, "0"), (108, "30"), (8013, "1")], (8013, 6)),
    ("2", [(7, "-1"), (16, "0")], (7, 6)),
    ("2", [(7, "1" * 11), (16, "0")], (7, 6)),
    ("W", [(262, "r"), (55, "A"), (268, "1"), (269, "0"), (272, "20240231")], (272, 6)),
    ("W", [(262, "r"), (55, "A"), (268, "1"), (269, "0"), (273, "24:00:00")], (273, 6)),
]


@pytest.mark.parametrize(("msg_type", "fields", "expected"), REJECTS)
def test_reason_and_tag(msg_type, fields, expected):
    assert reject_of(FIX44, msg_type, fields) == expected


GROUPS = [
    ([*PARTIES, *ORDER], None),
    ([*ORDER, *PARTIES], None),
    ([(453, "1"), (448, "X"), (802, "2"), (523, "a"), (803, "1"), (523, "b"), *ORDER], None),
    ([(453, "0"), *ORDER], None),
    ([(453, "3"), *PARTIES[1:], *ORDER], (453, 16)),
    ([(453, "1"), *PARTIES[1:], *ORDER], (453, 16)),
    ([(453, "9999999999"), *PARTIES[1:], *ORDER], (453, 16)),
    ([(453, "1"), (447, "D"), (448, "X"), *ORDER], (447, 15)),
    ([(453, "1"), (448, "X"), (452, "1"), (447, "D"), *ORDER], (447, 15)),
    ([(453, "1"), (448, "X"), (447, "D"), (447, "D"), *ORDER], (447, 13)),
    ([(453, "1"), (448, "X"), (447, ""), *ORDER], (447, 4)),
    ([(453, "1"), (448, "X"), (452, "one"), *ORDER], (452, 6)),
    ([(453, "1"), (448, "X"), (802, "1"), *ORDER], (802, 16)),
    ([*PARTIES, *ORDER, (453, "1"), (448, "Z")], (453, 13)),
]


@pytest.mark.parametrize(("fields", "expected"), GROUPS)
def test_repeating_groups(fields, expected):
    assert reject_of(FIX44, "D", fields) == expected


def test_a_shape_with_groups_is_learned_for_these_counts_only():
    one_inside = [(453, "2"), (448, "X"), (802, "1"), (523, "a"), (448, "Y"), (452, "3"), *ORDER]
    assert reject_of(FIX44, "D", one_inside) is None
    for position, wrong in ((0, "1"), (0, "3"), (2, "2"), (2, "0")):
        changed = list(one_inside)
        changed[position] = (changed[position][0], wrong)
        assert reject_of(FIX44, "D", changed) == (changed[position][0], 16)
    assert reject_of(FIX44, "D", [*one_inside[:5], (452, "x"), *one_inside[6:]]) == (452, 6)


@every_version
def test_the_required_fields_of_an_entry_are_missed_in_each_entry(dictionary):
    if not dictionary.supports("B"):
        return
    lines = [(148, "h"), (33, "2"), (58, "one"), (58, "two")]
    assert reject_of(dictionary, "B", lines) is None
    assert reject_of(dictionary, "B", [(148, "h"), (33, "1"), (354, "1")]) == (354, 15)


def test_a_price_is_required_in_each_entry_of_a_book_of_fix42_only():
    book = [(262, "r"), (55, "A"), (268, "2"), (269, "0"), (269, "1"), (270, "1")]
    assert reject_of(FIX42, "W", book) == (270, 1)
    assert reject_of(FIX42, "W", [*book[:4], (270, "1"), (269, "1")]) == (270, 1)
    assert reject_of(FIX44, "W", book) is None


def test_text_may_be_latin_1_and_data_anything():
    assert reject_of(FIX44, "D", [*ORDER, (58, "caf\xe9")]) is None
    assert reject_of(FIX44, "D", [*ORDER, (354, "3"), (355, "a\x01b")]) is None


# ---- where the versions differ ----

VERSION_REJECTS = [
    (FIX42, "D", ORDER, (21, 1)),  # HandlInst(21) was required once
    (FIX42, "D", [*ORDER, (21, "1"), (453, "1"), (448, "x")], (453, 0)),
    (FIX42, "D", [*ORDER, (21, "1"), (22, "A")], (22, 5)),
    (FIX42, "D", [*ORDER[:2], (54, "A"), *ORDER[3:], (21, "1")], (54, 5)),
    (FIX42, "A", [(98, "0"), (108, "30"), (553, "me")], (553, 0)),
    (FIX42, "A", [(98, "0"), (108, "30"), (789, "1")], (789, 0)),
    (FIX42, "8", EXAMPLES_44["8"], (150, 5)),
    (FIX42, "AF", [], (35, 11)),
    (FIX42, "q", [], (35, 11)),
    (FIX42, "x", [], (35, 11)),
    (FIX42, "j", [(372, "V"), (380, "6")], (380, 5)),
    (FIX42, "3", [(45, "1"), (373, "13")], (373, 5)),
    (FIX44, "A", [(98, "0"), (108, "30"), (1137, "9")], (1137, 0)),
    (FIX44, "D", [*ORDER, (20, "0")], (20, 0)),
    (FIX44, "D", [*ORDER, (1138, "10")], (1138, 0)),
    (FIX44, "D", [*ORDER, (109, "x")], (109, 0)),  # ClientID left with 4.2
    (FIX44, "8", [*EXAMPLES_44["8"], (880, "m")], (880, 2)),
    (FIX44, "8", [(37, "1"), (17, "2"), (150, "L")], (150, 5)),
    (FIX44, "y", [(320, "r"), (322, "s"), (560, "0"), (893, "Y")], (893, 2)),
    (FIX50SP2, "A", [(98, "0"), (108, "30")], (1137, 1)),
    (FIX50SP2, "A", [(98, "0"), (108, "30"), (1137, "x")], (1137, 5)),
    (FIX50SP2, "D", [(5001, "x"), *ORDER], (5001, 0)),
    (FIX50SP2, "r", EXAMPLES_44["r"][:5], (1369, 1)),
]


@pytest.mark.parametrize(("dictionary", "msg_type", "fields", "expected"), VERSION_REJECTS)
def test_the_versions_reject_what_is_not_theirs(dictionary, msg_type, fields, expected):
    assert reject_of(dictionary, msg_type, fields) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("9", None), ("8", (1128, 18)), ("42", (1128, 18)), ("\x02", (1128, 6))]
)
def test_an_application_version_in_the_header_must_be_the_one_of_the_session(value, expected):
    body = f"35=D\x011128={value}\x0149=A\x0156=B\x0134=1\x0152={NOW}\x01"
    body += "".join(f"{tag}={text}\x01" for tag, text in ORDER)
    message = FixDecoder().feed(_framed(body.encode("latin-1")))[0]
    for _ in range(2):
        reject = FIX50SP2.validate(message)
        assert (None if reject is None else (reject.ref_tag, int(reject.reason))) == expected


def test_reject_reasons_that_a_version_lacks_are_left_out():
    reasons = [int(reason) for reason in SessionRejectReason]
    assert [FIX42.reject_reason(reason) for reason in reasons] == [
        reason if reason <= 11 else None for reason in reasons
    ]
    assert [FIX44.reject_reason(reason) for reason in reasons] == [
        None if reason == 18 else reason for reason in reasons
    ]
    assert [FIX50SP2.reject_reason(reason) for reason in reasons] == reasons


# ---- the tables ----


@every_version
def test_every_field_has_a_type_with_a_check_and_every_enumeration_a_field(dictionary):
    assert set(dictionary.types.values()) <= set(TYPE_CHECKS)
    assert set(dictionary.enumerations) <= set(dictionary.names)
    for tag, values in dictionary.enumerations.items():
        assert len(set(values)) == len(values), tag
        check = TYPE_CHECKS[dictionary.types[tag]][0]
        assert all(check(value) for value in values), tag


@every_version
def test_every_field_belongs_to_the_standard_or_is_one_of_the_documented_extras(dictionary):
    extras = {tag for tag in dictionary.names if tag not in dictionary._defined_tags}
    documented = {2362, 2964, 7928, 8000, 8013}
    assert extras == (documented - {2362, 2964} if dictionary is FIX50SP2 else documented)
    aliases = {2362, 2964}
    names = [name for tag, name in dictionary.names.items() if tag not in aliases]
    assert len(set(names)) == len(names)


def test_no_field_is_named_twice_and_none_is_named_in_vain():
    tags = [int(entry.split()[0]) for text in FIELDS.values() for entry in text.split(",")]
    assert len(set(tags)) == len(tags)
    assert set(tags) == {tag for dictionary in DICTIONARIES for tag in dictionary.names}


@every_version
def test_values_that_we_send_are_in_the_lists_of_the_version(dictionary):
    sent = {
        39: "0 1 2 4 8", 150: "0 4 5 8", 434: "1 2", 102: "0 1", 103: "0 1 2 3 6",
        380: "0 1 2 3", 281: "0", 326: "2 17", 340: "1 2 3",
    }  # fmt: skip
    for tag, values in sent.items():
        assert set(values.split()) <= set(dictionary.enumerations[tag]), tag


def test_the_notation_of_a_layout():
    assert parse_layout("11! 453(448! 802(523)) 58") == (
        LayoutField(11, True, ()),
        LayoutField(
            453,
            False,
            (LayoutField(448, True, ()), LayoutField(802, False, (LayoutField(523, False, ()),))),
        ),
        LayoutField(58, False, ()),
    )
    for wrong in ("x", "11!!", "11 )", "58)", "453(448", "(11)", "11,58"):
        with pytest.raises(ValueError):
            parse_layout(wrong)
    assert parse_tag_ranges("1-3 7") == {1, 2, 3, 7}


def test_texts_name_the_tag_and_the_value_without_control_characters():
    text = FIX44.validate(make_message(FIX44, "D", [*ORDER, (15, "\x02" * 100)])).text
    assert text.startswith("Currency(15) '????")
    assert text.isprintable()
    assert len(text) < 120


def test_every_reason_of_the_table_is_reached():
    reached = {expected[1] for _, _, expected in REJECTS if expected}
    reached |= {expected[1] for _, expected in GROUPS if expected} | {1, 18}
    # 0 says what 3 says, as engines have it; 9, 10 and 99 are the session's.
    assert {int(member) for member in SessionRejectReason} - reached == {3, 9, 10, 99}


TAGS = st.sampled_from(
    [8, 9, 10, 35, 34, 52, 11, 55, 54, 60, 38, 40, 44, 453, 448, 447, 452, 802, 523, 803, 58, 0, 78,
     79, 539, 524, 804, 545, 99999, 95, 96, 141, 386, 336, 146, 267, 268, 269, 270, 33, 1128]
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(["1", "2", "Y", NOW, "", "0"]), st.text(max_size=5))


@given(st.sampled_from(EVERY_EXAMPLE), st.lists(st.tuples(TAGS, TEXTS), max_size=15))
def test_validation_answers_whatever_the_message_is(example, extra):
    dictionary, msg_type, _ = example
    body = "".join(f"{tag}={value}\x01" for tag, value in extra)
    data = f"35={msg_type}\x0134=1\x01{body}".encode("latin-1", "replace")
    for message in FixDecoder().feed(_framed(data)):
        reject = dictionary.validate(message)
        assert reject is not None  # 49, 56 and 52 are missing, or come too late
        assert reject.text.isprintable()
