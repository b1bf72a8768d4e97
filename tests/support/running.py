"""`ocifast convert` as a process of its own, with workers however little there is to do.

For tests that kill, interrupt or watch it. Invariant: nothing outlives `Command.end`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from support.faults import facts_of
from support.images import Sample, docker_files, write_tar
from support.layers import make_layer
from support.processes import alive, children, wait_until

if TYPE_CHECKING:
    from pathlib import Path

BOOT = (
    "import sys; from ocifast import engine; engine.SMALL_BYTES = 0; "
    "from ocifast.cli import main; sys.exit(main())"
)
SLOW = ["--compress", "zstd", "--level", "12", "--workers", "2"]
"""What gives a test the time to strike."""


def write_images(folder: Path, images: int = 2, layers: int = 4, size: int = 400_000) -> list[str]:
    """Archives of images that share their base."""
    folder.mkdir(exist_ok=True)
    base = make_layer("plain", 7, 20, size)
    paths = []
    for number in range(images):
        own = [make_layer("plain", 100 * number + n, 10, size) for n in range(1, layers)]
        sample = Sample((base, *own), (f"example.com/image-{number}:1",))
        paths.append(write_tar(folder / f"{number}.tar", docker_files(sample)))
    return paths


class Command:
    """One run of `ocifast convert`, in a process group of its own."""

    def __init__(self, *arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> None:
        command = [*prefix, sys.executable, "-P", "-c", BOOT, "convert", "-q", *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | environment,
        )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def workers(self, count: int = 2) -> list[int]:
        """Process ids of its workers, when they are there."""
        assert wait_until(lambda: len(children(self.pid)) == count or not self.running)
        return sorted(children(self.pid))

    def wait_for_facts(self, journal: Path, count: int) -> bool:
        """Wait until it has noted so many layers; False when it has ended first."""
        return wait_until(lambda: noted(journal) >= count or not self.running, 60) and self.running

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Do what a terminal does with Ctrl-C."""
        os.killpg(self.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code, and what it said."""
        try:
            _, error = self._process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        text = error.decode(errors="replace")
        assert "Traceback" not in text, text
        assert "Exception ignored" not in text, text
        return self._process.returncode, text


def noted(journal: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return len(facts_of(journal))
    return 0


def all_gone(pids: list[int]) -> bool:
    return wait_until(lambda: not any(map(alive, pids)), 3)
