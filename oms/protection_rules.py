"""How the exchange protects itself against prices that run away: the rules, as they are loaded.

What they do is told in oms/README.md, "Protection". Times are in ns, distances in 1/100 of a
percent (bps). Sources: the United States' Plan to Address Extraordinary Market Volatility
(limit-up-limit-down) and its market-wide circuit breakers, whose numbers are the defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * SECOND_NS
_HIGHEST_WEIGHT: Final = 1_000_000_000
_WHOLE_BPS: Final = 10_000


class ProtectionRules(NamedTuple):
    """What holds for all instruments.

    `window_ns` is how far back trades count for reference prices and for a move. An instrument in
    a limit state for `limit_state_ns` pauses for `pause_ns`, and so does one that moves too far;
    then orders are collected for `call_ns`, and an auction opens it again. Limit-up-limit-down
    bands are twice as wide in the first `wide_until_ns` of market hours, and from `wide_from_ns`
    after their start on (0: never). The breaker levels are declines of the index (0: there are no
    breakers); levels 1 and 2 halt everything for `breaker_halt_ns`, but only in the first
    `breaker_until_ns` of market hours; level 3 ends the trading of the day.
    """

    window_ns: int = 300 * SECOND_NS
    limit_state_ns: int = 15 * SECOND_NS
    pause_ns: int = 300 * SECOND_NS
    call_ns: int = 60 * SECOND_NS
    wide_until_ns: int = 0
    wide_from_ns: int = 0
    breaker_level_1: int = 0
    breaker_level_2: int = 0
    breaker_level_3: int = 0
    breaker_halt_ns: int = 900 * SECOND_NS
    breaker_until_ns: int = 21_300 * SECOND_NS


NO_PROTECTION: Final = ProtectionRules()


class InstrumentProtection(NamedTuple):
    """What holds for one instrument: the distance of its limit-up-limit-down bands from the
    reference price (0: it has none), the move within the window that halts it (0: none does), and
    its weight in the index of the circuit breakers (0: it does not count)."""

    symbol: str
    luld_bps: int
    volatility_bps: int
    index_weight: int


def protection_problems(rules: Sequence[Any], instruments: Sequence[Sequence[Any]]) -> list[str]:
    """Return what is wrong with rules and with the rows of instruments, one sentence each.

    Whoever reads a configuration refuses it unless the list is empty; the state machine ignores
    a command with wrong ones. Symbols are not looked up.
    """
    wanted = len(ProtectionRules._fields)
    if not isinstance(rules, tuple) or not isinstance(instruments, tuple) or len(rules) != wanted:
        return [f"protection is not {wanted} numbers and the rows of instruments"]
    problems: list[str] = []
    for name, value in zip(ProtectionRules._fields, rules, strict=True):
        is_time = name.endswith("_ns")
        lowest = 1 if name in ("window_ns", "pause_ns", "call_ns", "breaker_halt_ns") else 0
        highest = _DAY_NS if is_time else _WHOLE_BPS - 1
        if type(value) is not int or not lowest <= value <= highest:
            problems.append(f"protection: {name} {_told(value)} is not in {lowest}..{highest}")
    if not problems:
        values = ProtectionRules(*rules)
        levels = values.breaker_level_1, values.breaker_level_2, values.breaker_level_3
        if any(levels) and not 0 < levels[0] < levels[1] < levels[2]:
            problems.append(f"protection: the breaker levels {levels} do not rise from above 0")
    for row in instruments:
        problems += _row_problems(row)
    if not problems and len({row[0] for row in instruments}) < len(instruments):
        problems.append("protection: an instrument is named more than once")
    return problems


def _row_problems(row: Sequence[Any]) -> list[str]:
    is_row = isinstance(row, tuple) and len(row) == len(InstrumentProtection._fields)
    if not is_row or type(row[0]) is not str:
        return [f"protection of an instrument: {_told(row)} is not (symbol, three numbers)"]
    ranges = (
        ("luld_bps", row[1], _WHOLE_BPS - 1),
        ("volatility_bps", row[2], _WHOLE_BPS - 1),
        ("index_weight", row[3], _HIGHEST_WEIGHT),
    )
    return [
        f"instrument {row[0]}: {name} {_told(value)} is not in 0..{highest}"
        for name, value, highest in ranges
        if type(value) is not int or not 0 <= value <= highest
    ]


def _told(value: Any) -> str:
    """A value in a sentence. A command may hold tuples in tuples, a thousand deep: repr raises."""
    return str(value) if isinstance(value, int | str) else f"a {type(value).__name__}"
