"""Whose fault a silence is: our own, while our loop was late or busy with a long log entry.

An uncross of 100,000 orders, a mass cancel or a state hash keeps every member busy for a second or
more. Nobody is heard meanwhile, and nobody is to be suspected for it.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.candidacy import Candidacy
from cluster.disk_gate import DiskGate
from cluster.election import OTHERS_TAKE_LONGER, STALL_S
from cluster.raft import RaftCore
from cluster.timings import Pauses


class Stalls:
    """Notices the stalls of one member's event loop, and has them excused. Belongs to that loop."""

    def __init__(
        self, time: Callable[[], float], candidacy: Candidacy, core: RaftCore, gate: DiskGate
    ) -> None:
        self.pauses = Pauses()
        self._time = time
        self._beat_due_s = time()
        self._candidacy = candidacy
        self._core = core
        self._gate = gate

    def begin(self) -> None:
        """A heartbeat is due now; what was before is not counted."""
        self._beat_due_s = self._time()

    def expect_beat(self, in_s: float) -> None:
        """The loop is to come to its next heartbeat in so many seconds; it has come to this one."""
        now_s = self._time()
        self.pauses.add(now_s - self._beat_due_s)
        self._beat_due_s = now_s + in_s

    def excuse_lateness(self) -> None:
        """What we did not hear while our own loop stood still is our own fault: a follower does not
        suspect its leader for it, and a leader does not believe that its majority is gone. (When
        another one leads by now, the first answer says so.)"""
        now_s = self._time()
        late_s = now_s - self._beat_due_s
        if late_s > STALL_S:
            self._beat_due_s = now_s
            self._excuse(late_s)

    def excuse_apply(self, took_s: float) -> None:
        """Log entries were applied for so long. They keep the others busy too, and them for longer
        if their machines are slower, or have clients to tell."""
        if took_s > STALL_S:
            self._beat_due_s += took_s
            self._excuse(took_s)
            self._candidacy.be_patient(OTHERS_TAKE_LONGER * took_s)
            self._core.be_patient(OTHERS_TAKE_LONGER * took_s)

    def _excuse(self, late_s: float) -> None:
        """Neither the others nor our disk thread are to be blamed for so long a silence."""
        self.pauses.add(late_s)
        self._candidacy.stalled(late_s)
        self._core.excuse(late_s)
        self._gate.excuse(late_s)
