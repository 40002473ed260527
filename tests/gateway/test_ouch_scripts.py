"""Golden OUCH sessions: tests/ouch/session_*.txt, in the language of ouch_script.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ouch_script import OuchScriptPlayer
from ouch_text import INBOUND

SCRIPTS = sorted((Path(__file__).parents[1] / "ouch").glob("session_*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_gives_its_golden_output(path, check_golden, tmp_path):
    check_golden(path, lambda lines: OuchScriptPlayer(tmp_path).play(lines))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_begins_with_its_story(path):
    story = re.match(r"(# .*\n)+", path.read_text(encoding="utf-8"))
    assert story is not None
    assert story[0].endswith(".\n")


def test_every_inbound_message_and_every_answer_that_we_give_has_its_script():
    everything = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    assert not [name for name in INBOUND if f"-> {name}" not in everything]
    answers = (
        "SystemEvent", "OrderAccepted", "OrderReplaced", "OrderCanceled", "OrderExecuted",
        "Rejected", "OrderModified", "MassCancelResponse", "DisableOrderEntryResponse",
        "EnableOrderEntryResponse", "AccountQueryResponse", "OrderRestated", "AiqCanceled",
    )  # fmt: skip
    assert not [name for name in answers if not re.search(rf"<- \d+ {name}\b", everything)]
