"""What engine and workers say to each other: failures, hostile messages, no room for them."""

import contextlib
import errno
import os
import resource
import select
import socket

import pytest
from support import probe
from support.processes import descriptors, nothing_left
from support.workers import jobs, run_probe, works

from ocifast import Engine
from ocifast.engine import message, worker
from ocifast.engine.plan import Job
from ocifast.errors import StateError, WorkerCrashed, WorkerError

pytestmark = pytest.mark.usefixtures("no_job_is_small")


def test_a_task_that_raises_is_an_outcome_and_the_others_go_on():
    with nothing_left(), Engine(2, start="fork") as engine:
        specs = [{"at": at, "do": "raise"} for at in ("init", "step", "result")] + [{"echo": 5}] * 5
        outcomes = run_probe(engine, *specs)
        assert [outcome.job for outcome in outcomes] == list(range(8))
        for outcome in outcomes[:3]:
            assert isinstance(outcome.error, WorkerError)
            assert "ValueError in a worker: as asked" in str(outcome.error)
        assert [outcome.payload["echo"] for outcome in outcomes[3:]] == [5] * 5


def test_a_job_that_cannot_be_opened_is_an_outcome_and_the_others_go_on():
    def refuse():
        raise PermissionError(errno.EACCES, "no", "file")

    def explode():
        raise ZeroDivisionError

    bad = [Job(10, probe.TASK, {}, refuse, 9.0, 4), Job(11, probe.TASK, {}, explode, 9.0, 4)]
    object_job = Job(12, probe.TASK, {}, lambda: "no descriptor", 9.0, 4)
    with nothing_left(), Engine(2, start="fork") as engine:
        outcomes = sorted(engine.run([*bad, object_job, *jobs({}, {}, {})]))
        kinds = [type(outcome.error) for outcome in outcomes]
        assert kinds == [type(None)] * 3 + [PermissionError, ZeroDivisionError, WorkerError]
        pids = engine.pids
        run_probe(engine, {})
        assert engine.pids == pids


def test_a_task_of_another_package_is_refused():
    job = Job(0, "os:system", {}, lambda: os.open("/dev/null", os.O_RDONLY), 1.0)
    with Engine(1, start="fork") as engine:
        (outcome,) = engine.run([job])
        assert "is not a task of ocifast" in str(outcome.error)


@pytest.mark.parametrize("length", [10, 60_000, 70_000, 1_000_000, 20_000_000])
def test_an_outcome_of_any_length_arrives_with_its_descriptors(length):
    with nothing_left(), Engine(1, start="fork") as engine:
        (outcome,) = run_probe(engine, {"long": length, "descriptors": 3})
        assert outcome.payload["text"] == "x" * length
        assert len(outcome.descriptors) == 3
        for descriptor in outcome.descriptors:
            assert "memfd:probe" in os.readlink(f"/proc/self/fd/{descriptor}")
            os.close(descriptor)


def test_a_job_with_a_spec_of_any_length_arrives():
    with nothing_left(), Engine(1, start="fork") as engine:
        assert run_probe(engine, {"echo": "y" * 500_000})[0].payload["echo"] == "y" * 500_000


def test_layers_travel_as_descriptors_and_never_as_bytes(paths, monkeypatch):
    sizes = []
    real = message._send

    def spy(connection, data, sent):
        sizes.append(len(data))
        real(connection, data, sent)

    received = []
    real_receive = socket.recv_fds

    def spy_receive(*arguments):
        result = real_receive(*arguments)
        received.append(len(result[0]))
        return result

    with Engine(2) as engine:
        monkeypatch.setattr(message, "_send", spy)
        monkeypatch.setattr(message.socket, "recv_fds", spy_receive)
        works(engine, paths)
    assert len(sizes) == 2 + len(paths)
    assert len(received) == len(paths)
    assert max(sizes + received) < 2000


# ---- hostile workers ----


