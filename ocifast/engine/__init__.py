"""The engine: jobs in, outcomes out, over worker processes or in this one.

It knows stages and buffers, never a path, a registry or a manifest. Importing it starts nothing;
an engine starts its workers at the first run that is worth them and keeps them until it is closed.
Invariant: outcomes are the same for every number of workers.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING, Self

from ocifast.engine.plan import SLOT_BYTES, SMALL_BYTES, Job, available_workers, in_order, sizing
from ocifast.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from ocifast.engine.pipeline import Listen, Outcome
    from ocifast.engine.pool import Pool, StartMethod

__all__ = ["Engine", "default_engine"]


class Engine:
    """Worker processes and their arena, as a context manager.

    `workers` is their number: None for one a core this process may use, 0 to work in the calling
    process. `memory` caps the arena in bytes. Workers are started by executing the interpreter;
    ``start="fork"`` forks instead while the process has a single thread. `slot_bytes` is how the
    arena is cut: larger slots suit compressing.

    Raises ValueError for an impossible number of workers or too little memory.

    Example:
        >>> with Engine(workers=0) as engine:
        ...     engine.workers
        0
    """

    def __init__(
        self,
        workers: int | None = None,
        memory: int | None = None,
        *,
        start: StartMethod = "exec",
        slot_bytes: int = SLOT_BYTES,
    ) -> None:
        if workers is not None and workers < 0:
            msg = f"workers must not be negative, not {workers}"
            raise ValueError(msg)
        self.workers = available_workers() if workers is None else workers
        self._sizing = sizing(self.workers, memory, slot_bytes)
        self._slot_bytes = slot_bytes
        self._start: StartMethod = start
        self._pool: Pool | None = None
        self._finalizer: weakref.finalize[..., Engine] | None = None
        self._process = 0
        self._renew()

    def _renew(self) -> None:
        """Make locks of this process: one inherited by a fork may be held for ever."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._lock, self._swap = threading.Lock(), threading.Lock()
            self._running = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return self._pool.pids if self._pool is not None and self._pool.usable else []

    def run(self, jobs: list[Job], listen: Listen | None = None) -> Generator[Outcome]:
        """Do the jobs, longest first, and give their outcomes as they come.

        Jobs too small for workers are done in this process. One run at a time: another thread
        waits. Leaving the iterator early ends the workers. `listen` is told, in this thread, how
        far jobs are.

        Raises:
            WorkerCrashed: A worker died. The engine can be used again at once.
            WorkerError: Workers cannot be started, or one misbehaved.
            StateError: The engine was closed meanwhile, or this thread has not finished its last
                run.
        """
        local = [job for job in jobs if job.local]
        shared = [job for job in jobs if not job.local]
        if self.workers == 0 or sum(job.cost for job in shared) < SMALL_BYTES:
            local, shared = jobs, []
        if shared:
            with self._turn():
                yield from self._run_there(shared, listen)
        if local:
            from ocifast.engine.inline import run_inline  # native: when it is used

            yield from run_inline(in_order(local, 1), sizing(0, None, self._slot_bytes), listen)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other threads waiting; the same thread would wait for itself."""
        self._renew()
        here = threading.get_ident()
        if self._running == here:
            raise StateError("the engine is in use: finish or close the run before this one")
        with self._lock:
            self._running = here
            try:
                yield
            finally:
                self._running = 0

    def _run_there(self, jobs: list[Job], listen: Listen | None) -> Iterator[Outcome]:
        pool, whole = self._ready_pool(), False
        try:
            yield from pool.run(in_order(jobs, self.workers), listen)
            whole = True
        finally:
            if not whole:
                pool.close()

    def _ready_pool(self) -> Pool:
        from ocifast.engine.pool import Pool  # native: when it is used

        pool = self._pool
        if pool is None or not pool.usable:
            self.close()
            pool = Pool(self.workers, self._sizing, self._start)
            with self._swap:
                self._pool, self._finalizer = pool, weakref.finalize(self, pool.close)
        return pool

    def close(self) -> None:
        """End the workers. The engine may be used again; it then starts new ones."""
        self._renew()
        with self._swap:
            pool, finalizer = self._pool, self._finalizer
        if pool is None or finalizer is None:
            return
        pool.close()
        finalizer.detach()
        with self._swap:  # last, so that an interrupted close can be called again
            if self._pool is pool:
                self._pool = self._finalizer = None


@functools.cache
def default_engine() -> Engine:
    """Give the engine that functions use when they are not given one; made at the first call."""
    return Engine()
