import gc
from collections.abc import Iterator

import pytest

from cluster import garbage
from cluster.garbage import YoungEvents, no_collection


@pytest.fixture
def as_in_a_node() -> Iterator[None]:
    """The thresholds of a node, and nothing young."""
    before = gc.get_threshold()
    with no_collection():
        pass
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Ring:
    """Garbage as soon as nobody has it."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Ring.alive += 1

    def __del__(self) -> None:
        Ring.alive -= 1


def test_what_events_leave_is_looked_at_once_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(garbage.gc, "collect", lambda generation: looks.append(generation) or 0)
    monkeypatch.setattr(garbage.gc, "freeze", lambda: looks.append(-1))
    young = YoungEvents()
    young.add(1_999)
    assert looks == []
    for _ in range(3):
        young.add(2_000)
    assert looks == [0, -1] * 3


def test_nothing_is_looked_at_during_a_replay() -> None:
    kept = [[number] for number in range(100)]
    gc.disable()
    try:
        YoungEvents().add(10_000)
        assert any(each is kept for each in gc.get_objects(generation=0))
    finally:
        gc.enable()


def test_objects_that_are_kept_do_not_stay_young(as_in_a_node: None) -> None:
    """As many come as go, so the collector would not look by itself."""
    kept: list[tuple[int, str]] = [(number, "A") for number in range(10_000)]
    young = YoungEvents()
    for start in range(0, 100_000, 500):
        for number in range(start, start + 500):
            kept[number % len(kept)] = (number, "B")
        young.add(500)
    assert len(gc.get_objects(generation=0)) < 10_000


def test_garbage_is_found_also_when_it_was_in_use_while_other_garbage_was_found(
    as_in_a_node: None,
) -> None:
    young, in_use = YoungEvents(), Ring()
    Ring()
    young.add(2_000)
    assert Ring.alive == 1
    del in_use
    young.add(2_000)
    assert Ring.alive == 0
