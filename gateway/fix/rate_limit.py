"""How many messages a client may send: a token bucket, and when ignoring it becomes abuse."""

from __future__ import annotations

from protocols.fix import NS_PER_SECOND


class RateLimit:
    """Room for `per_s` messages, which fills up again within a second; 0: no limit at all.

    Integers throughout: a message takes NS_PER_SECOND out of the bucket, a nanosecond puts `per_s`
    back, so what is taken depends on the times alone.
    """

    def __init__(self, per_s: int) -> None:
        self.per_s = per_s
        self._room = self._room_max = per_s * NS_PER_SECOND
        self._last_ns = 0
        self._refused = 0  # in the second that begins with the first one of them
        self._refused_since_ns = 0

    def take(self, now_ns: int) -> bool:
        """Count a message that came at `now_ns`. False: it is one too many."""
        if self.per_s == 0:
            return True
        passed_ns = max(0, now_ns - self._last_ns)  # a clock that is set back gives nothing
        self._last_ns = now_ns
        self._room = min(self._room_max, self._room + passed_ns * self.per_s)
        if self._room >= NS_PER_SECOND:
            self._room -= NS_PER_SECOND
            return True
        if not 0 <= now_ns - self._refused_since_ns < NS_PER_SECOND:
            self._refused_since_ns = now_ns
            self._refused = 0
        self._refused += 1
        return False

    @property
    def is_abused(self) -> bool:
        """True when as many again were refused within one second: the client does not listen."""
        return self._refused > self.per_s
