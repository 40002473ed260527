"""Each rule of cluster/guard.py against the failure that it prevents."""

import pytest

from cluster import guard
from cluster.guard import SafetyViolation, VoteCount


class FakeLog:
    """The terms of a log, from index `first` on."""

    def __init__(self, *terms: int, first: int = 1) -> None:
        self._terms = terms
        self.first_index = first

    @property
    def last_index(self) -> int:
        return self.first_index + len(self._terms) - 1

    @property
    def last_term(self) -> int:
        return self._terms[-1]

    def term_at(self, index: int) -> int | None:
        place = index - self.first_index
        return self._terms[place] if 0 <= place < len(self._terms) else None


def append(previous: int, previous_term: int, *terms: int, term: int = 3, commit: int = 0):
    entries = tuple((b"x", previous + 1 + i, t) for i, t in enumerate(terms))
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit,
        "entries": entries,
        "prevLogIdx": previous,
        "prevLogTerm": previous_term,
    }


def check(message, log, *, term=3, commit=0, applied=0, leader=False):
    return guard.check_append_entries(
        message,
        log,
        current_term=term,
        commit_index=commit,
        applied_index=applied,
        is_leader=leader,
    )


def test_a_repeated_prefix_is_delivered_without_entries_so_nothing_is_cut_off():
    delivery = check(append(2, 1, 2, 2, commit=6), FakeLog(0, 1, 2, 2, 3, 3))
    assert delivery.message["entries"] == ()
    assert (delivery.message["prevLogIdx"], delivery.message["prevLogTerm"]) == (6, 3)
    assert delivery.next_index_cap == 5, "the answer vouches only for what the message vouched for"
    assert delivery.message["commit_index"] == 4


def test_only_the_new_entries_behind_a_matching_prefix_are_delivered():
    delivery = check(append(2, 1, 2, 2, 3), FakeLog(0, 1, 2))
    assert [entry[1] for entry in delivery.message["entries"]] == [4, 5]
    assert (delivery.message["prevLogIdx"], delivery.message["prevLogTerm"]) == (3, 2)
    assert delivery.next_index_cap is None


def test_a_conflict_above_the_commit_index_is_delivered_from_where_it_begins():
    delivery = check(append(1, 0, 2, 3, 3), FakeLog(0, 2, 2, 2), commit=2)
    assert [entry[1] for entry in delivery.message["entries"]] == [3, 4]
    assert (delivery.message["prevLogIdx"], delivery.message["prevLogTerm"]) == (2, 2)


def test_a_conflict_at_the_commit_index_stops_the_node():
    with pytest.raises(SafetyViolation, match="A19"):
        check(append(1, 0, 3, 3), FakeLog(0, 2, 2), commit=2)


def test_a_previous_entry_that_contradicts_a_committed_one_stops_the_node():
    with pytest.raises(SafetyViolation, match="A19"):
        check(append(2, 3, 3), FakeLog(0, 2, 2), commit=2)


def test_a_second_leader_of_our_own_term_stops_the_node():
    with pytest.raises(SafetyViolation, match="A18"):
        check(append(1, 0), FakeLog(0, 3), leader=True)


def test_an_append_of_a_lower_term_is_answered_with_the_higher_term():
    delivery = check(append(1, 0, term=2), FakeLog(0, 3))
    assert delivery.message is None
    assert delivery.reply == {"type": "higher_term", "term": 3}


def test_a_message_without_previous_index_never_reaches_pysyncobj():
    snapshot = {"type": "append_entries", "term": 3, "commit_index": 9, "serialized": b"x"}
    assert check(snapshot, FakeLog(0, 3)) == guard.Delivery(None)


def test_a_gap_is_answered_with_our_own_end():
    delivery = check(append(9, 3, 3), FakeLog(0, 1, 2))
    assert delivery.reply["next_node_idx"] == 4
    assert delivery.reply["reset"]
    assert not delivery.reply["success"]
    assert delivery.message["entries"] == ()
    assert delivery.message["commit_index"] == 0


