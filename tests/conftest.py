"""What all tests share: golden scripts and the hypothesis profile.

A golden script is a text file: comment lines with `#`, input lines, a line `----`, and the output
that is expected, line by line. `pytest --rewrite` replaces the expected half by the output of the
program; read the difference before you commit it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

SEPARATOR = "----"

# No deadline: the time of one example says more about the machine's other work than about ours.
settings.register_profile("exchange", deadline=None, max_examples=50)
settings.load_profile("exchange")

ReadGolden = Callable[[Path], tuple[list[str], list[str]]]
CheckGolden = Callable[[Path, Callable[[list[str]], list[str]]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="replace the expected half of golden scripts by what the program says",
    )


def golden_halves(path: Path) -> tuple[list[str], list[str]]:
    """Input and expected output lines of a golden script, without comments and blank lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines.count(SEPARATOR) <= 1, f"{path.name}: more than one line {SEPARATOR}"
    end = lines.index(SEPARATOR) if SEPARATOR in lines else len(lines)
    given = [line for line in lines[:end] if line.strip() and not line.startswith("#")]
    return given, lines[end + 1 :]


def rewrite_golden(path: Path, output: list[str]) -> None:
    """Keep story and input of a golden script as they are and replace what it expects."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = lines[: lines.index(SEPARATOR)] if SEPARATOR in lines else lines
    while head and not head[-1].strip():
        head.pop()
    text = "\n".join([*head, SEPARATOR, *output]) + "\n"
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def read_golden() -> ReadGolden:
    """`given, expected = read_golden(path)`: the two halves of a golden script."""
    return golden_halves


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> CheckGolden:
    """`check_golden(path, run)`: `run` maps the input lines to the output lines, which must be
    those of the script; with --rewrite they become those of the script."""
    rewrite = bool(request.config.getoption("--rewrite"))

    def check(path: Path, run: Callable[[list[str]], list[str]]) -> None:
        given, expected = golden_halves(path)
        output = run(given)
        if rewrite:
            if output != expected:
                rewrite_golden(path, output)
            return
        assert output == expected, f"{path.name} (pytest --rewrite shows the difference in git)"

    return check
