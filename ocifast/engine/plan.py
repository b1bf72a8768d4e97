"""Who does what, decided before anything runs: pure functions of sizes and counts.

Nothing here starts, opens or measures; a plan can be printed and tested. Invariant: the order and
the sizing never change a result, only when it is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CAPACITY",
    "Job",
    "Sizing",
    "available_workers",
    "encoder_threads",
    "in_order",
    "sizing",
]

CAPACITY: Final = 4
"""What one worker carries at a time. A compressed layer weighs all of it: its inflate fills a core.
Plain layers weigh 1, because four lanes hash at 4.5 GB/s on a core where one does at 1.8."""

SLOT_BYTES: Final = 256 << 10
"""Input and output of one inflate step stay in a 1 MiB L2 (figures in ARCHITECTURE.md)."""

BLOCK_SLOT_BYTES: Final = 1 << 20
"""For compressing: a slot is a block of an encoder, which takes it without a copy."""

SLOTS_PER_WORKER: Final = 16
MIN_SLOTS_PER_WORKER: Final = 2 * CAPACITY + 2

MAX_WORKERS: Final = 256
"""With more, all 1024 slots could be held by decoders that each wait for another one."""

SMALL_BYTES: Final = 32 << 20
"""Less work than this is not worth a worker: starting one costs as much as hashing 30 MB."""


@dataclass(frozen=True, slots=True)
class Job:
    """One task: `task` names its class, `spec` is JSON, `open` gives its source in its turn.

    A source is a descriptor, or a tuple of at most 252, which go to a worker and are closed there;
    a `local` job's is any object the task reads from in this process. `cost` is an estimate in
    bytes of uncompressed tar.
    """

    index: int
    task: str
    spec: Mapping[str, object]
    open: Callable[[], object]
    cost: float
    weight: int = CAPACITY
    local: bool = False


@dataclass(frozen=True, slots=True)
class Sizing:
    """How the arena is cut."""

    slots: int
    slot_bytes: int = SLOT_BYTES


def sizing(workers: int, memory: int | None = None, slot_bytes: int = SLOT_BYTES) -> Sizing:
    """Cut an arena for so many workers within `memory` bytes (default: 16 slots a worker).

    Raises:
        ValueError: Too many workers, or too little memory for so many.
    """
    if workers > MAX_WORKERS:
        msg = f"{workers} workers are more than the {MAX_WORKERS} one arena serves"
        raise ValueError(msg)
    lanes = max(workers, 1)
    wanted = min(lanes * SLOTS_PER_WORKER, 1024)
    if memory is None:
        return Sizing(wanted, slot_bytes)
    slots = min(memory // slot_bytes, 1024)
    least = min(lanes * MIN_SLOTS_PER_WORKER, 1024)
    if slots < least:
        msg = f"{lanes} workers need at least {least * slot_bytes} bytes of memory, not {memory}"
        raise ValueError(msg)
    return Sizing(slots, slot_bytes)


def in_order(jobs: list[Job], workers: int) -> list[Job]:
    """Longest first, so that the last ones to finish are short; ties keep the caller's order.

    A job that is a large part of a worker's fair share weighs accordingly: it gets fewer
    neighbours, so that it does not crawl beside them and then run alone.
    """
    share = sum(job.cost for job in jobs) / max(workers, 1)
    weighed = [replace(job, weight=_weight(job, share)) for job in jobs]
    return sorted(weighed, key=lambda job: -job.cost)


def _weight(job: Job, share: float) -> int:
    part = int(CAPACITY * job.cost / share) if share else 1
    return min(max(job.weight, part), CAPACITY)


def encoder_threads(workers: int, cost: float, total: float) -> int:
    """Threads of a layer's encoder: its share of the cores four times over.

    Layers end at different times, and the last one shall have all cores.

    Example:
        >>> encoder_threads(8, 1 << 30, 1 << 34), encoder_threads(8, 1 << 10, 1 << 20)
        (2, 0)
    """
    if workers == 0 or total < SMALL_BYTES:
        return 0
    return min(workers, max(1, -(-4 * workers * int(cost) // max(int(total), 1))))


def cpu_quota(path: str = "/sys/fs/cgroup/cpu.max") -> float:
    """Cores the control group may use; infinite when it does not say."""
    try:
        with open(path, encoding="ascii") as file:
            quota, period = file.read().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return float("inf")


def available_workers() -> int:
    """One worker for each core this process may run on, control group included."""
    return max(1, int(min(len(os.sched_getaffinity(0)), cpu_quota(), MAX_WORKERS)))
