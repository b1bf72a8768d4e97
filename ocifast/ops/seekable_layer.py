"""A seekable blob as a store of files: its TOC, and one file without the rest of the layer.

What is read is checked: a chunk against its digest, a file against its own. The TOC itself is a
claim of the blob; hold its digest, or the blob's, against a manifest before trusting names.
Invariant: reading a file takes memory for one chunk.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Final

from ocifast._native.sha256 import Sha256
from ocifast.errors import (
    CompressedDataError,
    DigestMismatch,
    DocumentError,
    LimitExceeded,
)
from ocifast.formats import estargz
from ocifast.formats.toc import TocEntry, parse_toc
from ocifast.ops.stored_toc import CHUNK_BYTES, find_toc, inflate_frame
from ocifast.spec.digest import Digest
from ocifast.tree.entry import EntryKind
from ocifast.tree.path import plain_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocifast.formats.zstd_chunked import Chunk
    from ocifast.ops.stored_toc import Blob
    from ocifast.tree.entry import Entry

__all__ = ["SeekableLayer", "check_toc", "open_seekable"]

FIELDS: Final = (
    *("path", "kind", "size", "mode", "uid", "gid", "mtime_ns"),
    *("dev_major", "dev_minor", "link_target", "xattrs"),
)
"""What TOC and tar both say of an entry; the first fields of a `TocEntry`."""


def _told_as(entry: Entry) -> tuple[object, ...]:
    """What a TOC has to say of an entry of the tar, field by field."""
    xattrs = tuple(sorted(entry.xattrs)) if entry.xattrs else ()
    return (
        *(entry.path, entry.kind, entry.size, entry.mode, entry.uid, entry.gid, entry.mtime_ns),
        *(entry.dev_major, entry.dev_minor, entry.link_target, xattrs),
    )


class SeekableLayer:
    """The files of a blob; `entries` are in the order of its tar.

    `toc_digest` is what annotations have: of the TOC as stored in zstd:chunked, of its JSON in
    eStargz. The descriptor stays the caller's.
    """

    def __init__(
        self, blob: Blob, entries: tuple[TocEntry, ...], toc_digest: Digest, codec: str
    ) -> None:
        self._blob = blob
        self._codec = codec
        self.entries = entries
        self.toc_digest = toc_digest

    @cached_property
    def _by_path(self) -> dict[bytes, TocEntry]:
        return {plain_path(entry.path): entry for entry in self.entries}

    def find(self, path: bytes) -> TocEntry:
        """Give the entry of a path, or of what a hard link at that path is a name of.

        Raises:
            FileNotFoundError: There is none.
        """
        entry = self._by_path.get(plain_path(path))
        if entry is not None and entry.kind is EntryKind.HARDLINK:
            entry = self._by_path.get(plain_path(entry.link_target))
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "the layer holds no such path", os.fsdecode(path))
        return entry

    def read(self, entry: TocEntry) -> Iterator[bytes]:
        """Give the content of a file, chunk by chunk, each verified before it is given.

        Raises:
            DigestMismatch: A chunk, or all of them together, is not what the TOC says.
            CompressedDataError: A frame is broken.
            OSError: It cannot be read.
        """
        whole = Sha256()
        for chunk in entry.chunks:
            stored = self._blob.read(chunk.offset, chunk.end_offset - chunk.offset)
            data = inflate_frame(stored, chunk) if self._codec == "zstd" else _unzip(stored, chunk)
            if (found := Digest.of_content(data)) != chunk.digest:
                raise DigestMismatch(chunk.digest, found)
            whole.update(data)
            yield data
        if entry.chunks and (found := Digest.of_sha256(whole.digest())) != entry.digest:
            raise DigestMismatch(entry.digest, found)

    def check(self, table: Iterable[Entry]) -> None:
        """Hold the TOC against the tar of the blob (H25).

        Raises:
            DocumentError: They differ; the first difference is named.
        """
        if self._codec == "zstd":
            with paused_collector():
                check_toc(self.entries, table)
            return
        # The TOC of eStargz is an entry that it does not list, and it rounds times to seconds.
        rounded = (
            entry._replace(mtime_ns=(entry.mtime_ns + 500_000_000) // 10**9 * 10**9)
            for entry in table
            if entry.path != estargz.TOC_NAME
        )
        check_toc(self.entries, rounded)


def open_seekable(
    descriptor: int, offset: int = 0, size: int | None = None
) -> SeekableLayer | None:
    """Open a blob, which is a file or a part of one, by its footer; None when it has no TOC.

    Raises:
        DocumentError: The TOC is broken, or says what cannot be.
        LimitExceeded: It is longer than is read.
        OSError: It cannot be read.
    """
    toc = find_toc(descriptor, offset, size)
    if toc is None:
        return None
    with paused_collector():
        entries = parse_toc(toc.raw, toc.end, has_ends=toc.codec == "zstd")
    return SeekableLayer(toc.blob, entries, toc.digest, toc.codec)


@contextlib.contextmanager
def paused_collector() -> Iterator[None]:
    """Make values without cycles, by the hundred thousand, and do not look for cycles among them.

    A TOC of 113 k entries is read in 1.2 s this way, and in 1.7 s otherwise.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def check_toc(entries: Iterable[TocEntry], table: Iterable[Entry]) -> None:
    """Hold a TOC against the tar of its blob (H25): they must say the same of every entry.

    Raises:
        DocumentError: They differ; the first difference is named.
    """
    told, found = list(entries), list(table)
    if len(told) != len(found):
        reason = f"it has {len(told)} entries, and the tar {len(found)}"
        raise DocumentError("TOC", "", reason)
    for number, (claim, fact) in enumerate(zip(told, found, strict=True)):
        if claim[: len(FIELDS)] == _told_as(fact):
            continue
        for field, said, is_ in zip(FIELDS, claim, _told_as(fact), strict=False):
            if said != is_ and (field != "path" or plain_path(claim.path) != plain_path(fact.path)):
                reason = f"{field} is {said!r}, and in the tar {is_!r}"
                raise DocumentError("TOC", f"entries[{number}]", reason)


def _unzip(stored: bytes, chunk: Chunk) -> bytes:
    """Inflate a chunk, and what stands before it in its member, but not what is behind it."""
    size = chunk.inner + chunk.size
    if size > CHUNK_BYTES:
        raise LimitExceeded("chunk_bytes", CHUNK_BYTES, size, "blob", chunk.offset)
    try:
        data = zlib.decompressobj(31).decompress(stored, size)
    except zlib.error as error:
        raise CompressedDataError("gzip", chunk.offset, str(error)) from None
    if len(data) != size:
        reason = f"a member gives {len(data)} bytes where {size} were said"
        raise CompressedDataError("gzip", chunk.offset, reason)
    return data[chunk.inner :]
