"""Session hours in time zones whose clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fix.schedule import SessionSchedule
from protocols.fix import NS_PER_SECOND, format_utc_timestamp

HOUR_NS = 3_600 * NS_PER_SECOND
NEW_YORK = ZoneInfo("America/New_York")
REGULAR = SessionSchedule(time(9, 30), time(16), NEW_YORK)
OVERNIGHT = SessionSchedule(time(18), time(17), NEW_YORK)
ALL_DAY = SessionSchedule(time(17), time(17), NEW_YORK)


def at(text):
    """ns since the epoch of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_SECOND


def period(schedule, now):
    return [format_utc_timestamp(time_ns)[:-4] for time_ns in schedule.period_at(at(now))]


def test_the_hours_follow_the_clocks_of_their_zone():
    assert period(REGULAR, "2024-03-08T15:00") == [
        "20240308-14:30:00",
        "20240308-21:00:00",
        "20240309-14:30:00",
    ]
    assert period(REGULAR, "2024-03-11T15:00") == [  # summer time began on the 10th
        "20240311-13:30:00",
        "20240311-20:00:00",
        "20240312-13:30:00",
    ]


def test_the_period_of_before_lasts_until_the_next_one_begins():
    assert period(REGULAR, "2024-03-09T14:29:59")[0] == "20240308-14:30:00"
    assert period(REGULAR, "2024-03-09T14:30:00")[0] == "20240309-14:30:00"


def test_hours_over_midnight_belong_to_the_day_they_begin_on():
    assert period(OVERNIGHT, "2024-01-03T04:00") == [
        "20240102-23:00:00",
        "20240103-22:00:00",
        "20240103-23:00:00",
    ]


def test_a_day_that_is_an_hour_longer_is_one_period():
    start_ns, end_ns, next_start_ns = ALL_DAY.period_at(at("2024-11-03T12:00"))
    assert end_ns == next_start_ns == start_ns + 25 * HOUR_NS


def test_a_time_that_the_clocks_skip_or_repeat_comes_once():
    skipped = SessionSchedule(time(2, 30), time(1), NEW_YORK)
    assert period(skipped, "2024-03-10T08:00")[0] == "20240310-07:30:00"
    repeated = SessionSchedule(time(1, 30), time(1), NEW_YORK)
    assert period(repeated, "2024-11-03T12:00")[0] == "20241103-05:30:00"


def test_the_usual_schedule_is_never_closed():
    assert SessionSchedule().why_closed(at("2024-01-02T00:00")) is None


def test_closed_hours_say_when_the_next_opening_is():
    assert REGULAR.why_closed(at("2024-01-05T20:59:59")) is None
    assert REGULAR.why_closed(at("2024-01-05T21:00")) == (
        "Sessions are open from 09:30:00 to 16:00:00 (America/New_York);"
        " the next opening is at 20240106-14:30:00.000"
    )


TIMES = st.builds(time, st.integers(0, 23), st.sampled_from((0, 29, 30, 59)))
ZONES = st.sampled_from(("UTC", "America/New_York", "Europe/Zurich", "Australia/Lord_Howe"))


@given(TIMES, TIMES, ZONES, st.integers(at("2023-01-01T00:00"), at("2026-01-01T00:00")))
def test_each_moment_belongs_to_one_period(start, end, zone, now_ns):
    schedule = SessionSchedule(start, end, ZoneInfo(zone))
    found = schedule.period_at(now_ns)
    assert found.start_ns <= now_ns < found.next_start_ns
    assert found.end_ns <= found.next_start_ns
    assert 22 * HOUR_NS < found.next_start_ns - found.start_ns < 26 * HOUR_NS
    assert schedule.period_at(found.next_start_ns).start_ns == found.next_start_ns
    assert schedule.period_at(found.next_start_ns - 1) == found


@pytest.mark.parametrize("moment", ["2024-03-10T06:59", "2024-11-03T05:59"])
def test_a_change_of_the_clocks_begins_no_period(moment):
    before, behind = at(moment), at(moment) + HOUR_NS
    assert ALL_DAY.period_at(before) == ALL_DAY.period_at(behind)
