"""The processes of a local exchange: their names, pid files, command lines and HTTP addresses."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import NamedTuple

from cluster.build import run_module
from cluster.settings import Address
from exchange.config import Config
from exchange.settings import DROP_COPY, fix_process_name, ouch_process_name

PR_SET_PDEATHSIG = 1


class Process(NamedTuple):
    """One process: its name (also of its pid and log file), its verb, where its HTTP answers."""

    name: str
    verb: tuple[str, ...]
    http: Address


def node_process(config: Config, node_id: int) -> Process:
    """The process of one node."""
    http = config.addresses.node_http[node_id - 1]
    return Process(f"node-{node_id}", ("node", "--id", str(node_id)), http)


def fix_process(config: Config, number: int) -> Process:
    """The process of one FIX gateway. The first one is also the one that is meant without --id."""
    http = config.addresses.fix_http[number - 1]
    verb = ("gateway", "fix") if number == 1 else ("gateway", "fix", "--id", str(number))
    return Process(fix_process_name(number), verb, http)


def ouch_process(config: Config, number: int) -> Process:
    """The process of one OUCH gateway. The first one is also the one that is meant without --id."""
    http = config.addresses.ouch_http[number - 1]
    verb = ("gateway", "ouch") if number == 1 else ("gateway", "ouch", "--id", str(number))
    return Process(ouch_process_name(number), verb, http)


def drop_copy_process(config: Config) -> Process:
    """The process of the drop copy gateway."""
    return Process(DROP_COPY, ("gateway", "drop-copy"), config.addresses.drop_copy_http)


def marketdata_process(config: Config) -> Process:
    """The market-data process."""
    return Process("marketdata", ("marketdata",), config.addresses.marketdata_http)


def all_processes(config: Config) -> list[Process]:
    """Every process of the configuration, in the order in which they are started."""
    nodes = [node_process(config, node_id) for node_id in config.node_ids]
    fix = [fix_process(config, number) for number in config.fix_gateway_ids]
    ouch = [ouch_process(config, number) for number in config.ouch_gateway_ids]
    drop_copy = [drop_copy_process(config)] if config.drop_copy_sessions else []
    return [*nodes, *fix, *drop_copy, *ouch, marketdata_process(config)]


def find_process(config: Config, name: str) -> Process:
    """The process called `name`; raises KeyError with the names that exist."""
    by_name = {process.name: process for process in all_processes(config)}
    if name not in by_name:
        raise KeyError(f"{name!r} is not one of {', '.join(by_name)}")
    return by_name[name]


def command_line(config: Config, process: Process, *, supervised: bool) -> list[str]:
    """How to start `process` with this Python. A supervised process logs to its file only and
    ends with the one who started it."""
    line = [*run_module("exchange"), *process.verb]
    if config.source is not None:
        line += ["--config", str(config.source)]
    if supervised:
        line += ["--supervised", str(os.getpid())]
    return line


def pid_path(config: Config, name: str) -> Path:
    """DATA/run/NAME.pid."""
    return config.data_dir / "run" / f"{name}.pid"


def started_mark_path(config: Config, name: str) -> Path:
    """DATA/run/NAME.started: holds the pid of the process once it has opened everything."""
    return config.data_dir / "run" / f"{name}.started"


def write_started_mark(config: Config, name: str) -> None:
    """Say that this process has opened everything that it needs."""
    started_mark_path(config, name).write_text(f"{os.getpid()}\n")


def has_started(config: Config, name: str, pid: int) -> bool:
    """True when the process `pid`, and no earlier one of that name, has opened everything."""
    try:
        return int(started_mark_path(config, name).read_text()) == pid
    except (OSError, ValueError):
        return False


def running_pid(config: Config, name: str) -> int | None:
    """Pid of the running process called `name`; None when it is not running.

    A pid file that was left behind by a kill is recognised: its pid is gone, or another program's.
    """
    try:
        pid = int(pid_path(config, name).read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    verb = [word.encode() for word in find_process(config, name).verb]
    has_verb = any(arguments[i : i + len(verb)] == verb for i in range(len(arguments)))
    return pid if has_verb and state != "Z" else None


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far; 0.0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that a process has in RAM; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def end_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies; so a killed `exchange up` leaves nothing."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the call
        raise SystemExit(0)
