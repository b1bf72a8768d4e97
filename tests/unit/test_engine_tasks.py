"""What the engine promises tasks: descriptors in order, a bell to wait for, somebody to tell."""

import os
import threading
import time

import pytest
from support import waiter
from support.layers import make_layer
from support.passes import Piece, jobs_of, run, spec_of
from support.processes import nothing_left
from support.workers import works

from ocifast import Engine
from ocifast.engine import inline, worker
from ocifast.engine.plan import CAPACITY, Job
from ocifast.errors import WorkerError

pytestmark = pytest.mark.usefixtures("no_job_is_small", "installed")

WORKERS = [0, 1, 2]


@pytest.fixture
def installed():
    waiter.install()


@pytest.fixture
def patient(monkeypatch):
    """Nobody wakes by himself: what rings no bell is waited for."""
    monkeypatch.setattr(inline, "IDLE_MS", 100_000)
    monkeypatch.setattr(worker, "IDLE_MS", 100_000)


# ---- descriptors ----


def summer(index, tmp_path, count):
    """A job with so many files, each with a text of its own."""
    paths = [tmp_path / f"{index}-{number}" for number in range(count)]
    for path in paths:
        path.write_text(path.name)

    def open_():
        opened = [os.open(path, os.O_RDONLY) for path in paths]
        return opened[0] if count == 1 else tuple(opened)

    return Job(index, waiter.SUMMER, {}, open_, 1.0, 1)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_job_has_its_descriptors_in_order_and_gives_others_back(workers, tmp_path):
    jobs = [summer(index, tmp_path, index % 3 + 1) for index in range(12)]
    with nothing_left(), Engine(workers, start="fork") as engine:
        for outcome in engine.run(jobs):
            assert outcome.error is None
            expected = [f"{outcome.job}-{n}" for n in range(outcome.job % 3 + 1)]
            assert outcome.payload["found"] == expected
            given = [os.pread(descriptor, 100, 0).decode() for descriptor in outcome.descriptors]
            assert given == [text[::-1] for text in expected]
            for descriptor in outcome.descriptors:
                os.close(descriptor)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_job_whose_descriptors_cannot_be_opened_fails_alone(workers, tmp_path):
    def refuse():
        raise PermissionError(13, "Permission denied")

    jobs = [summer(0, tmp_path, 2), Job(1, waiter.SUMMER, {}, refuse, 1.0, 1)]
    with nothing_left(), Engine(workers, start="fork") as engine:
        outcomes = sorted(engine.run(jobs), key=lambda outcome: outcome.job)
        assert outcomes[0].error is None
        assert isinstance(outcomes[1].error, PermissionError)
        for descriptor in outcomes[0].descriptors:
            os.close(descriptor)
        del outcomes


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("task", ["os:system", "ocifast.ops.nothing:Task", "ocifast.ops.hash:No"])
def test_a_task_there_is_not_is_an_error_and_its_descriptors_are_closed(workers, task, tmp_path):
    jobs = [summer(0, tmp_path, 3)]
    jobs = [Job(0, task, {}, jobs[0].open, 1.0, 1)]
    with nothing_left(), Engine(workers, start="fork") as engine:
        counts = []
        for _ in range(20):
            (outcome,) = engine.run(jobs)
            assert isinstance(outcome.error, (WorkerError, ImportError, AttributeError))
            counts.append(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in engine.pids))
            del outcome
        assert counts[-1] <= counts[0] + 5  # an import under way may hold one


# ---- waiting ----


def waiting(index, *, seconds=0.1, rounds=3, **spec):
    open_ = lambda: os.open("/dev/null", os.O_RDONLY)  # noqa: E731
    spec = {"seconds": seconds, "rounds": rounds, **spec}
    return Job(index, waiter.WAITER, spec, open_, 1.0, CAPACITY)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_task_that_waits_is_woken_by_its_bell_and_not_asked_all_the_time(workers, patient):
    with nothing_left(), Engine(workers, start="fork") as engine:
        began = time.monotonic()
        (outcome,) = engine.run([waiting(0)])
        assert time.monotonic() - began < 30
    # Two a round would do: others ring the same bell, when jobs are handed out or end.
    assert 3 <= outcome.payload["steps"] <= 40


@pytest.mark.parametrize("workers", WORKERS)
def test_many_tasks_that_wait_all_come_to_their_end(workers, patient):
    with nothing_left(), Engine(workers, start="fork") as engine:
        jobs = [waiting(index, seconds=0.01, rounds=5) for index in range(20)]
        assert len([o for o in engine.run(jobs) if o.error is None]) == 20


