"""What a configuration may say but should not, in sentences for the operator."""

from __future__ import annotations

from exchange.config import Config, is_loopback
from exchange.settings import fix_gateway_settings, fix_process_name


def warnings(config: Config) -> list[str]:
    """Sentences on what is allowed and unwise; each names the keys to change."""
    return [text for number in config.fix_gateway_ids for text in fix_warnings(config, number)]


def fix_warnings(config: Config, number: int) -> list[str]:
    """Those that concern one FIX gateway."""
    settings = fix_gateway_settings(config, number)
    if is_loopback(settings.bind.host):
        return []
    where = f"{fix_process_name(number)} listens on {settings.bind.host}"
    in_clear = [name for name, session in settings.sessions.items() if session.password]
    found: list[str] = []
    if in_clear:
        found.append(
            f"fix_sessions: password stands in clear for {_listed(in_clear)}, and {where}; "
            "use password_hash (exchange hash-password)"
        )
    with_password = [
        name
        for name, session in settings.sessions.items()
        if session.password or session.password_hash is not None
    ]
    if with_password and settings.tls is None:
        found.append(
            f"fix.tls_certificate is not set, and {where}: passwords cross the network in clear "
            f"({_listed(with_password)})"
        )
    return found


def _listed(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
