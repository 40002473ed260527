from cluster.client import ClusterClient
from cluster.codec import FrameKind
from cluster.timings import Pauses
from oms.commands import CloseSession, CommandKind


def test_pauses_are_counted_by_how_long_they_were():
    pauses = Pauses()
    for late_s in (0.0, 0.005, 0.006, 0.011, 0.3, 0.7):
        pauses.add(late_s)
    assert pauses.longer_than() == {
        "5": 4, "10": 3, "20": 2, "50": 2, "100": 2, "200": 2, "500": 1,
    }  # fmt: skip
    assert pauses.longest_s == 0.7


class Link:
    """A connection of a client to node 1 that keeps nothing."""

    node_id = 1

    def write(self, value):
        pass


def test_a_round_trip_ends_with_the_batch_that_answers_the_last_command_of_its_frame():
    turns = []
    client = ClusterClient("gateway", {}, on_batch=lambda batch: None, incarnation=1)
    client.attach(turns.append)
    link = Link()
    client.received(link, (FrameKind.WELCOME, 1, 1, 0, 0))
    command = CloseSession(int(CommandKind.CLOSE_SESSION), "CLIENT1", "gateway")
    for _ in range(2):
        client.submit(command)
    turns.pop()()
    client.received(link, (FrameKind.EVENTS, 0, 0, 1, ()))
    assert client.round_trips.count == 0
    client.received(link, (FrameKind.EVENTS, 0, 0, 2, ()))
    assert client.round_trips.count == 1
    assert client.round_trips.total_s > 0


def test_a_frame_that_is_sent_again_to_another_leader_is_timed_from_there():
    turns = []
    client = ClusterClient("gateway", {}, on_batch=lambda batch: None, incarnation=1)
    client.attach(turns.append)
    link = Link()
    client.received(link, (FrameKind.WELCOME, 1, 1, 0, 0))
    client.submit(CloseSession(int(CommandKind.CLOSE_SESSION), "CLIENT1", "gateway"))
    turns.pop()()
    client.received(link, (FrameKind.WELCOME, 1, 2, 0, 0))
    client.received(link, (FrameKind.EVENTS, 0, 0, 1, ()))
    assert client.round_trips.count == 1
