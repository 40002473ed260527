"""The exchange itself after a load: are the replicas equal, and was the feed whole?"""

from __future__ import annotations

from typing import Any

from cluster.admin import query, state_hash
from exchange.http_client import get_json
from exchange.local import LocalExchange, LocalExchangeError, wait_for
from exchange.settings import client_tls, node_addresses

FEED_TIMEOUT_S = 10.0


async def hashes_equal(exchange: LocalExchange) -> bool:
    """Whether all nodes have the same state after the same log entry. Raises LocalExchangeError
    when they do not become level."""
    await exchange.wait_until_level()
    hashes = await state_hash(node_addresses(exchange.config), tls=client_tls(exchange.config))
    return len(set(hashes.values())) == 1 and None not in hashes.values()


async def feed_facts(exchange: LocalExchange) -> dict[str, Any]:
    """What the market-data process has received on both multicast lines, once it has the last
    message of the leader. `problems`: messages that it never got. Raises LocalExchangeError."""
    await exchange.wait_until_level()
    leader = await exchange.leader()
    address = node_addresses(exchange.config)[leader]
    tls = client_tls(exchange.config)
    next_number = int(await query(address, "itch", ("position",), node_id=leader, tls=tls))
    http = exchange.config.addresses.marketdata_http

    async def complete() -> bool:
        status = await get_json(http, "/status")
        return int(status["sequence"]) == next_number - 1 and not status["missing"]

    problems = []
    try:
        await wait_for(complete, "market data has every message", FEED_TIMEOUT_S)
    except LocalExchangeError as error:
        problems.append(str(error))
    status = await get_json(http, "/status")
    if status["lost"]:
        problems.append(f"market data lost {status['lost']} messages")
    return {
        "messages": next_number - 1,
        "received": status["sequence"],
        "complete": not problems,
        "lines": {
            name: {what: line[what] for what in ("received", "missed")}
            for name, line in status["lines"].items()
        },
        "gaps": status["gaps"],
        "problems": problems,
    }
