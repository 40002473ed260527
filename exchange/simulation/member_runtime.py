"""Time, disk thread, work beside the loop and network of one life of a simulated node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from cluster.journal import FlushJob, Journal
from cluster.runtime import FlushDone
from cluster.settings import NodeSettings
from exchange.simulation.disk import PowerLoss
from exchange.simulation.network import Fabric, SimulatedNetwork
from exchange.simulation.world import Life, SimulatedFlusher, World

T = TypeVar("T")


class Job:
    """Work beside the loop; a crash may come in the middle of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work


class Machine(Protocol):
    """What the node runs on, and who watches it; it outlives the node."""

    world: World
    fabric: Fabric
    disk_hangs: bool

    def flush_latency_s(self) -> float: ...
    def flushed(self, job: FlushJob) -> None: ...
    def sent(self, peer_id: int, message: dict[str, Any]) -> None: ...
    def power_lost(self) -> None: ...
    def fatal(self, error: BaseException) -> None: ...


class MemberRuntime(Life):
    """cluster.runtime.Runtime of one life of one member."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.world)
        self._machine = machine
        self.disk_thread: SimulatedFlusher | None = None
        self.end_of_wire: SimulatedNetwork | None = None
        self.jobs: list[Job] = []
        """Work beside the loop that is not done yet."""

    def flusher(self, journal: Journal, done: FlushDone) -> SimulatedFlusher:
        self.disk_thread = SimulatedFlusher(
            self._machine.world,
            self,
            journal,
            done,
            self._machine.flush_latency_s,
            lambda: self._machine.disk_hangs,
            self._machine.flushed,
        )
        return self.disk_thread

    def background(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        job = Job(work)
        self.jobs.append(job)

        def run() -> None:
            if not self.alive:
                return
            self.jobs.remove(job)
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except PowerLoss:
                self._machine.power_lost()
                return
            except Exception as raised:
                error = raised
            self._machine.world.after(0.0, self._tell, done, result, error, life=self)

        rng = self._machine.world.rng
        slow = rng.random() < 0.05
        self._machine.world.after((0.2 if slow else 0.002) * rng.random(), run)

    def _tell(
        self,
        done: Callable[[T | None, BaseException | None], None],
        result: T | None,
        error: BaseException | None,
    ) -> None:
        try:
            done(result, error)
        except Exception as raised:  # as the loop of a live node does
            self._machine.fatal(raised)

    def network(
        self,
        settings: NodeSettings,
        *,
        on_message: Callable[[int, int, dict[str, Any]], None],
        on_connected: Callable[[int, int], None],
        on_disconnected: Callable[[int, int], None],
    ) -> SimulatedNetwork:
        machine = self._machine
        self.end_of_wire = SimulatedNetwork(
            machine.fabric, settings.node_id, self, on_message, on_connected, on_disconnected
        )
        send = self.end_of_wire.send

        def watched_send(peer_id: int, message: dict[str, Any]) -> None:
            machine.sent(peer_id, message)
            send(peer_id, message)

        self.end_of_wire.send = watched_send  # type: ignore[method-assign]
        return self.end_of_wire
