"""The FIX client against an acceptor whose every byte the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cluster.settings import Address
from exchange.fix_client import FixClient, FixClientError, new_order_single
from exchange.local import wait_for
from protocols.fix import FixDecoder, FixMessage, encode

NOW = "20260101-09:30:00.000"


class Acceptor:
    """The other end: reads messages one by one, sends what the test says."""

    def __init__(self) -> None:
        self.address = Address("127.0.0.1", 0)
        self._connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self._server: asyncio.Server | None = None
        self._messages: list[FixMessage] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            lambda reader, writer: self._connections.put_nowait((reader, writer)), "127.0.0.1", 0
        )
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def accept(self) -> None:
        async with asyncio.timeout(5):
            self._reader, self._writer = await self._connections.get()
        self._decoder = FixDecoder()
        self._messages = []

    async def receive(self) -> FixMessage:
        async with asyncio.timeout(5):
            while not self._messages:
                data = await self._reader.read(4096)
                assert data, "the client closed the connection"
                self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def send(self, msg_type: str, seq: int, *fields: tuple[int, object], **header: Any) -> None:
        self._writer.write(
            encode(
                msg_type,
                fields,
                begin_string="FIX.4.4",
                sender="EXCH",
                target="ME",
                seq=seq,
                sending_time=NOW,
                **header,
            )
        )

    async def log_on(self, seq: int = 1) -> FixMessage:
        await self.accept()
        logon = await self.receive()
        assert logon.msg_type == "A"
        self.send("A", seq, (98, 0), (108, 10))
        return logon

    def disconnect(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()


Story = Callable[[Acceptor, FixClient, list[FixMessage]], Awaitable[None]]


def play(story: Story, **options: Any) -> list[FixMessage]:
    """Run a story between an acceptor and a client; returns what the client's owner was given."""
    given: list[FixMessage] = []

    async def run() -> None:
        acceptor = Acceptor()
        await acceptor.start()
        client = FixClient(acceptor.address, "ME", lambda m, _: given.append(m), **options)
        try:
            await story(acceptor, client, given)
        finally:
            await client.stop(timeout_s=0.01)
            await acceptor.close()

    asyncio.run(run())
    return given


async def logged_on(acceptor: Acceptor, client: FixClient) -> None:
    starting = asyncio.create_task(client.start(5))
    await acceptor.log_on()
    await starting


def order(name: str) -> list[tuple[int, object]]:
    return new_order_single(name, "AAPL", "1", 100, "1.00")


def report(name: str) -> tuple[tuple[int, object], ...]:
    return ((37, 1), (11, name), (150, "0"))


def test_numbers_go_up_and_reports_are_given_once_in_order() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        client.send("D", order("a"))
        client.send("D", order("b"))
        assert [(await acceptor.receive()).get(34) for _ in range(2)] == ["2", "3"]
        acceptor.send("8", 2, *report("a"))
        acceptor.send("8", 3, *report("b"))
        await wait_for(lambda: len(given) == 2, "both reports", 5)

    assert [message.get(11) for message in play(story)] == ["a", "b"]


def test_a_gap_is_asked_for_and_what_came_early_waits() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        acceptor.send("8", 4, *report("c"))
        asked = await acceptor.receive()
        assert (asked.msg_type, asked.get(7), asked.get(16)) == ("2", "2", "0")
        assert given == []
        for seq, name in ((2, "a"), (3, "b"), (4, "c")):
            acceptor.send("8", seq, *report(name), poss_dup=True, orig_sending_time=NOW)
        acceptor.send("8", 5, *report("d"))
        await wait_for(lambda: len(given) == 4, "all reports", 5)

    assert [message.get(11) for message in play(story)] == ["a", "b", "c", "d"]


