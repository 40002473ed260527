"""Rules taken out one at a time: the simulation must notice, or the rule is not tested.

Each mutation replaces one function of the real code in this process and puts it back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cluster import core, guard
from cluster.codec import ClientFrame, unpack_commands
from cluster.guard import Delivery, VoteCount
from cluster.raft import RaftCore
from cluster.replica import Replica
from exchange.simulation.run import run_seed
from oms.commands import Command


class Mutation(NamedTuple):
    """A rule, where it lives, and what stands there without it."""

    rule: str
    what: str
    owner: Any
    name: str
    without: Callable[[Any], Any]


def _without_a1(real: Callable[..., Delivery]) -> Callable[..., Delivery]:
    def check(message: dict[str, Any], log: Any, **facts: Any) -> Delivery:
        delivery = real(message, log, **facts)
        if delivery.message is None or delivery.reply is not None:
            return delivery
        return Delivery(message)

    return check


def _without_next_index_cap(real: Callable[..., Delivery]) -> Callable[..., Delivery]:
    def check(message: dict[str, Any], log: Any, **facts: Any) -> Delivery:
        return real(message, log, **facts)._replace(next_index_cap=None)

    return check


def _without_suppression(
    real: Callable[[Replica, ClientFrame], tuple[Command, ...]],
) -> Callable[[Replica, ClientFrame], tuple[Command, ...]]:
    def unseen(replica: Replica, frame: ClientFrame) -> tuple[Command, ...]:
        if frame.client_id and frame.first_number:
            return unpack_commands(frame.commands)
        return real(replica, frame)

    return unseen


MUTATIONS = (
    Mutation("A1", "matching entries are cut off", guard, "check_append_entries", _without_a1),
    Mutation(
        "A1 cap",
        "an answer vouches for our whole log",
        guard,
        "check_append_entries",
        _without_next_index_cap,
    ),
    Mutation(
        "A4",
        "answers of other terms and connections count",
        guard,
        "acknowledgement_counts",
        lambda _: lambda *_, **__: True,
    ),
    Mutation(
        "A5",
        "the leader counts itself before its disk",
        guard,
        "cap_acknowledgement",
        lambda _: lambda message, **__: (message, None),
    ),
    Mutation(
        "A13", "votes are counted, not voters", VoteCount, "counts", lambda _: lambda *_: True
    ),
    Mutation(
        "section 3",
        "promises do not wait for the disk",
        guard,
        "needs_durable_log",
        lambda _: lambda *_, **__: False,
    ),
    Mutation(
        "section 3, vote",
        "a node with an empty disk votes at once",
        core,
        "read_marker",
        lambda _: lambda *_: True,
    ),
    Mutation(
        "section 3, match",
        "what was acknowledged before a lost disk still counts",
        RaftCore,
        "forget_match",
        lambda _: lambda *_: None,
    ),
    Mutation(
        "duplicates",
        "commands sent again take effect again",
        Replica,
        "_unseen_commands",
        _without_suppression,
    ),
)


@contextlib.contextmanager
def without(mutation: Mutation) -> Iterator[None]:
    """The real code without one rule."""
    real = getattr(mutation.owner, mutation.name)
    setattr(mutation.owner, mutation.name, mutation.without(real))
    try:
        yield
    finally:
        setattr(mutation.owner, mutation.name, real)


def seeds_needed(
    mutation: Mutation, seeds_max: int, seconds_max: float
) -> tuple[int | None, int, str]:
    """(first seed that notices or None, seeds tried, what it said)."""
    started_s = time.monotonic()
    tried = 0
    with without(mutation):
        for seed in range(1, seeds_max + 1):
            tried = seed
            violation = run_seed(seed).violation
            if violation is not None:
                return seed, tried, violation
            if time.monotonic() - started_s > seconds_max:
                break
    return None, tried, ""
