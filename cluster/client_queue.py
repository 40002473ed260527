"""The commands of a ClusterClient from their submission to their answer. No I/O, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cluster.codec import pack_commands
from oms.commands import Command

_COMMANDS_PER_FRAME: Final = 1000


@dataclass(slots=True)
class SubmitFrame:
    """Commands that travel together, numbered from first to last, both included."""

    first_number: int
    last_number: int
    commands: bytes
    sent_s: float = 0.0
    """When it was last sent."""


class ClientQueue:
    """Numbers commands from 1, packs them, and keeps what has no answer, to be sent again.

    What waits for its answer is kept packed: thousands of tuples would be as many objects, and cold
    by the time that they are freed.
    """

    def __init__(self) -> None:
        self._next_number = 1
        self._answered = 0
        self._unpacked: list[Command] = []
        """The latest commands, which no frame holds yet."""
        self._frames: deque[SubmitFrame] = deque()
        """Those whose last command has no answer."""

    @property
    def answered(self) -> int:
        """Number of the last command that has an answer, as have all before it."""
        return self._answered

    @property
    def pending(self) -> int:
        """Number of commands without an answer."""
        return self._next_number - 1 - self._answered

    def add(self, commands: Sequence[Command]) -> int:
        """Put commands at the end; returns the number of the last one."""
        self._unpacked += commands
        self._next_number += len(commands)
        return self._next_number - 1

    def pack(self) -> list[SubmitFrame]:
        """Frames of all that was added since this was last asked; they are kept from now on."""
        unpacked, self._unpacked = self._unpacked, []
        number = self._next_number - len(unpacked)
        made = []
        for at in range(0, len(unpacked), _COMMANDS_PER_FRAME):
            part = unpacked[at : at + _COMMANDS_PER_FRAME]
            made.append(SubmitFrame(number, number + len(part) - 1, pack_commands(part)))
            number += len(part)
        self._frames += made
        return made

    def frames_after(self, number: int) -> list[SubmitFrame]:
        """What must be sent to a leader whose log has our commands up to `number`. It may have the
        first commands of the first frame: it drops their copies."""
        return [frame for frame in self._frames if frame.last_number > number]

    def answer(self, number: int) -> list[SubmitFrame]:
        """The commands up to `number` have an answer; returns the frames that this completes."""
        assert number < self._next_number, f"command {number} has an answer and was never sent"
        self._answered = max(self._answered, number)
        frames, completed = self._frames, []
        while frames and frames[0].last_number <= self._answered:
            completed.append(frames.popleft())
        return completed
