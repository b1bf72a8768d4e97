"""What this process holds: descriptors, children, shared mappings. And waiting with a deadline."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def descriptors() -> dict[int, str]:
    """Open descriptors of this process and what they lead to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return {fd: target for fd, target in found.items() if target != f"/proc/{os.getpid()}/fd"}


def parent_of(pid: int) -> int:
    """Process id of the parent; -1 when there is no such process. Zombies have parents."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def children(pid: int | None = None) -> set[int]:
    """Children of a process, zombies among them."""
    pid = os.getpid() if pid is None else pid
    return {int(n) for n in os.listdir("/proc") if n.isdigit() and parent_of(int(n)) == pid}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def arenas() -> int:
    """Shared arenas mapped by this process."""
    with open("/proc/self/maps") as file:
        return sum("memfd:ocifast" in line for line in file)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Poll until it holds; False when it did not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.005)
    return True


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """No descriptor, child or arena may be more behind the block than before it."""
    before = descriptors(), children(), arenas()
    yield
    assert wait_until(lambda: children() <= before[1], 2)
    assert (descriptors(), children(), arenas()) == before


def kill_later(pid: int, signal: int, seconds: float) -> int:
    """Fork a process that sends the signal in a while; its process id, to be reaped.

    A process, not a thread: a process with threads cannot start workers by fork.
    """
    child = os.fork()
    if child:
        return child
    try:
        select.select([], [], [], seconds)
        os.kill(pid, signal)
    finally:
        os._exit(0)
