"""Fixtures of the chaos tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import story
from story import RunStory

from exchange.drill import Story
from exchange.local import LocalExchange
from exchange.machines import Machines, machines, missing


@pytest.fixture
def run_story(capsys: pytest.CaptureFixture[str]) -> RunStory:
    """`run_story(exchange, story)` runs it and prints its line of statistics."""

    def run(exchange: LocalExchange, told: Story) -> None:
        line = story.run_story(exchange, told)
        with capsys.disabled():
            print(f"\n    {line}", end=" ", flush=True)

    return run


@pytest.fixture
def net() -> Iterator[Machines]:
    """Machines whose cables can be pulled; this process is on their edge during the test."""
    problem = missing()
    if problem is not None:
        pytest.skip(problem)
    with machines() as made:
        yield made
