"""A seeded corpus: layers of text and noise, many small files among a few large ones.

Not real layers, which no bench can carry; peers.py takes those by name. The same seed and size give
the same bytes on every machine. Invariant: what is true of a layer comes from hashlib and tarfile.
"""

import gzip
import hashlib
import io
import os
import random
import tarfile
from typing import NamedTuple

import zstandard

SIZE = int(os.environ.get("BENCH_MB", "16")) << 20


class Truth(NamedTuple):
    """What whoever hashes a layer has to find."""

    digest: str
    diff_id: str
    entries: int


class Corpus(NamedTuple):
    """Files of one kind, what is true of them, and how many bytes of tar they hold."""

    paths: list[str]
    truth: list[Truth]
    plain_bytes: int


def made_up_layer(seed: int, size: int) -> bytes:
    """A tar of at least so many bytes."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(2, 9)).hex().encode() for _ in range(4000)]
    text = b" ".join(rng.choices(words, k=200_000))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        while out.tell() < size:
            large = rng.random() < 0.02
            length = rng.randrange(1 << 20) if large else rng.randrange(1, 12_000)
            at = rng.randrange(len(text) - length)
            data = rng.randbytes(length) if rng.random() < 0.1 else text[at : at + length]
            member = tarfile.TarInfo(f"usr/lib/part-{out.tell() >> 16}/file-{out.tell()}")
            member.size = length
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


PACKERS = {
    "tar": bytes,
    "gzip": lambda plain: gzip.compress(plain, 6, mtime=0),
    "zstd": lambda plain: zstandard.ZstdCompressor(3).compress(plain),
}


def make(folder, kind: str, layers: int, size: int = SIZE) -> Corpus:
    """Write `layers` files of one kind that hold about `size` bytes of tar together."""
    paths, truth, total = [], [], 0
    for seed in range(layers):
        plain = made_up_layer(seed, size // layers)
        blob = PACKERS[kind](plain)
        path = f"{folder}/{seed}-of-{layers}.{kind}"
        with open(path, "wb") as file:
            file.write(blob)
        total += len(plain)
        paths.append(path)
        digests = [hashlib.sha256(data).hexdigest() for data in (blob, plain)]
        truth.append(Truth(*digests, tar_names(plain)))
    return Corpus(paths, truth, total)


def tar_names(plain: bytes) -> int:
    """How many entries tarfile sees."""
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return len(tar.getnames())
