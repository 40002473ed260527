"""The market-data process on real multicast: loss, failover, late start, hostile datagrams."""

from __future__ import annotations

import asyncio
import random
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from multicast_lab import Lab, LossySender, a_lab, a_server, losing, nothing, run, until
from order_flow import SYMBOLS, assert_same_books

from cluster.interface import NodeRole
from cluster.settings import Address
from marketdata.depth import FeedError
from marketdata.server import MarketDataServer
from protocols import itch50, moldudp64
from protocols.itch50_messages import AddOrder, OrderDelete


async def caught_up(lab: Lab, server: MarketDataServer) -> None:
    await until(lambda: server.receiver.next_sequence_number >= lab.position, "caught up")


async def check_everything(lab: Lab, server: MarketDataServer) -> None:
    """The server has every message once, in order, and the books of the exchange."""
    await caught_up(lab, server)
    assert server.depth.next_sequence_number == lab.position
    assert_same_books(server.depth, lab.flow.machine)
    server.depth.check_invariants()
    assert server._store is not None
    assert server._store.read(1, lab.position, 1 << 40) == lab.all_messages()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("loss", [0.0, 0.3, 1.0])
def test_the_stream_has_no_gap_however_much_both_lines_lose(
    tmp_path: Path, loss: float, loop: Any
) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            for node_id, sender in lab.senders.items():
                # Heartbeats pass, or there would be no lines at all.
                lose = losing(loss, node_id)
                sender.lose = lambda data, lose=lose: len(data) > 20 and lose(data)
            lab.publish(0)
            await lab.publish_many(150)
            await check_everything(lab, server)
            counters = server.receiver.counters
            assert counters.lost == 0
            if loss == 0.3:
                assert counters.gaps > 0
                assert counters.filled > 20
                assert all(line.missed > 20 for line in counters.lines.values())
            if loss == 1.0:
                assert counters.filled == lab.position - 1
            await until(lambda: server.not_ready() is None, "ready")

    run(test, loop)


def test_one_line_is_enough_and_nothing_is_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.senders[1].lose = lambda _: True
            await until(lambda: ["position"] in [one for _, one in lab.cluster.asked], "greeting")
            lab.publish(0)
            await lab.publish_many(50)
            await check_everything(lab, server)
            assert server.receiver.counters.filled == 0
            lines = server.receiver.counters.lines
            assert (lines["A"].received, lines["B"].received) == (0, lab.position - 1)

    run(test)


