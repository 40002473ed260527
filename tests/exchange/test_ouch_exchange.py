"""OUCH over real processes: two gateways, clients that move between them, kills in the middle."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from cluster.disk import RealDisk
from cluster.replay import recover
from cluster.replica import Replica
from exchange.config_sections import Addresses
from exchange.http_client import get_json
from exchange.journals import REGULAR_ENTRY, read_journals
from exchange.local import LocalExchange, free_base_port, local_exchange, wait_for
from exchange.ouch_client import OuchClient
from gateway.ouch.outbound import Outbound
from protocols import ouch50
from protocols.ouch50_codes import NS_PER_DAY
from protocols.ouch50_messages import (
    AccountQuery,
    AccountQueryResponse,
    EnterOrder,
    MassCancel,
    MassCancelResponse,
    OrderAccepted,
    OrderCanceled,
    OrderExecuted,
)

ORDERS = 2_500
UNANSWERED_MAX = 300
PRICE = 100_0000
GATEWAYS = ("gateway-ouch-1", "gateway-ouch-2")


def two_gateways() -> dict[str, str]:
    """Changes of the configuration."""
    changes = {}
    for name in ("ouch", "ouch_http"):
        default = getattr(Addresses(), name)[0].port
        first, second = (free_base_port() + default for _ in range(2))
        changes[f"addresses.{name}"] = f'["127.0.0.1:{first}", "127.0.0.1:{second}"]'
    return changes


class Trader:
    """A user that numbers its orders, and everything that it was told."""

    def __init__(self, addresses, username, side):
        self.messages = []
        self.accepted = Counter()
        self.sent = 0
        self.next_number = None
        self.client = OuchClient(addresses, username, self._told)
        self._side = side

    def _told(self, number, data):
        assert number == len(self.messages) + 1
        self.messages.append(data)
        message = ouch50.decode_outbound(data)
        if isinstance(message, OrderAccepted):
            self.accepted[message.user_ref_num] += 1
            self.client.answered(message.user_ref_num)
        elif isinstance(message, AccountQueryResponse):
            self.next_number = message.next_user_ref_num
            self.client.answered("query")

    async def trade(self, orders):
        """Send orders, in bursts, as fast as they are answered."""
        while self.sent < orders:
            for _ in range(50):
                self.sent += 1
                time_in_force = "3" if self.sent % 10 == 0 else "0"
                order = EnterOrder(
                    self.sent, self._side, 1 + self.sent % 5, "AAPL", PRICE, time_in_force,
                    "Y", "P", "N", "N", f"order {self.sent}",
                )  # fmt: skip
                self.client.send(order, until=self.sent)
            await wait_for(
                lambda: self.client.unanswered <= UNANSWERED_MAX, "orders are answered", 30, 0.001
            )

    async def accepted_reach(self, count):
        await wait_for(lambda: len(self.accepted) >= count, f"{count} accepted", 30, 0.001)


async def fault_after_fault(exchange: LocalExchange, traders: list[Trader]) -> None:
    """What happens while both send; the first one's progress says when."""
    first, second = traders
    await first.accepted_reach(ORDERS // 8)
    first.client.move()
    await first.accepted_reach(2 * ORDERS // 8)
    first.client.move()
    second.client.move()
    await first.accepted_reach(3 * ORDERS // 8)
    await exchange.kill(GATEWAYS[0])
    await first.accepted_reach(4 * ORDERS // 8)
    leader = f"node-{await exchange.leader()}"
    await exchange.kill(leader)
    await exchange.restart(GATEWAYS[0])
    await first.accepted_reach(5 * ORDERS // 8)
    await exchange.restart(leader)
    second.client.move()
    await first.accepted_reach(6 * ORDERS // 8)
    for trader in traders:
        trader.client.move()
    await first.accepted_reach(7 * ORDERS // 8)
    await exchange.kill(GATEWAYS[1])
    await exchange.restart(GATEWAYS[1])


async def read_again(exchange: LocalExchange, number: int, trader: Trader) -> list[bytes]:
    """What a login from 1 at one gateway brings, up to the message that is the last one."""
    messages: list[bytes] = []
    address = exchange.config.addresses.ouch[number]
    client = OuchClient(
        [address], trader.client.username, lambda _, message: messages.append(message)
    )
    await client.start()
    wanted = len(trader.messages)
    await wait_for(lambda: len(messages) >= wanted, "all messages are there again", 20)
    facts = await get_json(exchange.config.addresses.ouch_http[number], "/sessions")
    (mine,) = [fact for fact in facts if fact["username"] == trader.client.username]
    assert mine["next_out"] == wanted + 1
    await client.stop()
    return messages


async def two_traders(exchange: LocalExchange) -> list[Trader]:
    """Trade while everything goes wrong, and log in again at each gateway."""
    one, two = exchange.config.addresses.ouch
    traders = [Trader([one, two], "OUCH1", "B"), Trader([two, one], "OUCH2", "S")]
    for trader in traders:
        await trader.client.start()
    await asyncio.gather(
        fault_after_fault(exchange, traders), *(trader.trade(ORDERS) for trader in traders)
    )
    for trader in traders:
        await wait_for(lambda t=trader: not t.client.unanswered, "everything is answered", 30)
    for trader in traders:  # nothing trades any more: the answer to this is the last message
        trader.client.send(AccountQuery(), until="query")
        await wait_for(lambda t=trader: t.next_number, "the last answer", 10)
        await trader.client.stop()
    for trader in traders:
        for number in range(len(GATEWAYS)):
            assert await read_again(exchange, number, trader) == trader.messages
    await exchange.wait_until_level()
    return traders


def messages_of_journal(folder: Path, usernames: list[str]) -> dict[str, list[bytes]]:
    """The OUCH messages that follow from the journal of one node alone."""
    replica = Replica()
    outbound = {name: Outbound() for name in usernames}
    messages: dict[str, list[bytes]] = {name: [] for name in usernames}
    for entry, index, term in recover(RealDisk(), folder / "wal").replay.entries:
        if entry[0] != REGULAR_ENTRY:
            continue
        batch = replica.apply(index, term, entry[1:])
        for event in batch.events:
            if event[1] in outbound:
                message = outbound[event[1]].message(event, batch.time_ns % NS_PER_DAY)
                if message is not None:
                    messages[event[1]].append(message)
    return messages


def executions(trader: Trader) -> dict[int, tuple[int, int]]:
    """Quantity and price by match number."""
    decoded = map(ouch50.decode_outbound, trader.messages)
    found = [message for message in decoded if isinstance(message, OrderExecuted)]
    by_match = {message.match_number: (message.quantity, message.price) for message in found}
    assert len(by_match) == len(found), "a match is told once"
    return by_match


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_between_two_gateways_with_kills_in_the_middle(
    tmp_path: Path,
) -> None:
    async def run() -> tuple[LocalExchange, list[Trader]]:
        async with local_exchange(tmp_path, two_gateways()) as exchange:
            return exchange, await two_traders(exchange)

    exchange, traders = asyncio.run(run())
    for trader in traders:
        assert trader.accepted == Counter(range(1, ORDERS + 1)), "each number exactly once"
        assert trader.next_number == ORDERS + 1
        assert trader.client.logins >= 3, "it has moved"
    buyer, seller = map(executions, traders)
    assert buyer == seller
    assert len(buyer) > ORDERS / 10

    folders = [exchange.config.data_dir / f"node-{node_id}" for node_id in (1, 2, 3)]
    journals = read_journals(folders)
    assert journals.problems == []
    for replayed in journals.replayed.values():
        for trader in traders:
            name = trader.client.username
            accepted = {key: n for key, n in replayed.accepted.items() if key[0] == name}
            assert accepted == {(name, str(number)): 1 for number in range(1, ORDERS + 1)}
    usernames = [trader.client.username for trader in traders]
    assert messages_of_journal(folders[0], usernames) == {
        trader.client.username: trader.messages for trader in traders
    }


OPEN_ORDERS = 6_000
"""More than the events of one frame from a node (cluster/client_connection.py)."""


def test_a_mass_cancel_of_thousands_is_told_order_by_order(tmp_path: Path) -> None:
    async def run() -> list[ouch50.OutboundMessage]:
        told: list[ouch50.OutboundMessage] = []

        def count(kind: type) -> int:
            return sum(isinstance(message, kind) for message in told)

        async with local_exchange(tmp_path) as exchange:
            client = OuchClient(
                exchange.config.addresses.ouch,
                "OUCH1",
                lambda _, message: told.append(ouch50.decode_outbound(message)),
            )
            await client.start()
            for number in range(1, OPEN_ORDERS + 1):
                price = PRICE - 100 * (number % 500 + 1)
                client.send(EnterOrder(number, "B", 1, "AAPL", price, "0", *"YPNN", ""))
            await wait_for(lambda: count(OrderAccepted) == OPEN_ORDERS, "all rest", 60)
            client.send(MassCancel(OPEN_ORDERS + 1, "", ""))
            await wait_for(lambda: count(OrderCanceled) == OPEN_ORDERS, "all are out", 60)
            await client.stop()
            await exchange.wait_until_level()
            return told

    told = asyncio.run(run())
    place = next(n for n, message in enumerate(told) if isinstance(message, MassCancelResponse))
    canceled = told[place + 1 :]
    assert [message.user_ref_num for message in canceled] == list(range(1, OPEN_ORDERS + 1))
    assert all(isinstance(message, OrderCanceled) for message in canceled)
