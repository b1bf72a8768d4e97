"""Where the TOC of a seekable blob is stored: found by the footer, taken out, not yet believed.

zstd:chunked has it in a frame that readers pass over, eStargz in the last entry of its tar; footers
at the end of the blob tell them apart. Invariant: no length that the blob claims is taken into
memory before it was held against a cap.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ocifast._native.tar import TarParser
from ocifast.codecs.zstd_encoder import zstd_library
from ocifast.errors import CompressedDataError, DocumentError, LimitExceeded
from ocifast.formats import estargz
from ocifast.formats.tar import EntryTable
from ocifast.formats.toc import TOC_BYTES
from ocifast.formats.zstd_chunked import (
    FOOTER_BYTES,
    FRAME_HEADER_BYTES,
    PREFIXES,
    Position,
    read_footer,
)
from ocifast.limits import DEFAULT_LIMITS
from ocifast.spec.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocifast.formats.zstd_chunked import Chunk

__all__ = ["CHUNK_BYTES", "Blob", "StoredToc", "find_toc", "inflate_frame", "toc_digest_of"]

CHUNK_BYTES: Final = 256 << 20
"""A chunk that says to be longer is not read: it would be held whole."""


class Blob(NamedTuple):
    """A part of an open file."""

    descriptor: int
    offset: int
    size: int

    def read(self, at: int, size: int) -> bytes:
        """Give a part of it. Raises CompressedDataError where it is shorter, OSError."""
        parts, end = [], at + size
        while at < end:
            part = os.pread(self.descriptor, end - at, self.offset + at)
            if not part:
                raise CompressedDataError("zstd", at, f"the blob ends before byte {end}")
            parts.append(part)
            at += len(part)
        return b"".join(parts)


class StoredToc(NamedTuple):
    """The JSON of a TOC, and what annotations call its digest: of the frame in zstd:chunked."""

    blob: Blob
    raw: bytes
    digest: Digest
    end: int
    """Where the frames or members of files end."""
    codec: str


def find_toc(descriptor: int, offset: int = 0, size: int | None = None) -> StoredToc | None:
    """Take the TOC out of a blob, which is a file or a part of one; None when there is none.

    Raises:
        DocumentError: The footer says what cannot be.
        CompressedDataError: It cannot be inflated.
        LimitExceeded: It is longer than is read.
        OSError: It cannot be read.
    """
    blob = Blob(descriptor, offset, os.fstat(descriptor).st_size - offset if size is None else size)
    if blob.size < FOOTER_BYTES:
        return None
    tail = blob.read(blob.size - FOOTER_BYTES, FOOTER_BYTES)
    place = estargz.read_estargz_footer(tail[-estargz.FOOTER_BYTES :])
    if place is not None:
        return _of_estargz(blob, place)
    found = read_footer(tail)
    return None if found is None else _of_chunked(blob, found[0])


def toc_digest_of(annotations: Mapping[str, str]) -> str | None:
    """What the descriptor of a layer says to be the digest of its TOC, in either format."""
    names = (*(f"{prefix}manifest-checksum" for prefix in PREFIXES), estargz.TOC_DIGEST)
    return next((annotations[name] for name in names if name in annotations), None)


def _of_chunked(blob: Blob, toc: Position) -> StoredToc:
    if toc.uncompressed_size > TOC_BYTES:
        raise LimitExceeded("toc_bytes", TOC_BYTES, toc.uncompressed_size, "blob", toc.offset)
    if toc.offset < FRAME_HEADER_BYTES or toc.offset + toc.size > blob.size:
        raise DocumentError("TOC", "", "the footer places it outside of the blob")
    stored = blob.read(toc.offset, toc.size)
    raw = inflate_frame(stored, toc)
    end = toc.offset - FRAME_HEADER_BYTES
    return StoredToc(blob, raw, Digest.of_content(stored), end, "zstd")


def _of_estargz(blob: Blob, offset: int) -> StoredToc:
    end = blob.size - estargz.FOOTER_BYTES
    if offset >= end:
        raise DocumentError("TOC", "", "the footer places it outside of the blob")
    if end - offset > TOC_BYTES:
        raise LimitExceeded("toc_bytes", TOC_BYTES, end - offset, "blob", offset)
    member, inflate = blob.read(offset, end - offset), zlib.decompressobj(31)
    try:
        head = inflate.decompress(member, estargz.BLOCK)
        parser = TarParser(DEFAULT_LIMITS)
        parser.feed(head)
        found = list(EntryTable(*parser.take_table()))
        if not found or (found[0].path, found[0].payload_offset) != (estargz.TOC_NAME, len(head)):
            raise DocumentError("TOC", "", "the footer places it where it is not")
        if found[0].size > TOC_BYTES:
            raise LimitExceeded("toc_bytes", TOC_BYTES, found[0].size, "blob", offset)
        raw = inflate.decompress(inflate.unconsumed_tail, found[0].size or 1)
    except zlib.error as error:
        raise CompressedDataError("gzip", offset, str(error)) from None
    if len(raw) != found[0].size:
        raise CompressedDataError("gzip", offset, "the member ends within the TOC")
    return StoredToc(blob, raw, Digest.of_content(raw), offset, "gzip")


def inflate_frame(stored: bytes, what: Chunk | Position) -> bytes:
    """Inflate a frame, which gives as many bytes as were said.

    Raises:
        CompressedDataError: It gives others.
        LimitExceeded: It says to give more than is held at once.
    """
    size = what.uncompressed_size if isinstance(what, Position) else what.size
    if size > CHUNK_BYTES:
        raise LimitExceeded("chunk_bytes", CHUNK_BYTES, size, "blob", what.offset)
    module, _ = zstd_library()
    try:
        data = _decompress(module, stored, size)
    except module.ZstdError as error:
        raise CompressedDataError("zstd", what.offset, str(error)) from None
    if len(data) != size:
        reason = f"a frame gives {len(data)} bytes where {size} were said"
        raise CompressedDataError("zstd", what.offset, reason)
    return data


def _decompress(module: Any, stored: bytes, size: int) -> bytes:
    """Inflate no more than a byte beyond what was said."""
    if module.__name__ == "zstandard":
        reader = module.ZstdDecompressor().stream_reader(stored, read_across_frames=False)
        return bytes(reader.read(size + 1))
    return bytes(module.ZstdDecompressor().decompress(stored, size + 1))