def test_an_old_message_about_forgotten_entries_is_answered_with_what_is_committed():
    delivery = check(append(5, 1, 1), FakeLog(1, 1, 1, 1, first=20), commit=21)
    assert delivery.reply["next_node_idx"] == 22
    assert delivery.message["entries"] == ()


def test_a_conflicting_previous_entry_is_answered_with_the_first_index_of_its_term():
    delivery = check(append(6, 3, 3), FakeLog(0, 1, 2, 2, 2, 2), commit=1)
    assert delivery.reply["next_node_idx"] == 3


def test_the_commit_index_is_limited_to_what_can_be_applied_in_one_go():
    terms = [1] * 2000
    delivery = check(append(2000, 1, commit=2000), FakeLog(*terms), applied=10)
    assert delivery.message["commit_index"] == 10 + guard.MAX_APPLY_AHEAD


def test_an_acknowledgement_beyond_our_own_disk_counts_only_up_to_it():
    message = {"type": "next_node_idx", "next_node_idx": 8, "reset": False, "success": True}
    counts, waits = guard.cap_acknowledgement(message, durable_index=5)
    assert counts["next_node_idx"] == 6
    assert waits == message
    assert guard.cap_acknowledgement(message, durable_index=7) == (message, None)


@pytest.mark.parametrize(("term", "epoch", "counts"), [(3, 7, True), (2, 7, False), (3, 6, False)])
def test_an_acknowledgement_counts_in_its_own_term_and_connection_only(term, epoch, counts):
    message = {"term": term, "epoch": epoch}
    assert guard.acknowledgement_counts(message, current_term=3, epoch=7) is counts


def test_a_voter_counts_once_in_a_term():
    votes = VoteCount()
    assert [votes.counts(4, voter) for voter in (2, 2, 3)] == [True, False, True]
    assert votes.counts(5, 2)


def test_votes_always_wait_for_the_disk_and_acknowledgements_unless_durability_is_weaker():
    acknowledgement = {"type": "next_node_idx", "success": True}
    refusal = {"type": "next_node_idx", "success": False}
    for kind in ("request_vote", "response_vote"):
        assert guard.needs_durable_log({"type": kind}, acknowledgements_wait=False)
    assert guard.needs_durable_log(acknowledgement, acknowledgements_wait=True)
    assert not guard.needs_durable_log(acknowledgement, acknowledgements_wait=False)
    assert not guard.needs_durable_log(refusal, acknowledgements_wait=True)
    assert not guard.needs_durable_log({"type": "append_entries"}, acknowledgements_wait=True)


def test_a_stuck_leader_adopts_a_higher_term_through_a_vote_that_cannot_be_won():
    message = {"type": "higher_term", "term": 9}
    outdated = guard.outdate_leader(message, current_term=4, is_leader=True)
    assert outdated == {
        "type": "request_vote",
        "term": 9,
        "last_log_index": 0,
        "last_log_term": 0,
    }
    assert guard.outdate_leader(message, current_term=9, is_leader=True) is None
    assert guard.outdate_leader(message, current_term=4, is_leader=False) is None


# --- snapshots ------------------------------------------------------------------------------------


def offer(index: int, snapshot_term: int, term: int = 3):
    return {
        "type": "snapshot_offer",
        "term": term,
        "source": 9,
        "index": index,
        "snapshot_term": snapshot_term,
    }


def check_offer(message, log, *, term=3, commit=0, leader=False):
    return guard.check_snapshot_offer(
        message, log, current_term=term, commit_index=commit, is_leader=leader
    )


def goes_on_at(next_index: int) -> guard.Offer:
    reply = {
        "type": "next_node_idx",
        "next_node_idx": next_index,
        "reset": True,
        "success": False,
    }
    return guard.Offer(False, reply)


