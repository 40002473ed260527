"""The FIX gateway over real sockets, with a cluster in one object behind it."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import time
from collections import Counter

import aiohttp
import pytest
from fake_cluster import FakeCluster

from cluster.client import ConnectionState
from cluster.settings import Address
from exchange.fix_client import FixClient
from gateway.fix.server import FixGateway
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from gateway.fix.store import StoreError
from protocols.fix import FixDecoder, FixEncoder, format_utc_timestamp

COMP_IDS = tuple(f"CLIENT{number}" for number in range(1, 5))
ANY_PORT = Address("127.0.0.1", 0)
DEADLINE_S = 20.0


def settings_for(data_dir, bind=ANY_PORT, **changes):
    return FixGatewaySettings(
        bind=bind,
        http_bind=ANY_PORT,
        nodes={},
        data_dir=data_dir,
        sessions={
            comp_id: FixSessionSettings(comp_id, f"ACC{number}")
            for number, comp_id in enumerate(COMP_IDS, 1)
        },
        **changes,
    )


async def until(condition, what):
    """Wait for a fact, not for a time."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert condition(), what


class Trader:
    """A FIX client that keeps books on what it asked and what it was told."""

    def __init__(self, address, comp_id):
        self.reports = []
        self.rejects = []
        self.client = FixClient(address, comp_id, self._told, heartbeat_s=5)
        self.comp_id = comp_id
        self.asked = []

    def _told(self, message, _received_ns):
        if message.msg_type == "8":
            self.reports.append(message)
        else:
            self.rejects.append(message)

    def enter(self, symbol, side, quantity, price, *more):
        """A limit order, unless `more` begins with another OrdType."""
        cl_ord_id = f"{self.comp_id}-{len(self.asked) + 1}"
        self.asked.append(cl_ord_id)
        now = format_utc_timestamp(time.time_ns())
        self.client.send(
            "D",
            [(11, cl_ord_id), (55, symbol), (54, side), (38, quantity), (59, 0), (60, now),
             *([(40, 2), (44, price)] if price else []), *more],
        )  # fmt: skip

    def cancel(self, orig_cl_ord_id, symbol, side):
        cl_ord_id = f"{self.comp_id}-{len(self.asked) + 1}"
        self.asked.append(cl_ord_id)
        now = format_utc_timestamp(time.time_ns())
        fields = [(41, orig_cl_ord_id), (11, cl_ord_id), (55, symbol), (54, side), (60, now)]
        self.client.send("F", fields)

    @property
    def answered(self):
        told = {message.get(11) for message in self.reports if message.get(150) in "0458"}
        return told | {message.get(11) for message in self.rejects}


def kill(gateway):
    """What SIGKILL does: sockets are reset, nothing is logged out, written or told."""
    gateway._timer.cancel()
    gateway._listener.close()
    entry = gateway._order_entry
    gateway._cluster.kill()
    entry.on_batch = entry.on_time = lambda *_: None
    for connection in list(entry._lobby.connections):
        transport, connection._transport = connection._transport, None
        connection.session = None
        connection.closing_since_ns = 1
        transport.abort()
    for session in entry.sessions.values():
        session.store._pending.clear()
        session.connection = None


REPORTED = frozenset((1, 2, 3, 4, 5))  # the kinds of events that make ExecutionReports


def numbers_of_reports(cluster, comp_id):
    return [
        str(number)
        for number, event in enumerate(cluster.events, 1)
        if event[1] == comp_id and event[0] in REPORTED
    ]


async def all_reported(cluster, traders):
    """Wait until every request is answered and the last event of every trader has reached it."""
    for trader in traders:
        await until(lambda trader=trader: trader.answered >= set(trader.asked), "all answered")
    for trader in traders:
        last = numbers_of_reports(cluster, trader.comp_id)[-1]
        await until(
            lambda trader=trader, last=last: trader.reports[-1].get(17) == last, "all reported"
        )


def reconcile(cluster, traders):
    """Every request became exactly one command, every event exactly one report, in order."""
    entered = Counter((c[1], c[4]) for c in cluster.commands if c[0] == 1)
    cancels = Counter((c[1], c[3]) for c in cluster.commands if c[0] == 3)
    for trader in traders:
        for cl_ord_id in trader.asked:
            key = (trader.comp_id, cl_ord_id)
            assert entered[key] + cancels[key] == 1, key
        events = numbers_of_reports(cluster, trader.comp_id)
        assert [report.get(17) for report in trader.reports] == events, trader.comp_id
        bought = sum(int(r.get(32)) for r in trader.reports if r.get(150) == "F")
        assert bought == sum(
            event[16] for event in cluster.events if event[0] == 2 and event[1] == trader.comp_id
        )


