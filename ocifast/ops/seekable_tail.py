"""The tail of a zstd:chunked blob: TOC, tar-split, footer, made of what was noted on the way.

Both documents are compressed as they are made: of neither there is more in memory than its
compressed bytes. Invariant: positions say where compressed bytes lie, frame headers not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocifast.codecs.zstd_encoder import zstd_library
from ocifast.formats.zstd_chunked import (
    FRAME_HEADER_BYTES,
    TOC_BEGIN,
    Position,
    footer,
    layer_annotations,
    skippable,
    toc_end,
)
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer

__all__ = ["TailStream", "close_tail"]


class TailStream:
    """One document being compressed into one frame."""

    def __init__(self, level: int) -> None:
        module, _ = zstd_library()
        compressor: Any = module.ZstdCompressor(level=level)
        self._inner = compressor.compressobj() if hasattr(compressor, "compressobj") else compressor
        self._out = bytearray()
        self.size = 0

    def write(self, data: ReadableBuffer) -> None:
        """Add bytes: how many at a time leaves no trace."""
        self.size += memoryview(data).nbytes
        self._out += self._inner.compress(data)

    def close(self) -> bytes:
        """Give the frame."""
        self._out += self._inner.flush()
        return bytes(self._out)


def close_tail(
    level: int, offset: int, entries: Iterable[bytes], split: TailStream
) -> tuple[bytes, dict[str, str]]:
    """Give what stands behind `offset` bytes of frames, and the annotations that tell of it.

    Raises:
        UnsupportedError: A name cannot be in a TOC.
    """
    tar_split, stream = split.close(), TailStream(level)
    stream.write(TOC_BEGIN)
    for piece in entries:
        stream.write(piece)
    stream.write(toc_end(Digest.of_content(tar_split)))
    toc, at = stream.close(), offset + FRAME_HEADER_BYTES
    first = Position(at, len(toc), stream.size)
    second = Position(at + len(toc) + FRAME_HEADER_BYTES, len(tar_split), split.size)
    blob = skippable(toc) + skippable(tar_split) + skippable(footer(first, second))
    return blob, layer_annotations(Digest.of_content(toc), first, second)
