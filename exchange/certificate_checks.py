"""The certificates that a process of the configuration shows: to nodes, and to its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.tls import TlsError
from exchange.config import Config
from exchange.config_keys import ConfigError
from exchange.settings import (
    DROP_COPY,
    certificate_names,
    fix_process_name,
    fix_tls,
    tls_problem,
    tls_settings,
)
from gateway.tls import ListenerTls

if TYPE_CHECKING:
    from exchange.certificates import Found


def certificates_of(config: Config, process: str) -> list[Found]:
    """Check what a process needs of files; none without TLS. Raises ConfigError, and KeyError for
    a process that is not in the configuration."""
    name, settings = certificate_names(config)[process], tls_settings(config, process)
    speaks_fix = {DROP_COPY, *map(fix_process_name, config.fix_gateway_ids)}
    listener = fix_tls(config) if process in speaks_fix else None
    found = []
    if settings is not None:
        from exchange.certificates import check

        try:
            found.append(check(settings, name))
        except TlsError as error:
            raise tls_problem(error) from error
    if listener is not None:
        found.append(_check_listener(listener))
    return found


def _check_listener(listener: ListenerTls) -> Found:
    from exchange.certificates import check_listener

    try:
        return check_listener(listener)
    except TlsError as error:
        raise ConfigError("fix.tls_certificate", str(error), '"tls/fix.pem"') from error
