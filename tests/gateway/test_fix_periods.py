"""A daily reset is owed to the cluster until it is paid, and paid before an order can come."""

from __future__ import annotations

import shutil

import pytest
from fake_cluster import FakeClusterClient
from fix_script import ScriptPlayer

from gateway.fix.store import SessionStore
from oms.commands import CommandKind

SCHEDULE = ("09:30:01", "09:30:01", "reset")
LOGON = "-> 35=A|34=1|98=0|108=30"
ORDER = "55=AAPL|54=1|38=100|40=2|44=100.00|60=20240102-09:30:00"


def stored_numbering(tmp_path):
    """What a gateway would find that is started now."""
    copy = shutil.copy(tmp_path / "data" / "CLIENT1.store", tmp_path / "copy.store")
    store = SessionStore(tmp_path / copy)
    store.close()
    return store.numbering


@pytest.fixture
def player(tmp_path):
    made = ScriptPlayer(tmp_path / "data")
    made._set_schedule(*SCHEDULE)
    return made


def test_the_debt_is_paid_in_the_store_before_an_order_is_submitted(player, tmp_path, monkeypatch):
    player.play([LOGON, f"-> 35=D|34=2|11=a|{ORDER}", "advance 1"])
    assert stored_numbering(tmp_path).is_reset_owed
    submitted = []
    submit = FakeClusterClient.submit

    def watch(self, command):
        submitted.append((command[0], stored_numbering(tmp_path).is_reset_owed))
        return submit(self, command)

    monkeypatch.setattr(FakeClusterClient, "submit", watch)
    logon = player.message("1", "35=A|34=1|98=0|108=30")
    player.send("1", logon + player.message("1", f"35=D|34=2|11=b|{ORDER}"))
    player._settle()
    assert submitted == [(CommandKind.OPEN_SESSION, True), (CommandKind.ENTER_ORDER, False)]


def test_a_clock_that_is_set_back_begins_no_period_again(player, tmp_path):
    player.play([LOGON, "advance 1", LOGON, f"-> 35=D|34=2|11=b|{ORDER}"])
    period_s = stored_numbering(tmp_path).period_s
    player.play(["sleep -1", "advance 0.5", "advance 1"])
    assert stored_numbering(tmp_path).period_s == period_s
    assert player.output.count("disconnected") == 1
    player.play(["-> 35=1|34=3|112=still here"])
    assert player.output[-1] == "<- 35=0|34=3|112=still here"


def test_a_schedule_that_is_switched_on_lets_the_running_numbers_be_those_of_the_period(
    tmp_path,
):
    player = ScriptPlayer(tmp_path / "data")
    player.play([LOGON, "stop"])
    assert stored_numbering(tmp_path).period_s == 0
    player._set_schedule(*SCHEDULE)
    player.play(["-> 35=A|34=2|98=0|108=30"])
    assert player.output[-1] == "<- 35=A|34=4|98=0|108=30"
    assert stored_numbering(tmp_path).period_s > 0
