"""`import ocifast` is cheap: it loads no heavy module, starts nothing, and costs little CPU."""

import subprocess
import sys

import pytest
from support.pace import cpu_seconds, slowness

HEAVY = {"numpy", "multiprocessing", "isal", "zstandard", "xxhash", "rich", "asyncio", "msgspec"}
LIMIT_SECONDS = 0.060


def run(code: str) -> str:
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_import_loads_nothing_heavy() -> None:
    loaded = run("import sys, ocifast; print(*{name.split('.')[0] for name in sys.modules})")
    assert not HEAVY & set(loaded.split())


def test_import_starts_no_thread_and_no_process() -> None:
    code = (
        "import os, ocifast\n"
        "print(*os.listdir('/proc/self/task'))\n"
        "print(*open('/proc/self/task/%d/children' % os.getpid()).read().split())"
    )
    threads, children = run(code).split("\n")[:2]
    assert len(threads.split()) == 1
    assert not children.split()


@pytest.mark.figures
def test_import_costs_at_most_60_ms_of_cpu(compiled_once) -> None:
    code = "import time; t = time.process_time(); import ocifast; print(time.process_time() - t)"
    assert any(cpu_seconds(code) <= LIMIT_SECONDS * slowness() for _ in range(7))
