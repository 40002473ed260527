"""Fixtures of the interop tests: one exchange, one busy day, judged by programs that are not ours.

`make interop` installs those programs. Where those for ITCH and OUCH are missing, their files are
not even read; where a FIX engine is missing, its tests are skipped, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from busy_day import BusyDay, Day
from fix_trial import Trial
from fix_venue import Venue

JUDGES = ("itch", "meatpy", "nasdaq_protocols")

# The tests with FIX engines, test_fix_*.py, look for those themselves.
collect_ignore_glob = [] if all(map(find_spec, JUDGES)) else ["test_[!f]*.py"]


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


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """An exchange that FIX engines trade at, one test after the other."""
    with Venue(tmp_path_factory.mktemp("venue")) as venue:
        yield venue


@pytest.fixture
def make_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Venue], Trial]:
    """`make_trial(venue)`: a test with QuickFIX engines, which tells what it has seen."""
    if find_spec("quickfix") is None:
        pytest.skip("QuickFIX is missing: pip install 'quickfix>=1.16'")

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n    {line}", end=" ", flush=True)

    return lambda venue: Trial(venue, tmp_path, say)


@pytest.fixture
def trial(make_trial: Callable[[Venue], Trial], request: pytest.FixtureRequest) -> Trial:
    """One at the exchange that all of them share, which starts only if somebody can try it."""
    return make_trial(request.getfixturevalue("venue"))
