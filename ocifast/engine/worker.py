"""A worker process: its main loop, and how it knows that it is no longer wanted.

It maps the arena, takes jobs from its socket, and lives until that socket closes. It opens no file
and no connection of its own. Invariant: when the engine is gone, however it went and whatever the
worker waits for, the worker ends within half a second.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from typing import Any, Final

from ocifast._native.arena import Arena
from ocifast.engine.message import close_all, encode_error, lost_descriptors, receive, send
from ocifast.engine.pipeline import Outcome, Pipeline, make_task
from ocifast.errors import WorkerError

__all__ = ["main", "serve"]

IDLE_MS: Final = 500
"""Only a safety net: every event a worker can wait for rings the arena's bell."""

WATCH_MS: Final = 400

TELL_SECONDS: Final = 0.1
"""How often the engine is told how far each task is."""


def main(descriptor: int) -> None:
    """Run a worker on the socket `descriptor`; the first message brings the arena."""
    # Ctrl-C reaches the whole terminal group; the engine decides what it means for the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A fork has the caller's handlers; here SIGTERM ends a process, it runs nobody's cleanup.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(ConnectionError):
        first = receive(connection)
        if first is None:
            return
        message, (memory,) = first
        watch(connection, message["engine"])
        arena = Arena(message["slots"], message["slot_bytes"], descriptor=memory, create=False)
        os.close(memory)
        serve(connection, arena, hash_first=message["hash_first"])


def watch(connection: socket.socket, engine: int) -> None:
    """End this process when the engine is gone, even while it waits for a pipe or a slow disk.

    The parent's process id is looked at too: another child of the caller, forked without exec, may
    hold the engine's end of the socket open.
    """
    poll = select.poll()
    poll.register(connection, 0)  # a hang-up is always reported

    def loop() -> None:
        while not poll.poll(WATCH_MS) and os.getppid() == engine:
            pass
        os._exit(0)

    threading.Thread(target=loop, daemon=True).start()


def serve(connection: socket.socket, arena: Arena, *, hash_first: bool) -> None:
    """Take jobs and turns until the engine closes the connection."""
    pipeline = Pipeline(arena, hash_first=hash_first)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    told = time.monotonic()
    while True:
        seen = arena.change
        while poll.poll(0):
            job = receive(connection)
            if job is None:
                return
            accept(pipeline, arena, *job, connection)
        worked = pipeline.turn()
        for outcome in pipeline.collect() if len(pipeline) else ():
            worked = True
            report(connection, outcome)
        now = time.monotonic()
        if now - told >= TELL_SECONDS:
            told = now
            for index, done, written in pipeline.progress():
                send(connection, {"index": index, "progress": [done, written]}, [])
        if not worked:
            arena.wait(seen, IDLE_MS)


def accept(
    pipeline: Pipeline,
    arena: Arena,
    job: dict[str, Any],
    descriptors: list[int],
    connection: socket.socket,
) -> None:
    """Make the task of a job; if that fails, the failure is its outcome."""
    if "lost" in job:
        report(connection, Outcome(job["index"], {}, [], lost_descriptors()))
        return
    try:
        source = descriptors[0] if len(descriptors) == 1 else tuple(descriptors)
        task = make_task(job["task"], job["spec"], source, arena)
    except Exception as error:  # noqa: BLE001 - it travels to the caller, whatever it is
        report(connection, Outcome(job["index"], {}, [], error))
    else:
        pipeline.add(job["index"], task)


def report(connection: socket.socket, outcome: Outcome) -> None:
    """Send an outcome; its descriptors are the engine's from then on."""
    message: dict[str, Any] = {"index": outcome.job, "payload": outcome.payload}
    if outcome.error is not None:
        message["error"] = encode_error(outcome.error)
    try:
        send(connection, message, outcome.descriptors)
    except ConnectionError:
        raise
    except (OSError, TypeError, ValueError) as error:
        reason = f"the outcome cannot be sent: {error}"
        send(connection, {"index": outcome.job, "error": encode_error(WorkerError(reason))}, [])
    finally:
        close_all(outcome.descriptors)
