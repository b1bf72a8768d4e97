"""The engine without workers: the same tasks over private memory, in the calling thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ocifast._native.arena import Arena
from ocifast.engine.message import close_all
from ocifast.engine.pipeline import Listen, Outcome, Pipeline, make_task
from ocifast.engine.plan import CAPACITY, Job, Sizing
from ocifast.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_inline"]

IDLE_MS: Final = 500
TELL_SECONDS: Final = 0.1


def run_inline(jobs: list[Job], sizing: Sizing, listen: Listen | None = None) -> Iterator[Outcome]:
    """Do the jobs in this order, as many side by side as one worker would."""
    arena = Arena(sizing.slots, sizing.slot_bytes)
    pipeline = Pipeline(arena, hash_first=True)
    waiting = list(reversed(jobs))
    weights: dict[int, int] = {}
    ready: list[Outcome] = []
    told = time.monotonic()
    try:
        while waiting or weights:
            seen = arena.change
            while waiting and (not weights or _fits(waiting[-1], weights)):
                job = waiting.pop()
                weights[job.index] = job.weight
                ready += begin(pipeline, arena, job)
            worked = pipeline.turn()
            ready += pipeline.collect()
            if listen is not None and time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                for progress in pipeline.progress():
                    listen(*progress)
            if not worked and not ready and weights:
                if not pipeline.waiting:
                    raise WorkerError("the pipeline is stuck; this is a defect of ocifast")
                arena.wait(seen, IDLE_MS)
            while ready:  # bound to no name here: an error's traceback would lead back to it
                del weights[ready[0].job]
                yield ready.pop(0)
    finally:
        pipeline.abandon()
        for outcome in ready:
            close_all(outcome.descriptors)


def _fits(job: Job, weights: dict[int, int]) -> bool:
    return sum(weights.values(), job.weight) <= CAPACITY


def begin(pipeline: Pipeline, arena: Arena, job: Job) -> list[Outcome]:
    """Open a job and take it on; if that fails, the failure is its outcome."""
    try:
        pipeline.add(job.index, make_task(job.task, job.spec, job.open(), arena))
    except Exception as error:  # noqa: BLE001 - it is the outcome, whatever it is
        return [Outcome(job.index, {}, [], error)]
    return []
