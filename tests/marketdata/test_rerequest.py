"""Re-requests over UDP, and the live tape that uses them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from multicast_lab import LOOPBACK, a_lab, a_server, free_lines, free_udp_port, losing, run, until

from cluster.settings import Address
from marketdata.message_store import MessageStore
from marketdata.receiver import FeedReceiver
from marketdata.rerequest import RateLimiter, ReRequestClient, ReRequestServer
from marketdata.tape import live
from protocols import moldudp64
from protocols.moldudp64 import DataPacket

SESSION = moldudp64.session_field("DAY1")


def a_rerequest_server(folder: Path, count: int = 200, rate: int = 1_000) -> ReRequestServer:
    store = MessageStore(folder / "store", "DAY1")
    store.append([b"message %d" % number for number in range(1, count + 1)])
    return ReRequestServer("DAY1", store, requests_per_s=rate)


def ask(server: ReRequestServer, request: bytes, now_s: float = 0.0) -> DataPacket | None:
    answer = server.answer(request, "10.0.0.1", now_s)
    if answer is None:
        return None
    assert len(answer) <= moldudp64.MAX_PAYLOAD
    packet = moldudp64.decode_downstream(answer)
    assert isinstance(packet, DataPacket)
    return packet


def test_an_answer_is_one_datagram_and_the_rest_is_asked_for_again(tmp_path: Path) -> None:
    server = a_rerequest_server(tmp_path)
    found: list[bytes] = []
    while len(found) < 200:
        packet = ask(server, moldudp64.encode_request(SESSION, len(found) + 1, 65_535))
        assert packet is not None
        assert packet.sequence_number == len(found) + 1
        found += packet.messages
    assert found == [b"message %d" % number for number in range(1, 201)]
    assert server.counters.answered > 1
    assert server.counters.messages == 200


def test_no_more_is_sent_than_was_asked_for(tmp_path: Path) -> None:
    packet = ask(a_rerequest_server(tmp_path), moldudp64.encode_request(SESSION, 199, 2))
    assert packet == ("DAY1", 199, [b"message 199", b"message 200"])


def test_garbage_other_sessions_and_numbers_not_published_get_no_answer(tmp_path: Path) -> None:
    server = a_rerequest_server(tmp_path)
    other = moldudp64.session_field("DAY2")
    good = moldudp64.encode_request(SESSION, 1, 1)
    for garbage in (
        b"",
        bytes(20),
        good[:-1],
        good + b"x",
        moldudp64.encode_request(SESSION, 1, 0),
    ):
        assert ask(server, garbage) is None
    assert ask(server, moldudp64.encode_request(other, 1, 1)) is None
    assert ask(server, moldudp64.encode_request(SESSION, 201, 1)) is None
    assert ask(server, moldudp64.encode_request(SESSION, 2**64 - 1, 65_535)) is None
    counters = server.counters
    assert (counters.malformed, counters.other_session, counters.not_published) == (5, 1, 2)
    assert counters.answered == 0


def test_a_source_gets_so_many_answers_per_second_and_others_still_get_theirs(
    tmp_path: Path,
) -> None:
    server = a_rerequest_server(tmp_path, rate=10)
    request = moldudp64.encode_request(SESSION, 1, 1)
    answers = [ask(server, request, now_s=1.0) for _ in range(30)]
    assert sum(answer is not None for answer in answers) == 10
    assert server.counters.rate_limited == 20
    assert server.answer(request, "10.0.0.2", 1.0) is not None
    assert ask(server, request, now_s=1.05) is None
    assert ask(server, request, now_s=1.2) is not None


def test_the_rates_of_a_bounded_number_of_sources_are_remembered() -> None:
    limiter = RateLimiter(1, max_sources=100)
    for number in range(10_000):
        assert limiter.allow(f"host {number}", 0.0)
    assert len(limiter._buckets) == 100
    assert not limiter.allow("host 9999", 0.0)


def test_a_member_fills_its_gaps_over_udp(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            received: list[bytes] = []

            def on_messages(first: int, messages: list[bytes]) -> None:
                assert first == len(received) + 1
                received.extend(messages)

            lab.publish(0)
            await lab.publish_many(30)

            def on_answer(first: int, messages: list[bytes]) -> None:
                receiver.fill(first, messages)

            client = ReRequestClient(lab.lines.session, on_answer)
            await client.start(server.rerequest_address)
            receiver = FeedReceiver(lab.lines, on_messages=on_messages, request=client.request)
            await receiver.start()
            for node_id in (1, 2):
                lab.senders[node_id].lose = losing(0.3, node_id)
            await lab.publish_many(60)
            await until(lambda: len(received) == lab.position - 1, "every message")
            assert received == lab.all_messages()
            assert receiver.counters.filled > 0
            assert server.rerequest_counters.answered > 0
            await receiver.close()
            client.close()

    run(test)


def test_a_server_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    async def test() -> None:
        client = ReRequestClient("DAY1", lambda *_: pytest.fail("nobody could answer"))
        await client.start(Address(LOOPBACK, free_udp_port()))
        for number in range(1, 20):
            client.request(number, 1)
            await asyncio.sleep(0)
        client.close()

    run(test)


def test_the_live_tape_begins_at_the_first_message_of_the_day_when_asked_to(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            lab.publish(0)
            await lab.publish_many(50)
            found = []
            async for sequence, message in live(
                lab.lines, rerequest=server.rerequest_address, start_at=1
            ):
                found.append((sequence, message))
                if sequence == 100:
                    await lab.publish_many(30)
                if sequence == lab.position - 1:
                    break
            assert found == list(enumerate(lab.all_messages(), 1))

    run(test)


def test_the_live_tape_begins_now_and_leaves_out_what_nobody_can_fill(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab:
            lab.publish(0)
            stream = live(lab.lines)
            first = asyncio.ensure_future(anext(stream))
            while not first.done():
                await lab.publish_many(1)
            sequence, message = await first
            assert sequence > 8
            assert message == lab.all_messages()[sequence - 1]
            for sender in lab.senders.values():
                sender.lose = lambda _: True
            lab.publish(50)
            for sender in lab.senders.values():
                sender.lose = lambda _: False
            lost_up_to = lab.position
            found = [sequence]
            lab.publish(50)
            while found[-1] < lab.position - 1:
                sequence, message = await anext(stream)
                assert message == lab.all_messages()[sequence - 1]
                found.append(sequence)
            assert found == sorted(set(found))
            assert lost_up_to in found
            assert lost_up_to - 1 not in found
            await stream.aclose()  # type: ignore[attr-defined]

    run(test)


def test_a_group_that_cannot_be_joined_is_an_error_at_start() -> None:
    async def test() -> None:
        lines = replace(free_lines(), interface="192.0.2.1")
        receiver = FeedReceiver(lines, on_messages=lambda *_: None)
        with pytest.raises(OSError, match="No such device"):
            await receiver.start()

    run(test)


def test_a_receiver_that_pauses_reads_on_later_and_loses_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with a_lab(tmp_path) as lab, a_server(lab) as server:
            server.receiver.pause()
            lab.publish(0)
            await lab.publish_many(20)
            await asyncio.sleep(0)
            assert server.receiver.next_sequence_number == 1
            server.receiver.resume()
            await until(
                lambda: server.receiver.next_sequence_number == lab.position, "every message"
            )

    run(test)
