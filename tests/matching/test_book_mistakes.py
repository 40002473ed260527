"""The golden scripts notice the mistakes that order books are known for.

Each mistake is put into a copy of the engine's source, and the script that README.md names for it
must notice, with check_invariants() switched off: the story alone has to show the mistake. When
the engine is rewritten a mistake that cannot be put in any more fails by name; write it anew.
"""

from __future__ import annotations

from functools import cache
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from book_script import ScriptPlayer
from mistake import Mistake
from mistakes_of_trading import MISTAKES_OF_TRADING
from mistakes_of_upkeep import MISTAKES_OF_UPKEEP

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "matching" / "order_book.py").read_text(encoding="utf-8")
SCRIPTS = {path.stem: path for path in sorted((ROOT / "tests" / "books").glob("*.txt"))}

MISTAKES = (*MISTAKES_OF_TRADING, *MISTAKES_OF_UPKEEP)
NO_MISTAKE = Mistake("none", "", ())
BY_NAME = {entry.name: entry for entry in (NO_MISTAKE, *MISTAKES)}


class MistakenSource(InspectLoader):
    """Loads the engine's source with one mistake in it."""

    def __init__(self, entry: Mistake) -> None:
        self.entry = entry

    def get_source(self, fullname: str) -> str:
        source = SOURCE
        for right, wrong in self.entry.edits:
            found = source.count(right)
            assert found == 1, f"{self.entry.name}: in the engine {found} times:\n{right}"
            source = source.replace(right, wrong)
        return source


@cache
def engine_with(name: str) -> ModuleType:
    """The engine with one mistake in it and no invariants to give it away."""
    loader = MistakenSource(BY_NAME[name])
    spec = spec_from_loader("mistaken_order_book", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    module.OrderBook.check_invariants = lambda book: None
    return module


def notices(golden: tuple[list[str], list[str]], name: str) -> bool:
    """Whether a script does not get its golden output from the engine with that mistake."""
    given, expected = golden
    player = ScriptPlayer(engine_with(name))
    try:
        return player.play(given) != expected
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError):
        return True  # the engine fell over it


@pytest.mark.parametrize("entry", MISTAKES, ids=lambda entry: entry.name)
def test_named_script_notices_the_mistake(entry, read_golden):
    assert notices(read_golden(SCRIPTS[entry.script]), entry.name)


def test_every_script_is_named_by_some_mistake():
    assert {entry.script for entry in MISTAKES} == set(SCRIPTS)


def test_the_engine_without_a_mistake_passes_in_the_same_machinery(read_golden):
    goldens = {script: read_golden(path) for script, path in SCRIPTS.items()}
    assert [script for script in goldens if notices(goldens[script], NO_MISTAKE.name)] == []
