"""Our cluster: the nodes of an exchange, and a ClusterClient as a gateway has one."""

from __future__ import annotations

from array import array
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench.peers.replicator import COMMAND_BYTES, ClosedLoop
from cluster.client import ClusterClient, EventBatch
from cluster.codec import pack_commands
from exchange.local import LocalExchange, local_exchange
from exchange.settings import node_addresses
from oms.commands import Command, CommandKind, EnterOrder

_CLIENT: Final = "peers"
_FIRST_NUMBER: Final = 100_000
"""MsgSeqNums from here on have the same length."""
_MAX_PENDING: Final = 100_000


class Ours:
    """Each command is an order, and each second one trades with the one before: beside replicating
    48 bytes the nodes check, match, publish and store what follows from them."""

    name = "this exchange"
    version = ""
    durability = "fdatasync on a majority before the answer; and it matches, and publishes"
    client = "ClusterClient, one connection"

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._exchange: LocalExchange
        self._client: ClusterClient
        self._loop: ClosedLoop
        self._numbers: dict[int, int] = {}
        self._answered = 0
        self._session = ""
        self._symbol = ""

    async def start(self, folder: Path) -> None:
        """As Replicator.start."""
        self._exchange = await self._stack.enter_async_context(local_exchange(folder / "ours"))
        config = self._exchange.config
        self._session = config.fix_sessions[-1].comp_id
        self._symbol = config.instruments[0].symbol
        assert len(pack_commands([self.command(0)])) == COMMAND_BYTES
        self._client = ClusterClient(
            _CLIENT,
            node_addresses(config),
            on_batch=self._on_batch,
            owners=(),
            from_event_seq=0,
            max_pending=_MAX_PENDING,
        )
        self._loop = ClosedLoop(self._send)
        self._stack.push_async_callback(self._client.close)
        await self._client.start()

    def command(self, number: int) -> Command:
        """Buy, sell, buy, sell, at one price."""
        return EnterOrder(
            CommandKind.ENTER_ORDER, self._session, _FIRST_NUMBER + number, "",
            f"{number:016d}", self._symbol, 1 + number % 2, 2, 0, 100, 1_000_000,
        )  # fmt: skip

    def _send(self, number: int) -> None:
        self._numbers[self._client.submit(self.command(number))] = number

    def _on_batch(self, batch: EventBatch) -> None:
        for command_number in range(self._answered + 1, batch.answered + 1):
            self._loop.answered(self._numbers.pop(command_number))
        self._answered = max(self._answered, batch.answered)

    async def run(self, in_flight: int, seconds: float) -> array[int]:
        """As Replicator.run."""
        return await self._loop.run(in_flight, seconds)

    def pids(self) -> list[int]:
        """Of the nodes; gateways and market data have nothing to do with it."""
        pids = (self._exchange.pid(f"node-{number}") for number in (1, 2, 3))
        return [pid for pid in pids if pid is not None]

    async def stop(self) -> None:
        """As Replicator.stop."""
        await self._stack.aclose()
