"""The engine without workers: the same tasks over private memory, in the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast._native.arena import Arena
from ocifast.engine.message import close_all
from ocifast.engine.pipeline import Outcome, Pipeline, make_task
from ocifast.engine.plan import CAPACITY, Job, Sizing
from ocifast.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_inline"]


def run_inline(jobs: list[Job], sizing: Sizing) -> Iterator[Outcome]:
    """Do the jobs in this order, as many side by side as one worker would."""
    arena = Arena(sizing.slots, sizing.slot_bytes)
    pipeline = Pipeline(arena, hash_first=True)
    waiting = list(reversed(jobs))
    weights: dict[int, int] = {}
    ready: list[Outcome] = []
    try:
        while waiting or weights:
            while waiting and (not weights or _fits(waiting[-1], weights)):
                job = waiting.pop()
                weights[job.index] = job.weight
                ready += begin(pipeline, arena, job)
            worked = pipeline.turn()
            ready += pipeline.collect()
            if not worked and not ready and weights:
                raise WorkerError("the pipeline is stuck; this is a defect of ocifast")
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
