"""Where connections are before they belong to a session: who is let in, and who is closed.

Whoever is refused here gets no answer: there is no session whose number it could bear, and nobody
learns which CompIDs exist. What is wrong with the Logon of a known client is said by its session
(session_rules.py).
"""

from __future__ import annotations

import logging

from gateway.fix.actions import LOGON
from gateway.fix.client_session import ClientSession
from gateway.fix.connection import CLOSE_TIMEOUT_S, Connection
from gateway.fix.counters import Counters
from gateway.fix.settings import FixGatewaySettings
from protocols.fix import NS_PER_SECOND, FixMessage
from protocols.fix_validation import printable

logger = logging.getLogger(__name__)


class Lobby:
    """All connections of the gateway, with a session or without; at most `max_connections`."""

    def __init__(
        self,
        settings: FixGatewaySettings,
        sessions: dict[str, ClientSession],
        counters: Counters,
    ) -> None:
        self.connections: dict[Connection, None] = {}
        self._settings = settings
        self._sessions = sessions
        self._counters = counters

    def enter(self, connection: Connection, now_ns: int) -> None:
        """A new connection. One too many is closed at once."""
        self._counters.connections += 1
        if len(self.connections) >= self._settings.max_connections:
            self.refuse(connection, "too many connections", now_ns)
        else:
            self.connections[connection] = None

    def leave(self, connection: Connection) -> None:
        """The socket is gone."""
        self.connections.pop(connection, None)

    def admit(
        self, connection: Connection, message: FixMessage, now_ns: int
    ) -> ClientSession | None:
        """The first message: it must be a Logon of a client that is not connected, for whom the
        connection is bound to its session. None: refused."""
        comp_id = message.get(49) or ""
        session = self._sessions.get(comp_id)
        if message.msg_type != LOGON:
            self.refuse(connection, "the first message is not a Logon", now_ns)
            return None
        if session is None or message.get(56) != self._settings.sender_comp_id:
            self.refuse(connection, self._why_unknown(comp_id, message.get(56) or ""), now_ns)
            return None
        if session.connection is not None:
            self.refuse(connection, f"{comp_id} is connected already", now_ns)
            return None
        connection.session = session
        session.connection = connection
        return session

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
