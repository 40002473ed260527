"""A simulated gateway: the real ClusterClient, over simulated TCP to the real client ports.

It enters orders on one session, counts every answer, and may be killed and started again (then it
forgets everything but its name, like a gateway whose orders came from nowhere durable).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from cluster.client import ClusterClient, ConnectionState, EventBatch
from cluster.client_link import NodeLink
from cluster.settings import Address
from exchange.simulation.member import Member
from exchange.simulation.world import Life, Violation, World
from oms.commands import CancelOrder, CommandKind, EnterOrder, OpenSession
from oms.events import EventKind

_SYMBOLS = ("AAPL", "MSFT")
_PENDING_MAX = 20
_ANSWERS = (EventKind.ORDER_ACCEPTED, EventKind.ORDER_REJECTED)


class Pipe:
    """One end of a simulated TCP connection; looks like an asyncio transport to its protocol."""

    def __init__(self, world: World, life: Life, protocol: asyncio.Protocol) -> None:
        self.world = world
        self.life = life
        self.protocol = protocol
        self.other: Pipe | None = None
        self.open = True
        self.stalled: Callable[[], bool] = lambda: False
        self._last_arrival_s = 0.0

    def write(self, data: bytes) -> None:
        """Bytes to the other end, in order, unless the connection ends first."""
        other = self.other
        if not self.open or other is None or self.stalled():
            return
        rng = self.world.rng
        arrival_s = max(self._last_arrival_s, self.world.time() + 0.0002 + 0.0005 * rng.random())
        self._last_arrival_s = arrival_s
        self.world.after(arrival_s - self.world.time(), other.arrive, data)

    def arrive(self, data: bytes) -> None:
        """Bytes from the other end, for the process at this one."""
        if self.open:
            self.life.run(self.receive, data)

    def receive(self, data: bytes) -> None:
        """Bytes from the other end."""
        if self.open:
            self.protocol.data_received(data)

    def abort(self) -> None:
        """End the connection; both protocols learn of it."""
        for end in (self, self.other):
            if end is not None and end.open:
                end.open = False
                self.world.after(0.0002, end.protocol.connection_lost, None, life=end.life)

    def close(self) -> None:
        """End the connection once what was written has arrived."""
        self.world.after(max(0.0, self._last_arrival_s - self.world.time()) + 0.0001, self.abort)

    def get_extra_info(self, name: str) -> None:
        """No socket."""

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        """Nothing is buffered."""

    def pause_reading(self) -> None:
        """Not modelled: what was sent arrives."""

    def resume_reading(self) -> None:
        """Not modelled."""


class Gateway:
    """One client of the cluster with a session of its own."""

    def __init__(
        self, world: World, members: list[Member], session: str, orders_max: int = 3
    ) -> None:
        """Enters up to `orders_max` at a time."""
        self.world = world
        self.session = session
        self.trading = True
        self.sent = 0
        self.answers: dict[str, int] = {}
        self.last_answer_s = 0.0
        self.pause_s = world.rng.uniform(0.005, 0.05)
        """Mean time between two moments at which it trades."""
        self._orders_max = orders_max
        self._members = members
        self._open_orders: list[str] = []
        self._lives = 0
        self.start()

    # --- life and death ---

    def start(self) -> None:
        """A new process: a new incarnation, the same name."""
        self._lives += 1
        self.life = Life(self.world)
        self._last_event_seq = 0
        self._open_orders.clear()
        self.client = ClusterClient(
            f"gateway-{self.session}",
            {member.node_id: Address("simulated", 0) for member in self._members},
            on_batch=self._on_batch,
            on_state=self._on_state,
            owners=[self.session],
            incarnation=self.world.rng.getrandbits(62),
        )
        self.client.attach(self.life.call_soon)
        self._pipes: dict[int, Pipe] = {}
        self.life.call_soon(self._dial)
        self.life.call_later(self.pause_s, self._trade)

    def crash(self) -> None:
        """The process is killed and started again at once."""
        self.life.end()
        for pipe in self._pipes.values():
            pipe.abort()
        self.world.count("gateway kills")
        self.start()

    def _dial(self) -> None:
        for member in self._members:
            pipe = self._pipes.get(member.node_id)
            if (pipe is None or not pipe.open) and member.port is not None:
                self._connect(member)
        self.life.call_later(0.05, self._dial)

    def _connect(self, member: Member) -> None:
        assert member.port is not None
        assert member.runtime is not None
        link = NodeLink(self.client, member.node_id, self.world.time)
        near = Pipe(self.world, self.life, link)
        far = Pipe(self.world, member.runtime, member.port.connection())
        near.other, far.other = far, near
        near.stalled = far.stalled = lambda: member.node_id in self.unreachable
        self._pipes[member.node_id] = near
        far.protocol.connection_made(cast(asyncio.BaseTransport, far))
        link.connection_made(cast(asyncio.BaseTransport, near))

    unreachable: dict[int, None] = {}
    """Nodes that clients cannot reach at the moment; bytes to and from them are lost."""

    def reset_stalled(self, node_id: int) -> None:
        """A stalled connection is given up (ping of cluster/client.py) and dialled anew."""
        pipe = self._pipes.get(node_id)
        if pipe is not None:
            pipe.abort()

    # --- trading ---

    def _on_state(self, state: ConnectionState) -> None:
        if state is ConnectionState.REFUSED:
            raise Violation(f"{self.session}: refused although nobody took its name over")

    def _trade(self) -> None:
        self.life.call_later(self.pause_s * (0.5 + self.world.rng.random()), self._trade)
        if self.client.pending > _PENDING_MAX or not self.trading:
            return
        rng = self.world.rng
        if not self.sent:
            self.client.submit(
                OpenSession(
                    CommandKind.OPEN_SESSION, self.session, f"gateway-{self.session}", False, False
                )
            )
        for _ in range(rng.randint(1, self._orders_max)):
            if self._open_orders and rng.random() < 0.3:
                self._cancel()
            else:
                self.enter()

    def enter(self) -> str:
        """Enter one order; its name is unique over all lives."""
        rng = self.world.rng
        self.sent += 1
        cl_ord_id = f"{self.session}-{self._lives}-{self.sent}"
        self.client.submit(
            EnterOrder(
                CommandKind.ENTER_ORDER,
                self.session,
                self.sent,
                "",
                cl_ord_id,
                rng.choice(_SYMBOLS),
                rng.choice((1, 2)),
                2,
                rng.choice((0, 0, 0, 3, 4)),
                rng.randrange(1, 50),
                1_000_000 + 100 * rng.randrange(-5, 6),
            )
        )
        return cl_ord_id

    def _cancel(self) -> None:
        self.sent += 1
        at = self.world.rng.randrange(len(self._open_orders))
        order = self._open_orders.pop(at)
        self.client.submit(
            CancelOrder(
                CommandKind.CANCEL_ORDER,
                self.session,
                self.sent,
                f"{self.session}-{self._lives}-{self.sent}",
                order,
                "",
                0,
            )
        )

    def _on_batch(self, batch: EventBatch) -> None:
        for event_seq, event in batch.events:
            if event_seq <= self._last_event_seq:
                raise Violation(f"{self.session}: event {event_seq} came twice or out of order")
            self._last_event_seq = event_seq
            if event[1] != self.session:
                raise Violation(f"{self.session}: got an event of {event[1]}")
            if event[0] in _ANSWERS:
                self._answered(event, event_seq)

    def _answered(self, event: tuple[Any, ...], event_seq: int) -> None:
        before = self.answers.setdefault(event[2], event_seq)
        if before != event_seq:
            raise Violation(f"{event[2]} was answered by event {before} and by {event_seq}")
        self.last_answer_s = self.world.now_s
        self.world.count("answers")
        if event[0] == EventKind.ORDER_ACCEPTED and event[2].startswith(
            f"{self.session}-{self._lives}-"
        ):
            self._open_orders.append(event[2])
