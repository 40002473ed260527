"""GLIMPSE: the server, as a client that one writes by hand sees it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from multicast_lab import Lab, a_lab, a_server, run, until
from order_flow import assert_same_books

from marketdata.depth import MarketDepth
from marketdata.server import MarketDataServer
from marketdata.validator import StreamValidator
from protocols import itch50, soupbintcp
from protocols import itch50_messages as m
from protocols.itch50 import ItchError
from protocols.itch50_messages import SideCode
from protocols.soupbintcp import Direction, Packet, PacketReader

LOGIN = soupbintcp.encode_login_request("GLIMPS", "password", "", 1)


class Client:
    """A TCP connection to a GLIMPSE server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def packets(self) -> list[Packet]:
        """Everything until the server closes."""
        packets = PacketReader(Direction.SERVER_TO_CLIENT)
        found = []
        try:
            while data := await self.reader.read(1 << 16):
                found += packets.feed(data)
        except ConnectionResetError:
            pass
        return found

    async def answer(self, data: bytes) -> list[Packet]:
        """What comes back for `data`, until the server closes."""
        self.writer.write(data)
        return await self.packets()


@asynccontextmanager
async def a_client(server: MarketDataServer) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*server.glimpse_address)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def trading(folder: Path, **glimpse: Any) -> AsyncIterator[tuple[Lab, MarketDataServer]]:
    """A lab with some trading behind it, and a market-data process that is ready."""
    async with a_lab(folder) as lab, a_server(lab, glimpse) as server:
        lab.publish(0)
        await lab.publish_many(60)
        await until(lambda: server.not_ready() is None, "ready")
        await until(lambda: server.receiver.next_sequence_number == lab.position, "caught up")
        yield lab, server


async def ask(server: MarketDataServer, data: bytes) -> list[Packet]:
    async with a_client(server) as client:
        return await client.answer(data)


def messages_of(packets: list[Packet]) -> list[bytes]:
    """Messages of a whole snapshot, G included."""
    (first, accepted), *data, last = packets
    assert (first, accepted) == (b"A", b"TEST000001" + b"1".rjust(20))
    assert last == (b"Z", b"")
    assert {kind for kind, _ in data} == {b"S"}
    return [payload for _, payload in data]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_snapshot_is_the_day_so_far_without_what_is_over(tmp_path: Path, loop: Any) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (lab, server):
            *messages, end = messages_of(await ask(server, LOGIN))
            assert end == b"G" + str(lab.position).encode().rjust(20)
            decoded = [itch50.decode(message) for message in messages]
            kinds = "".join(chr(message[0]) for message in messages)
            orders = kinds.count("A")
            assert orders == server.depth.order_count > 20
            assert kinds == "SSS" + "RRR" + "HHH" + "A" * orders
            first = lab.all_messages()[: len(kinds) + 10]
            assert set(messages[:9]) <= set(first), "S, R and H are those of the feed"
            in_books = [
                (book.stock_locate, order.order_reference_number, order.shares, order.price)
                for symbol in server.depth.symbols
                if (book := server.depth.book(symbol)) is not None
                for side in SideCode
                for order in book.orders(side)
            ]
            adds = [one for one in decoded if isinstance(one, m.AddOrder)]
            assert sorted(in_books) == sorted(
                (one.stock_locate, one.order_reference_number, one.shares, one.price)
                for one in adds
            )
            last = itch50.decode(lab.all_messages()[-1]).timestamp
            assert {one.timestamp for one in adds} == {last}
            depth = MarketDepth()
            depth.apply(messages)
            for symbol in depth.symbols:
                book, served = depth.book(symbol), server.depth.book(symbol)
                assert book is not None
                assert served is not None
                book.last_price = served.last_price  # trades are not in a snapshot
            assert_same_books(depth, lab.flow.machine)

    run(test, loop)


def test_a_snapshot_is_a_sound_stream_but_for_the_order_of_times(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server):
            *messages, _ = messages_of(await ask(server, LOGIN))
            validator = StreamValidator()
            assert [one for message in messages for one in validator.receive(None, message)] == []

    run(test)


def test_everyone_who_logs_in_at_once_gets_the_same_snapshot(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server):
            answers = await asyncio.gather(*(ask(server, LOGIN) for _ in range(8)))
            assert all(answer == answers[0] for answer in answers)
            assert server.glimpse_counters.served == 8
            assert server.glimpse_counters.snapshots < 8
            await until(lambda: server.glimpse_counters.connections == 0, "all gone")

    run(test)


