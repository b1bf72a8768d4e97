"""The engine without workers: the same tasks over private memory, in the calling thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast._native.arena import Arena
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
    try:
        while waiting or weights:
            while waiting and (
                not weights or sum(weights.values()) + waiting[-1].weight <= CAPACITY
            ):
                job = waiting.pop()
                failure = begin(pipeline, arena, job)
                if failure is not None:
                    yield failure
                else:
                    weights[job.index] = job.weight
            worked = pipeline.turn()
            for outcome in pipeline.collect():
                worked = True
                del weights[outcome.job]
                yield outcome
            if weights and not worked:
                raise WorkerError("the pipeline is stuck; this is a defect of ocifast")
    finally:
        pipeline.abandon()


def begin(pipeline: Pipeline, arena: Arena, job: Job) -> Outcome | None:
    """Open a job and take it on; if that fails, the failure is its outcome."""
    try:
        pipeline.add(job.index, make_task(job.task, job.spec, job.open(), arena))
    except Exception as error:  # noqa: BLE001 - it is the outcome, whatever it is
        return Outcome(job.index, {}, [], error)
    return None