def test_the_new_leader_goes_on_at_the_exact_next_number(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await lab.publish_many(40)
            # The last batch of the old leader reaches nobody on its line.
            lab.senders[1].lose = lambda _: True
            lab.senders[2].lose = lambda _: True
            lab.publish(30)
            await lab.kill(1)
            lab.senders[2].lose = lambda _: False
            lab.leader_id = 2
            lab.publishers[2].on_role(NodeRole.LEADER)
            await lab.publish_many(40)
            await check_everything(lab, server)
            assert server.receiver.counters.lost == 0

    run(test)


def test_a_message_that_only_the_standby_has_is_asked_for_there(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await caught_up(lab, server)
            # The leader is a batch behind; the standby's datagrams of it are lost.
            batch = lab.flow.batch(20)
            lab.senders[2].lose = lambda data: len(data) > 20
            lab.publishers[2].on_batch(batch)
            ahead = lab.publishers[2].feed.next_sequence_number
            assert ahead > lab.position
            await until(lambda: server.receiver.next_sequence_number == ahead, "filled by node 2")
            assert {node_id for node_id, _ in lab.cluster.asked} >= {None, 2}
            lab.publishers[1].on_batch(batch)
            await check_everything(lab, server)

    run(test)


def test_a_start_in_the_middle_of_the_day_fills_from_the_first_message(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path, heartbeat_ms=60_000) as lab:
            lab.publish(0)
            await lab.publish_many(60, commands=100)
            assert lab.position > 4_000
            async with a_server(lab) as server:
                await check_everything(lab, server)
                assert server.receiver.counters.filled == lab.position - 1
                assert server.not_ready() == "nothing was heard on either line yet"
                lab.publish(50)
                await until(lambda: server.not_ready() is None, "ready")

    run(test)


def test_it_starts_without_nodes_and_catches_up_when_they_come(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab:
            lab.cluster.reachable.clear()
            lab.publish(0)
            async with a_server(lab) as server:
                await until(lambda: server.receiver.missing > 0, "a heartbeat shows the gap")
                reason = server.not_ready()
                assert reason is not None
                assert "missing from 1 on" in reason
                lab.cluster.reachable.set()
                await check_everything(lab, server)

    run(test)


@pytest.mark.parametrize("answer", ["text", 7, [1, 2], {"a": 1}, [b"not ITCH"]])
def test_a_node_that_answers_nonsense_does_no_harm(tmp_path: Path, answer: Any) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.cluster.wrong_answer = answer
            lab.senders[1].lose = lab.senders[2].lose = lambda data: len(data) > 20
            lab.publish(0)
            asked = len(lab.cluster.asked)
            await until(lambda: len(lab.cluster.asked) > asked + 3, "asked again")
            assert server.receiver.next_sequence_number == 1
            lab.cluster.wrong_answer = None
            await check_everything(lab, server)

    run(test)


def test_hostile_datagrams_on_every_udp_port_change_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            chance = random.Random(5)
            session = moldudp64.session_field(lab.lines.session)
            sender = LossySender(nothing)
            ports = (lab.lines.line_a, lab.lines.line_b, server.rerequest_address)
            lab.publish(0)
            for round_ in range(60):
                for address in ports:
                    hostile = [
                        chance.randbytes(chance.randrange(0, 100)),
                        session + chance.randbytes(chance.randrange(0, 60)),
                        session + bytes(6) + chance.randbytes(2) + b"\x00\x02" + bytes(3),
                        moldudp64.encode_data(session, lab.position, [b"no ITCH"])[0],
                        moldudp64.encode_heartbeat(session, 2**63),
                    ]
                    sender.send(hostile[round_ % 5], address)
                lab.publish(10)
                await asyncio.sleep(0)
            lines = server.receiver.counters.lines
            await until(lambda: min(one.malformed for one in lines.values()) > 20, "garbage came")
            await until(lambda: server.rerequest_counters.malformed > 20, "garbage came")
            await check_everything(lab, server)
            await until(lambda: server.not_ready() is None, "the false heartbeats are forgotten")

    run(test)


def test_silence_of_both_lines_makes_it_unready_and_it_follows_by_asking(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab, silent_after_ms=100) as server:
            lab.publish(0)
            await caught_up(lab, server)
            lab.senders[1].lose = lab.senders[2].lose = lambda _: True
            await until(lambda: server.not_ready() is not None, "unready")
            assert "silent" in (server.not_ready() or "")
            lab.publish(20)
            await check_everything(lab, server)

    run(test)


def test_a_feed_that_contradicts_itself_ends_the_process(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await caught_up(lab, server)
            session = moldudp64.session_field(lab.lines.session)
            wrong = itch50.encode(OrderDelete(1, 0, 0, 4711))
            [datagram] = moldudp64.encode_data(session, lab.position, [wrong])
            LossySender(nothing).send(datagram, lab.lines.line_a)
            with pytest.raises(FeedError, match="order 4711 is not in any book"):
                await server.run()

    run(test)


def test_run_returns_after_close_and_close_may_be_called_twice(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            running = asyncio.ensure_future(server.run())
            await asyncio.sleep(0)
            assert not running.done()
            await server.close()
            await running
            await server.close()
            assert lab.cluster.closed

    run(test)


def test_an_address_that_is_taken_is_an_error_at_start(tmp_path: Path) -> None:
    async def test() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            async with a_lab(tmp_path) as lab, a_server(lab) as server:
                settings = server._settings
            settings = replace(settings, rerequest_bind=Address(*taken.getsockname()))
            second = MarketDataServer(settings, lab.cluster)
            with pytest.raises(OSError, match="in use"):
                await second.start()

    run(test)


async def get(server: MarketDataServer, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{server.http_address}{path}") as response,
    ):
        if response.content_type == "application/json":
            return response.status, await response.json()
        return response.status, await response.text()


def test_the_pages_show_books_trades_and_health(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await lab.publish_many(40)
            await check_everything(lab, server)
            await until(lambda: server.not_ready() is None, "ready")
            assert await get(server, "/healthz") == (200, {"status": "ok"})
            assert await get(server, "/readyz") == (200, {"status": "ready"})

            code, page = await get(server, "/book/AAPL?depth=3")
            book = server.depth.book("AAPL")
            assert book is not None
            assert (code, page["symbol"], page["sequence"]) == (200, "AAPL", lab.position - 1)
            assert page["trading_state"] == "T"
            for side, levels in (("bids", book.bids(3)), ("asks", book.asks(3))):
                assert page[side] == [
                    {
                        "price": f"{level.price // 10_000}.{level.price // 100 % 100:02d}",
                        "quantity": level.shares,
                        "orders": level.orders,
                    }
                    for level in levels
                ]
            assert page["bids"] or page["asks"]

            code, page = await get(server, "/trades/AAPL?limit=2")
            assert [trade["match_number"] for trade in page["trades"]] == [
                trade.match_number for trade in book.trades(2)
            ]
            assert set(page["trades"][0]) == {"time_ns", "price", "quantity", "match_number"}

            _, page = await get(server, "/symbols")
            assert [one["symbol"] for one in page["symbols"]] == list(SYMBOLS)
            _, page = await get(server, "/status")
            assert (page["sequence"], page["missing"], page["ready"]) == (lab.position - 1, 0, True)
            assert page["lines"]["A"]["received"] > 0
            code, text = await get(server, "/metrics")
            assert code == 200
            assert f"exchange_marketdata_next_sequence_number {lab.position}.0" in text
            assert 'exchange_marketdata_line_received_total{line="B"}' in text
            assert 'exchange_marketdata_glimpse_total{outcome="served"} 0.0' in text

    run(test)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_readers_without_end_do_not_keep_the_books_from_the_feed(tmp_path: Path, loop: Any) -> None:
    """50 of them ask for the longest pages, again and again, and few read the answers."""

    async def reads(server: MarketDataServer, session: aiohttp.ClientSession, slow: bool) -> None:
        url = "http://{}:{}/book/AAPL?depth=1000".format(*server.http_address)
        while True:
            async with session.get(url) as response:
                assert response.status == 200
                await (response.content.read(100) if slow else response.read())
                await asyncio.sleep(10 if slow else 0)

    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await caught_up(lab, server)
            server.depth.apply(
                [
                    itch50.encode(AddOrder(1, 0, 0, (1 << 40) + cents, "B", 1, "AAPL", 100 * cents))
                    for cents in range(1, 1_001)
                ]
            )
            server.depth.continue_at(lab.position)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                readers = [
                    asyncio.create_task(reads(server, session, slow=number % 2 == 0))
                    for number in range(50)
                ]
                for _ in range(100):
                    lab.publish(20)
                    await asyncio.sleep(0.002)
                await caught_up(lab, server)
                assert server.receiver.counters.gaps == 0
                assert server.depth.next_sequence_number == lab.position
                assert not any(reader.done() for reader in readers)
                for reader in readers:
                    reader.cancel()
                await asyncio.gather(*readers, return_exceptions=True)

    run(test, loop)


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("/book/NOPE", 404, "Unknown symbol 'NOPE'; known symbols: AAPL, MSFT, ZVZZT."),
        ("/trades/NOPE", 404, "Unknown symbol"),
        ("/book/AAPL?depth=0", 400, "depth='0' is not a number from 1 to 1000"),
        ("/book/AAPL?depth=-1", 400, "is not a number"),
        ("/book/AAPL?depth=%C2%B2", 400, "is not a number"),
        ("/book/AAPL?depth=" + "9" * 5000, 400, "is not a number"),
        ("/trades/AAPL?limit=x", 400, "limit='x'"),
        ("/nothing", 404, "404"),
    ],
)
def test_a_wrong_question_is_answered_with_a_sentence(
    tmp_path: Path, path: str, code: int, says: str
) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await caught_up(lab, server)
            found, page = await get(server, path)
            assert found == code
            assert says in page["error"]

    run(test)


def test_before_anything_was_heard_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path, heartbeat_ms=60_000) as lab, a_server(lab) as server:
            assert (await get(server, "/healthz"))[0] == 200
            assert await get(server, "/readyz") == (
                503,
                {"status": "not ready", "reason": "nothing was heard on either line yet"},
            )

    run(test)
