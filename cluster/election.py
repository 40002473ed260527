"""When to stand for election: suspicion of the leader and the pre-vote. Pure; time is an argument.

pysyncobj elects only when it is told to. This module decides when:

* the connection to the leader breaks (its process died): at once, staggered by rank, so that the
  members do not split their votes;
* the leader is silent for `suspect_after_s` although connected (it hangs, or the network is cut);
  for longer where pauses are usual, as on a machine with too much to do: up to eight times that;
* there was none to begin with.

Before a real election, which raises the term and so disturbs a healthy leader, a member asks the
others whether they would vote for it (Ongaro, "Consensus: bridging theory and practice", 9.6). A
member that hears its leader, or has a longer log, says no.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import Any

STAGGER_S = 0.015
"""Time between the attempts of members of consecutive rank."""
RETRY_AFTER_DENIAL_S = 0.008
"""A member that has not noticed yet that the leader is gone denies; ask again soon."""
GRANT_S = 0.060
"""A member that granted its pre-vote stands no earlier than this after it; twice as long for each
round that it has asked for itself since there was a leader that stayed: with slow disks an election
takes longer than this, and whoever stands in the middle of it deposes its winner."""
USUAL_PAUSES = 2.0
"""A silence is suspicious when it is so many times the longest pause of late."""
PATIENCE_MAX = 8.0
"""... or so many times `suspect_after_s`, if that is less."""
STALLS_OF_A_SILENCE = 2.0
"""What is said during a stall is heard after it, or one turn of the loop later."""
_PAUSE_MEMORY_S = 10.0
_CAMPAIGN_DOUBLINGS_MAX = 5
_ASKING_DOUBLINGS_MAX = 4
STALL_S = 0.020
"""A node whose own loop was late by this much suspects itself before it suspects the leader."""
OTHERS_TAKE_LONGER = 4.0
"""A log entry that kept us busy for a second may keep another member busy for so many more: a
machine with too much to do is not fair to everybody."""


class Action(Enum):
    """What the caller is to do."""

    PRE_VOTE = "pre-vote"
    CAMPAIGN = "campaign"


class Election:
    """Suspicion and pre-vote of one member. All times are seconds of one monotonic clock."""

    def __init__(
        self,
        node_id: int,
        members: tuple[int, ...],
        *,
        suspect_after_s: float,
        now_s: float,
        rng: random.Random,
    ) -> None:
        self.leader_id: int | None = None
        self.round = 0
        self.cause = "there was no leader"
        """Why the latest round was begun, for the log."""
        self._node_id = node_id
        self._members = members
        self._suspect_after_s = suspect_after_s
        self._rng = rng
        self._last_heard_s = float("-inf")
        self._granted: dict[int, None] = {}
        self._waiting = False
        self._campaigns = 0
        self._asked = 0
        self._leader_since_s = now_s
        self._longest_pause_s = 0.0
        self._patient_until_s = 0.0
        self._may_be_patient = False
        self._longest_stall_s = 0.0
        self._excused_s = 0.0
        self._deadline_s = now_s + suspect_after_s * (1 + rng.random())

    @property
    def majority(self) -> int:
        """How many votes decide."""
        return len(self._members) // 2 + 1

    def heard_leader(self, leader_id: int, now_s: float) -> None:
        """An append_entries of the current term came in."""
        if leader_id == self.leader_id:
            self._note_pause(now_s - self._last_heard_s)
        self._follow(leader_id, now_s)
        self._last_heard_s = now_s
        self._may_be_patient = True
        suspect_at_s = now_s + self._patience_with_leader_s + self._rank() * STAGGER_S
        self._deadline_s = max(suspect_at_s, self._patient_until_s)

    def _note_pause(self, pause_s: float) -> None:
        """The leader is heard again after `pause_s`; long pauses are forgotten by and by."""
        kept = max(0.0, 1.0 - pause_s / _PAUSE_MEMORY_S)
        self._longest_pause_s = max(pause_s, self._longest_pause_s * kept)

    @property
    def _patience_with_leader_s(self) -> float:
        """After how long a silence the leader is suspected."""
        usual_s = min(USUAL_PAUSES * self._longest_pause_s, PATIENCE_MAX * self._suspect_after_s)
        return max(self._suspect_after_s, usual_s)

    def lost_connection(self, peer_id: int, now_s: float) -> None:
        """A connection broke. If it was the leader's, do not wait for silence."""
        if peer_id == self.leader_id:
            rank = self._rank()
            self.leader_id = None
            self._patient_until_s = 0.0
            self.cause = f"the connection to the leader, node {peer_id}, broke"
            self._deadline_s = min(self._deadline_s, now_s + rank * STAGGER_S)

    def stalled(self, late_s: float) -> None:
        """Our own loop was late: what we did not hear in that time is our own fault. But a leader
        that lives is heard after a stall, so that not every one counts.

        Story: (1) a member that was away has 500 log entries to apply, a piece per turn of the
        loop; (2) the leader hangs; (3) a third member asks for pre-votes, and is denied until the
        last entry is applied, if each piece excuses the silence."""
        if late_s > STALL_S:
            self._deadline_s += late_s
            self._longest_stall_s = max(self._longest_stall_s, late_s)
            excusable_s = max(
                STALLS_OF_A_SILENCE * self._longest_stall_s, PATIENCE_MAX * self._suspect_after_s
            )
            excused_s = min(late_s, excusable_s - self._excused_s)
            self._excused_s += excused_s
            self._last_heard_s += excused_s

    def be_patient(self, until_s: float) -> None:
        """The leader may be busy until then: its silence is no cause for suspicion, the loss of its
        connection is. Once for each time that it is heard: the later pieces of a backlog are old
        news, with which it was done long ago."""
        if self.leader_id is not None and self._may_be_patient:
            self._may_be_patient = False
            self._patient_until_s = until_s
            self._deadline_s = max(self._deadline_s, until_s)

    def leads(self, now_s: float) -> None:
        """We are the leader ourselves."""
        self._follow(self._node_id, now_s)
        self._deadline_s = now_s + self._suspect_after_s

    def _follow(self, leader_id: int, now_s: float) -> None:
        """There is a leader. Only one that stays ends the growing of pauses: one that is deposed
        as soon as it is elected is what they are for. Nobody is patient with another one than the
        one that was busy."""
        self._waiting = False
        self._longest_stall_s = self._excused_s = 0.0
        if leader_id != self.leader_id:
            self.leader_id, self._leader_since_s = leader_id, now_s
            self._patient_until_s = 0.0
        elif now_s - self._leader_since_s > self._suspect_after_s:
            self._campaigns = self._asked = 0

    def stepped_down(self, now_s: float) -> None:
        """We were the leader and are not any more: let others go first."""
        if self.leader_id == self._node_id:
            self.leader_id = None
            self.cause = "this node stepped down, and no other one leads"
            self._deadline_s = now_s + self._suspect_after_s

    def on_time(self, now_s: float) -> Action | None:
        """PRE_VOTE when it is time to ask the others (with `round`), else None."""
        if now_s < self._deadline_s:
            return None
        self.round += 1
        if self.leader_id is not None:
            silence_ms = 1000 * (now_s - self._last_heard_s)
            self.cause = f"the leader, node {self.leader_id}, was silent for {silence_ms:.0f} ms"
        self._granted = {self._node_id: None}
        self._waiting = True
        # Twice as long each time: on a slow network a new round before the old one's answers are in
        # would begin again for ever.
        patience_s = (0.030 + 0.030 * self._rng.random()) * (1 << self._asked)
        self._asked = min(self._asked + 1, _ASKING_DOUBLINGS_MAX)
        self._deadline_s = now_s + patience_s + STAGGER_S * self._rank()
        return Action.CAMPAIGN if self.majority == 1 else Action.PRE_VOTE

    def grants(
        self,
        peer_id: int,
        message: dict[str, Any],
        *,
        now_s: float,
        term: int,
        last: tuple[int, int],
    ) -> bool:
        """Whether we would vote for the sender. `last` is our last log entry's (term, index).

        Who grants leaves the other one time to win. Of two that ask each other at the same moment
        with equal logs the one with the lower id goes first: two elections in one term would split
        the votes, and cost a whole round."""
        hears_leader = self.leader_id is not None and (
            now_s - self._last_heard_s < self._patience_with_leader_s
            or now_s < self._patient_until_s
        )
        if self.leader_id == self._node_id or hears_leader:
            return False
        theirs = (message["last_log_term"], message["last_log_index"])
        if theirs < last or message["term"] <= term:
            return False
        if self._waiting and theirs == last and self._node_id < peer_id:
            return False
        self._waiting = False
        self._deadline_s = max(self._deadline_s, now_s + GRANT_S * (1 << self._asked))
        return True

    def answered(self, peer_id: int, message: dict[str, Any], now_s: float) -> Action | None:
        """CAMPAIGN when a majority would vote for us in this round, else None."""
        if not self._waiting or message["round"] != self.round:
            return None
        if not message["granted"]:
            self._deadline_s = min(self._deadline_s, now_s + RETRY_AFTER_DENIAL_S)
            return None
        self._granted[peer_id] = None
        if len(self._granted) < self.majority:
            return None
        self._waiting = False
        self._deadline_s = now_s + self._patience_s()
        return Action.CAMPAIGN

    def _patience_s(self) -> float:
        """How long to wait for the votes. Twice as long after each election that came to nothing:
        with slow disks (each vote waits for two of them) a new term before the old one's votes are
        in would begin again for ever."""
        patience_s = (0.1 + 0.1 * self._rng.random()) * (1 << self._campaigns)
        self._campaigns = min(self._campaigns + 1, _CAMPAIGN_DOUBLINGS_MAX)
        return patience_s

    def _rank(self) -> int:
        """Our place among the members that could follow the leader."""
        others = [member for member in self._members if member != self.leader_id]
        return others.index(self._node_id) if self._node_id in others else 0
