"""The life of worker processes: start, hand out jobs, collect outcomes, notice death, end.

Workers are started by exec of this interpreter, never by importing the caller's `__main__`; or by
a plain fork where the caller asks for it and has one thread. Invariant: after the first sign of a
dead worker nothing of this pool is used again; all of it is killed, reaped and closed.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from ocifast._native.arena import Arena
from ocifast.engine.message import close_all, decode_error, lost_descriptors, receive, send
from ocifast.engine.pipeline import Listen, Outcome
from ocifast.engine.plan import CAPACITY, Job, Sizing
from ocifast.errors import StateError, WorkerCrashed, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Pool", "StartMethod"]

StartMethod = Literal["exec", "fork"]

BOOT: Final = (
    "import json, os, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ocifast.engine.worker import main; main(3); os._exit(0)"
)

CLOSED: Final = "the engine was closed during its run"

LOOK_MS: Final = 500
"""How often workers are looked at during a run. Their sockets tell of death at once, unless another
child of the caller, forked at the wrong moment, holds the worker's end open."""


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
        self._status: int | None = None

    def alive(self) -> bool:
        """Whether it runs; its status is left for `end`."""
        if self._status is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:  # somebody else in this process has reaped it
            return False

    def kill(self) -> None:
        """Send SIGKILL, which a stopped process obeys too; never to a process id used anew."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Kill and reap it; its exit code, or the negative signal that ended it."""
        self.kill()
        if self._status is None:
            try:
                _, self._status = os.waitpid(self.pid, 0)
            except ChildProcessError:
                self._status = signal.SIGKILL  # reaped by somebody else: how it ended is lost
        self.connection.close()
        return os.waitstatus_to_exitcode(self._status)


