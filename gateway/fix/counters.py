"""What the order entry counts, and what it needs of the cluster."""

from __future__ import annotations

from typing import Protocol

from oms.commands import Command


class CommandQueue(Protocol):
    """The part of ClusterClient that the order entry needs."""

    @property
    def pending(self) -> int:
        """Number of commands without an answer."""

    def submit(self, command: Command) -> int:
        """Send a command; returns its number. Raises QueueFull."""
