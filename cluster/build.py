"""Which build of the exchange runs: Python as it is, or the same source compiled (setup.py)."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec


@cache
def is_compiled() -> bool:
    """Whether the modules that every order passes run compiled. Looks for them without importing
    them."""
    found = find_spec("matching.order_book")
    return found is not None and not str(found.origin).endswith(".py")


def run_module(module: str) -> list[str]:
    """The command line that runs a module of this very build in a process of its own.

    A compiled build must not come upon the source in the folder that it happens to be started in.
    """
    return [sys.executable, *(["-P"] if is_compiled() else []), "-m", module]
