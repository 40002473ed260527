"""Same commands, same executions and books, whatever process and hash seed plays them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from checked_book import SeededTrader

from matching.order_book import MatchNumbers, OrderBook
from matching.types import BookOrder, Side

ROOT = Path(__file__).resolve().parents[2]


def digest_of_a_run(seed: int, commands: int) -> str:
    """SHA-256 over every execution and, at the end, every resting order of a seeded run."""
    book: OrderBook[BookOrder] = OrderBook(MatchNumbers())
    trader = SeededTrader(seed, book, range(99_000, 101_000, 100), 20, 100)
    digest = hashlib.sha256()
    for _ in range(commands):
        for executed in trader.step()[1]:
            numbers = (
                executed.resting.order_reference_number,
                executed.incoming.order_reference_number,
            )
            digest.update(repr(numbers + tuple(executed[2:])).encode())
    for side in (Side.BUY, Side.SELL):
        for order in book.orders(side):
            digest.update(
                repr((order.order_reference_number, order.price, order.leaves_qty)).encode()
            )
    assert len(book) > 50
    return digest.hexdigest()


def digest_in_a_process(hash_seed: str) -> str:
    """The digest as another interpreter with this PYTHONHASHSEED finds it."""
    environment = dict(os.environ)
    environment["PYTHONHASHSEED"] = hash_seed
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    finished = subprocess.run(
        [sys.executable, __file__],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return finished.stdout.strip()


def test_hash_seeds_and_processes_make_no_difference():
    here = digest_of_a_run(seed=11, commands=3000)
    for hash_seed in ("0", "1", "4242", "random"):
        assert digest_in_a_process(hash_seed) == here, f"PYTHONHASHSEED={hash_seed} differs"


def test_another_seed_makes_another_run():
    """The digest sees the trades: it is not the same for whatever was played."""
    assert digest_of_a_run(seed=12, commands=3000) != digest_of_a_run(seed=11, commands=3000)


if __name__ == "__main__":
    print(digest_of_a_run(seed=11, commands=3000))
