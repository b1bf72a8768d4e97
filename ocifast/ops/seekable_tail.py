"""The tail of a zstd:chunked blob: TOC, tar-split, footer, made of what was noted on the way.

Both documents are compressed as they are made: of neither there is more in memory than its
compressed bytes. Invariant: positions say where compressed bytes lie, frame headers not counted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ocifast.codecs.zstd_encoder import zstd_library
from ocifast.formats.zstd_chunked import (
    FRAME_HEADER_BYTES,
    Chunk,
    Position,
    footer,
    layer_annotations,
    skippable,
    toc_end,
    toc_lines,
)
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Sequence

    from ocifast.formats.tar import EntryTable
    from ocifast.tree.entry import Entry

    Described = tuple[Entry, str, tuple[Chunk, ...]]

__all__ = ["Tail", "TailStream", "described"]

PIECE_BYTES: Final = 256 << 10
EMPTY: Final = f"sha256:{hashlib.sha256().hexdigest()}"
DIGEST_BYTES: Final = 32


class TailStream:
    """One document being compressed into one frame."""

    def __init__(self, level: int) -> None:
        module, _ = zstd_library()
        compressor: Any = module.ZstdCompressor(level=level)
        self._inner = compressor.compressobj() if hasattr(compressor, "compressobj") else compressor
        self._pending, self._out = bytearray(), bytearray()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self.size += len(data)
        self._pending += data
        if len(self._pending) >= PIECE_BYTES:
            self._out += self._inner.compress(bytes(self._pending))
            self._pending.clear()

    def close(self) -> bytes:
        """Give the frame."""
        self._out += self._inner.compress(bytes(self._pending))
        self._out += self._inner.flush()
        return bytes(self._out)


class Tail:
    """What stands behind `offset` bytes of frames; `annotations` are there once it is closed."""

    def __init__(self, level: int, offset: int, entries: Iterable[Described]) -> None:
        self._level = level
        self._offset = offset
        self._entries = entries
        self.annotations: dict[str, str] = {}

    def close(self, split: TailStream) -> bytes:
        """Give all of it. Raises UnsupportedError for a name that cannot be in a TOC."""
        tar_split = split.close()
        stream = TailStream(self._level)
        for line in toc_lines(self._entries):
            stream.write(line)
        stream.write(toc_end(Digest.of_content(tar_split)))
        toc = stream.close()
        at = self._offset + FRAME_HEADER_BYTES
        first = Position(at, len(toc), stream.size)
        second = Position(at + len(toc) + FRAME_HEADER_BYTES, len(tar_split), split.size)
        self.annotations = layer_annotations(Digest.of_content(toc), first, second)
        return skippable(toc) + skippable(tar_split) + skippable(footer(first, second))


def described(
    tables: Iterable[EntryTable],
    chunks: Sequence[int],
    segments: tuple[array[int], array[int]],
    digests: tuple[bytearray, bytearray],
) -> Iterator[Described]:
    """Give each entry with its digest and chunks, in the order of the tar.

    `chunks` has their number for each file with content; `segments` the plan of all frames (twice
    the size, and one more for a chunk) and what they were compressed to; `digests` those of chunks,
    and of files of several.
    """
    stored = _chunks(segments, digests[0])
    counts, wholes = iter(chunks), memoryview(digests[1])
    for table in tables:
        for entry in table:
            if not entry.stored_size:
                is_file = entry.kind.value == "file"
                yield entry, EMPTY if is_file else "", ()
                continue
            found = tuple(next(stored) for _ in range(next(counts)))
            digest = found[0].digest
            if len(found) > 1:
                digest = f"sha256:{wholes[:DIGEST_BYTES].hex()}"
                wholes = wholes[DIGEST_BYTES:]
            yield entry, digest, found


def _chunks(segments: tuple[array[int], array[int]], digests: bytearray) -> Iterator[Chunk]:
    at, view = 0, memoryview(digests)
    for plan, size in zip(*segments, strict=True):
        if plan & 1:
            yield Chunk(at, at + size, plan >> 1, f"sha256:{view[:DIGEST_BYTES].hex()}")
            view = view[DIGEST_BYTES:]
        at += size
