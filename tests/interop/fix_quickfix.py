"""QuickFIX (C++, PyPI quickfix) as a client: stock dictionaries, every check on, files and logs.

What it says of our messages is in three places, and all are read: the messages it sends (Reject,
BusinessMessageReject), its event log (garbled, too low, too late), and what it gives to its
application.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import quickfix
from fix_blotter import Blotter
from fix_wire import WireMessage

from cluster.settings import Address
from exchange.local import wait_for

SPEC = Path(sys.prefix, "share", "quickfix")
"""Where the wheel puts the stock dictionaries."""
TARGET = "EXCH"
LOGON = "A"
LONGEST_S = 40.0

Groups: TypeAlias = Sequence[Sequence[tuple[int, object]]]
Fields: TypeAlias = Iterable[tuple[int, object | Groups]]


class FixVersion(NamedTuple):
    """A version of FIX, and what QuickFIX must be told to speak it."""

    begin_string: str
    settings: tuple[str, ...]


VERSIONS = {
    "FIX.4.2": FixVersion("FIX.4.2", (f"DataDictionary={SPEC}/FIX42.xml",)),
    "FIX.4.4": FixVersion("FIX.4.4", (f"DataDictionary={SPEC}/FIX44.xml",)),
    "FIX.5.0SP2": FixVersion(
        "FIXT.1.1",
        (
            "DefaultApplVerID=FIX.5.0SP2",
            f"TransportDataDictionary={SPEC}/FIXT11.xml",
            f"AppDataDictionary={SPEC}/FIX50SP2.xml",
        ),
    ),
}

_SETTINGS = """
[DEFAULT]
ConnectionType=initiator
NonStopSession=Y
ReconnectInterval=1
SocketNodelay=Y
UseDataDictionary=Y
ValidateLengthAndChecksum=Y
ValidateFieldsOutOfOrder=Y
ValidateFieldsHaveValues=Y
ValidateUserDefinedFields=Y
AllowUnknownMsgFields=N
CheckCompID=Y
CheckLatency=Y
MaxLatency=20
LogoutTimeout=5
"""

_EVERYDAY = (
    r"Created session",
    r"Connecting to .*",
    r"Initiated log(on|out) request",
    r"Received log(on|out) (request|response)",
    r"Sending logout response",
    r"Disconnecting",
    r"MsgSeqNum too high, expecting \d+ but received \d+",
    r"(Sent|Received) ResendRequest FROM: \d+ TO: \d+",
    r"ResendRequest for messages FROM: \d+ TO: \d+ has been satisfied\.",
    r"Already sent ResendRequest FROM: \d+ TO: \d+\. +Not sending another\.",
    r"Processing QUEUED message: \d+",
    r"Resending Message: \d+",
    r"Sent SequenceReset TO: \d+",
    r"Received SequenceReset FROM: \d+ TO: \d+",
    r"Expecting retransmits FROM: \d+ TO: \d+",
    r"Sending retransmits due to .* FROM: \d+ TO: \d+",
)


def wire_message(message: Any) -> WireMessage:
    """A message as QuickFIX understood it."""
    pairs = (part.partition("=") for part in message.toString().split("\x01") if part)
    return WireMessage(tuple((int(tag), value) for tag, _, value in pairs))


class QuickFix(quickfix.Application):  # type: ignore[misc]
    """One session. Its files are kept in `folder`, so that another one can go on with them."""

    def __init__(
        self,
        version: FixVersion,
        comp_id: str,
        remote: Address,
        folder: Path,
        *settings: str,
        logon: Sequence[tuple[int, str]] = (),
    ) -> None:
        super().__init__()
        self.version = version
        self.comp_id = comp_id
        self.heard: list[WireMessage] = []
        """What the application was given: each message once."""
        self.admin: list[WireMessage] = []
        """Session messages that were taken, in order."""
        self.blotter = Blotter()
        """Its orders."""
        self.logons = 0
        self.is_logged_on = False
        """True between the answer to its Logon and the end of the connection."""
        self._logon = logon
        self._prefix = f"{version.begin_string}-{comp_id}-{TARGET}"
        self._folder = folder
        self._id = quickfix.SessionID(version.begin_string, comp_id, TARGET)
        self._initiator: Any = None
        lines = [
            *settings,
            f"FileStorePath={folder}",
            f"FileLogPath={folder}",
            "[SESSION]",
            f"BeginString={version.begin_string}",
            f"SenderCompID={comp_id}",
            f"TargetCompID={TARGET}",
            f"SocketConnectHost={remote.host}",
            f"SocketConnectPort={remote.port}",
            *version.settings,
        ]
        if not any(line.startswith("HeartBtInt") for line in settings):
            lines.insert(0, "HeartBtInt=10")
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "quickfix.cfg"
        self._config.write_text(_SETTINGS + "\n".join(lines) + "\n")

    # ---- what QuickFIX calls, on its own thread

    def onCreate(self, session_id: Any) -> None:
        pass

    def onLogon(self, session_id: Any) -> None:
        self.logons += 1
        self.is_logged_on = True

    def onLogout(self, session_id: Any) -> None:
        self.is_logged_on = False

    def toAdmin(self, message: Any, session_id: Any) -> None:
        if message.getHeader().getField(35) == LOGON:
            for tag, value in self._logon:
                message.setField(quickfix.StringField(tag, value))

    def toApp(self, message: Any, session_id: Any) -> None:
        pass

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        self.admin.append(wire_message(message))

    def fromApp(self, message: Any, session_id: Any) -> None:
        self.heard.append(wire_message(message))
        self.blotter.take(self.heard[-1])

    # ---- what a test calls

    @property
    def next_numbers(self) -> tuple[int, int]:
        """The MsgSeqNums that its store expects to send and to receive next."""
        sender, target = self.sequence_file.read_text().split(":")
        return int(sender), int(target)

    @property
    def sequence_file(self) -> Path:
        """`next to be sent : next to be received`."""
        return self._folder / f"{self._prefix}.seqnums"

    def connect(self) -> None:
        """Begin to connect, whatever comes of it."""
        settings = quickfix.SessionSettings(str(self._config))
        self._initiator = quickfix.SocketInitiator(
            self,
            quickfix.FileStoreFactory(settings),
            settings,
            quickfix.FileLogFactory(settings),
        )
        self._initiator.start()

    async def start(self) -> None:
        """Connect and log on."""
        await asyncio.to_thread(self.connect)
        await self.logs_on(1)

    async def logs_on(self, count: int, timeout_s: float = LONGEST_S) -> None:
        """Return when it has logged on so many times and is logged on."""
        await wait_for(
            lambda: self.logons >= count and self.is_logged_on,
            f"{self.comp_id} logs on for the {count}. time; {self.events()[-6:]}",
            timeout_s,
        )

    async def stop(self) -> None:
        """Log out; another engine may go on with the files."""
        if self._initiator is not None:
            await asyncio.to_thread(self._initiator.stop)
            self._initiator = None

    def send(self, msg_type: str, fields: Fields) -> None:
        """Send an application message, or keep it for the next Logon; a list is a group of parts.

        The first field of each part is the group's delimiter.
        """
        message = quickfix.Message()
        message.getHeader().setField(quickfix.MsgType(msg_type))
        for tag, value in fields:
            if isinstance(value, list):
                for part in value:
                    group = quickfix.Group(tag, part[0][0])
                    for member, text in part:
                        group.setField(quickfix.StringField(member, str(text)))
                    message.addGroup(group)
            else:
                message.setField(quickfix.StringField(tag, str(value)))
        assert quickfix.Session.sendToTarget(message, self._id), f"{self.comp_id}: not sent"

    async def answer(self, msg_type: str, **wanted: str) -> WireMessage:
        """The first message of that type with these values: `await answer("8", _11="one")`."""
        pairs = [(int(tag.lstrip("_")), value) for tag, value in wanted.items()]

        def found() -> WireMessage | None:
            for message in self.heard + self.admin:
                if message.msg_type == msg_type and all(
                    message.get(tag) == value for tag, value in pairs
                ):
                    return message
            return None

        last = [one.fields for one in self.heard[-3:]]
        what = f"{self.comp_id} hears {msg_type} {pairs}; last: {last}; {self.events()[-3:]}"
        answer: WireMessage = await wait_for(found, what, LONGEST_S)
        return answer

    def go_on_from(self, other: QuickFix) -> None:
        """Know what another engine, stopped by now, has heard in this session."""
        self.heard, self.admin, self.blotter = other.heard, other.admin, other.blotter

    def events(self) -> list[str]:
        """Its event log, without the times."""
        path = self._folder / f"{self._prefix}.event.current.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" : ")[2] for line in lines]

    def complaints(self, expected: Iterable[str] = ()) -> list[str]:
        """Events that tell of no ordinary course of a session, nor of what is `expected`."""
        ordinary = re.compile("|".join((*_EVERYDAY, *expected)))
        return [event for event in self.events() if not ordinary.fullmatch(event)]
