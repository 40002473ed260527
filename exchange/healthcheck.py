"""Is a process alive? For containers, which have no curl; starts in a moment.

python -m exchange.healthcheck                                  the processes of this container
python -m exchange.healthcheck http://127.0.0.1:7201/healthz    one address
"""

from __future__ import annotations

import sys
import urllib.request

TIMEOUT_S = 2.0


def check(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """The text of the answer. Raises OSError without one, or with a status other than 2xx, and
    ValueError for what is not an http URL."""
    if not url.startswith("http://"):
        raise ValueError(f"{url!r} does not begin with http://")
    with urllib.request.urlopen(url, timeout=timeout_s) as response:
        content: bytes = response.read()
    return content.decode("utf-8", "replace").strip()


def own_urls() -> list[str]:
    """/healthz of every process of ./exchange.toml that runs here. Raises ValueError without one,
    ConfigError for a file that is wrong."""
    from exchange.config import load
    from exchange.processes import all_processes, running_pid

    config = load(None)
    ports = [
        process.http.port
        for process in all_processes(config)
        if running_pid(config, process.name) is not None
    ]
    if not ports:
        raise ValueError(f"no process runs here; looked into {config.data_dir / 'run'}")
    return [f"http://127.0.0.1:{port}/healthz" for port in ports]


if __name__ == "__main__":
    try:
        for address in sys.argv[1:] or own_urls():
            print(f"{address}: {check(address)}")
    except (OSError, ValueError) as error:
        sys.exit(f"unhealthy: {error}")
