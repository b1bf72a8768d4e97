"""The life of workers: started, and killed at any moment; nothing stays behind."""

import contextlib
import os
import random
import signal
import socket
import sys
import threading
import time

import pytest
from support.processes import (
    arenas,
    children,
    descriptors,
    kill_later,
    nothing_left,
    wait_until,
)
from support.workers import jobs, run_probe, works

from ocifast import Engine, hash_layers
from ocifast.engine import pool
from ocifast.errors import WorkerCrashed, WorkerError

pytestmark = pytest.mark.usefixtures("no_job_is_small")


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_workers_started_by_exec_are_fresh_interpreters_and_by_fork_are_this_one(paths):
    for start, same in (("exec", False), ("fork", True)):
        with nothing_left(), Engine(2, start=start) as engine:
            assert engine.pids == []
            others = children()
            works(engine, paths)
            assert set(engine.pids) == children() - others
            for pid in engine.pids:
                assert (command_of(pid) == command_of(os.getpid())) is same


def test_a_worker_holds_its_socket_and_nothing_of_its_siblings_or_layers(paths):
    inherited = {fd for fd in descriptors() if os.get_inheritable(fd)} | {0, 1, 2}
    with Engine(2) as engine:
        works(engine, paths)
        for pid in engine.pids:
            held = f"/proc/{pid}/fd"
            assert wait_until(lambda: set(map(int, os.listdir(held))) == inherited | {3})  # noqa: B023


def test_a_process_with_threads_starts_workers_by_exec_even_when_asked_to_fork(paths):
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        with nothing_left(), Engine(1, start="fork") as engine:
            works(engine, paths)
            assert b"ocifast.engine.worker" in command_of(engine.pids[0])
    finally:
        gate.set()
        thread.join()


# ---- death ----


def crash(engine, work):
    """Run into a death and look at the second after it."""
    started = time.monotonic()
    with pytest.raises(WorkerCrashed) as caught:
        work()
    assert time.monotonic() - started < 5
    assert engine.pids == []
    return caught.value


@pytest.mark.parametrize("at", ["init", "step", "finished", "result"])
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM", "SIGABRT"])
def test_a_worker_that_dies_at_any_point_is_an_error_at_once(at, name, paths):
    with nothing_left(), Engine(2, start="fork") as engine:
        error = crash(
            engine, lambda: run_probe(engine, {}, {"at": at, "do": name, "descriptors": 2}, {})
        )
        assert error.exit_code_or_signal == -getattr(signal, name)
        assert "killed by signal" in str(error)
        del error
        works(engine, paths)


def test_a_worker_that_exits_is_reported_with_its_status():
    with nothing_left(), Engine(2, start="fork") as engine:
        error = crash(engine, lambda: run_probe(engine, {"at": "step", "do": "exit"}))
        assert error.exit_code_or_signal == 7


def test_a_worker_that_dies_with_the_lock_hangs_nobody(paths):
    with nothing_left(), Engine(2, start="fork") as engine:
        crash(engine, lambda: run_probe(engine, {"steps": 100_000}, {"at": "step", "do": "lock"}))
        works(engine, paths)


@pytest.mark.parametrize("start", ["exec", "fork"])
@pytest.mark.parametrize("seed", range(12))
def test_a_worker_killed_at_a_random_moment_leaves_nothing(start, seed, paths):
    rng = random.Random(f"{start}{seed}")
    name = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
    if start == "exec" and seed % 3 == 0:
        name = signal.SIGSEGV  # a fork would have pytest's faulthandler, and print
    with nothing_left(), Engine(2, start=start) as engine:
        works(engine, paths)
        pids = engine.pids
        killer = kill_later(rng.choice(pids), name, rng.random() * 0.05)
        started = time.monotonic()
        with contextlib.suppress(WorkerCrashed):  # it may die between two runs
            while engine.pids == pids:
                hash_layers(paths * 3, engine=engine)
                assert time.monotonic() - started < 5, "the killer never came"
        assert time.monotonic() - started < 3
        os.waitpid(killer, 0)
        works(engine, paths)


@pytest.mark.parametrize("seed", range(8))
def test_a_worker_killed_while_it_starts_leaves_nothing(seed, paths, monkeypatch):
    rng, real = random.Random(seed), pool.spawn
    killers = []

    def spawn(connection):
        pid = real(connection)
        if not killers:
            delay = 0.0 if seed == 0 else rng.random() * 0.1
            killers.append(kill_later(pid, signal.SIGKILL, delay))
        return pid

    monkeypatch.setattr(pool, "spawn", spawn)
    with nothing_left(), Engine(2) as engine:
        started = time.monotonic()
        with contextlib.suppress(WorkerCrashed):  # or it comes too late
            hash_layers(paths * 20, engine=engine)
        assert time.monotonic() - started < 5
        os.waitpid(killers[0], 0)
        works(engine, paths)


def test_a_worker_dead_before_its_first_message_is_a_crash(paths, monkeypatch):
    real = pool.spawn

    def spawn(connection):
        pid = real(connection)
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        connection.close()
        return pid

    monkeypatch.setattr(pool, "spawn", spawn)
    with nothing_left(), Engine(2) as engine:
        crash(engine, lambda: hash_layers(paths, engine=engine))
        monkeypatch.setattr(pool, "spawn", real)
        works(engine, paths)


def test_a_worker_that_died_between_two_runs_is_replaced_in_silence(paths):
    with nothing_left(), Engine(2, start="fork") as engine:
        works(engine, paths)
        before = engine.pids
        os.kill(before[1], signal.SIGKILL)
        os.waitid(os.P_PID, before[1], os.WEXITED | os.WNOWAIT)
        works(engine, paths)
        assert not set(engine.pids) & set(before)


def test_death_is_noticed_although_a_stranger_holds_the_workers_end_of_its_socket(monkeypatch):
    """A child another thread forks between socketpair and close keeps the socket open."""
    kept, real = [], socket.socketpair

    def socketpair(*arguments):
        ours, theirs = real(*arguments)
        kept.append(theirs.dup())
        return ours, theirs

    monkeypatch.setattr(pool.socket, "socketpair", socketpair)
    with nothing_left():
        with Engine(1, start="fork") as engine:
            started = time.monotonic()
            with pytest.raises(WorkerCrashed):
                run_probe(engine, {"at": "step", "do": "SIGKILL"})
            assert time.monotonic() - started < 2
        for each in kept:
            each.close()


def test_a_child_reaped_by_somebody_else_is_still_a_crash(monkeypatch):
    with Engine(1, start="fork") as engine:
        run_probe(engine, {})
        pid = engine.pids[0]
        run = engine.run(jobs({}, {"at": "step", "do": "hang"}))
        next(run)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with pytest.raises(WorkerCrashed):
            list(run)
        assert engine.pids == []


# ---- no interpreter ----


@pytest.mark.parametrize("executable", ["", None, "/nowhere/python", "/", "/dev/null"])
def test_without_an_interpreter_to_start_the_error_says_so(executable, monkeypatch, paths):
    monkeypatch.setattr(sys, "executable", executable)
    with nothing_left(), Engine(2) as engine:
        with pytest.raises(WorkerError, match="workers=0 needs none"):
            hash_layers(paths, engine=engine)
        monkeypatch.undo()


def test_a_wrong_interpreter_is_a_crash(monkeypatch, paths):
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with nothing_left(), Engine(2) as engine:
        crash(engine, lambda: hash_layers(paths, engine=engine))
    assert arenas() == 0
