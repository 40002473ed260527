"""Which build runs is said, and another process is of the same one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import matching.order_book
from cluster.build import is_compiled, run_module

ROOT = Path(__file__).resolve().parents[2]


def test_compiled_is_what_python_has_not_read():
    assert is_compiled() == (not hasattr(matching.order_book.OrderBook.enter, "__code__"))


def test_another_process_is_of_the_same_build_also_beside_the_source():
    line = [*run_module("exchange"), "--version"]
    said = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.strip().endswith(", compiled") == is_compiled()
