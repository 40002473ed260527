"""What a client of the cluster keeps of its commands until they have an answer."""

from __future__ import annotations

import random

import pytest

from cluster.client import ClusterClient, QueueFull
from cluster.client_queue import ClientQueue
from cluster.codec import FrameKind, unpack_commands
from oms.commands import CloseSession, CommandKind


def command(number):
    return CloseSession(int(CommandKind.CLOSE_SESSION), f"session {number}", "gateway")


def commands_in(frames):
    """The commands of frames by their numbers."""
    found = {}
    for frame in frames:
        commands = unpack_commands(frame.commands)
        assert frame.last_number == frame.first_number + len(commands) - 1
        for number, unpacked in enumerate(commands, frame.first_number):
            assert number not in found
            found[number] = unpacked
    return found


def test_what_was_added_is_packed_once_under_rising_numbers():
    queue = ClientQueue()
    assert queue.pack() == []
    assert queue.add([command(1), command(2)]) == 2
    assert queue.add([command(3)]) == 3
    assert commands_in(queue.pack()) == {number: command(number) for number in (1, 2, 3)}
    assert queue.pack() == []
    assert queue.add([command(4)]) == 4
    assert commands_in(queue.pack()) == {4: command(4)}


def test_many_commands_share_frames_of_a_thousand():
    queue = ClientQueue()
    queue.add([command(number) for number in range(1, 2_502)])
    frames = queue.pack()
    assert [frame.first_number for frame in frames] == [1, 1_001, 2_001]
    assert len(commands_in(frames)) == 2_501


def test_a_frame_is_kept_until_its_last_command_has_an_answer():
    queue = ClientQueue()
    queue.add([command(1), command(2)])
    first = queue.pack()
    queue.add([command(3)])
    second = queue.pack()
    assert queue.answer(1) == []
    assert (queue.pending, queue.answered) == (2, 1)
    assert queue.frames_after(1) == first + second, "the log drops the copy of the first command"
    assert queue.frames_after(2) == second
    assert queue.answer(3) == first + second
    assert queue.frames_after(0) == []
    assert queue.answer(2) == []
    assert (queue.pending, queue.answered) == (0, 3), "an answer is never taken back"


def test_an_answer_to_what_was_never_sent_is_a_bug():
    queue = ClientQueue()
    queue.add([command(1)])
    with pytest.raises(AssertionError, match="command 2 has an answer and was never sent"):
        queue.answer(2)


@pytest.mark.parametrize("seed", range(5))
def test_what_has_no_answer_can_always_be_sent_again(seed):
    chance = random.Random(seed)
    queue, submitted, answered = ClientQueue(), 0, 0
    for _ in range(200):
        count = chance.randint(1, 5)
        submitted += count
        assert queue.add([command(submitted - n) for n in range(count)][::-1]) == submitted
        if chance.random() < 0.5:
            queue.pack()
        if chance.random() < 0.3:
            queue.pack()
            answered = chance.randint(answered, submitted)
            queue.answer(answered)
        assert queue.pending == submitted - answered
    queue.pack()
    again = commands_in(queue.frames_after(answered))
    assert again.items() >= {n: command(n) for n in range(answered + 1, submitted + 1)}.items()


class Link:
    """A connection of a client to node 1."""

    node_id = 1

    def __init__(self):
        self.submitted = []

    def write(self, value):
        if value[0] == FrameKind.SUBMIT:
            self.submitted.append((value[1], unpack_commands(value[2])))


def new_client(**options):
    turns = []
    client = ClusterClient("gateway", {}, on_batch=lambda batch: None, incarnation=1, **options)
    client.attach(turns.append)
    return client, turns


def test_commands_of_one_turn_travel_in_one_frame_in_their_order():
    client, turns = new_client()
    link = Link()
    client.received(link, (FrameKind.WELCOME, 1, 1, 0, 0))
    assert client.submit(command(1)) == 1
    assert client.submit_all([command(2), command(3)]) == 3
    assert not link.submitted
    for turn in turns:
        turn()
    assert link.submitted == [(1, (command(1), command(2), command(3)))]


def test_what_gathers_while_nobody_leads_shares_frames():
    client, turns = new_client()
    for number in (1, 2, 3):
        client.submit(command(number))
        turns.pop()()
    link = Link()
    client.received(link, (FrameKind.WELCOME, 1, 1, 0, 0))
    assert link.submitted == [(1, (command(1), command(2), command(3)))]


def test_a_new_leader_gets_what_its_log_has_not_and_then_what_is_new():
    client, turns = new_client()
    old, new = Link(), Link()
    client.received(old, (FrameKind.WELCOME, 1, 1, 0, 0))
    for number in (1, 2):
        client.submit(command(number))
        turns.pop()()
    client.submit(command(3))  # in the turn of the loop in which the new leader welcomes us
    client.received(new, (FrameKind.WELCOME, 1, 2, 1, 0))
    turns.pop()()
    assert old.submitted == [(1, (command(1),)), (2, (command(2),))]
    assert new.submitted == [(2, (command(2),)), (3, (command(3),))]
    assert client.pending == 3, "what is in the log has no answer yet"


def test_a_full_queue_takes_all_of_some_commands_or_none():
    client, _ = new_client(max_pending=3)
    client.submit_all([command(1), command(2)])
    with pytest.raises(QueueFull, match="2 commands wait"):
        client.submit_all([command(3), command(4)])
    assert client.submit(command(3)) == 3
    with pytest.raises(QueueFull):
        client.submit(command(4))
    assert client.pending == 3
