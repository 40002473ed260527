"""Ends and take-overs that a script cannot bring about: the queue refuses, the gateway gives up."""

from __future__ import annotations

import pytest
from ouch_script import OuchScriptPlayer

from cluster.client import ClientRefused, QueueFull
from gateway.ouch.connection import ConnectionState
from oms.commands import CommandKind
from protocols.soupbintcp import encode_login_request

OPEN, CLOSE = int(CommandKind.OPEN_SESSION), int(CommandKind.CLOSE_SESSION)


@pytest.fixture
def player(tmp_path):
    return OuchScriptPlayer(tmp_path)


def refusing(client, kinds, error):
    """Let the queue of a gateway refuse commands of these kinds; returns how to end that."""
    submit = client.submit

    def submit_or_refuse(command):
        if command[0] in kinds:
            raise error
        return submit(command)

    client.submit = submit_or_refuse
    return lambda: setattr(client, "submit", submit)


def session_commands(player):
    """Openings and closings, without those of the gateway that a script ends with."""
    ours = [command for command in player.cluster.commands if command[0] in (OPEN, CLOSE)]
    return [command[0] for command in ours if command[2] != "ouch-9"]


def test_a_session_that_ended_while_the_queue_was_full_is_closed_later(player):
    player.play(["-> login"])
    entry, client = player.gateway()
    player.cluster.commands.clear()
    take_again = refusing(client, (CLOSE,), QueueFull())
    player.play(["drop", "advance 1"])
    assert session_commands(player) == []
    assert entry.sessions["OUCH1"].close_is_owed
    take_again()
    player.play(["advance 0.1", "advance 5"])
    assert session_commands(player) == [CLOSE], "once"
    assert not player.cluster.machine.state.sessions["OUCH1"].is_open


def test_a_close_that_is_owed_is_not_paid_after_the_next_login(player):
    player.play(["-> login"])
    _, client = player.gateway()
    player.cluster.commands.clear()
    take_again = refusing(client, (CLOSE,), QueueFull())
    player.play(["drop", "-> login"])
    take_again()
    player.play(["advance 1"])
    assert session_commands(player) == [OPEN]
    assert player.cluster.machine.state.sessions["OUCH1"].is_open


def test_a_session_is_closed_that_was_lost_while_it_was_opened_with_a_full_queue(player):
    player.play(["hold"])
    entry, client = player.gateway()
    player.cluster.run()
    player.play(["-> login"])
    take_again = refusing(client, (CLOSE,), QueueFull())
    player.play(["drop", "auto", "advance 1"])
    assert player.cluster.machine.state.sessions["OUCH1"].is_open
    assert entry.sessions["OUCH1"].connection is None
    take_again()
    player.play(["advance 0.1"])
    assert not player.cluster.machine.state.sessions["OUCH1"].is_open


def test_a_take_over_tells_the_cluster_of_the_login_and_of_no_logout(player):
    player.play(["-> login", "1b-> login"])
    assert session_commands(player)[-2:] == [OPEN, OPEN]
    player.play(["1@2-> login"])
    player.play(["advance 1"])
    assert session_commands(player)[-1] == OPEN, "who was taken over does not close"


def test_a_refused_login_leaves_whoever_is_logged_in_alone(player):
    player.play(["-> login", "1b-> login password=wrong", "1c-> login session=OTHER"])
    session = player.gateway()[0].sessions["OUCH1"]
    assert session.connection is player.clients[""].transport.protocol
    assert session.connection.state is ConnectionState.ACTIVE


def test_a_connection_ends_once_however_often_it_is_ended(player):
    player.play(["-> login"])
    entry, _ = player.gateway()
    connection = player.clients[""].transport.protocol
    connection.finish("one")
    connection.finish("two")
    connection.abort()
    player._settle()
    assert entry.counters.disconnects == 1
    assert session_commands(player).count(CLOSE) == 2 + 1, "two when the gateway began, and this"
    assert [line for line in player.output if "debug" in line] == ["<- debug one"]


def test_an_abandoned_gateway_says_and_asks_nothing_any_more(player):
    player.play(["-> login", "2-> login"])
    entry, client = player.gateway()
    player.output.clear()
    refusing(client, (OPEN, CLOSE), ClientRefused("another process has this name"))
    entry.abandon()
    assert all(kept.transport.is_closing() for kept in player.clients.values())
    entry.log_out_all("The gateway is shutting down")
    player._settle()
    entry.on_time()
    player.connect("1b")
    player._settle()
    entry.close()
    assert sorted(player.output) == ["1bdisconnected", "2disconnected", "disconnected"]


def test_to_ask_for_a_whole_day_is_not_to_be_slow(player):
    player._set("max_backlog_messages 3")
    enter = "EnterOrder user_ref_num={} side=B quantity=1 symbol=AAPL price=100.00"
    day = " ; ".join(enter.format(number) for number in range(1, 10))
    player.play(["-> login", f"-> {day}", "-> logout"])
    connection = player.connect("").transport.protocol
    connection.pause_writing()  # its socket is full before the first message
    player.play(["-> login from=1", "advance 1"])
    assert (connection.backlog, connection.missed) == (10, 0)
    for number in (10, 11, 12):
        player.play([f"-> {enter.format(number)}", "advance 1"])
    assert connection.state is ConnectionState.ACTIVE
    player.play([f"-> {enter.format(13)}", "advance 1"])
    assert player.output[-2:] == [
        "<- debug the client reads too slowly: 4 messages wait for it",
        "disconnected",
    ]


def test_a_reason_is_ascii_whatever_it_names(player):
    player.play(["-> login"])
    player.clients[""].transport.protocol.finish("the session was opened at caf\u00e9")
    player._settle()
    assert "<- debug the session was opened at caf?" in player.output


def test_what_waits_of_a_connection_that_was_taken_over_never_becomes_a_command(player):
    player._set("max_pending 1")
    enter = "EnterOrder user_ref_num={} side=B quantity=1 symbol=AAPL price=100.00"
    orders = " ; ".join(enter.format(number) for number in (1, 2, 3))
    player.play(["-> login", "hold", f"-> {orders}", "1b-> login from=1", "run"])
    # There is room for one at a time, in the order of arrival: the second, and so on; then the
    # login of the other connection, which takes the session over.
    player.play(["auto", "1b-> AccountQuery"])
    assert player.output[-1] == "1b<- 5 AccountQueryResponse next_user_ref_num=4"
    player.play(["hold", f"1b-> {orders.replace('num=', 'num=1')}"])
    waiting = player.clients["1b"].transport.protocol
    assert len(waiting._inbox) == 2
    waiting.finish("it ends")
    player.play(["auto", "-> login from=0", "-> AccountQuery"])
    assert player.output[-1].endswith("next_user_ref_num=12"), "the first of three was a command"


def test_an_empty_user_name_with_an_empty_password_is_refused(player):
    client = player.connect("")
    client.transport.protocol.data_received(encode_login_request("", "", "", 0))
    player._settle()
    assert player.output == ["<- login rejected A", "disconnected"]
