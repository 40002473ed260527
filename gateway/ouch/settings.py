"""What the OUCH gateway must be told. Made by exchange/config.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cluster.settings import Address


@dataclass(frozen=True, slots=True)
class OuchUserSettings:
    """One client: its user name, which is the name of its trading session, and its password.

    SoupBinTCP compares both without regard to case and blanks at the end.
    """

    username: str
    password: str
    account: str
    firm: str = ""
    """What the field Firm may say besides blanks."""
    cancel_on_disconnect: bool = False
    """Whether open orders are canceled when the connection ends."""


@dataclass(frozen=True, slots=True)
class OuchGatewaySettings:
    """One OUCH gateway. Times in the unit that the name ends in, sizes in bytes or messages."""

    bind: Address
    http_bind: Address
    nodes: dict[int, Address]
    """Client protocol addresses of all nodes."""
    data_dir: Path
    """Holds the outbound messages of the day, in files without a name that end with the process."""
    users: dict[str, OuchUserSettings] = field(default_factory=dict)
    """By user name."""
    gateway_id: str = "ouch-1"
    session: str = "EXCH000001"
    """SoupBinTCP session: the name of the day's numbering, the same at every OUCH gateway."""
    heartbeat_ms: int = 1_000
    """Silence of ours after which a heartbeat is sent."""
    silence_ms: int = 15_000
    """Silence of a client after which it is disconnected."""
    login_timeout_ms: int = 30_000
    """From the connection to the Login Request, and from that to the answer of the cluster."""
    max_message_bytes: int = 512
    """A longer packet ends the connection."""
    max_pending: int = 20_000
    """Commands without an answer; beyond it the gateway stops reading from its clients."""
    write_buffer_bytes: int = 1 << 20
    """Unsent bytes of one connection; beyond it messages wait in the file."""
    max_backlog_messages: int = 200_000
    """Messages that wait for a slow client; beyond it it is disconnected."""
    max_connections: int = 1_000
