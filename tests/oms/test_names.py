from hypothesis import given
from hypothesis import strategies as st

from oms.names import NAMES_NO_ORDER, SHARDS, Names

FILLED = 2


def test_a_name_is_used_up_once():
    names = Names()
    shard = names.use("A1")
    assert shard is not None
    assert names.meaning("A1") == NAMES_NO_ORDER
    shard["A1"] = FILLED
    assert names.use("A1") is None
    assert names.meaning("A1") == FILLED
    assert names.is_used("A1")
    assert not names.is_used("A2")
    assert names.meaning("A2") == NAMES_NO_ORDER
    assert len(names) == 1


def test_to_let_a_name_stand_for_something_uses_it_up():
    names = Names()
    names.let_stand("A1", FILLED)
    names.let_stand("A1", NAMES_NO_ORDER)
    assert names.in_order == ["A1"]
    assert names.use("A1") is None


@given(st.lists(st.text(max_size=3), unique=True), st.integers(0, 5))
def test_names_come_back_in_the_order_of_first_use(texts, piece):
    names, again = Names(), Names()
    for place, text in enumerate(texts):
        names.let_stand(text, place % 3)
    meanings = list(names.meanings())
    for start in range(0, len(texts), piece + 1):
        end = start + piece + 1
        again.restore(texts[start:end], meanings[start:end])
        again.digest()
    again.check_invariants()
    assert again.in_order == texts
    assert list(again.meanings()) == meanings
    assert again.digest() == names.digest()


def test_no_dict_gets_large():
    """The copy that a dict makes when it is full must be a short one, and not all at once."""
    names = Names()
    for number in range(SHARDS * 100):
        names.use(f"ORDER-{number}")
    sizes = sorted(map(len, names.shards))
    assert sizes[-1] < 200
    assert sizes[0] != sizes[-1]
