"""Imports point down only. The table is the architecture; ARCHITECTURE.md tells its reasons."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ocifast"

# a part may import from rows above its own; parts of one row never import each other
ROWS = [
    {"errors", "_version"},
    {"limits"},
    {"spec", "tree"},
    {"_native"},
    {"codecs", "formats", "transports"},
    {"layer"},
    {"engine"},
    {"ops"},
    {"cli"},
    {"__init__", "__main__"},
]
RANK = {part: rank for rank, row in enumerate(ROWS) for part in row}
FORBIDDEN = {("transports", "_native"), ("engine", "transports")}
# what these may import beside the standard library; every other part, any runtime dependency
ALSO = {"errors": set(), "limits": set(), "_version": set(), "tree": set(), "spec": set()}


def part_of(name: str) -> str:
    """'ocifast.codecs.gzip' -> 'codecs'; the bare package is '__init__'."""
    return [*name.split("."), "__init__"][1]


def imports_of(path: Path) -> set[str]:
    """Absolute names of everything a module imports, wherever in it the import stands."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= names if module == "ocifast" else {module}
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no row in the table of this test"
    for name in imports_of(path):
        if name.split(".")[0] != "ocifast":
            continue
        other = part_of(name)
        assert other in RANK, f"{name}: from where? import from the module that defines it"
        allowed = own == other or (RANK[other] < RANK[own] and (own, other) not in FORBIDDEN)
        assert allowed, f"{own} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_bottom_rows_need_nothing_installed(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    roots = {name.split(".")[0] for name in imports_of(path)} - {"ocifast"}
    foreign = roots - sys.stdlib_module_names - ALSO.get(own, roots)
    assert not foreign, f"{own} imports {sorted(foreign)}"


def test_native_sources_know_only_errors_and_limits() -> None:
    pattern = re.compile(r"^\s*(?:from|c?import)\s+(ocifast[\w.]*)", re.MULTILINE)
    for source in sorted((ROOT / "ext").rglob("*.p[xy][dx]")):
        for name in pattern.findall(source.read_text()):
            assert part_of(name) in {"errors", "limits", "_native"}, f"{source.name}: {name}"
