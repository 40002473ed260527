"""What the FIX gateway must be told. Made by exchange/config.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from cluster.settings import Address
from gateway.fix.passwords import PasswordHash
from gateway.fix.schedule import SessionSchedule
from gateway.tls import ListenerTls

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class FixSessionSettings:
    """One client: its CompID, the account its orders are booked on, its password if it needs one.

    `comp_id` is the SenderCompID(49) of the client and the name of the trading session.
    """

    comp_id: str
    account: str
    username: str | None = None
    """Username(553) that the Logon must carry; None: it is not looked at."""
    version: str = "FIX.4.4"
    """Version of FIX of what is reported before the first Logon has chosen one."""
    password: str | None = None
    """Password(554) that the Logon must carry; None: it is not looked at."""
    password_hash: PasswordHash | None = None
    """The same as a hash: who does not know the password gets no answer."""
    allowed_addresses: tuple[Network, ...] = ()
    """Where the client may connect from; none: from anywhere."""
    certificate_name: str = ""
    """DNS name in the certificate that the client must show; "": it may be any."""
    cancel_on_disconnect: bool = False
    """Whether open orders are canceled when the connection ends, if the Logon does not say it."""
    max_messages_per_s: int = 0
    """Application messages that the client may send in a second; 0: as many as it likes."""
    copies_of: tuple[str, ...] = ()
    """Of a drop copy session: the trading sessions whose reports it reads."""


@dataclass(frozen=True, slots=True)
class FixGatewaySettings:
    """One FIX gateway. Times in the unit that the name ends in, sizes in bytes or messages."""

    bind: Address
    http_bind: Address
    nodes: dict[int, Address]
    """Client protocol addresses of all nodes."""
    data_dir: Path
    """DATA/gateway-fix, DATA/gateway-fix-2: one store per session and the progress file are made
    in it."""
    sessions: dict[str, FixSessionSettings] = field(default_factory=dict)
    """By CompID of the client."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """CompIDs of the other FIX gateways' clients, and where each belongs, in words."""
    tls: ListenerTls | None = None
    """None: clients speak plain TCP."""
    schedule: SessionSchedule = field(default_factory=SessionSchedule)
    """When sessions are open, and whether their numbers begin again every day."""
    gateway_id: str = "fix-1"
    sender_comp_id: str = "EXCH"
    store_sync: bool = False
    """fdatasync each store write: messages survive a power failure, not only a killed process."""
    heartbeat_min_s: int = 1
    heartbeat_max_s: int = 3_600
    logon_timeout_s: int = 10
    """For the TLS handshake, from then to the Logon, and from that to the cluster's answer."""
    sending_time_tolerance_s: int = 120
    max_message_bytes: int = 8_192
    max_early_messages: int = 1_000
    """Messages after a gap that wait for it to be filled; more are dropped and asked for again."""
    max_pending: int = 20_000
    """Commands without an answer; beyond it the gateway stops reading from its clients."""
    write_buffer_bytes: int = 1 << 20
    """Unsent bytes of one connection; beyond it messages wait in the store."""
    max_backlog_messages: int = 200_000
    """Messages that wait in the store for a connection; beyond it the client is disconnected."""
    max_connections: int = 1_000
