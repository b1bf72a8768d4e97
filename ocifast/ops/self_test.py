"""A second of work on generated layers: how fast each stage is here, and whether it is right.

Not a benchmark: the data is small and the machine may be busy; `benches/` compares. Invariant:
every speed belongs to a result that was held against the standard library's.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast.codecs import open_decoder
from ocifast.errors import KernelUnavailable
from ocifast.limits import DEFAULT_LIMITS
from ocifast.ops.hash import hash_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocifast.engine import Engine

__all__ = ["SelfTest", "run_self_test"]

PIECE_BYTES: Final = 1 << 20
PIECES: Final = 96
"""Enough that the engine finds it worth its workers."""
HEADERS: Final = 20_000
END: Final = bytes(1024)
MOST_LAYERS: Final = 8
NUMBER_AT: Final = 8
"""Where a generated name has its eight digits."""


class SelfTest(NamedTuple):
    """Speeds in MB/s of uncompressed bytes (None: this stage is not there), and what was wrong."""

    sha256_mb_per_s: float
    tar_headers_per_s: float
    gzip_mb_per_s: float | None
    zstd_mb_per_s: float | None
    layers_mb_per_s: float
    wrong: tuple[str, ...]


def run_self_test(engine: Engine) -> SelfTest:
    """Try every stage, then all of them together on the engine's workers.

    Raises:
        WorkerError: The workers cannot be started, or died.
        OSError: No memory file can be made.
    """
    piece = _entry(0, _text(PIECE_BYTES - 512))
    wrong: list[str] = []
    sha256 = _hash(piece, wrong)
    headers = _parse(wrong)
    gzipped = gzip.compress(piece, 6, mtime=0)
    inflate = {
        "gzip": _decode("gzip", gzipped, piece, wrong),
        "zstd": _decode("zstd", _zstd(piece), piece, wrong),
    }
    layers = _layers(gzipped, piece, engine, wrong)
    return SelfTest(sha256, headers, inflate["gzip"], inflate["zstd"], layers, tuple(wrong))


def _best(work: Callable[[], object], seconds: float = 0.1) -> float:
    """Time the work, the best of as many times as fit; a shared machine only ever adds."""
    best, until = float("inf"), time.perf_counter() + seconds
    while True:
        begin = time.perf_counter()
        work()
        end = time.perf_counter()
        best = min(best, end - begin)
        if end > until:
            return best


def _text(size: int) -> bytes:
    """Words that gzip shrinks to about a third, like the files of a layer; the same every time."""
    generator = random.Random(1)  # noqa: S311 - reproducible, not secret
    words = [generator.randbytes(generator.randint(2, 12)) for _ in range(1500)]
    text = b" ".join(generator.choices(words, k=size // 7))
    return text[:size].ljust(size, b".")


def _entry(number: int, payload: bytes) -> bytes:
    """One regular file, named by a number."""
    header = bytearray(512)
    header[: NUMBER_AT + 8] = b"layer/f/%08d" % number
    header[100:156] = b"0000644\0000000000\0000000000\0%011o\00014600000000\0        " % (
        len(payload)
    )
    header[156:157] = b"0"
    header[257:265] = b"ustar\x0000"
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + payload


def _hash(piece: bytes, wrong: list[str]) -> float:
    if Sha256(piece).digest() != hashlib.sha256(piece).digest():
        wrong.append("SHA-256 differs from hashlib's")
    return len(piece) / _best(lambda: Sha256(piece)) / 1e6


def _parse(wrong: list[str]) -> float:
    tar = b"".join(_entry(number, b"") for number in range(HEADERS)) + END

    def parse() -> int:
        parser = TarParser(DEFAULT_LIMITS)
        parser.feed(tar)
        parser.finish()
        return parser.entries

    if parse() != HEADERS:
        wrong.append("the tar parser does not count the entries of a tar right")
    return HEADERS / _best(parse)


def _zstd(piece: bytes) -> bytes | None:
    """Compress with whatever the zstd codec would decompress with."""
    backend = _backend("zstd")
    if backend is None:
        return None
    module: Any = __import__(backend, fromlist=["*"])
    if hasattr(module, "ZstdCompressor") and not hasattr(module, "compress"):
        return bytes(module.ZstdCompressor(3).compress(piece))
    return bytes(module.compress(piece, 3))


def _backend(codec: str) -> str | None:
    try:
        return open_decoder(codec).backend
    except KernelUnavailable:
        return None


def _decode(codec: str, blob: bytes | None, piece: bytes, wrong: list[str]) -> float | None:
    if blob is None:
        return None
    room = memoryview(bytearray(256 << 10))

    def decode(hasher: Any = None) -> None:
        decoder = open_decoder(codec)
        decoder.feed(blob)
        while not decoder.needs_input:
            count = decoder.readinto(room)
            if hasher is not None:
                hasher.update(room[:count])
        decoder.finish()

    check = hashlib.sha256()
    decode(check)
    if check.digest() != hashlib.sha256(piece).digest():
        wrong.append(f"{codec} gives other bytes than went in")
    return len(piece) / _best(decode) / 1e6


def _layers(gzipped: bytes, piece: bytes, engine: Engine, wrong: list[str]) -> float:
    """Hash a layer for each worker: all stages, all processes."""
    count = min(max(engine.workers, 1), MOST_LAYERS)
    digest, diff_id = hashlib.sha256(), hashlib.sha256()
    descriptor = os.memfd_create("ocifast-self-test", os.MFD_CLOEXEC)
    with open(descriptor, "wb") as file:
        for member, data in ((gzipped, piece),) * PIECES + ((gzip.compress(END, mtime=0), END),):
            file.write(member)
            digest.update(member)
            diff_id.update(data)
        file.flush()
        paths = [f"/proc/self/fd/{descriptor}"] * count
        reports = hash_layers(paths, engine=engine, table=False)  # starts the workers, too
        seconds = _best(lambda: hash_layers(paths, engine=engine, table=False), 0.4)
    expected = {(f"sha256:{digest.hexdigest()}", f"sha256:{diff_id.hexdigest()}")}
    if {(str(report.digest), str(report.diff_id)) for report in reports} != expected:
        wrong.append("layers hashed by the engine have other digests than hashlib's")
    return sum(report.uncompressed_size for report in reports) / seconds / 1e6
