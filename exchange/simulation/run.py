"""One seed: draw the options, let faults happen (safety), heal everything (liveness), check."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from cluster import guard, raft
from cluster.raft import RaftCore, use_clock
from exchange.simulation.checks import Checks
from exchange.simulation.faults import Nemesis
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import Member
from exchange.simulation.network import Fabric
from exchange.simulation.options import Options, draw_options
from exchange.simulation.plots import (
    BETWEEN_TWO_LEADERS,
    LEFT_BEHIND,
    LONG_ENTRY,
    PlotRunner,
)
from exchange.simulation.world import Violation, World

LIVENESS_S = 20.0
"""Within this time after everything was healed a new order of every gateway must be answered."""
_APPLY_ENTRIES = raft._APPLY_ENTRIES
_PLOT_SHARE = 0.5
_LEFT_BEHIND_SHARE = 0.25
_BETWEEN_TWO_LEADERS_SHARE = 0.35  # of chances from that one up
"""Of what is done to a run that has plots."""


@dataclass(slots=True)
class Outcome:
    """What a seed showed. `violation` is None when all is well."""

    seed: int
    violation: str | None
    statistics: dict[str, int]
    steps: int
    virtual_s: float
    healing_s: float
    """From the end of the faults until everything was answered."""
    trace: list[str] = field(default_factory=list)


class Run:
    """One seed from start to end. With `options` of its own a run begins no faults by itself."""

    def __init__(self, seed: int, options: Options | None = None) -> None:
        self.world = World(seed)
        rng = self.world.rng
        self._faults_on = options is None
        self.options = options = draw_options(rng) if options is None else options
        self.checks = Checks(self.world, options.members)
        self.fabric = Fabric(self.world, options.members, options.links)
        self.members = [
            Member(node, options.members, self.world, self.fabric, self.checks, options.nodes)
            for node in options.members
        ]
        for member in self.members:
            member.slow_for_good_s = options.slow_disks_s
        use_clock(self.world.time)
        RaftCore.send_bytes = options.send_bytes
        raft._BACKLOG_BYTES_MAX = options.backlog_bytes  # type: ignore[misc]
        _bound_apply(options.apply_entries)
        for member in self.members:
            member.start()
        Gateway.unreachable = {}
        self.gateways = [
            Gateway(self.world, self.members, session, options.orders_max)
            for session in options.sessions
        ]
        self.nemesis = Nemesis(
            self.world, options, self.fabric, self.checks, self.members, self.gateways
        )
        self._plots = PlotRunner(self.nemesis, options.plot_weights)
        self.checks.on_elected = self._plots.look_now
        self._healed_s = 0.0
        self.world.after(rng.uniform(0.1, 0.4), self._next_fault)
        # Drawn apart: all other seeds are the runs that they were before there were these plots.
        chance = Random(seed * 2 + 1).random()
        if self._faults_on and chance < _LEFT_BEHIND_SHARE:
            self.world.after(0.15, self._plots.begin_with, LEFT_BEHIND)
        elif self._faults_on and chance < _BETWEEN_TWO_LEADERS_SHARE:
            self.world.after(0.15, self._plots.begin_with, BETWEEN_TWO_LEADERS)
        elif self._faults_on and not options.plot_weights:
            self.world.after(0.15, self._plots.begin_with, LONG_ENTRY)

    def _next_fault(self) -> None:
        if not self._faults_on:
            return
        rng = self.world.rng
        if not self._plots.is_running and not (rng.random() < _PLOT_SHARE and self._plots.begin()):
            self.nemesis.by_chance()
        self.world.after(rng.expovariate(1 / self.options.pause_s), self._next_fault)

    # --- phases ---

    def go(self) -> Outcome:
        """Safety, then liveness, then the account."""
        violation: str | None = None
        try:
            self.world.run_until(self.options.safety_s)
            self._heal()
            self._new_orders_are_answered()
            level = [member for member in self.members if not member.disk_hangs]
            self.checks.at_the_end(level, self.gateways)
        except Violation as error:
            violation = str(error)
        except Exception as error:  # a bug anywhere is a finding, with its seed
            violation = f"{type(error).__name__}: {error}"
        return Outcome(
            self.world.seed,
            violation,
            self.world.statistics,
            self.world.steps,
            self.world.now_s,
            self.world.now_s - self._healed_s,
            self.world.trace if violation else [],
        )

    def _heal(self) -> None:
        """No more faults; every node up, every link whole, every disk quick."""
        self._faults_on = False
        self._healed_s = self.world.now_s
        self._plots.end()
        _bound_apply(_APPLY_ENTRIES)  # a narrow limit catches up in its own time only
        self.world.note("healed")
        self.nemesis.heal()

    def _new_orders_are_answered(self) -> None:
        """Within a bounded time a new order of every gateway is answered, and all are level."""
        wanted: dict[str, Gateway] = {}
        for gateway in self.gateways:
            gateway.trading = False
            wanted[gateway.enter()] = gateway
        while self.world.now_s < self._healed_s + LIVENESS_S:
            self.world.run_until(self.world.now_s + 0.01)
            if all(name in g.answers for name, g in wanted.items()) and self._level():
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


def _bound_apply(entries: int) -> None:
    """A limit of a node that no run is long enough to reach otherwise."""
    raft._APPLY_ENTRIES = entries  # type: ignore[misc]
    guard.MAX_APPLY_AHEAD = entries


def run_seed(seed: int) -> Outcome:
    """Run one seed. The same seed gives the same run, in any process."""
    with as_it_was(), _quiet(), _little_garbage_collection():
        return Run(seed).go()


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """A Run sets a clock and limits for this whole process: take them back after it."""
    places = (
        (RaftCore, "send_bytes"),
        (raft, "_APPLY_ENTRIES"),
        (raft, "_BACKLOG_BYTES_MAX"),
        (guard, "MAX_APPLY_AHEAD"),
    )
    before = [(owner, name, getattr(owner, name)) for owner, name in places]
    try:
        yield
    finally:
        use_clock(time.monotonic)
        for owner, name, value in before:
            setattr(owner, name, value)


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


@contextlib.contextmanager
def _little_garbage_collection() -> Iterator[None]:
    """A run is short, and makes much that lives as long as it does."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
