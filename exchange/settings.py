"""A Config turned into the settings of each process."""

from __future__ import annotations

import dataclasses
import ssl

from cluster.settings import Address, NodeSettings, TlsSettings
from cluster.tls import OPERATOR, TlsError, client_context, client_name, node_name
from exchange.config import Config
from exchange.config_keys import ConfigError
from exchange.config_members import FixClientSection
from exchange.config_protection import protection_values
from exchange.config_trading_day import phases
from exchange.trading_day import TradingDays
from gateway.fix.schedule import SessionSchedule
from gateway.fix.settings import FixGatewaySettings, FixSessionSettings
from gateway.ouch.settings import OuchGatewaySettings, OuchUserSettings
from gateway.tls import ListenerTls
from marketdata.settings import (
    FeedSettings,
    GlimpseSettings,
    LineSettings,
    MarketDataSettings,
)
from oms.events import TradingState
from oms.reference_data import Account, Instrument, SessionDefinition


def _bind(config: Config, address: Address) -> Address:
    """Where a server of `address` listens."""
    return Address(config.addresses.bind_host or address.host, address.port)


AUTHORITY = "ca.pem"
"""File name of the development authority's certificate."""


def fix_process_name(number: int) -> str:
    """Name of the process of a FIX gateway, and of its folder in DATA."""
    return "gateway-fix" if number == 1 else f"gateway-fix-{number}"


def fix_gateway_id(config: Config, number: int) -> str:
    """Name of a FIX gateway towards the cluster."""
    first = config.fix.gateway_id
    return first if number == 1 else f"{first.removesuffix('-1')}-{number}"


DROP_COPY = "gateway-drop-copy"
"""Name of the process of the drop copy gateway, and of its folder in DATA."""


def ouch_process_name(number: int) -> str:
    """Name of the process of an OUCH gateway."""
    return f"gateway-ouch-{number}"


def ouch_gateway_id(config: Config, number: int) -> str:
    """Name of an OUCH gateway towards the cluster."""
    return f"{config.ouch.gateway_id}-{number}"


def certificate_names(config: Config) -> dict[str, str]:
    """Process (as processes.py calls it; "operator" are the verbs) -> name in its certificate."""
    return {
        **{node_name(node_id): node_name(node_id) for node_id in config.node_ids},
        **{
            fix_process_name(number): client_name(fix_gateway_id(config, number))
            for number in config.fix_gateway_ids
        },
        **({DROP_COPY: client_name(config.fix.drop_copy_id)} if config.drop_copy_sessions else {}),
        **{
            ouch_process_name(number): client_name(ouch_gateway_id(config, number))
            for number in config.ouch_gateway_ids
        },
        "marketdata": client_name(config.marketdata.client_id),
        OPERATOR: client_name(OPERATOR),
    }


def tls_settings(config: Config, process: str) -> TlsSettings | None:
    """The files of one process, whether they exist or not; None without TLS."""
    if config.tls.authority is None:
        return None
    name, folder = certificate_names(config)[process], config.tls.certificates
    return TlsSettings(folder / f"{name}.pem", folder / f"{name}.key", config.tls.authority)


def client_tls(config: Config, process: str = OPERATOR) -> ssl.SSLContext | None:
    """With what a process connects to nodes; None without TLS. Raises ConfigError."""
    settings = tls_settings(config, process)
    try:
        return None if settings is None else client_context(settings)
    except TlsError as error:
        raise tls_problem(error) from error


def tls_problem(error: TlsError) -> ConfigError:
    """What is wrong with a certificate, as a problem of the configuration."""
    return ConfigError("tls.certificates", str(error), "exchange init other-folder --tls")


def node_addresses(config: Config) -> dict[int, Address]:
    """Client protocol address of each node."""
    return dict(enumerate(config.addresses.node_client, 1))


def reference_data(config: Config) -> tuple[tuple[tuple[object, ...], ...], ...]:
    """(instruments, accounts, sessions) for the first command of a new cluster's log."""
    instruments = tuple(
        Instrument(
            symbol=item.symbol,
            stock_locate=stock_locate,
            tick_size=item.tick_size,
            lot_size=item.lot_size,
            reference_price=item.reference_price,
            price_band_bps=item.price_band_bps,
            max_quantity=item.max_quantity,
        )
        for stock_locate, item in enumerate(config.instruments, 1)
    )
    accounts = tuple(
        Account(item.account, item.firm, item.max_order_quantity, item.max_order_value)
        for item in config.accounts
    )
    sessions = (
        *(SessionDefinition(item.comp_id, item.account) for item in config.fix_sessions),
        *(SessionDefinition(item.username, item.account) for item in config.ouch_users),
    )
    return (instruments, accounts, sessions)


