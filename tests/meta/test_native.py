"""Every compiled module has a stub that tells the truth and compiles without a hint."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def from_setup(name: str) -> ast.expr:
    """The value of a top-level assignment of setup.py, unevaluated."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value
    raise LookupError(name)


MODULES = sorted(ast.literal_eval(from_setup("MODULES")))


def test_the_build_table_names_every_source() -> None:
    sources = {path.stem for path in (ROOT / "ext/ocifast/_native").glob("*.pyx")}
    stubs = {path.stem for path in (ROOT / "ocifast/_native").glob("*.pyi")} - {"__init__"}
    assert set(MODULES) == sources == stubs
    rows = ast.literal_eval(from_setup("MODULES")).values()
    kernels = {f"{kernel}.c" for row in rows for kernel in row.split()}
    assert kernels == {path.name for path in (ROOT / "ext/csrc").glob("*.c")}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_stubs_match_the_compiled_modules() -> None:
    done = run("mypy.stubtest", *(f"ocifast._native.{n}" for n in MODULES), MYPYPATH=str(ROOT))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_cython_has_neither_warning_nor_performance_hint(name: str, tmp_path: Path) -> None:
    directives = {"boundscheck": False, "wraparound": False, "show_performance_hints": True}
    options = [f"-X{key}={value}" for key, value in directives.items()]
    source = ROOT / f"ext/ocifast/_native/{name}.pyx"
    target = str(tmp_path / "out.c")
    done = run("cython", "-3", *options, "-I", str(ROOT / "ext"), "-o", target, str(source))
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), done.stderr
