"""Golden scripts of the order book: tests/books/*.txt, in the language of book_script.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from book_script import ScriptPlayer

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "tests" / "books").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_gives_its_golden_output(path, check_golden):
    check_golden(path, lambda commands: ScriptPlayer().play(commands))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_begins_with_its_story(path):
    assert re.match(r"# \S.*\.$", path.read_text(encoding="utf-8").splitlines()[0])


def test_readme_names_every_script_and_no_other():
    readme = (ROOT / "matching" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+)\.txt`", readme))
    assert named == {path.stem for path in SCRIPTS}


def test_there_are_at_least_forty_scripts():
    assert len(SCRIPTS) >= 40
