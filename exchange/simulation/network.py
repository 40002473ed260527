"""Simulated connections between nodes: they delay, break, stall and (if asked) reorder.

A connection is what TCP gives: messages of one direction arrive in order, and when it breaks a
suffix of them is lost. With `unruly` set, messages are also dropped, doubled and reordered, which
TCP would not do: the guard rules must hold even then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cluster.codec import decode_raft_message, pack
from exchange.simulation.world import Life, World

SILENCE_S = 1.0
"""After this long without a word a live connection is given up (cluster/transport.py)."""


@dataclass(slots=True)
class Faults:
    """What the links of a run are like; drawn per seed."""

    delay_s: float = 0.0003
    jitter_s: float = 0.0005
    unruly: float = 0.0


class SimulatedNetwork:
    """One node's end: implements cluster.runtime.Network."""

    def __init__(
        self,
        fabric: Fabric,
        node_id: int,
        life: Life,
        on_message: Callable[[int, int, dict[str, Any]], None],
        on_connected: Callable[[int, int], None],
        on_disconnected: Callable[[int, int], None],
    ) -> None:
        self.node_id = node_id
        self.life = life
        self.on_message = on_message
        self.on_connected = on_connected
        self.on_disconnected = on_disconnected
        self.epochs: dict[int, int] = {}
        self._fabric = fabric

    async def start(self) -> None:
        """Join: connections to the others follow."""
        self._fabric.join(self)

    async def close(self) -> None:
        """Leave."""
        self._fabric.leave(self.node_id)

    @property
    def connected(self) -> list[int]:
        """Peers, ascending."""
        return sorted(self.epochs)

    def epoch(self, peer_id: int) -> int | None:
        """Epoch of the connection to a peer."""
        return self.epochs.get(peer_id)

    def backlog(self, peer_id: int) -> int:
        """Nothing waits at this end of a simulated wire."""
        return 0

    def send(self, peer_id: int, message: dict[str, Any]) -> None:
        """Send if connected."""
        self._fabric.send(self.node_id, peer_id, message)

    # Called by the fabric, each within the node's life.

    def opened(self, peer_id: int, epoch: int) -> None:
        """The connection stands at this end, unless it broke before this end knew of it."""
        if self._fabric.epoch_of(self.node_id, peer_id) != epoch:
            return
        self.epochs[peer_id] = epoch
        self.on_connected(peer_id, epoch)

    def closed(self, peer_id: int, epoch: int) -> None:
        """The connection is gone at this end."""
        if self.epochs.get(peer_id) == epoch:
            del self.epochs[peer_id]
            self.on_disconnected(peer_id, epoch)

    def arrived(self, peer_id: int, epoch: int, body: bytes) -> None:
        """A message, if its connection still stands."""
        if self.epochs.get(peer_id) == epoch:
            self.on_message(peer_id, epoch, decode_raft_message(body))


@dataclass(slots=True)
class _Pair:
    """The connection between two nodes, 0 when there is none."""

    epoch: int = 0
    last_arrival_s: dict[int, float] = field(default_factory=dict)
    lossy: dict[int, bool] = field(default_factory=dict)
    """A direction in which something was lost: nothing later may arrive on this connection."""


