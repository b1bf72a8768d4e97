"""Compression of one stream: our recipes beside zlib and the tools people have, read back first.

    python -m pytest benches/bench_encoders.py --benchmark-only --benchmark-group-by=group

Wall time, as threads and processes are the point; `size_mb` belongs to it, for a smaller output is
what time is paid with. BENCH_TAR names a tar of real files, of which BENCH_MB are used; without it
a seeded stand-in of that size is made, whose sizes say little about layers.
"""

import os
import shutil
import subprocess
import threading
import zlib

import pytest
import zstandard
from bench_codecs import made_up_tar

from ocifast.codecs import open_decoder
from ocifast.codecs.recipe import open_encoder, recipe

SIZE = int(os.environ.get("BENCH_MB", "16")) << 20
PIECE = 256 << 10
THREADS = 2


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    """The input as a file, which is what tools read best."""
    found = os.environ.get("BENCH_TAR")
    if found:
        with open(found, "rb") as file:
            plain = file.read(SIZE)
    else:
        plain = made_up_tar()
    target = tmp_path_factory.mktemp("encoders") / "plain.tar"
    target.write_bytes(plain)
    return target


def drive(encoder, view, rung):
    at, finished = 0, False
    while not encoder.done:
        rung.clear()
        piece = encoder.take()
        if piece is not None:
            yield piece
        elif not finished and not encoder.full:
            if at < len(view):
                encoder.feed(view[at : at + PIECE])
                at += PIECE
            else:
                encoder.finish()
                finished = True
        else:
            rung.wait()


def ours(codec, level, threads):
    def run(path):
        rung = threading.Event()
        encoder = open_encoder(recipe(codec, level=level), threads, rung.set)
        try:
            return b"".join(drive(encoder, memoryview(path.read_bytes()), rung))
        finally:
            encoder.close()

    return run


def zlib_6(path):
    packer = zlib.compressobj(6, wbits=31)
    return packer.compress(path.read_bytes()) + packer.flush()


def zstandard_3(path):
    return zstandard.ZstdCompressor(level=3, write_checksum=True, threads=THREADS).compress(
        path.read_bytes()
    )


def tool(*command):
    def run(path):
        if not shutil.which(command[0]):
            pytest.skip(f"{command[0]} is not installed")
        return subprocess.run([*command, path], check=True, stdout=subprocess.PIPE).stdout

    return run


ROWS = [
    ("gzip", "zlib-6", zlib_6),
    ("gzip", "pigz-6-p2", tool("pigz", "-c", "-6", "-p2")),
    ("gzip", "igzip-1", tool("igzip", "-c", "-1")),
    ("gzip", "ours-3-t0", ours("gzip", 3, 0)),
    ("gzip", "ours-3-t2", ours("gzip", 3, THREADS)),
    ("gzip", "ours-6-t2", ours("gzip", 6, THREADS)),
    ("zstd", "zstandard-3-t2", zstandard_3),
    ("zstd", "zstd-3-T2", tool("zstd", "-q", "-c", "-3", "-T2")),
    ("zstd", "zstd-3-T2-long24", tool("zstd", "-q", "-c", "-3", "-T2", "--long=24")),
    ("zstd", "ours-1-t2", ours("zstd", 1, THREADS)),
    ("zstd", "ours-2-t0", ours("zstd", 2, 0)),
    ("zstd", "ours-2-t2", ours("zstd", 2, THREADS)),
    ("zstd", "ours-3-t2", ours("zstd", 3, THREADS)),
]


def inflated(codec, blob):
    decoder, out = open_decoder(codec), memoryview(bytearray(1 << 20))
    decoder.feed(blob)
    while not decoder.needs_input:
        yield out[: decoder.readinto(out)]
    decoder.finish()


@pytest.mark.parametrize(("codec", "name", "run"), ROWS, ids=[f"{a}-{b}" for a, b, _ in ROWS])
def bench_encode(benchmark, path, codec, name, run):
    blob = run(path)
    with path.open("rb") as file:
        for piece in inflated(codec, blob):
            assert file.read(len(piece)) == piece, "refusing to time what cannot be read back"
        assert not file.read(1)
    benchmark.group = codec
    benchmark.pedantic(run, args=(path,), rounds=3, warmup_rounds=0)
    size = path.stat().st_size
    benchmark.extra_info["mb_per_s"] = round(size / benchmark.stats.stats.min / 1e6)
    benchmark.extra_info["size_mb"] = round(len(blob) / 1e6, 2)
