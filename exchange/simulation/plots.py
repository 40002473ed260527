"""Plots: faults that follow each other, in an order that chance alone meets once in a million runs.

Each is a story about a rule of cluster/guard.py or cluster/voting.py and knows nothing of the rule:
it brings the cluster to the place where the rule is all that helps. A plot is a generator: it
yields virtual seconds to let pass, or a condition to wait for, and it is given up when that takes
too long. It returns whether it came to its end. Whatever it did is undone after it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator

from exchange.simulation.faults import Nemesis
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import Member
from exchange.simulation.options import PLOT_NAMES

Step = float | Callable[[], bool]
Steps = Generator[Step, None, bool]
Plot = Callable[[Nemesis], Steps]

_LOOK_EVERY_S = 0.0005
_PATIENCE_S = 0.6


def _same_leader_again(nemesis: Nemesis) -> Steps:
    """A4. (1) F leads and is alone with L: both have an entry that counts nowhere; (2) a third
    node helps to elect one of the two and sees nothing of its first entry; (3) the rest elect a
    leader of their own, whose entry replaces those; (4) it hands over to the one of (2), which gets
    F's answer of that time now, while its own new entry has that very index."""
    fabric, checks, first = nemesis.fabric, nemesis.checks, nemesis.leader
    if first is None or len(nemesis.members) < 5 or first.core is None:
        return False
    second, helper, *rest = _shuffled(nemesis, nemesis.others(first))
    pair, outside = [first, second], [helper, *rest]
    nemesis.cut(pair, outside)
    nemesis.cut([helper], rest)
    yield lambda: min(_last_index(member) for member in pair) > checks.newest_committed
    for member in nemesis.members:
        Gateway.unreachable[member.node_id] = None
    yield lambda: first.core is None or not first.core.raft.is_leader
    term = checks.leader_term
    fabric.blocked.clear()
    nemesis.cut([*pair, helper], rest)
    _connect_anew(nemesis, [helper], pair)
    yield lambda: checks.leader_term > term
    term = checks.leader_term
    again = next((member for member in pair if member.node_id == checks.leader_id), None)
    if again is None:
        return False
    other = first if again is second else second
    fabric.hold(other.node_id, again.node_id)
    fabric.blocked.clear()
    nemesis.cut(pair, outside)
    _connect_anew(nemesis, pair, [helper])
    _connect_anew(nemesis, [helper], rest)
    yield lambda: checks.leader_term > term
    last = _last_index(nemesis.members[checks.leader_id - 1])
    fabric.blocked.clear()
    nemesis.cut([other], outside)
    _connect_anew(nemesis, [again], outside)
    yield lambda: _last_index(again) == last
    yield lambda: nemesis.transfer(again)
    yield lambda: checks.leader_id == again.node_id
    for node in _shuffled(nemesis, outside)[1:]:
        fabric.hold(again.node_id, node.node_id)
    fabric.release(other.node_id, again.node_id)
    yield 0.05
    return True


def _alone_with_a_stale_node(nemesis: Nemesis) -> Steps:
    """A1. (1) A leader is cut off with an entry of its own; (2) the one that is elected after it
    has words for it that wait on their way; (3) they arrive, and all others are cut off: what the
    old leader's log has at the place of the new one's first entry must not count."""
    fabric, stale = nemesis.fabric, nemesis.leader
    if stale is None or stale.core is None:
        return False
    for other in nemesis.others(stale):
        fabric.hold(other.node_id, stale.node_id)
        fabric.hold(stale.node_id, other.node_id)
    term = stale.core.term
    yield lambda: nemesis.checks.leader_term > term
    leader = nemesis.members[nemesis.checks.leader_id - 1]
    if leader is stale:
        return False
    for other in nemesis.others(stale, leader):
        fabric.hold(leader.node_id, other.node_id)
    fabric.release(leader.node_id, stale.node_id)
    fabric.release(stale.node_id, leader.node_id)
    yield 0.02 + 0.05 * nemesis.world.rng.random()
    return True


