"""A tar into zstd:chunked: frames that are files or chunks of them, then TOC and tar-split."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ocifast._native.chunk import CHUNK_MAX_BYTES
from ocifast._native.toc_cut import CHUNKED, UNIT_BYTES
from ocifast.codecs.zstd_encoder import zstd_frames
from ocifast.ops.seekable_tail import TailStream, close_tail
from ocifast.ops.segment_encoder import SegmentEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

__all__ = ["SeekableEncoder"]


class SeekableEncoder(SegmentEncoder):
    """Implements `Encoder`; `annotations` are there when it is done.

    Raises KernelUnavailable where zstd is not to be had.
    """

    def __init__(self, level: int, threads: int, wake: Callable[[], object] | None) -> None:
        super().__init__(CHUNKED, UNIT_BYTES + CHUNK_MAX_BYTES, threads, wake)
        self._level = level
        self._local = threading.local()
        self._split = TailStream(level)

    def feed(self, data: ReadableBuffer, release: Callable[[], object] | None = None) -> bool:
        """Take a piece of the tar, as its base does."""
        super().feed(data, release)
        self._split.write(self._cutter.take_split())
        return False

    def _compress(self, segments: list[memoryview], _first: int) -> list[bytes]:
        compress = getattr(self._local, "compress", None)
        if compress is None:
            compress = self._local.compress = zstd_frames(self._level)
        frames: list[bytes] = compress(segments)
        return frames

    def _close_blob(self, offset: int) -> bytes:
        self._split.write(self._cutter.take_split())
        blob, self.annotations = close_tail(self._level, offset, self._toc(), self._split)
        return blob
