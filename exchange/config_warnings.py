"""What a configuration may say but should not, in sentences for the operator."""

from __future__ import annotations

import time

from exchange.config import Config, is_loopback
from exchange.settings import (
    DROP_COPY,
    drop_copy_settings,
    fix_gateway_settings,
    fix_process_name,
    trading_days,
)
from gateway.fix.settings import FixGatewaySettings


def warnings(config: Config) -> list[str]:
    """Sentences on what is allowed and unwise; each names the keys to change."""
    gateways = {
        fix_process_name(number): fix_gateway_settings(config, number)
        for number in config.fix_gateway_ids
    }
    if config.drop_copy_sessions:
        gateways[DROP_COPY] = drop_copy_settings(config)
    found = [text for name, settings in gateways.items() for text in fix_warnings(name, settings)]
    days = trading_days(config)
    if days is not None and days.schedule_at(time.time_ns()) is None:
        found.append(
            "[trading_day] has no trading day within a year: see its weekdays and holidays"
        )
    return found


def fix_warnings(process: str, settings: FixGatewaySettings) -> list[str]:
    """Those that concern one FIX gateway. One that is reached from this machine only has none."""
    if is_loopback(settings.bind.host):
        return []
    where = f"{process} listens on {settings.bind.host}"
    sessions = settings.sessions.items()
    in_clear = [name for name, session in sessions if session.password]
    protected = [name for name, session in sessions if session.password or session.password_hash]
    anybody = [
        name
        for name, session in sessions
        if name not in protected and not session.allowed_addresses
    ]
    found = []
    if in_clear:
        remedy = "use password_hash (exchange hash-password)"
        found.append(f"{where}, and password stands in clear for {_listed(in_clear)}: {remedy}")
    if protected and settings.tls is None:
        found.append(
            f"{where} without fix.tls_certificate: the passwords of {_listed(protected)} cross the "
            "network in clear"
        )
    if anybody and (settings.tls is None or settings.tls.client_authority is None):
        found.append(
            f"{where}, and whoever reaches it can be {_listed(anybody)}: set password_hash, "
            "allowed_addresses or fix.tls_client_authority"
        )
    return found


def _listed(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
