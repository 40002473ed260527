"""A cluster in one object: the real rules of the exchange, a log that never loses what is in it.

`FakeClusterClient` has the interface of cluster.client.ClusterClient. Commands are applied when the
test says so, or by themselves in the next turn of the event loop (`is_automatic`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cluster.client import ConnectionState, EventBatch, QueueFull
from cluster.codec import pack_commands, unpack_commands
from cluster.settings import Address
from cluster.submission import check_commands
from cluster.timings import Timings
from oms.commands import BustTrade, Command, CommandKind, LoadReferenceData, SetTradingState
from oms.events import Event
from oms.reference_data import Account, Instrument, SessionDefinition
from oms.state_machine import ExchangeStateMachine

START_NS = 1_704_187_800_000_000_000  # 2024-01-02 09:30:00 UTC


class FakeCluster:
    """The log and the state machine; `events[n - 1]` is event n, `time_ns` that of the last one."""

    def __init__(
        self,
        comp_ids: Sequence[str] = ("CLIENT1", "CLIENT2"),
        *,
        clock_ns: Callable[[], int] = lambda: START_NS,
        is_automatic: bool = False,
    ) -> None:
        self.clock_ns = clock_ns
        self.is_automatic = is_automatic
        self.machine = ExchangeStateMachine()
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self.clients: list[FakeClusterClient] = []
        self.symbols = ("AAPL", "MSFT")
        instruments = [
            Instrument(symbol, number, 100, 1, 1_000_000, 1_000, 1_000_000)
            for number, symbol in enumerate(self.symbols, 1)
        ]
        accounts = [
            Account(f"ACC{number}", f"FIRM{number}", 1_000_000, 10**15)
            for number in range(1, len(comp_ids) + 1)
        ]
        sessions = [
            SessionDefinition(comp_id, f"ACC{number}") for number, comp_id in enumerate(comp_ids, 1)
        ]
        self.apply(
            LoadReferenceData(
                int(CommandKind.LOAD_REFERENCE_DATA),
                tuple(map(tuple, instruments)),
                tuple(map(tuple, accounts)),
                tuple(map(tuple, sessions)),
            )
        )
        self.set_trading_state(2)

    def set_trading_state(self, state: int, symbol: str = "") -> None:
        self.apply(SetTradingState(int(CommandKind.SET_TRADING_STATE), symbol, state, "test"))

    def bust(self, match_number: int) -> None:
        self.apply(BustTrade(int(CommandKind.BUST_TRADE), match_number, "test"))

    def apply(self, command: Command) -> None:
        """Put one command through the log."""
        self.commands.append(command)
        self.time_ns = self.clock_ns()
        first_event_seq = len(self.events) + 1
        self.events += self.machine.apply(tuple(command), self.time_ns, first_event_seq)

    def client(
        self,
        client_id: str,
        nodes: dict[int, Address],
        *,
        on_batch: Callable[[EventBatch], None],
        on_state: Callable[[ConnectionState], None] | None = None,
        owners: Sequence[str] | None = (),
        from_event_seq: int = 1,
        max_pending: int = 20_000,
    ) -> FakeClusterClient:
        """A factory with the signature of ClusterClient."""
        made = FakeClusterClient(self, on_batch, on_state, owners, from_event_seq, max_pending)
        self.clients.append(made)
        return made

    def run(self, limit: int | None = None) -> None:
        """Apply what clients have submitted (at most `limit` commands), then tell all clients."""
        for client in list(self.clients):
            client.apply_submitted(limit)
        for client in list(self.clients):
            client.deliver()


class FakeClusterClient:
    """What a gateway sees of the cluster."""

    refusal = "another process has taken over"

    def __init__(
        self,
        cluster: FakeCluster,
        on_batch: Callable[[EventBatch], None],
        on_state: Callable[[ConnectionState], None] | None,
        owners: Sequence[str] | None,
        from_event_seq: int,
        max_pending: int,
    ) -> None:
        self._cluster = cluster
        self._on_batch = on_batch
        self._on_state = on_state
        self._owners = owners
        self._next_event_seq = from_event_seq
        self._max_pending = max_pending
        self._submitted: list[Command] = []  # not in the log yet
        self._next_number = 1
        self._applied = 0
        self._answered = 0
        self._is_scheduled = False
        self.round_trips = Timings()
        self.from_event_seq = from_event_seq
        self.state = ConnectionState.SEARCHING

    async def start(self) -> None:
        self.set_ready()

    def set_ready(self) -> None:
        self.state = ConnectionState.READY
        if self._on_state is not None:
            self._on_state(self.state)
        self.deliver()

    async def close(self) -> None:
        self.kill()

    def kill(self) -> None:
        """The process is gone: what is not in the log is lost, nothing is delivered any more."""
        self._submitted.clear()
        if self in self._cluster.clients:
            self._cluster.clients.remove(self)

    @property
    def pending(self) -> int:
        return self._next_number - 1 - self._answered

    def submit(self, command: Command) -> int:
        return self.submit_all((command,))

    def submit_all(self, commands: Sequence[Command]) -> int:
        if self.pending + len(commands) > self._max_pending:
            raise QueueFull(f"{self.pending} commands wait")
        self._next_number += len(commands)
        blob = pack_commands(list(commands))
        check_commands(blob)  # a node cuts off a client whose commands do not pass
        self._submitted += unpack_commands(blob)
        if self._cluster.is_automatic and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run_cluster)
        return self._next_number - 1

    def _run_cluster(self) -> None:
        self._is_scheduled = False
        self._cluster.run()

    def apply_submitted(self, limit: int | None) -> None:
        taken = self._submitted[:limit]
        del self._submitted[: len(taken)]
        for command in taken:
            self._cluster.apply(command)
            self._applied += 1

    def deliver(self) -> None:
        """One batch with everything since the last one."""
        events = self._cluster.events
        first = self._next_event_seq
        if first > len(events) and self._answered == self._applied:
            return
        wanted = [
            (number, event)
            for number, event in enumerate(events[first - 1 :], first)
            if self._owners is None or event[1] in self._owners
        ]
        self._next_event_seq = len(events) + 1
        self._answered = self._applied
        self._on_batch(EventBatch(self._cluster.time_ns, len(events), self._answered, wanted))