async def burst(traders, seed, size):
    """Orders and cancels of all traders, some turns of the loop in between."""
    chance = random.Random(seed)
    for _ in range(size):
        trader = chance.choice(traders)
        symbol, side = chance.choice(("AAPL", "MSFT")), chance.choice((1, 2))
        if trader.asked and chance.random() < 0.2:
            trader.cancel(chance.choice(trader.asked), symbol, side)
        else:
            price = f"{100 + chance.randint(-5, 5) / 100:.2f}"
            trader.enter(symbol, side, chance.randint(1, 9), price)
        if chance.random() < 0.1:
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_or_doubled_when_the_gateway_is_killed_in_a_burst(tmp_path, seed):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    bind = gateway.address
    traders = [Trader(bind, comp_id) for comp_id in COMP_IDS]
    for trader in traders:
        await trader.client.start()
    chance = random.Random(seed)
    for round_number in range(4):
        for trader in traders:
            await trader.client.wait_logged_on()
        await burst(traders, seed * 100 + round_number, 60)
        # From here on the cluster answers nobody: it gets some commands and others it does not.
        cluster.is_automatic = False
        asked = len(cluster.commands) + sum(client.pending for client in cluster.clients)
        await burst(traders, seed * 100 + 20 + round_number, 60)
        await until(
            lambda asked=asked: (
                len(cluster.commands) + sum(client.pending for client in cluster.clients)
                >= asked + 20
            ),
            "some commands have arrived",
        )
        gateway._cluster.apply_submitted(chance.randint(0, 30))
        kill(gateway)
        cluster.is_automatic = True
        await burst(traders, seed * 100 + 50 + round_number, 20)  # while the gateway is dead
        await gateway._http.cleanup()
        gateway = FixGateway(settings_for(tmp_path, bind), cluster=cluster.client)
        await gateway.start()
    await all_reported(cluster, traders)
    reconcile(cluster, traders)
    assert sum(trader.client.disconnects for trader in traders) == 4 * len(traders)
    assert sum(trader.client.resend_requests_received for trader in traders) > 0
    for trader in traders:
        await trader.client.stop()
    await gateway.close()


async def test_lost_connections_lose_nothing(tmp_path):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    traders = [Trader(gateway.address, comp_id) for comp_id in COMP_IDS]
    for trader in traders:
        await trader.client.start()
    for round_number in range(6):
        await burst(traders, round_number, 60)
        victim = traders[round_number % len(traders)].client
        await victim.wait_logged_on()
        victim.drop_connection()
    await all_reported(cluster, traders)
    reconcile(cluster, traders)
    assert sum(trader.client.disconnects for trader in traders) == 6
    for trader in traders:
        await trader.client.stop()
    await gateway.close()


async def test_http_tells_health_readiness_sessions_and_metrics(tmp_path):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    trader = Trader(gateway.address, "CLIENT1")
    await trader.client.start()
    trader.enter("AAPL", 1, 5, "100.00")
    await until(lambda: trader.reports, "a report")
    base = f"http://{gateway.http_address}"
    async with aiohttp.ClientSession() as http:
        assert (await http.get(f"{base}/healthz")).status == 200
        assert (await http.get(f"{base}/readyz")).status == 200
        sessions = await (await http.get(f"{base}/sessions")).json()
        assert sessions[0] | {"peer": ""} == {
            "comp_id": "CLIENT1",
            "account": "ACC1",
            "version": "FIX.4.4",
            "state": "active",
            "next_in": 3,
            "next_out": 3,
            "unanswered": 0,
            "peer": "",
        }
        assert sessions[1]["state"] == "disconnected"
        metrics = await (await http.get(f"{base}/metrics")).text()
        assert "exchange_fix_commands_total 1.0" in metrics
        assert "exchange_fix_sessions_active 1.0" in metrics
        assert "exchange_fix_answer_seconds_count 1.0" in metrics
        assert "exchange_gateway_out_seconds_count" in metrics
        assert "exchange_gateway_cluster_seconds_count" in metrics
        gateway._cluster.state = ConnectionState.SEARCHING
        assert (await http.get(f"{base}/readyz")).status == 503
    await trader.client.stop()
    await gateway.close()


