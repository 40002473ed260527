"""Simulated connections between nodes: they delay, stall, break and (if asked) reorder.

A connection is what TCP gives: messages of one direction arrive in order, and when it breaks a
suffix of them is lost. One that is held delivers nothing for a while, then everything. With
`unruly` set, messages are also dropped, doubled and reordered, which TCP would not do: the guard
rules must hold even then.
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
    """What the links of a run are like; drawn per seed.

    `unruly` is the share of messages that are dropped, doubled or overtaken; of the kinds named
    `dropped` and `doubled` a half are. A double comes up to `echo_s` after the message."""

    delay_s: float = 0.0003
    jitter_s: float = 0.0005
    unruly: float = 0.0
    dropped: str = ""
    doubled: str = ""
    echo_s: float = 0.02

    def end(self) -> None:
        """From now on the links do what TCP promises."""
        self.unruly = 0.0
        self.dropped = self.doubled = ""


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
        """Bytes that wait at this end of a connection that is held."""
        return self._fabric.held_bytes(self.node_id, peer_id)

    def send(self, peer_id: int, message: dict[str, Any]) -> None:
        """Send if connected."""
        self._fabric.send(self, peer_id, message)

    # Called by the fabric, each within the node's life.

    def opened(self, peer_id: int, epoch: int) -> None:
        """The connection stands at this end, unless it broke before this end knew of it."""
        if self._fabric.epoch_of(self.node_id, peer_id) != epoch:
            return
        if peer_id in self.epochs:
            self.closed(peer_id, self.epochs[peer_id])
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
class _Way:
    """One direction of a connection."""

    last_arrival_s: float = 0.0
    lossy: bool = False
    """Something was lost here: nothing later may arrive on this connection."""
    held: list[bytes] | None = None
    """Messages that wait for the end of a hold; None when there is none."""


@dataclass(slots=True)
class _Pair:
    """The connection between two nodes; its epoch is 0 when there is none."""

    epoch: int = 0
    ways: dict[int, _Way] = field(default_factory=dict)
    """By sender."""


class Fabric:
    """All links of a run."""

    def __init__(self, world: World, members: tuple[int, ...], faults: Faults) -> None:
        self.faults = faults
        self._world = world
        self._members = members
        self._ends: dict[int, SimulatedNetwork] = {}
        self._pairs: dict[tuple[int, int], _Pair] = {}
        for a in members:
            for b in members:
                if a < b:
                    self._pairs[a, b] = self._pairs[b, a] = _Pair(0, {a: _Way(), b: _Way()})
        self._epoch = 0
        self.blocked: dict[tuple[int, int], None] = {}
        """Directions (sender, receiver) in which nothing passes."""
        self.muted: dict[int, str] = {}
        """By sender: a kind of message that is lost, and nothing else."""
        self.echoed: dict[int, str] = {}
        """By sender: a kind of message that arrives twice."""

    # --- connections ---

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

    def epoch_of(self, a: int, b: int) -> int:
        """Epoch of the connection that stands, 0 when there is none."""
        return self._pairs[a, b].epoch

    def known_epochs(self, node_id: int) -> dict[int, int]:
        """For each other node that is up: the epoch of the connection to `node_id` that it
        believes to stand."""
        return {
            end.node_id: end.epochs[node_id] for end in self._ends.values() if node_id in end.epochs
        }

    def _dial(self, a: int, b: int) -> None:
        self._world.after(self._world.rng.uniform(0.001, 0.06), self._connect, a, b)

    def _connect(self, a: int, b: int) -> None:
        pair = self._pairs[a, b]
        if pair.epoch or a not in self._ends or b not in self._ends:
            return
        if (a, b) in self.blocked or (b, a) in self.blocked:
            self._dial(a, b)
            return
        self._epoch += 1
        pair.epoch = self._epoch
        pair.ways = {a: _Way(), b: _Way()}
        self._world.count("connections")
        for node, peer in ((a, b), (b, a)):
            end = self._ends[node]
            delay_s = self._world.rng.uniform(0.0, self.faults.jitter_s)
            self._world.after(delay_s, end.opened, peer, pair.epoch, life=end.life)

    def break_link(self, a: int, b: int, delay_s: float = 0.0) -> None:
        """Reset the connection: both ends learn of it, what is on its way is lost."""
        pair = self._pairs[a, b]
        epoch = pair.epoch
        if not epoch:
            return
        pair.epoch = 0
        for node, peer in ((a, b), (b, a)):
            end = self._ends.get(node)
            if end is not None:
                late_s = delay_s + self._world.rng.uniform(0.0, self.faults.jitter_s)
                self._world.after(late_s, end.closed, peer, epoch, life=end.life)
        self._dial(a, b)

    # --- what links do to messages ---

    def block(self, sender: int, receiver: int) -> None:
        """Nothing passes in one direction from now on; after a second of it, both ends give up."""
        self.blocked[sender, receiver] = None
        epoch = self._pairs[sender, receiver].epoch

        def give_up() -> None:
            if (sender, receiver) in self.blocked and self.epoch_of(sender, receiver) == epoch:
                self.break_link(sender, receiver)

        self._world.after(SILENCE_S, give_up)

    def hold(self, sender: int, receiver: int) -> None:
        """Let everything that is sent in one direction from now on wait until `release`."""
        pair = self._pairs[sender, receiver]
        way, epoch = pair.ways[sender], pair.epoch
        if way.held is not None or not epoch:
            return
        way.held = []

        def give_up() -> None:
            if pair.ways[sender] is way and way.held is not None:
                self.break_link(sender, receiver)

        self._world.after(SILENCE_S, give_up)

    def release(self, sender: int, receiver: int) -> None:
        """Let what was held arrive, in order, unless the connection broke meanwhile."""
        pair = self._pairs[sender, receiver]
        way = pair.ways[sender]
        held, way.held = way.held, None
        for body in held or ():
            self._forward(sender, receiver, pair, body)

    def held_bytes(self, sender: int, receiver: int) -> int:
        """How much waits for the end of a hold."""
        return sum(map(len, self._pairs[sender, receiver].ways[sender].held or ()))

    def pass_again(self, node_id: int) -> None:
        """Everything from and to a node passes again."""
        for a, b in list(self.blocked):
            if node_id in (a, b):
                del self.blocked[a, b]
        self._reset_what_lost()

    def heal(self) -> None:
        """Everything passes again."""
        self.blocked.clear()
        self._reset_what_lost()

    def _reset_what_lost(self) -> None:
        """Connections that lost something are reset, as TCP's would be after a while."""
        for (a, b), pair in self._pairs.items():
            if a > b or (a, b) in self.blocked or (b, a) in self.blocked:
                continue
            if any(way.lossy for way in pair.ways.values()):
                self.break_link(a, b)
            elif not pair.epoch:
                self._dial(a, b)
            for sender, receiver in ((a, b), (b, a)):
                if pair.ways[sender].held is not None:
                    self.release(sender, receiver)

    def send(self, end: SimulatedNetwork, receiver: int, message: dict[str, Any]) -> None:
        """Put a message on its way."""
        sender = end.node_id
        pair = self._pairs[sender, receiver]
        if not pair.epoch or end.epochs.get(receiver) != pair.epoch:
            return
        way = pair.ways[sender]
        if way.lossy or (sender, receiver) in self.blocked:
            way.lossy = True
            return
        if self.muted.get(sender) == message["type"]:
            return
        body = pack(message)
        if way.held is not None:
            way.held.append(body)
            return
        if self.echoed.get(sender) == message["type"]:
            self._forward(sender, receiver, pair, body)
        faults = self.faults
        if faults.unruly and self._is_unruly(sender, receiver, pair, message["type"], body):
            return
        self._forward(sender, receiver, pair, body)

    def _forward(self, sender: int, receiver: int, pair: _Pair, body: bytes) -> None:
        """Deliver a message after those before it."""
        faults, way = self.faults, pair.ways[sender]
        now_s = self._world.time()
        arrival_s = now_s + faults.delay_s + self._world.rng.random() * faults.jitter_s
        arrival_s = way.last_arrival_s = max(arrival_s, way.last_arrival_s)
        self._world.after(arrival_s - now_s, self._arrive, sender, receiver, pair.epoch, body)

    def _is_unruly(self, sender: int, receiver: int, pair: _Pair, kind: str, body: bytes) -> bool:
        """Do to a message what TCP would not; False if it is to go its ordinary way (too)."""
        rng, faults = self._world.rng, self.faults
        drawn = rng.random()
        if kind == faults.dropped and drawn < 0.5:
            drawn = 0.0
        elif kind == faults.doubled and drawn < 0.5:
            drawn = 0.5 * faults.unruly
        elif drawn >= faults.unruly:
            return False
        self._world.count("unruly messages")
        if drawn < faults.unruly / 3:
            return True
        late_s = faults.delay_s + faults.echo_s * rng.random()
        self._world.after(late_s, self._arrive, sender, receiver, pair.epoch, body)
        return drawn >= 2 * faults.unruly / 3

    def _arrive(self, sender: int, receiver: int, epoch: int, body: bytes) -> None:
        end = self._ends.get(receiver)
        if end is not None and self._pairs[sender, receiver].epoch == epoch:
            end.life.run(end.arrived, sender, epoch, body)
