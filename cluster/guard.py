"""The safety rules that stand between the network and pysyncobj.

pysyncobj 0.3.17 has faults that lose acknowledged entries (ARCHITECTURE.md lists them). Every
message in or out of it passes through these rules. They are pure functions of a message and of a
few numbers, so each of them can be tested, simulated and switched off alone. The names A1, A2 ...
are those of the fault list; each docstring tells the failure that its rule prevents.

Raft messages are the dicts that pysyncobj makes. None of these functions changes its argument.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

Message = dict[str, Any]

MAX_APPLY_AHEAD = 512
"""C7: how many entries one message may let a follower apply in one go."""


class SafetyViolation(Exception):
    """What must never be, was about to be. The process stops; the journal is kept as it is."""


class Log(Protocol):
    """The part of the journal that the rules look at."""

    @property
    def first_index(self) -> int: ...
    @property
    def last_index(self) -> int: ...
    @property
    def last_term(self) -> int: ...
    def term_at(self, index: int) -> int | None: ...


class Delivery(NamedTuple):
    """What to do with an append_entries.

    `message` goes to pysyncobj, None if it must not. pysyncobj answers with a next_node_idx: it is
    lowered to `next_index_cap` if that is not None, and replaced by `reply` if that is not None.
    """

    message: Message | None
    next_index_cap: int | None = None
    reply: Message | None = None


def check_append_entries(
    message: Message,
    log: Log,
    *,
    current_term: int,
    commit_index: int,
    applied_index: int,
    is_leader: bool,
) -> Delivery:
    """Decide on an append_entries before pysyncobj sees it.

    A1: pysyncobj deletes everything after prevLogIdx on every append_entries, also when the
    entries match. Story: (1) the leader sends [3-4] [5-6], the link breaks, and after two resets it
    sends [3-4] [5-6] again; (2) the follower has acknowledged 3-6, and 5-6 are committed by that;
    (3) the second [3-4] arrives and cuts 5-6 off; (4) the leader dies before [5-6] arrives again;
    (5) the follower, being one of two, elects itself without 5-6, which clients were told. So only
    what is new, or really conflicts, is delivered, and the answer vouches only for what this
    message vouched for.

    A18: an append_entries of our own term while we lead means two leaders in one term. Stop.
    A19: a conflict at or below the commit index would cut off what was committed. Stop.
    C2: an append_entries of a lower term is answered, so that an old leader learns of its end.
    C5: a conflict is answered with the first index of the conflicting term, one round trip a term.
    C7: the commit index is limited, so that a backlog does not stall the loop.
    A2: a message without prevLogIdx (pysyncobj's way to send a snapshot) is refused outright: it
    would move the commit index over entries of another leader. Snapshots travel beside pysyncobj.
    """
    term = message["term"]
    if term < current_term:
        return Delivery(None, reply={"type": "higher_term", "term": current_term})
    if term == current_term and is_leader:
        raise SafetyViolation(f"A18: a second leader in term {term} sent append_entries")
    if "prevLogIdx" not in message or "serialized" in message or "transmission" in message:
        return Delivery(None)

    previous_index, previous_term = message["prevLogIdx"], message["prevLogTerm"]
    entries = message["entries"]
    commit_limit = min(message["commit_index"], applied_index + MAX_APPLY_AHEAD)

    known_term = log.term_at(previous_index)
    if known_term != previous_term:
        # pysyncobj answers with a reset and takes nothing. It would step back one index at a time.
        return _refuse_previous(message, log, known_term, commit_index)

    new_from = 0
    for _, index, entry_term in entries:
        existing = log.term_at(index)
        if existing is None:
            break
        if existing != entry_term:
            if index <= commit_index:
                raise SafetyViolation(
                    f"A19: entry {index} is committed with term {existing}, "
                    f"the leader of term {term} sends term {entry_term} for it"
                )
            break
        new_from += 1

    vouched_index = entries[-1][1] if entries else previous_index
    commit_limit = min(commit_limit, vouched_index)
    if new_from == len(entries):
        delivered = message | {
            "prevLogIdx": log.last_index,
            "prevLogTerm": log.last_term,
            "entries": (),
            "commit_index": commit_limit,
        }
        return Delivery(delivered, next_index_cap=vouched_index + 1)
    first_new = entries[new_from][1]
    before = entries[new_from - 1][2] if new_from else previous_term
    delivered = message | {
        "prevLogIdx": first_new - 1,
        "prevLogTerm": before,
        "entries": entries[new_from:],
        "commit_index": commit_limit,
    }
    return Delivery(delivered)


def _refuse_previous(
    message: Message, log: Log, known_term: int | None, commit_index: int
) -> Delivery:
    """Let pysyncobj note the leader (an empty message about our own last entry), and answer with
    the place from which the leader should send."""
    next_index = min(log.last_index + 1, message["prevLogIdx"])
    if known_term is not None:
        if next_index <= commit_index:
            raise SafetyViolation(
                f"A19: entry {next_index} is committed with term {known_term}, "
                f"the leader of term {message['term']} has term {message['prevLogTerm']} for it"
            )
        while next_index - 1 > commit_index and log.term_at(next_index - 1) == known_term:
            next_index -= 1
    # The leader has all that is committed. An old message about entries that our journal has
    # forgotten must not send it back behind that, to a snapshot that nobody needs.
    next_index = max(next_index, commit_index + 1, log.first_index + 1)
    heartbeat = message | {
        "prevLogIdx": log.last_index,
        "prevLogTerm": log.last_term,
        "entries": (),
        "commit_index": 0,
    }
    reply = {
        "type": "next_node_idx",
        "next_node_idx": next_index,
        "reset": True,
        "success": False,
    }
    return Delivery(heartbeat, reply=reply)


class Offer(NamedTuple):
    """What to do with a snapshot that a peer offers: `reply` to it, and take it if `wanted`."""

    wanted: bool
    reply: Message


def check_snapshot_offer(
    message: Message, log: Log, *, current_term: int, commit_index: int, is_leader: bool
) -> Offer:
    """Decide on a leader's offer of a snapshot, which it makes when it no longer has the entries
    that it thinks we need.

    A12: an older snapshot would roll our state back. Story: (1) a slow answer of ours makes the
    leader believe that we need entry 5, which it no longer has; (2) meanwhile we have applied up to
    100 and acknowledged it; (3) the snapshot after entry 50 replaces state and log: what we vouched
    for is gone. So nothing is taken that we have applied, or hold with the same term; the answer
    names the entry after it, which the leader has. (The end of our log would be no answer: with a
    conflict between the two the leader would go back to the snapshot for ever.)

    An offer that is wanted is answered as well, with nothing new, so that the leader knows that a
    majority hears it.

    A18 and C2 as for append_entries.
    """
    term = message["term"]
    if term < current_term:
        return Offer(False, {"type": "higher_term", "term": current_term})
    if term == current_term and is_leader:
        raise SafetyViolation(f"A18: a second leader in term {term} offered a snapshot")
    index = message["index"]
    wanted = index > commit_index and log.term_at(index) != message["snapshot_term"]
    reply = {
        "type": "next_node_idx",
        "next_node_idx": max(commit_index, index) + 1,
        "reset": not wanted,
        "success": False,
    }
    return Offer(wanted, reply)


def log_fits_snapshot(log: Log, *, index: int, term: int, commit_index: int) -> bool:
    """A9 - A11: whether a log goes on from the snapshot after entry `index` of `term`, as it is.

    False: it does not, and all that it holds is either in the snapshot or was never committed, so
    it begins anew with that entry. Story: (1) a follower takes a snapshot after entry 50 and
    crashes; (2) its journal still ends at 30; (3) it starts with state 50 and log 30, and appends
    31 as sent by an old leader: from then on index and state mean different things. But a log that
    holds entry 50 keeps what follows it: 51 was acknowledged, and may be committed by that.

    Raises SafetyViolation when there is a gap, or when they contradict each other about what is
    committed.
    """
    known_term = log.term_at(index)
    if known_term == term:
        return True
    if known_term is not None and index <= commit_index:
        raise SafetyViolation(
            f"A11: entry {index} is committed with term {known_term}, "
            f"the snapshot after it says term {term}"
        )
    if known_term is None and log.first_index <= log.last_index and index < log.first_index:
        raise SafetyViolation(
            f"A9: the snapshot is of entry {index}, the journal begins with entry "
            f"{log.first_index}: what lies between is missing"
        )
    return False


def cap_acknowledgement(
    message: Message, *, durable_index: int
) -> tuple[Message | None, Message | None]:
    """Split an acknowledgement into (what counts now, what waits for our own disk).

    A5: pysyncobj lets the leader count itself before its own write. Story: (1) the leader appends
    7, follower B has it on disk and says so; (2) leader plus B are two of three: 7 is committed and
    the client told; (3) the power fails on leader and B's peers, the leader comes back without 7;
    (4) leader and C elect one another and 7 is gone, though only B's disk had ever held it. So an
    acknowledgement beyond our own durable index counts only up to there until the disk has it.
    """
    if not message["success"] or message["next_node_idx"] - 1 <= durable_index:
        return message, None
    return message | {"next_node_idx": durable_index + 1}, message


def acknowledgement_counts(message: Message, *, current_term: int, epoch: int) -> bool:
    """A4: an acknowledgement carries no term in pysyncobj. Story: (1) a leader of term 2 sends 5,
    the answer stays on the way; (2) it is deposed, 5 is replaced by another 5 of term 3, and it is
    elected again in term 4; (3) the old answer arrives, and the new 5 counts as held by a node that
    holds nothing of it. So an answer counts only in its own term and on its own connection."""
    return bool(message["term"] == current_term and message["epoch"] == epoch)


def vouch(message: Message, *, may_vote: bool) -> Message:
    """A20: pysyncobj counts what any member acknowledges. Story: (1) node 2 leads term 1 and is cut
    off with entry 4 on itself only; (2) node 3 votes for node 1 in term 2, and acknowledges the
    entry 4 of that term, which is committed; (3) node 3 loses its disk, and with it what it has
    promised; (4) it hears node 2 again, takes the entry 4 of term 1, and its acknowledgement makes
    a majority: two entries 4 are committed. So what a member says that may not vote counts as a
    sign of life and for nothing else, until it has heard every other member and has caught up."""
    if may_vote or not message["success"]:
        return message
    return message | {"success": False}


class VoteCount:
    """A13: pysyncobj counts vote messages, not voters. Story: a vote is sent again after a
    reconnect; the candidate has its own vote and the same other one twice, three of five, and
    leads beside another leader. So the second vote of a voter in a term is dropped."""

    __slots__ = ("_term", "_voters")

    def __init__(self) -> None:
        self._term = -1
        self._voters: dict[int, None] = {}

    def counts(self, term: int, voter: int) -> bool:
        """True the first time that node `voter` grants its vote in `term`, our current one."""
        if term != self._term:
            self._term = term
            self._voters = {}
        if voter in self._voters:
            return False
        self._voters[voter] = None
        return True


def needs_durable_log(message: Message, *, acknowledgements_wait: bool) -> bool:
    """Whether a message out promises something about our disk: votes always do, acknowledgements
    of entries unless the cluster runs in a weaker durability mode. pysyncobj sends both before any
    write; a node that then loses power would have promised what it does not know."""
    kind = message["type"]
    if kind in ("request_vote", "response_vote"):
        return True
    return acknowledgements_wait and kind == "next_node_idx" and bool(message["success"])


def outdate_leader(message: Message, *, current_term: int, is_leader: bool) -> Message | None:
    """C2, the other end: what a stuck leader gives to pysyncobj when a peer names a higher term: a
    vote request that cannot win, whose term pysyncobj adopts."""
    if not is_leader or message["term"] <= current_term:
        return None
    return {
        "type": "request_vote",
        "term": message["term"],
        "last_log_index": 0,
        "last_log_term": 0,
    }