GARBAGE = {
    "empty": b"",
    "not-json": b"\xff\xfe",
    "deep-json": b"[" * 60_000,
    "list": b"[]",
    "number": b"1" * 5000,
    "null": b"null",
    "no-index": b"{}",
    "index-of-nobody": b'{"index": 99, "payload": {}}',
    "index-unhashable": b'{"index": [], "payload": {}}',
    "payload-missing": b'{"index": 0}',
    "payload-no-dict": b'{"index": 0, "payload": [1]}',
    "too-long": b" " * 100_000,
    "spilled-without-memfd": b"spilled",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_worker_that_talks_nonsense_is_a_worker_error(kind, monkeypatch):
    def serve(connection, arena, *, hash_first):
        message.receive(connection)
        null = os.open("/dev/null", os.O_RDONLY)
        socket.send_fds(
            connection, [GARBAGE[kind]], [null] if kind != "spilled-without-memfd" else []
        )
        select.select([], [], [])

    monkeypatch.setattr(worker, "serve", serve)
    with nothing_left(), Engine(1, start="fork") as engine:
        with pytest.raises(WorkerError):
            run_probe(engine, {})
        assert engine.pids == []


@pytest.mark.parametrize("size", [-1, 5, (256 << 20) + 1])
def test_a_long_message_that_is_not_one_is_a_worker_error(size, monkeypatch):
    def serve(connection, arena, *, hash_first):
        message.receive(connection)
        spill = os.memfd_create("long")
        if size >= 0:
            os.ftruncate(spill, size)
        else:
            os.close(spill)
            spill, _ = os.pipe()
            os.set_blocking(spill, False)
        socket.send_fds(connection, [b"spilled"], [spill])
        select.select([], [], [])

    monkeypatch.setattr(worker, "serve", serve)
    refused = pytest.raises((WorkerError, OSError))
    with nothing_left(), Engine(1, start="fork") as engine, refused:
        run_probe(engine, {})


ODD_ERRORS = [
    None,
    5,
    "OSError",
    [],
    ["OSError"],
    ["OSError", 5],
    ["OSError", [2, 3, 4, 5, 6, 7, 8]],
    ["SystemExit", [1]],
    ["KeyboardInterrupt", []],
    ["__import__", ["os"]],
    [["TarError"], []],
    ["TarError", []],
    ["TarError", [1, 2, 3, 4]],
    ["LimitExceeded", ["a"]],
    ["DigestSyntaxError", [5, 6]],
    ["DigestSyntaxError", [{"a": 1}, []]],
    ["WorkerCrashed", ["pid", "code"]],
    ["MemoryError", [1, 2]],
]


@pytest.mark.parametrize("odd", ODD_ERRORS, ids=repr)
def test_an_odd_error_of_a_worker_becomes_some_error_and_never_raises(odd):
    error = message.decode_error(odd)
    assert isinstance(error, (WorkerError, OSError, MemoryError, ValueError))
    str(error)


def test_errors_survive_the_journey():
    for error in [
        OSError(errno.EIO, "disk"),
        OSError("only a text"),
        FileNotFoundError(errno.ENOENT, "gone"),
        MemoryError(),
        StateError("late"),
        WorkerCrashed(5, -9),
    ]:
        again = message.decode_error(message.encode_error(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
    again = message.decode_error(message.encode_error(KeyError("x")))
    assert type(again) is WorkerError


# ---- little room ----


@contextlib.contextmanager
def room_for(more):
    """This process can open so many descriptors more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = set(descriptors())
    free = [number for number in range(len(taken) + more + 1) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[more], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("room", range(10))
def test_too_few_descriptors_to_start_is_an_error_and_leaves_nothing(room, paths):
    with nothing_left(), Engine(2, start="fork") as engine:
        with room_for(room), contextlib.suppress(OSError, WorkerError):
            works(engine, paths)
        works(engine, paths)


def test_no_room_for_descriptors_of_an_outcome_is_an_error_not_a_result_without_them():
    with nothing_left(), Engine(1, start="fork") as engine:
        run_probe(engine, {})
        with room_for(1):
            (outcome,) = run_probe(engine, {"descriptors": 3})
        assert isinstance(outcome.error, OSError)
        assert outcome.error.errno == errno.EMFILE
        assert outcome.descriptors == []
