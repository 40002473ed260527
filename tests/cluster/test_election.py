"""When a member stands for election, and whom it would vote for."""

import random

from cluster.election import GRANT_S, STAGGER_S, Action, Election

SUSPECT_S = 0.15


def member(node_id: int) -> Election:
    return Election(
        node_id, (1, 2, 3), suspect_after_s=SUSPECT_S, now_s=0.0, rng=random.Random(node_id)
    )


def ask(term: int = 2, last: tuple[int, int] = (1, 5), number: int = 1) -> dict[str, int]:
    return {"term": term, "last_log_term": last[0], "last_log_index": last[1], "round": number}


def test_a_broken_connection_to_the_leader_is_acted_on_at_once_by_the_first_in_rank():
    second, third = member(2), member(3)
    for each in (second, third):
        each.heard_leader(1, 10.0)
        each.lost_connection(1, 10.02)
    assert second.on_time(10.02) is Action.PRE_VOTE
    assert third.on_time(10.02) is None
    assert third.on_time(10.02 + STAGGER_S) is Action.PRE_VOTE


def test_a_broken_connection_to_another_follower_means_nothing():
    second = member(2)
    second.heard_leader(1, 10.0)
    second.lost_connection(3, 10.02)
    assert second.on_time(10.1) is None


def test_a_silent_leader_is_suspected_after_the_set_time():
    second = member(2)
    second.heard_leader(1, 10.0)
    assert second.on_time(10.0 + SUSPECT_S - 0.001) is None
    assert second.on_time(10.0 + SUSPECT_S) is Action.PRE_VOTE


def test_a_member_whose_own_loop_stalled_does_not_suspect_the_leader_for_it():
    second = member(2)
    second.heard_leader(1, 10.0)
    second.stalled(0.5)
    assert second.on_time(10.5) is None


def test_a_leader_that_may_be_busy_is_not_suspected_but_its_connection_counts():
    second = member(2)
    second.heard_leader(1, 10.0)
    second.be_patient(12.0)
    second.heard_leader(1, 10.1)
    assert second.on_time(11.99) is None
    assert not second.grants(3, ask(), now_s=11.99, term=1, last=(1, 5))
    second.lost_connection(1, 11.99)
    assert second.on_time(11.99) is Action.PRE_VOTE


def test_a_leader_that_may_be_busy_is_suspected_when_that_is_over():
    second = member(2)
    second.heard_leader(1, 10.0)
    second.be_patient(12.0)
    assert second.on_time(12.0) is Action.PRE_VOTE


def test_the_next_leader_is_not_taken_to_be_busy_with_what_kept_the_one_before():
    third = member(3)
    third.heard_leader(1, 10.0)
    third.be_patient(12.0)
    third.heard_leader(2, 10.1)
    silent_s = 10.1 + SUSPECT_S + STAGGER_S
    assert third.grants(1, ask(), now_s=silent_s, term=1, last=(1, 5))
    assert third.on_time(silent_s + GRANT_S) is Action.PRE_VOTE


def test_a_member_with_a_backlog_does_not_deny_its_vote_until_the_end_of_it():
    second = member(2)
    now_s = 10.0
    second.heard_leader(1, now_s)
    for _ in range(40):  # 0.1 s for each piece of it, and no turn of the loop takes any time
        now_s += 0.1
        second.stalled(0.1)
        second.be_patient(now_s + 0.2)
    assert second.on_time(now_s) is None, "it has other things to do than to lead"
    assert second.grants(3, ask(), now_s=11.0 + 8 * SUSPECT_S, term=1, last=(1, 5))


def test_a_member_that_stalls_again_and_again_excuses_its_leader_whenever_that_was_heard():
    second = member(2)
    now_s = 10.0
    for _ in range(40):
        second.heard_leader(1, now_s)
        for _ in range(2):
            now_s += 0.7
            second.stalled(0.7)
            assert second.on_time(now_s) is None
            assert not second.grants(3, ask(), now_s=now_s, term=1, last=(1, 5))


def test_a_majority_of_pre_votes_starts_the_election_once():
    second = member(2)
    second.on_time(10.0)
    yes = ask(number=second.round) | {"granted": True}
    assert second.answered(3, yes, 10.001) is Action.CAMPAIGN
    assert second.answered(1, yes, 10.002) is None


def test_answers_of_an_older_round_do_not_count():
    second = member(2)
    second.on_time(10.0)
    old = ask(number=second.round) | {"granted": True}
    second.on_time(20.0)
    assert second.answered(3, old, 20.001) is None


def test_a_member_that_hears_its_leader_denies():
    third = member(3)
    third.heard_leader(1, 10.0)
    assert not third.grants(1, ask(), now_s=10.1, term=1, last=(1, 5))
    assert third.grants(1, ask(), now_s=10.1 + SUSPECT_S, term=1, last=(1, 5))


def test_a_member_with_a_longer_log_denies():
    third = member(3)
    assert third.grants(1, ask(last=(1, 5)), now_s=1.0, term=1, last=(1, 5))
    assert not third.grants(1, ask(last=(1, 4)), now_s=1.0, term=1, last=(1, 5))
    assert not third.grants(1, ask(last=(1, 9)), now_s=1.0, term=1, last=(2, 1))


def test_a_term_that_is_not_higher_gets_no_vote():
    assert not member(3).grants(1, ask(term=2), now_s=1.0, term=2, last=(1, 5))


