"""Mutual TLS: who may talk to a node, and under which name.

TLS 1.3, both sides show a certificate of the one authority, and the names in it are checked:

| certificate | Raft port | client port |
|---|---|---|
| `node-N`, N a member | as node N and nobody else | queries |
| `client-NAME` | nothing | as client_id NAME |
| `client-operator` | nothing | as client_id `operator` and any `admin-...` |

Whoever dials node N accepts the certificate `node-N` only. A connection becomes a protocol object
after its handshake and never before, so that a stranger reaches no line of the node's code.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from cluster.codec import TOOL_PREFIX
from cluster.settings import Address, TlsSettings

OPERATOR: Final = "operator"
HANDSHAKE_TIMEOUT_S: Final = 2.0
HANDSHAKES_MAX: Final = 64
_CLIENT: Final = "client-"
_SHUTDOWN_TIMEOUT_S: Final = 2.0
_REPORT_EVERY_S: Final = 1.0
_BACKLOG: Final = 100
_ACCEPT_PAUSE_S: Final = 0.1
_FOREIGN_ACCESS: Final = stat.S_IRWXG | stat.S_IRWXO

logger = logging.getLogger(__name__)

Names = frozenset[str]
"""The DNS names in a peer's certificate."""


class TlsError(OSError):
    """A certificate, key or authority cannot be used; the text names the file."""


class NotWelcome(Exception):
    """The certificate is good, but its owner has no business here; the text says why."""


# --- names ----------------------------------------------------------------------------------------


def node_name(node_id: int) -> str:
    """The name in the certificate of a node."""
    return f"node-{node_id}"


def client_name(client_id: str) -> str:
    """The name in the certificate of a gateway, market-data process or tool."""
    return f"{_CLIENT}{client_id}"


def is_client(names: Names) -> bool:
    """Whether a certificate is that of some client."""
    return any(name.startswith(_CLIENT) for name in names)


def may_be_client(names: Names, client_id: str) -> bool:
    """Whether the owner of a certificate may introduce itself with this client_id."""
    is_operator = client_name(OPERATOR) in names
    return client_name(client_id) in names or (is_operator and client_id.startswith(TOOL_PREFIX))