def _disk_lost_leader_cut_off(nemesis: Nemesis) -> Steps:
    """The right to vote. (1) An entry is on the leader and on nearly a majority besides; (2) one
    of these loses its disk; (3) the leader is cut off. Who is left may not elect one without it."""
    leader = nemesis.leader
    if leader is None or leader.core is None:
        return False
    others = _shuffled(nemesis, nemesis.others(leader))
    half = len(nemesis.members) // 2
    holders, behind = others[:half], others[half:]
    nemesis.cut([leader, *holders], behind)
    known = nemesis.checks.newest_committed
    yield lambda: nemesis.checks.newest_committed > known
    if not nemesis.wipe(holders[0]):
        return False
    holders[0].start_after(0.002)
    nemesis.fabric.blocked.clear()
    nemesis.cut([leader, *holders[1:]], [holders[0], *behind])
    for node in behind:
        nemesis.fabric.break_link(node.node_id, holders[0].node_id)
    yield 0.3 + 0.2 * nemesis.world.rng.random()
    return True


def _disk_lost_after_an_acknowledgement(nemesis: Nemesis) -> Steps:
    """What a lost disk acknowledged. (1) Only F has answered for an entry; (2) F loses its disk,
    and the leader knows that the connection is gone; (3) one more node answers: no majority."""
    fabric, leader = nemesis.fabric, nemesis.leader
    if leader is None or leader.core is None or len(nemesis.members) < 5:
        return False
    loser, late, *rest = _shuffled(nemesis, nemesis.others(leader))
    for node in rest:
        fabric.hold(leader.node_id, node.node_id)
    fabric.hold(late.node_id, leader.node_id)
    raft = leader.core.raft
    yield lambda: raft._core.match_index(loser.node_id) > raft.commit_index
    if not nemesis.wipe(loser):
        return False
    loser.start_after(0.1)
    wire = leader.runtime.end_of_wire if leader.runtime is not None else None
    yield lambda: wire is None or loser.node_id not in wire.epochs
    fabric.release(late.node_id, leader.node_id)
    yield 0.03
    return True


def _terms_that_nobody_sees(nemesis: Nemesis) -> Steps:
    """C2. (1) The leader is away; a node is promised the others' votes, asks for them, and nothing
    of that arrives; it tries again; (2) the others get a leader of a lower term than that node has
    reached by then, which it does not follow."""
    leader = nemesis.leader
    if leader is None:
        return False
    others = nemesis.others(leader)
    lonely, *rest = _shuffled(nemesis, others)
    nemesis.cut([leader], others)
    for node in rest:
        nemesis.fabric.muted[node.node_id] = "pre_vote"
    nemesis.fabric.muted[lonely.node_id] = "request_vote"
    term = nemesis.checks.leader_term
    yield lambda: lonely.core is not None and lonely.core.term > term + 1
    nemesis.fabric.muted.clear()
    nemesis.fabric.blocked.clear()
    nemesis.cut([lonely], nemesis.others(lonely))
    _connect_anew(nemesis, [leader], rest)
    yield 0.2
    return True


def _a_vote_that_comes_twice(nemesis: Nemesis) -> Steps:
    """A13. (1) The leader dies; a node stands, and is cut off with one that votes for it; (2) that
    vote comes twice, which makes three of five; (3) the others elect a leader of the same term."""
    fabric, leader = nemesis.fabric, nemesis.leader
    if leader is None or leader.core is None or len(nemesis.members) < 5:
        return False
    others, term = _shuffled(nemesis, nemesis.others(leader)), leader.core.term
    leader.crash(power_loss=False)
    leader.start_after(0.12)
    yield lambda: any(member.core is not None and member.core.term > term for member in others)
    others.sort(key=lambda member: member.core is None or member.core.term == term)
    candidate, voter, *rest = others
    fabric.echoed[voter.node_id] = "response_vote"
    nemesis.cut([candidate, voter], [*rest, leader])
    _connect_anew(nemesis, [candidate, voter], [*rest, leader])
    yield lambda: nemesis.checks.leader_term > term and leader.is_up
    yield lambda: any(m.core is not None and m.core.raft.is_leader for m in [leader, *rest])
    yield 0.02 * nemesis.world.rng.random()
    return True


