"""Opening and closing sessions at the cluster, and the order of events around an opening.

A Logon is answered when the cluster has opened the session. Events go on meanwhile, and each must
get its number on the right side of that answer: those before the SessionOpened are numbered before
it, those behind it are held until the Logon has been answered.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.client import QueueFull
from gateway.fix.client_session import ClientSession, TimedEvent
from gateway.process import CommandQueue
from oms.commands import CloseSession, CommandKind, OpenSession
from oms.events import EventKind

SESSION_OPENED = int(EventKind.SESSION_OPENED)
SESSION_REFUSED = int(EventKind.SESSION_REFUSED)


class ClusterSessions:
    """What the cluster is told of the sessions of one gateway."""

    def __init__(self, queue: CommandQueue, gateway_id: str) -> None:
        self._queue = queue
        self._gateway_id = gateway_id

    def open(self, session: ClientSession, *, cancel_on_disconnect: bool, reset: bool) -> None:
        """Ask for a session to be opened: `session.opening` is the number of the command. `reset`:
        the cluster shall forget the MsgSeqNums of before; it is told as well what is owed."""
        session.opening = self._queue.submit(
            OpenSession(
                int(CommandKind.OPEN_SESSION),
                session.settings.comp_id,
                self._gateway_id,
                cancel_on_disconnect,
                reset or session.store.numbering.is_reset_owed,
            )
        )
        session.verdict = None
        session.is_open_in_cluster = True
        session.close_is_owed = False

    def close(self, session: ClientSession) -> None:
        """Say that a session ended. When the queue is full that is owed: on_time() tries again."""
        command = CloseSession(
            int(CommandKind.CLOSE_SESSION), session.settings.comp_id, self._gateway_id
        )
        session.is_open_in_cluster = False
        session.close_is_owed = True
        try:
            self._queue.submit(command)
        except QueueFull:
            return
        session.close_is_owed = False

    def close_left_open(self, sessions: Iterable[ClientSession]) -> None:
        """Close what an earlier process of this gateway may have left open when it died."""
        for session in sessions:
            self.close(session)


def take_while_opening(
    session: ClientSession, timed: TimedEvent, gateway_id: str
) -> list[TimedEvent]:
    """An event of a session that waits for its opening; returns those to be reported now.

    A SessionOpened may answer an older OpenSession of this gateway. When another one follows,
    what was held behind the older one comes before the answer to the Logon after all.
    """
    event = timed.event
    is_verdict = event[0] in {SESSION_OPENED, SESSION_REFUSED}
    if is_verdict and event[2] == gateway_id:
        earlier, session.held = session.held, []
        session.verdict = timed
        return earlier
    if session.verdict is not None:
        session.held.append(timed)
        return []
    return [timed]
