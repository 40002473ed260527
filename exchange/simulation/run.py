"""One seed: draw the options, let faults happen (safety), heal everything (liveness), check."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster.raft import RaftCore, use_clock
from exchange.simulation.checks import Checks
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import SESSIONS, Member
from exchange.simulation.network import Fabric, Faults
from exchange.simulation.world import Violation, World

SAFETY_S = 3.0
LIVENESS_S = 20.0
FAULT_KINDS = (
    "kill",
    "power loss",
    "kill leader",
    "power loss of all",
    "pause",
    "break link",
    "isolate",
    "one way",
    "slow disk",
    "full disk",
    "clock jump",
    "kill gateway",
    "transfer",
    "lost disk",
    "hung disk",
)


@dataclass(slots=True)
class Outcome:
    """What a seed showed. `violation` is None when all is well."""

    seed: int
    violation: str | None
    statistics: dict[str, int]
    steps: int
    virtual_s: float
    trace: list[str] = field(default_factory=list)


class Run:
    """One seed from start to end."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        rng = self.world.rng
        members = (1, 2, 3) if rng.random() < 0.75 else (1, 2, 3, 4, 5)
        faults = Faults(
            delay_s=rng.choice((0.0001, 0.0005, 0.005)),
            jitter_s=rng.choice((0.0002, 0.001, 0.01)),
            unruly=rng.choice((0.0, 0.0, 0.02, 0.1)),
        )
        self.checks = Checks(self.world, members)
        self.fabric = Fabric(self.world, members, faults)
        snapshot_after = rng.choice((2_000, 6_000, 20_000, 1 << 30))
        self.members = [
            Member(node, members, self.world, self.fabric, self.checks, snapshot_after)
            for node in members
        ]
        self._pause_s = rng.choice((0.03, 0.1, 0.3))
        self._weights = [rng.choice((0, 0, 1, 3)) for _ in FAULT_KINDS]
        if not any(self._weights):
            self._weights[0] = 1
        self._faults_on = True
        slow_s = rng.choice((0.0, 0.0, 0.0, 0.0, 0.03, 0.15))
        for member in self.members:
            member.slow_for_good_s = slow_s
        use_clock(self.world.time)
        RaftCore.send_bytes = rng.choice((1 << 20, 1 << 20, 1_000, 1))
        for member in self.members:
            member.start()
        Gateway.unreachable = {}
        self.gateways = [
            Gateway(self.world, self.members, session)
            for session in SESSIONS[: rng.randrange(1, len(SESSIONS) + 1)]
        ]
        self.world.after(0.5, self._next_fault)

    # --- faults ---

    def stop_faults(self) -> None:
        """No more faults from now on: for runs that cause their own."""
        self._faults_on = False

    def _next_fault(self) -> None:
        if not self._faults_on:
            return
        rng = self.world.rng
        kind = rng.choices(FAULT_KINDS, self._weights)[0]
        self.world.count(f"fault: {kind}")
        self._inject(kind)
        self.world.after(rng.expovariate(1 / self._pause_s), self._next_fault)

    def _inject(self, kind: str) -> None:
        rng = self.world.rng
        member = rng.choice(self.members)
        if kind == "kill leader":
            member = next((m for m in self.members if m.core and m.core.is_ready), member)
        self.world.note(f"fault: {kind} (node {member.node_id})")
        if kind in ("kill", "power loss", "kill leader"):
            self._crash(member, power_loss=kind == "power loss" or rng.random() < 0.3)
        elif kind == "power loss of all":
            for each in self.members:
                self._crash(each, power_loss=True)
        elif kind == "pause" and member.runtime is not None:
            member.runtime.pause(rng.choice((0.01, 0.1, 0.5, 2.0)))
        elif kind == "break link":
            self.fabric.break_link(member.node_id, rng.choice(self._others(member)).node_id)
        elif kind in ("isolate", "one way"):
            self._cut(member, both=kind == "isolate")
        elif kind == "slow disk":
            member.slow_disk_until_s = self.world.now_s + rng.uniform(0.1, 1.0)
        elif kind == "full disk" and member.is_up:
            self._fill_disk(member)
        elif kind == "clock jump":
            member.clock_offset_ns += rng.randrange(-(10**10), 10**10)
        elif kind == "hung disk":
            self._hang_disk(member)
        elif kind == "lost disk":
            self._lose_disk(member)
        elif kind == "transfer":
            self._transfer()
        elif kind == "kill gateway":
            rng.choice(self.gateways).crash()

    def _lose_disk(self, member: Member) -> None:
        """Only while every other node is a voter that is level with the rest: a second disk lost
        before the first is replaced is beyond what is promised."""
        others = [other.core for other in self._others(member)]
        if any(core is None or not core.raft.may_vote for core in others):
            return
        newest = max(self.checks.newest_committed, 1)
        if any(core.raft.journal.durable_index < newest for core in others if core is not None):
            return
        member.wipe()
        self.world.after(self.world.rng.uniform(0.01, 0.5), lambda: self._restart(member))

    def _hang_disk(self, member: Member) -> None:
        """One disk at a time; it may go on hanging while everything else is healed."""
        if any(each.disk_hangs for each in self.members):
            return
        member.disk_hangs = True
        if self.world.rng.random() < 0.7:
            self.world.after(self.world.rng.uniform(0.2, 3.0), lambda: self._free_disk(member))

    @staticmethod
    def _free_disk(member: Member) -> None:
        member.disk_hangs = False

    def _transfer(self) -> None:
        for member in self.members:
            if member.core is not None and member.core.is_ready:
                with contextlib.suppress(ValueError):  # refused: nobody is connected, say
                    member.core.transfer()
                    self.world.count("transfers")

    def _others(self, member: Member) -> list[Member]:
        return [other for other in self.members if other is not member]

    def _crash(self, member: Member, *, power_loss: bool) -> None:
        if not member.is_up:
            return
        member.crash(power_loss=power_loss)
        self.world.after(self.world.rng.uniform(0.01, 0.5), lambda: self._restart(member))

    def _restart(self, member: Member) -> None:
        if not member.is_up:
            member.start()

    def _cut(self, member: Member, *, both: bool) -> None:
        rng = self.world.rng
        cut: list[tuple[int, int]] = []
        for other in self._others(member):
            if rng.random() < 0.8:
                cut.append((member.node_id, other.node_id))
                if both:
                    cut.append((other.node_id, member.node_id))
        for pair in cut:
            self.fabric.block(*pair)
        if both and rng.random() < 0.5:
            Gateway.unreachable[member.node_id] = None
        self.world.after(rng.uniform(0.05, 1.5), lambda: self._uncut(member))

    def _uncut(self, member: Member) -> None:
        self._reach(member.node_id)
        self.fabric.heal()

    def _reach(self, node_id: int) -> None:
        if node_id in Gateway.unreachable:
            del Gateway.unreachable[node_id]
            for gateway in self.gateways:
                gateway.reset_stalled(node_id)

    def _fill_disk(self, member: Member) -> None:
        member.disk.failure = OSError(28, "No space left on device")
        member.disk.fail_in = self.world.rng.randrange(20)

        def restart_when_down() -> None:
            if member.is_up:
                member.disk.fail_in = None
            else:
                self._restart(member)

        self.world.after(self.world.rng.uniform(0.1, 0.6), restart_when_down)

    # --- phases ---

    def go(self) -> Outcome:
        """Safety, then liveness, then the account."""
        violation: str | None = None
        try:
            self.world.run_until(SAFETY_S)
            self._heal()
            self._new_orders_are_answered()
            level = [member for member in self.members if not member.disk_hangs]
            self.checks.at_the_end(level, self.gateways)
        except Violation as error:
            violation = str(error)
        except Exception as error:  # a bug anywhere is a finding, with its seed
            violation = f"{type(error).__name__}: {error}"
            self.world.note(violation)
        self._count_protocol_work()
        return Outcome(
            self.world.seed,
            violation,
            self.world.statistics,
            self.world.steps,
            self.world.now_s,
            self.world.trace if violation else [],
        )

    def _heal(self) -> None:
        """No more faults; every node up, every link whole, every disk quick."""
        self._faults_on = False
        self.world.note("healed")
        self.fabric.faults.unruly = 0.0
        for node_id in list(Gateway.unreachable):
            self._reach(node_id)
        for member in self.members:
            member.disk.fail_in = None
            member.slow_disk_until_s = 0.0
            self._restart(member)
        if any(m.core is not None and not m.core.raft.may_vote for m in self.members):
            for member in self.members:  # who lost a disk needs all the others
                member.disk_hangs = False
        self.fabric.heal()

    def _new_orders_are_answered(self) -> None:
        """Within a bounded time a new order of every gateway is answered, and all are level."""
        healed_s = self.world.now_s
        wanted: dict[str, Gateway] = {}
        deadline_s = healed_s + LIVENESS_S
        while self.world.now_s < deadline_s:
            self.world.run_until(self.world.now_s + 0.25)
            if not wanted and self.world.now_s > healed_s + 2.5:
                for gateway in self.gateways:
                    gateway.trading = False
                wanted = {gateway.enter(): gateway for gateway in self.gateways}
            answered = wanted and all(name in g.answers for name, g in wanted.items())
            if answered and self._level():
                return
        raise Violation(f"not live {LIVENESS_S} s after everything was healed: {self._where()}")

    def _where(self) -> str:
        nodes = [
            f"node {member.node_id}: {member.core.role}, term {member.core.term}, "
            f"applied {member.core.raft.applied_index} of {member.core.raft.journal.last_index}"
            for member in self.members
            if member.core is not None
        ]
        waiting = [f"{g.session} waits for {g.client.pending}" for g in self.gateways]
        return "; ".join(nodes + waiting)

    def _level(self) -> bool:
        cores = [member.core for member in self.members if not member.disk_hangs]
        applied = {core.raft.applied_index for core in cores if core is not None}
        quiet = all(not gateway.client.pending for gateway in self.gateways)
        return len(applied) == 1 and None not in cores and quiet

    def _count_protocol_work(self) -> None:
        for member in self.members:
            if member.core is not None:
                self.world.count("elections", member.core.raft.elections)


def run_seed(seed: int) -> Outcome:
    """Run one seed. The same seed gives the same run, in any process."""
    with _quiet():
        return Run(seed).go()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What nodes log about faults is no news here; the trace tells it."""
    loggers = [logging.getLogger(name) for name in ("cluster", "pysyncobj")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


__all__ = ["FAULT_KINDS", "Outcome", "Run", "run_seed"]
