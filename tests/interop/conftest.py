"""Fixtures of the interop tests: one exchange, one busy day, judged by programs that are not ours.

`make interop` installs those programs. Where they are missing these files are not even read.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from busy_day import BusyDay, Day

JUDGES = ("itch", "meatpy", "nasdaq_protocols")

collect_ignore_glob = [] if all(map(find_spec, JUDGES)) else ["test_*.py"]


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyDay]:
    """An exchange with a busy day behind it; it still runs, and nobody trades any more."""
    with BusyDay(tmp_path_factory.mktemp("exchange")) as busy:
        busy.run(busy.trade())
        yield busy


@pytest.fixture(scope="session")
def day(busy: BusyDay) -> Day:
    """What that day left behind: messages, datagrams of both lines, a capture file."""
    assert busy.day is not None, "the day was traded"
    return busy.day


@pytest.fixture(scope="session")
def capture(day: Day) -> Path:
    """The capture file of the day."""
    return day.capture
