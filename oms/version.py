"""Which rules the state machine follows."""

from __future__ import annotations

from typing import Final

RULES_VERSION: Final = 2
"""Rises, once between two releases, when the same commands lead to other events or to another state
hash than before. Every log entry says under which rules it was proposed, and is applied under these
or not at all: nodes that apply one log by different rules would tell clients different things.
(1: logs that did not say it yet.)"""
