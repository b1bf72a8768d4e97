"""Sound and broken layers of every codec, and what an engine makes of them as plain values."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING, Any

from ocifast import Limits, hash_layers
from support.layers import make_layer, make_tar, squeeze

if TYPE_CHECKING:
    from pathlib import Path

    from ocifast import Engine

LIMITS = Limits(ratio=100, ratio_grace_bytes=1 << 20)


def broken() -> dict[str, bytes]:
    """Blobs of all codecs that fail at different places."""
    rng, found = random.Random(3), {}
    for codec in ("plain", "gzip", "zstd"):
        blob = make_layer(codec, 7, 30, 40_000).blob
        half = len(blob) // 2
        found[f"{codec}-inserted"] = blob[:half] + rng.randbytes(600) + blob[half:]
        found[f"{codec}-cut"] = blob[: len(blob) * 2 // 3]
        found[f"{codec}-head"] = blob[:300] + bytes(10) + blob[310:]
        found[f"{codec}-trailing"] = blob + b"trailing"
    found["noise"] = rng.randbytes(100_000)
    found["text"] = b"not a layer\n" * 50
    found["empty"] = b""
    found["xz"] = b"\xfd7zXZ\0" + bytes(50)
    found["bomb"] = squeeze(make_tar(1, 1)[:-10240] + bytes(70 << 20), "gzip")
    found["gzip-of-noise"] = gzip.compress(rng.randbytes(300_000))
    return found


def write_mixture(folder: Path) -> list[str]:
    """Paths of sound and broken layers in a fixed random order, and of no layers."""
    rng, blobs = random.Random(1), broken()
    for seed in range(12):
        codec = ("plain", "gzip", "zstd")[seed % 3]
        size = rng.choice([500, 20_000, 90_000])
        blobs[f"{codec}-{seed}"] = make_layer(codec, seed, 3 * seed + 1, size).blob
    names = list(blobs)
    rng.shuffle(names)
    for name in names:
        (folder / name).write_bytes(blobs[name])
    return [str(folder / name) for name in names] + [str(folder / "missing"), str(folder)]


def results(paths: list[str], engine: Engine | None = None, **options: Any) -> list[Any]:
    """Reports with their tables, errors by kind, text and notes."""
    found = hash_layers(paths, engine=engine, limits=LIMITS, return_exceptions=True, **options)
    return [
        (type(each), str(each), each.__notes__)
        if isinstance(each, BaseException)
        else (each, each.table.to_bytes())
        for each in found
    ]
