"""Golden FIX sessions: tests/fix/*.txt, in the language of fix_script.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fix_script import ScriptPlayer

SCRIPTS = sorted((Path(__file__).parents[1] / "fix").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_gives_its_golden_output(path, check_golden, tmp_path):
    check_golden(path, lambda lines: ScriptPlayer(tmp_path).play(lines))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_begins_with_its_story(path):
    assert re.match(r"# \S.*\.$", path.read_text(encoding="utf-8").splitlines()[0])


def test_there_are_scripts():
    assert len(SCRIPTS) >= 25
