"""Settings to running processes: what is plugged into what, logging, signals, exit codes.

Each process imports what it runs, when it runs it.
"""

from __future__ import annotations

import asyncio
import errno
import faulthandler
import fcntl
import functools
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Protocol

import uvloop

from cluster.interface import Derivation, EventSink
from exchange.certificate_checks import certificates_of
from exchange.config import Config
from exchange.config_keys import ConfigError
from exchange.config_warnings import fix_warnings
from exchange.processes import (
    end_with_parent,
    pid_path,
    started_mark_path,
    write_started_mark,
)
from exchange.settings import (
    DROP_COPY,
    client_tls,
    drop_copy_settings,
    feed_settings,
    fix_gateway_settings,
    fix_process_name,
    marketdata_settings,
    node_settings,
    ouch_gateway_settings,
    ouch_process_name,
    trading_days,
)

EXIT_OK = 0
EXIT_CONFIG = 2
EXIT_BUG = 70

LOG_FILE_BYTES = 64 << 20
LOG_FILES_KEPT = 3
WARN_DAYS = 30
"""A certificate that expires sooner is worth a line in the log."""

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """The machine refuses what the process needs: a port, a folder, a multicast group."""


class Service(Protocol):
    """What a process consists of."""

    async def start(self) -> None:
        """Open everything. Raises OSError when the machine refuses (a port that is taken)."""

    async def run(self) -> None:
        """Serve. Returns when the service has to be made anew, raises what makes it impossible to
        go on."""

    async def close(self) -> None:
        """Close it again."""


def run_node(config: Config, node_id: int, supervised_by: int | None) -> int:
    """Run one node until SIGTERM or SIGINT; returns the exit code."""
    from cluster.node import Node
    from marketdata.publisher import SINK_NAME, ItchPublisher

    settings = node_settings(config, node_id)
    days = trading_days(config)
    upkeep = None if days is None else days.upkeep
    name = f"node-{node_id}"
    remarks = _check_certificates(config, name)

    def make() -> Service:
        sinks: dict[str, EventSink] = {SINK_NAME: ItchPublisher(feed_settings(config, node_id))}
        return Node(settings, sinks, "exchange.wiring:derivations", upkeep)

    return _run_process(config, name, make, supervised_by, remarks)


def derivations() -> dict[str, Derivation]:
    """What a snapshot must hold for each sink of a node, by the sink's name; new ones each time."""
    from marketdata.feed import ItchFeed
    from marketdata.publisher import SINK_NAME

    return {SINK_NAME: ItchFeed()}


def run_fix_gateway(config: Config, number: int, supervised_by: int | None) -> int:
    """Run one FIX gateway until SIGTERM or SIGINT; returns the exit code."""
    from cluster.client import ClusterClient
    from gateway.fix.server import FixGateway

    settings = fix_gateway_settings(config, number)
    name = fix_process_name(number)
    remarks = [*_check_certificates(config, name), *fix_warnings(name, settings)]
    client = functools.partial(ClusterClient, tls=client_tls(config, name))

    def make() -> Service:
        return FixGateway(settings, cluster=client)

    return _run_process(config, name, make, supervised_by, remarks)


def run_drop_copy(config: Config, supervised_by: int | None) -> int:
    """Run the drop copy gateway until SIGTERM or SIGINT; returns the exit code."""
    from cluster.client import ClusterClient
    from gateway.fix.server import DropCopyGateway

    settings = drop_copy_settings(config)
    remarks = [*_check_certificates(config, DROP_COPY), *fix_warnings(DROP_COPY, settings)]
    client = functools.partial(ClusterClient, tls=client_tls(config, DROP_COPY))

    def make() -> Service:
        return DropCopyGateway(settings, cluster=client)

    return _run_process(config, DROP_COPY, make, supervised_by, remarks)


def run_ouch_gateway(config: Config, number: int, supervised_by: int | None) -> int:
    """Run one OUCH gateway until SIGTERM or SIGINT; returns the exit code."""
    from cluster.client import ClusterClient
    from gateway.ouch.server import OuchGateway

    settings = ouch_gateway_settings(config, number)
    name = ouch_process_name(number)
    remarks = _check_certificates(config, name)
    client = functools.partial(ClusterClient, tls=client_tls(config, name))

    def make() -> Service:
        return OuchGateway(settings, cluster=client)

    return _run_process(config, name, make, supervised_by, remarks)


def run_marketdata(config: Config, supervised_by: int | None) -> int:
    """Run the market-data process until SIGTERM or SIGINT; returns the exit code."""
    from marketdata.server import MarketDataServer

    settings = marketdata_settings(config)
    name = "marketdata"
    remarks = _check_certificates(config, name)
    tls = client_tls(config, name)

    def make() -> Service:
        return MarketDataServer(settings, tls=tls)

    return _run_process(config, name, make, supervised_by, remarks)


