"""Where connections are before they belong to a session: who is let in, and who is closed.

Whoever is refused here gets no answer: there is no session whose number it could bear, and nobody
learns which CompIDs exist. What is wrong with the Logon of a known client is said by its session
(session_rules.py).
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

from gateway.fix.actions import LOGON
from gateway.fix.client_session import ClientSession
from gateway.fix.connection import CLOSE_TIMEOUT_S, Connection
from gateway.fix.counters import Counters
from gateway.fix.passwords import PasswordChecks
from gateway.fix.session_rules import password_of
from gateway.fix.settings import FixGatewaySettings, Network
from protocols.fix import NS_PER_SECOND, FixMessage
from protocols.fix_validation import printable

logger = logging.getLogger(__name__)


def _host(peer: str) -> str:
    return peer.rpartition(":")[0]


def _may_come_from(allowed: tuple[Network, ...], peer: str) -> bool:
    """Whether a client may connect from `peer` (host:port); no network allows every address."""
    if not allowed:
        return True
    try:
        address = ipaddress.ip_address(_host(peer))
    except ValueError:
        return False  # it has gone already
    # A socket for both families shows IPv4 peers as ::ffff:10.0.0.1.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in allowed)


class Lobby:
    """All connections of the gateway, with a session or without; at most `max_connections`."""

    def __init__(
        self,
        settings: FixGatewaySettings,
        sessions: dict[str, ClientSession],
        passwords: PasswordChecks,
        counters: Counters,
        clock_ns: Callable[[], int],
    ) -> None:
        self.connections: dict[Connection, None] = {}
        self._settings = settings
        self._sessions = sessions
        self._counters = counters
        self._clock_ns = clock_ns
        self._passwords = passwords
        self._checking: dict[Connection, None] = {}

    def enter(self, connection: Connection, now_ns: int) -> None:
        """A new connection. When there are too many, the oldest that has not logged on gives way:
        who knocks and says nothing must not keep anybody out."""
        self._counters.connections += 1
        if len(self.connections) >= self._settings.max_connections:
            oldest = next(filter(self._may_give_way, self.connections), None)
            if oldest is None:
                self.refuse(connection, "too many connections", now_ns)
                return
            self.refuse(oldest, "there are too many, and it has not logged on", now_ns)
            oldest.abort()
            del self.connections[oldest]
        self.connections[connection] = None

    def _may_give_way(self, connection: Connection) -> bool:
        return connection.session is None and connection not in self._checking

    def leave(self, connection: Connection) -> None:
        """The socket is gone."""
        self.connections.pop(connection, None)
        self._checking.pop(connection, None)

    def is_checking(self, connection: Connection) -> bool:
        """Whether the password in its Logon is being checked: admit() is to be asked again."""
        return connection in self._checking

    def admit(
        self, connection: Connection, message: FixMessage, now_ns: int
    ) -> ClientSession | None:
        """The first message: it must be a Logon of a client that is not connected, for whom the
        connection is bound to its session. None: refused, or its password is being checked."""
        comp_id = message.get(49) or ""
        session = self._sessions.get(comp_id)
        if message.msg_type != LOGON:
            self.refuse(connection, "the first message is not a Logon", now_ns)
            return None
        if session is None or message.get(56) != self._settings.sender_comp_id:
            self.refuse(connection, self._why_unknown(comp_id, message.get(56) or ""), now_ns)
            return None
        if not _may_come_from(session.settings.allowed_addresses, connection.peer):
            self.refuse(connection, f"{comp_id} does not come from there", now_ns)
            return None
        wanted = session.settings.certificate_name
        if wanted and wanted not in connection.names:
            self.refuse(connection, f"its certificate is not that of {comp_id}, {wanted}", now_ns)
            return None
        if session.connection is not None:
            self.refuse(connection, f"{comp_id} is connected already", now_ns)
            return None
        if not self._is_password_known(connection, session, message, now_ns):
            return None
        connection.session = session
        session.connection = connection
        return session

    def _is_password_known(
        self, connection: Connection, session: ClientSession, message: FixMessage, now_ns: int
    ) -> bool:
        """True when the password is right, or none is asked for. Otherwise it is looked into, and
        whoever does not know it is refused without an answer, which would use up a number."""
        comp_id, stored = session.settings.comp_id, session.settings.password_hash
        password = password_of(message) or ""
        if stored is None or self._passwords.knows(comp_id, password):
            return True
        if not self._passwords.start(
            comp_id,
            _host(connection.peer),
            stored,
            password,
            lambda is_right: self._checked(connection, comp_id, is_right),
        ):
            self.refuse(connection, f"passwords of {comp_id} come too fast", now_ns)
            return False
        self._checking[connection] = None
        return False

    def _checked(self, connection: Connection, comp_id: str, is_right: bool) -> None:
        """A password has been checked: look at the Logon again, or say no."""
        if connection not in self._checking:
            return  # it is gone
        del self._checking[connection]
        if is_right:
            connection.drain()
        elif not connection.closing_since_ns:
            self.refuse(connection, f"the password is not that of {comp_id}", self._clock_ns())

    def _why_unknown(self, comp_id: str, target: str) -> str:
        belongs_to = self._settings.elsewhere.get(comp_id)
        if belongs_to is not None and target == self._settings.sender_comp_id:
            return f"{comp_id} belongs to {belongs_to}"
        return f"no session {printable(comp_id)} to {printable(target)}"

    def refuse(self, connection: Connection, reason: str, now_ns: int) -> None:
        """Close a connection that has no session."""
        self._counters.connections_refused += 1
        logger.warning("connection from %s refused: %s", connection.peer, reason)
        connection.finish(now_ns, [])

    def on_time(self, now_ns: int) -> None:
        """Close those that do not log on, and make sure that those that were closed go."""
        logon_timeout_ns = self._settings.logon_timeout_s * NS_PER_SECOND
        for connection in list(self.connections):
            if connection.closing_since_ns:
                if now_ns - connection.closing_since_ns > CLOSE_TIMEOUT_S * NS_PER_SECOND:
                    connection.abort()
            elif connection.session is None and now_ns - connection.opened_ns > logon_timeout_ns:
                self.refuse(connection, "no Logon came in time", now_ns)

    def finish(self, now_ns: int) -> None:
        """The gateway stops: close every connection once what was written is out."""
        for connection in list(self.connections):
            connection.finish(now_ns, [])

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in list(self.connections):
            connection.abort()
