"""What is wrong in a FIX session is seen: else the tests with engines would prove nothing."""

from __future__ import annotations

import pytest
from fix_blotter import Blotter
from fix_wire import WireMessage, messages_of, resend_problems, with_field

REPORT = "37=1|11=one|17=7|150=0|39=0|55=AAPL|54=1|38=100|151=100|14=0|6=0"
FILL = "37=1|11=one|17=8|150=F|39=1|55=AAPL|54=1|38=100|32=40|31=10.00|151=60|14=40|6=10.00"


def message(text: str) -> WireMessage:
    pairs = (part.partition("=") for part in text.split("|"))
    return WireMessage(tuple((int(tag), value) for tag, _, value in pairs))


def report(text: str) -> WireMessage:
    return message(f"35=8|{text}")


def test_a_session_that_sends_again_what_was_missed_is_in_order() -> None:
    assert (
        resend_problems(
            [
                message("35=A|34=1"),
                message(f"35=8|34=2|52=1|{REPORT}"),
                message("35=A|34=4"),
                message(f"35=8|34=2|43=Y|122=1|52=2|{REPORT}"),
                message("35=4|34=3|43=Y|123=Y|36=5"),
                message(f"35=8|34=5|{FILL}"),
                message("35=A|34=1|141=Y"),
                message(f"35=8|34=2|{FILL}"),
            ]
        )
        == []
    )


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ("35=8|34=2|37=2", "was used before"),
        ("35=8|34=2|43=Y|37=2", "is not"),
        ("35=4|34=2|43=Y|123=Y|36=3", "hides"),
    ],
)
def test_what_is_not_the_same_when_it_comes_again_is_seen(second: str, problem: str) -> None:
    problems = resend_problems([message(f"35=8|34=2|{REPORT}"), message(second)])
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (FILL, None),
        (REPORT, "told twice"),
        (FILL.replace("151=60", "151=50"), "LeavesQty"),
        (FILL.replace("14=40", "14=30"), "CumQty"),
        (FILL.replace("6=10.00", "6=10.01"), "AvgPx"),
        (FILL.replace("39=1", "39=2"), "left of what is done"),
    ],
)
def test_a_report_that_contradicts_the_one_before_is_seen(second: str, problem: str | None) -> None:
    blotter = Blotter()
    blotter.take(report(REPORT))
    assert blotter.problems == []
    blotter.take(report(second))
    assert bool(blotter.problems) == (problem is not None)
    assert problem is None or any(problem in found for found in blotter.problems)


def test_a_forged_message_is_whole() -> None:
    whole = b"8=FIX.4.4\x019=10\x0135=8\x0134=2\x0110=174\x01"
    assert with_field("9", b"269=0")(whole) == whole
    [forged] = messages_of(with_field("8", b"269=0")(whole))
    assert forged.fields[1:] == ((9, "16"), (35, "8"), (34, "2"), (269, "0"), (10, "195"))
