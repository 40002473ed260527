"""jspurefix (TypeScript, npm) as a client, in a process of its own.

It reads the official FIX repository, not QuickFIX's dictionaries, and rejects what is not in it:
unknown tags, tags of other messages, required ones that are missing.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.settings import Address
from exchange.local import wait_for

PREFIX = Path(sys.prefix, "npm")
PACKAGES = PREFIX / "node_modules"
PROGRAM = Path(__file__).with_name("fix_jspurefix_client.js")
LONGEST_S = 60.0
"""It reads a repository of XML before it connects."""

VERSIONS = {
    "FIX.4.2": ("FIX.4.2", "repo42", {}),
    "FIX.4.4": ("FIX.4.4", "repo44", {}),
    "FIX.5.0SP2": ("FIXT.1.1", "repo50sp2", {"DefaultApplVerID": "9"}),
}
"""BeginString, dictionary, and what the Logon says besides the usual."""


def tls_options(folder: Path, authority: str, name: str, server: str) -> dict[str, Any]:
    """TLS with NAME.pem and NAME.key of a folder, to a server that the authority calls `server`."""

    def path(file: str) -> str:  # the package looks for it in its own folder
        return os.path.relpath(folder / file, PACKAGES / "jspurefix")

    return {
        "key": path(f"{name}.key"),
        "cert": path(f"{name}.pem"),
        "ca": [path(authority)],
        "nodeTlsConnectionOptions": {"servername": server},
    }


def missing() -> str | None:
    """Why it cannot run here, or None."""
    if shutil.which("node") is None:
        return "Node.js is missing, which jspurefix needs; Debian: apt-get install nodejs npm"
    if not (PACKAGES / "jspurefix").is_dir():
        return f"jspurefix is missing: npm install --prefix {PREFIX} jspurefix@5"
    return None


class JsPureFix:
    """One session; an async context manager that logs on and out."""

    def __init__(
        self,
        version: str,
        comp_id: str,
        remote: Address,
        folder: Path,
        tls: dict[str, Any] | None = None,
    ) -> None:
        """`tls`: the options of that name of the package."""
        folder.mkdir(parents=True, exist_ok=True)
        self.comp_id = comp_id
        self.messages: list[dict[str, Any]] = []
        """Application messages, by the names of their fields."""
        self.events: list[dict[str, Any]] = []
        self._log = folder / "jspurefix.log"
        begin_string, dictionary, logon = VERSIONS[version]
        tcp = {"host": remote.host, "port": remote.port, "tls": tls}
        self._told = {
            "packages": str(PACKAGES),
            "log": str(self._log),
            "session": {
                "application": {
                    "type": "initiator",
                    "name": comp_id,
                    "tcp": tcp,
                    "protocol": "ascii",
                    "dictionary": dictionary,
                    "resilient": True,
                    "reconnectSeconds": 1,
                    "recoveryAttemptSeconds": 1,
                },
                "store": {"type": "file", "directory": str(folder / "store")},
                "EncryptMethod": 0,
                "ResetSeqNumFlag": False,
                "HeartBtInt": 10,
                "SenderCompId": comp_id,
                "TargetCompID": "EXCH",
                "BeginString": begin_string,
                "Logon": logon,
            },
        }
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> JsPureFix:
        self._process = await asyncio.create_subprocess_exec(
            "node",
            str(PROGRAM),
            json.dumps(self._told),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._read())
        await self.ready(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._write({"logout": True})
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
        await self._reader

    async def ready(self, count: int) -> None:
        """Return when it has logged on so many times."""

        def is_ready() -> bool:
            assert self._process is not None
            assert self._process.returncode is None, f"{self.comp_id} has ended: {self.events}"
            return sum(event["event"] == "ready" for event in self.events) >= count

        await wait_for(is_ready, f"{self.comp_id} logs on; {self.complaints()}", LONGEST_S)

    def send(self, msg_type: str, **body: object) -> None:
        """Send an application message; TransactTime is added."""
        body["TransactTime"] = datetime.now(UTC).isoformat()
        self._write({"type": msg_type, "body": body})

    async def answer(self, **wanted: str) -> dict[str, Any]:
        """The first message with these values, by the names of their fields."""

        def found() -> dict[str, Any] | None:
            for message in self.messages:
                if all(str(message.get(name)) == value for name, value in wanted.items()):
                    return message
            return None

        what = f"{self.comp_id} hears {wanted}; {self.messages[-2:]}; {self.complaints()}"
        answer: dict[str, Any] = await wait_for(found, what, LONGEST_S)
        return answer

    def complaints(self) -> list[str]:
        """Warnings and errors of its log."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in lines if " warning: " in line or " error: " in line]

    def _write(self, request: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == "message":
                self.messages.append(event["body"])
