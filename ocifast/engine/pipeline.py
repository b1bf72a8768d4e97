"""Tasks of one worker, driven over the arena: each fills slots in order, lanes hash them.

A task is a layer being read; its stages run one slot at a time, so many tasks and the hashing of
everybody's slots share one thread without blocking. The same driver runs in a worker process and,
with no workers, in the caller's. Invariant: a turn handles at most a slot per task, so nothing
waits long; a task whose stage cannot go on returns False and is asked again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from ocifast.engine.message import close_all
from ocifast.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocifast._native.arena import Arena

__all__ = ["Listen", "Outcome", "Pipeline", "Task", "make_task"]

Listen: TypeAlias = "Callable[[int, int, int], object]"
"""Told the index of a job, the bytes it has read, and those it has written."""

LANES: Final = 4
"""Streams hashed together; more than four never won (see ext/csrc/sha256_shani.c)."""


class Task(Protocol):
    """One job in the making."""

    lanes: tuple[int, ...]
    """Lanes of the arena this task has open."""

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes read and written so far."""

    @property
    def waiting(self) -> bool:
        """Whether threads of its own are at work, which will ring the arena's bell."""

    def step(self) -> bool:
        """Fill one slot; False when there is no slot or nothing that can be filled now."""

    def finished(self) -> bool:
        """Whether everything is read and hashed."""

    def result(self) -> tuple[dict[str, Any], list[int]]:
        """What came out, as JSON and descriptors; closes the task. One that raises is abandoned."""

    def abandon(self) -> bool:
        """Give everything back; False while a lane is still being hashed by another worker."""


class Outcome(NamedTuple):
    """What became of a job: a payload with descriptors, or an error."""

    job: int
    payload: dict[str, Any]
    descriptors: list[int]
    error: BaseException | None = None


def make_task(name: str, spec: Mapping[str, object], source: object, arena: Arena) -> Task:
    """Build the task `module:class` of this package; it owns its source from then on.

    Raises:
        WorkerError: The name is not of this package.
    """
    try:
        kind = _find_task(name)
    except BaseException:
        close_all([part for part in _parts(source) if isinstance(part, int)])
        raise
    task: Task = kind(spec, source, arena)
    return task


def _find_task(name: str) -> Callable[..., Task]:
    module, _, attribute = name.partition(":")
    if not module.startswith("ocifast.ops."):
        raise WorkerError(f"{name} is not a task of ocifast")
    kind: Callable[..., Task] = getattr(importlib.import_module(module), attribute)
    return kind


def _parts(source: object) -> tuple[object, ...]:
    return source if isinstance(source, tuple) else (source,)


class Pipeline:
    """The tasks of one worker and their turns.

    With `hash_first` this worker hashes anybody's slots, rather than filling its own, once half of
    them wait. One worker of an engine does: it holds the longest layer, so the others come to the
    next ones sooner, and at the end, when others are idle and hash at once, it only inflates.
    """

    def __init__(self, arena: Arena, *, hash_first: bool) -> None:
        self._arena = arena
        self._hash_first = hash_first
        self._tasks: dict[int, Task] = {}
        self._failed: dict[int, tuple[Task, BaseException]] = {}

    def __len__(self) -> int:
        return len(self._tasks) + len(self._failed)

    @property
    def waiting(self) -> bool:
        """Whether a task waits for threads of its own."""
        failed = (task for task, _ in self._failed.values())
        return any(task.waiting for task in (*self._tasks.values(), *failed))

    def progress(self) -> list[tuple[int, int, int]]:
        """How far each task is: its index, bytes read, bytes written."""
        return [(index, *task.progress) for index, task in self._tasks.items()]

    def add(self, index: int, task: Task) -> None:
        """Take on a task; `index` names it in its outcome."""
        self._tasks[index] = task

    def abandon(self) -> None:
        """Give up all tasks; only for a pipeline that nobody else hashes for."""
        for task in self._tasks.values():
            task.abandon()
        for failed, _ in self._failed.values():
            failed.abandon()

    def turn(self) -> bool:
        """Do one piece of work; False when there is none."""
        if len(self._tasks) > 1:
            return self._sweep()
        if self._plain_alone() and self._arena.pending and self._arena.hash(LANES):
            return True
        crowded = self._arena.free * 2 < self._arena.slots
        if self._hash_first and crowded and self._arena.pending > 1 and self._arena.hash(LANES):
            return True
        if self._step_all():
            return True
        if not crowded and self._arena.pending < LANES and self.waiting:
            return False
        return self._arena.hash(LANES) > 0

    def _plain_alone(self) -> bool:
        """Whether all it has is one plain layer, which fills slots faster than anybody hashes.

        It then hashes before it fills the next one, or it takes all slots and the other workers
        wait: three plain layers of 100 MB on two workers took 185 ms that way, 90 ms this way
        (bench_engine.py).
        """
        return len(self._tasks) == 1 and all(len(task.lanes) == 1 for task in self._tasks.values())

    def collect(self) -> list[Outcome]:
        """Take out what is finished or has failed."""
        outcomes = []
        for index, task in list(self._tasks.items()):
            if not task.finished():
                continue
            del self._tasks[index]
            try:
                outcomes.append(Outcome(index, *task.result()))
            except Exception as error:  # noqa: BLE001 - it travels to the caller, whatever it is
                self._failed[index] = (task, error)
        for index, (failed, reason) in list(self._failed.items()):
            if failed.abandon():
                del self._failed[index]
                outcomes.append(Outcome(index, {}, [], reason))
        return outcomes

    def _sweep(self) -> bool:
        """Fill a slot for each task, then hash them side by side while they are in the cache."""
        worked = self._step_all()
        own = tuple(lane for task in self._tasks.values() for lane in task.lanes)
        while self._arena.hash(LANES, own[:16]):
            worked = True
        return worked or self._arena.hash(LANES) > 0

    def _step_all(self) -> bool:
        worked = False
        for index, task in list(self._tasks.items()):
            try:
                worked |= task.step()
            except Exception as error:  # noqa: BLE001 - it travels to the caller, whatever it is
                del self._tasks[index]
                self._failed[index] = (task, error)
                worked = True
        return worked
