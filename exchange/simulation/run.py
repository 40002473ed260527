"""One seed: draw the options, let faults happen (safety), heal everything (liveness), check."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from typing import Any

import pysyncobj.syncobj as stock

from exchange.simulation.checks import Checks
from exchange.simulation.gateway import Gateway
from exchange.simulation.member import SESSIONS, Member
from exchange.simulation.network import Fabric, Faults
from exchange.simulation.world import Violation, World

SAFETY_S = 3.0
LIVENESS_S = 10.0
FAULT_KINDS = (
    "kill",
    "power loss",
    "kill leader",
    "power loss of all",
    "pause",
    "break link",
    "isolate",
    "one way",
    "slow disk",
    "full disk",
    "clock jump",
    "kill gateway",
)


@dataclass(slots=True)
class Outcome:
    """What a seed showed. `violation` is None when all is well."""

    seed: int
    violation: str | None
    statistics: dict[str, int]
    steps: int
    virtual_s: float
    trace: list[str] = field(default_factory=list)
