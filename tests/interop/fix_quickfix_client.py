"""A client made of QuickFIX: requests come as JSON lines, what happens leaves as JSON lines.

    python fix_quickfix_client.py '{"config": file, "session": [...], "logon": [[553, "me"]]}'
    {"type": "D", "fields": [[11, "one"], [453, [[[448, "DESK7"], [447, "D"]]]], ...]}
    {"event": "logon"} | {"event": "admin", "message": "8=FIX..."} | {"event": "app", ...}

A value that is a list is a group of parts, the delimiter first in each. It logs out at the end of
its input. (A process of its own: QuickFIX's threads and an interpreter that does other things at
the same time do not go together for long.)
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import quickfix

LOGON = "A"


def tell(event: str, message: Any = None) -> None:
    """One line on stdout. QuickFIX calls from one thread at a time."""
    text = None if message is None else message.toString()
    sys.stdout.write(json.dumps({"event": event, "message": text}) + "\n")
    sys.stdout.flush()


class Client(quickfix.Application):  # type: ignore[misc]
    """Tells what QuickFIX calls."""

    def __init__(self, logon: list[tuple[int, str]]) -> None:
        super().__init__()
        self._logon = logon

    def onCreate(self, session_id: Any) -> None:
        pass

    def onLogon(self, session_id: Any) -> None:
        tell("logon")

    def onLogout(self, session_id: Any) -> None:
        tell("logout")

    def toAdmin(self, message: Any, session_id: Any) -> None:
        if message.getHeader().getField(35) == LOGON:
            for tag, value in self._logon:
                message.setField(quickfix.StringField(tag, value))

    def toApp(self, message: Any, session_id: Any) -> None:
        pass

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        tell("admin", message)

    def fromApp(self, message: Any, session_id: Any) -> None:
        tell("app", message)


def built(msg_type: str, fields: list[tuple[int, Any]]) -> Any:
    """A message of QuickFIX."""
    message = quickfix.Message()
    message.getHeader().setField(quickfix.MsgType(msg_type))
    for tag, value in fields:
        if isinstance(value, list):
            for part in value:
                group = quickfix.Group(tag, part[0][0])
                for member, text in part:
                    group.setField(quickfix.StringField(member, text))
                message.addGroup(group)
        else:
            message.setField(quickfix.StringField(tag, value))
    return message


def main() -> None:
    """Serve one session until the input ends."""
    told = json.loads(sys.argv[1])
    client, settings = Client(told["logon"]), quickfix.SessionSettings(told["config"])
    stores, logs = quickfix.FileStoreFactory(settings), quickfix.FileLogFactory(settings)
    initiator = quickfix.SocketInitiator(client, stores, settings, logs)
    session_id = quickfix.SessionID(*told["session"])
    initiator.start()
    for line in sys.stdin:
        request = json.loads(line)
        message = built(request["type"], request["fields"])
        if not quickfix.Session.sendToTarget(message, session_id):
            tell("unsent", message)
    initiator.stop()
    sys.stdout.flush()
    os._exit(0)  # nothing is torn down that a thread of QuickFIX may still look at


if __name__ == "__main__":
    main()