def names_of(transport: asyncio.BaseTransport) -> Names:
    """The names in the peer's certificate, which the handshake has verified."""
    certificate = transport.get_extra_info("peercert") or {}
    return frozenset(name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS")


# --- contexts -------------------------------------------------------------------------------------


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For ports of a node: nobody gets in without a certificate. Raises TlsError."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    context.verify_mode = ssl.CERT_REQUIRED
    # Without tickets no session is resumed: each connection shows its certificate anew.
    context.num_tickets = 0
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """For connections to nodes, whose certificates must carry the name that is dialled. Raises
    TlsError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    context.hostname_checks_common_name = False
    return context


def dial_options(context: ssl.SSLContext | None, node_id: int) -> dict[str, Any]:
    """What loop.create_connection must be told to reach a node; nothing without TLS."""
    if context is None:
        return {}
    return {
        "ssl": context,
        "server_hostname": node_name(node_id),
        "ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S,
        "ssl_shutdown_timeout": _SHUTDOWN_TIMEOUT_S,
    }


def _context(side: int, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    check_private(settings.private_key)
    load_authority(context, settings.authority)
    load_pair(context, settings.certificate, settings.private_key)
    return context


def load_authority(context: ssl.SSLContext, authority: Path) -> None:
    """Name who signs the peers' certificates. Raises TlsError."""
    # It may be one that another authority has signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=authority)
    except (OSError, ValueError) as error:
        raise TlsError(f"{authority}: {reason(error)}; a PEM certificate") from error


def load_pair(context: ssl.SSLContext, certificate: Path, private_key: Path) -> None:
    """Load our own certificate and its key. Raises TlsError."""
    try:
        context.load_cert_chain(certificate, private_key, _no_password)
    except (OSError, ValueError) as error:
        pair = f"{certificate} with {private_key.name}"
        raise TlsError(f"{pair}: {reason(error)}; a certificate and its key, PEM") from error


def _no_password() -> str:
    """Without this OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted, and nobody is there to type its password")


def check_private(private_key: Path) -> None:
    """Raise TlsError for a key that is missing or that others than its owner may read.

    As in PostgreSQL: 0600, or 0640 where root owns it and lends it to a group."""
    try:
        found = private_key.stat()
    except OSError as error:
        raise TlsError(f"{private_key}: {reason(error)}") from error
    allowed = stat.S_IRGRP if found.st_uid == 0 else 0
    if found.st_mode & _FOREIGN_ACCESS & ~allowed:
        mode = stat.S_IMODE(found.st_mode)
        raise TlsError(f"{private_key}: mode {mode:04o} lets others use the key; chmod 600 it")


def reason(error: BaseException) -> str:
    """Why a handshake or a file failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class Complaints:
    """Log what is wrong with a peer once, and again when it is something else."""

    def __init__(self) -> None:
        self._last: dict[int, str] = {}

    def about(self, node_id: int, error: BaseException | None) -> None:
        """A connection to a node failed, or was cut (with this error or None) before the node said
        anything. A node that is away is no reason to complain."""
        if error is None or isinstance(error, ConnectionResetError):
            # A handshake that fails ends like that: asyncio and uvloop send no alert.
            text = "it hung up at once; its log says why"
        elif isinstance(error, ssl.SSLError):
            text = reason(error)
        else:
            return
        if self._last.get(node_id) != text:
            self._last[node_id] = text
            logger.warning("no connection to node %d: %s", node_id, text)

    def end(self, node_id: int) -> None:
        """It works again."""
        self._last.pop(node_id, None)


# --- listening ------------------------------------------------------------------------------------


class Listener:
    """A port. `make(names)` gives the protocol of a new connection; `names` are those in the peer's
    certificate, None without TLS. It may raise NotWelcome.

    With TLS at most `handshakes_max` connections are in their handshake at a time: the oldest gives
    way to a newer one, so that silent ones keep nobody out. What fails is one line in the log.
    """

    def __init__(
        self,
        port_name: str,
        make: Callable[[Names | None], asyncio.Protocol],
        context: ssl.SSLContext | None,
        *,
        handshakes_max: int | None = None,
        handshake_timeout_s: float | None = None,
    ) -> None:
        """`port_name` is for the log. Limits that are None are those of a node's ports."""
        self.port_name = port_name
        self.make = make
        self.refused = 0
        self._context = context
        self._handshakes_max = handshakes_max or HANDSHAKES_MAX
        self._handshake_timeout_s = handshake_timeout_s or HANDSHAKE_TIMEOUT_S
        self._address: Address | None = None
        self._server: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: dict[asyncio.Task[None], None] = {}
        self._reported = 0
        self._reported_s = float("-inf")

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._handshakes)

    @property
    def address(self) -> Address:
        """Where it listens (the real port when the settings say 0). After start()."""
        assert self._address is not None, "start() comes first"
        return self._address

    async def start(self, bind: Address) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        if self._context is None:
            self._server = await loop.create_server(lambda: self.make(None), bind.host, bind.port)
            self._address = Address(*self._server.sockets[0].getsockname()[:2])
        else:
            # create_server(ssl=...) neither tells of handshakes that fail nor limits their number.
            listening = socket.create_server((bind.host, bind.port), backlog=_BACKLOG)
            listening.setblocking(False)
            self._address = Address(*listening.getsockname()[:2])
            name = f"accept on {bind}"
            self._accepting = loop.create_task(self._accept(listening, self._context), name=name)

    def close(self) -> None:
        """Take no more connections, and break off handshakes. Protocols that were made stay."""
        if self._server is not None:
            self._server.close()
        for task in (self._accepting, *self._handshakes):
            if task is not None:
                task.cancel()

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, peer = await loop.sock_accept(listening)
                except OSError as error:
                    # Out of descriptors, or a peer that was gone before we looked.
                    self._refused("somebody", reason(error))
                    await asyncio.sleep(_ACCEPT_PAUSE_S)
                    continue
                where = f"{peer[0]}:{peer[1]}"
                if self.handshakes >= self._handshakes_max:
                    oldest = next(iter(self._handshakes))
                    del self._handshakes[oldest]
                    oldest.cancel()
                task = loop.create_task(self._admit(accepted, where, context))
                self._handshakes[task] = None
                task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _admit(self, accepted: socket.socket, where: str, context: ssl.SSLContext) -> None:
        gate = _Gate(self)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: gate,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self._handshake_timeout_s,
                ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
            )
        except OSError as error:
            self._refused(where, reason(error))
        except asyncio.CancelledError:
            accepted.close()  # where the handshake had not begun
            newer = f"{self._handshakes_max} newer handshakes are under way, or the end"
            self._refused(where, newer)
            raise
        else:
            if gate.objection is not None:
                self._refused(where, gate.objection)

    def _refused(self, where: str, why: str) -> None:
        """Say so, in at most one line a second, whatever comes."""
        self.refused += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._reported_s >= _REPORT_EVERY_S:
            others = self.refused - self._reported - 1
            more = f" (and {others} more since the last line)" if others else ""
            logger.warning("%s: %s gets nothing: %s%s", self.port_name, where, why, more)
            self._reported, self._reported_s = self.refused, now_s


class _Gate(asyncio.Protocol):
    """Stands in for the protocol of a connection until its handshake is done."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.objection: str | None = "it hung up during the handshake"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            protocol = self._listener.make(names_of(transport))
        except NotWelcome as error:
            self.objection = str(error)
            cast(asyncio.Transport, transport).abort()
            return
        self.objection = None
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
