"""The rules of the house that can be read off the imports (ARCHITECTURE.md, "the import rule")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "matching": set[str](),
    "oms": {"matching"},
    "protocols": {"oms", "matching"},
    "cluster": {"protocols", "oms", "matching"},
    "gateway": {"cluster", "protocols", "oms", "matching"},
    "marketdata": {"cluster", "protocols", "oms", "matching"},
    "exchange": {"gateway", "marketdata", "cluster", "protocols", "oms", "matching"},
    "bench": {"exchange", "gateway", "marketdata", "cluster", "protocols", "oms", "matching"},
}

PURE_CORE = {"asyncio", "socket", "os", "time", "random", "threading", "logging", "struct"}
FORBIDDEN = {
    "matching": PURE_CORE | {"msgpack"},
    "oms": PURE_CORE | {"msgpack"},
    "protocols": {"asyncio", "socket", "time"},
}

# Who turns bytes into values: the public formats, our own codec, and whoever owns a file format.
BYTES_ARE_MADE_IN = {
    "struct": {"protocols", "cluster", "gateway.fix.store"},
    "msgpack": {"cluster.codec"},
    "simplefix": {"protocols", "bench.peers.codecs"},
}

KNOW_PYSYNCOBJ = {"cluster.raft", "bench.peers.pysyncobj_node"}
"""The one that builds on it, and the one that measures it as it comes."""


def source_files() -> list[Path]:
    """Every Python file of the product."""
    return sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    """`a/b.py` is a.b, `a/__init__.py` is a."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Full dotted name of everything that a file imports, wherever in the file it does so.

    `from a import b` yields both `a` and `a.b`, because b may be a module.
    """
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = [pytest.param(path, id=module_name(path)) for path in source_files()]


@pytest.mark.parametrize("path", FILES)
def test_a_package_imports_only_packages_below_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[package] | {package}
    ours = {name.split(".")[0] for name in imports_of(path)} & set(MAY_IMPORT)
    assert ours <= allowed, f"{module_name(path)} imports {sorted(ours - allowed)}"


@pytest.mark.parametrize("path", FILES)
def test_pure_packages_import_no_clock_no_network_no_chance(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    outside = {name.split(".")[0] for name in imports_of(path)}
    found = outside & FORBIDDEN.get(package, set())
    assert not found, f"{module_name(path)} imports {sorted(found)}"


@pytest.mark.parametrize("path", FILES)
def test_bytes_are_made_and_read_only_by_the_codecs(path: Path) -> None:
    module = module_name(path)
    outside = {name.split(".")[0] for name in imports_of(path)}
    for tool, places in BYTES_ARE_MADE_IN.items():
        allowed = any(f"{module}.".startswith(f"{place}.") for place in places)
        assert allowed or tool not in outside, f"{module} imports {tool}"


@pytest.mark.parametrize("path", FILES)
def test_only_the_raft_module_and_its_comparison_import_pysyncobj(path: Path) -> None:
    if module_name(path) not in KNOW_PYSYNCOBJ:
        assert not any(name.split(".")[0] == "pysyncobj" for name in imports_of(path))


@pytest.mark.parametrize("path", FILES)
def test_nothing_imports_tests(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & {"tests", "pytest", "hypothesis"}


def test_there_is_no_drawer_for_everything() -> None:
    drawers = {"common", "utils", "util", "helpers", "misc"}
    found = [path for path in source_files() if drawers & set(path.with_suffix("").parts)]
    assert not found


def test_no_two_files_import_each_other_in_a_circle() -> None:
    modules = {module_name(path): path for path in source_files()}
    edges = {
        module: sorted({name for name in imports_of(path) if name in modules and name != module})
        for module, path in modules.items()
    }
    finished: set[str] = set()
    trail: list[str] = []

    def visit(module: str) -> None:
        if module in finished:
            return
        assert module not in trail, "circle: " + " -> ".join([*trail, module])
        trail.append(module)
        for other in edges[module]:
            # A package's __init__ that names its own modules is a table of contents, not a circle.
            if not module.startswith(f"{other}."):
                visit(other)
        trail.pop()
        finished.add(module)

    for module in sorted(edges):
        visit(module)