def _left_behind(nemesis: Nemesis) -> Steps:
    """Snapshots (A3, A9 - A12). (1) A node is away while all others take two snapshots and forget
    what it needs; the newer one of the leader may be damaged; (2) the node comes back and fetches
    one; (3) in the middle of that something else goes wrong."""
    rng, checks, leader = nemesis.world.rng, nemesis.checks, nemesis.leader
    if leader is None or leader.core is None:
        return False
    away, *rest = _shuffled(nemesis, nemesis.others(leader))
    present = [leader, *rest]
    nemesis.cut([away], present)
    for _ in range(2):
        enough = checks.newest_committed + 2
        yield functools.partial(lambda enough: checks.newest_committed > enough, enough)
        for member in present:
            member.take_snapshot()
        yield lambda: not any(m.core is not None and m.core.snapshots.is_running for m in present)
    needed = _last_index(away)
    yield lambda: all(_first_index(member) > needed for member in present)
    if rng.random() < 0.3:
        leader.damage_snapshot()
    nemesis.fabric.blocked.clear()
    _connect_anew(nemesis, [away], present)
    yield lambda: away.core is None or away.core.raft.snapshots.receiver.bytes_received > 0
    match rng.choice(("leader dies", "power loss", "snapshot", "transfer", "nothing")):
        case "leader dies":
            leader.crash(power_loss=rng.random() < 0.5)
            leader.start_after(0.1)
        case "power loss":
            away.crash(power_loss=True)
            away.start_after(0.05)
        case "snapshot":
            leader.take_snapshot()
        case "transfer":
            nemesis.transfer(leader)
    yield lambda: away.core is not None and _first_index(away) > needed
    return True


def _disk_lost_between_two_leaders(nemesis: Nemesis) -> Steps:
    """A20. (1) The leader of three is cut off; the others elect one, and it commits; (2) who
    voted for it loses its disk; (3) now it hears the old leader only, who has entries that nobody
    else had, and may lead for a moment yet."""
    old, fabric, checks = nemesis.leader, nemesis.fabric, nemesis.checks
    if old is None or old.core is None or len(nemesis.members) != 3:
        return False
    others = nemesis.others(old)
    nemesis.cut([old], others)
    known = checks.newest_committed
    yield lambda: nemesis.leader in others and checks.newest_committed > known
    new = nemesis.leader
    (loser,) = [member for member in others if member is not new]
    if new is None or not nemesis.wipe(loser):
        return False
    loser.start_after(0.001)
    fabric.blocked.clear()
    nemesis.cut([old, loser], [new])
    fabric.break_link(new.node_id, loser.node_id)
    yield 0.1
    return True


def _an_entry_that_takes_long(nemesis: Nemesis) -> Steps:
    """(1) An entry of the log keeps every node busy, each for its own time; (2) in the middle of it
    the leader dies, or is cut off; or nothing happens, and it should lead when all is over."""
    rng, checks, leader = nemesis.world.rng, nemesis.checks, nemesis.leader
    if leader is None:
        return False
    index, seconds = checks.newest_committed + 2, rng.choice((0.03, 0.1, 0.3))
    for member in nemesis.members:
        member.long_entries[index] = seconds * rng.uniform(1.0, 2.5)
    yield lambda: index not in leader.long_entries
    yield rng.uniform(0.0, seconds)
    match rng.choice(("leader dies", "leader is cut off", "nothing", "nothing")):
        case "leader dies":
            leader.crash(power_loss=rng.random() < 0.3)
            leader.start_after(0.1)
        case "leader is cut off":
            nemesis.cut([leader], nemesis.others(leader))
    yield 0.5
    return True


