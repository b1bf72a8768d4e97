"""Shared by all tests: the tools of other people we check ourselves against, and Hypothesis' pace.

Invariant: in CI a missing tool is a failure. A test that silently skips proves nothing.
"""

import os
import shutil
from collections.abc import Callable

import hypothesis
import pytest

# numpy's thread pool would make this process one that may no longer fork, and the engine notices
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

IN_CI = os.environ.get("CI", "").lower() == "true"
SANITIZED = os.environ.get("OCIFAST_SANITIZE") == "1"

# no deadline: a shared two-core machine stalls for longer than any honest one
hypothesis.settings.register_profile("normal", deadline=None, derandomize=IN_CI)
hypothesis.settings.register_profile("sanitized", deadline=None, max_examples=25)
hypothesis.settings.load_profile("sanitized" if SANITIZED else "normal")


def find_oracle(name: str) -> str:
    """The path of a tool such as bsdtar; skips the test without it, fails it in CI."""
    path = shutil.which(name)
    if path:
        return path
    if IN_CI:
        pytest.fail(f"oracle {name} is not installed, and in CI it has to be", pytrace=False)
    pytest.skip(f"oracle {name} is not installed")


@pytest.fixture(scope="session")
def oracle() -> Callable[[str], str]:
    """``oracle("bsdtar")`` gives the path of the tool."""
    return find_oracle


def pytest_report_header() -> str:
    import ocifast

    return f"ocifast: {ocifast.__version__} from {os.path.dirname(ocifast.__file__)}"


@pytest.fixture
def compiled_once(tmp_path, monkeypatch) -> None:
    """Let subprocesses keep the bytecode of the first, as an installed package has it."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "bytecode"))