def _check_certificates(config: Config, process: str) -> list[str]:
    """What the log should say of the certificates of a process. Raises ConfigError when one cannot
    be used."""
    return [
        f"{found.path} expires in {found.days_left} days"
        for found in certificates_of(config, process)
        if found.days_left < WARN_DAYS
    ]


async def _serve(make: Callable[[], Service], started: Callable[[], None]) -> None:
    """Start a service, freeze what it made, and keep it until a signal or until it fails; make it
    anew when it ends by itself.

    Raises CannotStart for what the machine refuses, and whatever the service raises later.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while await _serve_once(make(), stopping, started):
            logger.info("starting again")
    finally:
        stopping.cancel()


async def _serve_once(
    service: Service, stopping: asyncio.Future[Any], started: Callable[[], None]
) -> bool:
    """One life of a service; True when it ended by itself."""
    # Starting may take as long as others need to come up: a signal ends that, too.
    try:
        if not await _finished_first(asyncio.ensure_future(service.start()), stopping):
            return False
    except OSError as error:
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = " (another exchange? see: exchange init --help, --base-port)"
        raise CannotStart(f"{error}{hint}") from error
    # What exists now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    started()
    try:
        return await _finished_first(asyncio.ensure_future(service.run()), stopping)
    finally:
        logger.info("stopping")
        await service.close()
        gc.unfreeze()  # what a service held that is made anew must not stay


async def _finished_first(work: asyncio.Future[None], stopping: asyncio.Future[Any]) -> bool:
    """Wait for either; cancel `work` when it was `stopping`. Raises what `work` raised."""
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
        return True
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return False


def _run_process(
    config: Config,
    name: str,
    make: Callable[[], Service],
    supervised_by: int | None,
    remarks: list[str],
) -> int:
    """Log, pid file, event loop and exit code of one process.

    This is one of the two places that catch every exception: what arrives here stops the process.
    """
    if supervised_by is not None:
        end_with_parent(supervised_by)
    _set_up_logging(config, name, to_stderr=supervised_by is None)
    pid_file = _lock_pid_file(config, name)
    try:
        logger.info("%s starts, pid %d, config %s", name, os.getpid(), config.source or "defaults")
        for remark in remarks:
            logger.warning("%s", remark)
        uvloop.run(_serve(make, lambda: write_started_mark(config, name)))
    except (ConfigError, CannotStart) as error:
        logger.error("%s cannot run: %s", name, error)
        print(f"{name} cannot run: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except Exception as error:
        logger.critical("%s stops on a bug", name, exc_info=True)
        log = config.data_dir / "log" / f"{name}.log"
        print(f"{name} stops: {error}; the trace is in {log}", file=sys.stderr)
        return EXIT_BUG
    finally:
        started_mark_path(config, name).unlink(missing_ok=True)
        pid_path(config, name).unlink(missing_ok=True)
        os.close(pid_file)
    logger.info("%s has stopped", name)
    return EXIT_OK


def _lock_pid_file(config: Config, name: str) -> int:
    """Write DATA/run/NAME.pid and lock it for the life of the process; returns its descriptor.

    Raises ConfigError when another process of that name works on the same data folder.
    """
    path = pid_path(config, name)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            problem = f"{path} cannot be written ({error.strerror})"
            raise ConfigError("data_dir", problem, '"data"') from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(descriptor, 20).decode().strip()
            os.close(descriptor)
            problem = f"{name} already runs on {config.data_dir} as pid {pid}"
            example = "exchange init other-folder --base-port 10000"
            raise ConfigError("data_dir", problem, example) from error
        # The one before us removes its file as it ends: a lock on a removed file is worth nothing.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            break
        os.close(descriptor)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, b"%d\n" % os.getpid())
    return descriptor


class _UtcFormatter(logging.Formatter):
    """2026-01-31T09:30:00.123Z INFO cluster.raft: message."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Override of logging's, in UTC."""
        return time.strftime(datefmt or "%H:%M:%S", time.gmtime(record.created))


def _set_up_logging(config: Config, name: str, *, to_stderr: bool) -> None:
    """Log to DATA/log/NAME.log and, when nobody supervises us, to stderr."""
    folder: Path = config.data_dir / "log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handlers: list[logging.Handler] = [
            RotatingFileHandler(
                folder / f"{name}.log", maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILES_KEPT
            )
        ]
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror})"
        raise ConfigError("data_dir", problem, '"data"') from error
    if to_stderr:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(_UtcFormatter())
    logging.basicConfig(level=config.log_level.upper(), handlers=handlers, force=True)
    faulthandler.enable()
