"""Hashing whole layers: ocifast with 0 and 2 workers beside the plain Python way and the shell's.

    make bench BENCH_MB=600

A seeded corpus: three layers of text and noise in a few large and many small files. What
a row computes is compared with hashlib's answer before anything is timed. `mb_per_s` is of bytes of
uncompressed tar. For layers of your own beside the shell, see peers.py.
"""

import gzip
import hashlib
import shutil
import subprocess

import corpus
import pytest

from ocifast import Engine, LayerHasher, Limits, hash_layers

LAYERS = 3
LIMITS = Limits()


@pytest.fixture(scope="session")
def layers(tmp_path_factory):
    """The same layers as plain tars and as gzip."""
    folder = tmp_path_factory.mktemp("layers")
    return {kind: corpus.make(folder, kind, LAYERS) for kind in ("tar", "gzip")}


def by_ocifast(engine):
    def run(paths):
        reports = hash_layers(paths, engine=engine)
        return [(r.digest.encoded, r.diff_id.encoded, r.entries) for r in reports]

    return run


def by_push(paths):
    """An upload: one thread, pieces of a MiB."""
    found = []
    for path in paths:
        hasher = LayerHasher(profile="compat", limits=LIMITS)
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                hasher.update(piece)
        report = hasher.finish()
        found.append((report.digest.encoded, report.diff_id.encoded, report.entries))
    return found


def by_stdlib(paths):
    found = []
    for path in paths:
        with open(path, "rb") as file:
            blob = file.read()
        plain = gzip.decompress(blob) if path.endswith("gzip") else blob
        digests = [hashlib.sha256(data).hexdigest() for data in (blob, plain)]
        found.append((*digests, corpus.tar_names(plain)))
    return found


def by_shell(paths):
    """The two digests as people compute them; it lists no entries."""
    packed = paths[0].endswith("gzip")
    unpack = (
        'igzip -dc "$l" | openssl dgst -sha256 -r' if packed else 'openssl dgst -sha256 -r "$l"'
    )
    script = f'for l in "$@"; do (openssl dgst -sha256 -r "$l"; {unpack}) ; done'
    run = subprocess.run(["sh", "-c", script, "sh", *paths], check=True, capture_output=True)
    hexes = [line.split()[0] for line in run.stdout.decode().splitlines()]
    return list(zip(hexes[::2], hexes[1::2], strict=True))


@pytest.mark.parametrize("kind", ["tar", "gzip"])
@pytest.mark.parametrize("way", ["workers-2", "workers-0", "push", "stdlib", "shell"])
def bench_digest_diff_id_and_entries(benchmark, layers, kind, way):
    paths, truth, total = layers[kind]
    benchmark.group = f"layers, {kind}"
    if way == "shell" and not (shutil.which("openssl") and shutil.which("igzip")):
        pytest.skip("openssl and igzip are needed")
    with Engine(int(way[-1]) if way.startswith("workers") else 0) as engine:
        ways = {"push": by_push, "stdlib": by_stdlib, "shell": by_shell}
        run = ways.get(way) or by_ocifast(engine)
        answer = run(paths)  # also starts the workers
        assert [got[:2] for got in answer] == [true[:2] for true in truth]
        assert way == "shell" or answer == truth
        benchmark.pedantic(run, (paths,), rounds=3)
    benchmark.extra_info["mb_per_s"] = round(total / 1e6 / benchmark.stats.stats.min)
