"""TLS for the clients of a gateway, who belong to other firms: they trust a public authority, or
one that was agreed on, and have certificates of their own or none.

The nodes' TLS (cluster/tls.py) is stricter, for both ends of it are ours.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.tls import check_private, load_authority, load_pair

HANDSHAKES_MAX: Final = 256
_TLS_1_2_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"  # forward secrecy, authenticated


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """Files of a port, PEM. `client_authority` signs the certificates that clients must show; None:
    they need none."""

    certificate: Path
    """With those of the authorities between it and the one that clients know."""
    private_key: Path
    client_authority: Path | None = None


def listener_context(tls: ListenerTls) -> ssl.SSLContext:
    """TLS 1.2 and 1.3, as FIX engines of ten years ago and of today speak it. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    # Without tickets no session is resumed: each connection shows its certificate anew.
    context.num_tickets = 0
    check_private(tls.private_key)
    load_pair(context, tls.certificate, tls.private_key)
    if tls.client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        load_authority(context, tls.client_authority)
    return context
