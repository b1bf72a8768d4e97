"""SHA-256: one stream and several at once, hashlib beside ours. `pytest benches/bench_sha256.py`.

MB/s is over all streams, from the fastest round: on a shared machine the others measure the
neighbours. Every row first checks its digests against hashlib.
"""

import hashlib
import random

import pytest

from ocifast._native.sha256 import Sha256, hash_many
from ocifast._native.sha256_kernel import kernel

NOISE = random.Random(256).randbytes(16 << 20)
MIB = 1 << 20
SIZES = [64, 4096, 65536, 16 * MIB]
ASSORTED = [random.Random(i).randrange(1, 2 * 65536) for i in range(256)]
STREAMS = {
    "1-lane": [4 * MIB],
    "2-lanes": [4 * MIB] * 2,
    "3-lanes": [4 * MIB] * 3,
    "4-lanes": [4 * MIB] * 4,
    "3.4-to-1": [int(3.4 * MIB), MIB],  # a layer and its gzip form
    "5-lanes": [2 * MIB] * 5,
    "256-assorted": ASSORTED,
    "1000-of-2KiB": [2048] * 1000,
}
HASHERS = {"hashlib": hashlib.sha256, "ocifast": Sha256}


def with_hashlib(buffers):
    return [hashlib.sha256(b).digest() for b in buffers]


def record(benchmark, size):
    benchmark.extra_info["kernel"] = kernel().name
    benchmark.extra_info["MB/s"] = round(size / benchmark.stats.stats.min / 1e6)


@pytest.mark.parametrize("who", HASHERS)
@pytest.mark.parametrize("size", SIZES)
def test_update(benchmark, size, who):
    """One stream, one call."""
    benchmark.group = f"sha256 update {size} B"
    data = NOISE[:size]
    assert HASHERS[who](data).digest() == hashlib.sha256(data).digest()
    benchmark(HASHERS[who]().update, data)
    record(benchmark, size)


@pytest.mark.parametrize("who", ["hashlib", "ocifast"])
@pytest.mark.parametrize("streams", STREAMS)
def test_many(benchmark, streams, who):
    """Digests of several buffers on one core."""
    benchmark.group = f"sha256 many {streams}"
    buffers = [NOISE[i : i + size] for i, size in enumerate(STREAMS[streams])]
    hasher = {"hashlib": with_hashlib, "ocifast": hash_many}[who]
    assert hasher(buffers) == with_hashlib(buffers)
    benchmark(hasher, buffers)
    record(benchmark, sum(STREAMS[streams]))
