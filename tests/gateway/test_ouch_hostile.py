"""Whatever a client sends, only its connection ends: the gateway goes on, and so do all others."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ouch_random import RandomMessages
from ouch_script import OuchScriptPlayer
from ouch_socket import RawClient, logged_in, new_cluster, order, packed, running_gateway, until
from ouch_text import packet_of

from cluster.client import EventBatch
from gateway.ouch.connection import Connection, ConnectionState
from gateway.ouch.outbound import Outbound
from oms.events import EventKind
from protocols import ouch50
from protocols.ouch50_messages import AccountQuery
from protocols.soupbintcp import encode_login_request, encode_unsequenced_data

PACKETS = [
    "login from=1", "login from=0", "login from=99", "login password=wrong", "login user=OUCH9",
    "logout", "heartbeat", "debug hello", "raw 0000", "raw 0001", "raw 0003 'UZ'", "raw FFFF",
    "unsequenced 'Q'", "unsequenced 'O'", "unsequenced 'X' 00000001 00000000",
    "EnterOrder user_ref_num=1 side=B quantity=1 symbol=AAPL price=100.00",
]  # fmt: skip
STEPS = ["drop", "hold", "auto", "run 1", "advance 3", "advance 16", "kill", "stop", "lost"]
LABELS = ["", "", "1b", "2", "1@2"]


async def trades_on(client, number, with_client, with_number):
    """Two clients that have been there all the time trade with each other."""
    before = with_client.next_number
    await client.send(packed(order(number, "S")))
    await with_client.send(packed(order(with_number, "B")))
    await until(lambda: with_client.next_number >= before + 2, "they trade on")
    assert not client.has_ended
    assert not with_client.has_ended


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("logs_in", [True, False])
async def test_noise_ends_the_connection_that_sends_it_and_no_other(tmp_path, seed, logs_in):
    cluster = new_cluster()
    noise = random.Random(seed).randbytes(64 << 10)
    if seed == 0:
        noise = bytes(64 << 10)
    elif seed == 1:
        noise = b"\xff" * (64 << 10)
    elif seed == 2:  # packets that are well formed, and messages that are none
        noise = encode_unsequenced_data(b"Z" * 100) * 600
    async with running_gateway(tmp_path, cluster) as gateway:
        one, two = [await logged_in(gateway.address, user) for user in ("OUCH1", "OUCH2")]
        hostile = await RawClient(gateway.address).connect()
        if logs_in:
            await hostile.log_in("OUCH3")
        await hostile.send(noise)
        await hostile.ended()
        await trades_on(one, 1, two, 1)
        assert gateway._ouch.counters.malformed == 1
        again = await logged_in(gateway.address, "OUCH3")
        for client in (one, two, again):
            client.close()


async def test_idle_connections_keep_nobody_out_and_are_closed(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster, silence_ms=600_000) as gateway:
        idle = [await RawClient(gateway.address).connect() for _ in range(500)]
        for half in idle[::2]:
            await half.send(encode_login_request("OUCH1", "password")[:20])
        await until(lambda: gateway._ouch.counters.connections >= 500, "all are connected")
        one, two = [await logged_in(gateway.address, user) for user in ("OUCH1", "OUCH2")]
        await trades_on(one, 1, two, 1)
        assert not any(client.has_ended for client in idle)
        gateway._ouch.clock_ns = lambda: time.monotonic_ns() + 31 * 10**9
        for client in idle:
            await client.ended()
            assert client.debugs == ["no Login Request came in time"]
        await trades_on(one, 2, two, 2)
        await until(lambda: len(gateway._ouch._connections) == 2, "nothing is kept of them")
        one.close()
        two.close()


async def test_beyond_the_limit_the_oldest_without_a_login_gives_way(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster, max_connections=3) as gateway:
        one, two = [await logged_in(gateway.address, user) for user in ("OUCH1", "OUCH2")]
        silent = await RawClient(gateway.address).connect()
        await until(lambda: gateway._ouch.counters.connections == 3, "it is connected")
        three = await logged_in(gateway.address, "OUCH3")
        await silent.ended()
        refused = await RawClient(gateway.address).connect()
        await refused.ended()
        assert refused.debugs == ["too many connections"], "users do not give way"
        await trades_on(one, 1, two, 1)
        three.close()
        await until(lambda: len(gateway._ouch._connections) == 2, "there is room again")
        await third_user(gateway.address)
        one.close()
        two.close()


async def third_user(address):
    client = await logged_in(address, "OUCH3")
    client.close()


async def test_a_message_cut_into_single_bytes_is_one_message(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        client = await RawClient(gateway.address).connect()
        data = encode_login_request("OUCH1", "password", "", 1) + packed(order(1), order(2))
        for place in range(len(data)):
            await client.send(data[place : place + 1])
        await until(lambda: len(client.messages) == 3, "both orders are accepted")
        client.close()


async def test_a_connection_reset_in_the_middle_of_a_message_takes_nothing_with_it(
    tmp_path,
):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        client = await logged_in(gateway.address, "OUCH1")
        await client.send(packed(order(1), order(2))[:-10])
        client.close()
        entry = gateway._ouch
        await until(lambda: entry.sessions["OUCH1"].connection is None, "it is gone")
        again = await logged_in(gateway.address, "OUCH1", 0)
        assert again.next_number == 3, "one order was whole"
        again.close()


def test_the_packets_of_a_stranger_are_not_kept_while_nothing_is_taken(tmp_path):
    player = OuchScriptPlayer(tmp_path)
    player._set("max_pending 1")
    enter = "-> EnterOrder user_ref_num=1 side=B quantity=1 symbol=AAPL price=100.00"
    player.play(["-> login", "hold", enter])
    stranger = player.connect("2").transport.protocol
    stranger.data_received(b"\x00\x01O" * 20_000)
    assert not stranger._inbox
    player._settle()
    assert "2disconnected" in player.output


def test_debug_packets_and_heartbeats_cost_no_memory_while_nothing_is_taken(tmp_path):
    player = OuchScriptPlayer(tmp_path)
    player.play(["hold", "-> login"])
    connection: Connection = player.clients[""].transport.protocol
    connection.data_received(b"\x00\x01R\x00\x06+12345" * 10_000)
    while connection._is_turn_scheduled:
        assert not connection._inbox
        connection._turn()
    assert not connection._raw
    assert not connection._is_reading_paused


def test_what_one_client_sends_in_one_go_is_worked_off_in_small_pieces(tmp_path):
    player = OuchScriptPlayer(tmp_path)
    player.play(["-> login"])
    connection: Connection = player.clients[""].transport.protocol
    taken = connection._gateway.counters
    connection.data_received(packed(AccountQuery()) * 1_000)
    turns, before = 1, taken.messages_in
    assert before <= 200
    while connection._is_turn_scheduled:
        connection._turn()
        turns += 1
        assert taken.messages_in - before <= 200
        before = taken.messages_in
    assert (taken.messages_in, connection._inbox, connection._raw) == (1_000, [], b"")
    assert turns >= 5


def test_more_than_a_login_from_a_stranger_ends_the_connection(tmp_path):
    player = OuchScriptPlayer(tmp_path)
    player.play(["connect"])
    connection: Connection = player.clients[""].transport.protocol
    for _ in range(4_096 // 3):
        connection.data_received(b"\x00\x01R")
        assert connection.state is ConnectionState.CONNECTED
    connection.data_received(b"\x00\x01R" * 2)
    while connection._is_turn_scheduled:
        connection._turn()
    assert connection.state is ConnectionState.CLOSING


def test_an_event_that_makes_no_message_costs_its_session_and_no_other(tmp_path, caplog):
    player = OuchScriptPlayer(tmp_path)
    player.play(["1-> login", "2-> login"])
    gateway = player.clients["1"].transport.protocol._gateway
    poison = (int(EventKind.NUMBERS_REPORTED), "OUCH1", 300, 5)  # no UserRefIdx is that large
    batch = EventBatch(1, gateway.last_event_seq + 1, 0, [(gateway.last_event_seq + 1, poison)])
    gateway.on_batch(batch)
    assert player.clients["1"].transport.protocol.state is ConnectionState.CLOSING
    assert player.clients["2"].transport.protocol.state is ConnectionState.ACTIVE
    assert "OUCH1 is shut out" in caplog.text


def test_what_comes_before_an_event_that_makes_no_message_is_numbered(tmp_path):
    player = OuchScriptPlayer(tmp_path)
    player.play(["1-> login", "2-> login"])
    gateway = player.clients["1"].transport.protocol._gateway
    counts = [gateway.sessions[user].stream.count for user in ("OUCH1", "OUCH2")]
    kind, last = int(EventKind.NUMBERS_REPORTED), gateway.last_event_seq
    answers = [("OUCH1", 0), ("OUCH2", 0), ("OUCH1", 300), ("OUCH2", 0), ("OUCH1", 0)]
    events = [(last + n, (kind, user, idx, 5)) for n, (user, idx) in enumerate(answers, 1)]
    gateway.on_batch(EventBatch(1, last + 5, 0, events))
    told = [gateway.sessions[user].stream.count for user in ("OUCH1", "OUCH2")]
    assert told == [counts[0] + 1, counts[1] + 2]
    gateway.on_batch(EventBatch(1, last + 6, 0, [(last + 6, events[0][1])]))
    assert gateway.sessions["OUCH1"].stream.count == told[0], "it is served no more"


def test_the_last_number_of_all_is_followed_by_itself():
    event = (int(EventKind.NUMBERS_REPORTED), "OUCH1", 0, 2**32)
    answer = ouch50.decode_outbound(Outbound().message(event, 1))
    assert answer.next_user_ref_num == 2**32 - 1


steps = st.tuples(
    st.sampled_from(LABELS),
    st.one_of(
        st.sampled_from(PACKETS).map(lambda text: ("packet", text)),
        st.binary(max_size=60).map(lambda data: ("bytes", data)),
        st.integers(0, 2**32).map(lambda seed: ("messages", seed)),
        st.sampled_from(STEPS).map(lambda step: ("step", step)),
        st.sampled_from(["block", "unblock"]).map(lambda step: ("socket", step)),
    ),
)


@settings(max_examples=100)
@given(st.lists(steps, max_size=25), st.booleans())
def test_any_sequence_of_packets_and_faults_is_survived(tmp_path_factory, script, has_limits):
    player = OuchScriptPlayer(tmp_path_factory.mktemp("ouch"))
    if has_limits:
        for limit in ("max_pending 2", "write_buffer_bytes 300", "max_backlog_messages 5"):
            player._set(limit)
    for label, (kind, what) in script:
        if kind == "step":
            word, _, rest = what.partition(" ")
            if word != "drop":
                getattr(player, f"_{word}")(rest)
            elif label in player.clients:
                player._drop(player.clients[label])
        elif kind == "socket":
            if label in player.clients:
                getattr(player, f"_{what}")(player.clients[label])
        else:
            client = player.connect(label)
            data = what
            if kind == "packet":
                data = packet_of(what, f"OUCH{client.user}")
            elif kind == "messages":
                sender = RandomMessages(random.Random(what))
                data = packet_of("login", f"OUCH{client.user}") if what % 2 else b""
                data += b"".join(
                    encode_unsequenced_data(ouch50.encode(sender.next())) for _ in range(9)
                )
            client.transport.protocol.data_received(data)
        player._settle()
    # The exchange still serves everybody, at both gateways, and tells the same there.
    player._auto("")
    for client in list(player.clients.values()):
        player._unblock(client)
    player._settle()
    for label in ("1z", "2z@2"):
        player.play([f"{label}-> login from=0", f"{label}-> AccountQuery"])
        assert "AccountQueryResponse" in player.output[-1]
    player.cluster.machine.check_invariants()
