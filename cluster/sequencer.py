"""The leader's queue: frames that arrive while a batch is in flight become the next batch.

Natural batching: an idle cluster sends each command at once, a busy one sends as many as came in
during one round trip. One time stamp per batch. The queue is bounded in bytes; beyond the bound the
node stops reading from its clients, so nothing is ever dropped out of the middle.
"""

from __future__ import annotations

from collections import deque

from cluster.codec import ClientFrame, encode_batch

_FRAME_OVERHEAD_BYTES = 64


class Sequencer:
    """Frames in, payloads of log entries out. Pure: the caller knows the time and the log."""

    def __init__(self, max_batch_bytes: int, max_pending_bytes: int) -> None:
        self._max_batch_bytes = max_batch_bytes
        self._max_pending_bytes = max_pending_bytes
        self._frames: deque[ClientFrame] = deque()
        self.pending_bytes = 0
        self.batches = 0
        self.batched_frames = 0

    def add(self, frame: ClientFrame) -> None:
        """Queue a frame."""
        self._frames.append(frame)
        self.pending_bytes += len(frame.commands) + _FRAME_OVERHEAD_BYTES

    @property
    def is_full(self) -> bool:
        """True while nothing more should be read from clients."""
        return self.pending_bytes > self._max_pending_bytes

    @property
    def has_room_again(self) -> bool:
        """True once reading may go on; half the bound, so that it does not flicker."""
        return self.pending_bytes <= self._max_pending_bytes // 2

    def take_batch(self, now_ns: int) -> bytes | None:
        """Payload of the next log entry, None when nothing waits. At least one frame, at most
        max_batch_bytes (a single frame may be larger: the ingress bounds it)."""
        if not self._frames:
            return None
        taken: list[ClientFrame] = []
        size = 0
        while self._frames:
            frame_bytes = len(self._frames[0].commands) + _FRAME_OVERHEAD_BYTES
            if taken and size + frame_bytes > self._max_batch_bytes:
                break
            taken.append(self._frames.popleft())
            size += frame_bytes
        self.pending_bytes -= size
        self.batches += 1
        self.batched_frames += len(taken)
        return encode_batch(now_ns, taken)

    def clear(self) -> None:
        """Forget everything: leadership is lost, clients send again to the next leader."""
        self._frames.clear()
        self.pending_bytes = 0
