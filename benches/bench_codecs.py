"""Decompression of one stream: our decoders beside the plain Python ways, output compared first.

    python -m pytest benches/bench_codecs.py --benchmark-only --benchmark-group-by=group

`mb_per_s` is output by CPU time, which other work on the machine disturbs least. BENCH_TAR names a
tar of real files, of which BENCH_MB are used; without it a seeded stand-in of that size is made.
"""

import gzip
import hashlib
import io
import os
import random
import time
import zlib

import pytest
import zstandard

from ocifast.codecs import open_decoder
from ocifast.limits import Limits

SIZE = int(os.environ.get("BENCH_MB", "16")) << 20
PIECE, ROOM = 128 << 10, 1 << 20
LIMITS = Limits()


def made_up_tar() -> bytes:
    """Words, machine-like records and noise in the proportion that gives a ratio near 3."""
    rng = random.Random(2)
    words = [rng.randbytes(rng.randrange(2, 9)).hex().encode() for _ in range(4000)]
    parts: list[bytes] = []
    size = 0
    while size < SIZE:
        kind = rng.randrange(10)
        if kind < 6:
            part = b" ".join(rng.choices(words, k=2000))
        elif kind < 9:
            part = b"".join(rng.choice(words)[:3] + bytes(5) for _ in range(2000))
        else:
            part = rng.randbytes(4000)
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:SIZE]


@pytest.fixture(scope="session")
def plain():
    path = os.environ.get("BENCH_TAR")
    if not path:
        return made_up_tar()
    with open(path, "rb") as file:
        return file.read(SIZE)


@pytest.fixture(scope="session")
def blobs(plain):
    members = [plain[at : at + 16_384] for at in range(0, len(plain), 16_384)]
    packer = zstandard.ZstdCompressor(level=3, write_checksum=True)
    return {
        "gzip": gzip.compress(plain, 6, mtime=0),
        "gzip-members": b"".join(gzip.compress(each, 6, mtime=0) for each in members),
        "zstd": packer.compress(plain),
        "zstd-frames": b"".join(packer.compress(each) for each in members),
    }


def ours(codec, backend=None):
    def run(blob, out):
        decoder, view = open_decoder(codec, LIMITS, backend=backend), memoryview(blob)
        for at in range(0, len(blob), PIECE):
            decoder.feed(view[at : at + PIECE])
            while not decoder.needs_input:
                yield decoder.readinto(out)
        decoder.finish()

    return run


def fill(reader, out):
    while count := reader.readinto(out):
        yield count


def stdlib_gzip(blob, out):
    return fill(gzip.GzipFile(fileobj=io.BytesIO(blob)), out)


def stdlib_zlib(blob, out):
    """One member only."""
    inflater, view = zlib.decompressobj(31), memoryview(blob)
    for at in range(0, len(blob), PIECE):
        chunk = inflater.decompress(view[at : at + PIECE])
        out[: len(chunk)] = chunk
        yield len(chunk)


def isal_reader(blob, out):
    igzip = pytest.importorskip("isal.igzip")
    return fill(igzip.IGzipFile(fileobj=io.BytesIO(blob)), out)


def zstd_reader(blob, out):
    maker = zstandard.ZstdDecompressor()
    return fill(maker.stream_reader(io.BytesIO(blob), read_across_frames=True), out)


ROWS = [
    ("gzip", "stdlib-gzip", stdlib_gzip),
    ("gzip", "stdlib-zlib", stdlib_zlib),
    ("gzip", "isal-igzipfile", isal_reader),
    ("gzip", "ours-zlib", ours("gzip", "zlib")),
    ("gzip", "ours", ours("gzip")),
    ("gzip-members", "stdlib-gzip", stdlib_gzip),
    ("gzip-members", "isal-igzipfile", isal_reader),
    ("gzip-members", "ours", ours("gzip")),
    ("zstd", "zstandard-reader", zstd_reader),
    ("zstd", "ours", ours("zstd")),
    ("zstd-frames", "zstandard-reader", zstd_reader),
    ("zstd-frames", "ours", ours("zstd")),
]


@pytest.mark.parametrize(("blob_kind", "name", "run"), ROWS, ids=[f"{a}-{b}" for a, b, _ in ROWS])
def bench_decode(benchmark, plain, blobs, blob_kind, name, run):
    blob, out = blobs[blob_kind], memoryview(bytearray(64 * ROOM))
    digest = hashlib.sha256()
    for count in run(blob, out[:ROOM] if "zlib" not in name else out):
        digest.update(out[:count])
    assert digest.digest() == hashlib.sha256(plain).digest(), "refusing to compare unequal output"

    best = [float("inf")]

    def once():
        begin = time.process_time()
        for _ in run(blob, out[:ROOM] if "zlib" not in name else out):
            pass
        best[0] = min(best[0], time.process_time() - begin)

    benchmark.group = blob_kind
    benchmark.pedantic(once, rounds=5, warmup_rounds=1)
    benchmark.extra_info["mb_per_s"] = round(len(plain) / best[0] / 1e6)
    benchmark.extra_info["ratio"] = round(len(plain) / len(blob), 2)
