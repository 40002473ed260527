"""The declaration of [protection] in exchange.toml, and the command that it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchange.config_keys import ConfigError, integer, key
from exchange.config_members import InstrumentSection
from oms.commands import CommandKind, SetProtection
from oms.protection_rules import (
    NO_PROTECTION,
    SECOND_NS,
    InstrumentProtection,
    ProtectionRules,
    protection_problems,
)

_DAY_S = 86_400
_TIME = integer(0, _DAY_S, 900)
_LENGTH = integer(1, _DAY_S, 300)
_DECLINE = integer(0, 9_999, 700)


def _seconds(time_ns: int) -> int:
    return time_ns // SECOND_NS


@dataclass(frozen=True, slots=True)
class Protection:
    """What holds for all instruments when prices run away."""

    window_s: int = key(
        _seconds(NO_PROTECTION.window_ns),
        _LENGTH,
        "How far back trades count for reference prices and for a move.",
    )
    limit_state_s: int = key(
        _seconds(NO_PROTECTION.limit_state_ns),
        _TIME,
        "An instrument whose best price stands at its band for so long pauses.",
    )
    pause_s: int = key(
        _seconds(NO_PROTECTION.pause_ns),
        _LENGTH,
        "How long an instrument is halted that pauses or has moved too far.",
    )
    call_s: int = key(
        _seconds(NO_PROTECTION.call_ns),
        _LENGTH,
        "How long orders are collected then for the auction that opens it again.",
    )
    wide_until_s: int = key(
        0, _TIME, "Bands are twice as wide for so long from the start of market hours on."
    )
    wide_from_s: int = key(
        0, _TIME, "They are again from then on, counted from the start of market hours; 0: never."
    )
    breaker_level_1_bps: int = key(
        0,
        _DECLINE,
        "Decline of the index since the close of the day before that halts the market, in 1/100 "
        "percent; 0: there are no circuit breakers. Usual are 700, 1300 and 2000.",
    )
    breaker_level_2_bps: int = key(0, _DECLINE, "The same of level 2.")
    breaker_level_3_bps: int = key(
        0, _DECLINE, "The same of level 3, which ends the trading of the day."
    )
    breaker_halt_s: int = key(
        _seconds(NO_PROTECTION.breaker_halt_ns), _LENGTH, "How long levels 1 and 2 halt the market."
    )
    breaker_until_s: int = key(
        _seconds(NO_PROTECTION.breaker_until_ns),
        _TIME,
        "They do so only in the first part of market hours, which is so long: from 9:30 to 15:25.",
    )


def protection_command(
    section: Protection, instruments: Sequence[InstrumentSection]
) -> SetProtection:
    """The command that says it to a running cluster."""
    rules = ProtectionRules(
        window_ns=section.window_s * SECOND_NS,
        limit_state_ns=section.limit_state_s * SECOND_NS,
        pause_ns=section.pause_s * SECOND_NS,
        call_ns=section.call_s * SECOND_NS,
        wide_until_ns=section.wide_until_s * SECOND_NS,
        wide_from_ns=section.wide_from_s * SECOND_NS,
        breaker_level_1=section.breaker_level_1_bps,
        breaker_level_2=section.breaker_level_2_bps,
        breaker_level_3=section.breaker_level_3_bps,
        breaker_halt_ns=section.breaker_halt_s * SECOND_NS,
        breaker_until_ns=section.breaker_until_s * SECOND_NS,
    )
    rows = tuple(
        InstrumentProtection(item.symbol, item.luld_bps, item.volatility_bps, item.index_weight)
        for item in instruments
        if item.luld_bps or item.volatility_bps or item.index_weight
    )
    problems = protection_problems(rules, rows)
    assert not problems, f"a protection that was checked is wrong: {'; '.join(problems)}"
    return SetProtection(CommandKind.SET_PROTECTION, rules, rows)


def protection_values(
    section: Protection, instruments: Sequence[InstrumentSection]
) -> tuple[tuple[Any, ...], ...]:
    """(rules, instruments) for a new cluster; () when nothing is protected."""
    _, rules, rows = protection_command(section, instruments)
    return (rules, rows) if rows or rules != NO_PROTECTION else ()


def check_protection(section: Protection, instruments: Sequence[InstrumentSection]) -> None:
    """Refuse circuit breakers that are not levels, or have no index to watch."""
    levels = (
        section.breaker_level_1_bps,
        section.breaker_level_2_bps,
        section.breaker_level_3_bps,
    )
    name, example = "protection.breaker_level_1_bps", "700, then 1300 and 2000 of levels 2 and 3"
    if not any(levels):
        return
    if not 0 < levels[0] < levels[1] < levels[2]:
        words = ", ".join(map(str, levels))
        raise ConfigError(name, f"the levels {words} do not rise from above 0", example)
    if not any(item.index_weight for item in instruments):
        problem = "no instrument has an index_weight, so that there is no index to watch"
        raise ConfigError(name, problem, "index_weight = 1 in each of [[instruments]]")
