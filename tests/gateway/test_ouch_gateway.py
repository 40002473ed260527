"""The OUCH gateway over real sockets, with a cluster in one object behind it."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections import Counter

import aiohttp
import pytest
from ouch_cluster import stream_of
from ouch_socket import (
    DEADLINE_S,
    RawClient,
    logged_in,
    new_cluster,
    order,
    packed,
    running_gateway,
    until,
)

from cluster.client import ConnectionState
from exchange.ouch_client import OuchClient
from gateway.ouch.connection import CLOSE_TIMEOUT_NS, NS_PER_MS
from gateway.ouch.stream import PIECE_BYTES
from protocols import ouch50
from protocols.ouch50_messages import AccountQuery, OrderAccepted
from protocols.soupbintcp import LOGOUT_REQUEST_PACKET


class Client(OuchClient):
    """uvloop raises where asyncio drops what is written to a transport that was aborted."""

    def send_packets(self, data):
        if self._writer is not None and not self._writer.transport.is_closing():
            super().send_packets(data)


class Trader:
    """A client that sends again what it has not seen answered, wherever it is logged in."""

    def __init__(self, addresses, username, side):
        self.messages = []
        self.accepted = Counter()
        self.sent = 0
        self.client = Client(addresses, username, self._told)
        self._side = side

    def _told(self, number, data):
        assert number == len(self.messages) + 1
        self.messages.append(data)
        message = ouch50.decode_outbound(data)
        if isinstance(message, OrderAccepted):
            self.accepted[message.user_ref_num] += 1
            self.client.answered(message.user_ref_num)

    def enter(self):
        self.sent += 1
        self.client.send(order(self.sent, self._side, 1 + self.sent % 3), until=self.sent)


def small_buffer(connection):
    """Let the system keep little for a client: on loopback it would take megabytes."""
    server_side = connection._transport.get_extra_info("socket")
    server_side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 12)


@pytest.mark.parametrize("seed", range(3))
async def test_clients_that_move_between_two_gateways_lose_and_double_nothing(tmp_path, seed):
    cluster = new_cluster()
    chance = random.Random(seed)
    async with (
        running_gateway(tmp_path / "1", cluster, gateway_id="ouch-1") as one,
        running_gateway(tmp_path / "2", cluster, gateway_id="ouch-2") as two,
    ):
        addresses = [one.address, two.address]
        traders = [Trader(addresses, f"OUCH{n}", "BS"[n % 2]) for n in range(1, 5)]
        for trader in traders:
            await trader.client.start()
        for _ in range(12):
            for _ in range(60):
                chance.choice(traders).enter()
                if chance.random() < 0.05:
                    await asyncio.sleep(0)
            # From here on the cluster takes some commands and answers nobody for a while.
            cluster.is_automatic = False
            for _ in range(20):
                chance.choice(traders).enter()
            await asyncio.sleep(0)
            for gateway in cluster.clients:
                gateway.apply_submitted(chance.randint(0, 10))
            victim = chance.choice(traders)
            logins = victim.client.logins
            victim.client.move()
            cluster.is_automatic = True
            for _ in range(20):
                chance.choice(traders).enter()
            await until(lambda v=victim, n=logins: v.client.logins > n, "it is logged in again")
        cluster.run()
        for trader in traders:
            await until(
                lambda t=trader: not t.client.unanswered, f"{trader.client.username}: all answered"
            )
        await until(lambda: not any(c.pending for c in cluster.clients), "the cluster is done")
        for trader in traders:
            user = trader.client.username
            await until(
                lambda t=trader, u=user: len(t.messages) == one._ouch.sessions[u].stream.count,
                "all messages have come",
            )
            assert trader.accepted == Counter(range(1, trader.sent + 1))
            assert stream_of(one._ouch, user) == stream_of(two._ouch, user)
            await trader.client.stop()
        assert sum(trader.client.logins for trader in traders) >= 4 + 12


async def test_a_client_that_does_not_read_costs_no_memory_and_holds_up_nobody(tmp_path):
    cluster = new_cluster()
    limit = 20_000
    async with running_gateway(tmp_path, cluster, write_buffer_bytes=limit) as gateway:
        slow = await RawClient(gateway.address, receive_buffer=1 << 14).connect(reads=False)
        await slow.log_in("OUCH1")
        session = gateway._ouch.sessions["OUCH1"]
        await until(lambda: session.connection is not None, "it is logged in")
        small_buffer(session.connection)
        orders = 10_000
        await slow.send(packed(*(order(number, "S") for number in range(1, orders + 1))))
        await until(lambda: session.stream.count == 1 + orders, "all orders are accepted")
        other = await logged_in(gateway.address, "OUCH2")
        await other.send(packed(order(1, "B", quantity=orders)))
        await until(lambda: other.next_number == 3 + orders, "the other one has all its fills")
        assert session.stream.count == 1 + 2 * orders
        assert session.connection.backlog > 5_000
        waiting = session.connection._transport.get_write_buffer_size()
        assert waiting < 2 * limit + 2 * PIECE_BYTES
        slow.read_on()
        await until(lambda: slow.next_number == 2 + 2 * orders, "it gets everything when it reads")
        other.close()
        slow.close()


async def test_a_client_that_is_too_far_behind_is_cut_off_and_reads_the_rest_later(tmp_path):
    cluster = new_cluster()
    limits = {"write_buffer_bytes": 5_000, "max_backlog_messages": 1_000}
    async with running_gateway(tmp_path, cluster, **limits) as gateway:
        slow = await RawClient(gateway.address, receive_buffer=1 << 12).connect(reads=False)
        await slow.log_in("OUCH1")
        session = gateway._ouch.sessions["OUCH1"]
        await until(lambda: session.connection is not None, "it is logged in")
        small_buffer(session.connection)
        number = 0
        while session.connection is not None and number < 100_000:
            await slow.send(packed(*(order(number + n) for n in range(1, 101))))
            number += 100
            await asyncio.sleep(0)
        assert session.connection is None, "its session is free at once"
        # What is in its socket has two seconds to be read, and the reason stands at its end.
        slow.read_on()
        await slow.ended()
        assert slow.debugs[-1:] in ([], [text for text in slow.debugs if "too slowly" in text])
        count = session.stream.count
        assert 0 < len(slow.messages) < count
        again = await logged_in(gateway.address, "OUCH1", slow.next_number)
        await until(lambda: again.next_number > count, "the rest comes")
        assert {**slow.messages, **again.messages}.keys() == set(range(1, again.next_number))
        again.close()


async def test_a_dead_client_is_closed_at_last(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster, write_buffer_bytes=5_000) as gateway:
        dead = await RawClient(gateway.address, receive_buffer=1 << 12).connect(reads=False)
        await dead.log_in("OUCH1")
        entry = gateway._ouch
        connections = entry._connections
        await until(lambda: entry.sessions["OUCH1"].connection is not None, "it is logged in")
        small_buffer(entry.sessions["OUCH1"].connection)
        await dead.send(packed(*(order(number) for number in range(1, 5_001))))
        await until(lambda: entry.sessions["OUCH1"].stream.count > 5_000, "it is far behind")
        (connection,) = connections
        assert connection.backlog > 0
        connection.on_time(connection.heard_ns + gateway.settings.silence_ms * NS_PER_MS + 1)
        assert entry.sessions["OUCH1"].connection is None, "it was silent"
        assert connection in connections, "what is in its socket may yet be read"
        connection.on_time(connection.since_ns + CLOSE_TIMEOUT_NS + 1)
        await until(lambda: not connections, "its socket is closed, whatever was in it")
        dead.close()


async def test_a_full_queue_pauses_reading_and_loses_nothing(tmp_path):
    cluster = new_cluster()
    limit, orders = 50, 10_000
    async with running_gateway(tmp_path, cluster, max_pending=limit) as gateway:
        client = await logged_in(gateway.address, "OUCH1")
        cluster.is_automatic = False
        sending = asyncio.create_task(
            client.send(packed(*(order(number) for number in range(1, orders + 1))))
        )
        entry = gateway._ouch
        await until(lambda: entry.counters.pauses > 0, "the queue is full")
        connection = entry.sessions["OUCH1"].connection
        assert connection._is_reading_paused
        assert gateway._cluster.pending == limit
        assert len(connection._inbox) <= (256 << 10) // 50, "one read of the socket, and no more"
        assert entry.counters.messages_in == limit, "the rest waits in sockets, or at the client"
        while client.next_number < orders + 2:
            await asyncio.sleep(0)
            assert gateway._cluster.pending <= limit
            cluster.run()
        await sending
        accepted = [ouch50.decode_outbound(client.messages[n]) for n in range(2, orders + 2)]
        assert [message.user_ref_num for message in accepted] == list(range(1, orders + 1))
        client.close()


async def test_http_tells_health_readiness_sessions_and_metrics(tmp_path):
    cluster = new_cluster(users=2)
    async with running_gateway(tmp_path, cluster, users=2) as gateway:
        client = await logged_in(gateway.address, "OUCH1")
        await client.send(packed(order(1)))
        await until(lambda: 2 in client.messages, "an answer")
        base = f"http://{gateway.http_address}"
        async with aiohttp.ClientSession() as http:
            assert (await http.get(f"{base}/healthz")).status == 200
            assert (await http.get(f"{base}/readyz")).status == 200
            sessions = await (await http.get(f"{base}/sessions")).json()
            assert sessions[0] | {"peer": ""} == {
                "username": "OUCH1",
                "account": "ACC1",
                "state": "active",
                "next_out": 3,
                "backlog": 0,
                "holder": "ouch-1",
                "peer": "",
            }
            assert (sessions[1]["state"], sessions[1]["holder"]) == ("disconnected", "")
            metrics = await (await http.get(f"{base}/metrics")).text()
            assert "exchange_ouch_messages_in_total 1.0" in metrics
            assert "exchange_ouch_messages_out_total 2.0" in metrics
            assert "exchange_ouch_sessions_active 1.0" in metrics
            assert "exchange_ouch_answer_seconds_count 1.0" in metrics
            assert "exchange_gateway_out_seconds_count" in metrics
            assert "exchange_gateway_cluster_seconds_count" in metrics
            gateway._cluster.state = ConnectionState.SEARCHING
            assert (await http.get(f"{base}/readyz")).status == 503
        client.close()


async def test_closing_tells_clients_why_and_does_not_end_the_session(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        client = await logged_in(gateway.address, "OUCH1")
        stranger = await RawClient(gateway.address).connect()
        await until(lambda: len(gateway._ouch._connections) == 2, "both are connected")
        await gateway.close()
        for ended in (client, stranger):
            await ended.ended()
            assert ended.debugs == ["The gateway is shutting down"]
            assert b"Z" not in ended.other
        assert not cluster.machine.state.sessions["OUCH1"].is_open
        await asyncio.wait_for(gateway.run(), 1)


async def test_a_gateway_started_in_its_place_serves_the_same_messages(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        first = await logged_in(gateway.address, "OUCH1")
        await first.send(packed(*(order(n, "BS"[n % 2]) for n in range(1, 201))))
        await until(lambda: len(first.messages) == 401, "all are told")
        first.close()
    async with running_gateway(tmp_path, cluster) as gateway:
        again = await logged_in(gateway.address, "OUCH1")
        await until(lambda: len(again.messages) == 401, "all are told again")
        assert again.messages == first.messages
        from_there = await logged_in(gateway.address, "OUCH1", 300)
        await until(lambda: len(from_there.messages) == 102, "from there on")
        assert from_there.messages == {n: m for n, m in first.messages.items() if n >= 300}
        await again.ended()
        assert again.debugs == ["this user has logged in again"]
        from_there.close()


async def test_a_full_disk_stops_the_gateway_before_anything_is_sent(tmp_path, monkeypatch):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        client = await logged_in(gateway.address, "OUCH1")

        def disk_is_full(*_):
            raise OSError(errno.ENOSPC, "no space left on device")

        monkeypatch.setattr("os.pwrite", disk_is_full)
        await client.send(packed(order(1)))
        with pytest.raises(OSError, match="no space"):
            await asyncio.wait_for(gateway.run(), DEADLINE_S)
        await client.ended()
        assert list(client.messages) == [1]


async def test_a_gateway_whose_name_was_taken_stops(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        client = await logged_in(gateway.address, "OUCH1")
        gateway._on_cluster_state(ConnectionState.REFUSED)
        with pytest.raises(RuntimeError, match="own id"):
            await gateway.run()
        await client.ended()


async def test_a_logout_behind_orders_does_not_take_them_back(tmp_path):
    cluster = new_cluster()
    async with running_gateway(tmp_path, cluster) as gateway:
        client = await logged_in(gateway.address, "OUCH1")
        await client.send(packed(*(order(n) for n in range(1, 51))) + LOGOUT_REQUEST_PACKET)
        await client.ended()
        again = await logged_in(gateway.address, "OUCH1", 0)
        assert again.next_number == 52
        await again.send(packed(AccountQuery()))
        await until(lambda: 52 in again.messages, "an answer")
        assert ouch50.decode_outbound(again.messages[52]).next_user_ref_num == 51
        again.close()