def test_a_login_counts_what_has_arrived_and_was_not_read_yet(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (lab, server):
            async with a_client(server) as client:
                client.writer.write(LOGIN)
                for _ in range(100):  # in one turn: the server has had no chance to read
                    lab.publish(20)
                *_, end = messages_of(await client.packets())
            assert end == itch50.encode_end_of_snapshot(lab.position)

    run(test)


@pytest.mark.parametrize(
    ("login", "answer", "counter"),
    [
        (("GLIMPS", "wrong"), (b"J", b"A"), "not_authorized"),
        (("OUCH1", "password"), (b"J", b"A"), "not_authorized"),
        (("", ""), (b"J", b"A"), "not_authorized"),
        (("GLIMPS", "password", "TEST000002"), (b"J", b"S"), "session_not_available"),
        (("GLIMPS", "wrong", "TEST000002"), (b"J", b"A"), "not_authorized"),
    ],
)
def test_a_login_that_is_refused_is_told_why(
    tmp_path: Path, login: tuple[Any, ...], answer: Packet, counter: str
) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server):
            assert await ask(server, soupbintcp.encode_login_request(*login)) == [answer]
            assert getattr(server.glimpse_counters, counter) == 1
            assert server.glimpse_counters.served == 0

    run(test)


@pytest.mark.parametrize(
    "login",
    [
        soupbintcp.encode_login_request("glimps", "PassWord", "TEST000001", 0),
        soupbintcp.encode_login_request("GLIMPS", "password", "", 17, 15_000),
        soupbintcp.encode_debug("hello") + LOGIN + soupbintcp.CLIENT_HEARTBEAT_PACKET,
    ],
    ids=["other case and the session by name", "another number and a timeout", "debug before"],
)
def test_any_sound_login_is_served_from_the_first_packet(tmp_path: Path, login: bytes) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server):
            assert len(messages_of(await ask(server, login))) > 20

    run(test)


def test_the_settings_say_who_may_log_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path, username="MEMBER", password="secret") as (_, server):
            assert await ask(server, LOGIN) == [(b"J", b"A")]
            mine = soupbintcp.encode_login_request("MEMBER", "secret")
            assert len(messages_of(await ask(server, mine))) > 20

    run(test)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\xff\xff" + bytes(10),
        b"GET / HTTP/1.1\r\n\r\n",
        soupbintcp.CLIENT_HEARTBEAT_PACKET,
        soupbintcp.LOGOUT_REQUEST_PACKET,
        soupbintcp.encode_unsequenced_data(b"order"),
        LOGIN[:3] + b"\xff" * 46,
        LOGIN[:-1] + b"x",
        b"\x02\x00+" + bytes(600),
    ],
)
def test_garbage_before_a_login_ends_the_connection(tmp_path: Path, data: bytes) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server):
            assert await ask(server, data) == []
            assert server.glimpse_counters.malformed == 1
            assert len(messages_of(await ask(server, LOGIN))) > 20, "others are served"

    run(test)


def test_random_bytes_in_random_pieces_do_no_harm(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path, login_timeout_s=0.3, max_connections=200) as (lab, server):
            chance = random.Random(3)

            async def throw() -> None:
                data = chance.choice([b"", LOGIN, LOGIN[: chance.randrange(49)]])
                data += chance.randbytes(chance.randrange(200))
                async with a_client(server) as client:
                    while data and not client.writer.is_closing():
                        size = chance.randrange(1, 40)
                        client.writer.write(data[:size])
                        data = data[size:]
                        await asyncio.sleep(0)
                    await client.packets()

            await asyncio.gather(*(throw() for _ in range(100)))
            lab.publish(20)
            await until(lambda: server.glimpse_counters.connections == 0, "all gone")
            counters = server.glimpse_counters
            assert counters.malformed > 50
            assert len(messages_of(await ask(server, LOGIN))) > 20

    run(test)


@pytest.mark.parametrize("after", [LOGIN, soupbintcp.encode_unsequenced_data(b"x"), b"\x00\x00"])
def test_garbage_after_a_login_ends_the_connection(tmp_path: Path, after: bytes) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server):
            await ask(server, LOGIN + after)
            assert server.glimpse_counters.malformed == 1
            assert server.glimpse_counters.served == 0

    run(test)


def test_a_client_that_logs_out_or_leaves_while_it_waits_is_forgotten(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path, heartbeat_ms=60_000) as lab, a_server(lab) as server:
            assert await ask(server, LOGIN + soupbintcp.LOGOUT_REQUEST_PACKET) == []
            async with a_client(server) as client:
                client.writer.write(LOGIN)
                await until(lambda: len(server._glimpse._waiting) == 1, "it waits")
                client.writer.write_eof()
                assert await client.packets() == []
            await until(lambda: server.glimpse_counters.connections == 0, "forgotten")
            assert server.glimpse_counters.served == 0

    run(test)


def test_a_connection_without_a_login_is_closed(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path, login_timeout_s=0.05) as (_, server):
            assert await ask(server, b"") == []
            assert await ask(server, LOGIN[:-1]) == []
            assert server.glimpse_counters.timed_out == 2

    run(test)


def test_beyond_the_connections_allowed_a_further_one_is_closed(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path, max_connections=2) as (_, server):
            async with a_client(server), a_client(server):
                await until(lambda: server.glimpse_counters.connections == 2, "both are there")
                assert await ask(server, LOGIN) == []
                assert server.glimpse_counters.too_many == 1
            await until(lambda: server.glimpse_counters.connections == 0, "both are gone")
            assert len(messages_of(await ask(server, LOGIN))) > 20

    run(test)


