"""Layers for tests, made with the standard library, and what is true of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import sys
import tarfile
from typing import NamedTuple

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LAYER = "application/vnd.oci.image.layer.v1.tar"
SUFFIX = {"plain": "", "gzip": "+gzip", "zstd": "+zstd"}


class Layer(NamedTuple):
    """A blob and the truth about it."""

    blob: bytes
    media_type: str
    digest: str
    diff_id: str
    uncompressed_size: int
    entries: int


def make_tar(
    seed: int = 0, files: int = 20, size: int = 5000, kind: int = tarfile.GNU_FORMAT
) -> bytes:
    """A tar of files that compress to about a half."""
    rng, target = random.Random(seed), io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=kind) as tar:
        for number in range(files):
            member = tarfile.TarInfo(f"folder-{seed}/{number}")
            member.size = rng.randrange(size)
            half = rng.randbytes(member.size // 2)
            tar.addfile(member, io.BytesIO(half + half[::-1] + b"x"))
    return target.getvalue()


def squeeze(plain: bytes, codec: str) -> bytes:
    """The blob of a tar: plain, gzip or zstd."""
    if codec == "plain":
        return plain
    return gzip.compress(plain, 1, mtime=0) if codec == "gzip" else zstd.compress(plain, 1)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_layer(codec: str = "plain", seed: int = 0, files: int = 20, size: int = 5000) -> Layer:
    plain = make_tar(seed, files, size)
    blob = squeeze(plain, codec)
    return Layer(blob, LAYER + SUFFIX[codec], sha256(blob), sha256(plain), len(plain), files)


def check(report: object, layer: Layer) -> None:
    """Hold a LayerReport against the truth."""
    found = [getattr(report, name) for name in ("media_type", "digest", "diff_id", "size")]
    assert found == [layer.media_type, layer.digest, layer.diff_id, len(layer.blob)]
    assert (report.uncompressed_size, report.entries) == (layer.uncompressed_size, layer.entries)
