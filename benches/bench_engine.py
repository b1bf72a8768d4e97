"""The engine: how much workers bring, what they cost to start, to talk to and to keep.

    make bench BENCH_MB=600

Digests, diff_ids and entry counts are held against hashlib and tarfile before anything is timed.
`mb_per_s` is of bytes of uncompressed tar; `tree_mib` is proportional resident memory of this
process and its workers at its peak, `grown_mib` what of it came with the run.
"""

import contextlib
import os
import shutil
import subprocess
import threading

import corpus
import pytest

from ocifast import Engine, engine, hash_layers
from ocifast.engine.plan import Sizing

MANY = 24


@pytest.fixture(scope="session")
def layers(tmp_path_factory):
    """A corpus by kind, made when it is first asked for."""
    made, folder = {}, tmp_path_factory.mktemp("corpus")

    def give(kind, count=3):
        if (kind, count) not in made:
            made[kind, count] = corpus.make(folder, kind, count)
        return made[kind, count]

    return give


@pytest.fixture(autouse=True)
def _no_job_is_small(monkeypatch):
    monkeypatch.setattr(engine, "SMALL_BYTES", 0)


def found(reports):
    return [corpus.Truth(r.digest.encoded, r.diff_id.encoded, r.entries) for r in reports]


def tree_bytes(pids):
    total = 0
    for pid in (os.getpid(), *pids):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total << 10


@contextlib.contextmanager
def memory(benchmark, working):
    """Sample the memory of the tree while the block runs, and note its peak."""
    before, peak, done = tree_bytes(()), [0], threading.Event()

    def watch():
        while not done.wait(0.1):
            peak[0] = max(peak[0], tree_bytes(working.pids))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    benchmark.extra_info["tree_mib"] = peak[0] >> 20
    benchmark.extra_info["grown_mib"] = max(peak[0] - before, 0) >> 20


def rate(benchmark, chosen):
    benchmark.extra_info["mb_per_s"] = round(chosen.plain_bytes / 1e6 / benchmark.stats.stats.min)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("kind", ["tar", "gzip", "zstd"])
def bench_three_layers(benchmark, layers, kind, workers):
    chosen = layers(kind)
    benchmark.group = f"three layers, {kind}"
    with Engine(workers) as working:
        assert found(hash_layers(chosen.paths, engine=working)) == chosen.truth
        with memory(benchmark, working):
            hash_layers(chosen.paths, engine=working)
        benchmark.pedantic(hash_layers, (chosen.paths,), {"engine": working}, rounds=5)
    rate(benchmark, chosen)


@pytest.mark.parametrize("way", ["ocifast-0", "ocifast-2", "xargs-P2-openssl"])
def bench_many_plain_tars(benchmark, layers, way):
    """The peer gives digests only; ours come with the entry tables."""
    chosen = layers("tar", MANY)
    benchmark.group = f"{MANY} plain tars"
    if way.startswith("xargs"):
        if not shutil.which("openssl"):
            pytest.skip("openssl is needed")
        command = ["xargs", "-0", "-P2", "-n1", "openssl", "dgst", "-sha256", "-r"]
        names = "\0".join(chosen.paths).encode()

        def run():
            return subprocess.run(command, input=names, capture_output=True, check=True).stdout

        lines = run().decode().split()[::2]
        assert sorted(lines) == sorted(truth.digest for truth in chosen.truth)
        benchmark.pedantic(run, rounds=5)
    else:
        with Engine(int(way[-1])) as working:
            assert found(hash_layers(chosen.paths, engine=working)) == chosen.truth
            benchmark.pedantic(hash_layers, (chosen.paths,), {"engine": working}, rounds=5)
    rate(benchmark, chosen)


@pytest.mark.parametrize("kib", [64, 128, 256, 512, 1024])
@pytest.mark.parametrize("kind", ["tar", "gzip", "zstd"])
def bench_slot_size(benchmark, layers, kind, kib, monkeypatch):
    """Why a slot has the size it has: 4 MiB of slots of each size, in this process."""
    chosen = layers(kind)
    benchmark.group = f"slot size, {kind}"
    sizing = Sizing(max(4096 // kib, 10), kib << 10)
    monkeypatch.setattr(engine, "sizing", lambda *_: sizing)
    with Engine(0) as working:
        assert found(hash_layers(chosen.paths, engine=working)) == chosen.truth
        benchmark.pedantic(hash_layers, (chosen.paths,), {"engine": working}, rounds=3)
    rate(benchmark, chosen)


@pytest.mark.parametrize("start", ["exec", "fork"])
def bench_first_layer_of_two_new_workers(benchmark, layers, start):
    """From nothing to a report and back: start, one small layer, end."""
    benchmark.group = "start and end"
    path = layers("tar", MANY).paths[0]

    def run():
        with Engine(2, start=start) as working:
            return hash_layers([path], engine=working)

    assert found(run()) == layers("tar", MANY).truth[:1]
    benchmark.pedantic(run, rounds=10)


def bench_handing_over_a_layer(benchmark, tmp_path):
    """The least a layer costs by way of a warm worker: 200 of one block, table and all."""
    benchmark.group = "handing over"
    path = tmp_path / "least"
    path.write_bytes(bytes(1024))
    paths = [str(path)] * 200
    with Engine(2) as working:
        reports = hash_layers(paths, engine=working)
        assert {report.entries for report in reports} == {0}
        benchmark.pedantic(hash_layers, (paths,), {"engine": working}, rounds=5)
    benchmark.extra_info["us_per_layer"] = round(benchmark.stats.stats.min / 200 * 1e6)