@pytest.mark.parametrize(
    ("log", "commit"),
    [
        (FakeLog(), 0),
        (FakeLog(1, 1, 2), 3),
        (FakeLog(1, 1, 2, 2, 2), 4),  # entry 5 is another one, never committed
    ],
    ids=["nothing", "ends before", "conflicts"],
)
def test_a_snapshot_of_what_the_log_does_not_hold_is_wanted_and_promises_nothing(log, commit):
    decision = check_offer(offer(5, 3), log, commit=commit)
    assert decision.wanted
    assert decision.reply["type"] == "next_node_idx", "the leader hears that we are here"
    assert not decision.reply["success"]
    assert not decision.reply["reset"], "it goes on offering"


@pytest.mark.parametrize("commit", [50, 51, 100])
def test_a_snapshot_of_what_is_committed_never_rolls_the_state_back(commit):
    log = FakeLog(*[1] * 100)
    assert check_offer(offer(50, 1), log, commit=commit) == goes_on_at(commit + 1)
    assert check_offer(offer(50, 3), log, commit=commit) == goes_on_at(commit + 1)


def test_a_snapshot_of_an_entry_that_the_log_holds_is_not_needed():
    """The entry is ours with the same term, so all before it are: nothing is thrown away. What
    follows may be another story than the leader's."""
    assert check_offer(offer(5, 2), FakeLog(1, 1, 1, 2, 2, 2, 2), commit=3) == goes_on_at(6)


def test_a_trimmed_log_answers_an_old_offer_with_the_first_entry_that_is_not_sure():
    assert check_offer(offer(5, 1), FakeLog(2, 2, 2, first=30), commit=31) == goes_on_at(32)


def test_an_offer_of_a_lower_term_is_answered_with_the_higher_term():
    expected = guard.Offer(False, {"type": "higher_term", "term": 4})
    assert check_offer(offer(50, 3, term=3), FakeLog(1), term=4) == expected


def test_an_offer_of_a_second_leader_of_our_own_term_stops_the_node():
    with pytest.raises(SafetyViolation, match="A18"):
        check_offer(offer(50, 3), FakeLog(1), leader=True)
    assert check_offer(offer(50, 3, term=4), FakeLog(1), leader=True).wanted, "we lead no more"


def fits(log, index: int, term: int, commit: int = 0) -> bool:
    return guard.log_fits_snapshot(log, index=index, term=term, commit_index=commit)


def test_a_log_that_holds_the_entry_of_the_snapshot_goes_on_from_it():
    assert fits(FakeLog(1, 1, 2, 2), 3, 2, commit=2), "what follows may be committed by us"
    assert fits(FakeLog(1, 1, 2), 3, 2, commit=3)
    assert fits(FakeLog(2, 2, first=3), 3, 2, commit=4), "trimmed to the very entry"


@pytest.mark.parametrize(
    ("log", "commit"),
    [
        (FakeLog(), 0),
        (FakeLog(first=51), 0),
        (FakeLog(1, 1, 1), 3),
        (FakeLog(*[1] * 49), 49),
        (FakeLog(*[1] * 60), 49),
    ],
    ids=["new", "emptied", "ends before", "ends right before", "uncommitted entry of another term"],
)
def test_a_log_without_the_entry_of_the_snapshot_begins_anew(log, commit):
    assert not fits(log, 50, 2, commit)


def test_a_snapshot_that_contradicts_a_committed_entry_stops_the_node():
    log = FakeLog(*[1] * 60)
    for commit in (50, 51, 60):
        with pytest.raises(SafetyViolation, match=r"A11: entry 50 is committed with term 1, .*2"):
            fits(log, 50, 2, commit)


def test_a_gap_between_snapshot_and_log_stops_the_node():
    with pytest.raises(SafetyViolation, match=r"A9: the snapshot is of entry 50, .* entry 52"):
        fits(FakeLog(2, 2, first=52), 50, 2, commit=53)