async def many_orders(lab: Lab, server: MarketDataServer, count: int) -> None:
    """Orders in the books that the exchange need not know of, so many that they fill buffers."""
    for number in range(count):
        order = m.AddOrder(1, 0, server.depth.timestamp, (1 << 40) + number, "B", 1, "AAPL", 100)
        server.depth._add_order(itch50.encode(order))


def slow_socket(server: MarketDataServer) -> socket.socket:
    slow = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.connect(server.glimpse_address)
    slow.setblocking(False)
    return slow


def test_a_client_that_does_not_read_is_given_up_and_holds_nobody_up(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path, send_timeout_s=1) as (lab, server):
            await many_orders(lab, server, 150_000)
            with slow_socket(server) as slow:
                slow.send(LOGIN)
                await until(lambda: server.glimpse_counters.snapshots == 1, "it was made")
                [connection] = server._glimpse._connections
                transport = connection._transport
                assert transport is not None
                buffered = []
                for _ in range(20):
                    lab.publish(10)
                    await asyncio.sleep(0.005)
                    buffered.append(transport.get_write_buffer_size())
                await until(
                    lambda: server.depth.next_sequence_number == lab.position, "feed goes on"
                )
                assert max(buffered) < 1 << 19, "of a snapshot of 6 MB"
                assert len(connection._rest) > 1 << 20
                # Soon after the last one it has to wait for the next, and gets it.
                assert len(messages_of(await ask(server, LOGIN))) > 100_000, "others are served"
                await until(lambda: server.glimpse_counters.timed_out == 1, "given up")
            assert server.glimpse_counters.served == 1

    run(test)


def test_a_client_that_reads_slowly_gets_all_of_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (lab, server):
            await many_orders(lab, server, 30_000)
            loop, packets, found = (
                asyncio.get_running_loop(),
                PacketReader(Direction.SERVER_TO_CLIENT),
                [],
            )
            with slow_socket(server) as slow:
                slow.send(LOGIN)
                while data := await loop.sock_recv(slow, 10_000):
                    found += packets.feed(data)
                    # Ours must not cost the rest of what the server has for us.
                    slow.send(soupbintcp.CLIENT_HEARTBEAT_PACKET)
            messages = messages_of(found)
            assert len(messages) > 30_000
            assert messages[-1][:1] == b"G"

    run(test)


def test_while_the_books_are_not_complete_a_login_waits_and_is_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketdata.glimpse.COMPLETE_WITHIN_S", 0.1)

    async def test() -> None:
        async with a_lab(tmp_path, heartbeat_ms=60_000) as lab, a_server(lab) as server:
            assert await ask(server, LOGIN) == [(b"J", b"S")]
            assert server.glimpse_counters.session_not_available == 1

    run(test)


def test_a_login_that_waits_is_served_when_the_books_are_complete(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab:
            lab.cluster.reachable.clear()
            lab.publish(0)
            async with a_server(lab) as server, a_client(server) as client:
                client.writer.write(LOGIN)
                await until(lambda: server.receiver.missing > 0, "a heartbeat shows the gap")
                assert server.glimpse_counters.snapshots == 0
                lab.cluster.reachable.set()
                *_, end = messages_of(await client.packets())
                assert end == itch50.encode_end_of_snapshot(lab.position)

    run(test)


def test_closing_the_process_ends_the_connections(tmp_path: Path) -> None:
    async def test() -> None:
        async with trading(tmp_path) as (_, server), a_client(server) as client:
            await until(lambda: server.glimpse_counters.connections == 1, "connected")
            await server.close()
            assert await client.packets() == []

    run(test)


@given(st.integers(1, 2**64 - 1))
def test_the_end_of_a_snapshot_is_read_back(number: int) -> None:
    data = itch50.encode_end_of_snapshot(number)
    assert len(data) == 21
    assert itch50.decode_end_of_snapshot(data) == number
    for digits in (str(number).ljust(20), str(number).zfill(20)):
        assert itch50.decode_end_of_snapshot(b"G" + digits.encode()) == number


@pytest.mark.parametrize(
    "data",
    [b"", b"G", b"G" + b" " * 20, b"G" + b"0" * 20, b"G" + b"9" * 20, b"H" + b"1" * 20,
     b"G" + b"1" * 19, b"G" + b"1" * 21, b"G" + b"1 1".rjust(20), b"G" + b"-1".rjust(20),
     b"G" + "²".encode("latin-1").rjust(20)],
)  # fmt: skip
def test_what_is_no_end_of_a_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(ItchError):
        itch50.decode_end_of_snapshot(data)


@pytest.mark.parametrize("number", [0, -1, 2**64])
def test_a_number_that_cannot_come_next_is_not_encoded(number: int) -> None:
    with pytest.raises(ItchError):
        itch50.encode_end_of_snapshot(number)