@pytest.mark.parametrize("workers", WORKERS)
def test_a_task_that_waits_holds_up_no_other(workers, patient, paths):
    with nothing_left(), Engine(workers, start="fork") as engine:
        works(engine, paths)
        (outcome,) = engine.run([waiting(0, seconds=0.2, rounds=1)])
        assert outcome.error is None
        works(engine, paths)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_task_that_waits_may_fail(workers, patient):
    with nothing_left(), Engine(workers, start="fork") as engine:
        outcomes = sorted(engine.run([waiting(0, fail=True), waiting(1)]), key=lambda o: o.job)
        assert isinstance(outcomes[0].error, (ValueError, WorkerError))
        assert outcomes[1].error is None
        del outcomes


def test_a_task_that_neither_waits_nor_goes_on_is_a_defect_not_a_hang(monkeypatch):
    monkeypatch.setattr(waiter.Waiter, "waiting", False)
    with nothing_left(), Engine(0) as engine, pytest.raises(WorkerError, match="stuck"):
        list(engine.run([waiting(0, seconds=0.5)]))


@pytest.mark.parametrize("workers", WORKERS)
def test_leaving_while_a_task_waits_ends_at_once(workers):
    with nothing_left(), Engine(workers, start="fork") as engine:
        jobs = [waiting(0, seconds=0.01, rounds=1), waiting(1, seconds=20, rounds=1)]
        outcomes = engine.run(jobs)
        if workers != 1:  # one worker takes the jobs one after the other
            assert next(outcomes).job == 0
        began = time.monotonic()
        outcomes.close()
        engine.close()
        assert time.monotonic() - began < 5


# ---- progress ----


@pytest.mark.parametrize("workers", WORKERS)
def test_progress_is_told_in_the_calling_thread_and_never_goes_back(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(inline, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(worker, "TELL_SECONDS", 0.0)
    layers = [make_layer(codec, 1, 60, 90_000) for codec in ("gzip", "plain", "zstd")]
    pieces = []
    for number, layer in enumerate(layers):
        (tmp_path / f"in{number}").write_bytes(layer.blob)
        source, target = str(tmp_path / f"in{number}"), str(tmp_path / f"out{number}")
        pieces.append(Piece(source, target, spec_of("gzip")))
    told, threads = {0: [(0, 0)], 1: [(0, 0)], 2: [(0, 0)]}, set()

    def listen(index, done, written):
        threads.add(threading.get_ident())
        told[index].append((done, written))

    with nothing_left(), Engine(workers, start="fork") as engine:
        outcomes = run(engine, *pieces, listen=listen)
    assert threads == {threading.get_ident()}
    for outcome, notes in zip(outcomes, told.values(), strict=True):
        assert outcome.error is None
        assert notes == sorted(notes)
        assert len({*notes}) > 3
        read, written = outcome.payload["read"], outcome.payload["written"]
        assert notes[-1] <= (read["size"], written["size"])
        assert notes[-1][0] == read["size"]
        assert 0 < notes[-1][1] <= written["size"]


def test_progress_is_told_about_ten_times_a_second_not_each_turn(tmp_path):
    told = []
    with Engine(0) as engine:
        began = time.monotonic()
        list(engine.run([waiting(0, seconds=0.02, rounds=30)], lambda *note: told.append(note)))
        tenths = (time.monotonic() - began) * 10
    assert 1 <= len(told) <= tenths + 1


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_in_who_is_told_ends_the_run_and_leaves_nothing(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(inline, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(worker, "TELL_SECONDS", 0.0)
    (tmp_path / "in").write_bytes(make_layer("gzip", 1, 60, 90_000).blob)
    piece = Piece(str(tmp_path / "in"), str(tmp_path / "out"), spec_of("gzip", threads=2))

    def listen(*note):
        raise ZeroDivisionError

    with nothing_left(), Engine(workers, start="fork") as engine:
        with pytest.raises(ZeroDivisionError):
            list(engine.run(jobs_of([piece] * 4), listen))
        assert [o.error for o in run(engine, piece)] == [None]


@pytest.mark.parametrize("workers", [1, 2])
def test_notes_nobody_reads_for_a_while_stop_nothing_for_good(workers, tmp_path, monkeypatch):
    """The caller may be busy with an outcome while workers fill their sockets with notes."""
    monkeypatch.setattr(worker, "TELL_SECONDS", 0.0)
    (tmp_path / "in").write_bytes(make_layer("plain", 1, 60, 90_000).blob)
    pieces = [
        Piece(str(tmp_path / "in"), str(tmp_path / f"out{n}"), spec_of("gzip")) for n in range(12)
    ]
    with nothing_left(), Engine(workers, start="fork") as engine:
        outcomes = engine.run(jobs_of(pieces), lambda *note: None)
        assert next(outcomes).error is None
        threading.Event().wait(1.0)
        assert len([o for o in outcomes if o.error is None]) == 11