def node_settings(config: Config, node_id: int) -> NodeSettings:
    """Settings of one node. Raises ConfigError for a node that the configuration does not have."""
    if node_id not in config.node_ids:
        count = len(config.node_ids)
        raise ConfigError("--id", f"{node_id} is not a node 1..{count}", "exchange node --id 1")
    addresses, cluster = config.addresses, config.cluster
    return NodeSettings(
        node_id=node_id,
        raft_addresses=dict(enumerate(addresses.node_raft, 1)),
        client_addresses=node_addresses(config),
        raft_bind=_bind(config, addresses.node_raft[node_id - 1]),
        client_bind=_bind(config, addresses.node_client[node_id - 1]),
        http_bind=_bind(config, addresses.node_http[node_id - 1]),
        data_dir=config.data_dir / f"node-{node_id}",
        durability=cluster.durability,
        heartbeat_ms=cluster.heartbeat_ms,
        suspect_after_ms=cluster.suspect_after_ms,
        gateway_grace_ms=cluster.gateway_grace_ms,
        max_batch_bytes=cluster.max_batch_bytes,
        max_pending_bytes=cluster.max_pending_bytes,
        segment_bytes=cluster.segment_bytes,
        snapshot_after_bytes=cluster.snapshot_after_bytes,
        day_files_bytes=cluster.day_files_bytes,
        reference_data=reference_data(config),
        protection=protection_values(config.protection, config.instruments),
        opening_state=_opening_state(config),
        clock_tick_ms=cluster.clock_tick_ms,
        tls=tls_settings(config, node_name(node_id)),
    )


def _opening_state(config: Config) -> int | None:
    """What a new cluster is opened with; nothing when the schedule opens it."""
    state = config.cluster.opening_state
    if config.trading_day.enabled and state is TradingState.TRADING:
        return None
    return int(state)


def trading_days(config: Config) -> TradingDays | None:
    """The calendar of the exchange; None while operators open and close the market."""
    day = config.trading_day
    if not day.enabled:
        return None
    return TradingDays(phases(day), day.time_zone, frozenset(day.weekdays), frozenset(day.holidays))


def fix_tls(config: Config) -> ListenerTls | None:
    """The files with which FIX gateways meet their clients; None: plain TCP."""
    fix = config.fix
    if fix.tls_certificate is None or fix.tls_key is None:
        return None
    return ListenerTls(fix.tls_certificate, fix.tls_key, fix.tls_client_authority)


def _fix_client(section: FixClientSection) -> FixSessionSettings:
    """Who a FIX client is, and how it shows that; what it may do is added."""
    return FixSessionSettings(
        comp_id=section.comp_id,
        account="",
        username=section.username or None,
        password=section.password or None,
        password_hash=section.password_hash,
        allowed_addresses=section.allowed_addresses,
        certificate_name=section.certificate_name,
        version=section.version.value,
    )


def fix_gateway_settings(config: Config, number: int = 1) -> FixGatewaySettings:
    """Settings of one FIX gateway. Raises ConfigError for one that is not configured."""
    if number not in config.fix_gateway_ids:
        count = len(config.fix_gateway_ids)
        problem = f"{number} is not a FIX gateway 1..{count} (addresses.fix)"
        raise ConfigError("--id", problem, "exchange gateway fix --id 1")
    fix = config.fix
    sessions = {
        item.comp_id: dataclasses.replace(
            _fix_client(item),
            account=item.account,
            cancel_on_disconnect=item.cancel_on_disconnect,
            max_messages_per_s=item.max_messages_per_s,
        )
        for item in config.fix_sessions
        if item.gateway == number
    }
    elsewhere = {
        item.comp_id: f"{fix_process_name(item.gateway)} ({config.fix_address(item.comp_id)})"
        for item in config.fix_sessions
        if item.gateway != number
    }
    return FixGatewaySettings(
        bind=_bind(config, config.addresses.fix[number - 1]),
        http_bind=_bind(config, config.addresses.fix_http[number - 1]),
        nodes=node_addresses(config),
        data_dir=config.data_dir / fix_process_name(number),
        sessions=sessions,
        elsewhere=elsewhere,
        tls=fix_tls(config),
        schedule=SessionSchedule(
            fix.session_start, fix.session_end, fix.time_zone, fix.reset_daily
        ),
        gateway_id=fix_gateway_id(config, number),
        sender_comp_id=fix.comp_id,
        store_sync=fix.store_sync,
        heartbeat_min_s=fix.heartbeat_min_s,
        heartbeat_max_s=fix.heartbeat_max_s,
        logon_timeout_s=fix.logon_timeout_s,
        sending_time_tolerance_s=fix.sending_time_tolerance_s,
        max_message_bytes=fix.max_message_bytes,
        max_early_messages=fix.max_early_messages,
        max_pending=fix.max_pending,
        write_buffer_bytes=fix.write_buffer_bytes,
        max_backlog_messages=fix.max_backlog_messages,
        max_connections=fix.max_connections,
    )


