"""Sizes: workers, memory and descriptors at their ends, and the bound on memory as a figure."""

import os
import random
import resource
import tarfile
import threading

import pytest
from isal import igzip
from support.layers import check, make_layer
from support.mixture import results
from support.processes import children, descriptors, nothing_left
from support.workers import LAYERS, works

from ocifast import Descriptor, Engine, hash_layer, hash_layers
from ocifast import engine as engine_module
from ocifast.engine.plan import MAX_WORKERS

pytestmark = pytest.mark.usefixtures("no_job_is_small")


@pytest.mark.parametrize("wrong", [-1, MAX_WORKERS + 1, 10**9])
def test_an_impossible_number_of_workers_is_a_value_error(wrong):
    with pytest.raises(ValueError, match="workers"):
        Engine(wrong)
    with pytest.raises(ValueError, match="workers"):
        hash_layers([b""], workers=wrong)


@pytest.mark.parametrize("memory", [0, -5, 1 << 20, 2 * 10 * (256 << 10) - 1])
def test_too_little_memory_is_a_value_error(memory):
    with pytest.raises(ValueError, match="memory"):
        Engine(2, memory=memory)


def test_the_least_memory_is_enough(paths, mixture, truth):
    with nothing_left(), Engine(2, memory=2 * 10 * (256 << 10)) as engine:
        works(engine, paths)
        assert results(mixture, engine) == truth


def test_sixty_four_workers_end_a_run_and_then_themselves(paths):
    with nothing_left(), Engine(64, start="fork") as engine:
        found = hash_layers(paths * 50, engine=engine)
        for number, report in enumerate(found):
            check(report, LAYERS[number % len(LAYERS)])
        assert len(engine.pids) == 64
        del found, report


@pytest.mark.parametrize("workers", [0, 2])
def test_thousands_of_layers_need_few_descriptors(workers, tmp_path):
    """A descriptor kept for each layer or for each table would end at the usual 1024."""
    layers = [make_layer(codec, 1, 1, 100) for codec in ("plain", "gzip", "zstd")]
    names = []
    for number, layer in enumerate(layers):
        (tmp_path / str(number)).write_bytes(layer.blob)
        names.append(str(tmp_path / str(number)))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with nothing_left(), Engine(workers, start="fork") as engine:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(descriptors()) + 24, before[1]))
        try:
            found = hash_layers(names * 1000, engine=engine)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number, report in enumerate(found):
            check(report, layers[number % 3])
        del found, report


def test_thousands_of_layers_that_fail_before_they_start_leak_no_lane(tmp_path):
    """Each has a size that cannot match; an arena has 2048 lanes."""
    path = tmp_path / "layer"
    path.write_bytes(LAYERS[1].blob)
    expected = [Descriptor(size=1)] * 2500
    for workers in (0, 1):
        with nothing_left(), Engine(workers, start="fork") as engine:
            found = hash_layers(
                [path] * 2500, engine=engine, expected=expected, return_exceptions=True
            )
            assert {type(each).__name__ for each in found} == {"SizeMismatch"}
            check(hash_layer(path, engine=engine), LAYERS[1])
            del found


def test_small_work_stays_in_this_process(monkeypatch, paths):
    monkeypatch.setattr(engine_module, "SMALL_BYTES", 32 << 20)
    with nothing_left(), Engine(2) as engine:
        works(engine, paths)
        assert engine.pids == []


# ---- figures ----


def memory_of_tree():
    """Proportional resident bytes of this process and its children; shared pages count once."""
    total = 0
    for pid in {os.getpid(), *children()}:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue
    return total << 10


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A gzip layer of 300 MB in one file."""
    path, block = tmp_path_factory.mktemp("large") / "layer", random.Random(1).randbytes(1 << 18)
    member = tarfile.TarInfo("large")
    member.size = 300 << 20
    with igzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(300):
            file.write(block * 4)
        file.write(bytes(1024))
    return str(path)


@pytest.mark.figures
@pytest.mark.parametrize("workers", [0, 2])
def test_the_tree_stays_within_256_mib_whatever_the_layer(workers, large):
    peak, done = [0], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], memory_of_tree())

    before = memory_of_tree()  # of pytest and what was imported: a caller's own
    with Engine(workers) as engine:
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            reports = hash_layers([large] * 3, engine=engine)
        finally:
            done.set()
            watcher.join()
    assert [report.entries for report in reports] == [1, 1, 1]
    assert peak[0] - before < 100 << 20
