"""A mistake that order books are known for, as edits of the engine's source."""

from __future__ import annotations

from typing import NamedTuple

# Pieces of the engine that mistakes of both kinds change.
BEST_OF_SIDE = "            if self.best is None or level.key < self.best.key:\n"


class Mistake(NamedTuple):
    """What is wrong, the script that must show it, and the (right, wrong) pieces of source."""

    name: str
    script: str
    edits: tuple[tuple[str, str], ...]


def mistake(name: str, script: str, *edits: str) -> Mistake:
    return Mistake(name, script, tuple(zip(edits[::2], edits[1::2], strict=True)))
