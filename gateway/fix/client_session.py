"""All that the gateway has on one client: FIX session, store, connection, open commands."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

from gateway.fix.actions import ADMIN_MSG_TYPES
from gateway.fix.dialects import DIALECTS, Dialect
from gateway.fix.listing import LISTED_KINDS, Listings
from gateway.fix.notes import Notes
from gateway.fix.outgoing import application_message
from gateway.fix.request import Sender
from gateway.fix.session import FixSession
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from gateway.fix.store import Numbering, SessionStore
from oms.commands import Command
from oms.events import Event
from protocols.fix import NS_PER_SECOND


class SessionConnection(Protocol):
    """What a session, and who works with it, needs of its TCP connection (connection.py)."""

    peer: str
    logon_ns: int
    is_logged_on: bool

    @property
    def is_reading_paused(self) -> bool: ...
    @property
    def backlog(self) -> int: ...
    def begin(self, session: ClientSession) -> None: ...
    def numbers_reset(self) -> None: ...
    def write_new(self, frames: list[bytes]) -> None: ...
    def add_resend(self, first_seq: int, last_seq: int) -> bool: ...
    def start_resend(self) -> None: ...
    def drain(self) -> None: ...
    def finish(self, now_ns: int, last_frames: list[bytes]) -> None: ...
    def abort(self) -> None: ...


class Unanswered(NamedTuple):
    """A command that was submitted for a received message and has no answer yet."""

    command_number: int
    seq: int
    received_ns: int


class TimedEvent(NamedTuple):
    """An event with its number and its TransactTime(60)."""

    event_seq: int
    event: Event
    transact_time: str


class ClientSession:
    """One configured client. Lives as long as the gateway.

    `opening` is the number of the OpenSession that waits for its answer, `verdict` the latest
    SessionOpened or SessionRefused seen meanwhile (it may answer an older OpenSession: only when
    `opening` counts as answered it is certain), `held` the events that came after the verdict.
    `frames` are stored messages of this turn of the loop that go on the socket with flush().
    """

    __slots__ = (
        "_zone",
        "close_is_owed",
        "connection",
        "fix",
        "frames",
        "held",
        "is_open_in_cluster",
        "listings",
        "notes",
        "opening",
        "sender",
        "settings",
        "store",
        "unanswered",
        "verdict",
    )

    def __init__(
        self, settings: FixSessionSettings, gateway: FixGatewaySettings, store: SessionStore
    ) -> None:
        self.settings = settings
        self.store = store
        numbering = store.numbering
        self.fix = FixSession(
            settings,
            gateway,
            next_in=store.received_through + 1,
            next_out=store.next_out,
            version="" if numbering.is_version_open else numbering.version,
            last_version=numbering.version,
            began_ns=numbering.period_s * NS_PER_SECOND,
        )
        self.connection: SessionConnection | None = None
        self.unanswered: deque[Unanswered] = deque()
        self.notes = Notes()
        self.listings = Listings()
        self._zone = gateway.schedule.zone
        self.sender = self._make_sender()
        self.frames: list[bytes] = []
        self.opening: int | None = None
        self.verdict: TimedEvent | None = None
        self.held: list[TimedEvent] = []
        self.is_open_in_cluster = False
        self.close_is_owed = False

    @property
    def dialect(self) -> Dialect:
        """What the client's version of FIX calls things."""
        return DIALECTS[self.fix.dictionary.name]

    @property
    def owners(self) -> tuple[str, ...]:
        """The trading sessions whose events it is told of: its own."""
        return (self.settings.comp_id,)

    def _make_sender(self) -> Sender:
        comp_id = self.settings.comp_id
        prefix = f"{comp_id}-{self.store.resets}-"
        return Sender(comp_id, self.settings.account, prefix, self.dialect, self._zone)

    def reset_numbers(self, event_seq: int, numbering: Numbering) -> None:
        """Numbers begin again at 1; events up to `event_seq` belong to those of before."""
        self.store.reset(event_seq, numbering)
        self.sender = self._make_sender()

    def set_version(self, version: str) -> None:
        """Remember in which version of FIX the session goes on."""
        self.fix.speak(version)
        numbering = self.store.numbering._replace(version=version, is_version_open=False)
        self.store.append_numbering(numbering)
        self.sender = self._make_sender()

    def begin_anew(self, event_seq: int, period_s: int) -> None:
        """Numbers begin again at 1 without the client having asked for it; nobody is connected.

        Events up to `event_seq` belong to those of before. The cluster is told with the next
        OpenSession; the story is in periods.py.
        """
        assert self.connection is None, f"{self.settings.comp_id} is connected"
        numbering = self.store.numbering._replace(
            period_s=period_s, is_reset_owed=True, is_version_open=True
        )
        self.reset_numbers(event_seq, numbering)
        self.fix.begin_anew(period_s * NS_PER_SECOND)
        self.unanswered.clear()  # the numbers they came with are gone

    def set_period(self, period_s: int) -> None:
        """The numbers, which go on, belong to this trading period from now on."""
        self.store.append_numbering(self.store.numbering._replace(period_s=period_s))
        self.store.flush()

    def reset_was_told(self) -> None:
        """The cluster has forgotten the numbers of before, too: to be known after a crash before an
        order of the new ones can become a command."""
        self.store.append_numbering(self.store.numbering._replace(is_reset_owed=False))
        self.store.flush()

    def send(self, msg_type: str, body: str, sending_time: str, begin_string: str = "") -> None:
        """Number and store a message of the session's own and queue it for flush()."""
        seq, frame = self.fix.encode(msg_type, body, sending_time, begin_string)
        is_admin = msg_type in ADMIN_MSG_TYPES
        self.store.append_sent(seq, frame, event_seq=0, answered_seq=0, is_admin=is_admin)
        self.frames.append(frame)

    def send_application(
        self,
        msg_type: str,
        body: str,
        sending_time: str,
        *,
        event_seq: int = 0,
        answered_seq: int = 0,
    ) -> None:
        """Number and store an application message and queue it for flush()."""
        if not self.fix.version:  # a report before the first Logon decides it
            self.set_version(self.fix.dictionary.name)
        seq, frame = self.fix.encode(msg_type, body, sending_time)
        self.store.append_sent(
            seq, frame, event_seq=event_seq, answered_seq=answered_seq, is_admin=False
        )
        if self.connection is not None and self.connection.is_logged_on:
            self.frames.append(frame)

    def report(
        self, event_seq: int, event: Event, sending_time: str, transact_time: str
    ) -> Command | None:
        """Make the report of an event (of REPORTED_KINDS), store it and queue it for flush().

        Returns what the cluster must be asked for next, when the event ends a page of a list."""
        msg_type, body = application_message(
            event, event_seq, transact_time, self.dialect, self.notes
        )
        self.send_application(msg_type, body, sending_time, event_seq=event_seq)
        return self.listings.count(event) if event[0] in LISTED_KINDS else None

    def forget_answered(self, answered: int) -> int:
        """Drop the commands up to number `answered`; returns when the first of them was received
        (ns since the epoch), 0 when there was none."""
        unanswered = self.unanswered
        first_received_ns = 0
        while unanswered and unanswered[0].command_number <= answered:
            dropped = unanswered.popleft()
            first_received_ns = first_received_ns or dropped.received_ns
        return first_received_ns

    def flush(self) -> None:
        """Store what this turn of the loop made, then give it to the connection."""
        store = self.store
        # Never beyond the first message whose command has no answer: if the process died now,
        # that command might be lost, and the client must be asked for the message again.
        through = self.unanswered[0].seq - 1 if self.unanswered else self.fix.next_in - 1
        if through != store.received_through:
            store.append_received(through)
        store.flush()
        if self.frames:
            frames, self.frames = self.frames, []
            if self.connection is not None:
                self.connection.write_new(frames)
        if self.connection is not None:
            self.connection.start_resend()

    def facts(self) -> dict[str, Any]:
        """{"comp_id", "account", "version", "state", "next_in", "next_out", "unanswered", "peer"};
        `version` of FIX is None until it is decided."""
        return {
            "comp_id": self.settings.comp_id,
            "account": self.settings.account,
            "version": self.fix.version or None,
            "state": str(self.fix.state),
            "next_in": self.fix.next_in,
            "next_out": self.fix.next_out,
            "unanswered": len(self.unanswered),
            "peer": self.connection.peer if self.connection else None,
        }
