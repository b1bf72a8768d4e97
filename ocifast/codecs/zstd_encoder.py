"""zstd for writing: one frame, squeezed in jobs of fixed size by the threads of libzstd.

A job is libzstd's unit of parallel work; how many run at once does not change its bytes, where jobs
end does, so `job_size` is part of a recipe and one thread works in jobs as well. Invariant: what
shapes the output is the recipe, the tables here and, for levels above 3, the table of the libzstd
whose version the recipe names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ocifast.codecs.base import import_backend
from ocifast.codecs.block_encoder import BlockEncoder
from ocifast.codecs.zstd import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

__all__ = ["open_zstd_encoder", "parameters_of", "zstd_frames", "zstd_library"]

PIECE_SIZE: Final = 1 << 20
"""Input is handed to libzstd in pieces of this size; they leave no trace in the output."""

LONG_DISTANCE: Final = {"enable_ldm": 1, "ldm_bucket_size_log": 2, "overlap_log": 6}
"""For all levels. Buckets of 4 rather than libzstd's 16 make output 0.3 % smaller on 384 MiB of
layers; what they do to time went both ways in different runs. Half the distance between samples, or
matches of 32 bytes, save another 0.7 % and took 3 to 25 % more CPU. No overlap of jobs costs 0.1 %.
"""

TUNED: Final[dict[int, dict[str, int]]] = {
    1: {"strategy": 1, "min_match": 6, "hash_log": 17, "chain_log": 13, "search_log": 1},
    2: {"strategy": 2, "min_match": 5, "hash_log": 16, "chain_log": 15, "search_log": 1},
    3: {"strategy": 2, "min_match": 5, "hash_log": 17, "chain_log": 15, "search_log": 1},
}
"""Chosen on the first 640 MiB of tars of a Debian root, of Python packages and of node_modules
(2013 MB), jobs of 8 MiB. MB that come out, and CPU seconds of two threads on a 2-core Zen 4 VM:

    skopeo 1.9.3, default    570.6  (229.7 + 198.7 + 142.3)
    level 1                  557.1  (221.8 + 198.0 + 137.3)    8.9 .. 9.8   5 runs
    level 2                  546.2  (218.0 + 194.2 + 134.0)    8.6 .. 10.5  6 runs
    level 3                  541.9  (216.4 + 192.4 + 133.2)    9.0 .. 12.3  6 runs
    libzstd's level 3, LDM   540.2  (216.1 + 191.2 + 132.8)   10.6 .. 12.2  3 runs, 2 of 1 thread
    level 4                  532.6  (212.3 + 188.3 + 131.9)   13.4          1 run
    level 6                  509.0  (203.6 + 179.6 + 125.8)   20.4          1 run

Sizes are exact. The machine did other work all the time, so ranges overlap: sizes tell levels 1, 2
and 3 apart, times do not. Level 2 is 4.3 % below skopeo in total, but only 2.2 % on Python
packages, mostly machine code (level 3: 3.2 %). Five layers of 2162 MB, cut otherwise from the same
trees and so no independent proof: skopeo 620.0, level 2 585.4, level 3 580.9.

Jobs of 4 MiB cost 0.5 % of size; jobs of 16 MiB save 0.6 % and take 50 MiB more of memory. RSS of a
process with two threads: up to 158 MiB at levels 1 to 3, 164 at 6, 220 at 15 and 253 at 19.
"""

_PACKAGE: Final = "zstandard"
_NAMES: Final = {
    "write_checksum": "checksum_flag",
    "enable_ldm": "enable_long_distance_matching",
    "threads": "nb_workers",
}
"""What `zstandard` calls parameters that libzstd, and the standard library, call otherwise."""


class PackageStream:
    """`zstandard`."""

    def __init__(self, module: ModuleType, parameters: Mapping[str, int]) -> None:
        chosen = module.ZstdCompressionParameters(**parameters)
        self._inner = module.ZstdCompressor(compression_params=chosen).compressobj()

    def squeeze(self, piece: memoryview, *, is_last: bool) -> bytes:
        output: bytes = self._inner.compress(piece)
        return output + self._inner.flush() if is_last else output


class StdlibStream:
    """`compression.zstd`, or its backport."""

    def __init__(self, module: ModuleType, parameters: Mapping[str, int]) -> None:
        names = module.CompressionParameter
        options = {
            getattr(names, _NAMES.get(name, name)): value for name, value in parameters.items()
        }
        self._inner = module.ZstdCompressor(options=options)

    def squeeze(self, piece: memoryview, *, is_last: bool) -> bytes:
        output: bytes = self._inner.compress(piece)
        return output + self._inner.flush() if is_last else output


class ZstdSqueeze:
    """The function a `BlockEncoder` calls, from one thread; libzstd's memory is taken there."""

    def __init__(self, module: ModuleType, parameters: Mapping[str, int]) -> None:
        self._module = module
        self._parameters = parameters
        self._stream: PackageStream | StdlibStream | None = None

    def __call__(self, piece: memoryview, _number: int, is_last: bool) -> bytes:  # noqa: FBT001
        try:
            if self._stream is None:
                kind = PackageStream if self._module.__name__ == _PACKAGE else StdlibStream
                self._stream = kind(self._module, self._parameters)
            output = self._stream.squeeze(piece, is_last=is_last)
        except self._module.ZstdError as error:
            # Parameters are checked by tests, input cannot be wrong: what is left is memory.
            raise MemoryError(str(error)) from error
        if is_last:
            self._stream = None  # up to 100 MB and threads, of no use while output is taken
        return output


def parameters_of(level: int, window_size: int, job_size: int) -> dict[str, int]:
    """Give what libzstd is told for a level; what is not in it comes from libzstd's own table."""
    return {
        "compression_level": level,
        "window_log": window_size.bit_length() - 1,
        "job_size": job_size,
        **LONG_DISTANCE,
        **TUNED.get(level, {}),
    }


def zstd_library(backend: str | None = None) -> tuple[ModuleType, str]:
    """Give the module that does the work and the version of libzstd in it.

    Raises:
        KernelUnavailable: There is none.
    """
    module = import_backend(BACKENDS, backend)
    if module.__name__ == _PACKAGE:
        return module, ".".join(map(str, module.ZSTD_VERSION))
    return module, str(module.zstd_version)


def zstd_frames(level: int) -> Callable[[list[memoryview]], list[bytes]]:
    """Give a function that makes a frame of each piece it gets; for one thread at a time.

    `zstandard` makes them all in one call without the GIL: the bytes are those of a call for each,
    which threads would queue up for.

    Raises:
        KernelUnavailable: There is no module for it.
    """
    module, _ = zstd_library()
    if module.__name__ == _PACKAGE:
        together = module.ZstdCompressor(level=level).multi_compress_to_buffer
        return lambda pieces: [each.tobytes() for each in together(pieces)] if pieces else []
    return lambda pieces: [bytes(module.compress(piece, level)) for piece in pieces]


def open_zstd_encoder(
    parameters: Mapping[str, int],
    threads: int,
    wake: Callable[[], object] | None,
    backend: str | None = None,
) -> BlockEncoder:
    """Make an encoder; `parameters` are those of `ZstdCompressionParameters`, but the threads.

    Raises:
        KernelUnavailable: There is no module for it, or not the demanded one.
    """
    module, _ = zstd_library(backend)
    # One Python thread feeds; libzstd has its own, one even when this is to have none.
    stated: dict[str, Any] = {**parameters, "write_checksum": 1, "threads": max(1, threads)}
    return BlockEncoder(ZstdSqueeze(module, stated), PIECE_SIZE, min(threads, 1), wake)
