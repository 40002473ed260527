import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.names import NAMES_NO_ORDER, SHARDS, Names, number_name, number_of

FILLED = 2


def used(names: Names) -> list[tuple[str, int]]:
    names.check_invariants()
    assert len(names) == len(list(names))
    return list(zip(names, names.meanings(), strict=True))


def test_a_name_is_used_up_once():
    names = Names()
    shard = names.use("A1")
    assert shard is not None
    assert names.meaning("A1") == NAMES_NO_ORDER
    shard["A1"] = FILLED
    assert names.use("A1") is None
    assert names.meaning("A1") == FILLED
    assert names.meaning("A2") == NAMES_NO_ORDER
    assert used(names) == [("A1", FILLED)]


def test_a_name_that_was_used_may_stand_for_something_else():
    names = Names()
    names.use("A1")
    names.use_number(3, 7, NAMES_NO_ORDER)
    names.let_stand("A1", FILLED)
    names.let_stand("3:7", FILLED)
    assert used(names) == [("A1", FILLED), ("3:7", FILLED)]
    with pytest.raises(AssertionError, match="was not used"):
        names.let_stand("3:8", FILLED)


def test_a_number_is_used_up_under_its_name():
    names = Names()
    assert names.use_number(3, 7, FILLED)
    assert names.use("3:7") is None
    assert names.meaning("3:7") == FILLED
    assert names.use("3:8") is not None
    assert not names.use_number(3, 8, FILLED)
    assert names.use_number(3, 9, FILLED)
    assert names.use("7") is not None
    assert used(names) == [("3:7", FILLED), ("3:8", 0), ("3:9", FILLED), ("7", 0)]


@pytest.mark.parametrize(
    "name",
    ["", "A", "07", "+7", "-7", " 7", "7 ", "1_0", "٣", "0:7", "3:07", "A:7", ":7", "3:", "7:"],
)
def test_what_only_looks_like_a_number_is_none(name):
    assert number_of(name) is None


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**64 - 1))
def test_the_name_of_a_number_tells_it(channel, number):
    assert number_of(number_name(channel, number)) == (channel, number)


REQUESTS = st.one_of(
    st.text(max_size=2),
    st.tuples(st.sampled_from((0, 1, -2, 255)), st.sampled_from((1, 1, 1, 2, 5, 17, 70, 5_000))),
    st.sampled_from(("1", "2", "3", "1:1", "-2:3", "01")),
)


@given(st.lists(REQUESTS, max_size=60), st.integers(1, 7), st.booleans())
def test_names_come_back_in_the_order_of_first_use(requests, piece, has_numbers):
    """Texts and numbers that rise by more or less, compared with a dict of texts; a snapshot keeps
    all of it, whether numbers come back as such or as texts, and so does the hash."""
    names, expected, last_numbers = Names(), {}, {}
    for place, request in enumerate(requests):
        meaning = place % 3
        if isinstance(request, str):
            shard = names.use(request)
            assert (shard is None) == (request in expected)
            if shard is not None:
                shard[request] = expected[request] = meaning
        else:
            channel, step = request
            number = last_numbers.get(channel, 0) + step
            last_numbers[channel] = number
            name = number_name(channel, number)
            assert names.use_number(channel, number, meaning) == (name not in expected)
            expected.setdefault(name, meaning)
        if place % piece == 0:
            names.digest()
    assert used(names) == list(expected.items())
    again = Names()
    pairs = list(expected.items())
    for start in range(0, len(pairs), piece):
        texts, meanings = zip(*pairs[start : start + piece], strict=True)
        again.restore(texts, meanings, last_numbers if has_numbers else {})
        again.digest()
    assert used(again) == pairs
    assert again.digest() == names.digest()


def test_a_snapshot_with_a_name_twice_is_refused():
    for last_numbers in ({}, {0: 7}):
        with pytest.raises(AssertionError, match="twice"):
            Names().restore(["7", "7"], [0, 0], last_numbers)


def test_no_dict_gets_large():
    """The copy that a dict makes when it is full must be a short one, and not all at once."""
    names = Names()
    for number in range(SHARDS * 100):
        names.use(f"ORDER-{number}")
    sizes = sorted(map(len, names._shards))
    assert sizes[-1] < 200
    assert sizes[0] != sizes[-1]