class Pool:
    """Workers around one shared arena."""

    def __init__(self, workers: int, sizing: Sizing, method: StartMethod) -> None:
        self._owner = os.getpid()
        self._workers: list[Worker] = []
        self._closing = False
        self._ending = threading.RLock()
        self._arena: Arena | None = None
        self._memory = os.memfd_create("ocifast", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
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
        try:
            if method == "fork" and single_threaded():
                pid = self._fork(ours, theirs)
            else:
                pid = spawn(theirs)
            worker = Worker(pid, ours)
            self._workers.append(worker)
        except OSError as error:
            ours.close()
            msg = f"cannot start workers ({error}); workers=0 needs none"
            raise WorkerError(msg) from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        hello = {
            "engine": self._owner,
            "slots": sizing.slots,
            "slot_bytes": sizing.slot_bytes,
            "hash_first": number == 0,
        }
        try:
            send(ours, hello, [self._memory])
        except ConnectionError:
            self._crashed(worker)

    def _fork(self, ours: socket.socket, theirs: socket.socket) -> int:
        # A signal between fork and try would run the caller's code, and its cleanup, in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid:
                return pid
            self._be_worker(ours, theirs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _be_worker(self, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        status = 1
        try:
            # A sibling's socket kept open here would hide that the engine has closed it.
            for connection in (ours, *(worker.connection for worker in self._workers)):
                connection.close()
            from ocifast.engine.worker import main  # the parent never needs it

            main(theirs.detach())
            status = 0
        except Exception:  # noqa: BLE001 - the caller's frames are below, nothing may reach them
            traceback.print_exc()
        finally:
            os._exit(status)

    def run(self, jobs: list[Job], listen: Listen | None = None) -> Iterator[Outcome]:
        """Hand the jobs out in this order and give outcomes as they come.

        `listen` is told how far jobs are, about ten times a second each.

        Raises:
            WorkerCrashed: A worker died; the pool is closed then.
            StateError: The pool was closed meanwhile.
        """
        try:
            yield from self._run(jobs, listen)
        except (OSError, ValueError) as error:  # of sockets that another thread has closed
            if self._closing:
                raise StateError(CLOSED) from error
            raise

    def _run(self, jobs: list[Job], listen: Listen | None) -> Iterator[Outcome]:
        waiting = list(reversed(jobs))
        poll = select.poll()
        by_descriptor = {worker.connection.fileno(): worker for worker in self._workers}
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        while waiting or self.busy:
            yield from self._hand_out(waiting)
            if not self.busy:
                continue
            ready = poll.poll(LOOK_MS)
            for descriptor, _ in ready:
                outcome = self._collect(by_descriptor[descriptor], listen)
                if outcome is not None:
                    yield outcome
            if not ready:
                self._look()

    def _hand_out(self, waiting: list[Job]) -> Iterator[Outcome]:
        """Fill the workers up, the least loaded first; failures to open are outcomes."""
        while waiting:
            worker = min(self._open_workers(), key=lambda worker: worker.load)
            if worker.load and worker.load + waiting[-1].weight > CAPACITY:
                return
            job = waiting.pop()
            try:
                self._give(worker, job, job.open())
            except WorkerCrashed:
                raise
            except Exception as error:  # noqa: BLE001 - it is the outcome, whatever it is
                self._open_workers()
                yield Outcome(job.index, {}, [], error)

    def _give(self, worker: Worker, job: Job, source: object) -> None:
        descriptors = [source] if isinstance(source, int) else source
        if not isinstance(descriptors, (list, tuple)):
            raise WorkerError("only a local job may have a source that is no descriptor")
        message = {"index": job.index, "task": job.task, "spec": dict(job.spec)}
        # Counted before it is sent: an interrupt in between must find the pool busy.
        worker.jobs[job.index] = job
        worker.load += job.weight
        try:
            send(worker.connection, message, list(descriptors))
        except ConnectionError:
            self._crashed(worker)
        except Exception:
            self._finish(worker, job.index)
            raise
        finally:
            close_all(list(descriptors))
        if self._arena is not None:
            self._arena.wake()

    def _collect(self, worker: Worker, listen: Listen | None) -> Outcome | None:
        received = receive(worker.connection)
        if received is None:
            self._crashed(worker)
        message, descriptors = received
        try:
            match message:
                case {"index": int(index), "progress": [int(done), int(written)]}:
                    if listen is not None and index in worker.jobs:
                        listen(index, done, written)
                    return None
            return self._outcome(worker, message, descriptors)
        except BaseException:
            close_all(descriptors)
            raise

    def _outcome(self, worker: Worker, message: dict[str, Any], descriptors: list[int]) -> Outcome:
        index, payload = message.get("index"), message.get("payload")
        if not isinstance(index, int) or index not in worker.jobs:
            raise WorkerError(f"worker process {worker.pid} reports a job it was not given")
        self._finish(worker, index)
        if "error" in message:
            close_all(descriptors)
            return Outcome(index, {}, [], decode_error(message["error"]))
        if "lost" in message:
            return Outcome(index, {}, [], lost_descriptors())
        if not isinstance(payload, dict):
            raise WorkerError(f"worker process {worker.pid} reports nothing")
        return Outcome(index, payload, descriptors)

    def _finish(self, worker: Worker, index: int) -> None:
        worker.load -= worker.jobs.pop(index).weight

    def _look(self) -> None:
        for worker in self._open_workers():
            if not worker.alive():
                self._crashed(worker)

    def _crashed(self, worker: Worker) -> NoReturn:
        self._open_workers()
        status = worker.end()
        self.close()
        raise WorkerCrashed(worker.pid, status)

    def _open_workers(self) -> list[Worker]:
        if self._closing:
            raise StateError(CLOSED)
        return self._workers[:]

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    @property
    def usable(self) -> bool:
        """Whether it can begin a run: open, all alive, and not inherited by a fork."""
        if self._closing or os.getpid() != self._owner:
            return False
        return all(worker.alive() for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Whether a job was handed out whose outcome nobody took."""
        return any(worker.jobs for worker in self._workers)

    def close(self) -> None:
        """End all workers now and give the memory back; may be called again when interrupted."""
        self._closing = True
        if os.getpid() == self._owner:
            with self._ending:
                for worker in self._workers:
                    worker.kill()
                while self._workers:
                    self._workers[-1].end()
                    self._workers.pop()
        else:  # a fork of the engine's process: the workers are not its children
            for worker in self._workers:
                worker.connection.close()
            self._workers.clear()
        self._arena = None
        if self._memory >= 0:
            memory, self._memory = self._memory, -1
            os.close(memory)


def spawn(connection: socket.socket) -> int:
    """Start an interpreter whose descriptor 3 is the socket; its process id.

    Raises:
        WorkerError: There is no interpreter to start.
    """
    if not sys.executable:
        raise WorkerError("cannot start workers: sys.executable is empty; workers=0 needs none")
    path = json.dumps([os.path.abspath(p) for p in sys.path if isinstance(p, str)])
    argv = [sys.executable, "-c", BOOT, path]
    # Above 3, so that the dup2 below always makes a new descriptor that survives exec.
    source = fcntl.fcntl(connection, fcntl.F_DUPFD_CLOEXEC, 4)
    try:
        return os.posix_spawn(
            sys.executable,
            argv,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, source, 3)],
            # Ctrl-C while the interpreter starts must not print a traceback; main() unblocks.
            setsigmask=(signal.SIGINT,),
        )
    finally:
        os.close(source)
