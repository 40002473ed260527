"""The documented procedure: snapshot and live feed spliced, on real multicast, while it trades."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from multicast_lab import Lab, a_lab, a_server, losing, run, until
from order_flow import assert_same_books

from cluster.settings import Address
from marketdata.depth import FeedError
from marketdata.glimpse_client import BooksFromSnapshot, GlimpseError, Snapshot, fetch_snapshot
from marketdata.server import MarketDataServer
from protocols import itch50, moldudp64, soupbintcp
from protocols.itch50_messages import OrderDelete

USER = ("GLIMPS", "password")


class Splice:
    """Books from a snapshot, and what they were made of."""

    def __init__(self, lab: Lab, server: MarketDataServer, *, rerequest: bool = True) -> None:
        self.snapshot: Snapshot | None = None
        self.numbers: list[int] = []
        self.messages: list[bytes] = []
        self.books = BooksFromSnapshot(
            lab.lines,
            server.glimpse_address,
            *USER,
            rerequest=server.rerequest_address if rerequest else None,
            on_messages=self._on_messages,
            on_snapshot=self._on_snapshot,
        )

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def _on_messages(self, first: int, messages: list[bytes]) -> None:
        self.numbers += range(first, first + len(messages))
        self.messages += messages

    async def check(self, lab: Lab) -> None:
        """The splice is exact, and the books are those of the exchange."""
        books, snapshot = self.books, self.snapshot
        assert snapshot is not None
        first = snapshot.next_sequence_number
        await until(lambda: books.depth.next_sequence_number == lab.position, "it follows")
        assert books.failure is None
        assert self.numbers == list(range(first, lab.position))
        assert self.messages == lab.all_messages()[first - 1 :]
        books.depth.check_invariants()
        for symbol, listing in lab.flow.machine.state.listings.items():
            book = books.depth.book(symbol)
            assert book is not None
            book.last_price = listing.last_price  # trades before the snapshot are not in it
        assert_same_books(books.depth, lab.flow.machine)


@asynccontextmanager
async def ready(folder: Path, seed: int = 1) -> AsyncIterator[tuple[Lab, MarketDataServer]]:
    async with a_lab(folder, seed) as lab, a_server(lab) as server:
        lab.publish(0)
        await lab.publish_many(30)
        await until(lambda: server.not_ready() is None, "ready")
        yield lab, server


async def keep_trading(lab: Lab, pause_s: Callable[[], float]) -> None:
    while True:
        lab.publish(10)
        await asyncio.sleep(pause_s())


@asynccontextmanager
async def trading_on(lab: Lab, seed: int = 1) -> AsyncIterator[None]:
    chance = random.Random(seed)
    task = asyncio.create_task(keep_trading(lab, lambda: chance.random() * 0.002))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_client_that_comes_while_it_trades_has_the_books_of_the_exchange(
    tmp_path: Path, seed: int
) -> None:
    async def test() -> None:
        async with ready(tmp_path, seed) as (lab, server):
            splices = []
            async with trading_on(lab, seed):
                for _ in range(5):
                    splice = Splice(lab, server, rerequest=False)
                    await splice.books.start()
                    splices.append(splice)
                    await asyncio.sleep(0.01)
            for splice in splices:
                await splice.check(lab)
                await splice.books.close()
            first = [s.snapshot.next_sequence_number for s in splices if s.snapshot is not None]
            assert first == sorted(set(first)), "each came at another moment"

    run(test)


def test_what_came_before_the_snapshot_is_dropped_and_what_came_after_is_applied(
    tmp_path: Path,
) -> None:
    """The server is slow: messages of both kinds wait at the client."""

    async def test() -> None:
        async with ready(tmp_path) as (lab, server):
            splice = Splice(lab, server)
            serve = server._glimpse._serve_waiting
            before, after = lab.position, 0

            def late() -> None:
                nonlocal after
                for _ in range(20):
                    lab.publish(10)
                serve()
                for _ in range(20):
                    lab.publish(10)
                after = lab.position

            server._glimpse._serve_waiting = late  # type: ignore[method-assign]
            await splice.books.start()
            assert splice.snapshot is not None
            assert before < splice.snapshot.next_sequence_number < after
            await splice.check(lab)
            await splice.books.close()

    run(test)


def test_messages_that_both_lines_lose_meanwhile_are_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with ready(tmp_path) as (lab, server):
            for node_id, sender in lab.senders.items():
                lose = losing(0.5, node_id)
                sender.lose = lambda data, lose=lose: len(data) > 20 and lose(data)  # type: ignore[misc]
            splices = []
            async with trading_on(lab):
                for _ in range(4):
                    splice = Splice(lab, server)
                    await splice.books.start()
                    splices.append(splice)
                await asyncio.sleep(0.05)
            for splice in splices:
                await splice.check(lab)
                assert splice.books.receiver.counters.filled > 0
                await splice.books.close()

    run(test)


def test_without_anybody_to_ask_a_loss_ends_the_books_with_a_reason(tmp_path: Path) -> None:
    async def test() -> None:
        async with ready(tmp_path) as (lab, server):
            splice = Splice(lab, server, rerequest=False)
            await splice.books.start()
            lab.senders[1].lose = lab.senders[2].lose = lambda _: True
            lost = lab.position
            lab.publish(20)
            lab.senders[1].lose = lambda _: False
            lab.publish(20)
            await until(lambda: splice.books.failure is not None, "it fails")
            assert f"messages {lost} to " in str(splice.books.failure)
            assert splice.books.depth.next_sequence_number == lost
            await splice.books.close()

    run(test)


def test_a_feed_that_contradicts_the_snapshot_ends_the_books_with_a_reason(tmp_path: Path) -> None:
    async def test() -> None:
        async with ready(tmp_path) as (lab, server):
            splice = Splice(lab, server)
            await splice.books.start()
            session = moldudp64.session_field(lab.lines.session)
            wrong = itch50.encode(OrderDelete(1, 0, 0, 4711))
            [datagram] = moldudp64.encode_data(session, lab.position, [wrong])
            lab.senders[1].send(datagram, lab.lines.line_a)
            await until(lambda: splice.books.failure is not None, "it fails")
            assert "order 4711 is not in any book" in str(splice.books.failure)
            with pytest.raises(FeedError):  # it was for the server, too
                await server.run()
            await splice.books.close()

    run(test)


def test_a_day_that_has_just_begun_needs_no_rule_of_its_own(tmp_path: Path) -> None:
    """The client hears message 1 itself, before the snapshot: it is not applied twice."""

    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            splice = Splice(lab, server)
            serve, lines = server._glimpse._serve_waiting, splice.books.receiver.counters.lines

            def late() -> None:
                if lines["A"].received == 0:
                    lab.publish(0)
                    lab.publish(50)
                if lines["A"].received < lab.position - 1:
                    asyncio.get_running_loop().call_later(0.01, late)
                else:
                    serve()

            server._glimpse._serve_waiting = late  # type: ignore[method-assign]
            await splice.books.start()
            assert splice.snapshot is not None
            assert splice.snapshot.next_sequence_number == lab.position > 20
            await lab.publish_many(20)
            await splice.check(lab)
            await splice.books.close()

    run(test)


@pytest.mark.parametrize(
    ("user", "session", "says"),
    [
        (("GLIMPS", "wrong"), "", "refused: not authorized"),
        (USER, "OTHER", "refused: session not available"),
        (("TOO LONG A NAME", "x"), "", "user name"),
    ],
)
def test_a_refusal_is_an_error_with_the_reason(
    tmp_path: Path, user: tuple[str, str], session: str, says: str
) -> None:
    async def test() -> None:
        async with ready(tmp_path) as (_, server):
            with pytest.raises(GlimpseError, match=says):
                await fetch_snapshot(server.glimpse_address, *user, session)

    run(test)


ACCEPTED = soupbintcp.encode_login_accepted("DAY1", 1)
DELETE = soupbintcp.encode_sequenced_data(itch50.encode(OrderDelete(1, 0, 0, 1)))
END = soupbintcp.encode_sequenced_data(itch50.encode_end_of_snapshot(7))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ended after 0 messages"),
        (ACCEPTED + DELETE, "ended after 1 messages, without a G"),
        (ACCEPTED + DELETE + soupbintcp.END_OF_SESSION_PACKET, "session ended after 1 messages"),
        (DELETE, "data before Login Accepted"),
        (b"HTTP/1.1 400 Bad Request", "length|bytes|type"),
        (ACCEPTED + soupbintcp.encode_sequenced_data(b"!"), "message type"),
        (ACCEPTED + soupbintcp.encode_sequenced_data(b"G7"), "End of Snapshot"),
        (None, "silent for"),
    ],
)
def test_a_server_that_talks_nonsense_is_an_error(data: bytes | None, says: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(49)
        if data is not None:
            writer.write(data)
            writer.close()

    async def test() -> None:
        async with served_by(serve) as address:
            with pytest.raises(GlimpseError, match=says):
                await fetch_snapshot(address, *USER, silence_s=0.2)

    run(test)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served_by(handler: Handler) -> AsyncIterator[Address]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield Address(*server.sockets[0].getsockname())
    finally:
        server.close()


def test_heartbeats_and_debug_packets_may_stand_anywhere() -> None:
    idle = soupbintcp.SERVER_HEARTBEAT_PACKET + soupbintcp.encode_debug("hello")

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in idle + ACCEPTED + idle + DELETE + idle + END + idle:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        writer.close()

    async def test() -> None:
        async with served_by(serve) as address:
            snapshot = await fetch_snapshot(address, *USER)
        assert snapshot == ("DAY1", [DELETE[3:]], 7)

    run(test)


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    async def test() -> None:
        async with ready(tmp_path) as (lab, server):
            books = BooksFromSnapshot(lab.lines, Address("127.0.0.1", 1), *USER)
            with pytest.raises(GlimpseError, match=r"127\.0\.0\.1:1"):
                await books.start()
            await books.close()
            assert server.glimpse_counters.served == 0

    run(test)