def drop_copy_settings(config: Config) -> FixGatewaySettings:
    """Settings of the drop copy gateway: those of the first FIX gateway, with other sessions.
    Raises ConfigError when nobody is to read."""
    if not config.drop_copy_sessions:
        example = '[[drop_copy_sessions]] with comp_id = "RISK1"'
        raise ConfigError("drop_copy_sessions", "there are none", example)
    everybody = (
        *(item.comp_id for item in config.fix_sessions),
        *(item.username for item in config.ouch_users),
    )
    readers = {
        item.comp_id: dataclasses.replace(_fix_client(item), copies_of=item.sessions or everybody)
        for item in config.drop_copy_sessions
    }
    return dataclasses.replace(
        fix_gateway_settings(config),
        bind=_bind(config, config.addresses.drop_copy),
        http_bind=_bind(config, config.addresses.drop_copy_http),
        data_dir=config.data_dir / DROP_COPY,
        sessions=readers,
        elsewhere={},
        gateway_id=config.fix.drop_copy_id,
    )


def ouch_gateway_settings(config: Config, number: int) -> OuchGatewaySettings:
    """Settings of one OUCH gateway. Raises ConfigError for one that is not configured."""
    if number not in config.ouch_gateway_ids:
        count = len(config.ouch_gateway_ids)
        problem = f"{number} is not an OUCH gateway 1..{count} (addresses.ouch)"
        raise ConfigError("--id", problem, "exchange gateway ouch --id 1")
    ouch = config.ouch
    users = {
        item.username: OuchUserSettings(
            username=item.username,
            password=item.password,
            account=item.account,
            firm=ouch.firm,
            cancel_on_disconnect=item.cancel_on_disconnect,
        )
        for item in config.ouch_users
    }
    return OuchGatewaySettings(
        bind=_bind(config, config.addresses.ouch[number - 1]),
        http_bind=_bind(config, config.addresses.ouch_http[number - 1]),
        nodes=node_addresses(config),
        data_dir=config.data_dir / ouch_process_name(number),
        users=users,
        gateway_id=ouch_gateway_id(config, number),
        session=ouch.session,
        heartbeat_ms=ouch.heartbeat_ms,
        silence_ms=ouch.silence_ms,
        login_timeout_ms=ouch.login_timeout_ms,
        max_message_bytes=ouch.max_message_bytes,
        max_pending=ouch.max_pending,
        write_buffer_bytes=ouch.write_buffer_bytes,
        max_backlog_messages=ouch.max_backlog_messages,
        max_connections=ouch.max_connections,
    )


def feed_settings(config: Config, node_id: int) -> FeedSettings:
    """Settings of the ITCH publisher in one node."""
    addresses, marketdata = config.addresses, config.marketdata
    return FeedSettings(
        store_dir=config.data_dir / f"node-{node_id}" / "itch",
        session=marketdata.feed_session,
        line_a=addresses.line_a,
        line_b=addresses.line_b,
        interface=addresses.multicast_interface,
        ttl=marketdata.ttl,
        max_payload=marketdata.max_payload,
        heartbeat_ms=marketdata.heartbeat_ms,
        memory_bytes=marketdata.memory_bytes,
        store_bytes=config.cluster.day_files_bytes,
    )


def line_settings(config: Config) -> LineSettings:
    """The two lines, as receivers need them."""
    addresses, marketdata = config.addresses, config.marketdata
    return LineSettings(
        session=marketdata.feed_session,
        line_a=addresses.line_a,
        line_b=addresses.line_b,
        interface=addresses.multicast_interface,
        receive_buffer_bytes=marketdata.receive_buffer_bytes,
    )


def marketdata_settings(config: Config) -> MarketDataSettings:
    """Settings of the market-data process."""
    addresses, marketdata = config.addresses, config.marketdata
    return MarketDataSettings(
        nodes=node_addresses(config),
        store_dir=config.data_dir / "marketdata",
        lines=line_settings(config),
        client_id=marketdata.client_id,
        rerequest_bind=_bind(config, addresses.rerequest),
        http_bind=_bind(config, addresses.marketdata_http),
        glimpse=GlimpseSettings(
            bind=_bind(config, addresses.glimpse),
            username=marketdata.glimpse_username,
            password=marketdata.glimpse_password,
            max_connections=marketdata.glimpse_max_connections,
            login_timeout_s=marketdata.glimpse_login_timeout_s,
            send_timeout_s=marketdata.glimpse_send_timeout_s,
        ),
        max_payload=marketdata.max_payload,
        memory_bytes=marketdata.memory_bytes,
        trades_kept=marketdata.trades_kept,
        rerequests_per_s=marketdata.rerequests_per_s,
        silent_after_ms=marketdata.silent_after_ms,
    )
