"""Golden scripts of the exchange: tests/oms/*.txt, in the languages of exchange_script.py and
exchange_answers.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exchange_answers import DESCRIPTIONS
from exchange_script import ScriptPlayer

from oms.events import EventKind, RejectReason

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_gives_its_golden_output(path, check_golden):
    check_golden(path, lambda lines: ScriptPlayer().play(lines))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_begins_with_its_story(path):
    assert re.match(r"# \S.*\.$", path.read_text(encoding="utf-8").splitlines()[0])


def test_scripts_can_describe_every_event():
    assert set(DESCRIPTIONS) == set(EventKind)


def test_scripts_show_every_reason_to_refuse():
    shown = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    # What a script cannot say (other sides, types, times in force) is in test_risk.py.
    unspeakable = {"INVALID_SIDE", "INVALID_ORDER_TYPE", "INVALID_TIME_IN_FORCE"}
    missing = {
        reason.name for reason in RejectReason if f"{reason.name}: found" not in shown
    } - unspeakable
    assert not missing