def test_a_member_that_granted_leaves_the_other_time_to_win():
    third = member(3)
    third.heard_leader(1, 10.0)
    third.lost_connection(1, 10.02)
    assert third.grants(2, ask(), now_s=10.021, term=1, last=(1, 5))
    assert third.on_time(10.02 + STAGGER_S) is None
    assert third.on_time(10.021 + GRANT_S) is Action.PRE_VOTE


def test_of_two_that_ask_each_other_the_lower_id_goes_first():
    second, third = member(2), member(3)
    for each in (second, third):
        each.on_time(10.0)
    assert not second.grants(3, ask(), now_s=10.001, term=1, last=(1, 5))
    assert third.grants(2, ask(), now_s=10.001, term=1, last=(1, 5))
    yes = ask(number=third.round) | {"granted": True}
    assert third.answered(1, yes, 10.002) is None, "it has given way"
    assert second.grants(3, ask(last=(1, 6)), now_s=10.003, term=1, last=(1, 5))


def test_each_election_that_comes_to_nothing_is_waited_for_twice_as_long():
    second = member(2)
    waits = []
    now_s = 10.0
    for _ in range(5):
        while second.on_time(now_s) is None:
            now_s += 0.001
        yes = ask(number=second.round) | {"granted": True}
        assert second.answered(3, yes, now_s) is Action.CAMPAIGN
        begun_s = now_s
        while second.on_time(now_s) is None:
            now_s += 0.001
        waits.append(now_s - begun_s)
    assert waits[-1] > 1.0
    assert 0.1 <= waits[0] <= 0.201
    second.heard_leader(1, now_s)
    second.lost_connection(1, now_s)
    assert second.on_time(now_s) is Action.PRE_VOTE


def test_answers_that_take_long_are_waited_for_in_the_end():
    second, third = member(2), member(3)
    way_s = 0.1
    arriving: list[tuple[float, int]] = []
    now_s = 10.0
    while now_s < 12.0:
        if second.on_time(now_s) is Action.PRE_VOTE:
            assert third.grants(2, ask(), now_s=now_s + way_s, term=1, last=(1, 5))
            arriving.append((now_s + 2 * way_s, second.round))
        while arriving and arriving[0][0] <= now_s:
            yes = ask(number=arriving.pop(0)[1]) | {"granted": True}
            if second.answered(3, yes, now_s) is Action.CAMPAIGN:
                return
        now_s += 0.001
    raise AssertionError("it asks again and again, always before the answer is there")


def test_a_denied_member_asks_again_soon():
    second = member(2)
    second.on_time(10.0)
    second.answered(3, ask(number=second.round) | {"granted": False}, 10.0)
    assert second.on_time(10.009) is Action.PRE_VOTE


def wait_after_a_grant(one: Election, now_s: float) -> float:
    """How long a member that grants now stands back, to the millisecond."""
    assert one.grants(1, ask(term=99), now_s=now_s, term=1, last=(1, 5))
    waited = 0
    while one.on_time(now_s + waited / 1000) is None:
        waited += 1
    return waited / 1000


def test_who_grants_again_and_again_waits_longer_each_time():
    """Each round without a leader that stays says that elections take longer than that here."""
    third = member(3)
    waits = [wait_after_a_grant(third, 10.0 * number) for number in (1, 2, 3)]
    assert waits == [GRANT_S, 2 * GRANT_S, 4 * GRANT_S]


def test_a_leader_that_is_deposed_at_once_does_not_make_anybody_impatient_again():
    third = member(3)
    wait_after_a_grant(third, 10.0)
    third.heard_leader(2, 10.1)
    third.lost_connection(2, 10.11)
    assert wait_after_a_grant(third, 20.0) == 2 * GRANT_S


def test_a_leader_that_stays_ends_the_growing_of_pauses():
    third = member(3)
    wait_after_a_grant(third, 10.0)
    for moment in range(12):
        third.heard_leader(2, 10.1 + moment * SUSPECT_S / 10)
    third.lost_connection(2, 10.4)
    assert wait_after_a_grant(third, 20.0) == GRANT_S


def hears(one: Election, pause_s: float, seconds: float, now_s: float) -> float:
    """The leader is heard every `pause_s`; returns when it was last."""
    for _ in range(round(seconds / pause_s)):
        now_s += pause_s
        one.heard_leader(1, now_s)
    return now_s


def test_where_pauses_are_usual_a_silence_is_suspected_later():
    second = member(2)
    second.heard_leader(1, 10.0)
    last_s = hears(second, pause_s=0.6 * SUSPECT_S, seconds=1.0, now_s=10.0)
    assert second.on_time(last_s + 1.19 * SUSPECT_S) is None
    assert not second.grants(3, ask(), now_s=last_s + 1.19 * SUSPECT_S, term=1, last=(1, 5))
    assert second.on_time(last_s + 1.21 * SUSPECT_S) is Action.PRE_VOTE


def test_a_silence_is_always_suspected_after_eight_times_the_set_time():
    second = member(2)
    second.heard_leader(1, 10.0)
    second.heard_leader(1, 20.0)
    assert second.on_time(20.0 + 7.99 * SUSPECT_S) is None
    assert second.on_time(20.0 + 8.01 * SUSPECT_S) is Action.PRE_VOTE


def test_long_pauses_are_forgotten():
    second = member(2)
    second.heard_leader(1, 10.0)
    second.heard_leader(1, 10.0 + SUSPECT_S)
    last_s = hears(second, pause_s=0.01, seconds=60.0, now_s=10.0 + SUSPECT_S)
    assert second.on_time(last_s + 1.01 * SUSPECT_S) is Action.PRE_VOTE