def test_a_gap_fill_jumps_over_administrative_messages() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        acceptor.send("8", 9, *report("z"))
        await acceptor.receive()
        acceptor.send("4", 2, (123, "Y"), (36, 9), poss_dup=True, orig_sending_time=NOW)
        await wait_for(lambda: len(given) == 1, "the report", 5)
        assert client.next_in == 10

    assert [message.get(11) for message in play(story)] == ["z"]


def test_a_duplicate_is_dropped_and_a_low_number_without_poss_dup_ends_the_session() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        acceptor.send("8", 2, *report("a"))
        acceptor.send("8", 2, *report("a"), poss_dup=True, orig_sending_time=NOW)
        acceptor.send("8", 3, *report("b"))
        await wait_for(lambda: len(given) == 2, "two reports", 5)
        acceptor.send("8", 2, *report("a"))
        await wait_for(lambda: not client.is_logged_on, "the end of the session", 5)
        with pytest.raises(FixClientError, match="MsgSeqNum 2 again"):
            await client.wait_logged_on(5)

    assert [message.get(11) for message in play(story)] == ["a", "b"]


def test_a_resend_request_is_answered_with_messages_and_gap_fills() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        client.send("D", order("a"))
        acceptor.send("1", 2, (112, "ping"))
        sent = [await acceptor.receive() for _ in range(2)]
        assert [message.msg_type for message in sent] == ["D", "0"]
        assert sent[1].get(112) == "ping"
        client.send("D", order("b"))
        await acceptor.receive()
        acceptor.send("2", 3, (7, 1), (16, 0))
        fill = await acceptor.receive()
        assert (fill.msg_type, fill.get(34), fill.get(123), fill.get(36)) == ("4", "1", "Y", "2")
        first = await acceptor.receive()
        assert (first.msg_type, first.get(34), first.get(43)) == ("D", "2", "Y")
        assert first.get(11) == "a"
        assert first.get(122) == sent[0].get(52)
        fill = await acceptor.receive()
        assert (fill.get(34), fill.get(36)) == ("3", "4")
        assert (await acceptor.receive()).get(11) == "b"

    play(story)


def test_after_a_lost_connection_the_numbers_go_on_and_nothing_sent_is_forgotten() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        acceptor.send("8", 2, *report("a"))
        await wait_for(lambda: len(given) == 1, "the report", 5)
        acceptor.disconnect()
        await wait_for(lambda: not client.is_logged_on, "the loss", 5)
        assert client.send("D", order("while away")) == 2
        logon = await acceptor.log_on(seq=3)
        assert logon.get(34) == "3"
        assert logon.get(141) is None
        acceptor.send("2", 4, (7, 2), (16, 0))
        again = await acceptor.receive()
        assert (again.msg_type, again.get(34), again.get(11)) == ("D", "2", "while away")

    play(story)


def test_a_refused_logon_is_an_error_with_the_text_of_the_logout() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        starting = asyncio.create_task(client.start(5))
        await acceptor.accept()
        await acceptor.receive()
        acceptor.send("5", 1, (58, "wrong password"))
        with pytest.raises(FixClientError, match="wrong password"):
            await starting

    play(story)


def test_a_reset_starts_both_numbers_at_1() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        starting = asyncio.create_task(client.start(5))
        await acceptor.accept()
        logon = await acceptor.receive()
        assert (logon.get(34), logon.get(141)) == ("1", "Y")
        acceptor.send("A", 1, (98, 0), (108, 10), (141, "Y"))
        await starting
        assert (client.next_in, client.next_out) == (2, 2)

    play(story, reset_numbers=True)


def test_silence_is_answered_with_a_test_request_and_then_a_new_connection() -> None:
    async def story(acceptor: Acceptor, client: FixClient, given: list[FixMessage]) -> None:
        await logged_on(acceptor, client)
        kinds = []
        while "1" not in kinds:
            kinds.append((await acceptor.receive()).msg_type)
        assert kinds.count("0") >= 1
        await acceptor.log_on(seq=2)
        await wait_for(lambda: client.disconnects == 1, "the first connection is gone", 5)

    play(story, heartbeat_s=1)
