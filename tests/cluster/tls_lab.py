"""Certificates, good and bad, and strangers who try them on a port."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster.settings import Address, TlsSettings
from cluster.tls import client_context
from exchange.certificates import Issued, issue, make_authority, save

GOOD = ("node-1", "node-2", "node-3", "node-9", "client-fix-1", "client-fix-2", "client-operator")


class Certificates:
    """FOLDER/GOOD, of the authority that counts; FOLDER/other, with the same names, of another
    one; FOLDER/expired."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority = make_authority()
        self._fill("good", authority, None)
        self._fill("other", make_authority(), None)
        self._fill("expired", authority, datetime.now(UTC) - timedelta(days=731))

    def _fill(self, kind: str, authority: Issued, now: datetime | None) -> None:
        folder = self.folder / kind
        folder.mkdir()
        save(authority, folder, "ca")
        for name in GOOD:
            save(issue(authority, name, now), folder, name)

    def of(self, name: str, kind: str = "good") -> TlsSettings:
        folder = self.folder / kind
        return TlsSettings(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")

    def stranger(self, name: str | None, kind: str = "good") -> ssl.SSLContext:
        """A context that believes any server, so that only the server can object."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if name is not None:
            context = client_context(self.of(name, kind))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


async def answer(address: Address, context: ssl.SSLContext | None, data: bytes) -> bytes:
    """What a port says to somebody who connects and sends `data`: all of it until the port hangs
    up, which it must do within seconds."""
    async with asyncio.timeout(5):
        try:
            reader, writer = await asyncio.open_connection(*address, ssl=context)
        except OSError:
            return b""
        try:
            writer.write(data)
            received = b""
            while part := await reader.read(1 << 16):
                received += part
        except OSError:
            pass
        finally:
            writer.transport.abort()
    return received
