"""The life of worker processes: start, hand out jobs, collect outcomes, notice death, end.

Workers are started by exec of this interpreter, never by importing the caller's `__main__`; or by a
plain fork where the caller asks for it and has one thread. Invariant: after the first sign of a
dead worker nothing of this pool is used again; all of it is killed, reaped and closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from ocifast._native.arena import Arena
from ocifast.engine.message import decode_error, receive, send
from ocifast.engine.pipeline import Outcome
from ocifast.engine.plan import CAPACITY, Job, Sizing
from ocifast.errors import WorkerCrashed, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Pool", "StartMethod"]

StartMethod = Literal["exec", "fork"]

BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ocifast.engine.worker import main; main(3)"
)


def single_threaded() -> bool:
    """Whether this process has one thread, counted by the kernel."""
    return len(os.listdir("/proc/self/task")) == 1


class Worker:
    """One process and its socket."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.connection = connection
        self.load = 0
        self.jobs: dict[int, Job] = {}

    def end(self) -> int:
        """Kill and reap it; its exit code, or the negative signal that ended it."""
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return -signal.SIGKILL
        return os.waitstatus_to_exitcode(status)


class Pool:
    """Workers around one shared arena."""

    def __init__(self, workers: int, sizing: Sizing, method: StartMethod) -> None:
        self._owner = os.getpid()
        self._memory = os.memfd_create("ocifast", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._workers: list[Worker] = []
        try:
            os.ftruncate(self._memory, Arena.mapped_bytes(sizing.slots, sizing.slot_bytes))
            fcntl.fcntl(self._memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self._arena = Arena(sizing.slots, sizing.slot_bytes, descriptor=self._memory)
            for number in range(workers):
                self._start(number, sizing, method)
        except BaseException:
            self.close()
            raise

    def _start(self, number: int, sizing: Sizing, method: StartMethod) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            if method == "fork" and single_threaded():
                pid = self._fork(ours, theirs)
            else:
                pid = spawn(theirs)
        self._workers.append(Worker(pid, ours))
        hello = {
            "slots": sizing.slots,
            "slot_bytes": sizing.slot_bytes,
            "hash_first": number == 0,
        }
        send(ours, hello, [self._memory])

    def _fork(self, ours: socket.socket, theirs: socket.socket) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            # A sibling's socket kept open here would hide that the engine has closed it.
            for connection in (ours, *(worker.connection for worker in self._workers)):
                connection.close()
            from ocifast.engine.worker import main

            main(theirs.detach())
            status = 0
        finally:
            os._exit(status)

    def run(self, jobs: list[Job]) -> Iterator[Outcome]:
        """Hand the jobs out in this order and give outcomes as they come.

        Raises:
            WorkerCrashed: A worker died; the pool is closed then.
        """
        waiting = list(reversed(jobs))
        poll = select.poll()
        by_descriptor = {worker.connection.fileno(): worker for worker in self._workers}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        while waiting or any(worker.jobs for worker in self._workers):
            yield from self._hand_out(waiting)
            if not any(worker.jobs for worker in self._workers):
                continue
            for descriptor, _ in poll.poll():
                yield self._collect(by_descriptor[descriptor])

    def _hand_out(self, waiting: list[Job]) -> Iterator[Outcome]:
        """Fill the workers up, the least loaded first; failures to open are outcomes."""
        while waiting:
            worker = min(self._workers, key=lambda worker: worker.load)
            if worker.load and worker.load + waiting[-1].weight > CAPACITY:
                return
            job = waiting.pop()
            try:
                descriptor = job.open()
            except OSError as error:
                yield Outcome(job.index, {}, [], error)
            else:
                self._give(worker, job, descriptor)

    def _give(self, worker: Worker, job: Job, descriptor: object) -> None:
        if not isinstance(descriptor, int):
            raise WorkerError("only a local job may have a source that is no descriptor")
        message = {"index": job.index, "task": job.task, "spec": dict(job.spec)}
        try:
            send(worker.connection, message, [descriptor])
        except (BrokenPipeError, ConnectionResetError):
            self._crashed(worker)
        finally:
            os.close(descriptor)
        worker.jobs[job.index] = job
        worker.load += job.weight
        self._arena.wake()

    def _collect(self, worker: Worker) -> Outcome:
        received = receive(worker.connection)
        if received is None:
            self._crashed(worker)
        message, descriptors = received
        job = worker.jobs.pop(message["index"])
        worker.load -= job.weight
        error = decode_error(message["error"]) if "error" in message else None
        return Outcome(job.index, message["payload"], descriptors, error)

    def _crashed(self, worker: Worker) -> NoReturn:
        status = worker.end()
        self._workers.remove(worker)
        self.close()
        raise WorkerCrashed(worker.pid, status)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    @property
    def usable(self) -> bool:
        """Whether this process may run it: it is open, and not inherited by a fork."""
        return bool(self._workers) and os.getpid() == self._owner

    @property
    def busy(self) -> bool:
        """Whether a job was handed out whose outcome nobody took."""
        return any(worker.jobs for worker in self._workers)

    def close(self) -> None:
        """End all workers now and give the memory back."""
        workers, self._workers = self._workers, []
        for worker in workers:
            if os.getpid() == self._owner:
                worker.end()
            else:  # a fork of the engine's process: the workers are not its children
                worker.connection.close()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


def spawn(connection: socket.socket) -> int:
    """Start an interpreter whose descriptor 3 is the socket; its process id."""
    if not sys.executable:
        raise WorkerError("cannot start workers: sys.executable is empty; use workers=0")
    # Above 3, so that the dup2 below always makes a new descriptor that survives exec.
    source = fcntl.fcntl(connection, fcntl.F_DUPFD_CLOEXEC, 10)
    try:
        argv = [sys.executable, "-c", BOOT, json.dumps([os.path.abspath(p) for p in sys.path])]
        actions = [(os.POSIX_SPAWN_DUP2, source, 3)]
        return os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
    finally:
        os.close(source)
