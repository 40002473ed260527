"""Does a URL answer with status 200? For containers, which have no curl; starts in a moment.

python -m exchange.healthcheck http://127.0.0.1:7201/healthz
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


if __name__ == "__main__":
    try:
        print(check(sys.argv[1]))
    except (OSError, ValueError, IndexError) as error:
        sys.exit(f"{sys.argv[1:]}: {error}")
