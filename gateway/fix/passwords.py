"""Passwords of FIX sessions: kept as salted hashes, checked away from the event loop.

A hash is `scrypt$N$r$p$salt$digest` (RFC 7914; salt and digest in hexadecimal) and takes tens of
milliseconds to check, on purpose. So the gateway checks in threads, a few at a time, and remembers
for a while which password was the right one: a client that comes back costs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from protocols.fix import NS_PER_SECOND

MAX_PASSWORD_LENGTH: Final = 128
MAX_CHECKS: Final = 256
MAX_CHECKS_PER_CLIENT: Final = 2
MEMORY_S: Final = 3_600

_SCHEME: Final = "scrypt"
_N, _R, _P = 1 << 14, 8, 1  # 16 MiB and about 50 ms
_MAX_MEMORY_BYTES: Final = 64 << 20
_MAX_P: Final = 16
_SALT_BYTES: Final = 16
_LEAST_SALT_BYTES: Final = 8
_DIGEST_BYTES: Final = 32

RunAside = Callable[[Callable[[], bool], Callable[[bool], None]], object]
"""(work, done): do `work` somewhere else, then call `done` with its result on the event loop."""


class PasswordHash(NamedTuple):
    """A hash taken apart. `n` is the cost, `r` the block size, `p` the number of passes."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Read the text of a hash. Raises ValueError, also for costs that no gateway could bear."""
        scheme, n, r, p, salt, digest = text.split("$")
        found = cls(int(n), int(r), int(p), bytes.fromhex(salt), bytes.fromhex(digest))
        if scheme != _SCHEME or found.n < 2 or found.n & (found.n - 1) or found.r < 1:
            raise ValueError("not an scrypt hash")
        if not (1 <= found.p <= _MAX_P and 128 * found.n * found.r <= _MAX_MEMORY_BYTES):
            raise ValueError("a check would cost too much")
        if len(found.salt) < _LEAST_SALT_BYTES or len(found.digest) != _DIGEST_BYTES:
            raise ValueError("salt or digest have the wrong length")
        return found

    def __str__(self) -> str:
        return f"{_SCHEME}${self.n}${self.r}${self.p}${self.salt.hex()}${self.digest.hex()}"

    def fits(self, password: str) -> bool:
        """Whether it is the hash of this password. Takes long, and as long for any password."""
        return hmac.compare_digest(
            self.digest, _scrypt(password, self.salt, self.n, self.r, self.p)
        )


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=2 * _MAX_MEMORY_BYTES,  # OpenSSL counts a little more than 128 * n * r
        dklen=_DIGEST_BYTES,
    )


def hash_password(password: str) -> PasswordHash:
    """The hash of a password, with a salt of its own. Raises ValueError for one that could not
    stand in Password(554) of every FIX engine."""
    if not 1 <= len(password) <= MAX_PASSWORD_LENGTH:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD_LENGTH} characters")
    if not (password.isascii() and password.isprintable()):
        raise ValueError("a password consists of printable ASCII characters")
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(_N, _R, _P, salt, _scrypt(password, salt, _N, _R, _P))


class PasswordChecks:
    """The checks that are under way, and the passwords that were right in the last hour.

    At most MAX_CHECKS at a time, and MAX_CHECKS_PER_CLIENT of one CompID from one address: who
    guesses at a client keeps out neither the others nor, from elsewhere, that client itself.
    Remembered is a keyed digest, whose key ends with the process.
    """

    def __init__(self, clock_ns: Callable[[], int], run_aside: RunAside) -> None:
        self._clock_ns = clock_ns
        self._run_aside = run_aside
        self._key = secrets.token_bytes(hashlib.blake2b.MAX_KEY_SIZE)
        self._right: dict[str, tuple[bytes, int]] = {}  # CompID -> digest, remembered until
        self._under_way: Counter[tuple[str, str]] = Counter()

    @property
    def under_way(self) -> int:
        """How many passwords are being checked."""
        return self._under_way.total()

    def knows(self, comp_id: str, password: str) -> bool:
        """Whether this was found to be the right password of a client not long ago."""
        digest, until_ns = self._right.get(comp_id, (b"", 0))
        is_known = hmac.compare_digest(digest, self._digest(password))
        return is_known and self._clock_ns() < until_ns

    def start(
        self,
        comp_id: str,
        address: str,
        stored: PasswordHash,
        password: str,
        done: Callable[[bool], None],
    ) -> bool:
        """Begin to check a password that came from `address`, a host; `done` gets the verdict.
        False: too many are under way, and `done` is never called."""
        who = comp_id, address
        if (
            self.under_way >= MAX_CHECKS
            or self._under_way[who] >= MAX_CHECKS_PER_CLIENT
            or len(password) > MAX_PASSWORD_LENGTH
        ):
            return False
        self._under_way[who] += 1

        def finish(is_right: bool) -> None:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]
            if is_right:
                until_ns = self._clock_ns() + MEMORY_S * NS_PER_SECOND
                self._right[comp_id] = (self._digest(password), until_ns)
            done(is_right)

        self._run_aside(lambda: stored.fits(password), finish)
        return True

    def _digest(self, password: str) -> bytes:
        return hashlib.blake2b(password.encode(), key=self._key).digest()
