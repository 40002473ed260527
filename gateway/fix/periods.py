"""Trading periods: sessions end when their hours do, and their numbers begin again with a new day.

With `reset_daily` both directions of a session begin again at 1 when a period starts, whether its
client is connected or not: what is reported from then on has a number of the new period, and what
was stored before is forgotten. The store says which period its numbers belong to, so a gateway
that was down at the time makes up for it when it starts.

The cluster remembers the highest MsgSeqNum of each session that became a command, and it does not
know of periods. It is told with the first OpenSession of the new numbers, which says reset. Until
that is certain the store says that the reset is owed:
1. The store begins anew, and the debt is in the file that takes the place of the old one: there is
   no moment with new numbers and without the debt. Killed before: the old period is still there,
   and the next process begins the new one.
2. A Logon. OpenSession says reset for as long as it is owed. Killed before it is in the log, or
   before its SessionOpened was read: no order of the new numbers is a command yet, since the Logon
   has no answer. The debt is there, and the next OpenSession says reset again.
3. SessionOpened: the store writes that nothing is owed any more, and that is in the file before the
   Logon is answered. Only then can an order of the new numbers become a command.
If orders came before 3 was written, a killed gateway would reset a second time, the cluster would
forget what it has carried out, and the client would be asked for it again: an order, twice. If 3
were written before the SessionOpened, a killed gateway might never say reset, and the numbers of
the new period would be too low for the cluster's memory of the old one.

A command that has no answer yet when the period starts was sent under a number that nobody can ask
for any more. It stays with the cluster, ahead of the OpenSession, and its reports belong to the new
period.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.fix.client_session import ClientSession
from gateway.fix.schedule import Period, SessionSchedule
from protocols.fix import NS_PER_SECOND

logger = logging.getLogger(__name__)


class Periods:
    """Follows the schedule for all sessions of a gateway."""

    def __init__(
        self,
        schedule: SessionSchedule,
        sessions: dict[str, ClientSession],
        end: Callable[[ClientSession, str, int], None],
    ) -> None:
        """`end(session, text, now_ns)` ends the connection of a session from our side."""
        self._schedule = schedule
        self._sessions = sessions
        self._end = end
        self._period: Period | None = None
        self._from_ns = self._until_ns = 0  # between them there is nothing to do

    def follow(self, now_ns: int, last_event_seq: int) -> None:
        """Do what is due; to be called before a Logon or events are looked at, and ten times a
        second. Events up to `last_event_seq` belong to what was before."""
        if self._from_ns <= now_ns < self._until_ns:
            return
        schedule, before = self._schedule, self._period
        period = self._period = schedule.period_at(now_ns)
        is_closed = now_ns >= period.end_ns
        if is_closed or (before is not None and before.end_ns < period.start_ns):
            self._end_all(schedule.why_closed(now_ns) or schedule.hours, now_ns)
        if schedule.reset_daily:
            for session in self._sessions.values():
                self._begin(session, period.start_ns // NS_PER_SECOND, now_ns, last_event_seq)
        self._from_ns = period.end_ns if is_closed else period.start_ns
        self._until_ns = period.next_start_ns if is_closed else period.end_ns

    def _end_all(self, text: str, now_ns: int) -> None:
        for session in self._sessions.values():
            if session.connection is not None:
                self._end(session, text, now_ns)

    def _begin(
        self, session: ClientSession, period_s: int, now_ns: int, last_event_seq: int
    ) -> None:
        """Let the numbers of a session belong to a period, unless they do already."""
        stored_s = session.store.numbering.period_s
        if stored_s == 0:  # the schedule is new: numbers go on until the next period
            session.set_period(period_s)
        elif stored_s < period_s:
            if session.connection is not None:
                text = "A new trading day begins; log on again, with MsgSeqNum(34) 1"
                self._end(session, text, now_ns)
            session.begin_anew(last_event_seq, period_s)
            logger.info("%s begins a new period", session.settings.comp_id)