async def test_closing_logs_clients_out_and_closes_sessions_in_the_cluster(tmp_path):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    trader = Trader(gateway.address, "CLIENT1")
    await trader.client.start()
    await gateway.close()
    await until(lambda: trader.client.last_logout_text, "a Logout")
    assert trader.client.last_logout_text == "The gateway is shutting down"
    assert not cluster.machine.state.sessions["CLIENT1"].is_open
    await trader.client.stop()
    await asyncio.wait_for(gateway.run(), 1)


async def test_a_store_that_cannot_be_written_stops_the_gateway_before_anything_is_sent(
    tmp_path, monkeypatch
):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    trader = Trader(gateway.address, "CLIENT1")
    await trader.client.start()

    def disk_is_full(self):
        raise StoreError("no space left on device")

    monkeypatch.setattr("gateway.fix.store.SessionStore.flush", disk_is_full)
    trader.enter("AAPL", 1, 5, "100.00")
    with pytest.raises(StoreError, match="no space"):
        await asyncio.wait_for(gateway.run(), DEADLINE_S)
    assert trader.reports == []
    monkeypatch.undo()
    await trader.client.stop()
    await gateway.close()


async def test_a_write_cut_short_by_a_full_disk_is_neither_sent_nor_lost(tmp_path, monkeypatch):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    trader = Trader(gateway.address, "CLIENT1")
    await trader.client.start()
    await trader.client.wait_logged_on()
    write = os.write

    def disk_is_full(file, data):
        if b"\x0135=8\x01" not in data:
            return write(file, data)  # what is shorter still finds room
        write(file, data[:40])
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("os.write", disk_is_full)
    trader.enter("AAPL", 1, 5, "100.00")
    with pytest.raises(OSError, match="no space"):
        await asyncio.wait_for(gateway.run(), DEADLINE_S)
    await gateway.close()
    monkeypatch.undo()
    await trader.client.stop()
    assert trader.reports == []
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    session = gateway._order_entry.sessions["CLIENT1"]
    stored = session.store.read_sent(1, session.fix.next_out - 1)
    assert [b"\x0135=8\x01" in message.frame for message in stored] == [False, True]
    await gateway.close()


async def test_a_gateway_whose_name_was_taken_stops(tmp_path):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    gateway = FixGateway(settings_for(tmp_path), cluster=cluster.client)
    await gateway.start()
    gateway._on_cluster_state(ConnectionState.REFUSED)
    with pytest.raises(RuntimeError, match="own id"):
        await gateway.run()
    await gateway.close()


async def test_a_client_that_does_not_read_costs_no_memory_and_gets_everything_later(tmp_path):
    cluster = FakeCluster(COMP_IDS, clock_ns=time.time_ns, is_automatic=True)
    settings = settings_for(tmp_path, write_buffer_bytes=20_000)
    gateway = FixGateway(settings, cluster=cluster.client)
    await gateway.start()
    client_socket = socket.socket()
    client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    client_socket.connect(gateway.address)
    client_socket.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=client_socket, limit=1 << 14)
    writer.transport.pause_reading()
    encoder = FixEncoder("FIX.4.4", "CLIENT1", "EXCH")
    now = format_utc_timestamp(time.time_ns())
    writer.write(encoder.encode("A", "98=0\x01108=30\x01", 1, now))
    orders = 30_000
    for seq in range(2, orders + 2):
        body = f"11={seq}\x0155=AAPL\x0154=1\x0138=1\x0140=2\x0144=99.00\x0160={now}\x01"
        writer.write(encoder.encode("D", body, seq, now))
        if seq % 500 == 0:
            await writer.drain()
    entry = gateway._order_entry
    session = entry.sessions["CLIENT1"]
    await until(lambda: session.fix.next_out == orders + 2, "all orders accepted")
    connection = session.connection
    assert connection.backlog > 1_000, "the socket has taken everything: the test shows nothing"
    # The limit, and what one turn of the loop can make of the orders read in one go; in all there
    # are seven megabytes of reports.
    assert connection._transport.get_write_buffer_size() < 1_000_000
    writer.transport.resume_reading()
    decoder = FixDecoder()
    numbers = []
    async with asyncio.timeout(DEADLINE_S):
        while len(numbers) < orders + 1:
            messages = decoder.feed(await reader.read(1 << 16))
            assert all(message.get(43) is None for message in messages)
            numbers += [int(message.get(34)) for message in messages]
    assert numbers == list(range(1, orders + 2))
    writer.close()
    await gateway.close()
