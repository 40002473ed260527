"""What a run is like, drawn from its seed: whole classes of runs differ in more than their dice."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from exchange.simulation.member_settings import SESSIONS, MemberOptions
from exchange.simulation.network import Faults

FAULT_KINDS = (
    "kill",
    "power loss",
    "kill leader",
    "power loss of all",
    "power loss in a call",
    "crash twice",
    "pause",
    "break link",
    "hold link",
    "isolate",
    "one way",
    "bridge",
    "flapping",
    "slow disk",
    "full disk",
    "failing disk",
    "hung disk",
    "lost disk",
    "flipped bit",
    "clock jump",
    "kill gateway",
    "transfer",
)
PLOT_NAMES = (
    "same leader again",
    "alone with a stale node",
    "disk lost, leader cut off",
    "disk lost after an acknowledgement",
    "terms that nobody sees",
    "a vote that comes twice",
)
_NO_LIMIT = 1 << 40


@dataclass(slots=True)
class Options:
    """One draw. Times are virtual seconds."""

    members: tuple[int, ...]
    links: Faults
    nodes: MemberOptions
    fault_weights: list[int]
    """How often each of FAULT_KINDS happens."""
    plot_weights: list[int]
    """How often each of PLOT_NAMES is tried; none at all in some runs."""
    pause_s: float
    """Mean time between two faults."""
    safety_s: float
    """How long faults go on."""
    slow_disks_s: float
    send_bytes: int
    apply_entries: int
    backlog_bytes: int
    sessions: tuple[str, ...]
    orders_max: int


def draw_options(rng: Random) -> Options:
    """The options of a run."""
    members = (1, 2, 3) if rng.random() < 0.6 else (1, 2, 3, 4, 5)
    links = Faults(
        delay_s=rng.choice((0.0001, 0.0005, 0.005)),
        jitter_s=rng.choice((0.0002, 0.001, 0.01)),
    )
    if rng.random() < 0.5:
        links.unruly = rng.choice((0.01, 0.03, 0.1))
        links.echo_s = rng.choice((0.02, 0.2))
        kinds = ("", "append_entries", "next_node_idx", "request_vote", "response_vote")
        links.dropped, links.doubled = rng.choice(kinds), rng.choice(kinds)
    heartbeat_ms, suspect_after_ms = rng.choice(((10, 60), (20, 60), (25, 60), (25, 100)))
    return Options(
        members=members,
        links=links,
        nodes=MemberOptions(
            heartbeat_ms=heartbeat_ms,
            suspect_after_ms=suspect_after_ms,
            segment_bytes=rng.choice((1 << 10, 4 << 10, 32 << 10)),
            snapshot_after_bytes=rng.choice((1_000, 4_000, 1 << 30, 1 << 30)),
            snapshot_chunk_bytes=rng.choice((256, 4 << 10)),
        ),
        fault_weights=_some(rng, len(FAULT_KINDS)),
        plot_weights=_some(rng, len(PLOT_NAMES)) if rng.random() < 0.6 else [],
        pause_s=rng.choice((0.02, 0.05, 0.1, 0.2)),
        safety_s=rng.choice((0.5, 1.0, 1.0, 2.0)),
        slow_disks_s=rng.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.03, 0.15)),
        send_bytes=rng.choice((1 << 20, 1 << 20, 1_000, 1)),
        apply_entries=rng.choice((512, 512, 1, 4)),
        backlog_bytes=rng.choice((_NO_LIMIT, _NO_LIMIT, 0, 500)),
        sessions=SESSIONS[: rng.choice((1, 1, 2, 3))],
        orders_max=rng.choice((1, 1, 2, 4)),
    )


def calm_options() -> Options:
    """Three nodes and one gateway that nothing happens to, with the limits of live ones."""
    return Options(
        members=(1, 2, 3),
        links=Faults(),
        nodes=MemberOptions(),
        fault_weights=[1] * len(FAULT_KINDS),
        plot_weights=[],
        pause_s=0.1,
        safety_s=1.0,
        slow_disks_s=0.0,
        send_bytes=1 << 20,
        apply_entries=512,
        backlog_bytes=4 << 20,
        sessions=SESSIONS[:1],
        orders_max=3,
    )


def _some(rng: Random, number: int) -> list[int]:
    """Weights, most of them 0: a few kinds of faults at a time meet one another more often."""
    weights = [rng.choice((0, 0, 0, 1, 3)) for _ in range(number)]
    if not any(weights):
        weights[rng.randrange(number)] = 1
    return weights