LEFT_BEHIND = "left behind"
LONG_ENTRY = "an entry that takes long"
BETWEEN_TWO_LEADERS = "disk lost between two leaders"
PLOTS: dict[str, Plot] = dict(
    zip(
        PLOT_NAMES,
        (
            _same_leader_again,
            _alone_with_a_stale_node,
            _disk_lost_leader_cut_off,
            _disk_lost_after_an_acknowledgement,
            _terms_that_nobody_sees,
            _a_vote_that_comes_twice,
        ),
        strict=True,
    )
)
PLOTS[LEFT_BEHIND] = _left_behind
PLOTS[LONG_ENTRY] = _an_entry_that_takes_long
PLOTS[BETWEEN_TWO_LEADERS] = _disk_lost_between_two_leaders


def _connect_anew(nemesis: Nemesis, some: list[Member], others: list[Member]) -> None:
    """What is on its way between them is lost."""
    for one in some:
        for other in others:
            nemesis.fabric.break_link(one.node_id, other.node_id)


def _shuffled(nemesis: Nemesis, members: list[Member]) -> list[Member]:
    return nemesis.world.rng.sample(members, len(members))


def _first_index(member: Member) -> int:
    return 1 << 62 if member.core is None else member.core.raft.journal.first_index


def _last_index(member: Member) -> int:
    return 0 if member.core is None else member.core.raft.journal.last_index


class PlotRunner:
    """One plot at a time."""

    def __init__(self, nemesis: Nemesis, weights: list[int]) -> None:
        self._nemesis = nemesis
        self._weights = weights
        self._steps: Steps | None = None
        self._wait: Step = 0.0
        self._until_s = 0.0
        self._name = ""

    @property
    def is_running(self) -> bool:
        """Whether a plot is under way."""
        return self._steps is not None

    def begin(self) -> bool:
        """Begin one by chance; False if this run has none."""
        if not self._weights or self._steps is not None:
            return False
        self.begin_with(self._nemesis.world.rng.choices(PLOT_NAMES, self._weights)[0])
        return True

    def begin_with(self, name: str) -> None:
        """Begin this one, unless another is under way."""
        if self._steps is not None:
            return
        world = self._nemesis.world
        self._name = name
        world.note("plot: %s", self._name)
        self._steps = PLOTS[self._name](self._nemesis)
        self._wait = self._is_quiet
        self._until_s = world.now_s + _PATIENCE_S
        self._look(self._steps)

    def _is_quiet(self) -> bool:
        """Every plot begins with a leader and all its followers."""
        nemesis = self._nemesis
        leader = nemesis.leader
        return leader is not None and all(
            member.is_up and member.is_voter for member in nemesis.members
        )

    def look_now(self) -> None:
        """Something happened that a plot may be waiting for."""
        if self._steps is not None:
            self._nemesis.world.after(0.0, self._glance, self._steps)

    def end(self) -> None:
        """Undo what the plot did."""
        if self._steps is None:
            return
        self._nemesis.world.note("plot over")
        self._steps = None
        self._nemesis.fabric.muted.clear()
        self._nemesis.fabric.echoed.clear()
        self._nemesis.fabric.heal()
        for member in self._nemesis.members:
            self._nemesis.let_clients_reach(member)
            member.long_entries.clear()

    def _advance(self) -> None:
        if self._steps is None:
            return
        try:
            self._wait = next(self._steps)
        except StopIteration as over:
            if over.value:
                self._nemesis.world.count(f"plot: {self._name}")
            self.end()
            return
        world = self._nemesis.world
        wait_s = self._wait if isinstance(self._wait, float) else _PATIENCE_S
        self._until_s = world.now_s + wait_s

    def _look(self, steps: Steps) -> None:
        """Look now, and again until it is time."""
        if self._look_at(steps):
            self._nemesis.world.after(_LOOK_EVERY_S, self._look, steps)

    def _glance(self, steps: Steps) -> None:
        self._look_at(steps)

    def _look_at(self, steps: Steps) -> bool:
        """Go on if what is waited for is there; whether to wait on."""
        if self._steps is not steps:
            return False
        world, is_over = self._nemesis.world, self._nemesis.world.now_s >= self._until_s
        if is_over if isinstance(self._wait, float) else self._wait():
            self._advance()
        elif is_over:
            world.note("the plot came to nothing")
            self.end()
        return self._steps is steps
