"""Where the time of an order goes, from clocks that run in gateways and leader all the time.

Every stage is timed once per batch (of a gateway: once per frame), so timing costs nothing that an
order would notice. A load reads the clocks before it begins and when it is over. The stages between
two clocks are the difference of what they show.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from exchange.bench.market import Market
from exchange.http_client import get_text
from exchange.local import LocalExchange

LEADER_STAGES: Final = ("batch_wait", "replicate", "apply", "egress")
"""Waiting for the batch before; journal, followers, fdatasync and commit; state machine, event
store and multicast; events to the gateways. One after the other."""

_CLUSTER: Final = "exchange_gateway_cluster_seconds"
_OUT: Final = "exchange_gateway_out_seconds"


class Sum(NamedTuple):
    """What a clock has added up."""

    times: float
    total_us: float

    def since(self, earlier: Sum) -> Sum:
        """What came later than `earlier`; all of it when the clock has begun anew."""
        if self.times < earlier.times:
            return self
        return Sum(self.times - earlier.times, self.total_us - earlier.total_us)

    @property
    def mean_us(self) -> float:
        """0 when nothing was timed."""
        return round(self.total_us / max(1.0, self.times), 1)


class Clocks(NamedTuple):
    """The clocks of all gateways together, by metric, and of each node that answers, by stage."""

    gateways: dict[str, Sum]
    nodes: dict[int, dict[str, Sum]]


async def read_clocks(exchange: LocalExchange, market: Market) -> Clocks:
    """As they are now."""
    gateways: dict[str, Sum] = {}
    names = (f"exchange_{market.entry}_answer_seconds", _CLUSTER, _OUT)
    for http in market.http(exchange):
        text = await get_text(http, "/metrics")
        for name in names:
            count, seconds = _sample(text, f"{name}_count"), _sample(text, f"{name}_sum")
            before = gateways.get(name, Sum(0, 0))
            gateways[name] = Sum(before.times + count, before.total_us + 1e6 * seconds)
    nodes = {
        node_id: {
            stage: Sum(found["count"], found["count"] * found["mean_us"])
            for stage, found in status["stages_us"].items()
        }
        for node_id, status in (await exchange.statuses()).items()
    }
    return Clocks(gateways, nodes)


async def stages_us(exchange: LocalExchange, market: Market, before: Clocks) -> dict[str, Any]:
    """Microseconds of each stage since the clocks showed `before`, by the leader's and all
    gateways' clocks; after a change of leaders, since the new one began to lead.

    `gateway_in` is from the bytes of the oldest message of a batch to the frame that takes it on,
    `wire` the way to the leader and back, `gateway_out` from events to the sockets; `fsync` (write
    and fdatasync of the leader's journal) is a part of `replicate`."""
    after = await read_clocks(exchange, market)
    leader = await exchange.leader()
    nothing = Sum(0, 0)
    earlier = before.nodes.get(leader, {})
    stages = {
        stage: found.since(earlier.get(stage, nothing))
        for stage, found in after.nodes[leader].items()
    }
    gateways = {name: found.since(before.gateways[name]) for name, found in after.gateways.items()}
    answers = gateways[f"exchange_{market.entry}_answer_seconds"].mean_us
    cluster, out = gateways[_CLUSTER].mean_us, gateways[_OUT].mean_us
    in_leader = sum(stages[name].mean_us for name in LEADER_STAGES)
    return {
        "gateway_in": {"mean_us": round(answers - cluster - out, 1)},
        "wire": {"mean_us": round(cluster - in_leader, 1)},
        **{
            name: {"mean_us": found.mean_us, "count": int(found.times)}
            for name, found in stages.items()
        },
        "gateway_out": {"mean_us": out},
        "gateway_total": {"mean_us": answers},
    }


def _sample(text: str, name: str) -> float:
    """The value of an unlabelled sample in Prometheus text."""
    for line in text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise KeyError(f"{name} is not among the metrics of the gateway")
