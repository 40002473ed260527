"""Where the time of an order goes, from clocks that run in gateways and leader all the time.

Every stage is timed once per batch (of a gateway: once per frame), so timing costs nothing that an
order would notice. The stages between two clocks are the difference of what they show.
"""

from __future__ import annotations

from typing import Any, Final

from exchange.bench.market import Market
from exchange.http_client import get_text
from exchange.local import LocalExchange

LEADER_STAGES: Final = ("batch_wait", "replicate", "apply", "egress")
"""Waiting for the batch before; journal, followers, fdatasync and commit; state machine, event
store and multicast; events to the gateways. One after the other."""


async def stages_us(exchange: LocalExchange, market: Market) -> dict[str, Any]:
    """Microseconds of each stage since the exchange was started, the warm-up included.

    The leader's stages have count, mean, p50 and p99; `fsync` (write and fdatasync of its journal)
    is a part of `replicate`. Of gateways there are means: `gateway_in` from the bytes of the oldest
    message of a batch to the frame that takes it on, `wire` the way to the leader and back,
    `gateway_out` from events to the sockets. With several gateways they are means over all."""
    leader = await exchange.leader()
    stages: dict[str, Any] = (await exchange.statuses())[leader]["stages_us"]
    metric = f"exchange_{market.entry}_answer_seconds"
    answers = await _mean_us(exchange, market, metric)
    cluster = await _mean_us(exchange, market, "exchange_gateway_cluster_seconds")
    out = await _mean_us(exchange, market, "exchange_gateway_out_seconds")
    in_leader = sum(stages[name]["mean_us"] for name in LEADER_STAGES)
    return {
        "gateway_in": {"mean_us": round(answers - cluster - out, 1)},
        "wire": {"mean_us": round(cluster - in_leader, 1)},
        **stages,
        "gateway_out": {"mean_us": round(out, 1)},
        "gateway_total": {"mean_us": round(answers, 1)},
    }


async def _mean_us(exchange: LocalExchange, market: Market, name: str) -> float:
    """Mean of a summary or histogram over all gateways."""
    seconds = count = 0.0
    for http in market.http(exchange):
        text = await get_text(http, "/metrics")
        seconds += _sample(text, f"{name}_sum")
        count += _sample(text, f"{name}_count")
    return 1e6 * seconds / max(1.0, count)


def _sample(text: str, name: str) -> float:
    """The value of an unlabelled sample in Prometheus text."""
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise KeyError(f"{name} is not among the metrics of the gateway")
