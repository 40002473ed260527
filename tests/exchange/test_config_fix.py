"""exchange.toml: what concerns the FIX sessions, their hours and their limits."""

from __future__ import annotations

import tomllib
from datetime import UTC, time
from zoneinfo import ZoneInfo

import pytest

from exchange.config import Config, parse
from exchange.config_keys import ConfigError
from exchange.settings import fix_gateway_settings
from gateway.fix.schedule import SessionSchedule

SESSION = "[[fix_sessions]]\ncomp_id = 'CLIENT1'\naccount = 'ACC1'\n"

MISTAKES = [
    # (the file, what the message must say)
    ("[fix]\nsession_start = '9:30'", ["fix.session_start", "'9:30'", "HH:MM:SS", "09:30:00"]),
    ("[fix]\nsession_start = '24:00:00'", ["fix.session_start", "'24:00:00'", "HH:MM:SS"]),
    ("[fix]\nsession_end = 930", ["fix.session_end", "930", "time of day"]),
    ("[fix]\ntime_zone = 'Mars/Olympus'", ["fix.time_zone", "Mars", "IANA", "America/New_York"]),
    ("[fix]\ntime_zone = '../passwd'", ["fix.time_zone", "IANA"]),
    ("[fix]\ntime_zone = ''", ["fix.time_zone", "IANA"]),
    ("[fix]\ntime_zone = 1", ["fix.time_zone", "1", "IANA"]),
    ("[fix]\nreset_daily = 'no'", ["fix.reset_daily", "'no'", "true or false"]),
    (f"{SESSION}version = 'FIX.4.3'", ["version", "'FIX.4.3'", '"FIX.4.2", "FIX.4.4"']),
    (f"{SESSION}max_messages_per_s = -1", ["max_messages_per_s", "-1", "0..1000000"]),
]


def parse_text(text: str) -> Config:
    return parse(tomllib.loads(text))


@pytest.mark.parametrize(("text", "parts"), MISTAKES)
def test_a_mistake_is_answered_with_key_value_and_example(text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_text(text)
    for part in parts:
        assert part in str(raised.value)


def test_usually_sessions_are_open_around_the_clock_and_numbers_go_on() -> None:
    schedule = fix_gateway_settings(parse_text("")).schedule
    assert schedule == SessionSchedule(time(0), time(0), UTC, reset_daily=False)


def test_the_gateway_gets_the_hours_of_the_file() -> None:
    schedule = fix_gateway_settings(
        parse_text(
            "[fix]\nsession_start = '18:00:00'\nsession_end = '17:00:00'\n"
            "time_zone = 'America/New_York'\nreset_daily = true"
        )
    ).schedule
    assert schedule == SessionSchedule(
        time(18), time(17), ZoneInfo("America/New_York"), reset_daily=True
    )


def test_a_session_gets_its_version_and_its_limit() -> None:
    text = f"{SESSION}version = 'FIX.5.0SP2'\nmax_messages_per_s = 100"
    session = fix_gateway_settings(parse_text(text)).sessions["CLIENT1"]
    assert (session.version, session.max_messages_per_s) == ("FIX.5.0SP2", 100)
