import gc

import pytest

from cluster import garbage
from cluster.garbage import YoungEvents, no_collection


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    monkeypatch.setattr(garbage.gc, "collect", found.append)
    return found


def test_events_are_looked_at_soon_and_older_ones_now_and_then(looks: list[int]) -> None:
    young = YoungEvents()
    young.add(1_999)
    assert looks == []
    for _ in range(20):
        young.add(2_000)
    assert looks == ([0] * 9 + [1]) * 2


def test_nothing_is_looked_at_during_a_replay(looks: list[int]) -> None:
    gc.disable()
    try:
        YoungEvents().add(10_000)
    finally:
        gc.enable()
    assert looks == []


def test_events_that_are_kept_do_not_stay_young() -> None:
    """As many come as go, so the collector would not look by itself."""
    before = gc.get_threshold()
    with no_collection():
        pass
    try:
        kept: list[tuple[int, str]] = [(number, "A") for number in range(10_000)]
        young = YoungEvents()
        for start in range(0, 100_000, 500):
            for number in range(start, start + 500):
                kept[number % len(kept)] = (number, "B")
            young.add(500)
        assert len(gc.get_objects(generation=0)) < 10_000
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