class Fabric:
    """All links of a run."""

    def __init__(self, world: World, members: tuple[int, ...], faults: Faults) -> None:
        self.faults = faults
        self._world = world
        self._members = members
        self._ends: dict[int, SimulatedNetwork] = {}
        self._pairs = {(a, b): _Pair() for a in members for b in members if a < b}
        self._epoch = 0
        self.blocked: dict[tuple[int, int], None] = {}
        """Directions (sender, receiver) in which nothing passes."""

    def join(self, end: SimulatedNetwork) -> None:
        """A node came up."""
        self._ends[end.node_id] = end
        for peer in self._members:
            if peer != end.node_id:
                self._dial(end.node_id, peer)

    def leave(self, node_id: int) -> None:
        """A process ended: its kernel resets the connections."""
        if self._ends.pop(node_id, None) is None:
            return
        for peer in self._members:
            if peer != node_id:
                self.break_link(node_id, peer, self._world.rng.uniform(0.0001, 0.002))

    def _pair(self, a: int, b: int) -> _Pair:
        return self._pairs[min(a, b), max(a, b)]

    def epoch_of(self, a: int, b: int) -> int:
        """Epoch of the connection that stands, 0 when there is none."""
        return self._pair(a, b).epoch

    def _dial(self, a: int, b: int) -> None:
        self._world.after(self._world.rng.uniform(0.001, 0.06), lambda: self._connect(a, b))

    def _connect(self, a: int, b: int) -> None:
        pair = self._pair(a, b)
        if pair.epoch or a not in self._ends or b not in self._ends:
            return
        if (a, b) in self.blocked or (b, a) in self.blocked:
            self._dial(a, b)
            return
        self._epoch += 1
        epoch = pair.epoch = self._epoch
        pair.last_arrival_s.clear()
        pair.lossy.clear()
        self._world.count("connections")
        for node, peer in ((a, b), (b, a)):
            end = self._ends[node]
            delay_s = self._world.rng.uniform(0.0, self.faults.jitter_s)
            opened = end.life.guarded(
                lambda end=end, peer=peer: end.opened(peer, epoch)  # type: ignore[misc]
            )
            self._world.after(delay_s, opened)

    def break_link(self, a: int, b: int, delay_s: float = 0.0) -> None:
        """Reset the connection: both ends learn of it, what is on its way is lost."""
        pair = self._pair(a, b)
        epoch = pair.epoch
        if not epoch:
            return
        pair.epoch = 0
        for node, peer in ((a, b), (b, a)):
            end = self._ends.get(node)
            if end is not None:
                late_s = delay_s + self._world.rng.uniform(0.0, self.faults.jitter_s)
                closed = end.life.guarded(
                    lambda end=end, peer=peer: end.closed(peer, epoch)  # type: ignore[misc]
                )
                self._world.after(late_s, closed)
        self._dial(a, b)

    def block(self, sender: int, receiver: int) -> None:
        """Nothing passes in one direction from now on; after a second of it, both ends give up."""
        self.blocked[sender, receiver] = None
        epoch = self._pair(sender, receiver).epoch

        def give_up() -> None:
            if (sender, receiver) in self.blocked and self._pair(sender, receiver).epoch == epoch:
                self.break_link(sender, receiver)

        self._world.after(SILENCE_S, give_up)

    def heal(self) -> None:
        """Everything passes again; connections that lost something are reset, as TCP's would be
        after a while."""
        self.blocked.clear()
        for (a, b), pair in self._pairs.items():
            if any(pair.lossy.values()):
                self.break_link(a, b)
            elif not pair.epoch:
                self._dial(a, b)

    def send(self, sender: int, receiver: int, message: dict[str, Any]) -> None:
        """Put a message on its way."""
        end = self._ends.get(sender)
        pair = self._pair(sender, receiver)
        if end is None or end.epochs.get(receiver) != pair.epoch or not pair.epoch:
            return
        if (sender, receiver) in self.blocked or pair.lossy.get(sender):
            pair.lossy[sender] = True
            return
        rng, faults = self._world.rng, self.faults
        body = pack(message)
        arrival_s = self._world.now_s + faults.delay_s + rng.random() * faults.jitter_s
        if faults.unruly and rng.random() < faults.unruly:
            kind = rng.randrange(3)
            self._world.count("unruly messages")
            if kind == 0:
                return
            if kind == 1:
                self._deliver(sender, receiver, pair.epoch, body, arrival_s + 0.02 * rng.random())
            else:
                arrival_s += 0.05 * rng.random()
        else:
            arrival_s = max(arrival_s, pair.last_arrival_s.get(sender, 0.0))
            pair.last_arrival_s[sender] = arrival_s
        self._deliver(sender, receiver, pair.epoch, body, arrival_s)

    def _deliver(
        self, sender: int, receiver: int, epoch: int, body: bytes, arrival_s: float
    ) -> None:
        def arrive() -> None:
            end = self._ends.get(receiver)
            if end is not None and self._pair(sender, receiver).epoch == epoch:
                end.life.guarded(lambda: end.arrived(sender, epoch, body))()

        self._world.after(arrival_s - self._world.now_s, arrive)
