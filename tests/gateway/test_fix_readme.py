"""What gateway/fix/README.md shows has happened; TEST_CASES.md names sessions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = {path.stem: path for path in (ROOT / "tests" / "fix").glob("*.txt")}
README = (ROOT / "gateway" / "fix" / "README.md").read_text(encoding="utf-8")
TEST_CASES = (ROOT / "gateway" / "fix" / "TEST_CASES.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- (\w+) -->\n```\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_a_piece_of_a_golden_session(name, example):
    played = SCRIPTS[name].read_text(encoding="utf-8").split("----\n")[1]
    assert example in played, f"{name}.txt does not say this"


def test_there_are_examples():
    assert len(EXAMPLES) >= 10


def test_every_session_that_a_test_case_names_exists():
    named = set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", TEST_CASES)) | {"heartbeats", "resend"}
    assert named <= set(SCRIPTS), sorted(named - set(SCRIPTS))


def test_every_session_is_named_somewhere():
    text = README + TEST_CASES
    missing = [name for name in SCRIPTS if not re.search(rf"\b{name}\b", text)]
    assert not missing
