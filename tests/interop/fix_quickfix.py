"""QuickFIX (C++, PyPI quickfix) as a client, in a process of its own: stock dictionaries, every
check on, files and logs.

What it says of our messages is in three places, and all are read: the messages it sends (Reject,
BusinessMessageReject), its event log (garbled, too low, too late), and what it gives to its
application.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from fix_blotter import Blotter
from fix_wire import WireMessage

from cluster.settings import Address
from exchange.local import wait_for

SPEC = Path(sys.prefix, "share", "quickfix")
"""Where the wheel puts the stock dictionaries."""
PROGRAM = Path(__file__).with_name("fix_quickfix_client.py")
TARGET = "EXCH"
LONGEST_S = 90.0
"""The dictionary of FIX.5.0SP2 takes seconds to read, on a busy machine many."""
LONGEST_LINE = 1 << 20

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


def _texts(value: object) -> object:
    if isinstance(value, list):
        return [[(tag, str(text)) for tag, text in part] for part in value]
    return str(value)


def wire_message(text: str) -> WireMessage:
    """A message as QuickFIX understood it."""
    pairs = (part.partition("=") for part in text.split("\x01") if part)
    return WireMessage(tuple((int(tag), value) for tag, _, value in pairs))


class QuickFix:
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
        self.unsent: list[str] = []
        """Messages that QuickFIX did not want to send."""
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._prefix = f"{version.begin_string}-{comp_id}-{TARGET}"
        self._folder = folder
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
        config = folder / "quickfix.cfg"
        config.write_text(_SETTINGS + "\n".join(lines) + "\n")
        self._told = {
            "config": str(config),
            "session": [version.begin_string, comp_id, TARGET],
            "logon": list(logon),
        }

    @property
    def next_numbers(self) -> tuple[int, int]:
        """The MsgSeqNums that its store expects to send and to receive next."""
        sender, target = self.sequence_file.read_text().split(":")
        return int(sender), int(target)

    @property
    def sequence_file(self) -> Path:
        """`next to be sent : next to be received`."""
        return self._folder / f"{self._prefix}.seqnums"

    async def connect(self) -> None:
        """Begin to connect, whatever comes of it."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            json.dumps(self._told),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        self._reader = asyncio.create_task(self._read())

    async def start(self) -> None:
        """Connect and log on."""
        await self.connect()
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
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._reader is not None
        process, self._process = self._process, None
        process.stdin.close()
        try:
            code = await asyncio.wait_for(process.wait(), LONGEST_S)
        except TimeoutError:
            process.kill()
            raise
        await self._reader
        assert code == 0, f"{self.comp_id}: QuickFIX ended with code {code}"

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            event, text = told["event"], told["message"]
            if event in {"logon", "logout"}:
                self.is_logged_on = event == "logon"
                self.logons += self.is_logged_on
            elif event == "admin":
                self.admin.append(wire_message(text))
            elif event == "app":
                self.heard.append(wire_message(text))
                self.blotter.take(self.heard[-1])
            else:
                self.unsent.append(text)

    def send(self, msg_type: str, fields: Fields) -> None:
        """Send an application message, or keep it for the next Logon; a list is a group of parts.

        The first field of each part is the group's delimiter.
        """
        assert self._process is not None, f"{self.comp_id} is not started"
        assert self._process.stdin is not None
        texts = [(tag, _texts(value)) for tag, value in fields]
        line = json.dumps({"type": msg_type, "fields": texts})
        self._process.stdin.write(line.encode() + b"\n")

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
        unsent = [f"not sent: {text}" for text in self.unsent]
        return unsent + [event for event in self.events() if not ordinary.fullmatch(event)]
