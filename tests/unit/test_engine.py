"""The engine as callers use it: the same results whoever works, no way to hang or leak it."""

import gc
import os
import threading
import time

import pytest
from support.layers import check
from support.mixture import results
from support.processes import alive, children, nothing_left, wait_until
from support.workers import LAYERS, works

from ocifast import Engine, Limits, hash_layers
from ocifast.engine import default_engine
from ocifast.errors import OcifastError, StateError
from ocifast.ops.hash import iter_layers

pytestmark = pytest.mark.usefixtures("no_job_is_small")

MODES = [(0, "exec"), (1, "exec"), (2, "exec"), (8, "exec"), (1, "fork"), (2, "fork"), (8, "fork")]


@pytest.mark.parametrize(("workers", "start"), MODES)
def test_results_are_the_same_whoever_works(workers, start, mixture, truth):
    with nothing_left(), Engine(workers, start=start) as engine:
        assert results(mixture, engine) == truth
        assert len(engine.pids) == workers
        assert results(mixture[::-1], engine) == truth[::-1]
    failed = [isinstance(each[0], type) for each in truth]
    assert failed.count(True) >= 14
    assert failed.count(False) >= 12


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_is_raised_and_the_engine_goes_on_even_within_its_handler(
    workers, mixture, paths
):
    with nothing_left(), Engine(workers) as engine:
        with pytest.raises((OcifastError, OSError)) as caught:
            hash_layers(mixture, engine=engine)
        works(engine, paths)  # the frames of the failed run are alive in the traceback
        assert caught.value.__notes__
        del caught


def test_local_and_shared_sources_may_be_mixed(paths):
    sources = [paths[0], LAYERS[1].blob, paths[2], iter([LAYERS[0].blob])]
    with nothing_left(), Engine(2) as engine:
        reports = hash_layers(sources, engine=engine)
        for report, layer in zip(reports, [*LAYERS, LAYERS[0]], strict=True):
            check(report, layer)


def test_a_fifo_without_a_writer_holds_up_nobody_else(paths, tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    sources = [fifo, *paths]
    with nothing_left(), Engine(2) as engine:
        found = iter_layers(sources, engine, profile="compat", limits=Limits(), table=True)
        for _ in paths:
            number, report = next(found)
            check(report, LAYERS[number - 1])
        with open(fifo, "wb") as file:
            file.write(LAYERS[0].blob)
        ((number, report),) = found
        assert number == 0
        check(report, LAYERS[0])


# ---- leaving early, coming again ----


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_left_early_leaves_nothing(workers, paths):
    with nothing_left():
        with Engine(workers) as engine:
            found = iter_layers(
                paths * 5, engine, profile="compat", limits=Limits(), expected=None, table=True
            )
            next(found)
            found.close()
            works(engine, paths)
        gc.collect()


def test_a_run_nobody_ever_asked_opens_nothing(paths):
    with nothing_left(), Engine(2) as engine:
        found = iter_layers(paths, engine, profile="compat", limits=Limits(), table=True)
        assert engine.pids == []
        del found


def test_an_exception_in_the_consumer_ends_the_run(paths):
    def consume(engine):
        for _ in iter_layers(paths * 5, engine, profile="compat", limits=Limits(), table=True):
            raise ZeroDivisionError

    with nothing_left(), Engine(2) as engine:
        with pytest.raises(ZeroDivisionError):
            consume(engine)
        works(engine, paths)


def test_a_second_run_of_the_same_thread_is_an_error_not_a_deadlock(paths):
    with nothing_left(), Engine(2) as engine:
        found = iter_layers(paths * 3, engine, profile="compat", limits=Limits(), table=True)
        next(found)
        with pytest.raises(StateError, match="in use"):
            hash_layers(paths, engine=engine)
        assert len(list(found)) == 3 * len(paths) - 1
        works(engine, paths)


def test_threads_take_turns(paths):
    failures = []

    def work(engine):
        try:
            for _ in range(3):
                works(engine, paths)
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            failures.append(error)

    with nothing_left(), Engine(2) as engine:
        threads = [threading.Thread(target=work, args=(engine,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        assert len(engine.pids) == 2


def test_closing_from_another_thread_ends_the_run_with_an_error(paths):
    caught = []

    def work(engine):
        try:
            while True:
                hash_layers(paths * 20, engine=engine)
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            caught.append(error)

    for delay in (0.0, 0.01, 0.03):
        with nothing_left(), Engine(2) as engine:
            works(engine, paths)
            pids = engine.pids
            thread = threading.Thread(target=work, args=(engine,))
            thread.start()
            # between two runs it is no error, and the next one starts other workers
            while thread.is_alive():
                time.sleep(delay)
                engine.close()
            thread.join(10)
            assert not thread.is_alive()
            assert isinstance(caught.pop(), StateError)
            assert not any(alive(pid) for pid in pids)
            engine.close()


def test_an_engine_closed_twice_or_never_used_is_fine(paths):
    with nothing_left():
        engine = Engine(2)
        engine.close()
        works(engine, paths)
        engine.close()
        engine.close()
        works(engine, paths)
        pids = engine.pids
        assert len(pids) == 2
        del engine  # without close
        gc.collect()
        assert wait_until(lambda: not any(alive(pid) for pid in pids))


def test_the_default_engine_is_one_and_starts_nothing_by_itself():
    before = children()
    assert default_engine() is default_engine()
    assert default_engine().pids == []
    assert children() == before


# ---- forks of the caller ----


def in_fork(work):
    """Run it in a fork of this process; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the fork hangs")


def test_an_engine_inherited_by_a_fork_starts_workers_of_its_own_and_spares_ours(paths):
    with nothing_left(), Engine(2) as engine:
        works(engine, paths)
        pids = engine.pids

        def work():
            assert engine.pids == []
            works(engine, paths)
            assert not set(engine.pids) & set(pids)
            mine = engine.pids
            engine.close()
            assert not any(alive(pid) for pid in mine)
            assert all(alive(pid) for pid in pids)

        assert in_fork(work) == 0
        assert in_fork(engine.close) == 0
        works(engine, paths)
        assert engine.pids == pids


def test_a_fork_in_the_middle_of_a_run_can_use_the_engine(paths):
    """The lock, held by the run at the moment of the fork, is the parent's business."""
    with nothing_left(), Engine(2) as engine:
        found = iter_layers(paths * 3, engine, profile="compat", limits=Limits(), table=True)
        next(found)
        assert in_fork(lambda: works(engine, paths)) == 0
        assert len(list(found)) == 3 * len(paths) - 1
