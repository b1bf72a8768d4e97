"""The engine goes away, is interrupted or idles: no worker outlives it, none makes noise."""

import os
import select
import signal
import subprocess
import sys
import time

import pytest
from support.processes import alive, nothing_left, wait_until
from support.workers import run_probe, works

from ocifast import Engine
from ocifast.engine import pool

pytestmark = pytest.mark.usefixtures("no_job_is_small")


CHILD = """
import os, signal, sys
sys.path[:0] = {path!r}
from support import probe
from ocifast import Engine, engine, hash_layers
engine.SMALL_BYTES = 0
probe.install()
{body}
"""


def start(body, **options):
    code = CHILD.format(path=[p for p in sys.path if p], body=body)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        **options,
    )


def pids_of(process):
    return [int(pid) for pid in process.stdout.readline().split()]


def gone(pids):
    return wait_until(lambda: not any(alive(pid) for pid in pids), 3)


ENDLESS = """
read, write = os.pipe()
os.set_inheritable(write, True)
engine = Engine(2, start={method!r})
from ocifast.engine.plan import Job
hash_layers({paths!r}, engine=engine)
print(*engine.pids, flush=True)
"""
FOREVER = {
    "idle": "signal.pause()",
    "busy": "while True: hash_layers({paths!r} * 50, engine=engine)",
    "waiting-for-a-pipe": "hash_layers([read], engine=engine)",
}


@pytest.mark.parametrize("method", ["exec", "fork"])
@pytest.mark.parametrize("state", FOREVER)
def test_workers_end_within_a_second_of_their_engine_being_killed(state, method, paths):
    process = start((ENDLESS + FOREVER[state]).format(paths=paths, method=method))
    with process:
        pids = pids_of(process)
        assert len(pids) == 2
        select.select([], [], [], 0.05)
        process.kill()
        killed = time.monotonic()
        assert gone(pids)
        assert time.monotonic() - killed < 1.5
        assert process.stderr.read() == ""


def test_workers_end_although_a_fork_of_the_caller_holds_their_sockets(paths):
    body = ENDLESS + "if os.fork() == 0: print(os.getpid(), flush=True)\nsignal.pause()"
    with start(body.format(paths=paths, method="exec")) as process:
        pids, (sibling,) = pids_of(process), pids_of(process)
        process.kill()
        assert gone(pids)
        os.kill(sibling, signal.SIGKILL)


@pytest.mark.parametrize("state", FOREVER)
def test_ctrl_c_leaves_nothing_and_prints_no_traceback_of_a_worker(state, paths):
    body = (
        ENDLESS
        + "\ntry:\n    "
        + FOREVER[state]
        + "\nexcept KeyboardInterrupt: print('interrupted')"
    )
    with start(body.format(paths=paths, method="exec"), start_new_session=True) as process:
        pids = pids_of(process)
        select.select([], [], [], 0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert (out, err, process.returncode) == ("interrupted\n", "", 0)
        assert gone(pids)


def test_ctrl_c_while_workers_start_prints_no_traceback(paths):
    body = """
print(flush=True)
try:
    while True:
        with Engine(2) as engine:
            hash_layers({paths!r}, engine=engine)
except KeyboardInterrupt:
    pass
"""
    for delay in (0.01, 0.05, 0.08):
        with start(body.format(paths=paths), start_new_session=True) as process:
            process.stdout.readline()
            select.select([], [], [], delay)
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=10)
            # CPython ends by the signal when an eval() of an import was interrupted
            assert (err, process.returncode) in [("", 0), ("", -signal.SIGINT)]


def test_a_stopped_worker_can_be_given_up_with_ctrl_c():
    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with nothing_left(), Engine(1, start="fork") as engine:
            run_probe(engine, {})
            os.kill(engine.pids[0], signal.SIGSTOP)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                run_probe(engine, {})
            assert engine.pids == []
            run_probe(engine, {})
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_close_that_is_interrupted_is_finished_by_the_next_one(monkeypatch):
    with nothing_left(), Engine(3, start="fork") as engine:
        run_probe(engine, {})
        real, calls = os.waitpid, []

        def waitpid(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(pool.os, "waitpid", waitpid)
        with pytest.raises(KeyboardInterrupt):
            engine.close()
        engine.close()
        assert len(calls) == 4


def test_an_idle_engine_uses_next_to_no_cpu(paths):
    def used(pid):
        with open(f"/proc/{pid}/stat") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))

    with Engine(2) as engine:
        works(engine, paths)
        assert wait_until(lambda: all(alive(pid) for pid in engine.pids))
        before = [used(pid) for pid in engine.pids]
        select.select([], [], [], 1.0)
        after = [used(pid) for pid in engine.pids]
        assert sum(after) - sum(before) <= 2  # ticks of 10 ms, over both, in a second
