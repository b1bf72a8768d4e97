"""Lints over our own sources: each rule names a bug class that no compiler reports."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXT = ROOT / "ext"
CYTHON = sorted([*EXT.rglob("*.pyx"), *EXT.rglob("*.pxd")])
KERNELS = sorted([*EXT.rglob("*.c"), *EXT.rglob("*.h")])
PYTHON = sorted(p for d in ("ocifast", "benches") for p in (ROOT / d).rglob("*.py"))
FILE_LINES, FUNCTION_LINES, AUTOMATON_LINES = 400, 60, 120
# Cython gives these no exception clause: a Python object carries its own NULL
OBJECTS = {"object", "bytes", "str", "tuple", "list", "dict", "set", "bytearray", "memoryview"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def blocks(text: str, opener: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and body of every indented block whose first line matches `opener`."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not re.match(opener, line):
            continue
        body, start = [], number + 1
        while start < len(lines) and not lines[start - 1].rstrip().endswith(":"):
            start += 1  # a signature over several lines
        for inner in lines[start:]:
            if inner.strip() and indent(inner) <= indent(line):
                break
            body.append(inner)
        while body and not body[-1].strip():
            body.pop()
        yield number + 1, [*lines[number:start], *body]


def signatures(text: str) -> Iterator[tuple[str, str, str]]:
    """Return type, name and what follows the parameters, of every cdef function not extern."""
    extern = r"^cdef extern [^\n]*:\n(?:(?:[ \t]+[^\n]*)?\n)*"
    code = re.sub(r"#.*", "", re.sub(extern, "", text, flags=re.MULTILINE))
    for found in re.finditer(r"^[ \t]*cdef ([^\n(=]*[ *\]])?(\w+)\(", code, re.MULTILINE):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        yield (found[1] or "").strip(), found[2], code[end:].partition("\n")[0]


@pytest.mark.parametrize("path", CYTHON, ids=name_of)
def test_every_cdef_function_says_how_it_fails(path: Path) -> None:
    for head, name, rest in signatures(path.read_text()):
        returns = head.removeprefix("inline").strip()
        is_object = not returns or returns in OBJECTS or returns[0].isupper()
        spoken = "except" in rest  # `noexcept` too
        assert spoken or is_object, f"{name}: add noexcept or except"


@pytest.mark.parametrize("path", CYTHON, ids=name_of)
def test_nothing_is_raised_without_the_gil(path: Path) -> None:
    text = path.read_text()
    for opener in (r"\s*with nogil\b", r"[^#]*\)[^)#]*\bnogil\s*:\s*$"):
        for number, body in blocks(text, opener):
            bad = [line for line in body if re.match(r"\s*(raise|assert|try)\b", line)]
            assert not bad, f"line {number}: {bad[0].strip()}"


@pytest.mark.parametrize("path", CYTHON, ids=name_of)
def test_cython_sources_keep_to_the_subset(path: Path) -> None:
    text = path.read_text()
    for rule, pattern in {
        "include": r"^\s*include\b",
        "cpdef": r"^\s*cpdef\b",
        "a directive of its own": r"^#\s*(cython|distutils)\s*:",
        "an extern block outside a .pxd": r"^cdef extern" if path.suffix == ".pyx" else r"(?!)",
        "C++ or the numpy C API": r"\bcimport (numpy|libcpp)|from libcpp",
    }.items():
        assert not re.search(pattern, text, re.MULTILINE), rule


@pytest.mark.parametrize("path", KERNELS, ids=name_of)
def test_kernels_do_not_know_python(path: Path) -> None:
    assert not re.search(r"#\s*include\s*.Python\.h|\bPy[A-Z]\w*_\w+", path.read_text())


@pytest.mark.parametrize("path", [*CYTHON, *KERNELS, *PYTHON], ids=name_of)
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_functions_fit_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", CYTHON, ids=name_of)
def test_cython_functions_fit_a_screen(path: Path) -> None:
    for number, body in blocks(path.read_text(), r"\s*(def|cdef) [^=]*\("):
        assert len(body) <= FUNCTION_LINES, f"line {number}"


@pytest.mark.parametrize("path", KERNELS, ids=name_of)
def test_c_functions_fit_a_screen(path: Path) -> None:
    """A comment above that says "state machine" buys twice the length."""
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines):
        if line != "{" and not re.match(r"^[A-Za-z_][^;=]*\)[^;=]*\{$", line):
            continue
        length = lines[number:].index("}")
        above = "\n".join(lines[max(0, number - 12) : number])
        allowed = AUTOMATON_LINES if "state machine" in above else FUNCTION_LINES
        assert length <= allowed, f"line {number + 1}: {length} lines"
