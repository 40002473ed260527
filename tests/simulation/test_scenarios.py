"""Situations that random faults meet rarely, each once a finding of its own."""

from collections.abc import Iterator

import pytest

from exchange.simulation.gateway import Gateway
from exchange.simulation.member_settings import SESSIONS
from exchange.simulation.options import calm_options
from exchange.simulation.run import Run, as_it_was


@pytest.fixture
def quiet() -> Iterator[Run]:
    """Three nodes and one gateway; nothing fails by itself. A second has passed."""
    with as_it_was():
        run = Run(1, calm_options())
        run.world.run_until(1.0)
        yield run


def leader_of(run: Run):
    return next(member for member in run.members if member.core and member.core.is_ready)


def answers(run: Run) -> int:
    return len(run.gateways[0].answers)


def test_a_leader_whose_disk_hangs_is_replaced(quiet: Run):
    leader = leader_of(quiet)
    leader.disk_hangs = True
    quiet.world.run_until(4.0)
    before = answers(quiet)
    quiet.world.run_until(6.0)
    assert answers(quiet) > before
    assert leader_of(quiet) is not leader
    leader.disk_hangs = False
    quiet.world.run_until(8.0)
    assert leader.core.raft.applied_index >= leader_of(quiet).core.raft.applied_index - 5


@pytest.mark.parametrize("latency_s", [0.08, 0.2])
def test_a_leader_is_elected_however_slow_the_disks_are(quiet: Run, latency_s: float):
    for member in quiet.members:
        member.slow_for_good_s = latency_s
    quiet.world.run_until(3.0)
    leader_of(quiet).crash(power_loss=False)
    quiet.world.run_until(13.0)
    before = answers(quiet)
    quiet.world.run_until(16.0)
    assert answers(quiet) > before


def test_a_gateway_that_is_away_twice_for_a_moment_keeps_its_session(quiet: Run):
    gateway = quiet.gateways[0]
    leader = leader_of(quiet)
    grace_s = leader.core.settings.gateway_grace_ms / 1000
    for away_s in (1.2, 1.0 + grace_s):
        quiet.world.run_until(away_s)
        gateway.reset_stalled(leader.node_id)
    quiet.world.run_until(3.0 + grace_s)
    session = leader.core.replica.state_machine.state.sessions[gateway.session]
    assert session.is_open


def test_an_old_leader_that_knows_nothing_of_a_new_gateway_does_not_turn_it_away(quiet: Run):
    old = leader_of(quiet)
    others = [member for member in quiet.members if member is not old]
    for other in others:
        quiet.fabric.block(old.node_id, other.node_id)
        quiet.fabric.block(other.node_id, old.node_id)
    used = {gateway.session for gateway in quiet.gateways}
    while not any(member.core.is_ready for member in others):
        quiet.world.run_until(quiet.world.now_s + 0.001)
    Gateway.unreachable[old.node_id] = None
    newcomer = Gateway(
        quiet.world, quiet.members, next(name for name in SESSIONS if name not in used)
    )
    quiet.world.run_until(quiet.world.now_s + 0.004)
    Gateway.unreachable.clear()
    newcomer.reset_stalled(old.node_id)
    quiet.world.run_until(quiet.world.now_s + 3.0)
    assert newcomer.answers, "a refusal would have ended the run as a violation"


@pytest.mark.parametrize("pause_s", [0.13, 0.16])
def test_a_machine_that_stands_still_for_a_moment_elects_nobody(quiet: Run, pause_s: float):
    leader = leader_of(quiet)
    term = leader.core.term
    for _ in range(5):
        for member in quiet.members:  # all of them: one machine, or one host of virtual ones
            member.runtime.pause(pause_s)
        quiet.world.run_until(quiet.world.now_s + 1.0)
        assert leader_of(quiet) is leader
    assert leader.core.term == term


def test_a_leader_that_stood_still_for_long_finds_out_that_it_was_replaced(quiet: Run):
    old = leader_of(quiet)
    old.runtime.pause(0.5)
    quiet.world.run_until(quiet.world.now_s + 1.0)
    assert leader_of(quiet) is not old
    assert not old.core.is_ready


@pytest.mark.parametrize(
    ("leader_s", "followers_s"),
    [(3.0, (2.9, 3.1)), (3.0, (1.2, 1.4)), (1.0, (2.5, 2.9)), (0.2, (0.1, 0.5)), (0.1, (0.1, 0.1))],
)
def test_a_log_entry_that_takes_long_elects_nobody(
    quiet: Run, leader_s: float, followers_s: tuple[float, float]
):
    leader = leader_of(quiet)
    term, followers = leader.core.term, [m for m in quiet.members if m is not leader]
    for _ in range(3):
        index = quiet.checks.newest_committed + 2
        for member, seconds in zip([leader, *followers], [leader_s, *followers_s], strict=True):
            member.long_entries[index] = seconds
        before = answers(quiet)
        quiet.world.run_until(quiet.world.now_s + max(leader_s, *followers_s) + 1.0)
        assert not any(member.long_entries for member in quiet.members)
        assert leader_of(quiet) is leader
        assert answers(quiet) > before
    assert leader.core.term == term
    assert leader.core.raft.pauses.longest_s >= leader_s


def test_a_leader_that_dies_during_a_long_log_entry_is_replaced_when_it_is_over(quiet: Run):
    leader = leader_of(quiet)
    index = quiet.checks.newest_committed + 2
    for member in quiet.members:
        member.long_entries[index] = 1.0
    while index in leader.long_entries:
        quiet.world.run_until(quiet.world.now_s + 0.001)
    begun_s = quiet.world.now_s
    leader.crash(power_loss=False)
    quiet.world.run_until(begun_s + 1.2)
    assert leader_of(quiet) is not leader


def test_a_leader_that_has_lost_its_connections_does_not_wait_for_those_who_may_be_busy(quiet: Run):
    leader = leader_of(quiet)
    index = quiet.checks.newest_committed + 2
    for member in quiet.members:
        member.long_entries[index] = 1.0
    quiet.world.run_until(quiet.world.now_s + 1.2)
    assert not leader.long_entries
    assert leader.core.is_ready
    for other in quiet.members:
        if other is not leader:
            quiet.fabric.block(leader.node_id, other.node_id)
            quiet.fabric.break_link(leader.node_id, other.node_id)
    quiet.world.run_until(quiet.world.now_s + 0.3)
    assert not leader.core.is_ready, "its clients would wait"
    assert any(member.core.is_ready for member in quiet.members)
