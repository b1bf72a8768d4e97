"""A tar into eStargz: members that begin with files and their chunks, landmark first, TOC last.

It gives another tar than it is fed: `diff_id` and `uncompressed_size` say of which, and are there
when it is done, as are `annotations`. Invariant: but for entries with names the format has taken,
and its end, the source is in that tar as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ocifast._native.sha256 import Sha256
from ocifast._native.tar import TarParser
from ocifast._native.toc_cut import ESTARGZ, ESTARGZ_CHUNK_BYTES, UNIT_BYTES
from ocifast.codecs.gzip_encoder import gzip_compress
from ocifast.formats.estargz import (
    BLOCK,
    TOC_END,
    estargz_annotations,
    estargz_footer,
    landmark,
    toc_entry,
)
from ocifast.formats.zstd_chunked import TOC_BEGIN
from ocifast.ops.segment_encoder import UNLIMITED, SegmentEncoder
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EstargzEncoder"]

MEMBER_BYTES: Final = 2 * ESTARGZ_CHUNK_BYTES
"""No member is longer: a chunk of a file, then as much that is none."""


class EstargzEncoder(SegmentEncoder):
    """Implements `Encoder`; `library` and `level` are those of `gzip_compress`.

    Raises KernelUnavailable where the library is not to be had.
    """

    def __init__(
        self, library: str, level: int, threads: int, wake: Callable[[], object] | None
    ) -> None:
        self._squeeze_one = gzip_compress(library, level)
        self._everything = Sha256()
        super().__init__(ESTARGZ, UNIT_BYTES + MEMBER_BYTES, threads, wake, self._everything)
        self.diff_id: Digest | None = None
        self.uncompressed_size = 0
        self._add_landmark()

    def _add_landmark(self) -> None:
        header, content = landmark()
        parser = TarParser(UNLIMITED)
        parser.feed(header)
        entry = header + content + bytes(BLOCK - len(content))
        self._add(self._cutter.feed(entry, 0, *parser.take_table()))

    @property
    def added(self) -> int:
        """Entries that the new tar has more than the source: landmark, and TOC."""
        return 2 - self._cutter.dropped

    def _compress(self, segments: list[memoryview], first: int) -> list[bytes]:
        return [self._squeeze_one(part, number) for number, part in enumerate(segments, first)]

    def _close_blob(self, offset: int) -> bytes:
        toc = b"".join((TOC_BEGIN, *self._toc(), TOC_END))
        entry = toc_entry(toc)
        self._everything.update(entry)
        self.uncompressed_size = self._cutter.size + len(entry)
        self.diff_id = Digest.of_sha256(self._everything.digest())
        self.annotations = estargz_annotations(Digest.of_content(toc), self.uncompressed_size)
        return self._squeeze_one(memoryview(entry), self._segments) + estargz_footer(offset)
